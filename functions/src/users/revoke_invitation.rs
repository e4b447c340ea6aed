//! `DELETE /users/{user_id}/invitations/{invitation_id}`.

use aws::retry_on_conflict;
use domain::error::{DomainError, Error};
use domain::models::offer::Purpose;
use domain::rules::offers::revoke;
use domain::states::InvitationStatus;
use domain::{InvitationId, UserId};
use lambda::{AuthorizedRequest, Reply};

use crate::commits::commit_change;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Revoke an invitation")
        .detail("Its code is invalid from this answer on.")
        .with_etag()
        .shows::<views::Invitation>("The invitation.")
        .refuses([DomainError::InvitationOver(InvitationStatus::Used)])
}

/// Returns the invitation. Its code is invalid from this reply on.
///
/// # Errors
/// `NotFound`; `VersionMismatch`; `InvitationOver` if it is used up, superseded or expired.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let user = request.http.path_id("user_id", "user", UserId::parse)?;
    let id = request.http.path_id("invitation_id", "invitation", InvitationId::parse)?;
    retry_on_conflict(table, || async {
        let found = table.offer(request.workspace(), user, id).await?;
        // Deployments have their own operation, which needs another permission.
        let invitation = found.filter(|found| found.purpose == Purpose::Invite);
        let before = invitation.ok_or(DomainError::NotFound("invitation"))?;
        request.http.check_version(before.version)?;
        let event_context = request.new_event_context();
        let change = revoke(&before, &event_context)?;
        let committed = commit_change(table, change.as_ref(), &event_context).await?;
        let after = committed.with_new_version(change.unwrap_or_default().offer_after(&before).clone());
        Ok(Reply::ok_versioned(&views::Invitation::new(&after, request.now()), after.version))
    })
    .await
}
