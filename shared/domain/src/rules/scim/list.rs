//! Lists of users: which users, in which order, and which of their attributes.

use serde_json::{Map, Value};

use crate::error::{DomainError, ScimType};
use crate::input::Fields;
use crate::rules::scim::document::{Document, is_primary};
use crate::rules::scim::filter::{FILTER_LIMIT, Filter, comparable};
use crate::rules::scim::path::{Named, Place, Target};
use crate::rules::scim::refuse;
use crate::rules::scim::schema::{ENTERPRISE, Kind, find};
use crate::text::{Form, TextRule};

/// The most users of a page.
pub const COUNT_MOST: usize = 200;

/// Users of a page by default.
const COUNT_DEFAULT: usize = 100;

/// The most users of a workspace that a list can count or filter; for larger workspaces it is refused.
pub const LOOK_MOST: usize = 10_000;

const NAME: TextRule = TextRule::in_bytes(Form::Line, 1, 256);

const FILTER: TextRule = TextRule::in_bytes(Form::Line, 1, FILTER_LIMIT);

/// The parameters of a list.
#[derive(Debug)]
pub struct Query {
    /// Condition for the users.
    pub filter: Option<Filter>,
    /// Sort order; by default, the oldest user first.
    pub sort: Option<Sort>,
    /// Position of the first user, starting at 1.
    pub start: usize,
    /// The most users to return.
    pub count: usize,
    /// The attributes to return.
    pub projection: Projection,
}

/// A sort order.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    target: Target,
    descending: bool,
}

/// The attributes of a resource to return.
#[derive(Debug, Default)]
pub struct Projection {
    only: Option<Vec<Named>>,
    without: Vec<Named>,
}

impl Query {
    /// Reads the parameters, from a query or from the body of a search.
    ///
    /// # Errors
    /// `Invalid`, with every field error; `invalidFilter`.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let filter = fields.text("filter", FILTER);
        let sort_by = fields.text("sortBy", NAME);
        let order = fields.text("sortOrder", NAME);
        let start = fields.integer("startIndex", i64::MIN, i64::MAX).unwrap_or(1);
        let count = fields.integer("count", i64::MIN, i64::MAX);
        let projection = Projection::of_fields(&mut fields);
        let descending = match order.as_deref() {
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            None => false,
            Some(order) => {
                if !order.eq_ignore_ascii_case("ascending") {
                    fields.add_error("sortOrder", "unknown_value", "must be one of ascending, descending");
                }
                false
            }
        };
        let sort = sort_by.and_then(|name| match Named::read(&name) {
            Named::Known(target) => Some(Sort { target, descending }),
            Named::Enterprise | Named::Foreign | Named::Unknown => {
                fields.add_error("sortBy", "unknown_value", "must be an attribute of a user");
                None
            }
        });
        fields.finish().map_err(DomainError::Invalid)?;
        let count = count.map_or(COUNT_DEFAULT, |count| usize::try_from(count.max(0)).unwrap_or(COUNT_MOST));
        Ok(Self {
            filter: filter.as_deref().map(Filter::read).transpose()?,
            sort,
            start: usize::try_from(start.max(1)).unwrap_or(usize::MAX),
            count: count.min(COUNT_MOST),
            projection,
        })
    }

    /// The error if a list would have to read more than [`LOOK_MOST`] users.
    #[must_use]
    pub fn too_many() -> DomainError {
        refuse(
            ScimType::TooMany,
            format!(
                "The workspace has more than {LOOK_MOST} users; filter by userName, externalId or id with eq, or \
                 list them by GET /users."
            ),
        )
    }
}

impl Sort {
    /// The sort key of a user. Users without a value come last, or, in descending order, first.
    #[must_use]
    pub fn key(&self, document: &Document) -> (bool, String) {
        let values = document.values(&self.target);
        let value = values.iter().find(|value| is_primary(value)).or(values.first()).copied();
        let leaf = self.target.part.unwrap_or(self.target.attribute);
        let (leaf, value) = match leaf.kind {
            Kind::Complex(parts) => (find(parts, "value").unwrap_or(leaf), value.and_then(|value| value.get("value"))),
            Kind::Text | Kind::Boolean | Kind::Integer | Kind::Timestamp | Kind::Reference(_) => (leaf, value),
        };
        match value {
            Some(Value::String(text)) => (false, comparable(leaf, text)),
            Some(Value::Bool(truth)) => (false, truth.to_string()),
            _ => (true, String::new()),
        }
    }

    /// True if the greatest value comes first.
    #[must_use]
    pub fn is_descending(&self) -> bool {
        self.descending
    }
}

impl Projection {
    /// Reads `attributes` and `excludedAttributes`, each a comma-separated string or an array. If both are given, the
    /// second is ignored.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let projection = Self::of_fields(&mut fields);
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(projection)
    }

    fn of_fields(fields: &mut Fields) -> Self {
        let (only, without) = (names(fields, "attributes"), names(fields, "excludedAttributes"));
        Self { without: without.filter(|_| only.is_none()).unwrap_or_default(), only }
    }

    /// The fields of a resource to return: always including `id` and `schemas`.
    pub(super) fn of(&self, fields: Map<String, Value>) -> Map<String, Value> {
        let mut shown = Map::new();
        for (name, value) in fields {
            let whole = name == "id" || name == "schemas";
            let value = match value {
                value if whole => Some(value),
                Value::Object(added) if name == ENTERPRISE => {
                    let added = added.into_iter();
                    let added = added.filter_map(|(name, value)| {
                        let value = self.value(Place::Enterprise, &name, value)?;
                        Some((name, value))
                    });
                    Some(Value::Object(added.collect::<Map<_, _>>()))
                        .filter(|added| *added != Value::Object(Map::new()))
                }
                value => self.value(Place::Core, &name, value),
            };
            shown.extend(value.map(|value| (name, value)));
        }
        shown
    }

    fn value(&self, place: Place, name: &str, value: Value) -> Option<Value> {
        let named = |list: &[Named]| -> (bool, Vec<&'static str>) {
            let whole = list.iter().any(|named| match named {
                Named::Known(target) => is(target, place, name) && target.part.is_none(),
                Named::Enterprise => place == Place::Enterprise,
                Named::Foreign | Named::Unknown => false,
            });
            let part = |named: &Named| match named {
                Named::Known(target) if is(target, place, name) => target.part.map(|part| part.name),
                Named::Known(_) | Named::Enterprise | Named::Foreign | Named::Unknown => None,
            };
            (whole, list.iter().filter_map(part).collect())
        };
        match &self.only {
            Some(only) => match named(only) {
                (true, _) => Some(value),
                (false, parts) if parts.is_empty() => None,
                (false, parts) => Some(retained(value, &|part| parts.contains(&part))),
            },
            None => match named(&self.without) {
                (true, _) => None,
                (false, parts) => Some(retained(value, &|part| !parts.contains(&part))),
            },
        }
    }
}

fn is(target: &Target, place: Place, name: &str) -> bool {
    target.place == place && target.attribute.name == name
}

fn retained(value: Value, keep: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(|value| retained(value, keep)).collect(),
        Value::Object(parts) => parts.into_iter().filter(|(name, _)| keep(name)).collect::<Map<_, _>>().into(),
        other => other,
    }
}

fn names(fields: &mut Fields, name: &str) -> Option<Vec<Named>> {
    let names: Vec<String> = match fields.value(name)? {
        Value::String(text) => text.split(',').map(str::to_owned).collect(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => {
            fields.add_error(name, "wrong_type", "must be an array of strings");
            return None;
        }
    };
    Some(names.iter().map(|name| Named::read(name.trim())).collect())
}
