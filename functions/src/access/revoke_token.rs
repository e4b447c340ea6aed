//! `DELETE /tokens/{token_id}`.

use aws::{Commit, Tokens};
use domain::TokenId;
use domain::change::Change;
use domain::refusal::{Failure, Refusal};
use domain::token::revoke;
use lambda::{Own, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Revoke one's own token")
        .detail("It opens nothing from this answer on.")
        .shows("The token.", thing("Token"))
}

/// Answers with the person's own token, revoked: it opens nothing from this answer on.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &impl Tokens, own: Own) -> Result<Reply, Failure> {
    let id = own.request.path_id("token_id", "token", TokenId::parse)?;
    let person = &own.person;
    attempts(store, || async {
        let found = store.token_of(&person.issuer, &person.subject, id).await?;
        let mut token = found.ok_or(Refusal::NotFound("token"))?;
        if let Some((revoked, events)) = revoke(&token, person, own.now(), |member| own.act(member)) {
            let change = Change { events, ..Change::default() };
            let commit = Commit::changing(own.request.moment.event_id(), &change);
            store.commit(commit.edit(&token, &revoked)).await?;
            token = revoked;
        }
        Ok(Reply::ok(&views::token(&token, own.now())))
    })
    .await
}
