//! `PUT /users/{user_id}/secrets`: written, and never read back but by a configuration.

use aws::Commit;
use domain::error::{DomainError, Error};
use domain::rules::deployments::{read_secrets, set_secrets};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::retry::retry_on_conflict;
use crate::state::AppState;
use crate::users;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Set a user's secrets")
        .detail(
            "Secrets are written only: they are read back in a configuration alone. `null` removes a secret; \
         one that is left out stays.",
        )
        .body(|fields| drop(read_secrets(fields)))
        .versioned()
        .shows::<views::SecretsSet>("The secrets that are set.")
        .refuses([DomainError::UserDeleted])
}

/// Takes `{client_password?, pbx_sip_password?, teleworker_sip_password?, voicemail_pin?}`: `null`
/// takes one away, what is left out stays. Answers with which are set, each since when.
///
/// # Errors
/// Every fault of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let edit = read_secrets(request.http.body()?)?;
    retry_on_conflict(table, || async {
        let user = users::load_user(table, &request).await?;
        let event_context = request.event_context();
        let mut after = user.clone();
        if let Some(change) = set_secrets(&user, &edit, &event_context)? {
            after = change.user_after().unwrap_or(&user).clone();
            let commit = Commit::from_changes(event_context.event_id, &change).update_user_secrets(&after, &edit);
            after = table.commit(commit).await?.with_new_version(after);
        }
        Ok(Reply::ok_versioned(&views::SecretsSet::from(&after), after.version))
    })
    .await
}
