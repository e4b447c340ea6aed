//! `POST /tokens`.

use aws::Commit;
use aws::store::tokens::TokenPlace;
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
use crate::idempotency::{Creation, create_once, refuse_repeat};

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
    create_once(table, &request, async || Ok(create(&request, &wanted)), refuse_repeat).await
}

fn create(request: &PersonRequest, wanted: &NewToken) -> Creation<Reply> {
    let secret = AccessToken::new(request.http.id_source.random);
    let id = TokenId(request.http.id_source.new_id());
    let event_context = |member: &_| request.new_event_context(member);
    let (token, events) = tokens::create(wanted.clone(), id, &secret, &request.person, request.now(), event_context);
    let change = ChangeSet { events, ..ChangeSet::default() };
    let commit =
        Commit::from_changes(request.http.id_source.event_id(), &change).put(&token).put(&TokenPlace::of(&token));
    let view = views::NewToken { view: views::Token::new(&token, request.now()), token: secret.reveal() };
    Creation { id: id.to_string(), commit, result: Reply::json(StatusCode::CREATED, &view) }
}
