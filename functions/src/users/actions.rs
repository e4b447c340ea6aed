//! Actions of bulk calls and jobs on users. They run the same functions as the operations on a single user.

use domain::error::Error;
use domain::input::Fields;
use domain::models::command::{CommandKind, CommandRequest};
use domain::models::user::User;
use domain::permission::Permission;
use domain::rules::deployments::force;
use domain::rules::lifecycle::{activate, lock_and_wipe, reset_pin, suspend};
use domain::text::REASON;
use serde::{Deserialize, Serialize};

use crate::context::ActionContext;
use crate::users::changes::{self, UserPlan};
use crate::users::deletion::{DeleteRequest, delete, read_delete};
use crate::users::offers::{
    DeployRequest, InviteRequest, plan_auto_deployment, plan_deployment, plan_invitation, read_deploy, read_invite,
};

/// An action on a user, as stored in a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum UserAction {
    Activate,
    Suspend { reason: Option<String> },
    Delete(DeleteRequest),
    LockAndWipe(CommandRequest),
    ResetPin(CommandRequest),
    Invite(InviteRequest),
    Deploy(DeployRequest),
    ForceConfig,
    AutoDeploy,
}

/// Reads the parameters of an action.
type Read = fn(&mut Fields) -> UserAction;

/// The actions of bulk calls, by name. The names are also the stored ones.
static NAMED: &[(&str, Read)] = &[
    ("activate", |_| UserAction::Activate),
    ("suspend", |fields| UserAction::Suspend { reason: fields.text("reason", REASON) }),
    ("delete", |fields| UserAction::Delete(read_delete(fields))),
    ("lock_and_wipe", |fields| UserAction::LockAndWipe(CommandRequest::read(CommandKind::Wipe, fields))),
    ("reset_pin", |fields| UserAction::ResetPin(CommandRequest::read(CommandKind::ResetPin, fields))),
    ("invite", |fields| UserAction::Invite(read_invite(fields))),
    ("deploy", |fields| UserAction::Deploy(read_deploy(fields))),
    ("force_config", |_| UserAction::ForceConfig),
];

impl UserAction {
    /// Names of the actions that bulk calls accept.
    pub fn names() -> Vec<&'static str> {
        NAMED.iter().map(|(name, _)| *name).collect()
    }

    /// Reads `action`, the name, and the parameters of that action. Returns the name too.
    pub fn read(fields: &mut Fields) -> Option<(&'static str, Self)> {
        let (name, read) = fields.required_choice("action", NAMED)?;
        Some((name, read(fields)))
    }

    /// Decides the change of a user.
    ///
    /// # Errors
    /// Those of the action's rule.
    pub async fn decide(&self, context: &ActionContext<'_>, user: &User) -> Result<UserPlan, Error> {
        match self {
            Self::Activate => changes::change(context, user, activate).await,
            Self::Suspend { reason } => {
                changes::change(context, user, |user, devices, event| suspend(user, devices, reason.clone(), event))
                    .await
            }
            Self::Delete(wanted) => delete(context, user, wanted).await,
            Self::LockAndWipe(wanted) => changes::order(context, user, wanted, lock_and_wipe).await,
            Self::ResetPin(wanted) => changes::order(context, user, wanted, reset_pin).await,
            Self::Invite(wanted) => plan_invitation(context, user, wanted).await,
            Self::Deploy(wanted) => plan_deployment(context, user, wanted).await,
            Self::ForceConfig => changes::change(context, user, force).await,
            Self::AutoDeploy => plan_auto_deployment(context, user).await,
        }
    }

    /// The required permission, the same for every operation that runs the action.
    pub fn permission(&self) -> Permission {
        match self {
            Self::LockAndWipe(_) => Permission::UsersWipe,
            Self::Deploy(_) | Self::ForceConfig | Self::AutoDeploy => Permission::DeploymentsManage,
            Self::Activate | Self::Suspend { .. } | Self::Delete(_) | Self::ResetPin(_) | Self::Invite(_) => {
                Permission::UsersManage
            }
        }
    }
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
