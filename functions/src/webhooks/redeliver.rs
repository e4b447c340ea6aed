//! `POST /webhooks/{webhook_id}/deliveries/{event_id}/redeliver`.

use domain::EventId;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};

use super::calling::{CallReason, call, record_attempt};
use crate::context::Origin;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Deliver an event again")
        .detail(
            "Sends the event at once, even if it was delivered before or the webhook is disabled. A failure \
         does not change the schedule of further attempts.",
        )
        .if_match()
        .shows::<views::WebhookDelivery>("The delivery.")
}

/// Sends the event at once, even if it was delivered before or the webhook is disabled, and replies with the delivery.
/// A success completes the delivery; a failure leaves its schedule unchanged.
///
/// # Errors
/// `NotFound`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let client = state.webhook_client()?;
    let clock = state.clock();
    let webhook = super::load_webhook(table, &request).await?;
    let id = request.http.path_id("event_id", "delivery", EventId::parse)?;
    let workspace = request.workspace();
    let _there = table.delivery(workspace, webhook.webhook_id, id).await?.ok_or(DomainError::NotFound("delivery"))?;
    let event = table.events(workspace, &[id]).await?.pop().ok_or(DomainError::NotFound("delivery"))?;
    let secrets = table.webhook_secrets(webhook.webhook_id).await?.ok_or(DomainError::NotFound("webhook"))?;
    let attempt = call(client, &webhook, &secrets, &event, clock).await;
    // Consequences for the webhook are recorded as done by Handset itself.
    let origin = Origin::of_request(&request).itself();
    let delivery = record_attempt(table, &origin, &webhook, id, &attempt, CallReason::Redelivery).await?;
    Ok(Reply::ok(&views::WebhookDelivery::from(&delivery.ok_or(DomainError::NotFound("delivery"))?)))
}
