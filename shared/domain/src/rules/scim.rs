//! SCIM 2.0 (RFC 7643 and 7644), by which identity providers manage the users of a workspace.
//!
//! A user resource is one JSON object, a [`document::Document`]. Some of its attributes are fields of Handset's user:
//! username, names, e-mail address, telephone numbers, external id, and whether the user is active. All other
//! attributes of the schemas that the provider sends are stored in a row of their own, [`document::ScimAttributes`].
//! Every PUT and PATCH is applied to the document; [`change`] then derives the changes of the user from it.

pub mod change;
pub mod document;
pub mod filter;
pub mod list;
pub mod patch;
pub mod path;
pub mod schema;
mod value;

use crate::error::{DomainError, ScimType};

/// A SCIM error. The detail may name attributes, but must not contain values.
pub(crate) fn scim_error(scim_type: ScimType, detail: impl Into<String>) -> DomainError {
    DomainError::Scim(scim_type, detail.into())
}
