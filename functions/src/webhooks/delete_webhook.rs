//! `DELETE /webhooks/{webhook_id}`.

use aws::{Commit, retry_on_conflict};
use domain::error::Error;
use domain::models::event::EventType;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Delete a webhook")
        .detail("Nothing more is sent to it, not even events that were to be tried again.")
        .if_match()
        .shows::<views::Webhook>("The webhook as it was.")
}

/// Replies with the webhook as it was. It receives nothing more, pending retries included, and its secrets are deleted.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let webhook = super::load_webhook(table, &request).await?;
        let event = webhook.event(EventType::WebhookDeleted, &request.new_event_context());
        table.commit(Commit::with_event(&event).delete(&webhook).delete_webhook_secrets(webhook.webhook_id)).await?;
        Ok(Reply::ok(&views::Webhook::from(&webhook)))
    })
    .await
}
