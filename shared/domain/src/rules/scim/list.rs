//! Queries of users (RFC 7644, 3.4.2): which users a list returns, in which order, and which of their attributes.

use serde_json::{Map, Value};

use crate::error::{DomainError, ScimType};
use crate::input::Fields;
use crate::rules::scim::document::Document;
use crate::rules::scim::filter::{FILTER_LIMIT, Filter, comparison_key};
use crate::rules::scim::path::{AttributeName, AttributePath};
use crate::rules::scim::schema::{DataType, ENTERPRISE, UserSchema, find_attribute};
use crate::rules::scim::scim_error;
use crate::rules::scim::value::is_primary;
use crate::text::{Form, TextRule};

/// The most users of a page; `maxResults` in the configuration.
pub const PAGE_SIZE_LIMIT: usize = 200;

/// Users of a page without `count`.
const DEFAULT_PAGE_SIZE: usize = 100;

/// The most users of a workspace that can be listed, filtered or sorted; queries of larger workspaces are refused.
pub const LISTED_USERS_LIMIT: usize = 10_000;

const NAME_RULE: TextRule = TextRule::in_bytes(Form::Line, 1, 256);

const FILTER_RULE: TextRule = TextRule::in_bytes(Form::Line, 1, FILTER_LIMIT);

/// The parameters of a list or search.
#[derive(Debug)]
pub struct Query {
    /// Filter for users; `None` for all.
    pub filter: Option<Filter>,
    /// Sort order; `None` for the oldest user first.
    pub sort: Option<Sort>,
    /// Position of the first user to return, starting at 1.
    pub start_index: usize,
    /// The most users to return: from 0 to [`PAGE_SIZE_LIMIT`].
    pub count: usize,
    /// The attributes to return.
    pub projection: Projection,
}

/// A sort order: `sortBy` and `sortOrder`.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    path: AttributePath,
    is_descending: bool,
}

/// The attributes of a resource to return: `attributes` and `excludedAttributes` (RFC 7644, 3.9).
#[derive(Debug, Default)]
pub struct Projection {
    /// `None` if the request does not name attributes.
    included: Option<Vec<AttributeName>>,
    /// Not used if `included` is set.
    excluded: Vec<AttributeName>,
}

impl Query {
    /// Reads the parameters, from a query string or from the body of a search. `startIndex` and `count` outside of
    /// their range are moved into it (RFC 7644, 3.4.2.4).
    ///
    /// # Errors
    /// `Invalid`, with every field error; `invalidFilter`.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let filter = fields.text("filter", FILTER_RULE);
        let sort_by = fields.text("sortBy", NAME_RULE);
        let sort_order = fields.text("sortOrder", NAME_RULE);
        let start_index = fields.integer("startIndex", i64::MIN, i64::MAX).unwrap_or(1);
        let count = fields.integer("count", i64::MIN, i64::MAX);
        let projection = Projection::from_fields(&mut fields);
        let is_descending = sort_order.is_some_and(|order| order_is_descending(&mut fields, &order));
        let sort = sort_by.and_then(|name| match AttributeName::resolve(&name) {
            AttributeName::Known(path) => Some(Sort { path, is_descending }),
            AttributeName::EnterpriseExtension | AttributeName::UnknownSchema | AttributeName::UnknownAttribute => {
                fields.add_error("sortBy", "unknown_value", "must be an attribute of a user");
                None
            }
        });
        fields.finish().map_err(DomainError::Invalid)?;
        let count = count.map_or(DEFAULT_PAGE_SIZE, |count| usize::try_from(count.max(0)).unwrap_or(PAGE_SIZE_LIMIT));
        Ok(Self {
            filter: filter.as_deref().map(Filter::parse).transpose()?,
            sort,
            start_index: usize::try_from(start_index.max(1)).unwrap_or(usize::MAX),
            count: count.min(PAGE_SIZE_LIMIT),
            projection,
        })
    }

    /// The error of a query that would have to read more than [`LISTED_USERS_LIMIT`] users.
    #[must_use]
    pub fn too_many_users() -> DomainError {
        scim_error(
            ScimType::TooMany,
            format!(
                "The workspace has more than {LISTED_USERS_LIMIT} users; filter by userName, externalId or id with eq, \
                 or list them by GET /users."
            ),
        )
    }
}

fn order_is_descending(fields: &mut Fields, sort_order: &str) -> bool {
    let is_descending = sort_order.eq_ignore_ascii_case("descending");
    if !is_descending && !sort_order.eq_ignore_ascii_case("ascending") {
        fields.add_error("sortOrder", "unknown_value", "must be one of ascending, descending");
    }
    is_descending
}

impl Sort {
    /// The key by which a user is sorted in ascending order. Of a multi-valued attribute, the primary value counts,
    /// otherwise the first; of a complex one, its `value`. Users without a value come last (RFC 7644, 3.4.2.3).
    #[must_use]
    pub fn key(&self, document: &Document) -> (bool, String) {
        let values = document.values(&self.path);
        let value = values.iter().find(|value| is_primary(value)).or(values.first()).copied();
        let attribute = self.path.sub_attribute.unwrap_or(self.path.attribute);
        let (attribute, value) = match attribute.data_type {
            DataType::Complex(sub_attributes) => (
                find_attribute(sub_attributes, "value").unwrap_or(attribute),
                value.and_then(|value| value.get("value")),
            ),
            DataType::String | DataType::Boolean | DataType::Integer | DataType::DateTime | DataType::Reference(_) => {
                (attribute, value)
            }
        };
        match value {
            Some(Value::String(text)) => (false, comparison_key(attribute, text)),
            Some(Value::Bool(value)) => (false, value.to_string()),
            _ => (true, String::new()),
        }
    }

    /// True if users are returned in reverse order of their keys, so that those without a value come first.
    #[must_use]
    pub fn is_descending(&self) -> bool {
        self.is_descending
    }
}

impl Projection {
    /// Reads `attributes` and `excludedAttributes`, each a comma-separated string or an array. If both are given, the
    /// second is ignored.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let projection = Self::from_fields(&mut fields);
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(projection)
    }

    fn from_fields(fields: &mut Fields) -> Self {
        let included = read_attribute_names(fields, "attributes");
        let excluded = read_attribute_names(fields, "excludedAttributes");
        Self { excluded: excluded.filter(|_| included.is_none()).unwrap_or_default(), included }
    }

    /// The attributes of a resource to return. `id` and `schemas` are always among them.
    pub(super) fn apply(&self, resource: Map<String, Value>) -> Map<String, Value> {
        let project = |(name, value): (String, Value)| {
            let value = match value {
                value if name == "id" || name == "schemas" => Some(value),
                Value::Object(extension) if name == ENTERPRISE => self.project_extension(extension),
                value => self.project_attribute(UserSchema::Core, &name, value),
            };
            Some((name, value?))
        };
        resource.into_iter().filter_map(project).collect()
    }

    /// The attributes of the enterprise extension to return; `None` if there are none.
    fn project_extension(&self, extension: Map<String, Value>) -> Option<Value> {
        let project = |(name, value): (String, Value)| {
            let value = self.project_attribute(UserSchema::Enterprise, &name, value)?;
            Some((name, value))
        };
        let extension: Map<String, Value> = extension.into_iter().filter_map(project).collect();
        (!extension.is_empty()).then_some(Value::Object(extension))
    }

    fn project_attribute(&self, schema: UserSchema, name: &str, value: Value) -> Option<Value> {
        match &self.included {
            Some(included) => match Selection::of(included, schema, name) {
                Selection::Attribute => Some(value),
                Selection::SubAttributes(names) if names.is_empty() => None,
                Selection::SubAttributes(names) => Some(retain_sub_attributes(value, &|name| names.contains(&name))),
            },
            None => match Selection::of(&self.excluded, schema, name) {
                Selection::Attribute => None,
                Selection::SubAttributes(names) => Some(retain_sub_attributes(value, &|name| !names.contains(&name))),
            },
        }
    }
}

/// What a list of attribute names selects of one attribute.
enum Selection {
    /// The whole attribute.
    Attribute,
    /// These sub-attributes, possibly none.
    SubAttributes(Vec<&'static str>),
}

impl Selection {
    fn of(names: &[AttributeName], schema: UserSchema, attribute: &str) -> Self {
        let mut sub_attributes = Vec::new();
        for name in names {
            match name {
                AttributeName::Known(path) if path.schema == schema && path.attribute.name == attribute => {
                    match path.sub_attribute {
                        Some(sub_attribute) => sub_attributes.push(sub_attribute.name),
                        None => return Self::Attribute,
                    }
                }
                AttributeName::EnterpriseExtension if schema == UserSchema::Enterprise => return Self::Attribute,
                AttributeName::Known(_)
                | AttributeName::EnterpriseExtension
                | AttributeName::UnknownSchema
                | AttributeName::UnknownAttribute => {}
            }
        }
        Self::SubAttributes(sub_attributes)
    }
}

/// The value with some of its sub-attributes; of a multi-valued attribute, each value.
fn retain_sub_attributes(value: Value, is_retained: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(|value| retain_sub_attributes(value, is_retained)).collect(),
        Value::Object(sub_attributes) => {
            sub_attributes.into_iter().filter(|(name, _)| is_retained(name)).collect::<Map<_, _>>().into()
        }
        simple => simple,
    }
}

fn read_attribute_names(fields: &mut Fields, parameter: &str) -> Option<Vec<AttributeName>> {
    let names: Vec<String> = match fields.value(parameter)? {
        Value::String(names) => names.split(',').map(str::to_owned).collect(),
        Value::Array(names) if names.iter().all(Value::is_string) => {
            names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => {
            fields.add_error(parameter, "wrong_type", "must be an array of strings");
            return None;
        }
    };
    Some(names.iter().map(|name| AttributeName::resolve(name.trim())).collect())
}
