//! `POST /users/{user_id}/invite`.

use domain::Time;
use domain::error::{DomainError, Error};
use domain::error::{MessageLimit, RetryAfter};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users::offers::{plan_invitation, read_invite};
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Invite a user")
        .detail(
            "Sends an e-mail or a text message. The code of an older invitation becomes invalid. An address or \
             number gets at most one invitation a minute and five a day.",
        )
        .body(|mut fields| _ = read_invite(&mut fields))
        .idempotent()
        .if_match()
        .answers::<views::Invitation>(202, "The invitation.")
        .refuses([
            DomainError::UserDeleted,
            DomainError::UserSuspended,
            DomainError::UserLocked,
            DomainError::EmailMissing,
            DomainError::MobileMissing,
            DomainError::TextsOff,
            DomainError::CallingCodeNotAllowed,
            DomainError::TooManyMessages(RetryAfter::new(MessageLimit::Recipient, Time::EPOCH, Time::EPOCH)),
            DomainError::TooManyMessages(RetryAfter::new(MessageLimit::Workspace, Time::EPOCH, Time::EPOCH)),
            DomainError::DeviceLimitReached(Vec::new()),
        ])
}

/// Returns 202 with the invitation; the message is sent afterwards. The code of an older invitation becomes invalid.
///
/// # Errors
/// Every invalid field of the body; `NotFound`; see [`domain::rules::offers::create_offer`].
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = request.http.body()?;
    let wanted = &read_invite(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    let decide = |context, user| async move { plan_invitation(&context, &user, wanted).await };
    super::offer(state, &request, decide, views::Invitation::new).await
}
