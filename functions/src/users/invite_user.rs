//! `POST /users/{user_id}/invite`.

use aws::{Idempotency, Invitations, Profiles, Users, Workspaces};
use domain::Time;
use domain::message::{MessageLimit, Wait};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::description::About;
use crate::description::schema::thing;
use crate::settings::Defaults;
use crate::users::actions::read_invite;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Invite a user")
        .detail(
            "By e-mail or text message, which follows. The code of an older invitation ends. A recipient gets one \
             invitation a minute and five a day by each channel, whoever has the address or number.",
        )
        .body(|mut fields| drop(read_invite(&mut fields)))
        .once()
        .guarded()
        .answers(202, "The invitation.", thing("Invitation"))
        .refuses([
            Refusal::UserDeleted,
            Refusal::UserSuspended,
            Refusal::UserLocked,
            Refusal::EmailMissing,
            Refusal::MobileMissing,
            Refusal::TextsOff,
            Refusal::CallingCodeNotAllowed,
            Refusal::TooManyMessages(Wait::new(MessageLimit::Recipient, Time::EPOCH, Time::EPOCH)),
            Refusal::TooManyMessages(Wait::new(MessageLimit::Workspace, Time::EPOCH, Time::EPOCH)),
            Refusal::DeviceLimitReached(Vec::new()),
        ])
}

/// Answers 202 with the invitation; its message follows. The code of an older invitation ends.
///
/// # Errors
/// Every fault of the body; `NotFound`; see [`domain::invitation::invite`].
pub async fn handle(
    store: &(impl Users + Invitations + Idempotency + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let mut fields = call.request.body()?;
    let action = read_invite(&mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    super::offered(store, &call, &action, defaults, views::invitation).await
}
