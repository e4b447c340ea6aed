//! `PUT /users/{user_id}/secrets`: written, and never read back but by a configuration.

use aws::{Commit, Users};
use domain::deployment::{read_secrets, set_secrets};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};
use serde_json::json;

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::{map, moment, object, uuid};
use crate::users;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Set a user's secrets")
        .detail("Written, and never read back but by a configuration. `null` takes one away, what is left out stays.")
        .body(|fields| drop(read_secrets(fields)))
        .versioned()
        .shows("Which are set, each since when.", object([("user_id", uuid()), ("secrets", map(moment()))]))
        .refuses([Refusal::UserDeleted])
}

/// Takes `{client_password?, pbx_sip_password?, teleworker_sip_password?, voicemail_pin?}`: `null`
/// takes one away, what is left out stays. Answers with which are set, each since when.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(store: &impl Users, call: Call) -> Result<Reply, Failure> {
    let edit = read_secrets(call.request.body()?)?;
    attempts(store, || async {
        let user = users::wanted(store, &call).await?;
        let act = call.act();
        let mut after = user.clone();
        if let Some(change) = set_secrets(&user, &edit, &act)? {
            after = change.user_after().unwrap_or(&user).clone();
            store.commit(Commit::changing(act.event_id, &change).keep_secrets(&after, &edit)).await?;
            after.version += 1;
        }
        let view = json!({"user_id": after.user_id, "secrets": after.client.secrets});
        Ok(Reply::thing(&view, after.version))
    })
    .await
}
