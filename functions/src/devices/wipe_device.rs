//! `POST /devices/{device_id}/wipe`.

use domain::error::Error;
use domain::models::command::CommandKind;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    super::order_doc("Wipe a device", CommandKind::Wipe)
}

/// Answers 202 with the command, which the device is told at its next check-in. Asking again is
/// answered by the command that is pending.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `DeviceErased`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    super::order(state, &request, CommandKind::Wipe).await
}
