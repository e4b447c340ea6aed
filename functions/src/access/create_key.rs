//! `POST /keys`.

use aws::{Commit, Idempotency, Keys, Workspaces};
use domain::access::{Permission, Permissions};
use domain::input::Fields;
use domain::key::{self, Key, NAME};
use domain::refusal::{Failure, Refusal};
use domain::secret::ApiKey;
use domain::{KeyId, Time};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once, attempts};
use crate::description::About;
use crate::description::schema::{and, text};
use crate::description::things;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Create a key")
        .detail("The key itself is shown this once, in `key`. It can be given only what its maker holds.")
        .body(|fields| drop(Wanted::read(fields, Time::EPOCH)))
        .once()
        .answers(201, "The key.", and(things::key(), [("key", text())]))
        .refuses([Refusal::PermissionNotHeld(Permission::UsersWipe), Refusal::AlreadyCreated(String::new())])
}

/// Answers 201 with the key, whose secret is shown this once in `key`.
///
/// # Errors
/// Every fault of the body; `PermissionNotHeld`; `AlreadyCreated` for a repeated call.
pub async fn handle(store: &(impl Keys + Workspaces + Idempotency), call: Call) -> Result<Reply, Failure> {
    let wanted = Wanted::read(call.request.body()?, call.now())?;
    key::may_grant(&call.caller, &wanted.permissions)?;
    let once = Once::of(&call)?;
    attempts(store, || attempt(store, &call, &once, &wanted)).await
}

struct Wanted {
    name: String,
    permissions: Permissions,
    expires_at: Option<Time>,
}

impl Wanted {
    fn read(mut fields: Fields, now: Time) -> Result<Self, Refusal> {
        let name = fields.required_text("name", NAME);
        let permissions = fields.required_words::<Permission>("permissions");
        let expires_at = fields.time("expires_at");
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            fields.fault("expires_at", "out_of_range", "must be in the future");
        }
        fields.finish().map_err(Refusal::Invalid)?;
        let permissions = permissions.into_iter().flatten().collect();
        Ok(Self { name: name.unwrap_or_default(), permissions, expires_at })
    }
}

async fn attempt(
    store: &(impl Keys + Workspaces + Idempotency),
    call: &Call,
    once: &Once,
    wanted: &Wanted,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            return Err(Refusal::AlreadyCreated(made).into());
        }
    };
    let workspace = store.workspace(call.workspace()).await?.ok_or(Refusal::NotFound("workspace"))?;
    let secret = ApiKey::new(call.request.moment.random, workspace.sandbox);
    let act = call.act();
    let key = Key {
        workspace_id: call.workspace(),
        key_id: KeyId(call.request.moment.draw()),
        short: secret.short.clone(),
        secret_hash: secret.hash(),
        name: wanted.name.clone(),
        permissions: wanted.permissions.clone(),
        created_at: act.at,
        created_by: act.actor,
        expires_at: wanted.expires_at,
        revoked: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    let commit = Commit::of(&key::created(&key, &act)).put(&key);
    store.commit(once.remember(commit, call, &key.key_id.to_string(), forgotten)).await?;
    let mut view = views::key(&key, call.now());
    view["key"] = secret.reveal().into();
    Ok(Reply::json(StatusCode::CREATED, &view))
}
