//! `DELETE /devices/{device_id}`.

use aws::retry_on_conflict;
use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::context::ActionContext;
use crate::description::OperationDoc;
use crate::devices::actions::delete;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Delete a device")
        .detail(
            "A deletion cannot be undone. The device no longer counts towards the user's limit. Its pending \
             commands are still served.",
        )
        .with_etag()
        .shows::<views::Device>("The device.")
}

/// Returns the device with status `deleted` and `purge_after`. Irreversible. The device no longer counts towards the
/// user's limit. Its pending commands are still served until they end.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let details = super::load_device(table, &request).await?;
        let context = ActionContext::of_request(state, &request)?;
        let change = delete(&context, &details, None).await?;
        Ok(super::shown(&super::commit_device(table, details, change, &context.event_context).await?, &request))
    })
    .await
}
