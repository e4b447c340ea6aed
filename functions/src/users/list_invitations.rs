//! `GET /users/{user_id}/invitations`.

use domain::UserId;
use domain::error::{DomainError, Error};
use domain::models::offer::Purpose;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List a user's invitations")
        .detail("Newest first, without codes. A page may have fewer items than `limit`, or none, although more follow.")
        .lists::<views::Invitation>(|_| ())
}

/// Returns a page of the user's invitations, newest first, without codes. A page may be short, since deployments are
/// left out.
///
/// # Errors
/// Every invalid field of the query; `NotFound`, `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("user_id", "user", UserId::parse)?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?;
    let mut page = table.list_invitations(request.workspace(), id, paging.limit, paging.start.clone()).await?;
    page.items.retain(|invitation| invitation.purpose == Purpose::Invite);
    Ok(paging.reply(&page, |invitation| views::Invitation::new(invitation, request.now())))
}
