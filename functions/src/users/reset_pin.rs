//! `POST /users/{user_id}/reset-pin`.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::command::CommandKind;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::bodies;
use crate::settings::Defaults;
use crate::users::actions::UserAction;

/// Answers with the user and their devices: a lock is lifted, and each device asks for a new PIN
/// as soon as it comes.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let order = bodies::order(&call, CommandKind::ResetPin)?;
    super::act(store, &call, &UserAction::ResetPin(order), defaults).await
}
