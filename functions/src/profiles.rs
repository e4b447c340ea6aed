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

/// A profile that a user is to be given, and when it was given to anybody last.
pub(crate) struct ProfileToGive {
    /// The profile.
    pub profile: Profile,
    /// The note of when it was given.
    pub given: Option<ProfileAssignment>,
}

/// The profile that a user is to be given, if a call names one.
///
/// # Errors
/// A fault of `profile_id` if it is not there.
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

/// The profile that holds for a user.
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
