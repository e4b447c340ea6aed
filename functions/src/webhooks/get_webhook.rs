//! `GET /webhooks/{webhook_id}`.

use aws::Webhooks;
use aws::stores::Actors;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::actors::with_names;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Get a webhook").versioned().shows("The webhook.", thing("Webhook"))
}

/// Answers with the webhook; never with what signs its calls.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &(impl Webhooks + Actors), call: Call) -> Result<Reply, Failure> {
    let webhook = super::wanted(store, &call).await?;
    let view = with_names(store, call.workspace(), views::webhook(&webhook)).await?;
    Ok(Reply::thing(&view, webhook.version))
}
