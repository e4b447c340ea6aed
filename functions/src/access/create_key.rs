//! `POST /keys`.

use aws::{Commit, Table};
use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::models::key::{AncestorKeys, ApiKey, NewKey};
use domain::permission::Permission;
use domain::rules::keys;
use domain::secret::ApiKeySecret;
use domain::{KeyId, Time};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::creators::while_a_member;
use crate::description::OperationDoc;
use crate::idempotency::{Creation, create_once, refuse_repeat};

use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Create a key")
        .detail(
            "The key itself is shown this once, in `key`. The caller can grant only permissions that they hold. A \
             key that was created with a key expires no later than that key, and is revoked with it. Personal \
             access tokens cannot create keys.",
        )
        .body(|fields| drop(NewKey::read(fields, Time::EPOCH)))
        .field("expires_at", "Time of the expiry; never by default.")
        .field("permissions", "What the key may do.")
        .idempotent()
        .answers::<views::NewKey>(201, "The key.")
        .refuses([
            DomainError::PermissionNotHeld(Permission::UsersWipe),
            DomainError::TokenMakesNoKeys,
            DomainError::TooManyMakers,
            DomainError::AlreadyCreated(String::new()),
        ])
}

/// Returns 201 with the key, whose secret is shown only once, in `key`.
///
/// # Errors
/// Every invalid field of the body; those of [`keys::create`]; `AlreadyCreated` for a repeated call.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let wanted = NewKey::read(request.http.body()?, request.now())?;
    create_once(table, &request, || create(table, &request, &wanted), refuse_repeat).await
}

async fn create(table: &Table, request: &AuthorizedRequest, wanted: &NewKey) -> Result<Creation<Reply>, Error> {
    let workspace = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
    let (creator, ancestors) = creator(table, request).await?;
    let secret = ApiKeySecret::new(request.http.id_source.random, workspace.sandbox);
    let id = KeyId(request.http.id_source.new_id());
    let (key, event) =
        keys::create(wanted.clone(), id, &secret, &request.caller, creator.as_ref(), &request.new_event_context())?;
    let commit = while_a_member(table, request, Commit::with_event(&event).put(&key)).await?;
    let view = views::NewKey { view: views::Key::new(&key, &ancestors, request.now()), key: secret.reveal() };
    Ok(Creation { id: id.to_string(), commit, result: Reply::json(StatusCode::CREATED, &view) })
}

/// The key that the caller uses, if any, and all keys from which the new one will descend.
async fn creator(table: &Table, request: &AuthorizedRequest) -> Result<(Option<ApiKey>, AncestorKeys), Error> {
    let Actor::Key(id) = request.caller.actor else {
        return Ok((None, AncestorKeys::new()));
    };
    let creator = table.key_by_id(request.workspace(), id).await?.ok_or(DomainError::CredentialInvalid)?;
    let mut ancestors = table.find_ancestors(&creator).await?;
    ancestors.insert(creator.short.clone(), creator.clone());
    Ok((Some(creator), ancestors))
}
