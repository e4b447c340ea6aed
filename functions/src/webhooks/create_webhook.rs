//! `POST /webhooks`.

use domain::egress::EgressPolicy;
use domain::error::{DomainError, Error};
use domain::models::webhook::{EventSelection, WebhookSettings};
use domain::permission::Permission;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Create a webhook")
        .detail(
            "Events are sent to its URL, signed according to Standard Webhooks. Also needs `events:read`. The \
             signing secret is shown this once.",
        )
        .body(|mut fields| drop(WebhookSettings::read(&mut fields, EventSelection::Known, EgressPolicy::Public)))
        .idempotent()
        .answers::<views::WebhookWithSecret>(201, "The webhook, and its secret.")
        .with_header("etag", "The webhook's version, for `If-Match`.")
        .refuses([
            DomainError::TooManyWebhooks,
            DomainError::AlreadyCreated(String::new()),
            DomainError::PermissionMissing(Permission::EventsRead),
        ])
}

/// Replies 201 with the webhook and its signing secret in `secret`, which is shown only this once.
///
/// # Errors
/// `PermissionMissing` without `events:read` too; every invalid field of the body; `TooManyWebhooks`; `AlreadyCreated`
/// for a repeated request.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let reach = state.webhook_policy();
    // Whoever receives events can read them.
    request.caller.require(Permission::EventsRead)?;
    let mut fields = request.http.body()?;
    let settings = WebhookSettings::read(&mut fields, EventSelection::Known, reach);
    fields.finish().map_err(DomainError::Invalid)?;
    let (webhook, secret) = super::create(table, &request, settings).await?;
    let view = views::WebhookWithSecret { webhook: (&webhook).into(), secret };
    Ok(Reply::json(StatusCode::CREATED, &view).with_etag(webhook.version))
}
