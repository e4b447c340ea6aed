//! `POST /users/{user_id}/suspend`.

use domain::error::{DomainError, Error};
use domain::rules::lifecycle::suspend;
use lambda::{AuthorizedRequest, Reply};

use crate::bodies;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Suspend a user")
        .detail("All of the user's devices have no access from this answer on. Blocks of single devices stay.")
        .body(|mut fields| drop(bodies::read_reason(&mut fields)))
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::UserDeleted])
}

/// Returns the user and their devices, all of which are blocked from this reply on.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let reason = bodies::reason(&request)?;
    super::change(state, &request, |user, devices, context| suspend(user, devices, reason.clone(), context)).await
}
