//! `GET /profiles/{profile_id}`.

use aws::Table;
use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use super::workspace;
use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> OperationDoc {
    OperationDoc::new("Get a profile").versioned().shows("The profile.", thing("Profile"))
}

/// Answers with the profile, its settings and its schema.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(table: &Table, call: AuthorizedRequest) -> Result<Reply, Error> {
    let profile = super::wanted(table, &call).await?;
    let workspace = workspace(table, &call).await?;
    Ok(Reply::thing(&views::profile(&profile, &workspace), profile.version))
}
