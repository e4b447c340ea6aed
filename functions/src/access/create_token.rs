//! `POST /tokens`.

use aws::rows::TokenPlace;
use aws::{Commit, Idempotency, Tokens};
use domain::Time;
use domain::TokenId;
use domain::change::Change;
use domain::member::Person;
use domain::refusal::{Failure, Refusal};
use domain::secret::AccessToken;
use domain::token::{self, NewToken};
use lambda::{Own, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once};
use crate::description::schema::{and, text};
use crate::description::{About, things};
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Create a personal access token")
        .detail("By it a program may what the person may at that time, in the workspaces that it names, narrowed by `permissions` if they are given. It is shown this once, in `token`.")
        .body(|fields| {
            let nobody = Person { issuer: String::new(), subject: String::new(), memberships: Vec::new() };
            drop(NewToken::read(fields, &nobody, Time::EPOCH));
        })
        .once()
        .answers(201, "The token.", and(things::token(), [("token", text())]))
        .refuses([Refusal::AlreadyCreated(String::new())])
}

/// Answers 201 with the person's new token, whose secret is shown this once in `token`. What it is worth is
/// settled at each call by it, so that nothing is held of the memberships here.
///
/// # Errors
/// Every fault of the body; `AlreadyCreated` for a repeated call.
pub async fn handle(store: &(impl Tokens + Idempotency), own: Own) -> Result<Reply, Failure> {
    let wanted = NewToken::read(own.request.body()?, &own.person, own.now())?;
    let once = Once::of(&own)?;
    once.attempts(store, &own, || attempt(store, &own, &once, &wanted)).await
}

async fn attempt(
    store: &(impl Tokens + Idempotency),
    own: &Own,
    once: &Once,
    wanted: &NewToken,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, own).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            return Err(Refusal::AlreadyCreated(made).into());
        }
    };
    let secret = AccessToken::new(own.request.moment.random);
    let id = TokenId(own.request.moment.draw());
    let act = |member: &_| own.act(member);
    let (token, events) = token::create(wanted.clone(), id, &secret, &own.person, own.now(), act);
    let change = Change { events, ..Change::default() };
    let commit = Commit::changing(own.request.moment.event_id(), &change).put(&token).put(&TokenPlace::of(&token));
    store.commit(once.remember(commit, own, &id.to_string(), forgotten)).await?;
    let mut view = views::token(&token, own.now());
    view["token"] = secret.reveal().into();
    Ok(Reply::json(StatusCode::CREATED, &view))
}
