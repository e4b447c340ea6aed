//! `POST /users/{user_id}/activate`.

use domain::error::{DomainError, Error};
use domain::rules::lifecycle::activate;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Activate a user")
        .detail("Lifts a suspension or a lock. The user's devices may be used again, except those that are blocked.")
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::UserDeleted])
}

/// Returns the user and their devices. Lifts suspensions and a lock; the devices return to their earlier state. A
/// user who has neither and has never been active becomes active.
///
/// # Errors
/// `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    super::change(state, &request, activate).await
}
