//! `PUT /users/{user_id}/secrets`. Secrets are write-only; only a downloaded configuration contains them.

use aws::retry_on_conflict;
use domain::error::{DomainError, Error};
use domain::rules::change::ChangeSet;
use domain::rules::deployments::{read_secrets, set_secrets};
use lambda::{AuthorizedRequest, Reply};

use crate::commits::commit_change;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Set a user's secrets")
        .detail(
            "Secrets are written only: they are read back in a configuration alone. `null` removes a secret; \
         one that is left out stays.",
        )
        .body(|fields| drop(read_secrets(fields)))
        .with_etag()
        .shows::<views::SecretsSet>("The secrets that are set.")
        .refuses([DomainError::UserDeleted])
}

/// Reads `{client_password?, pbx_sip_password?, teleworker_sip_password?, voicemail_pin?}`: `null` removes a secret,
/// one that is left out stays. Returns which secrets are set, each with the time at which it was set.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let edit = read_secrets(request.http.body()?)?;
    retry_on_conflict(table, || async {
        let user = users::load_user(table, &request).await?;
        let event_context = request.new_event_context();
        let change = set_secrets(&user, &edit, &event_context)?;
        let committed = commit_change(table, change.as_ref(), &event_context).await?;
        let after = committed.with_new_version(change.and_then(ChangeSet::into_user).unwrap_or(user));
        Ok(Reply::ok_versioned(&views::SecretsSet::from(&after), after.version))
    })
    .await
}
