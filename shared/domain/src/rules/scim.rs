//! SCIM 2.0 (RFC 7643 and 7644), by which identity providers manage the users of a workspace.
//!
//! A user in SCIM is one JSON object, a [`document::Document`]: the fields that Handset itself has (username, names,
//! e-mail address, numbers, whether they may use the app), and all other attributes of the schema that the provider has
//! sent, which are kept in a row of their own. Every change is applied to that object first; the changes of the user
//! are then derived from it.

pub mod change;
pub mod document;
pub mod filter;
pub mod list;
pub mod patch;
pub mod path;
pub mod schema;

use crate::error::{DomainError, ScimType};

/// A SCIM error. The detail may name attributes, but must not contain values.
pub(crate) fn refuse(scim_type: ScimType, detail: impl Into<String>) -> DomainError {
    DomainError::Scim(scim_type, detail.into())
}
