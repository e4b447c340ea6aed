//! `GET /webhooks`.

use aws::Table;
use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::paging::Paging;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> OperationDoc {
    OperationDoc::new("List webhooks").lists(thing("Webhook"), |_| ())
}

/// Answers with a page of webhooks, the newest first: those that are switched off too, with why and since
/// when.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(table: &Table, call: AuthorizedRequest) -> Result<Reply, Error> {
    let (paging, ()) = Paging::read(&call, |_| ())?;
    let page = table.list_webhooks(call.workspace(), paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, call.workspace(), &page, views::webhook).await
}
