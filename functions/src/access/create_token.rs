//! `POST /tokens`.

use aws::store::tokens::TokenPlace;
use aws::{Commit, Table};
use domain::Time;
use domain::TokenId;
use domain::error::{DomainError, Error};
use domain::models::member::Identity;
use domain::models::token::NewToken;
use domain::rules::change::ChangeSet;
use domain::rules::tokens;
use domain::secret::AccessToken;
use lambda::{PersonRequest, Reply};
use lambda_http::http::StatusCode;

use crate::description::OperationDoc;
use crate::idempotency::{IdempotencyKey, IdempotencyOutcome};

use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Create a personal access token")
        .detail(
            "With the token, a program may do what the person may do at the time of each call, in the \
         workspaces that the token names, narrowed by `permissions` if given. The token is shown this \
         once, in `token`.",
        )
        .body(|fields| {
            let nobody = Identity { issuer: String::new(), subject: String::new(), memberships: Vec::new() };
            drop(NewToken::read(fields, &nobody, Time::EPOCH));
        })
        .field("expires_at", "Time of the expiry, within 366 days.")
        .field("permissions", "What the token is narrowed to; everything that the person may do by default.")
        .idempotent()
        .answers::<views::NewToken>(201, "The token.")
        .refuses([DomainError::AlreadyCreated(String::new())])
}

/// Returns 201 with the person's new token, whose secret is shown only once, in `token`. Its permissions are
/// evaluated at each use, so the commit does not check the memberships.
///
/// # Errors
/// Every invalid field of the body; `AlreadyCreated` for a repeated call.
pub async fn handle(state: &AppState, request: PersonRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let wanted = NewToken::read(request.http.body()?, &request.person, request.now())?;
    let once = IdempotencyKey::of(&request)?;
    once.run_once(table, &request, || attempt(table, &request, &once, &wanted)).await
}

async fn attempt(
    table: &Table,
    request: &PersonRequest,
    once: &IdempotencyKey,
    wanted: &NewToken,
) -> Result<Reply, Error> {
    let expired_row_present = match once.look_up(table, request).await? {
        IdempotencyOutcome::New { expired_row_present } => expired_row_present,
        IdempotencyOutcome::Made(made) => {
            return Err(DomainError::AlreadyCreated(made).into());
        }
    };
    let secret = AccessToken::new(request.http.id_source.random);
    let id = TokenId(request.http.id_source.new_id());
    let event_context = |member: &_| request.new_event_context(member);
    let (token, events) = tokens::create(wanted.clone(), id, &secret, &request.person, request.now(), event_context);
    let change = ChangeSet { events, ..ChangeSet::default() };
    let commit =
        Commit::from_changes(request.http.id_source.event_id(), &change).put(&token).put(&TokenPlace::of(&token));
    table.commit(once.remember(commit, request, &id.to_string(), expired_row_present)).await?;
    let view = views::Token::new(&token, request.now());
    Ok(Reply::json(StatusCode::CREATED, &views::NewToken { view, token: secret.reveal() }))
}
