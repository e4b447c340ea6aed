//! `DELETE /devices/{device_id}`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::devices::actions::DeviceAction;
use crate::state::AppState;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Delete a device")
        .detail(
            "A deletion cannot be undone. The device no longer counts towards the user's limit. Its pending \
             commands are still served.",
        )
        .versioned()
        .shows::<views::Device>("The device.")
}

/// Answers with the device, status `deleted`, and `purge_after`. The user's slot is free at once;
/// nothing undoes it. What the device still has to do is served until it is over.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let defaults = &state.settings.defaults;
    super::perform(table, &request, &DeviceAction::Delete { reason: None }, defaults).await
}
