//! `POST /webhooks/{webhook_id}/deliveries/{event_id}/redeliver`.

use aws::{Events, Outside, Webhooks};
use domain::EventId;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use super::calling::{How, call, record};
use crate::description::About;
use crate::description::schema::thing;
use crate::doer::Doer;
use crate::views;
use crate::world::Clock;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Deliver an event again")
        .detail("The call is made at once, even if it succeeded before or the webhook is switched off. After a failure all goes on as it would have.")
        .guarded()
        .shows("The delivery.", thing("WebhookDelivery"))
}

/// Makes the call at once, even if it succeeded before or the webhook is switched off, and answers with
/// the delivery. A success is one; after a failure all goes on as it would have.
///
/// # Errors
/// `NotFound`.
pub async fn handle(
    store: &(impl Webhooks + Events),
    outside: &Outside,
    request: Call,
    clock: &Clock,
) -> Result<Reply, Failure> {
    let webhook = super::wanted(store, &request).await?;
    let id = request.request.path_id("event_id", "delivery", EventId::parse)?;
    let workspace = request.workspace();
    let _there = store.delivery(workspace, webhook.webhook_id, id).await?.ok_or(Refusal::NotFound("delivery"))?;
    let event = store.events(workspace, &[id]).await?.pop().ok_or(Refusal::NotFound("delivery"))?;
    let secrets = store.webhook_secrets(webhook.webhook_id).await?.ok_or(Refusal::NotFound("webhook"))?;
    let attempt = call(outside, &webhook, &secrets, &event, clock).await;
    // What becomes of the webhook by that is Handset's own doing.
    let doer = Doer::of_call(&request).itself();
    let delivery = record(store, &doer, &webhook, id, &attempt, How::Asked).await?;
    Ok(Reply::ok(&views::delivery(&delivery.ok_or(Refusal::NotFound("delivery"))?)))
}
