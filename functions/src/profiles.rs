//! Profiles: deployment settings that many users share.

pub mod create_profile;
pub mod delete_profile;
pub mod get_profile;
pub mod list_profiles;
pub mod update_profile;

use aws::Table;
use domain::error::{DomainError, Error};
use domain::models::profile::{Profile, ProfileAssignment};
use domain::models::user::User;
use domain::models::workspace::Workspace;
use domain::{ProfileId, WorkspaceId};
use lambda::AuthorizedRequest;

/// The profile in the request's path, guarded by `If-Match`.
async fn load_profile(table: &Table, request: &AuthorizedRequest) -> Result<Profile, Error> {
    let id = request.http.path_id("profile_id", "profile", ProfileId::parse)?;
    let profile = table.profile(request.workspace(), id).await?.ok_or(DomainError::NotFound("profile"))?;
    request.http.check_version(profile.version)?;
    Ok(profile)
}

/// The caller's workspace, whose row names the default profile.
async fn workspace(table: &Table, request: &AuthorizedRequest) -> Result<Workspace, Error> {
    Ok(table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?)
}

/// The profile that stops being the default. What is shown of it changes, so its version increases too.
async fn displaced(table: &Table, before: &Workspace, after: &Workspace) -> Result<Option<Profile>, Error> {
    match before.default_profile_id {
        Some(id) if after.default_profile_id != Some(id) => table.profile(before.workspace_id, id).await,
        _ => Ok(None),
    }
}

/// A profile to assign to a user, with the record of its latest assignment.
pub(crate) struct ProfileToGive {
    /// The profile.
    pub profile: Profile,
    /// Its latest assignment to any user.
    pub given: Option<ProfileAssignment>,
}

/// The profile to assign to a user, if the request names one.
///
/// # Errors
/// `Invalid` for `profile_id` if there is no such profile.
pub(crate) async fn find_profile_to_give(
    table: &Table,
    workspace: WorkspaceId,
    id: Option<ProfileId>,
) -> Result<Option<ProfileToGive>, Error> {
    let Some(id) = id else {
        return Ok(None);
    };
    match table.profile_and_assignment(workspace, id).await? {
        Some((profile, given)) => Ok(Some(ProfileToGive { profile, given })),
        None => Err(DomainError::field("profile_id", "unknown_value", "there is no such profile").into()),
    }
}

/// The profile that applies to a user: their own, or the workspace's default.
pub(crate) async fn profile_of(table: &Table, user: &User) -> Result<Option<Profile>, Error> {
    let default = match user.client.profile_id {
        Some(_) => None,
        None => default_profile(table, user.workspace_id).await?,
    };
    match user.client.profile(default) {
        Some(id) => table.profile(user.workspace_id, id).await,
        None => Ok(None),
    }
}

/// The workspace's default profile.
pub(crate) async fn default_profile(table: &Table, id: WorkspaceId) -> Result<Option<ProfileId>, Error> {
    Ok(table.workspace(id).await?.and_then(|workspace| workspace.default_profile_id))
}
