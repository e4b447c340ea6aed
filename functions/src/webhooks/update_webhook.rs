//! `PATCH /webhooks/{webhook_id}`.

use aws::{Commit, retry_on_conflict};
use domain::egress::EgressPolicy;
use domain::error::{DomainError, Error};
use domain::models::webhook::Edit;
use domain::permission::Permission;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change a webhook")
        .detail("`enabled` enables or disables it. Events that happened while it was disabled are not sent later.")
        .body(|mut fields| drop(Edit::read(&mut fields, EgressPolicy::Public)))
        .with_etag()
        .shows::<views::Webhook>("The webhook.")
        .refuses([DomainError::PermissionMissing(Permission::EventsRead)])
}

/// Replies with the webhook. `enabled` enables or disables it; events from while it was disabled are not sent later.
///
/// # Errors
/// `PermissionMissing` without `events:read` too; every invalid field of the body; `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let reach = state.webhook_policy();
    // Whoever receives events can read them.
    request.caller.require(Permission::EventsRead)?;
    retry_on_conflict(table, || async {
        let webhook = super::load_webhook(table, &request).await?;
        let mut fields = request.http.body()?;
        let edit = Edit::read(&mut fields, reach);
        fields.finish().map_err(DomainError::Invalid)?;
        let Some((after, event)) = webhook.update(edit, &request.new_event_context()) else {
            return Ok(Reply::ok_versioned(&views::Webhook::from(&webhook), webhook.version));
        };
        let after = table.commit(Commit::with_event(&event).edit(&webhook, &after)).await?.with_new_version(after);
        Ok(Reply::ok_versioned(&views::Webhook::from(&after), after.version))
    })
    .await
}
