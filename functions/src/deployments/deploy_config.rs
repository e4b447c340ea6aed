//! `POST /users/{user_id}/deploy`.

use aws::{Idempotency, Invitations, Profiles, Users, Workspaces};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::settings::Defaults;
use crate::users::actions::read_deploy;
use crate::users::offered;
use crate::views;

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
