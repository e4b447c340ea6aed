//! `PATCH /profiles/{profile_id}`.

use aws::{Commit, Profiles, Workspaces};
use domain::profile::{ProfileEdit, is_renamed, update};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use super::{displaced, wanted, workspace};
use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Change a profile")
        .detail(
            "Settings replace the former ones as a whole, and the revision goes up if they are others; a schema of \
             `null` is taken away; `default` of `true` makes it the default in place of the one that was.",
        )
        .body(|fields| drop(ProfileEdit::read(fields)))
        .versioned()
        .shows("The profile.", thing("Profile"))
        .refuses([Refusal::ProfileNameTaken, Refusal::ProfileIsDefault])
}

/// Answers with the profile. Settings replace the former ones as a whole, and its revision goes up
/// if they are others; a schema of `null` is taken away; `default` of `true` makes it the default
/// in place of the one that was.
///
/// # Errors
/// Every fault of the body, of the schema, and of the settings by the schema; `NotFound`,
/// `VersionMismatch`, `ProfileNameTaken`, `ProfileIsDefault`.
pub async fn handle(store: &(impl Profiles + Workspaces), call: Call) -> Result<Reply, Failure> {
    let edit = ProfileEdit::read(call.request.body()?);
    attempts(store, || attempt(store, &call, &edit)).await
}

async fn attempt(store: &(impl Profiles + Workspaces), call: &Call, edit: &ProfileEdit) -> Result<Reply, Failure> {
    let profile = wanted(store, call).await?;
    let before = workspace(store, call).await?;
    let Some(changed) = update(&before, &profile, edit, &call.act())? else {
        return Ok(Reply::thing(&views::profile(&profile, &before), profile.version));
    };
    let mut after = changed.profile;
    if is_renamed(&profile, &after) && store.profile_name_taken(call.workspace(), &after.name).await? {
        return Err(Refusal::ProfileNameTaken.into());
    }
    let mut commit = Commit::of(&changed.event).touch(&profile, &after).edit(&before, &changed.workspace);
    if let Some(old) = displaced(store, &before, &changed.workspace).await? {
        commit = commit.touch(&old, &old);
    }
    store.commit(commit).await?;
    after.version += 1;
    Ok(Reply::thing(&views::profile(&after, &changed.workspace), after.version))
}
