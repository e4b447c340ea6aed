//! `POST /users`.

use aws::{Commit, Idempotency, Users};
use domain::UserId;
use domain::refusal::{Failure, Refusal};
use domain::user::{NewUser, User};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once, attempts};
use crate::views;

/// Answers 201 with the user.
///
/// # Errors
/// Every fault of the body; `UsernameTaken`.
pub async fn handle(store: &(impl Users + Idempotency), call: Call) -> Result<Reply, Failure> {
    let new = NewUser::read(call.request.body()?)?;
    let once = Once::of(&call)?;
    attempts(store, || attempt(store, &call, &once, &new)).await
}

async fn attempt(
    store: &(impl Users + Idempotency),
    call: &Call,
    once: &Once,
    new: &NewUser,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            let id = UserId::parse(&made).ok_or(Refusal::NotFound("user"))?;
            let user = store.user(call.workspace(), id).await?.ok_or(Refusal::NotFound("user"))?;
            return Ok(shown(&user));
        }
    };
    if store.username_taken(call.workspace(), &new.username).await? {
        return Err(Refusal::UsernameTaken.into());
    }
    let (user, event) = User::create(new.clone(), UserId(call.request.moment.draw()), &call.act());
    let commit = Commit::of(&event).put(&user);
    store.commit(once.remember(commit, call, &user.user_id.to_string(), forgotten)).await?;
    Ok(shown(&user))
}

fn shown(user: &User) -> Reply {
    Reply::json(StatusCode::CREATED, &views::user(user)).versioned(user.version)
}
