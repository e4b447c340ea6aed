//! Webhooks and deliveries. A webhook shows its secret only when the secret is made.

use domain::models::webhook::{self, Attempt, DeliveryState, Disabled};
use domain::{EventId, Time, WebhookId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::views::Creator;

/// Where events are sent, without the secret that signs them.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Webhook {
    /// Identifier of the webhook.
    webhook_id: WebhookId,
    /// URL that events are sent to.
    url: String,
    /// Types of the events that are sent; `*` for all.
    event_types: Vec<String>,
    /// What the webhook is for.
    description: Option<String>,
    /// Whether events are sent.
    enabled: bool,
    /// When and why the webhook was disabled, while it is.
    disabled: Option<Disabled>,
    /// Time since which no attempt has succeeded.
    failing_since: Option<Time>,
    /// Time until which the previous secret signs as well.
    earlier_secret_until: Option<Time>,
    /// Time of the creation.
    created_at: Time,
    /// Who created the webhook.
    created_by: Creator,
}

/// A webhook with the secret that signs its events.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    pub webhook: Webhook,
    /// The secret, shown this once.
    pub secret: String,
}

/// The delivery of an event to a webhook.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookDelivery {
    /// Identifier of the event.
    event_id: EventId,
    /// Identifier of the webhook.
    webhook_id: WebhookId,
    /// Type of the event, as it is sent.
    event_type: String,
    /// State of the delivery.
    state: DeliveryState,
    /// Scheduled attempts so far.
    attempts: u32,
    /// Attempts that somebody asked for.
    redeliveries: u32,
    /// The last attempt, and the reply to it.
    last_attempt: Option<DeliveryAttempt>,
    /// Time of the creation.
    created_at: Time,
    /// Time of the next attempt; `null` for none.
    next_at: Option<Time>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct DeliveryAttempt {
    /// Time of the attempt.
    at: Time,
    /// HTTP status of the reply, if there was one.
    status: Option<u32>,
    /// Why the attempt failed: a stable code.
    error: Option<String>,
    /// Beginning of the reply, at most 256 bytes.
    reply: Option<String>,
    /// Duration of the attempt.
    #[schemars(range(min = 0))]
    milliseconds: i64,
}

impl From<&webhook::Webhook> for Webhook {
    fn from(webhook: &webhook::Webhook) -> Self {
        Self {
            webhook_id: webhook.webhook_id,
            url: webhook.url.clone(),
            event_types: webhook.event_types.clone(),
            description: webhook.description.clone(),
            enabled: webhook.disabled.is_none(),
            disabled: webhook.disabled,
            failing_since: webhook.failing_since,
            earlier_secret_until: webhook.earlier_secret_until,
            created_at: webhook.created_at,
            created_by: webhook.created_by.into(),
        }
    }
}

impl From<&webhook::Delivery> for WebhookDelivery {
    fn from(delivery: &webhook::Delivery) -> Self {
        Self {
            event_id: delivery.event_id,
            webhook_id: delivery.webhook_id,
            event_type: delivery.event_type.clone(),
            state: delivery.state,
            attempts: delivery.attempts,
            redeliveries: delivery.redeliveries,
            last_attempt: delivery.last_attempt.as_ref().map(DeliveryAttempt::from),
            created_at: delivery.created_at,
            next_at: delivery.next_at,
        }
    }
}

impl From<&Attempt> for DeliveryAttempt {
    fn from(attempt: &Attempt) -> Self {
        Self {
            at: attempt.at,
            status: attempt.status.map(u32::from),
            error: attempt.error.clone(),
            reply: Some(attempt.reply.clone()),
            milliseconds: attempt.milliseconds,
        }
    }
}
