//! `POST /users/{user_id}/reset-pin`.

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
    OperationDoc::new("Reset a user's PIN")
        .detail("Lifts a lock, and each of the user's devices asks for a new PIN after its next check-in.")
        .body(|mut fields| drop(CommandRequest::read(CommandKind::ResetPin, &mut fields)))
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::UserDeleted])
}

/// Returns the user and their devices. Lifts a lock; each device asks for a new PIN after its next check-in.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    super::order(state, &request, CommandKind::ResetPin, lifecycle::reset_pin).await
}
