//! `POST /users/{user_id}/lock-and-wipe`: Remote Lock & Wipe.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::command::CommandKind;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::bodies;
use crate::settings::Defaults;
use crate::users::actions::UserAction;

/// Answers with the user and their devices: the user is locked, and each device that has
/// something to wipe is wiped as soon as it comes.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let order = bodies::order(&call, CommandKind::Wipe)?;
    super::act(store, &call, &UserAction::LockAndWipe(order), defaults).await
}
