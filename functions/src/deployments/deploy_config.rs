//! `POST /users/{user_id}/deploy`.

use domain::Time;
use domain::error::{DomainError, Error};
use domain::error::{MessageLimit, RetryAfter};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users;
use crate::users::offers::{plan_deployment, read_deploy};
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Deploy a user's configuration")
        .detail(
            "Sends an e-mail with the link, the QR code and instructions. Deploying again sends it again, and the \
             older link becomes invalid. From this answer on, the user's devices may download the configuration. A \
             warning says if the address was changed within the last 7 days.",
        )
        .body(|mut fields| _ = read_deploy(&mut fields))
        .field("profile_id", "Profile to give to the user; without it, the user keeps theirs.")
        .idempotent()
        .if_match()
        .answers::<views::Deployment>(202, "The deployment.")
        .refuses([
            DomainError::UserDeleted,
            DomainError::UserSuspended,
            DomainError::UserLocked,
            DomainError::EmailMissing,
            DomainError::TooManyMessages(RetryAfter::new(MessageLimit::Recipient, Time::EPOCH, Time::EPOCH)),
            DomainError::TooManyMessages(RetryAfter::new(MessageLimit::Workspace, Time::EPOCH, Time::EPOCH)),
            DomainError::NotFound("profile"),
        ])
}

/// Reads `{profile_id?}`. Returns 202 with the deployment; an e-mail with the link, the QR code and instructions is
/// sent afterwards. Deploying again sends a new e-mail and invalidates the older link.
///
/// # Errors
/// Every invalid field of the body; `NotFound`; see [`domain::rules::deployments::deploy`].
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = request.http.body()?;
    let wanted = &read_deploy(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    let decide = |context, user| async move { plan_deployment(&context, &user, wanted).await };
    users::offer(state, &request, decide, views::Deployment::new).await
}
