//! Calls to webhooks: signing, sending, and recording the result.

use aws::{Commit, EgressClient, Table, retry_on_conflict};
use domain::error::Error;
use domain::models::event::Event;
use domain::models::webhook::{Attempt, Delivery, DeliveryState, RESPONSE_EXCERPT_LIMIT, Secrets, Webhook};
use domain::{EventId, Time};
use uuid::Uuid;

use crate::context::Origin;
use crate::state::Clock;
use crate::webhooks::payload::payload;

/// Sends an event to a webhook, once. Every result, including a failure, is an attempt.
pub(crate) async fn call(
    client: &EgressClient,
    webhook: &Webhook,
    secrets: &Secrets,
    event: &Event,
    clock: &Clock,
) -> Attempt {
    let started_at = Time::from(clock.now());
    let body = payload(webhook, event).to_string().into_bytes();
    let headers = headers(secrets, event.event_id, &body, started_at);
    let answer = client.post(&webhook.url, headers, body, RESPONSE_EXCERPT_LIMIT).await;
    let milliseconds = Time::from(clock.now()).millis() - started_at.millis();
    match answer {
        Ok(answer) => Attempt::with_response(started_at, answer.status, &answer.body_start, milliseconds),
        Err(fault) => Attempt::without_response(started_at, fault.code(), milliseconds),
    }
}

/// The headers, under Svix's names and under those of Standard Webhooks.
fn headers(secrets: &Secrets, id: EventId, body: &[u8], now: Time) -> Vec<(&'static str, String)> {
    let (id, seconds) = (id.to_string(), now.seconds());
    let signatures = secrets.signatures(&id, seconds, body, now);
    let mut headers = vec![("content-type", "application/json".to_owned())];
    for names in
        [["svix-id", "svix-timestamp", "svix-signature"], ["webhook-id", "webhook-timestamp", "webhook-signature"]]
    {
        headers.extend(names.into_iter().zip([id.clone(), seconds.to_string(), signatures.clone()]));
    }
    headers
}

/// Why a call was made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CallReason {
    /// A regular attempt, under this lease.
    Automatic(Uuid),
    /// An admin's request.
    Redelivery,
}

/// Records an attempt on the delivery and on the webhook, and returns the delivery; `None` if it was deleted, or
/// another run holds the lease.
pub(crate) async fn record_attempt(
    table: &Table,
    origin: &Origin,
    called: &Webhook,
    event_id: EventId,
    attempt: &Attempt,
    how: CallReason,
) -> Result<Option<Delivery>, Error> {
    let (workspace, webhook_id) = (origin.workspace_id, called.webhook_id);
    retry_on_conflict(table, || async {
        let Some(before) = table.delivery(workspace, webhook_id, event_id).await? else {
            return Ok(None);
        };
        let after = match how {
            CallReason::Automatic(lease) => before.with_attempt_result(lease, attempt),
            CallReason::Redelivery => Some(before.with_redelivery_result(attempt)),
        };
        let Some(after) = after else {
            return Ok(None);
        };
        let webhook = table.webhook(workspace, webhook_id).await?;
        let last = matches!(how, CallReason::Automatic(_)) && after.state == DeliveryState::Failed;
        let event_context = origin.new_event_context();
        let changed = webhook
            .as_ref()
            .and_then(|webhook| Some((webhook, webhook.after(&called.url, attempt, last, &event_context)?)));
        let (commit, after) = match changed {
            None => (Commit::without_event(event_context.event_id), after),
            Some((webhook, (changed, None))) => {
                (Commit::without_event(event_context.event_id).edit(webhook, &changed), after)
            }
            Some((webhook, (off, Some(event)))) => (Commit::with_event(&event).edit(webhook, &off), after.canceled()),
        };
        Ok(Some(table.commit(commit.edit(&before, &after)).await?.with_new_version(after)))
    })
    .await
}
