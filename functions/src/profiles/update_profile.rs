//! `PATCH /profiles/{profile_id}`.

use aws::{Commit, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::profile::{ProfileEdit, is_renamed};
use domain::rules::profiles::update;
use lambda::{AuthorizedRequest, Reply};

use super::{displaced, load_profile, workspace};
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change a profile")
        .detail(
            "Settings are replaced as a whole, and the revision goes up if they differ. `null` removes the schema. \
             `default: true` makes the profile the default in place of the present one.",
        )
        .body(|fields| drop(ProfileEdit::read(fields)))
        .with_etag()
        .shows::<views::Profile>("The profile.")
        .refuses([DomainError::ProfileNameTaken, DomainError::ProfileIsDefault])
}

/// Returns the profile. Settings are replaced as a whole, and the revision goes up if they differ. A schema of `null`
/// is removed. `default: true` makes the profile the default in place of the present one.
///
/// # Errors
/// Every invalid field of the body, of the schema, and of the settings checked by the schema; `NotFound`,
/// `VersionMismatch`, `ProfileNameTaken`, `ProfileIsDefault`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let edit = ProfileEdit::read(request.http.body()?);
    retry_on_conflict(table, || attempt(table, &request, &edit)).await
}

async fn attempt(table: &Table, request: &AuthorizedRequest, edit: &ProfileEdit) -> Result<Reply, Error> {
    let profile = load_profile(table, request).await?;
    let before = workspace(table, request).await?;
    let Some(changed) = update(&before, &profile, edit, &request.new_event_context())? else {
        return Ok(Reply::ok_versioned(&views::Profile::new(&profile, &before), profile.version));
    };
    let after = changed.profile;
    if is_renamed(&profile, &after) && table.is_profile_name_taken(request.workspace(), &after.name).await? {
        return Err(DomainError::ProfileNameTaken.into());
    }
    let mut commit =
        Commit::with_event(&changed.event).bump_version(&profile, &after).edit(&before, &changed.workspace);
    if let Some(old) = displaced(table, &before, &changed.workspace).await? {
        commit = commit.bump_version(&old, &old);
    }
    let after = table.commit(commit).await?.with_new_version(after);
    Ok(Reply::ok_versioned(&views::Profile::new(&after, &changed.workspace), after.version))
}
