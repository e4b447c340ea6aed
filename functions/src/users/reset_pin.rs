//! `POST /users/{user_id}/reset-pin`.

use domain::error::{DomainError, Error};
use domain::models::command::{CommandKind, CommandRequest};
use lambda::{AuthorizedRequest, Reply};

use crate::bodies;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users::actions::UserAction;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Reset a user's PIN")
        .detail("Lifts a lock, and each of the user's devices asks for a new PIN after its next check-in.")
        .body(|mut fields| drop(CommandRequest::read(CommandKind::ResetPin, &mut fields)))
        .versioned()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::UserDeleted])
}

/// Answers with the user and their devices: a lock is lifted, and each device asks for a new PIN
/// as soon as it comes.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let defaults = &state.settings.defaults;
    let order = bodies::order(&request, CommandKind::ResetPin)?;
    super::perform(table, &request, &UserAction::ResetPin(order), defaults).await
}
