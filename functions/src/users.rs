//! Users: their life, their invitations, their networks and usage.

pub(crate) mod actions;
pub mod activate_user;
pub mod create_user;
pub mod delete_user;
pub mod get_usage;
pub mod get_user;
pub mod invite_user;
pub mod list_invitations;
pub mod list_users;
pub mod lock_and_wipe_user;
pub mod open_invitation;
pub mod report_network;
pub mod reset_pin;
pub mod revoke_invitation;
pub mod suspend_user;
pub mod update_user;

use aws::{Invitations, Users, Workspaces};
use domain::UserId;
use domain::refusal::{Failure, Refusal};
use domain::user::User;
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::doer::Doer;
use crate::settings::Defaults;
use crate::users::actions::{Prepared, UserAction, prepare};
use crate::views;

/// The user that a call's path names, guarded by `If-Match`.
async fn wanted(store: &impl Users, call: &Call) -> Result<User, Failure> {
    let id = call.request.path_id("user_id", "user", UserId::parse)?;
    let user = store.user(call.workspace(), id).await?.ok_or(Refusal::NotFound("user"))?;
    call.request.check_version(user.version)?;
    Ok(user)
}

/// The reply that shows a user and the devices that they hold.
fn shown(prepared: &Prepared, call: &Call) -> Reply {
    let mut view = views::user(&prepared.user, &prepared.devices, call.now());
    view["devices"] = views::devices_of(&prepared.user, &prepared.devices, call.now());
    Reply::thing(&view, prepared.user.version)
}

/// Does something to the user that a call's path names, and shows them; what changes nothing
/// commits nothing.
async fn act(
    store: &(impl Users + Invitations + Workspaces),
    call: &Call,
    action: &UserAction,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    attempts(store, || async {
        let user = wanted(store, call).await?;
        let mut prepared = prepare(store, &Doer::of_call(call), &user, action, defaults).await?;
        if let Some(commit) = prepared.commit.take() {
            store.commit(commit).await?;
        }
        Ok(shown(&prepared, call))
    })
    .await
}
