//! `GET /tokens`.

use aws::Tokens;
use domain::refusal::Failure;
use lambda::{Own, Reply};

use crate::description::About;
use crate::description::schema::thing;
use crate::paging::Paging;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("List one's own tokens")
        .detail("The newest first; those that are over too, for a while.")
        .lists(thing("Token"), |_| ())
}

/// Answers with a page of the person's own tokens, the newest first; those that are over too, for a while.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(store: &impl Tokens, own: Own) -> Result<Reply, Failure> {
    let (paging, ()) = Paging::read(&own, |_| ())?;
    let (issuer, subject) = (&own.person.issuer, &own.person.subject);
    let page = store.list_tokens(issuer, subject, None, paging.limit, paging.start.clone()).await?;
    Ok(paging.reply(&page, |token| views::token(token, own.now())))
}
