//! What a bulk call or a job does to each of many devices; and the actions whose rules need more than the device, for
//! whoever does one.

use aws::DeviceDetails;
use domain::error::Error;
use domain::input::Fields;
use domain::models::command::{Command, CommandKind, CommandRequest};
use domain::models::device::DeviceWithCommands;
use domain::permission::Permission;
use domain::rules::change::ChangeSet;
use domain::rules::commands::{self, EnqueueResult};
use domain::rules::devices::{self, DeviceToDelete};
use domain::text::REASON;
use serde::{Deserialize, Serialize};

use crate::context::ActionContext;

/// What a bulk call or a job does to a device.
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

    /// What it changes of a device; `None` if there is nothing to do.
    ///
    /// # Errors
    /// Those of the action's rule.
    pub async fn decide(
        &self,
        action: &ActionContext<'_>,
        details: &DeviceDetails,
    ) -> Result<Option<ChangeSet>, Error> {
        Ok(match self {
            Self::Block { reason } => devices::block(&details.device, reason.clone(), &action.event)?,
            Self::Unblock { reason } => devices::unblock(&details.device, reason.clone(), &action.event)?,
            Self::Delete { reason } => delete(action, details, reason.clone()).await?,
            Self::Wipe(wanted) | Self::Lock(wanted) => order(action, details, wanted).await?.change,
        })
    }

    /// What it takes, by whatever operation it is done.
    pub fn permission(&self) -> Permission {
        match self {
            Self::Wipe(_) => Permission::UsersWipe,
            _ => Permission::DevicesManage,
        }
    }
}

/// What came of an order.
pub(crate) struct Order {
    /// The command that stands for it; `None` if it is pending and its row is not there.
    pub command: Option<Command>,
    /// What it changes; `None` if the command is pending already.
    pub change: Option<ChangeSet>,
}

/// Gives an order to a device.
///
/// # Errors
/// See [`commands::order`].
pub(crate) async fn order(
    action: &ActionContext<'_>,
    details: &DeviceDetails,
    wanted: &CommandRequest,
) -> Result<Order, Error> {
    let device = details.device.clone();
    let phone = DeviceWithCommands { open_commands: action.table.open_commands(&device).await?, device };
    Ok(match commands::order(&phone, details.user.as_ref(), wanted, action.new_command_id(), &action.event)? {
        EnqueueResult::Pending(id) => {
            Order { command: phone.open_commands.into_iter().find(|command| command.command_id == id), change: None }
        }
        EnqueueResult::Queued { command, change } => Order { command: Some(*command), change: Some(*change) },
    })
}

/// Deletes a device. `None` if it is deleted already.
///
/// # Errors
/// `Internal` if its user or its claim is not there.
pub(crate) async fn delete(
    action: &ActionContext<'_>,
    details: &DeviceDetails,
    reason: Option<String>,
) -> Result<Option<ChangeSet>, Error> {
    let device = &details.device;
    let (Some(user), Some(claim)) = (&details.user, &details.claim) else {
        // The user of a deleted device may be purged.
        return match device.deleted {
            Some(_) => Ok(None),
            None => Err(Error::internal("deleting a device", "its user or its claim is not there")),
        };
    };
    let leaving = DeviceToDelete {
        device: device.clone(),
        claim: claim.clone(),
        unconfirmed: action.table.unconfirmed_wipes(std::slice::from_ref(device)).await?.pop(),
        attachments: details.attachments.clone(),
    };
    let retention = details.settings().retention(action.defaults.retention);
    Ok(devices::delete(&leaving, user, reason, retention, &action.event))
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
