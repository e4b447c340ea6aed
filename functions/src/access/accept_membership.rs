//! `POST /memberships/{workspace_id}/accept`.

use aws::{Commit, Table, retry_on_conflict};
use domain::WorkspaceId;
use domain::error::{DomainError, Error};
use domain::models::member::Member;
use domain::models::workspace::Workspace;
use domain::rules::members;
use lambda::{PersonRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Accept a membership")
        .detail(
            "A workspace may add anybody. The membership takes effect only once the person accepts it, with \
         this call.",
        )
        .shows::<views::Membership>("The membership.")
}

/// Returns the membership, which is in effect from this reply on.
///
/// # Errors
/// `NotFound`.
pub async fn handle(state: &AppState, request: PersonRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("workspace_id", "membership", WorkspaceId::parse)?;
    accept(table, &request, id).await
}

/// Accepts the person's membership of this workspace.
///
/// # Errors
/// `NotFound`.
pub async fn accept(table: &Table, request: &PersonRequest, id: WorkspaceId) -> Result<Reply, Error> {
    retry_on_conflict(table, || async {
        let (workspace, member) = load_membership(table, request, id).await?;
        let Some((after, accepted, event)) = members::accept(&workspace, &member, &request.new_event_context(&member))
        else {
            return Ok(Reply::ok(&views::Membership::new(&member, Some(&workspace))));
        };
        let mut commit = Commit::with_event(&event).edit(&member, &accepted);
        if after != workspace {
            commit = commit.edit(&workspace, &after);
        }
        table.commit(commit).await?;
        Ok(Reply::ok(&views::Membership::new(&accepted, Some(&workspace))))
    })
    .await
}

/// The workspace and the person's membership of it.
pub(super) async fn load_membership(
    table: &Table,
    request: &PersonRequest,
    id: WorkspaceId,
) -> Result<(Workspace, Member), Error> {
    let member = table.membership(id, &request.person.issuer, &request.person.subject).await?;
    let member = member.ok_or(DomainError::NotFound("membership"))?;
    let workspace = table.workspace(id).await?.ok_or(DomainError::NotFound("membership"))?;
    Ok((workspace, member))
}
