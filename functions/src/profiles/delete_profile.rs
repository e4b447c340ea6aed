//! `DELETE /profiles/{profile_id}`.

use aws::{Commit, Profiles, Workspaces};
use domain::ProfileId;
use domain::profile::delete;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use super::workspace;
use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Delete a profile")
        .detail("The default goes only as the last one.")
        .guarded()
        .shows("The profile as it was.", thing("Profile"))
        .refuses([Refusal::ProfileInUse, Refusal::ProfileJustGiven, Refusal::ProfileIsDefault])
}

/// Answers with the profile as it was; it is gone. The default goes only as the last one. The commit stands on
/// the profile, and on when it was given, as they were read; whoever gives it to a user checks the one and may
/// change the other.
///
/// # Errors
/// `NotFound`, `VersionMismatch`, `ProfileInUse`, `ProfileJustGiven`, `ProfileIsDefault`.
pub async fn handle(store: &(impl Profiles + Workspaces), call: Call) -> Result<Reply, Failure> {
    attempts(store, || attempt(store, &call)).await
}

async fn attempt(store: &(impl Profiles + Workspaces), call: &Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("profile_id", "profile", ProfileId::parse)?;
    let found = store.profile_and_given(call.workspace(), id).await?;
    let (profile, given) = found.ok_or(Refusal::NotFound("profile"))?;
    call.request.check_version(profile.version)?;
    let before = workspace(store, call).await?;
    let is_used = store.profile_is_used(call.workspace(), profile.profile_id).await?;
    let (after, event) = delete(&before, &profile, given.as_ref(), is_used, &call.act())?;
    store.commit(Commit::of(&event).delete_profile(&profile, given.as_ref()).edit(&before, &after)).await?;
    Ok(Reply::ok(&views::profile(&profile, &before)))
}
