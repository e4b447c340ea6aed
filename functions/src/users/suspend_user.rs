//! `POST /users/{user_id}/suspend`.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::bodies;
use crate::settings::Defaults;
use crate::users::actions::UserAction;

/// Answers with the user and their devices: from this answer on, all of them are shut out.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let reason = bodies::reason(&call)?;
    super::act(store, &call, &UserAction::Suspend { reason }, defaults).await
}
