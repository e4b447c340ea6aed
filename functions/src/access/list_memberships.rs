//! `GET /memberships`.

use domain::error::Error;
use lambda::{PersonRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List one's own memberships")
        .detail("In all workspaces, including those that are not accepted yet.")
        .lists::<views::Membership>(|_| ())
}

/// Returns a page of the person's own memberships, including those not yet accepted.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: PersonRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let (issuer, subject) = (&request.person.issuer, &request.person.subject);
    let page = table.list_memberships(issuer, subject, paging.limit, paging.start.clone()).await?;
    let ids = page.items.iter().map(|member| member.workspace_id).collect();
    let workspaces = table.workspaces(&ids).await?;
    Ok(paging.reply(&page, |member| {
        let workspace = workspaces.iter().find(|workspace| workspace.workspace_id == member.workspace_id);
        views::Membership::new(member, workspace)
    }))
}
