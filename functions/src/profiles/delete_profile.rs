//! `DELETE /profiles/{profile_id}`.

use aws::{Commit, Table, retry_on_conflict};
use domain::ProfileId;
use domain::error::{DomainError, Error};
use domain::rules::profiles::delete;
use lambda::{AuthorizedRequest, Reply};

use super::workspace;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Delete a profile")
        .detail("The default profile can be deleted only if it is the last one.")
        .if_match()
        .shows::<views::Profile>("The profile as it was.")
        .refuses([DomainError::ProfileInUse, DomainError::ProfileJustGiven, DomainError::ProfileIsDefault])
}

/// Returns the profile as it was. The default profile can be deleted only if it is the last one. The commit fails if
/// the profile or its assignment record has changed since the read; every assignment to a user checks the profile and
/// may update the record.
///
/// # Errors
/// `NotFound`, `VersionMismatch`, `ProfileInUse`, `ProfileJustGiven`, `ProfileIsDefault`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || attempt(table, &request)).await
}

async fn attempt(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let id = request.http.path_id("profile_id", "profile", ProfileId::parse)?;
    let found = table.profile_and_assignment(request.workspace(), id).await?;
    let (profile, given) = found.ok_or(DomainError::NotFound("profile"))?;
    request.http.check_version(profile.version)?;
    let before = workspace(table, request).await?;
    let is_used = table.is_profile_used(request.workspace(), profile.profile_id).await?;
    let (after, event) = delete(&before, &profile, given.as_ref(), is_used, &request.new_event_context())?;
    table.commit(Commit::with_event(&event).delete_profile(&profile, given.as_ref()).edit(&before, &after)).await?;
    Ok(Reply::ok(&views::Profile::new(&profile, &before)))
}
