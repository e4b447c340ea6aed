//! `GET /users`.

use aws::Users;
use aws::stores::UserFilter;
use domain::refusal::Failure;
use domain::search::{QUERY, Query};
use lambda::{Call, Reply};

use crate::paging::Paging;
use crate::views;

/// Answers with a page of users: the newest first, or those that were typed.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(store: &impl Users, call: Call) -> Result<Reply, Failure> {
    let (paging, (status, search)) =
        Paging::read(&call, |fields| (fields.word("status"), fields.text("search", QUERY)))?;
    let filter = UserFilter { status, search: search.as_deref().map(Query::parse).transpose()? };
    let page = store.list_users(call.workspace(), &filter, paging.limit, paging.start.clone()).await?;
    Ok(paging.reply(&page, views::user))
}
