//! `POST /users/{user_id}/lock-and-wipe`: "Remote Lock & Wipe" in the console.

use domain::error::{DomainError, Error};
use domain::models::command::{CommandKind, CommandRequest};
use domain::rules::lifecycle;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Lock a user and wipe their devices")
        .detail("Remote Lock & Wipe: the user is locked, and each of their devices is wiped at its next check-in.")
        .body(|mut fields| drop(CommandRequest::read(CommandKind::Wipe, &mut fields)))
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::UserDeleted])
}

/// Returns the user and their devices. Locks the user; each device that has something to wipe is wiped at its next
/// check-in.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    super::order(state, &request, CommandKind::Wipe, lifecycle::lock_and_wipe).await
}
