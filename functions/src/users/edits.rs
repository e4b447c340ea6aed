//! Editing a user, including username and profile.

use aws::{Table, UsernameClaims};
use domain::WorkspaceId;
use domain::error::{DomainError, Error};
use domain::models::user::{User, UserEdit};
use domain::rules::change::ChangeSet;
use domain::rules::deployments::require_fitting;
use domain::rules::lifecycle::{is_renamed, update};

use crate::context::ActionContext;
use crate::profiles::{ProfileToGive, find_profile_to_give, profile_of};
use crate::users::changes::UserPlan;

/// Edits a user. A rename resets each of the user's phones to its state before enrolment in the same commit. It also
/// offers a new deployment or invitation, if there is something to restore and an e-mail address to send it to.
///
/// # Errors
/// `UserDeleted`, `UsernameTaken`, `IdentityKeyTaken`; field errors of `service_level`, `profile_id`, `overrides`.
pub(crate) async fn edit(context: &ActionContext<'_>, user: &User, edit: &UserEdit) -> Result<UserPlan, Error> {
    let table = context.table;
    if let Some(Some(level)) = &edit.service_level {
        context.settings().await?.require_service_level(level)?;
    }
    let profile = find_profile_to_give(table, user.workspace_id, edit.profile_id.flatten()).await?;
    let claims = claims_of_rename(table, user, edit.username.as_ref().filter(|_| is_renamed(user, edit))).await?;
    let key = edit.user_identity_key.as_ref().and_then(Option::as_deref);
    require_key_free(table, user.workspace_id, key, Some(user)).await?;
    let phones = table.devices_with_commands(user.workspace_id, &user.device_ids).await?;
    let mut change = update(user, &phones, edit, &|| context.new_command_id(), &context.event_context)?;
    if let Some(after) = change.as_ref().and_then(ChangeSet::user_after)
        && edit.sets_configuration()
        && let Some(profile) = profile_of(table, after).await?
    {
        require_fitting(after, &profile)?;
    }
    if let Some(ProfileToGive { profile, given }) = &profile {
        change = change.map(|change| change.granting(profile, given.as_ref(), context.event_context.at));
    }
    let devices = phones.into_iter().map(|phone| phone.device).collect();
    let mut plan = UserPlan::carried_through(context, change, user, devices).await?;
    plan.claims = claims;
    Ok(plan)
}

/// Claims of the new username; `None` without a rename.
///
/// # Errors
/// `UsernameTaken`.
pub(crate) async fn claims_of_rename(
    table: &Table,
    user: &User,
    username: Option<&String>,
) -> Result<Option<UsernameClaims>, Error> {
    let Some(username) = username else {
        return Ok(None);
    };
    let claims = table.username_claims(user.workspace_id, username).await?;
    if claims.are_taken_by_other(Some(user.user_id)) {
        Err(DomainError::UsernameTaken.into())
    } else {
        Ok(Some(claims))
    }
}

/// Claims of the username of a new user.
///
/// # Errors
/// `UsernameTaken`.
pub(crate) async fn claims_of_new(
    table: &Table,
    workspace: WorkspaceId,
    username: &str,
) -> Result<UsernameClaims, Error> {
    let claims = table.username_claims(workspace, username).await?;
    if claims.are_taken_by_other(None) { Err(DomainError::UsernameTaken.into()) } else { Ok(claims) }
}

/// Checks that no other user has the identity key.
///
/// # Errors
/// `IdentityKeyTaken`.
pub(crate) async fn require_key_free(
    table: &Table,
    workspace: WorkspaceId,
    key: Option<&str>,
    user: Option<&User>,
) -> Result<(), Error> {
    let Some(key) = key else {
        return Ok(());
    };
    let holder = table.id_of_identity_key(workspace, key).await?;
    let other = holder.is_some_and(|holder| user.is_none_or(|user| user.user_id != holder));
    if other { Err(DomainError::IdentityKeyTaken.into()) } else { Ok(()) }
}
