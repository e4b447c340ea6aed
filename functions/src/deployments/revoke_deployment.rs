//! `DELETE /deployments/{deployment_id}`.

use aws::retry_on_conflict;
use domain::error::{DomainError, Error};
use domain::rules::offers::revoke;
use domain::states::InvitationStatus;
use lambda::{AuthorizedRequest, Reply};

use crate::commits::commit_change;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Revoke a deployment")
        .detail("From this answer on, its link and QR code are invalid.")
        .shows::<views::Deployment>("The deployment.")
        .refuses([DomainError::InvitationOver(InvitationStatus::Used)])
}

/// Returns the deployment. Its link and QR code are invalid from this reply on.
///
/// # Errors
/// `NotFound`; `InvitationOver` if it has ended otherwise.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let before = super::load_deployment(table, &request).await?;
        let event_context = request.new_event_context();
        let change = revoke(&before, &event_context)?;
        commit_change(table, change.as_ref(), &event_context).await?;
        let after = change.unwrap_or_default().offer_after(&before).clone();
        Ok(Reply::ok(&views::Deployment::new(&after, request.now())))
    })
    .await
}
