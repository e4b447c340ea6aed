//! `DELETE /deployments/{deployment_id}`.

use aws::{Commit, Invitations};
use domain::invitation::{InvitationStatus, revoke};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Take a deployment back")
        .detail("From this answer on, its link and QR code register nothing.")
        .shows("The deployment.", thing("Deployment"))
        .refuses([Refusal::InvitationOver(InvitationStatus::Used)])
}

/// Answers with the deployment: from this answer on, its link and QR code register nothing.
///
/// # Errors
/// `NotFound`; `InvitationOver` if it has ended another way.
pub async fn handle(store: &impl Invitations, call: Call) -> Result<Reply, Failure> {
    attempts(store, || async {
        let before = super::wanted(store, &call).await?;
        let Some((after, event)) = revoke(&before, &call.act())? else {
            return Ok(Reply::ok(&views::deployment(&before, call.now())));
        };
        store.commit(Commit::of(&event).edit(&before, &after).forget_code(&after)).await?;
        Ok(Reply::ok(&views::deployment(&after, call.now())))
    })
    .await
}
