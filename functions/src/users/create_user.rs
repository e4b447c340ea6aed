//! `POST /users`.

use aws::{Commit, Table};
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::models::user::{NewUser, User};
use domain::permission::Permission;
use domain::rules::deployments::require_fitting;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::context::RequestContext;
use crate::description::OperationDoc;
use crate::idempotency::{IdempotencyKey, IdempotencyOutcome};

use crate::state::AppState;
use crate::users::actions::{giving, named_profile, profile_of, require_key_free, settings};
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Create a user")
        .detail("`profile_id` and `overrides` need `deployments:manage`.")
        .body(|fields| drop(NewUser::read(fields)))
        .once()
        .answers::<views::User>(201, "The user.")
        .with_header("etag", "The user's version, for `If-Match`.")
        .refuses([
            DomainError::UsernameTaken,
            DomainError::IdentityKeyTaken,
            DomainError::PermissionMissing(Permission::DeploymentsManage),
        ])
}

/// Answers 201 with the user.
///
/// # Errors
/// Every fault of the body; `UsernameTaken`, `IdentityKeyTaken`; `PermissionMissing` for a profile, or settings
/// of the user's own, without `deployments:manage`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let new = NewUser::read(request.http.body()?)?;
    // What decides which configuration a phone gets decides where its secrets go.
    if new.sets_configuration() {
        request.caller.require(Permission::DeploymentsManage)?;
    }
    let once = IdempotencyKey::of(&request)?;
    once.retry_on_conflict(table, &request, || attempt(table, &request, &once, &new)).await
}

async fn attempt(
    table: &Table,
    request: &AuthorizedRequest,
    once: &IdempotencyKey,
    new: &NewUser,
) -> Result<Reply, Error> {
    let forgotten = match once.before(table, request).await? {
        IdempotencyOutcome::New { forgotten } => forgotten,
        IdempotencyOutcome::Made(made) => {
            let id = UserId::parse(&made).ok_or(DomainError::NotFound("user"))?;
            let user = table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?;
            return Ok(shown(&user, request));
        }
    };
    let context = RequestContext::of_request(request);
    if let Some(level) = &new.service_level {
        settings(table, &context).await?.require_service_level(level)?;
    }
    let claims = table.username_claims(request.workspace(), &new.username).await?;
    if claims.are_taken_by_other(None) {
        return Err(DomainError::UsernameTaken.into());
    }
    require_key_free(table, request.workspace(), new.user_identity_key.as_deref(), None).await?;
    let named = named_profile(table, &context, new.profile_id).await?;
    let event_context = request.event_context();
    let (user, event) = User::create(new.clone(), UserId(request.http.id_source.new_id()), &event_context);
    if new.sets_configuration()
        && let Some(profile) = profile_of(table, &user).await?
    {
        require_fitting(&user, &profile)?;
    }
    let commit = giving(
        Commit::with_event(&event).put(&user).claim_username(&claims, user.user_id),
        named.as_ref(),
        &event_context,
    );
    table.commit(once.remember(commit, request, &user.user_id.to_string(), forgotten)).await?;
    Ok(shown(&user, request))
}

fn shown(user: &User, request: &AuthorizedRequest) -> Reply {
    Reply::json(StatusCode::CREATED, &views::User::new(user, &[], &[], None, request.now())).with_etag(user.version)
}
