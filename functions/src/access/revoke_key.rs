//! `DELETE /keys/{key_id}`.

use aws::{Commit, retry_on_conflict};
use domain::KeyId;
use domain::error::{DomainError, Error};
use domain::rules::keys::revoke;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Revoke a key")
        .detail("The key, and every key that was created with it, is invalid from this answer on.")
        .shows::<views::Key>("The key.")
}

/// Returns the key, revoked. The key, and every key created with it, is invalid from this reply on.
///
/// # Errors
/// `NotFound`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("key_id", "key", KeyId::parse)?;
    retry_on_conflict(table, || async {
        let mut key = table.key_by_id(request.workspace(), id).await?.ok_or(DomainError::NotFound("key"))?;
        if let Some((revoked, event)) = revoke(&key, &request.new_event_context()) {
            table.commit(Commit::with_event(&event).edit(&key, &revoked)).await?;
            key = revoked;
        }
        let ancestors = table.find_ancestors(&key).await?;
        Ok(Reply::ok(&views::Key::new(&key, &ancestors, request.now())))
    })
    .await
}
