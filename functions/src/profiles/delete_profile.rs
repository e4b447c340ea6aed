//! `DELETE /profiles/{profile_id}`.

use aws::{Commit, Table};
use domain::ProfileId;
use domain::error::{DomainError, Error};
use domain::rules::profiles::delete;
use lambda::{AuthorizedRequest, Reply};

use super::workspace;
use crate::description::OperationDoc;
use crate::retry::retry_on_conflict;
use crate::state::AppState;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Delete a profile")
        .detail("The default profile can be deleted only if it is the last one.")
        .guarded()
        .shows::<views::Profile>("The profile as it was.")
        .refuses([DomainError::ProfileInUse, DomainError::ProfileJustGiven, DomainError::ProfileIsDefault])
}

/// Answers with the profile as it was; it is gone. The default goes only as the last one. The commit stands on
/// the profile, and on when it was given, as they were read; whoever gives it to a user checks the one and may
/// change the other.
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
    let (after, event) = delete(&before, &profile, given.as_ref(), is_used, &request.event_context())?;
    table.commit(Commit::with_event(&event).delete_profile(&profile, given.as_ref()).edit(&before, &after)).await?;
    Ok(Reply::ok(&views::Profile::new(&profile, &before)))
}
