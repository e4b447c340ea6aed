//! `GET /webhooks/{webhook_id}/deliveries`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List a webhook's deliveries")
        .detail(
            "Newest event first, for 30 days: status and beginning of the last reply, and the time of the \
         next attempt.",
        )
        .lists::<views::WebhookDelivery>(|_| ())
}

/// Replies with a page of deliveries, newest event first: status and first bytes of the last response, and the time of
/// the next attempt.
///
/// # Errors
/// Every invalid query parameter; `NotFound`, `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let webhook = super::named(table, &request).await?;
    let page =
        table.list_deliveries(request.workspace(), webhook.webhook_id, paging.limit, paging.start.clone()).await?;
    Ok(paging.reply(&page, views::WebhookDelivery::from))
}
