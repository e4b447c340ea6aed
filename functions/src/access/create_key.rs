//! `POST /keys`.

use aws::{Commit, Idempotency, Keys, Members};
use domain::access::Permission;
use domain::event::Actor;
use domain::key::{self, Key, Makers, NewKey};
use domain::refusal::{Failure, Refusal};
use domain::secret::ApiKey;
use domain::{KeyId, Time};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once};
use crate::description::About;
use crate::description::schema::{and, text};
use crate::description::things;
use crate::makers::while_a_member;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Create a key")
        .detail(
            "The key itself is shown this once, in `key`. It can be given only what its maker holds. One that a key \
             makes expires no later than that, and ends with it; a personal access token makes none.",
        )
        .body(|fields| drop(NewKey::read(fields, Time::EPOCH)))
        .once()
        .answers(201, "The key.", and(things::key(), [("key", text())]))
        .refuses([
            Refusal::PermissionNotHeld(Permission::UsersWipe),
            Refusal::TokenMakesNoKeys,
            Refusal::TooManyMakers,
            Refusal::AlreadyCreated(String::new()),
        ])
}

/// Answers 201 with the key, whose secret is shown this once in `key`.
///
/// # Errors
/// Every fault of the body; those of [`key::create`]; `AlreadyCreated` for a repeated call.
pub async fn handle(store: &(impl Keys + Members + Idempotency), call: Call) -> Result<Reply, Failure> {
    let wanted = NewKey::read(call.request.body()?, call.now())?;
    let once = Once::of(&call)?;
    once.attempts(store, &call, || attempt(store, &call, &once, &wanted)).await
}

async fn attempt(
    store: &(impl Keys + Members + Idempotency),
    call: &Call,
    once: &Once,
    wanted: &NewKey,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            return Err(Refusal::AlreadyCreated(made).into());
        }
    };
    let workspace = store.workspace(call.workspace()).await?.ok_or(Refusal::NotFound("workspace"))?;
    let (maker, makers) = maker(store, call).await?;
    let secret = ApiKey::new(call.request.moment.random, workspace.sandbox);
    let id = KeyId(call.request.moment.draw());
    let (key, event) = key::create(wanted.clone(), id, &secret, &call.caller, maker.as_ref(), &call.act())?;
    let commit = while_a_member(store, call, Commit::of(&event).put(&key)).await?;
    store.commit(once.remember(commit, call, &key.key_id.to_string(), forgotten)).await?;
    let mut view = views::key(&key, &makers, call.now());
    view["key"] = secret.reveal().into();
    Ok(Reply::json(StatusCode::CREATED, &view))
}

/// The key by which the call is made, if it is made by one, and all that the new one will come from.
async fn maker(store: &impl Keys, call: &Call) -> Result<(Option<Key>, Makers), Failure> {
    let Actor::Key(id) = call.caller.actor else {
        return Ok((None, Makers::new()));
    };
    let maker = store.key_by_id(call.workspace(), id).await?.ok_or(Refusal::CredentialInvalid)?;
    let mut makers = store.makers_of(&maker).await?;
    makers.insert(maker.short.clone(), maker.clone());
    Ok((Some(maker), makers))
}
