//! `GET /keys`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List keys")
        .detail(
            "Newest first, including revoked and expired keys. A key that was created with a revoked key is \
         revoked.",
        )
        .lists::<views::Key>(|_| ())
}

/// Returns a page of keys, newest first, including revoked and expired ones.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let page = table.list_keys(request.workspace(), paging.limit, paging.start.clone()).await?;
    let ancestors = table.makers_of_all(&page.items).await?;
    paging.reply_named(table, request.workspace(), &page, |key| views::Key::new(key, &ancestors, request.now())).await
}
