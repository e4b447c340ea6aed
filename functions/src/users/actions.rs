//! What is done to one user: by an operation of its own, or by a job to each of many.

use aws::{Commit, Invitations, Users, Workspaces};
use domain::access::Permission;
use domain::change::Change;
use domain::command::{CommandKind, Order, Phone};
use domain::device::{DEVICE_LIMIT, Device, REASON};
use domain::event::Act;
use domain::input::Fields;
use domain::invitation::{Channel, Invitation, NewInvitation, invite};
use domain::life::{self, Deletion};
use domain::refusal::{Failure, Refusal};
use domain::secret::{Hash, new_code};
use domain::user::User;
use domain::workspace::Settings;
use domain::{CommandId, InvitationId};
use serde::{Deserialize, Serialize};

use crate::doer::Doer;
use crate::settings::Defaults;

/// What is done to a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum UserAction {
    Activate,
    Suspend { reason: Option<String> },
    Delete { without_wipe: bool, reason: Option<String> },
    LockAndWipe(Order),
    ResetPin(Order),
    Invite { channel: Channel, devices: u32 },
}

/// The names of the actions, as a bulk call gives them.
pub(crate) const NAMES: [&str; 6] = ["activate", "suspend", "delete", "lock_and_wipe", "reset_pin", "invite"];

impl UserAction {
    /// Reads an action by its name, with what belongs to it.
    pub fn read(name: &str, fields: &mut Fields) -> Option<Self> {
        Some(match name {
            "activate" => Self::Activate,
            "suspend" => Self::Suspend { reason: fields.text("reason", REASON) },
            "delete" => read_delete(fields),
            "lock_and_wipe" => Self::LockAndWipe(Order::read(CommandKind::Wipe, fields)),
            "reset_pin" => Self::ResetPin(Order::read(CommandKind::ResetPin, fields)),
            "invite" => read_invite(fields),
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Suspend { .. } => "suspend",
            Self::Delete { .. } => "delete",
            Self::LockAndWipe(_) => "lock_and_wipe",
            Self::ResetPin(_) => "reset_pin",
            Self::Invite { .. } => "invite",
        }
    }

    /// What it takes, by whatever operation it is done.
    pub fn permission(&self) -> Permission {
        match self {
            Self::LockAndWipe(_) => Permission::UsersWipe,
            _ => Permission::UsersManage,
        }
    }
}

/// Reads how a user is to be deleted.
pub(crate) fn read_delete(fields: &mut Fields) -> UserAction {
    let without_wipe = fields.boolean("without_wipe").unwrap_or(false);
    let reason = fields.text("reason", REASON);
    if without_wipe && reason.is_none() && fields.value("reason").is_none() {
        fields.fault("reason", "missing", "is required to delete without a wipe");
    }
    UserAction::Delete { without_wipe, reason }
}

/// Reads how a user is to be invited.
pub(crate) fn read_invite(fields: &mut Fields) -> UserAction {
    let channel = fields.required_word("channel").unwrap_or(Channel::Email);
    let most = i64::try_from(DEVICE_LIMIT).unwrap_or(i64::MAX);
    let devices = fields.integer("devices", 1, most).unwrap_or(1);
    UserAction::Invite { channel, devices: u32::try_from(devices).unwrap_or(1) }
}

/// An action decided on.
pub(crate) struct Prepared {
    /// What is to be written; `None` if there is nothing to do.
    pub commit: Option<Commit>,
    /// The user after it.
    pub user: User,
    /// The devices that they then hold; none of an invitation, which leaves them alone.
    pub devices: Vec<Device>,
    /// The invitation that it makes.
    pub invitation: Option<Invitation>,
}

/// Decides what an action does to a user, as they are now.
pub(crate) async fn prepare(
    store: &(impl Users + Invitations + Workspaces),
    doer: &Doer,
    user: &User,
    action: &UserAction,
    defaults: &Defaults,
) -> Result<Prepared, Failure> {
    let act = doer.act();
    // An invitation has no need to know of the devices.
    let phones = if matches!(action, UserAction::Invite { .. }) { Vec::new() } else { held(store, user).await? };
    let devices: Vec<Device> = phones.iter().map(|phone| phone.device.clone()).collect();
    let draw = || CommandId(doer.moment.draw());
    let change = match action {
        UserAction::Activate => life::activate(user, &devices, &act)?,
        UserAction::Suspend { reason } => life::suspend(user, &devices, reason.clone(), &act)?,
        UserAction::LockAndWipe(order) => life::lock_and_wipe(user, &phones, order, &draw, &act)?,
        UserAction::ResetPin(order) => life::reset_pin(user, &phones, order, &draw, &act)?,
        UserAction::Delete { without_wipe, reason } => {
            let settings = settings(store, doer).await?;
            let wanted = Deletion {
                without_wipe: *without_wipe,
                reason: reason.clone(),
                retention: settings.retention(defaults.retention),
            };
            delete(store, user, &devices, &wanted, &act).await?
        }
        UserAction::Invite { channel, devices: good_for } => {
            let life = settings(store, doer).await?.invitation_life(defaults.invitation_life);
            let new = Wanted { channel: *channel, devices: *good_for, life };
            return invited(store, doer, user, new, &act).await;
        }
    };
    Ok(Prepared::of(change, &act, user, devices))
}

impl Prepared {
    /// What a change comes to, for a user who held these devices.
    pub fn of(change: Option<Change>, act: &Act, user: &User, devices: Vec<Device>) -> Self {
        let Some(change) = change else {
            return Self { commit: None, user: user.clone(), devices, invitation: None };
        };
        let mut after = change.user_after().unwrap_or(user).clone();
        after.version += 1;
        let changed = |device: Device| {
            let found = change.devices.iter().map(|edited| &edited.after).find(|d| d.device_id == device.device_id);
            found.cloned().unwrap_or(device)
        };
        let devices = devices.into_iter().map(changed).filter(|d| after.device_ids.contains(&d.device_id)).collect();
        Self { commit: Some(Commit::changing(act.event_id, &change)), user: after, devices, invitation: None }
    }
}

/// The devices that a user holds, each with its open commands.
pub(crate) async fn held(store: &impl Users, user: &User) -> Result<Vec<Phone>, Failure> {
    store.phones(user.workspace_id, &user.device_ids).await
}

/// What the workspace has settled.
pub(crate) async fn settings(store: &impl Workspaces, doer: &Doer) -> Result<Settings, Failure> {
    let workspace = store.workspace(doer.workspace_id).await?.ok_or(Refusal::NotFound("workspace"))?;
    Ok(workspace.settings)
}

async fn delete(
    store: &(impl Users + Invitations),
    user: &User,
    devices: &[Device],
    wanted: &Deletion,
    act: &Act,
) -> Result<Option<Change>, Failure> {
    let claims = store.claims(devices).await?;
    let claimed = |device: &Device| {
        let claim = claims.iter().find(|claim| claim.device_id == device.device_id)?;
        Some((device.clone(), claim.clone()))
    };
    let claimed: Vec<_> = devices.iter().filter_map(claimed).collect();
    if claimed.len() < devices.len() {
        return Err(Failure::internal("deleting a user", "a device's claim is not there"));
    }
    let invitation = newest_invitation(store, user).await?;
    Ok(life::delete(user, &claimed, invitation.as_ref(), wanted, act)?)
}

async fn newest_invitation(store: &impl Invitations, user: &User) -> Result<Option<Invitation>, Failure> {
    match user.invitation_id {
        Some(id) => store.invitation(user.workspace_id, user.user_id, id).await,
        None => Ok(None),
    }
}

struct Wanted {
    channel: Channel,
    devices: u32,
    life: chrono::Duration,
}

async fn invited(
    store: &impl Invitations,
    doer: &Doer,
    user: &User,
    wanted: Wanted,
    act: &Act,
) -> Result<Prepared, Failure> {
    let previous = newest_invitation(store, user).await?;
    let code = new_code(doer.moment.random);
    let new = NewInvitation {
        invitation_id: InvitationId(doer.moment.draw()),
        code_hash: Hash::of(&code),
        channel: wanted.channel,
        devices: wanted.devices,
        life: wanted.life,
    };
    let invited = invite(user, previous.as_ref(), new, act)?;
    let mut commit = Commit::of(&invited.event)
        .edit(user, &invited.user)
        .put(&invited.invitation)
        .keep_code(&invited.invitation, &code);
    if let (Some(before), Some(after)) = (&previous, &invited.superseded) {
        commit = commit.edit(before, after).forget_code(after);
    }
    let after = User { version: invited.user.version + 1, ..invited.user };
    Ok(Prepared { commit: Some(commit), user: after, devices: Vec::new(), invitation: Some(invited.invitation) })
}
