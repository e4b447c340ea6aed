//! Actions of bulk calls and jobs on devices, and those actions whose rules need more than the device's row, which
//! the operations on a single device also use.

use aws::DeviceDetails;
use domain::error::Error;
use domain::input::Fields;
use domain::models::command::{Command, CommandKind, CommandRequest};
use domain::models::device::DeviceWithCommands;
use domain::models::workspace::{SilentAction, SilentRule};
use domain::permission::Permission;
use domain::rules::change::ChangeSet;
use domain::rules::commands::{self, EnqueueResult};
use domain::rules::devices::{self, DeviceToDelete};
use domain::text::REASON;
use serde::{Deserialize, Serialize};

use crate::context::ActionContext;

/// An action on a device, as stored in a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum DeviceAction {
    Block {
        reason: Option<String>,
    },
    Unblock {
        reason: Option<String>,
    },
    Delete {
        reason: Option<String>,
    },
    Wipe(CommandRequest),
    Lock(CommandRequest),
    /// Of the workspace's rule, not of bulk calls: blocks or deletes a device if it is still silent.
    ApplySilentRule {
        rule: SilentRule,
    },
}

/// Reads the parameters of an action.
type Read = fn(&mut Fields) -> DeviceAction;

/// The actions of bulk calls, by name. The names are also the stored ones.
static NAMED: &[(&str, Read)] = &[
    ("block", |fields| DeviceAction::Block { reason: fields.text("reason", REASON) }),
    ("unblock", |fields| DeviceAction::Unblock { reason: fields.text("reason", REASON) }),
    ("delete", |fields| DeviceAction::Delete { reason: fields.text("reason", REASON) }),
    ("wipe", |fields| DeviceAction::Wipe(CommandRequest::read(CommandKind::Wipe, fields))),
    ("lock", |fields| DeviceAction::Lock(CommandRequest::read(CommandKind::Lock, fields))),
];

impl DeviceAction {
    /// Names of the actions that bulk calls accept.
    pub fn names() -> Vec<&'static str> {
        NAMED.iter().map(|(name, _)| *name).collect()
    }

    /// Reads `action`, the name, and the parameters of that action. Returns the name too.
    pub fn read(fields: &mut Fields) -> Option<(&'static str, Self)> {
        let (name, read) = fields.required_choice("action", NAMED)?;
        Some((name, read(fields)))
    }

    /// Decides the change of a device; `None` if there is nothing to do.
    ///
    /// # Errors
    /// Those of the action's rule.
    pub async fn decide(
        &self,
        context: &ActionContext<'_>,
        details: &DeviceDetails,
    ) -> Result<Option<ChangeSet>, Error> {
        Ok(match self {
            Self::Block { reason } => devices::block(&details.device, reason.clone(), &context.event_context)?,
            Self::Unblock { reason } => devices::unblock(&details.device, reason.clone(), &context.event_context)?,
            Self::Delete { reason } => delete(context, details, reason.clone()).await?,
            Self::Wipe(wanted) | Self::Lock(wanted) => order(context, details, wanted).await?.change,
            Self::ApplySilentRule { rule } if rule.applies_to(&details.device, context.event_context.at) => {
                let reason = Some(rule.reason());
                match rule.action {
                    SilentAction::Block => devices::block(&details.device, reason, &context.event_context)?,
                    SilentAction::Delete => delete(context, details, reason).await?,
                    // Only another release knows it.
                    SilentAction::Unknown(_) => None,
                }
            }
            Self::ApplySilentRule { .. } => None,
        })
    }

    /// The required permission, the same for every operation that runs the action.
    pub fn permission(&self) -> Permission {
        match self {
            Self::Wipe(_) => Permission::UsersWipe,
            _ => Permission::DevicesManage,
        }
    }
}

/// Result of ordering a command.
pub(crate) struct Order {
    /// The new or already pending command; `None` if the pending command's row is missing.
    pub command: Option<Command>,
    /// The change; `None` if the command is already pending.
    pub change: Option<ChangeSet>,
}

/// Orders a command for a device.
///
/// # Errors
/// See [`commands::order`].
pub(crate) async fn order(
    context: &ActionContext<'_>,
    details: &DeviceDetails,
    wanted: &CommandRequest,
) -> Result<Order, Error> {
    let device = details.device.clone();
    let phone = DeviceWithCommands { open_commands: context.table.open_commands(&device).await?, device };
    Ok(
        match commands::order(&phone, details.user.as_ref(), wanted, context.new_command_id(), &context.event_context)?
        {
            EnqueueResult::Pending(id) => Order {
                command: phone.open_commands.into_iter().find(|command| command.command_id == id),
                change: None,
            },
            EnqueueResult::Queued { command, change } => Order { command: Some(*command), change: Some(*change) },
        },
    )
}

/// Deletes a device. `None` if it is already deleted.
///
/// # Errors
/// `Internal` if its user or its identifier claim is missing.
pub(crate) async fn delete(
    context: &ActionContext<'_>,
    details: &DeviceDetails,
    reason: Option<String>,
) -> Result<Option<ChangeSet>, Error> {
    let device = &details.device;
    let (Some(user), Some(claim)) = (&details.user, &details.claim) else {
        // The user of a deleted device may have been purged.
        return match device.deleted {
            Some(_) => Ok(None),
            None => Err(Error::internal("deleting a device", "its user or its claim is not there")),
        };
    };
    let leaving = DeviceToDelete {
        device: device.clone(),
        claim: claim.clone(),
        unconfirmed: context.table.unconfirmed_wipes(std::slice::from_ref(device)).await?.pop(),
        attachments: details.attachments.clone(),
    };
    let retention = details.settings().retention(context.operator.retention);
    Ok(devices::delete(&leaving, user, reason, retention, &context.event_context))
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
