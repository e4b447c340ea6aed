//! `DELETE /members/{member_id}/tokens/{token_id}`.

use aws::{Commit, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::rules::tokens::shut_out;
use domain::{MemberId, TokenId};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Revoke a member's token for this workspace")
        .detail(
            "The token does not open this workspace from this answer on. Other workspaces that it opens are \
         not affected.",
        )
        .shows::<views::MemberToken>("The token.")
}

/// Returns a member's token, which no longer opens this workspace from this reply on. Its other workspaces are not
/// affected.
///
/// # Errors
/// `NotFound`, also for a token that was not created for this workspace.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let member_id = request.http.path_id("member_id", "member", MemberId::parse)?;
    let id = request.http.path_id("token_id", "token", TokenId::parse)?;
    let workspace = request.workspace();
    retry_on_conflict(table, || async {
        let member = table.member_by_id(workspace, member_id).await?.ok_or(DomainError::NotFound("member"))?;
        let found = table.person_token(&member.issuer, &member.subject, id).await?;
        let found = found.filter(|token| token.workspace_ids.contains(&workspace));
        let mut token = found.ok_or(DomainError::NotFound("token"))?;
        if let Some((after, event)) = shut_out(&token, &member, &request.new_event_context()) {
            table.commit(Commit::with_event(&event).edit(&token, &after)).await?;
            token = after;
        }
        Ok(Reply::ok(&views::MemberToken::new(&token, workspace, request.now())))
    })
    .await
}
