//! `DELETE /webhooks/{webhook_id}`.

use aws::{Commit, Webhooks};
use domain::event::EventType;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Delete a webhook")
        .detail("It is told nothing more, not even what was to be tried again.")
        .guarded()
        .shows("The webhook as it was.", thing("Webhook"))
}

/// Answers with the webhook as it was. It is told nothing more, not even what was to be tried again, and
/// its secrets are forgotten.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(store: &impl Webhooks, call: Call) -> Result<Reply, Failure> {
    attempts(store, || async {
        let webhook = super::wanted(store, &call).await?;
        let event = webhook.event(EventType::WebhookDeleted, &call.act());
        store.commit(Commit::of(&event).delete(&webhook).forget_webhook_secrets(webhook.webhook_id)).await?;
        Ok(Reply::ok(&views::webhook(&webhook)))
    })
    .await
}
