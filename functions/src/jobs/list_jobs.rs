//! `GET /jobs`.

use aws::Jobs;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::paging::Paging;
use crate::views;

/// Answers with a page of jobs, the newest first.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(store: &impl Jobs, call: Call) -> Result<Reply, Failure> {
    let (paging, ()) = Paging::read(&call, |_| ())?;
    let page = store.list_jobs(call.workspace(), paging.limit, paging.start.clone()).await?;
    Ok(paging.reply(&page, views::job))
}
