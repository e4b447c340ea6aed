//! What is done to one device: by an operation of its own, or by a job to each of many.

use aws::stores::DeviceWhole;
use aws::{Commands, Commit, Workspaces};
use domain::access::Permission;
use domain::change::Change;
use domain::command::{Command, CommandKind, Order, Ordered, Phone, order};
use domain::device::{Device, REASON, block, delete, unblock};
use domain::event::Act;
use domain::input::Fields;
use domain::refusal::{Failure, Refusal};
use domain::user::User;
use domain::{CommandId, change::Edited};
use serde::{Deserialize, Serialize};

use crate::doer::Doer;
use crate::settings::Defaults;

/// What is done to a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum DeviceAction {
    Block { reason: Option<String> },
    Unblock { reason: Option<String> },
    Delete { reason: Option<String> },
    Wipe(Order),
    Lock(Order),
}

/// Reads what belongs to an action.
type Read = fn(&mut Fields) -> DeviceAction;

/// The actions that a bulk call gives, by the names under which they are also kept.
static NAMED: &[(&str, Read)] = &[
    ("block", |fields| DeviceAction::Block { reason: fields.text("reason", REASON) }),
    ("unblock", |fields| DeviceAction::Unblock { reason: fields.text("reason", REASON) }),
    ("delete", |fields| DeviceAction::Delete { reason: fields.text("reason", REASON) }),
    ("wipe", |fields| DeviceAction::Wipe(Order::read(CommandKind::Wipe, fields))),
    ("lock", |fields| DeviceAction::Lock(Order::read(CommandKind::Lock, fields))),
];

impl DeviceAction {
    /// The names of all that a bulk call gives.
    pub fn names() -> Vec<&'static str> {
        NAMED.iter().map(|(name, _)| *name).collect()
    }

    /// Reads `action`, the name of one, with what belongs to it; answers with the name as well.
    pub fn read(fields: &mut Fields) -> Option<(&'static str, Self)> {
        let (name, read) = fields.required_of("action", NAMED)?;
        Some((name, read(fields)))
    }

    /// What it takes, by whatever operation it is done.
    pub fn permission(&self) -> Permission {
        match self {
            Self::Wipe(_) => Permission::UsersWipe,
            _ => Permission::DevicesManage,
        }
    }
}

/// An action decided on.
pub(crate) struct Prepared {
    /// What is to be written; `None` if there is nothing to do.
    pub commit: Option<Commit>,
    /// The device after it, with what belongs to it.
    pub whole: DeviceWhole,
    /// The command that stands for an order.
    pub command: Option<Command>,
}

/// Decides what an action does to a device, as it is now.
pub(crate) async fn prepare(
    store: &(impl Commands + Workspaces),
    doer: &Doer,
    whole: DeviceWhole,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<Prepared, Failure> {
    let act = doer.act();
    let device = &whole.device;
    let changed = match action {
        DeviceAction::Block { reason } => block(device, reason.clone(), &act)?,
        DeviceAction::Unblock { reason } => unblock(device, reason.clone(), &act)?,
        DeviceAction::Delete { reason } => return deleted(store, whole, reason.clone(), defaults, &act).await,
        DeviceAction::Wipe(wanted) | DeviceAction::Lock(wanted) => {
            return ordered(store, doer, whole, wanted, &act).await;
        }
    };
    let change = changed
        .map(|(after, event)| Change { devices: vec![Edited::from(device.clone(), after)], ..Change::recorded(event) });
    Ok(Prepared::of(change, &act, whole, None))
}

impl Prepared {
    fn of(change: Option<Change>, act: &Act, mut whole: DeviceWhole, command: Option<Command>) -> Self {
        let Some(change) = change else {
            return Self { commit: None, whole, command };
        };
        if let Some(edited) = change.devices.first() {
            whole.device.clone_from(&edited.after);
            whole.device.version += 1;
        }
        Self { commit: Some(Commit::changing(act.event_id, &change)), whole, command }
    }
}

async fn deleted(
    store: &(impl Commands + Workspaces),
    whole: DeviceWhole,
    reason: Option<String>,
    defaults: &Defaults,
    act: &Act,
) -> Result<Prepared, Failure> {
    let (Some(user), Some(claim)) = (&whole.user, &whole.claim) else {
        // Its user is purged, and so it is deleted.
        return if whole.device.deleted.is_some() {
            Ok(Prepared::of(None, act, whole, None))
        } else {
            Err(Failure::internal("deleting a device", "its user or its claim is not there"))
        };
    };
    let workspace = store.workspace(act.workspace_id).await?.ok_or(Refusal::NotFound("workspace"))?;
    let retention = workspace.settings.retention(defaults.retention);
    let unconfirmed = store.unconfirmed_wipes(std::slice::from_ref(&whole.device)).await?;
    let change = delete(&whole.device, user, claim, unconfirmed.first(), retention, act).map(|mut deletion| {
        deletion.event.private.reason = reason;
        if let Some(belongings) = &whole.belongings {
            belongings.revoked_in(&mut deletion.event);
        }
        Change {
            devices: vec![Edited::from(whole.device.clone(), deletion.device)],
            user: Some(Edited::from(user.clone(), deletion.user)),
            claims: vec![Edited::from(claim.clone(), deletion.claim)],
            commands: deletion.wipe.into_iter().collect(),
            ..Change::recorded(deletion.event)
        }
    });
    Ok(Prepared::of(change, act, whole, None))
}

async fn ordered(
    store: &impl Commands,
    doer: &Doer,
    whole: DeviceWhole,
    wanted: &Order,
    act: &Act,
) -> Result<Prepared, Failure> {
    let phone = Phone { open: store.open_commands(&whole.device).await?, device: whole.device.clone() };
    match order(&phone, wanted, CommandId(doer.moment.draw()), act)? {
        Ordered::Pending(id) => {
            let command = phone.open.into_iter().find(|command| command.command_id == id);
            Ok(Prepared { commit: None, whole, command })
        }
        Ordered::Queued(commanded) => {
            let command = commanded.commands.last().map(|command| command.after.clone());
            let mut change = Change::default();
            change.add(&phone.device, *commanded);
            if let Some(user) = &whole.user {
                change.user = left_behind(user, &change.devices[0].after);
            }
            Ok(Prepared::of(Some(change), act, whole, command))
        }
    }
}

/// The user of a device that is to be wiped although it is deleted.
fn left_behind(user: &User, device: &Device) -> Option<Edited<User>> {
    device.deleted.as_ref()?;
    let mut after = user.clone();
    after.leave_behind(device);
    (after != *user).then(|| Edited::from(user.clone(), after))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn an_action_is_kept_under_the_name_that_it_was_given_by() {
        for (name, read) in NAMED {
            assert_eq!(json!(read(&mut Fields::of_json(Map::new())))["action"], *name);
        }
    }
}
