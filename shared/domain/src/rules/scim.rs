//! SCIM 2.0 (RFC 7643 and 7644), by which identity providers drive the users of a workspace.
//!
//! A user as SCIM shows it is one JSON object, a [`document::Document`]: what Handset itself knows
//! of the user (username, names, e-mail address, numbers, whether they may use the app), and beside
//! it whatever else of the schema the provider has said, which is kept in a row of its own. Every
//! change is made to that object first, and then read back into what changes of the user.

pub mod change;
pub mod document;
pub mod filter;
pub mod list;
pub mod patch;
pub mod path;
pub mod schema;

use crate::error::{DomainError, ScimType};

/// A refusal in SCIM's own words. The detail may name attributes, never values.
pub(crate) fn refuse(scim_type: ScimType, detail: impl Into<String>) -> DomainError {
    DomainError::Scim(scim_type, detail.into())
}
