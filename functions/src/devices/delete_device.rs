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
            "It cannot be undone. The user's place for a device is free at once, and what the device still has to do \
             is served until it is over.",
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
