//! `GET /profiles/{profile_id}`.

use aws::{Profiles, Workspaces};
use domain::ProfileId;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use super::workspace;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Get a profile").versioned().shows("The profile.", thing("Profile"))
}

/// Answers with the profile, its settings and its schema.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &(impl Profiles + Workspaces), call: Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("profile_id", "profile", ProfileId::parse)?;
    let profile = store.profile(call.workspace(), id).await?.ok_or(Refusal::NotFound("profile"))?;
    let workspace = workspace(store, &call).await?;
    Ok(Reply::thing(&views::profile(&profile, &workspace), profile.version))
}
