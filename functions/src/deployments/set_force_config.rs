//! `POST /users/{user_id}/force-config`; `POST /users/bulk` does this for many users.

use domain::error::{DomainError, Error};
use domain::rules::deployments::force;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Force a user's configuration")
        .detail(
            "Each of the user's devices downloads the configuration at its next check-in; a push notification \
         wakes it.",
        )
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::UserDeleted, DomainError::NotDeployed])
}

/// Returns the user and their devices. Each device downloads the configuration at its next check-in; a push
/// notification wakes it.
///
/// # Errors
/// `NotFound`, `UserDeleted`, `NotDeployed`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    users::change(state, &request, force).await
}
