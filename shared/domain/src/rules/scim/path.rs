//! Paths: how SCIM names an attribute, a sub-attribute, or some values of an attribute.

use crate::error::{DomainError, ScimType};
use crate::rules::scim::filter::{Filter, Reader, Scope};
use crate::rules::scim::refuse;
use crate::rules::scim::schema::{Attribute, COMMON, ENTERPRISE, ENTERPRISE_ATTRIBUTES, USER, USER_ATTRIBUTES, find};

/// The most bytes of a path.
pub const PATH_LIMIT: usize = 4096;

/// Where an attribute is in a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the top level.
    Core,
    /// In the enterprise extension.
    Enterprise,
}

impl Place {
    /// The full name of an attribute at this place.
    #[must_use]
    pub fn name(self, attribute: &Attribute) -> String {
        match self {
            Self::Core => attribute.name.to_owned(),
            Self::Enterprise => format!("{ENTERPRISE}:{}", attribute.name),
        }
    }
}

/// An attribute or sub-attribute.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where the attribute is.
    pub place: Place,
    /// The attribute.
    pub attribute: &'static Attribute,
    /// The sub-attribute; `None` for the whole attribute.
    pub part: Option<&'static Attribute>,
}

/// The meaning of a name.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    /// A known attribute.
    Known(Target),
    /// The whole enterprise extension.
    Enterprise,
    /// Something of an unknown schema.
    Foreign,
    /// No attribute.
    Unknown,
}

impl Named {
    /// Reads a name: `userName`, `name.givenName`, either of them after the schema's URI and a colon, or the URI of an
    /// extension alone. Case does not matter.
    #[must_use]
    pub fn read(name: &str) -> Self {
        if let Some(rest) = after(name, ENTERPRISE) {
            return match rest.strip_prefix(':') {
                None => Self::Enterprise,
                Some(rest) => Self::within(Place::Enterprise, &[ENTERPRISE_ATTRIBUTES], rest),
            };
        }
        let core = after(name, USER).and_then(|rest| rest.strip_prefix(':'));
        if core.is_none() && name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
            return Self::Foreign;
        }
        Self::within(Place::Core, &[USER_ATTRIBUTES, COMMON], core.unwrap_or(name))
    }

    fn within(place: Place, attributes: &[&'static [Attribute]], name: &str) -> Self {
        let (first, part) = name.split_once('.').map_or((name, None), |(first, part)| (first, Some(part)));
        let attribute = attributes.iter().find_map(|attributes| find(attributes, first));
        let Some(attribute) = attribute else { return Self::Unknown };
        match part.map(|part| find(attribute.parts(), part)) {
            None => Self::Known(Target { place, attribute, part: None }),
            Some(Some(part)) => Self::Known(Target { place, attribute, part: Some(part) }),
            Some(None) => Self::Unknown,
        }
    }
}

/// The rest of a name after a schema's URI: empty, or starting with a colon.
fn after<'a>(name: &'a str, uri: &str) -> Option<&'a str> {
    let start = name.get(..uri.len())?;
    let rest = name.get(uri.len()..)?;
    (start.eq_ignore_ascii_case(uri) && (rest.is_empty() || rest.starts_with(':'))).then_some(rest)
}

/// The target of a patch operation.
#[derive(Debug)]
pub enum Path {
    /// An attribute or sub-attribute; with a filter, only of the values that match it.
    Of(Target, Option<Filter>),
    /// The whole enterprise extension.
    Enterprise,
    /// Something of an unknown schema.
    Foreign,
}

impl Path {
    /// Reads a path such as `emails[type eq "work"].value`.
    ///
    /// # Errors
    /// `invalidPath`.
    pub fn read(text: &str) -> Result<Self, DomainError> {
        let invalid = || refuse(ScimType::InvalidPath, "The path is not an attribute of a user.");
        if text.len() > PATH_LIMIT {
            return Err(refuse(ScimType::InvalidPath, format!("A path has at most {PATH_LIMIT} bytes.")));
        }
        let text = text.trim();
        let Some((name, rest)) = text.split_once('[') else {
            return match Named::read(text) {
                Named::Known(target) => Ok(Self::Of(target, None)),
                Named::Enterprise => Ok(Self::Enterprise),
                Named::Foreign => Ok(Self::Foreign),
                Named::Unknown => Err(invalid()),
            };
        };
        let target = match Named::read(name) {
            Named::Known(target) if target.part.is_none() && target.attribute.multi => target,
            Named::Foreign => return Ok(Self::Foreign),
            Named::Known(_) | Named::Enterprise | Named::Unknown => return Err(invalid()),
        };
        let mut reader = Reader::new(rest, Scope::Parts(target.attribute.parts()));
        let filter =
            reader.bracketed().map_err(|_| refuse(ScimType::InvalidPath, "The path's filter cannot be read."))?;
        let part = match reader.rest().strip_prefix('.') {
            Some(part) => Some(find(target.attribute.parts(), part).ok_or_else(invalid)?),
            None if reader.rest().is_empty() => None,
            None => return Err(invalid()),
        };
        Ok(Self::Of(Target { part, ..target }, Some(filter)))
    }
}
