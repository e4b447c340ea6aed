//! `GET /members`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List members").detail("Newest first.").lists::<views::Member>(|_| ())
}

/// Returns a page of members, newest first.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let page = table.list_members(request.workspace(), paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, request.workspace(), &page, views::Member::from).await
}
