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

use std::collections::BTreeMap;

use aws::Table;
use domain::error::{DomainError, Error};
use domain::models::device::{Device, DeviceAttachments};
use domain::models::invitation::Invitation;
use domain::models::user::User;
use domain::models::workspace::Settings;
use domain::{DeviceId, InvitationId, Time, UserId};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde::Serialize;

use crate::context::RequestContext;
use crate::idempotency::{IdempotencyKey, IdempotencyOutcome};
use crate::retry::retry_on_conflict;
use crate::settings::Defaults;
use crate::users::actions::{PlannedUser, UserAction, prepare};
use crate::views;

/// The user that a call's path names, guarded by `If-Match`.
pub(crate) async fn load_user(table: &Table, request: &AuthorizedRequest) -> Result<User, Error> {
    let id = request.http.path_id("user_id", "user", UserId::parse)?;
    let user = table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?;
    request.http.check_version(user.version)?;
    Ok(user)
}

/// What the profile is called that a user has of their own.
pub(crate) async fn profile_name(table: &Table, user: &User) -> Result<Option<String>, Error> {
    let ids = user.client.profile_id.into_iter().collect();
    Ok(table.profile_names(user.workspace_id, &ids).await?.into_values().next())
}

/// What is shown of a user beside what their row and their devices' tell. It is read before a
/// change is made: once it is, nothing may fail any more.
pub(crate) struct RelatedToUser {
    profile: Option<String>,
    attachments: BTreeMap<DeviceId, DeviceAttachments>,
    settings: Settings,
}

impl RelatedToUser {
    /// Reads it, of a user who holds these devices.
    pub async fn read(table: &Table, user: &User, devices: &[Device]) -> Result<Self, Error> {
        let workspace = table.workspace(user.workspace_id).await?.ok_or(DomainError::NotFound("workspace"))?;
        let ids = devices.iter().map(|device| device.device_id).collect();
        Ok(Self {
            profile: profile_name(table, user).await?,
            attachments: table.attachments_to_show(user.workspace_id, &ids).await?,
            settings: workspace.settings,
        })
    }

    /// What the profile is called that the user has of their own.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The devices of the user, each with what belongs to it.
    pub fn devices(&self, user: &User, devices: &[Device], now: Time) -> Vec<views::Device> {
        let view = |device: &Device| {
            let known = self.attachments.get(&device.device_id);
            views::Device::new(device, known, Some(user.name()), &self.settings, now)
        };
        devices.iter().map(view).collect()
    }
}

/// Makes a change that was decided on, if there is one, and shows the user and the devices that they hold.
pub(crate) async fn committed(
    table: &Table,
    mut prepared: PlannedUser,
    request: &AuthorizedRequest,
) -> Result<Reply, Error> {
    let beside = RelatedToUser::read(table, &prepared.user, &prepared.devices).await?;
    if let Some(commit) = prepared.commit.take() {
        prepared.user = table.commit(commit).await?.with_new_version(prepared.user);
    }
    let PlannedUser { user, devices, left, .. } = &prepared;
    let view = views::UserWithDevices {
        user: views::User::new(user, devices, left, beside.profile(), request.now()),
        devices: beside.devices(user, devices, request.now()),
    };
    Ok(Reply::ok_versioned(&view, user.version))
}

/// Does something to the user that a call's path names, and shows them; what changes nothing
/// commits nothing.
pub(crate) async fn perform(
    table: &Table,
    request: &AuthorizedRequest,
    action: &UserAction,
    defaults: &Defaults,
) -> Result<Reply, Error> {
    retry_on_conflict(table, || async {
        let user = load_user(table, request).await?;
        let prepared = prepare(table, &RequestContext::of_request(request), &user, action, defaults).await?;
        committed(table, prepared, request).await
    })
    .await
}

/// Offers something to the user that a call's path names, and answers 202 with what is offered; the
/// same call again answers for the same offer.
pub(crate) async fn offered<V: Serialize>(
    table: &Table,
    request: &AuthorizedRequest,
    action: &UserAction,
    defaults: &Defaults,
    view: impl Fn(&Invitation, Time) -> V,
) -> Result<Reply, Error> {
    let shown = |offer: &Invitation| Reply::json(StatusCode::ACCEPTED, &view(offer, request.now()));
    let once = IdempotencyKey::of(request)?;
    once.retry_on_conflict(table, request, || async {
        let forgotten = match once.before(table, request).await? {
            IdempotencyOutcome::New { forgotten } => forgotten,
            IdempotencyOutcome::Made(made) => {
                let id = InvitationId::parse(&made).ok_or(DomainError::NotFound("invitation"))?;
                let user = request.http.path_id("user_id", "user", UserId::parse)?;
                let offer = table.invitation(request.workspace(), user, id).await?;
                return Ok(shown(&offer.ok_or(DomainError::NotFound("invitation"))?));
            }
        };
        let user = load_user(table, request).await?;
        let prepared = prepare(table, &RequestContext::of_request(request), &user, action, defaults).await?;
        let (Some(commit), Some(offer)) = (prepared.commit, prepared.invitation) else {
            return Err(Error::internal("making an offer", "nothing was made"));
        };
        let made = offer.invitation_id.to_string();
        table.commit(once.remember(commit, request, &made, forgotten)).await?;
        Ok(shown(&offer))
    })
    .await
}
