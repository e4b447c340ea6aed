//! `GET /tokens`.

use domain::error::Error;
use lambda::{PersonRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List one's own tokens")
        .detail("Newest first, including recently expired and revoked tokens.")
        .lists::<views::Token>(|_| ())
}

/// Returns a page of the person's own tokens, newest first. Revoked and expired tokens are included for a while.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: PersonRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let (issuer, subject) = (&request.person.issuer, &request.person.subject);
    let page = table.list_tokens(issuer, subject, None, paging.limit, paging.start.clone()).await?;
    Ok(paging.reply(&page, |token| views::Token::new(token, request.now())))
}
