//! `DELETE /memberships/{workspace_id}`.

use aws::{Commit, Members};
use domain::WorkspaceId;
use domain::member::decline;
use domain::refusal::{Failure, Refusal};
use lambda::{Own, Reply};

use crate::access::accept_membership::wanted;
use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Decline a membership")
        .detail("One that was not accepted. It is gone, until the workspace adds the person again.")
        .shows("The membership as it was.", thing("Membership"))
        .refuses([Refusal::MembershipAccepted])
}

/// Answers with the membership as it was: it is gone.
///
/// # Errors
/// `NotFound`; `MembershipAccepted`.
pub async fn handle(store: &impl Members, own: Own) -> Result<Reply, Failure> {
    let id = own.request.path_id("workspace_id", "membership", WorkspaceId::parse)?;
    attempts(store, || async {
        let (workspace, member) = wanted(store, &own, id).await?;
        let event = decline(&member, &own.act(&member))?;
        store.commit(Commit::of(&event).delete(&member)).await?;
        Ok(Reply::ok(&views::membership(&member, Some(&workspace))))
    })
    .await
}
