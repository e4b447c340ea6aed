//! `POST /devices/{device_id}/wipe`.

use domain::error::Error;
use domain::models::command::CommandKind;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    super::order_doc("Wipe a device", CommandKind::Wipe)
}

/// Returns 202 with the command, which the device receives at its next check-in. If a wipe is already pending,
/// returns that command.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `DeviceDeleted`, `DeviceErased`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    super::order(state, &request, CommandKind::Wipe).await
}
