//! `POST /users/{user_id}/reset-pin`.

use domain::error::{DomainError, Error};
use domain::models::command::{CommandKind, CommandRequest};
use domain::rules::lifecycle;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::state::AppState;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Reset a user's PIN")
        .detail("A lock is lifted, and each device asks for a new PIN as soon as it comes.")
        .body(|mut fields| drop(CommandRequest::read(CommandKind::ResetPin, &mut fields)))
        .versioned()
        .shows("The user, with the devices that they hold.", thing("UserWithDevices"))
        .refuses([DomainError::UserDeleted])
}

/// Answers with the user and their devices: a lock is lifted, and each device asks for a new PIN
/// as soon as it comes.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    super::order(state, &request, CommandKind::ResetPin, lifecycle::reset_pin).await
}
