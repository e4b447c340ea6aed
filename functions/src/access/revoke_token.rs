//! `DELETE /tokens/{token_id}`.

use aws::{Commit, retry_on_conflict};
use domain::TokenId;
use domain::error::{DomainError, Error};
use domain::rules::change::ChangeSet;
use domain::rules::tokens::revoke;
use lambda::{PersonRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Revoke one's own token")
        .detail("The token is invalid from this answer on.")
        .shows::<views::Token>("The token.")
}

/// Returns the person's own token, revoked. It is invalid from this reply on.
///
/// # Errors
/// `NotFound`.
pub async fn handle(state: &AppState, request: PersonRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("token_id", "token", TokenId::parse)?;
    let person = &request.person;
    retry_on_conflict(table, || async {
        let found = table.person_token(&person.issuer, &person.subject, id).await?;
        let mut token = found.ok_or(DomainError::NotFound("token"))?;
        if let Some((revoked, events)) =
            revoke(&token, person, request.now(), |member| request.new_event_context(member))
        {
            let change = ChangeSet { events, ..ChangeSet::default() };
            let commit = Commit::from_changes(request.http.id_source.event_id(), &change);
            table.commit(commit.edit(&token, &revoked)).await?;
            token = revoked;
        }
        Ok(Reply::ok(&views::Token::new(&token, request.now())))
    })
    .await
}
