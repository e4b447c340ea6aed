//! `POST /users`.

use aws::{Commit, Idempotency, Users, Workspaces};
use domain::UserId;
use domain::refusal::{Failure, Refusal};
use domain::user::{NewUser, User};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once, attempts};
use crate::description::About;
use crate::description::schema::thing;
use crate::doer::Doer;
use crate::users::actions::{require_key_free, settings};
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Create a user")
        .body(|fields| drop(NewUser::read(fields)))
        .once()
        .answers(201, "The user.", thing("User"))
        .with_header("etag", "The user's version, for `If-Match`.")
        .refuses([Refusal::UsernameTaken, Refusal::IdentityKeyTaken])
}

/// Answers 201 with the user.
///
/// # Errors
/// Every fault of the body; `UsernameTaken`, `IdentityKeyTaken`.
pub async fn handle(store: &(impl Users + Idempotency + Workspaces), call: Call) -> Result<Reply, Failure> {
    let new = NewUser::read(call.request.body()?)?;
    let once = Once::of(&call)?;
    attempts(store, || attempt(store, &call, &once, &new)).await
}

async fn attempt(
    store: &(impl Users + Idempotency + Workspaces),
    call: &Call,
    once: &Once,
    new: &NewUser,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            let id = UserId::parse(&made).ok_or(Refusal::NotFound("user"))?;
            let user = store.user(call.workspace(), id).await?.ok_or(Refusal::NotFound("user"))?;
            return Ok(shown(&user, call));
        }
    };
    if let Some(level) = &new.service_level {
        settings(store, &Doer::of_call(call)).await?.require_level(level)?;
    }
    if store.username_taken(call.workspace(), &new.username).await? {
        return Err(Refusal::UsernameTaken.into());
    }
    require_key_free(store, call.workspace(), new.user_identity_key.as_deref(), None).await?;
    let (user, event) = User::create(new.clone(), UserId(call.request.moment.draw()), &call.act());
    let commit = Commit::of(&event).put(&user);
    store.commit(once.remember(commit, call, &user.user_id.to_string(), forgotten)).await?;
    Ok(shown(&user, call))
}

fn shown(user: &User, call: &Call) -> Reply {
    Reply::json(StatusCode::CREATED, &views::user(user, &[], None, call.now())).versioned(user.version)
}
