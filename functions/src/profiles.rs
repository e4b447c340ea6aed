//! Profiles: deployment settings that many users share.

pub mod create_profile;
pub mod delete_profile;
pub mod get_profile;
pub mod list_profiles;
pub mod update_profile;

use aws::Table;
use domain::ProfileId;
use domain::error::{DomainError, Error};
use domain::models::profile::Profile;
use domain::models::workspace::Workspace;
use lambda::AuthorizedRequest;

/// The profile that a call's path names, guarded by `If-Match`.
async fn load_profile(table: &Table, request: &AuthorizedRequest) -> Result<Profile, Error> {
    let id = request.http.path_id("profile_id", "profile", ProfileId::parse)?;
    let profile = table.profile(request.workspace(), id).await?.ok_or(DomainError::NotFound("profile"))?;
    request.http.check_version(profile.version)?;
    Ok(profile)
}

/// The caller's workspace, whose row names the default.
async fn workspace(table: &Table, request: &AuthorizedRequest) -> Result<Workspace, Error> {
    Ok(table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?)
}

/// The profile that is no longer the default once another is: it shows differently, so its version
/// goes up as well.
async fn displaced(table: &Table, before: &Workspace, after: &Workspace) -> Result<Option<Profile>, Error> {
    match before.default_profile_id {
        Some(id) if after.default_profile_id != Some(id) => table.profile(before.workspace_id, id).await,
        _ => Ok(None),
    }
}
