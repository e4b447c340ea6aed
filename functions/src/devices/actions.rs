//! What is done to one device: by an operation of its own, or by a job to each of many.

use aws::DeviceDetails;
use aws::{Commit, Table};
use domain::CommandId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::command::{Command, CommandKind, CommandRequest};
use domain::models::device::Device;
use domain::models::device::DeviceWithCommands;
use domain::models::user::User;
use domain::permission::Permission;
use domain::rules::change::ChangeSet;
use domain::rules::change::RowChange;
use domain::rules::commands::{EnqueueResult, order};
use domain::rules::context::EventContext;
use domain::rules::devices::{block, delete, unblock};
use domain::text::REASON;
use serde::{Deserialize, Serialize};

use crate::context::RequestContext;
use crate::settings::Defaults;

/// What is done to a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum DeviceAction {
    Block { reason: Option<String> },
    Unblock { reason: Option<String> },
    Delete { reason: Option<String> },
    Wipe(CommandRequest),
    Lock(CommandRequest),
}

/// Reads what belongs to an action.
type Read = fn(&mut Fields) -> DeviceAction;

/// The actions that a bulk call gives, by the names under which they are also kept.
static NAMED: &[(&str, Read)] = &[
    ("block", |fields| DeviceAction::Block { reason: fields.text("reason", REASON) }),
    ("unblock", |fields| DeviceAction::Unblock { reason: fields.text("reason", REASON) }),
    ("delete", |fields| DeviceAction::Delete { reason: fields.text("reason", REASON) }),
    ("wipe", |fields| DeviceAction::Wipe(CommandRequest::read(CommandKind::Wipe, fields))),
    ("lock", |fields| DeviceAction::Lock(CommandRequest::read(CommandKind::Lock, fields))),
];

impl DeviceAction {
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
            Self::Wipe(_) => Permission::UsersWipe,
            _ => Permission::DevicesManage,
        }
    }
}

/// An action decided on.
pub(crate) struct PlannedDevice {
    /// What is to be written; `None` if there is nothing to do.
    pub commit: Option<Commit>,
    /// The device after it, with what belongs to it.
    pub whole: DeviceDetails,
    /// The command that stands for an order.
    pub command: Option<Command>,
}

/// Decides what an action does to a device, as it is now.
pub(crate) async fn prepare(
    table: &Table,
    context: &RequestContext,
    whole: DeviceDetails,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<PlannedDevice, Error> {
    let event_context = context.event_context();
    let device = &whole.device;
    let changed = match action {
        DeviceAction::Block { reason } => block(device, reason.clone(), &event_context)?,
        DeviceAction::Unblock { reason } => unblock(device, reason.clone(), &event_context)?,
        DeviceAction::Delete { reason } => {
            return deleted(table, whole, reason.clone(), defaults, &event_context).await;
        }
        DeviceAction::Wipe(wanted) | DeviceAction::Lock(wanted) => {
            return ordered(table, context, whole, wanted, &event_context).await;
        }
    };
    let change = changed.map(|(after, event)| ChangeSet {
        devices: vec![RowChange::from(device.clone(), after)],
        ..ChangeSet::recorded(event)
    });
    Ok(PlannedDevice::of(change, &event_context, whole, None))
}

impl PlannedDevice {
    fn of(
        change: Option<ChangeSet>,
        event_context: &EventContext,
        mut whole: DeviceDetails,
        command: Option<Command>,
    ) -> Self {
        let Some(change) = change else {
            return Self { commit: None, whole, command };
        };
        if let Some(edited) = change.devices.first() {
            whole.device.clone_from(&edited.after);
        }
        Self { commit: Some(Commit::from_changes(event_context.event_id, &change)), whole, command }
    }
}

async fn deleted(
    table: &Table,
    whole: DeviceDetails,
    reason: Option<String>,
    defaults: &Defaults,
    event_context: &EventContext,
) -> Result<PlannedDevice, Error> {
    let (Some(user), Some(claim)) = (&whole.user, &whole.claim) else {
        // Its user is purged, and so it is deleted.
        return if whole.device.deleted.is_some() {
            Ok(PlannedDevice::of(None, event_context, whole, None))
        } else {
            Err(Error::internal("deleting a device", "its user or its claim is not there"))
        };
    };
    let workspace = table.workspace(event_context.workspace_id).await?.ok_or(DomainError::NotFound("workspace"))?;
    let retention = workspace.settings.retention(defaults.retention);
    let unconfirmed = table.unconfirmed_wipes(std::slice::from_ref(&whole.device)).await?;
    let change =
        delete(&whole.device, user, claim, unconfirmed.first(), retention, event_context).map(|mut deletion| {
            deletion.event.private.reason = reason;
            if let Some(attachments) = &whole.attachments {
                attachments.revoked_in(&mut deletion.event);
            }
            ChangeSet {
                devices: vec![RowChange::from(whole.device.clone(), deletion.device)],
                user: Some(RowChange::from(user.clone(), deletion.user)),
                claims: vec![RowChange::from(claim.clone(), deletion.claim)],
                commands: deletion.wipe.into_iter().collect(),
                ..ChangeSet::recorded(deletion.event)
            }
        });
    Ok(PlannedDevice::of(change, event_context, whole, None))
}

async fn ordered(
    table: &Table,
    context: &RequestContext,
    whole: DeviceDetails,
    wanted: &CommandRequest,
    event_context: &EventContext,
) -> Result<PlannedDevice, Error> {
    let phone =
        DeviceWithCommands { open_commands: table.open_commands(&whole.device).await?, device: whole.device.clone() };
    match order(&phone, wanted, CommandId(context.id_source.new_id()), event_context)? {
        EnqueueResult::Pending(id) => {
            let command = phone.open_commands.into_iter().find(|command| command.command_id == id);
            Ok(PlannedDevice { commit: None, whole, command })
        }
        EnqueueResult::Queued(commanded) => {
            let command = commanded.commands.last().map(|command| command.after.clone());
            let mut change = ChangeSet::default();
            change.add(&phone.device, *commanded);
            if let Some(user) = &whole.user {
                change.user = left_behind(user, &change.devices[0].after);
            }
            Ok(PlannedDevice::of(Some(change), event_context, whole, command))
        }
    }
}

/// The user of a device that is to be wiped although it is deleted.
fn left_behind(user: &User, device: &Device) -> Option<RowChange<User>> {
    device.deleted.as_ref()?;
    let mut after = user.clone();
    after.leave_behind(device);
    (after != *user).then(|| RowChange::from(user.clone(), after))
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
