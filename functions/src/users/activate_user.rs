//! `POST /users/{user_id}/activate`.

use domain::error::{DomainError, Error};
use domain::rules::lifecycle::activate;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::state::AppState;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Activate a user")
        .detail(
            "What keeps the user out, a suspension or a lock, is lifted, and their devices may again what they might \
             before.",
        )
        .versioned()
        .shows("The user, with the devices that they hold.", thing("UserWithDevices"))
        .refuses([DomainError::UserDeleted])
}

/// Answers with the user and their devices: a suspension and a lock are lifted, and what each
/// device was before it is again. A user who has never been active becomes active.
///
/// # Errors
/// `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    super::change(state, &request, activate).await
}
