//! `PATCH /users/{user_id}`.

use aws::{Users, Workspaces};
use domain::CommandId;
use domain::access::Permission;
use domain::life::{is_renamed, update};
use domain::refusal::{Failure, Refusal};
use domain::user::UserEdit;
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::doer::Doer;
use crate::users::actions::{Prepared, held, settings};

/// Answers with the user and their devices. A field of `null` is taken away. Another username is
/// another identity: each of the user's devices is ordered back to the state before its first
/// enrolment, and comes back by a fresh code; for a user with devices that needs `users:wipe`.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`, `UsernameTaken`,
/// `PermissionMissing`.
pub async fn handle(store: &(impl Users + Workspaces), call: Call) -> Result<Reply, Failure> {
    let edit = UserEdit::read(call.request.body()?)?;
    attempts(store, || attempt(store, &call, &edit)).await
}

async fn attempt(store: &(impl Users + Workspaces), call: &Call, edit: &UserEdit) -> Result<Reply, Failure> {
    let doer = Doer::of_call(call);
    let user = super::wanted(store, call).await?;
    if let Some(Some(level)) = &edit.service_level {
        settings(store, &doer).await?.require_level(level)?;
    }
    if let Some(username) = edit.username.as_ref().filter(|_| is_renamed(&user, edit))
        && store.username_taken(call.workspace(), username).await?
    {
        return Err(Refusal::UsernameTaken.into());
    }
    let phones = held(store, &user).await?;
    if is_renamed(&user, edit) && !phones.is_empty() {
        call.caller.require(Permission::UsersWipe)?;
    }
    let act = doer.act();
    let change = update(&user, &phones, edit, &|| CommandId(doer.moment.draw()), &act)?;
    let devices = phones.into_iter().map(|phone| phone.device).collect();
    let mut prepared = Prepared::of(change, &act, &user, devices);
    if let Some(commit) = prepared.commit.take() {
        store.commit(commit).await?;
    }
    Ok(super::shown(&prepared, call))
}
