//! `POST /users/{user_id}/invite`.

use aws::{Idempotency, Invitations, Users, Workspaces};
use domain::invitation::Invitation;
use domain::refusal::{Failure, Refusal};
use domain::{InvitationId, UserId};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once, attempts};
use crate::doer::Doer;
use crate::settings::Defaults;
use crate::users::actions::{UserAction, prepare, read_invite};
use crate::views;

/// Answers 202 with the invitation; its message follows. The code of an older invitation ends.
///
/// # Errors
/// Every fault of the body; `NotFound`; see [`domain::invitation::invite`].
pub async fn handle(
    store: &(impl Users + Invitations + Idempotency + Workspaces),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let mut fields = call.request.body()?;
    let action = read_invite(&mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    let once = Once::of(&call)?;
    attempts(store, || attempt(store, &call, &once, &action, defaults)).await
}

async fn attempt(
    store: &(impl Users + Invitations + Idempotency + Workspaces),
    call: &Call,
    once: &Once,
    action: &UserAction,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            let id = InvitationId::parse(&made).ok_or(Refusal::NotFound("invitation"))?;
            let user = call.request.path_id("user_id", "user", UserId::parse)?;
            let invitation = store.invitation(call.workspace(), user, id).await?;
            return Ok(shown(&invitation.ok_or(Refusal::NotFound("invitation"))?, call));
        }
    };
    let user = super::wanted(store, call).await?;
    let prepared = prepare(store, &Doer::of_call(call), &user, action, defaults).await?;
    let (Some(commit), Some(invitation)) = (prepared.commit, prepared.invitation) else {
        return Err(Failure::internal("inviting", "no invitation was made"));
    };
    let made = invitation.invitation_id.to_string();
    store.commit(once.remember(commit, call, &made, forgotten)).await?;
    Ok(shown(&invitation, call))
}

fn shown(invitation: &Invitation, call: &Call) -> Reply {
    Reply::json(StatusCode::ACCEPTED, &views::invitation(invitation, call.now()))
}
