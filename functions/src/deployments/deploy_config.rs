//! `POST /users/{user_id}/deploy`.

use domain::Time;
use domain::error::{DomainError, Error};
use domain::error::{MessageLimit, RetryAfter};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::state::AppState;
use crate::users;
use crate::users::offers::{deploy, read_deploy};
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Deploy a user's configuration")
        .detail(
            "Its e-mail follows, with the link, the QR code and what to do. Doing it again is a resend: the older \
             link ends. From this answer on, the devices that the user holds may have the configuration. A warning \
             says if the address that it goes to was changed within the last 7 days.",
        )
        .body(|mut fields| _ = read_deploy(&mut fields))
        .once()
        .guarded()
        .answers(202, "The deployment.", thing("Deployment"))
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

/// Takes `{profile_id?}`. Answers 202 with the deployment; its e-mail follows, with the link, the QR
/// code and what to do. Doing it again is a resend: the older link ends.
///
/// # Errors
/// Every fault of the body; `NotFound`; see [`domain::rules::deployments::deploy`].
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = request.http.body()?;
    let wanted = &read_deploy(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    let decide = |action, user| async move { deploy(&action, &user, wanted).await };
    users::offer(state, &request, decide, views::deployment).await
}
