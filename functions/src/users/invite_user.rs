//! `POST /users/{user_id}/invite`.

use aws::{Commit, Idempotency, Invitations, Users};
use chrono::Duration;
use domain::device::DEVICE_LIMIT;
use domain::invitation::{Channel, Invitation, NewInvitation, invite};
use domain::refusal::{Failure, Refusal};
use domain::secret::{Hash, new_code};
use domain::{InvitationId, UserId};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once, attempts};
use crate::views;

/// Answers 202 with the invitation; its message follows. The code of an older invitation ends.
///
/// # Errors
/// Every fault of the body; `NotFound`; see [`invite`].
pub async fn handle(
    store: &(impl Users + Invitations + Idempotency),
    call: Call,
    life: Duration,
) -> Result<Reply, Failure> {
    let user = call.request.path_id("user_id", "user", UserId::parse)?;
    let (channel, devices) = read(&call)?;
    let once = Once::of(&call)?;
    let wanted = Wanted { user, channel, devices, life };
    attempts(store, || attempt(store, &call, &once, &wanted)).await
}

struct Wanted {
    user: UserId,
    channel: Channel,
    devices: u32,
    life: Duration,
}

fn read(call: &Call) -> Result<(Channel, u32), Refusal> {
    let mut fields = call.request.body()?;
    let channel = fields.required_word("channel");
    let most = i64::try_from(DEVICE_LIMIT).unwrap_or(i64::MAX);
    let devices = fields.integer("devices", 1, most).unwrap_or(1);
    fields.finish().map_err(Refusal::Invalid)?;
    Ok((channel.unwrap_or(Channel::Email), u32::try_from(devices).unwrap_or(1)))
}

async fn attempt(
    store: &(impl Users + Invitations + Idempotency),
    call: &Call,
    once: &Once,
    wanted: &Wanted,
) -> Result<Reply, Failure> {
    let workspace = call.workspace();
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            let id = InvitationId::parse(&made).ok_or(Refusal::NotFound("invitation"))?;
            let invitation = store.invitation(workspace, wanted.user, id).await?;
            return Ok(shown(&invitation.ok_or(Refusal::NotFound("invitation"))?, call));
        }
    };
    let user = store.user(workspace, wanted.user).await?.ok_or(Refusal::NotFound("user"))?;
    let previous = match user.invitation_id {
        Some(id) => store.invitation(workspace, wanted.user, id).await?,
        None => None,
    };
    let moment = call.request.moment;
    let code = new_code(moment.random);
    let new = NewInvitation {
        invitation_id: InvitationId(moment.draw()),
        code_hash: Hash::of(&code),
        channel: wanted.channel,
        devices: wanted.devices,
        life: wanted.life,
    };
    let invited = invite(&user, previous.as_ref(), new, &call.act())?;
    let mut commit = Commit::of(&invited.event)
        .edit(&user, &invited.user)
        .put(&invited.invitation)
        .keep_code(&invited.invitation, &code);
    if let (Some(before), Some(after)) = (&previous, &invited.superseded) {
        commit = commit.edit(before, after).forget_code(after);
    }
    let made = invited.invitation.invitation_id.to_string();
    store.commit(once.remember(commit, call, &made, forgotten)).await?;
    Ok(shown(&invited.invitation, call))
}

fn shown(invitation: &Invitation, call: &Call) -> Reply {
    Reply::json(StatusCode::ACCEPTED, &views::invitation(invitation, call.now()))
}
