//! `POST /webhooks/{webhook_id}/rotate-secret`.

use aws::{Commit, Webhooks};
use domain::refusal::{Failure, Refusal};
use domain::webhook::new_secret;
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::schema::{and, text};
use crate::description::{About, things};
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Rotate a webhook's secret")
        .detail("The new secret is shown this once. The one before signs beside it for 24 hours.")
        .versioned()
        .shows("The webhook, and its new secret.", and(things::webhook(), [("secret", text())]))
}

/// Answers with the webhook and, in `secret`, its new secret, which is shown this once. The one before
/// signs beside it until `earlier_secret_until`.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(store: &impl Webhooks, call: Call) -> Result<Reply, Failure> {
    attempts(store, || async {
        let webhook = super::wanted(store, &call).await?;
        let secrets = store.webhook_secrets(webhook.webhook_id).await?.ok_or(Refusal::NotFound("webhook"))?;
        let fresh = new_secret(call.request.moment.random);
        let (after, event) = webhook.rotated(&call.act());
        let secrets = secrets.rotated(fresh.clone(), call.now());
        // The version guards the secrets as well, so it goes up whatever else changes.
        let commit = Commit::of(&event).touch(&webhook, &after).keep_webhook_secrets(webhook.webhook_id, &secrets);
        store.commit(commit).await?;
        let mut view = views::webhook(&after);
        view["secret"] = fresh.into();
        Ok(Reply::thing(&view, webhook.version + 1))
    })
    .await
}
