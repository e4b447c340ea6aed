//! Attribute names and paths (RFC 7644, 3.10 and figure 7): how requests name an attribute, a sub-attribute, or some
//! values of a multi-valued attribute.

use crate::error::{DomainError, ScimType};
use crate::rules::scim::filter::{Filter, FilterParser, Scope};
use crate::rules::scim::schema::{
    Attribute, COMMON_ATTRIBUTES, ENTERPRISE, ENTERPRISE_ATTRIBUTES, USER, USER_ATTRIBUTES, UserSchema, find_attribute,
};
use crate::rules::scim::scim_error;

/// The most bytes of a path.
pub const PATH_LIMIT: usize = 4096;

/// A path to an attribute or sub-attribute of a user: `attrPath` in RFC 7644.
#[derive(Clone, Copy, Debug)]
pub struct AttributePath {
    /// The schema that defines the attribute.
    pub schema: UserSchema,
    /// The attribute.
    pub attribute: &'static Attribute,
    /// The sub-attribute; `None` for the whole attribute.
    pub sub_attribute: Option<&'static Attribute>,
}

/// What an attribute name in a request refers to.
#[derive(Clone, Copy, Debug)]
pub enum AttributeName {
    /// An attribute or sub-attribute of the schemas of users.
    Known(AttributePath),
    /// The enterprise extension as a whole.
    EnterpriseExtension,
    /// A schema that Handset does not have, or an attribute of one.
    UnknownSchema,
    /// An attribute that the schemas of users do not have.
    UnknownAttribute,
}

impl AttributeName {
    /// Resolves a name: `userName`, `name.givenName`, either of them after a schema's URI and a colon, or the URI of an
    /// extension alone. Names are case-insensitive.
    #[must_use]
    pub fn resolve(name: &str) -> Self {
        if let Some(suffix) = strip_uri(name, ENTERPRISE) {
            return match suffix.strip_prefix(':') {
                None => Self::EnterpriseExtension,
                Some(attribute) => Self::resolve_in(UserSchema::Enterprise, &[ENTERPRISE_ATTRIBUTES], attribute),
            };
        }
        let core_attribute = strip_uri(name, USER).and_then(|suffix| suffix.strip_prefix(':'));
        if core_attribute.is_none() && name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("urn:")) {
            return Self::UnknownSchema;
        }
        Self::resolve_in(UserSchema::Core, &[USER_ATTRIBUTES, COMMON_ATTRIBUTES], core_attribute.unwrap_or(name))
    }

    fn resolve_in(schema: UserSchema, definitions: &[&'static [Attribute]], name: &str) -> Self {
        let (name, sub_name) = name.split_once('.').map_or((name, None), |(name, sub_name)| (name, Some(sub_name)));
        let Some(attribute) = definitions.iter().find_map(|attributes| find_attribute(attributes, name)) else {
            return Self::UnknownAttribute;
        };
        match sub_name.map(|sub_name| find_attribute(attribute.sub_attributes(), sub_name)) {
            None => Self::Known(AttributePath { schema, attribute, sub_attribute: None }),
            Some(Some(sub_attribute)) => {
                Self::Known(AttributePath { schema, attribute, sub_attribute: Some(sub_attribute) })
            }
            Some(None) => Self::UnknownAttribute,
        }
    }
}

/// What follows a schema's URI at the start of a name: nothing, or a colon and more. `None` if the name starts
/// otherwise.
fn strip_uri<'a>(name: &'a str, uri: &str) -> Option<&'a str> {
    let prefix = name.get(..uri.len())?;
    let suffix = name.get(uri.len()..)?;
    (prefix.eq_ignore_ascii_case(uri) && (suffix.is_empty() || suffix.starts_with(':'))).then_some(suffix)
}

/// The target of a PATCH operation (RFC 7644, 3.5.2): `PATH` in RFC 7644.
#[derive(Debug)]
pub enum PatchPath {
    /// An attribute or sub-attribute; with a filter, only of the values that match it.
    Attribute(AttributePath, Option<Filter>),
    /// The enterprise extension as a whole.
    EnterpriseExtension,
    /// A schema that Handset does not have, or an attribute of one.
    UnknownSchema,
}

impl PatchPath {
    /// Parses a path such as `emails[type eq "work"].value`.
    ///
    /// # Errors
    /// `invalidPath`.
    pub fn parse(path: &str) -> Result<Self, DomainError> {
        let invalid_path = |detail: &str| scim_error(ScimType::InvalidPath, detail);
        let not_an_attribute = || invalid_path("The path is not an attribute of a user.");
        if path.len() > PATH_LIMIT {
            return Err(invalid_path(&format!("A path has at most {PATH_LIMIT} bytes.")));
        }
        let path = path.trim();
        let Some((name, value_filter)) = path.split_once('[') else {
            return match AttributeName::resolve(path) {
                AttributeName::Known(attribute_path) => Ok(Self::Attribute(attribute_path, None)),
                AttributeName::EnterpriseExtension => Ok(Self::EnterpriseExtension),
                AttributeName::UnknownSchema => Ok(Self::UnknownSchema),
                AttributeName::UnknownAttribute => Err(not_an_attribute()),
            };
        };
        let attribute_path = match AttributeName::resolve(name) {
            AttributeName::Known(path) if path.sub_attribute.is_none() && path.attribute.multi_valued => path,
            AttributeName::UnknownSchema => return Ok(Self::UnknownSchema),
            AttributeName::Known(_) | AttributeName::EnterpriseExtension | AttributeName::UnknownAttribute => {
                return Err(not_an_attribute());
            }
        };
        let sub_attributes = attribute_path.attribute.sub_attributes();
        let mut parser = FilterParser::new(value_filter, Scope::SubAttributes(sub_attributes));
        let filter =
            parser.parse_value_filter().map_err(|_| invalid_path("The filter in the path is not a valid filter."))?;
        let sub_attribute = match parser.rest().strip_prefix('.') {
            Some(name) => Some(find_attribute(sub_attributes, name).ok_or_else(not_an_attribute)?),
            None if parser.rest().is_empty() => None,
            None => return Err(not_an_attribute()),
        };
        Ok(Self::Attribute(AttributePath { sub_attribute, ..attribute_path }, Some(filter)))
    }
}
