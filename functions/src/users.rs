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

use aws::{Idempotency, Invitations, Profiles, Users, Workspaces};
use domain::device::Device;
use domain::invitation::Invitation;
use domain::refusal::{Failure, Refusal};
use domain::user::User;
use domain::{InvitationId, Time, UserId};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;
use serde_json::Value;

use crate::attempts::{Before, Once, attempts};
use crate::doer::Doer;
use crate::settings::Defaults;
use crate::users::actions::{Prepared, UserAction, prepare};
use crate::views;

/// The user that a call's path names, guarded by `If-Match`.
pub(crate) async fn wanted(store: &impl Users, call: &Call) -> Result<User, Failure> {
    let id = call.request.path_id("user_id", "user", UserId::parse)?;
    let user = store.user(call.workspace(), id).await?.ok_or(Refusal::NotFound("user"))?;
    call.request.check_version(user.version)?;
    Ok(user)
}

/// What the profile is called that a user has of their own.
pub(crate) async fn profile_name(store: &impl Profiles, user: &User) -> Result<Option<String>, Failure> {
    let ids = user.client.profile_id.into_iter().collect();
    Ok(store.profile_names(user.workspace_id, &ids).await?.into_values().next())
}

/// The devices of a user, each with what belongs to it.
pub(crate) async fn devices_shown(
    store: &(impl Users + Workspaces),
    call: &Call,
    user: &User,
    devices: &[Device],
) -> Result<Value, Failure> {
    let workspace = store.workspace(call.workspace()).await?.ok_or(Refusal::NotFound("workspace"))?;
    let ids = devices.iter().map(|device| device.device_id).collect();
    let belongings = store.belongings(call.workspace(), &ids).await?;
    let name = user.name();
    let view = |device: &Device| {
        let known = belongings.get(&device.device_id);
        views::device_with(device, known, Some(&name), &workspace.settings, call.now())
    };
    Ok(devices.iter().map(view).collect())
}

/// The reply that shows a user and the devices that they hold.
pub(crate) async fn shown(
    store: &(impl Users + Workspaces + Profiles),
    prepared: &Prepared,
    call: &Call,
) -> Result<Reply, Failure> {
    let Prepared { user, devices, .. } = prepared;
    let profile = profile_name(store, user).await?;
    let mut view = views::user(user, devices, profile.as_deref(), call.now());
    view["devices"] = devices_shown(store, call, user, devices).await?;
    Ok(Reply::thing(&view, user.version))
}

/// Does something to the user that a call's path names, and shows them; what changes nothing
/// commits nothing.
pub(crate) async fn act(
    store: &(impl Users + Invitations + Workspaces + Profiles),
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
        shown(store, &prepared, call).await
    })
    .await
}

/// Offers something to the user that a call's path names, and answers 202 with what is offered; the
/// same call again answers for the same offer.
pub(crate) async fn offered(
    store: &(impl Users + Invitations + Idempotency + Workspaces + Profiles),
    call: &Call,
    action: &UserAction,
    defaults: &Defaults,
    view: impl Fn(&Invitation, Time) -> Value,
) -> Result<Reply, Failure> {
    let shown = |offer: &Invitation| Reply::json(StatusCode::ACCEPTED, &view(offer, call.now()));
    let once = Once::of(call)?;
    attempts(store, || async {
        let forgotten = match once.before(store, call).await? {
            Before::New { forgotten } => forgotten,
            Before::Made(made) => {
                let id = InvitationId::parse(&made).ok_or(Refusal::NotFound("invitation"))?;
                let user = call.request.path_id("user_id", "user", UserId::parse)?;
                let offer = store.invitation(call.workspace(), user, id).await?;
                return Ok(shown(&offer.ok_or(Refusal::NotFound("invitation"))?));
            }
        };
        let user = wanted(store, call).await?;
        let prepared = prepare(store, &Doer::of_call(call), &user, action, defaults).await?;
        let (Some(commit), Some(offer)) = (prepared.commit, prepared.invitation) else {
            return Err(Failure::internal("making an offer", "nothing was made"));
        };
        let made = offer.invitation_id.to_string();
        store.commit(once.remember(commit, call, &made, forgotten)).await?;
        Ok(shown(&offer))
    })
    .await
}
