//! `GET /webhooks`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List webhooks").lists::<views::Webhook>(|_| ())
}

/// Replies with a page of webhooks, newest first, including disabled ones with reason and time.
///
/// # Errors
/// Every invalid query parameter; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let page = table.list_webhooks(request.workspace(), paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, request.workspace(), &page, views::Webhook::from).await
}
