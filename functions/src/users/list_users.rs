//! `GET /users`.

use aws::Users;
use aws::stores::UserFilter;
use domain::input::Fields;
use domain::refusal::Failure;
use domain::search::Query;
use lambda::{Call, Reply};

use crate::paging::Paging;
use crate::views;

/// Answers with a page of users: the newest first, or those that were typed.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(store: &impl Users, call: Call) -> Result<Reply, Failure> {
    let read = |fields: &mut Fields| UserFilter { status: fields.word("status"), search: Query::read(fields) };
    let (paging, filter) = Paging::read(&call, read)?;
    let page = store.list_users(call.workspace(), &filter, paging.limit, paging.start.clone()).await?;
    Ok(paging.reply(&page, views::user))
}
