//! What is done to one user: by an operation of its own, or by a job to each of many.

use aws::UserWithDevices;
use aws::{Commit, Table, UsernameClaims};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::limits::DEVICE_LIMIT;
use domain::models::command::{CommandKind, CommandRequest};
use domain::models::device::Device;
use domain::models::device::DeviceWithCommands;
use domain::models::event::EventType;
use domain::models::invitation::{Channel, Invitation, NewInvitation, Purpose};
use domain::models::message::{DailyQuota, QUOTA_SHARDS, Recipient, RecipientHistory};
use domain::models::profile::{Profile, ProfileAssignment};
use domain::models::user::{User, UserEdit};
use domain::models::workspace::Settings;
use domain::permission::Permission;
use domain::rules::change::MessageCount;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::context::EventContext;
use domain::rules::deployments;
use domain::rules::deployments::{follows_rename, has_downloaded, require_fitting};
use domain::rules::invitations::{invite, take_back};
use domain::rules::lifecycle;
use domain::rules::lifecycle::{Deletion, UserDeparture, is_readdressed, is_renamed, settle_what_is_due};
use domain::rules::profiles::given;
use domain::secret::{Hash, new_code};
use domain::text::REASON;
use domain::{CommandId, InvitationId, ProfileId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::context::RequestContext;
use crate::settings::Defaults;

/// What is done to a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum UserAction {
    Activate,
    Suspend { reason: Option<String> },
    Delete { without_wipe: bool, reason: Option<String> },
    LockAndWipe(CommandRequest),
    ResetPin(CommandRequest),
    Invite { channel: Channel, devices: u32 },
    Deploy { profile_id: Option<ProfileId> },
    ForceConfig,
    AutoDeploy,
}

/// Reads what belongs to an action.
type Read = fn(&mut Fields) -> UserAction;

/// The actions that a bulk call gives, by the names under which they are also kept.
static NAMED: &[(&str, Read)] = &[
    ("activate", |_| UserAction::Activate),
    ("suspend", |fields| UserAction::Suspend { reason: fields.text("reason", REASON) }),
    ("delete", read_delete),
    ("lock_and_wipe", |fields| UserAction::LockAndWipe(CommandRequest::read(CommandKind::Wipe, fields))),
    ("reset_pin", |fields| UserAction::ResetPin(CommandRequest::read(CommandKind::ResetPin, fields))),
    ("invite", read_invite),
    ("deploy", read_deploy),
    ("force_config", |_| UserAction::ForceConfig),
];

impl UserAction {
    /// The names of all that a bulk call gives.
    pub fn names() -> Vec<&'static str> {
        NAMED.iter().map(|(name, _)| *name).collect()
    }

    /// Reads `action`, the name of one, with what belongs to it; answers with the name as well.
    pub fn read(fields: &mut Fields) -> Option<(&'static str, Self)> {
        let (name, read) = fields.required_choice("action", NAMED)?;
        Some((name, read(fields)))
    }

    /// What it takes, by whatever operation it is done.
    pub fn permission(&self) -> Permission {
        match self {
            Self::LockAndWipe(_) => Permission::UsersWipe,
            Self::Deploy { .. } | Self::ForceConfig | Self::AutoDeploy => Permission::DeploymentsManage,
            Self::Activate | Self::Suspend { .. } | Self::Delete { .. } | Self::ResetPin(_) | Self::Invite { .. } => {
                Permission::UsersManage
            }
        }
    }
}

/// Reads how a user is to be deleted.
pub(crate) fn read_delete(fields: &mut Fields) -> UserAction {
    let without_wipe = fields.boolean("without_wipe").unwrap_or(false);
    let reason = fields.text("reason", REASON);
    if without_wipe && reason.is_none() && !fields.is_sent("reason") {
        fields.add_error("reason", "missing", "is required to delete without a wipe");
    }
    UserAction::Delete { without_wipe, reason }
}

/// Reads how a user is to be invited.
pub(crate) fn read_invite(fields: &mut Fields) -> UserAction {
    let channel = fields.required_enum("channel").unwrap_or(Channel::Email);
    let most = i64::try_from(DEVICE_LIMIT).unwrap_or(i64::MAX);
    let devices = fields.integer("devices", 1, most).unwrap_or(1);
    UserAction::Invite { channel, devices: u32::try_from(devices).unwrap_or(1) }
}

/// Reads what is to be deployed.
pub(crate) fn read_deploy(fields: &mut Fields) -> UserAction {
    UserAction::Deploy { profile_id: fields.id("profile_id", ProfileId::parse) }
}

/// An action decided on.
pub(crate) struct PlannedUser {
    /// What is to be written; `None` if there is nothing to do.
    pub commit: Option<Commit>,
    /// The user after it.
    pub user: User,
    /// The devices that they then hold; none of an invitation, which leaves them alone.
    pub devices: Vec<Device>,
    /// The deleted ones that they have then left behind.
    pub left: Vec<Device>,
    /// The invitation that it makes.
    pub invitation: Option<Invitation>,
}

/// Decides what an action does to a user, as they are now.
pub(crate) async fn prepare(
    table: &Table,
    context: &RequestContext,
    user: &User,
    action: &UserAction,
    defaults: &Defaults,
) -> Result<PlannedUser, Error> {
    let event_context = context.event_context();
    let (phones, devices) = match action {
        // Nobody holds the phones of a user who is deleted.
        UserAction::LockAndWipe(_) if user.deleted.is_some() => {
            (table.devices_with_commands(user.workspace_id, &user.left_device_ids).await?, Vec::new())
        }
        UserAction::LockAndWipe(_) | UserAction::ResetPin(_) => {
            let phones = held(table, user).await?;
            let devices = phones.iter().map(|phone| phone.device.clone()).collect();
            (phones, devices)
        }
        // An invitation has no need to know of the devices.
        UserAction::Invite { .. } => (Vec::new(), Vec::new()),
        UserAction::Deploy { .. }
        | UserAction::Activate
        | UserAction::Suspend { .. }
        | UserAction::Delete { .. }
        | UserAction::ForceConfig
        | UserAction::AutoDeploy => (Vec::new(), table.devices(user.workspace_id, &user.device_ids).await?),
    };
    let new_id = || CommandId(context.id_source.new_id());
    let change = match action {
        UserAction::Activate => lifecycle::activate(user, &devices, &event_context)?,
        UserAction::Suspend { reason } => lifecycle::suspend(user, &devices, reason.clone(), &event_context)?,
        UserAction::LockAndWipe(order) => lifecycle::lock_and_wipe(user, &phones, order, &new_id, &event_context)?,
        UserAction::ResetPin(order) => lifecycle::reset_pin(user, &phones, order, &new_id, &event_context)?,
        UserAction::Delete { without_wipe, reason } => {
            let settings = settings(table, context).await?;
            let wanted = Deletion {
                without_wipe: *without_wipe,
                reason: reason.clone(),
                retention: settings.retention(defaults.retention),
            };
            delete(table, user, &devices, &wanted, &event_context).await?
        }
        UserAction::Invite { channel, devices } => {
            let wanted = Offer::Invitation { channel: *channel, devices: *devices };
            let previous = newest(table, user, Purpose::Invite).await?;
            let offered = Box::pin(offer(table, context, user, wanted, previous, defaults, &event_context)).await?;
            return Ok(offered.prepared(&event_context, user));
        }
        UserAction::Deploy { profile_id } => {
            let profile = named_profile(table, context, *profile_id).await?;
            let wanted = Offer::Deployment { profile_id: *profile_id, devices: 1, held: &devices };
            let previous = newest(table, user, Purpose::Deploy).await?;
            let offered = Box::pin(offer(table, context, user, wanted, previous, defaults, &event_context)).await?;
            let prepared = offered.prepared(&event_context, user);
            if let Some((profile, _)) = &profile {
                require_fitting(&prepared.user, profile)?;
            }
            return Ok(prepared.giving(profile.as_ref(), &event_context));
        }
        UserAction::ForceConfig => deployments::force(user, &devices, &event_context)?,
        // Whoever is gone, or was taken out of client deployment, stays out of it.
        UserAction::AutoDeploy if user.client.removed_at.is_some() || user.deleted.is_some() => None,
        UserAction::AutoDeploy if has_downloaded(&devices) => deployments::force(user, &devices, &event_context)?,
        UserAction::AutoDeploy => {
            let wanted = Offer::Deployment { profile_id: None, devices: 1, held: &devices };
            let previous = newest(table, user, Purpose::Deploy).await?;
            let offered = Box::pin(offer(table, context, user, wanted, previous, defaults, &event_context)).await?;
            return Ok(offered.prepared(&event_context, user));
        }
    };
    let devices = with_left(table, user, devices).await?;
    let Some(change) = change else {
        return Ok(PlannedUser::of(None, &event_context, user, devices));
    };
    let (change, commit) = carried_through(table, context, change, defaults, &event_context).await?;
    Ok(PlannedUser { commit: Some(commit), ..PlannedUser::of(Some(change), &event_context, user, devices) })
}

/// The devices that a user holds, and the deleted ones that they have left behind.
async fn with_left(table: &Table, user: &User, mut held: Vec<Device>) -> Result<Vec<Device>, Error> {
    held.extend(table.devices_to_show(user.workspace_id, &user.left_device_ids).await?);
    Ok(held)
}

impl PlannedUser {
    /// The same, only while a profile that it gives is as it was read: it may be deleted meanwhile. It is
    /// noted beside it that it was given, so that it is not deleted before the index of its users knows.
    fn giving(mut self, profile: Option<&Named>, event_context: &EventContext) -> Self {
        self.commit = self.commit.map(|commit| giving(commit, profile, event_context));
        self
    }

    /// What a change comes to, for a user who held these devices, or had left them behind.
    pub fn of(change: Option<ChangeSet>, event_context: &EventContext, user: &User, devices: Vec<Device>) -> Self {
        let Some(change) = change else {
            let UserWithDevices { user, devices, left_behind: left } = UserWithDevices::of(user.clone(), &devices);
            return Self { commit: None, user, devices, left, invitation: None };
        };
        let after = change.user_after().unwrap_or(user).clone();
        let changed = |device: Device| {
            let found = change.devices.iter().map(|edited| &edited.after).find(|d| d.device_id == device.device_id);
            found.cloned().unwrap_or(device)
        };
        let devices: Vec<Device> = devices.into_iter().map(changed).collect();
        let UserWithDevices { user, devices, left_behind: left } = UserWithDevices::of(after, &devices);
        Self {
            commit: Some(Commit::from_changes(event_context.event_id, &change)),
            user,
            devices,
            left,
            invitation: None,
        }
    }
}

/// The devices that a user holds, each with its open commands.
pub(crate) async fn held(table: &Table, user: &User) -> Result<Vec<DeviceWithCommands>, Error> {
    table.devices_with_commands(user.workspace_id, &user.device_ids).await
}

/// What the workspace has settled.
pub(crate) async fn settings(table: &Table, context: &RequestContext) -> Result<Settings, Error> {
    let workspace = table.workspace(context.workspace_id).await?.ok_or(DomainError::NotFound("workspace"))?;
    Ok(workspace.settings)
}

async fn delete(
    table: &Table,
    user: &User,
    devices: &[Device],
    wanted: &Deletion,
    event_context: &EventContext,
) -> Result<Option<ChangeSet>, Error> {
    let claims = table.identifier_claims(devices).await?;
    let wipes = table.unconfirmed_wipes(devices).await?;
    let claimed = |device: &Device| {
        let claim = claims.iter().find(|claim| claim.device_id == device.device_id)?.clone();
        let unconfirmed = wipes.iter().find(|wipe| wipe.device_id == device.device_id).cloned();
        Some(UserDeparture { device: device.clone(), claim, unconfirmed })
    };
    let claimed: Vec<_> = devices.iter().filter_map(claimed).collect();
    if claimed.len() < devices.len() {
        return Err(Error::internal("deleting a user", "a device's claim is not there"));
    }
    let offers = newest_offers(table, user).await?;
    let mut change = lifecycle::delete(user, &claimed, &offers, wanted, event_context)?;
    let attachments = table.attachments(user.workspace_id, &user.device_ids).await?;
    let ends = change.iter_mut().flat_map(|change| &mut change.events);
    for event in ends.filter(|event| event.event_type == EventType::DeviceDeleted) {
        if let Some(known) = event.device_id.and_then(|id| attachments.get(&id)) {
            known.revoked_in(event);
        }
    }
    Ok(change)
}

/// The newest of what was offered to a user, for each purpose: nothing older is open.
async fn newest_offers(table: &Table, user: &User) -> Result<Vec<Invitation>, Error> {
    let mut offers = Vec::new();
    for purpose in Purpose::ALL {
        offers.extend(newest(table, user, *purpose).await?);
    }
    Ok(offers)
}

/// The newest of what was offered to a user for a purpose.
pub(crate) async fn newest(table: &Table, user: &User, purpose: Purpose) -> Result<Option<Invitation>, Error> {
    match user.newest_invitation(purpose) {
        Some(id) => table.invitation(user.workspace_id, user.user_id, id).await,
        None => Ok(None),
    }
}

/// A profile that a call names, and when it was last given to a user.
pub(crate) type Named = (Profile, Option<ProfileAssignment>);

/// A commit that gives a profile to a user, only while the profile is as it was read.
pub(crate) fn giving(commit: Commit, profile: Option<&Named>, event_context: &EventContext) -> Commit {
    match profile {
        Some((profile, before)) => {
            commit.guard_profile_assignment(profile, given(profile, before.as_ref(), event_context.at).as_ref())
        }
        None => commit,
    }
}

/// The profile that a user is to have, if one is named, and when it was given before.
///
/// # Errors
/// A fault of `profile_id` if it is not there.
pub(crate) async fn named_profile(
    table: &Table,
    context: &RequestContext,
    id: Option<ProfileId>,
) -> Result<Option<Named>, Error> {
    let Some(id) = id else {
        return Ok(None);
    };
    match table.profile_and_assignment(context.workspace_id, id).await? {
        Some(found) => Ok(Some(found)),
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

/// What is offered to a user by a code.
enum Offer<'a> {
    Invitation {
        channel: Channel,
        devices: u32,
    },
    Deployment {
        profile_id: Option<ProfileId>,
        devices: u32,
        /// The devices of the user that may have the configuration from then on.
        held: &'a [Device],
    },
}

impl Offer<'_> {
    fn purpose(&self) -> Purpose {
        match self {
            Self::Invitation { .. } => Purpose::Invite,
            Self::Deployment { .. } => Purpose::Deploy,
        }
    }
}

/// What an offer changes, and the code that it is good for.
struct Offered {
    change: ChangeSet,
    code: String,
}

impl Offered {
    /// What is offered; it comes last in the change.
    fn invitation(&self) -> Option<&Invitation> {
        self.change.invitations.last().map(|made| &made.after)
    }

    /// The change as a commit, which keeps the code.
    fn commit(&self, event_context: &EventContext, change: &ChangeSet) -> Commit {
        let commit = Commit::from_changes(event_context.event_id, change);
        match self.invitation() {
            Some(made) => commit.put_code(made, &self.code),
            None => commit,
        }
    }

    fn prepared(self, event_context: &EventContext, user: &User) -> PlannedUser {
        let commit = self.commit(event_context, &self.change);
        let after = self.change.user_after().unwrap_or(user).clone();
        let (devices, left) = (Vec::new(), Vec::new());
        PlannedUser { commit: Some(commit), user: after, devices, left, invitation: self.invitation().cloned() }
    }
}

/// Offers something to a user; the code of `previous`, the newest of what was offered before for the same
/// purpose, ends.
async fn offer(
    table: &Table,
    context: &RequestContext,
    user: &User,
    wanted: Offer<'_>,
    previous: Option<Invitation>,
    defaults: &Defaults,
    event_context: &EventContext,
) -> Result<Offered, Error> {
    let settings = settings(table, context).await?;
    let life = settings.invitation_lifetime(defaults.invitation_lifetime);
    let code = new_code(context.id_source.random);
    let purpose = wanted.purpose();
    let (channel, devices) = match wanted {
        Offer::Invitation { channel, devices } => (channel, devices),
        Offer::Deployment { devices, .. } => (Channel::Email, devices),
    };
    let new = NewInvitation {
        invitation_id: InvitationId(context.id_source.new_id()),
        code_hash: Hash::of(&code),
        purpose,
        channel,
        devices,
        lifetime: life,
    };
    let previous = previous.as_ref();
    let mut change = match wanted {
        Offer::Invitation { .. } => invite(user, previous, new, event_context)?.change(user, previous),
        Offer::Deployment { profile_id, held, .. } => {
            deployments::deploy(user, held, previous, new, profile_id, event_context)?
        }
    };
    if channel == Channel::Sms {
        user.mobile.as_deref().map_or(Ok(()), |number| defaults.messages.require_texts_allowed(number))?;
    }
    if let Some(recipient) = Recipient::of(user, purpose, channel) {
        let per_day = defaults.messages.per_day(channel, &settings);
        change.counted = Some(counted(table, context, &recipient, per_day).await?);
    }
    Ok(Offered { change, code })
}

/// Counts one more message to a recipient, and of the workspace's day: in a part of it by chance, so that many at once
/// seldom meet, and once that is full in any that is not.
async fn counted(
    table: &Table,
    context: &RequestContext,
    recipient: &Recipient,
    per_day: u32,
) -> Result<MessageCount, Error> {
    let now = context.now();
    let (workspace_id, channel) = (recipient.workspace_id, recipient.channel);
    let quota = DailyQuota { workspace_id, channel, day: now.day(), per_day };
    let first = context.id_source.new_id().as_bytes()[15] % QUOTA_SHARDS;
    let (sent, today) = table.message_counts(recipient, &quota, &[first]).await?;
    let to = RecipientHistory::one_more(sent, recipient, now)?;
    if let Some(today) = quota.one_more(&today, &[first]) {
        return Ok(MessageCount { to, today });
    }
    let all: Vec<u8> = (0..QUOTA_SHARDS).map(|n| (first + n) % QUOTA_SHARDS).collect();
    let (_, today) = table.message_counts(recipient, &quota, &all).await?;
    let today = quota.one_more(&today, &all).ok_or_else(|| quota.quota_error(now))?;
    Ok(MessageCount { to, today })
}

/// Decides what an edit does to a user, as they are now. A rename carries through, in one commit:
/// each of the user's phones is ordered back to the state before its first enrolment, and a new
/// deployment brings them back, if there is anything to bring back and an address to write to.
///
/// # Errors
/// `UserDeleted`, `UsernameTaken`; faults of `service_level`, `profile_id`.
pub(crate) async fn edited(
    table: &Table,
    context: &RequestContext,
    user: &User,
    edit: &UserEdit,
    defaults: &Defaults,
) -> Result<PlannedUser, Error> {
    if let Some(Some(level)) = &edit.service_level {
        settings(table, context).await?.require_service_level(level)?;
    }
    let named = named_profile(table, context, edit.profile_id.flatten()).await?;
    let claims = claims_of_rename(table, user, edit.username.as_ref().filter(|_| is_renamed(user, edit))).await?;
    require_key_free(table, user.workspace_id, edit.user_identity_key.as_ref().and_then(Option::as_deref), Some(user))
        .await?;
    let phones = held(table, user).await?;
    let event_context = context.event_context();
    let change = lifecycle::update(user, &phones, edit, &|| CommandId(context.id_source.new_id()), &event_context)?;
    if let Some(after) = change.as_ref().and_then(ChangeSet::user_after)
        && (edit.overrides.is_some() || edit.profile_id.is_some())
        && let Some(profile) = profile_of(table, after).await?
    {
        require_fitting(after, &profile)?;
    }
    let devices = with_left(table, user, phones.into_iter().map(|phone| phone.device).collect()).await?;
    let Some(change) = change else {
        return Ok(PlannedUser::of(None, &event_context, user, devices));
    };
    let (change, commit) = carried_through(table, context, change, defaults, &event_context).await?;
    let commit = renaming(commit, claims.as_ref(), user);
    let prepared = PlannedUser { commit: Some(commit), ..PlannedUser::of(Some(change), &event_context, user, devices) };
    Ok(prepared.giving(named.as_ref(), &event_context))
}

/// Who holds the claims of the username that a user gets, if they get another one.
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

/// A commit that gives a user another username, if there is one.
pub(crate) fn renaming(commit: Commit, claims: Option<&UsernameClaims>, user: &User) -> Commit {
    match claims {
        Some(claims) => commit.claim_username(claims, user.user_id),
        None => commit,
    }
}

/// Lets a user be known by a key if nobody else is.
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

/// The commit of a change of a user. What is open of their invitation and deployment ends with another address
/// or number. To one whom a rename has made due for a new deployment, and who may use the app, it also offers
/// that, or an invitation (see [`follows_rename`]), if there is anything to bring back and an address to write
/// to: with the rename itself, or with what lets them in again.
pub(crate) async fn carried_through(
    table: &Table,
    context: &RequestContext,
    mut change: ChangeSet,
    defaults: &Defaults,
    event_context: &EventContext,
) -> Result<(ChangeSet, Commit), Error> {
    if let Some(user) = change.user.as_ref().and_then(|user| user.before.clone())
        && is_readdressed(&change)
    {
        take_back(&mut change, &newest_offers(table, &user).await?, event_context);
    }
    settle_what_is_due(&mut change, context.may_deploy);
    let due =
        change.user.as_mut().map(|user| &mut user.after).filter(|after| after.is_deployment_due(event_context.at));
    let due = due.map(|after| {
        let due = after.clone();
        after.clear_due_deployment();
        due
    });
    let offered = match due {
        Some(due) => match Box::pin(offered_after_rename(table, context, &due, &change, defaults, event_context)).await
        {
            // A rename is not refused for it: what is offered follows as soon as its message may go out.
            Err(Error::Refused(DomainError::TooManyMessages(wait))) => {
                if let Some(user) = &mut change.user {
                    user.after = User { deployment_due_at: Some(wait.until), ..due };
                }
                None
            }
            offered => offered?,
        },
        None => None,
    };
    let Some(offered) = offered else {
        let commit = Commit::from_changes(event_context.event_id, &change);
        return Ok((change, commit));
    };
    let change = change.then(offered.change.clone());
    let commit = offered.commit(event_context, &change);
    Ok((change, commit))
}

/// What is offered to a user whom a rename has made due, if anything is. Its code brings back every phone that
/// the rename has reset.
async fn offered_after_rename(
    table: &Table,
    context: &RequestContext,
    due: &User,
    change: &ChangeSet,
    defaults: &Defaults,
    event_context: &EventContext,
) -> Result<Option<Offered>, Error> {
    let deployed = newest(table, due, Purpose::Deploy).await?;
    let Some(purpose) = follows_rename(due, deployed.as_ref()) else {
        return Ok(None);
    };
    let devices = u32::try_from(due.device_ids.len()).unwrap_or(u32::MAX).max(1);
    let (wanted, previous) = match purpose {
        Purpose::Deploy => (Offer::Deployment { profile_id: None, devices, held: &[] }, deployed),
        Purpose::Invite => {
            (Offer::Invitation { channel: Channel::Email, devices }, newest(table, due, Purpose::Invite).await?)
        }
        Purpose::Unknown(_) => return Ok(None),
    };
    let mut user = due.clone();
    user.clear_due_deployment();
    // The change may have taken it back.
    let changed = |previous: Invitation| {
        let edited = change.invitations.iter().map(|RowChange { after, .. }| after);
        edited.into_iter().find(|after| after.invitation_id == previous.invitation_id).cloned().unwrap_or(previous)
    };
    Box::pin(offer(table, context, &user, wanted, previous.map(changed), defaults, event_context)).await.map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn an_action_is_kept_under_the_name_that_it_was_given_by() {
        for (name, read) in NAMED {
            assert_eq!(json!(read(&mut Fields::from_json(Map::new())))["action"], *name);
        }
    }
}
