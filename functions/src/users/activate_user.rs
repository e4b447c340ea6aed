//! `POST /users/{user_id}/activate`.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::settings::Defaults;
use crate::users::actions::UserAction;

/// Answers with the user and their devices: a suspension and a lock are lifted, and what each
/// device was before it is again. A user who has never been active becomes active.
///
/// # Errors
/// `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    super::act(store, &call, &UserAction::Activate, defaults).await
}
