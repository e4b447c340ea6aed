//! `POST /users/{user_id}/deploy`.

use aws::{Idempotency, Invitations, Profiles, Users, Workspaces};
use domain::Time;
use domain::message::{MessageLimit, Wait};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::description::About;
use crate::description::schema::thing;
use crate::settings::Defaults;
use crate::users::actions::read_deploy;
use crate::users::offered;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Deploy a user's configuration")
        .detail(
            "Its e-mail follows, with the link, the QR code and what to do. Doing it again is a resend: the older \
             link ends. From this answer on, the devices that the user holds may have the configuration. A warning \
             says if the address that it goes to was changed within the last 7 days.",
        )
        .body(|mut fields| drop(read_deploy(&mut fields)))
        .once()
        .guarded()
        .answers(202, "The deployment.", thing("Deployment"))
        .refuses([
            Refusal::UserDeleted,
            Refusal::UserSuspended,
            Refusal::UserLocked,
            Refusal::EmailMissing,
            Refusal::TooManyMessages(Wait::new(MessageLimit::Recipient, Time::EPOCH, Time::EPOCH)),
            Refusal::TooManyMessages(Wait::new(MessageLimit::Workspace, Time::EPOCH, Time::EPOCH)),
            Refusal::NotFound("profile"),
        ])
}

/// Takes `{profile_id?}`. Answers 202 with the deployment; its e-mail follows, with the link, the QR
/// code and what to do. Doing it again is a resend: the older link ends.
///
/// # Errors
/// Every fault of the body; `NotFound`; see [`domain::deployment::deploy`].
pub async fn handle(
    store: &(impl Users + Invitations + Idempotency + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let mut fields = call.request.body()?;
    let action = read_deploy(&mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    offered(store, &call, &action, defaults, views::deployment).await
}
