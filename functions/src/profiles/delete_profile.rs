//! `DELETE /profiles/{profile_id}`.

use aws::{Commit, Profiles, Workspaces};
use domain::profile::delete;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use super::{wanted, workspace};
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

/// Answers with the profile as it was; it is gone. The default goes only as the last one. The commit
/// stands on the profile as it was read, and whoever gives it to a user changes or checks it.
///
/// # Errors
/// `NotFound`, `VersionMismatch`, `ProfileInUse`, `ProfileJustGiven`, `ProfileIsDefault`.
pub async fn handle(store: &(impl Profiles + Workspaces), call: Call) -> Result<Reply, Failure> {
    attempts(store, || attempt(store, &call)).await
}

async fn attempt(store: &(impl Profiles + Workspaces), call: &Call) -> Result<Reply, Failure> {
    let profile = wanted(store, call).await?;
    let before = workspace(store, call).await?;
    let is_used = store.profile_is_used(call.workspace(), profile.profile_id).await?;
    let (after, event) = delete(&before, &profile, is_used, &call.act())?;
    store.commit(Commit::of(&event).delete(&profile).edit(&before, &after)).await?;
    Ok(Reply::ok(&views::profile(&profile, &before)))
}
