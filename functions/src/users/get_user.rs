//! `GET /users/{user_id}`: the console's Open.

use aws::{Devices, Invitations, Users};
use domain::UserId;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};
use serde_json::json;

use crate::views;

/// Answers with the user, the devices that they hold, and their newest invitation.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &(impl Users + Devices + Invitations), call: Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("user_id", "user", UserId::parse)?;
    let user = store.user(call.workspace(), id).await?.ok_or(Refusal::NotFound("user"))?;
    let devices = store.devices(call.workspace(), &user.device_ids).await?;
    let invitation = match user.invitation_id {
        Some(invitation) => store.invitation(call.workspace(), id, invitation).await?,
        None => None,
    };
    let name = user.name();
    let mut view = views::user(&user);
    view["devices"] = devices.iter().map(|device| views::device(device, Some(&name), call.now())).collect();
    view["invitation"] = json!(invitation.map(|invitation| views::invitation(&invitation, call.now())));
    // The devices know of their logins at once; the user's own row follows.
    let seen = devices.iter().filter_map(|device| device.last_login_at).chain(user.last_seen_at).max();
    view["last_seen_at"] = json!(seen);
    Ok(Reply::thing(&view, user.version))
}
