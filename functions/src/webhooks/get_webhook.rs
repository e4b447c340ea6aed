//! `GET /webhooks/{webhook_id}`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a webhook").with_etag().shows::<views::Webhook>("The webhook.")
}

/// Replies with the webhook, without its signing secret.
///
/// # Errors
/// `NotFound`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let webhook = super::load_webhook(table, &request).await?;
    let view = with_names(table, request.workspace(), views::Webhook::from(&webhook)).await?;
    Ok(Reply::ok_versioned(&view, webhook.version))
}
