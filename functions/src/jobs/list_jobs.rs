//! `GET /jobs`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::jobs::ranges::with_progress;
use crate::jobs::work::Action;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List jobs").detail("Newest first, those that the caller may see.").lists::<views::Job>(|_| ())
}

/// Replies with a page of jobs, newest first, without those that the caller may not see.
///
/// # Errors
/// Every invalid query parameter; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let mut page = table.list_jobs(request.workspace(), paging.limit, paging.start.clone()).await?;
    page.items.retain(|job| Action::of(job).is_ok_and(|action| action.require_seen_by(&request.caller).is_ok()));
    for job in &mut page.items {
        *job = with_progress(table, job.clone()).await?;
    }
    paging.reply_named(table, request.workspace(), &page, views::Job::from).await
}
