//! `POST /users`.

use aws::{Commit, Table};
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::models::user::{NewUser, User};
use domain::permission::Permission;
use domain::rules::deployments::require_fitting;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::context::ActionContext;
use crate::description::OperationDoc;
use crate::idempotency::{Creation, create_once};
use crate::profiles::{ProfileToGive, find_profile_to_give, profile_of};
use crate::state::AppState;
use crate::users::edits::{claims_of_new, require_key_free};
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Create a user")
        .detail("`profile_id` and `overrides` need `deployments:manage`.")
        .body(|fields| drop(NewUser::read(fields)))
        .idempotent()
        .answers::<views::User>(201, "The user.")
        .with_header("etag", "The user's version, for `If-Match`.")
        .refuses([
            DomainError::UsernameTaken,
            DomainError::IdentityKeyTaken,
            DomainError::PermissionMissing(Permission::DeploymentsManage),
        ])
}

/// Returns 201 with the user.
///
/// # Errors
/// Every invalid field of the body; `UsernameTaken`, `IdentityKeyTaken`; `PermissionMissing` for a profile or
/// settings of the user's own without `deployments:manage`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let new = NewUser::read(request.http.body()?)?;
    // Who controls the configuration of a phone controls where its secrets are sent.
    if new.sets_configuration() {
        request.caller.require(Permission::DeploymentsManage)?;
    }
    let table = state.table()?;
    create_once(table, &request, || create(state, &request, &new), |id| repeat(table, &request, id)).await
}

async fn repeat(table: &Table, request: &AuthorizedRequest, id: String) -> Result<Reply, Error> {
    let id = UserId::parse(&id).ok_or(DomainError::NotFound("user"))?;
    let user = table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?;
    Ok(shown(&user, request))
}

async fn create(state: &AppState, request: &AuthorizedRequest, new: &NewUser) -> Result<Creation<Reply>, Error> {
    let context = ActionContext::of_request(state, request)?;
    let table = context.table;
    if let Some(level) = &new.service_level {
        context.settings().await?.require_service_level(level)?;
    }
    let claims = claims_of_new(table, request.workspace(), &new.username).await?;
    require_key_free(table, request.workspace(), new.user_identity_key.as_deref(), None).await?;
    let profile = find_profile_to_give(table, request.workspace(), new.profile_id).await?;
    let id = UserId(request.http.id_source.new_id());
    let (user, mut change) = User::create(new.clone(), id, &context.event_context);
    if new.sets_configuration()
        && let Some(profile) = profile_of(table, &user).await?
    {
        require_fitting(&user, &profile)?;
    }
    if let Some(ProfileToGive { profile, given }) = &profile {
        change = change.granting(profile, given.as_ref(), context.event_context.at);
    }
    let commit = Commit::from_changes(context.event_context.event_id, &change).claim_username(&claims, id);
    Ok(Creation { id: id.to_string(), commit, result: shown(&user, request) })
}

fn shown(user: &User, request: &AuthorizedRequest) -> Reply {
    Reply::json(StatusCode::CREATED, &views::User::new(user, &[], &[], None, request.now())).with_etag(user.version)
}
