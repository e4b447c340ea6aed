//! `GET /members`.

use aws::Members;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::paging::Paging;
use crate::views;

/// Answers with a page of members, the newest first.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(store: &impl Members, call: Call) -> Result<Reply, Failure> {
    let (paging, ()) = Paging::read(&call, |_| ())?;
    let page = store.list_members(call.workspace(), paging.limit, paging.start.clone()).await?;
    Ok(paging.reply(&page, views::member))
}
