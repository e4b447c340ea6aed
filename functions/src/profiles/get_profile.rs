//! `GET /profiles/{profile_id}`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use super::workspace;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a profile").with_etag().shows::<views::Profile>("The profile.")
}

/// Returns the profile with its settings and schema.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let profile = super::load_profile(table, &request).await?;
    let workspace = workspace(table, &request).await?;
    Ok(Reply::ok_versioned(&views::Profile::new(&profile, &workspace), profile.version))
}
