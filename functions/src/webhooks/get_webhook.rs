//! `GET /webhooks/{webhook_id}`.

use aws::Webhooks;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::views;

/// Answers with the webhook; never with what signs its calls.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &impl Webhooks, call: Call) -> Result<Reply, Failure> {
    let webhook = super::wanted(store, &call).await?;
    Ok(Reply::thing(&views::webhook(&webhook), webhook.version))
}
