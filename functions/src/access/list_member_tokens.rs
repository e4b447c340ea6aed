//! `GET /members/{member_id}/tokens`.

use domain::MemberId;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List a member's tokens")
        .detail(
            "Tokens that open this workspace, newest first. Other workspaces that a token opens are not \
         shown.",
        )
        .lists::<views::MemberToken>(|_| ())
}

/// Returns a page of a member's tokens for this workspace, newest first. Revoked and expired tokens are included for
/// a while.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`; `NotFound`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("member_id", "member", MemberId::parse)?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let workspace = request.workspace();
    let member = table.member_by_id(workspace, id).await?.ok_or(DomainError::NotFound("member"))?;
    let (issuer, subject) = (&member.issuer, &member.subject);
    let page = table.list_tokens(issuer, subject, Some(workspace), paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, workspace, &page, |token| views::MemberToken::new(token, workspace, request.now())).await
}
