//! Offers: invitations and deployments, each sent to a user as a message with a code.

use aws::Table;
use domain::error::Error;
use domain::input::Fields;
use domain::limits::DEVICE_LIMIT;
use domain::models::device::Device;
use domain::models::message_limits::{DailyQuota, MessageLimits, QUOTA_SHARDS, Recipient};
use domain::models::offer::{Channel, NewOffer, Offer, Purpose};
use domain::models::user::User;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::change::ChangeSet;
use domain::rules::deployments::{self, AutoDeployment, auto_deployment, follows_rename, require_fitting};
use domain::rules::offers;
use domain::secret::{Hash, new_code};
use domain::{InvitationId, ProfileId};
use serde::{Deserialize, Serialize};

use crate::context::ActionContext;
use crate::profiles::{ProfileToGive, find_profile_to_give};
use crate::users::changes::UserPlan;

/// Parameters of an invitation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct InviteRequest {
    /// Channel of the message.
    pub channel: Channel,
    /// Number of devices that the code can register.
    pub devices: u32,
}

/// Reads `channel` and `devices`, 1 by default.
pub(crate) fn read_invite(fields: &mut Fields) -> InviteRequest {
    let channel = fields.required_enum("channel").unwrap_or(Channel::Email);
    let most = i64::try_from(DEVICE_LIMIT).unwrap_or(i64::MAX);
    let devices = fields.integer("devices", 1, most).unwrap_or(1);
    InviteRequest { channel, devices: u32::try_from(devices).unwrap_or(1) }
}

/// Parameters of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeployRequest {
    /// Profile to assign to the user; `None` to keep the present one.
    pub profile_id: Option<ProfileId>,
}

/// Reads `profile_id`.
pub(crate) fn read_deploy(fields: &mut Fields) -> DeployRequest {
    DeployRequest { profile_id: fields.id("profile_id", ProfileId::parse) }
}

/// Invites a user.
///
/// # Errors
/// See [`offers::create_offer`].
pub(crate) async fn plan_invitation(
    context: &ActionContext<'_>,
    user: &User,
    wanted: &InviteRequest,
) -> Result<UserPlan, Error> {
    let previous = newest(context.table, user, Purpose::Invite).await?;
    let new = new_offer(context, user, Purpose::Invite, wanted.channel, wanted.devices).await?;
    let change = offers::create_offer(user, previous.as_ref(), new, &context.event_context)?;
    Ok(UserPlan::of(context, Some(change), user, Vec::new()))
}

/// Deploys a user's configuration.
///
/// # Errors
/// See [`deployments::deploy`]; field errors of `profile_id` and of `overrides`.
pub(crate) async fn plan_deployment(
    context: &ActionContext<'_>,
    user: &User,
    &DeployRequest { profile_id }: &DeployRequest,
) -> Result<UserPlan, Error> {
    let held = context.table.devices(user.workspace_id, &user.device_ids).await?;
    let profile = find_profile_to_give(context.table, user.workspace_id, profile_id).await?;
    let mut change = offer_deployment(context, user, profile_id, &held).await?;
    if let Some(ProfileToGive { profile, given }) = &profile {
        require_fitting(change.user_after().unwrap_or(user), profile)?;
        change = change.granting(profile, given.as_ref(), context.event_context.at);
    }
    Ok(UserPlan::of(context, Some(change), user, Vec::new()))
}

/// Deploys to a user as part of a deployment to many: see [`auto_deployment`].
///
/// # Errors
/// See [`deployments::deploy`] and [`deployments::force`].
pub(crate) async fn plan_auto_deployment(context: &ActionContext<'_>, user: &User) -> Result<UserPlan, Error> {
    let held = context.table.devices(user.workspace_id, &user.device_ids).await?;
    match auto_deployment(user, &held) {
        AutoDeployment::StayOut => Ok(UserPlan::of(context, None, user, held)),
        AutoDeployment::Force => {
            let change = deployments::force(user, &held, &context.event_context)?;
            UserPlan::carried_through(context, change, user, held).await
        }
        AutoDeployment::Deploy => {
            let change = offer_deployment(context, user, None, &held).await?;
            Ok(UserPlan::of(context, Some(change), user, Vec::new()))
        }
    }
}

async fn offer_deployment(
    context: &ActionContext<'_>,
    user: &User,
    profile_id: Option<ProfileId>,
    held: &[Device],
) -> Result<ChangeSet, Error> {
    let previous = newest(context.table, user, Purpose::Deploy).await?;
    let new = new_offer(context, user, Purpose::Deploy, Channel::Email, 1).await?;
    Ok(deployments::deploy(user, held, previous.as_ref(), new, profile_id, &context.event_context)?)
}

/// The offer that is due to a user after a rename, if any. Its code registers every phone that the rename has reset.
///
/// # Errors
/// Those of an invitation or a deployment.
pub(crate) async fn offer_after_rename(
    context: &ActionContext<'_>,
    due: &User,
    change: &ChangeSet,
) -> Result<Option<ChangeSet>, Error> {
    let deployed = newest(context.table, due, Purpose::Deploy).await?;
    let Some(purpose) = follows_rename(due, deployed.as_ref()) else {
        return Ok(None);
    };
    let devices = u32::try_from(due.device_ids.len()).unwrap_or(u32::MAX).max(1);
    let previous = match purpose {
        Purpose::Deploy => deployed,
        Purpose::Invite => newest(context.table, due, Purpose::Invite).await?,
        Purpose::Unknown(_) => return Ok(None),
    };
    // The change may have revoked it.
    let previous = previous.as_ref().map(|previous| change.offer_after(previous));
    let mut user = due.clone();
    user.clear_due_deployment();
    let new = new_offer(context, &user, purpose, Channel::Email, devices).await?;
    Ok(Some(match purpose {
        Purpose::Deploy => deployments::deploy(&user, &[], previous, new, None, &context.event_context)?,
        _ => offers::create_offer(&user, previous, new, &context.event_context)?,
    }))
}

/// The newest offer to a user for each purpose. No older offer can be open.
pub(crate) async fn newest_offers(table: &Table, user: &User) -> Result<Vec<Offer>, Error> {
    let mut offers = Vec::new();
    for purpose in Purpose::ALL {
        offers.extend(newest(table, user, *purpose).await?);
    }
    Ok(offers)
}

/// The newest offer to a user for one purpose.
pub(crate) async fn newest(table: &Table, user: &User, purpose: Purpose) -> Result<Option<Offer>, Error> {
    match user.newest_invitation(purpose) {
        Some(id) => table.offer(user.workspace_id, user.user_id, id).await,
        None => Ok(None),
    }
}

/// The offer with this code, if it has this purpose: a code of another purpose belongs to another link.
pub(crate) async fn find_by_code(table: &Table, code: &str, purpose: Purpose) -> Result<Option<Offer>, Error> {
    let Some(owner) = table.offer_of_code(&Hash::of(code)).await? else {
        return Ok(None);
    };
    let found = table.offer(owner.workspace_id, owner.user_id, owner.invitation_id).await?;
    Ok(found.filter(|offer| offer.purpose == purpose))
}

/// The data of a new offer to a user, with a new code.
async fn new_offer(
    context: &ActionContext<'_>,
    user: &User,
    purpose: Purpose,
    channel: Channel,
    devices: u32,
) -> Result<NewOffer, Error> {
    let settings = context.settings().await?;
    Ok(NewOffer {
        invitation_id: InvitationId(context.origin.id_source.new_id()),
        code: new_code(context.origin.id_source.random),
        purpose,
        channel,
        devices,
        lifetime: settings.invitation_lifetime(context.operator.invitation_lifetime),
        limits: read_message_limits(context, user, purpose, channel, &settings).await?,
    })
}

/// Reads what limits a message to a user. A random shard of the quota is read first, so that concurrent messages seldom
/// conflict, and the others only if it is full.
async fn read_message_limits(
    context: &ActionContext<'_>,
    user: &User,
    purpose: Purpose,
    channel: Channel,
    settings: &WorkspaceSettings,
) -> Result<MessageLimits, Error> {
    let policy = context.operator.messages.clone();
    let per_day = policy.per_day(channel, settings);
    let quota = DailyQuota { workspace_id: user.workspace_id, channel, day: context.origin.now().day(), per_day };
    let recipient = Recipient::of(user, purpose, channel);
    let mut random = [0];
    (context.origin.id_source.random)(&mut random);
    let mut shards: Vec<u8> = (0..QUOTA_SHARDS).map(|n| (random[0] % QUOTA_SHARDS + n) % QUOTA_SHARDS).collect();
    let (history, mut counts) = context.table.message_counts(recipient.as_ref(), &quota, &shards[..1]).await?;
    if quota.with_one_more(&counts, &shards[..1]).is_some() {
        shards.truncate(1);
    } else {
        counts.extend(context.table.message_counts(None, &quota, &shards[1..]).await?.1);
    }
    Ok(MessageLimits { policy, quota, shards, counts, history })
}
