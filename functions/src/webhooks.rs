//! Webhooks: URLs of a workspace's choice that receive events.

pub(crate) mod calling;
pub mod create_webhook;
pub mod delete_webhook;
pub mod get_webhook;
pub mod list_deliveries;
pub mod list_webhooks;
mod payload;
pub mod redeliver;
pub mod rotate_webhook_secret;
pub(crate) mod turns;
pub mod update_webhook;

use aws::{Commit, Table};
use domain::WebhookId;
use domain::error::{DomainError, Error};
use domain::limits::WEBHOOK_LIMIT;
use domain::models::webhook::{Secrets, Webhook, WebhookSettings, new_secret};
use lambda::AuthorizedRequest;

use crate::creators::while_a_member;
use crate::idempotency::{Creation, create_once, refuse_repeat};

/// The webhook in the request's path.
async fn named(table: &Table, request: &AuthorizedRequest) -> Result<Webhook, Error> {
    let id = request.http.path_id("webhook_id", "webhook", WebhookId::parse)?;
    Ok(table.webhook(request.workspace(), id).await?.ok_or(DomainError::NotFound("webhook"))?)
}

/// As [`named`], guarded by `If-Match`.
async fn load_webhook(table: &Table, request: &AuthorizedRequest) -> Result<Webhook, Error> {
    let webhook = named(table, request).await?;
    request.http.check_version(webhook.version)?;
    Ok(webhook)
}

/// Creates a webhook, once per `Idempotency-Key`, and returns it with its secret.
///
/// # Errors
/// `TooManyWebhooks`; `AlreadyCreated` for a repeated call; `Conflict`.
pub(crate) async fn create(
    table: &Table,
    request: &AuthorizedRequest,
    settings: WebhookSettings,
) -> Result<(Webhook, String), Error> {
    create_once(table, request, || prepare(table, request, settings.clone()), refuse_repeat).await
}

async fn prepare(
    table: &Table,
    request: &AuthorizedRequest,
    settings: WebhookSettings,
) -> Result<Creation<(Webhook, String)>, Error> {
    // Two concurrent requests may exceed the limit by one, which is harmless.
    if table.list_webhooks(request.workspace(), WEBHOOK_LIMIT, None).await?.items.len() >= WEBHOOK_LIMIT {
        return Err(DomainError::TooManyWebhooks.into());
    }
    let id_source = request.http.id_source;
    let secret = new_secret(id_source.random);
    let (webhook, event) = Webhook::create(WebhookId(id_source.new_id()), settings, &request.new_event_context());
    let commit = while_a_member(table, request, Commit::with_event(&event).put(&webhook)).await?;
    let commit = commit.put_webhook_secrets(webhook.webhook_id, &Secrets::with_current(secret.clone()));
    Ok(Creation { id: webhook.webhook_id.to_string(), commit, result: (webhook, secret) })
}
