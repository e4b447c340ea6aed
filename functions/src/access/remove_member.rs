//! `DELETE /members/{member_id}`.

use aws::{Commit, Members};
use domain::MemberId;
use domain::member::remove;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Remove a member")
        .detail("They may do nothing from this answer on. The last admin stays.")
        .shows("The member as they were.", thing("Member"))
        .refuses([Refusal::LastAdmin])
}

/// Answers with the member as they were: they may do nothing from this answer on.
///
/// # Errors
/// `NotFound`; `LastAdmin`.
pub async fn handle(store: &impl Members, call: Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("member_id", "member", MemberId::parse)?;
    attempts(store, || async {
        let member = store.member_by_id(call.workspace(), id).await?.ok_or(Refusal::NotFound("member"))?;
        let before = store.workspace(call.workspace()).await?.ok_or(Refusal::NotFound("workspace"))?;
        let (after, event) = remove(&before, &member, &call.act())?;
        store.commit(Commit::of(&event).delete(&member).edit(&before, &after)).await?;
        Ok(Reply::ok(&views::member(&member)))
    })
    .await
}
