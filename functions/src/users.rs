//! Users: their lifecycle, their invitations, their networks and usage.

pub(crate) mod actions;
pub mod activate_user;
pub(crate) mod changes;
pub mod create_user;
pub mod delete_user;
pub(crate) mod deletion;
pub(crate) mod edits;
pub mod get_usage;
pub mod get_user;
pub mod invite_user;
pub mod list_invitations;
pub mod list_users;
pub mod lock_and_wipe_user;
pub(crate) mod offers;
pub mod open_invitation;
pub mod report_network;
pub mod reset_pin;
pub mod revoke_invitation;
pub mod suspend_user;
pub mod update_user;

use std::collections::BTreeMap;

use aws::{Table, UserWithDevices, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::command::CommandKind;
use domain::models::device::{Device, DeviceAttachments};
use domain::models::offer::Offer;
use domain::models::user::User;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::change::ChangeSet;
use domain::rules::context::EventContext;
use domain::{DeviceId, InvitationId, Time, UserId};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde::Serialize;

use crate::bodies;
use crate::context::ActionContext;
use crate::idempotency::{Creation, create_once};
use crate::state::AppState;
use crate::users::changes::{OrderRule, UserPlan};
use crate::views;

/// The user in the request's path, guarded by `If-Match`.
pub(crate) async fn load_user(table: &Table, request: &AuthorizedRequest) -> Result<User, Error> {
    let id = request.http.path_id("user_id", "user", UserId::parse)?;
    let user = table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?;
    request.http.check_version(user.version)?;
    Ok(user)
}

/// The name of the user's own profile, if they have one.
pub(crate) async fn profile_name(table: &Table, user: &User) -> Result<Option<String>, Error> {
    let ids = user.client.profile_id.into_iter().collect();
    Ok(table.profile_names(user.workspace_id, &ids).await?.into_values().next())
}

/// What a user's view shows beyond the rows of the user and their devices. It is read before the commit, since nothing
/// may fail after it.
pub(crate) struct RelatedToUser {
    profile: Option<String>,
    attachments: BTreeMap<DeviceId, DeviceAttachments>,
    settings: WorkspaceSettings,
}

impl RelatedToUser {
    /// Reads it for a user with these devices.
    pub async fn read(table: &Table, user: &User, devices: &[Device]) -> Result<Self, Error> {
        let workspace = table.workspace(user.workspace_id).await?.ok_or(DomainError::NotFound("workspace"))?;
        let ids = devices.iter().map(|device| device.device_id).collect();
        Ok(Self {
            profile: profile_name(table, user).await?,
            attachments: table.attachments_to_show(user.workspace_id, &ids).await?,
            settings: workspace.settings,
        })
    }

    /// The name of the user's own profile, if they have one.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The views of the user's devices, with their attachments.
    pub fn devices(&self, user: &User, devices: &[Device], now: Time) -> Vec<views::Device> {
        let view = |device: &Device| {
            let known = self.attachments.get(&device.device_id);
            views::Device::new(device, known, Some(user.name()), &self.settings, now)
        };
        devices.iter().map(view).collect()
    }
}

/// Commits a plan, if it changes anything, and replies with the user and the devices that they then hold.
pub(crate) async fn commit_and_reply(context: &ActionContext<'_>, plan: UserPlan) -> Result<Reply, Error> {
    let now = context.origin.now();
    let UserWithDevices { mut user, devices, left_behind: left } = plan.after();
    let beside = RelatedToUser::read(context.table, &user, &devices).await?;
    if let Some(commit) = plan.to_commit() {
        user = context.table.commit(commit).await?.with_new_version(user);
    }
    let view = views::UserWithDevices {
        user: views::User::new(&user, &devices, &left, beside.profile(), now),
        devices: beside.devices(&user, &devices, now),
    };
    Ok(Reply::ok_versioned(&view, user.version))
}

/// Applies a rule to the user in the request's path and the devices that they hold, and replies with the user. Commits
/// nothing if nothing changes.
pub(crate) async fn change(
    state: &AppState,
    request: &AuthorizedRequest,
    rule: impl Fn(&User, &[Device], &EventContext) -> Result<Option<ChangeSet>, DomainError> + Send + Sync,
) -> Result<Reply, Error> {
    retry_on_conflict(state.table()?, || async {
        let context = ActionContext::of_request(state, request)?;
        let user = load_user(context.table, request).await?;
        let plan = changes::change(&context, &user, &rule).await?;
        commit_and_reply(&context, plan).await
    })
    .await
}

/// Queues the requested command of this kind for the phones of the user in the request's path, and replies with the
/// user.
async fn order(
    state: &AppState,
    request: &AuthorizedRequest,
    kind: CommandKind,
    rule: OrderRule,
) -> Result<Reply, Error> {
    let wanted = bodies::order(request, kind)?;
    retry_on_conflict(state.table()?, || async {
        let context = ActionContext::of_request(state, request)?;
        let user = load_user(context.table, request).await?;
        let plan = changes::order(&context, &user, &wanted, rule).await?;
        commit_and_reply(&context, plan).await
    })
    .await
}

/// Creates an offer (invitation or deployment) for the user in the request's path, and replies 202 with it. A repeated
/// request returns the same offer.
pub(crate) async fn offer<'a, F, V: Serialize>(
    state: &'a AppState,
    request: &'a AuthorizedRequest,
    decide: impl Fn(ActionContext<'a>, User) -> F,
    view: impl Fn(&Offer, Time) -> V,
) -> Result<Reply, Error>
where
    F: Future<Output = Result<UserPlan, Error>>,
{
    let table = state.table()?;
    let shown = |offer: &Offer| Reply::json(StatusCode::ACCEPTED, &view(offer, request.now()));
    let repeat = async |id: String| {
        let id = InvitationId::parse(&id).ok_or(DomainError::NotFound("invitation"))?;
        let user = request.http.path_id("user_id", "user", UserId::parse)?;
        let offer = table.offer(request.workspace(), user, id).await?;
        Ok(shown(&offer.ok_or(DomainError::NotFound("invitation"))?))
    };
    let create = async || {
        let user = load_user(table, request).await?;
        let plan = decide(ActionContext::of_request(state, request)?, user).await?;
        let (Some(commit), Some(offer)) = (plan.to_commit(), plan.new_offer()) else {
            return Err(Error::internal("making an offer", "nothing was made"));
        };
        Ok(Creation { id: offer.invitation_id.to_string(), commit, result: shown(offer) })
    };
    create_once(table, request, create, repeat).await
}
