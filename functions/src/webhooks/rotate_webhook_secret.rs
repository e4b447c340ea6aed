//! `POST /webhooks/{webhook_id}/rotate-secret`.

use aws::{Commit, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::webhook::new_secret;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Rotate a webhook's secret")
        .detail("The new secret is shown this once. The previous one also signs for 24 hours.")
        .with_etag()
        .shows::<views::WebhookWithSecret>("The webhook, and its new secret.")
}

/// Replies with the webhook and its new secret in `secret`, which is shown only this once. The previous secret also
/// signs until `earlier_secret_until`.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let webhook = super::load_webhook(table, &request).await?;
        let secrets = table.webhook_secrets(webhook.webhook_id).await?.ok_or(DomainError::NotFound("webhook"))?;
        let fresh = new_secret(request.http.id_source.random);
        let (after, event) = webhook.rotated(&request.new_event_context());
        let secrets = secrets.rotated(fresh.clone(), request.now());
        // The version guards the secrets too, so it increases even if nothing else changes.
        let commit =
            Commit::with_event(&event).bump_version(&webhook, &after).put_webhook_secrets(webhook.webhook_id, &secrets);
        let after = table.commit(commit).await?.with_new_version(after);
        let view = views::WebhookWithSecret { webhook: (&after).into(), secret: fresh };
        Ok(Reply::ok_versioned(&view, after.version))
    })
    .await
}
