//! `GET /profiles`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use super::workspace;
use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List profiles")
        .detail("Newest first, without settings and schemas.")
        .lists::<views::ProfileListItem>(|_| ())
}

/// Returns a page of profiles, newest first, without settings and schemas.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let page = table.list_profiles(request.workspace(), paging.limit, paging.start.clone()).await?;
    let workspace = workspace(table, &request).await?;
    Ok(paging.reply(&page, |profile| views::ProfileListItem::new(profile, &workspace)))
}
