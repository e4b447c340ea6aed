//! `DELETE /memberships/{workspace_id}`.

use aws::{Commit, retry_on_conflict};
use domain::WorkspaceId;
use domain::error::{DomainError, Error};
use domain::rules::members::decline;
use lambda::{PersonRequest, Reply};

use crate::access::accept_membership::load_membership;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Decline a membership")
        .detail("Only a membership that was not accepted. It is removed; the workspace can add the person again.")
        .shows::<views::Membership>("The membership as it was.")
        .refuses([DomainError::MembershipAccepted])
}

/// Returns the membership as it was before it was deleted.
///
/// # Errors
/// `NotFound`; `MembershipAccepted`.
pub async fn handle(state: &AppState, request: PersonRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("workspace_id", "membership", WorkspaceId::parse)?;
    retry_on_conflict(table, || async {
        let (workspace, member) = load_membership(table, &request, id).await?;
        let event = decline(&member, &request.new_event_context(&member))?;
        table.commit(Commit::with_event(&event).delete(&member)).await?;
        Ok(Reply::ok(&views::Membership::new(&member, Some(&workspace))))
    })
    .await
}
