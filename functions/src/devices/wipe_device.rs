//! `POST /devices/{device_id}/wipe`.

use aws::Table;
use domain::error::Error;
use domain::models::command::CommandKind;
use lambda::{AuthorizedRequest, Reply};

use crate::bodies;
use crate::description::OperationDoc;
use crate::devices::actions::DeviceAction;
use crate::settings::Defaults;

/// What the operation says of itself.
#[must_use]
pub fn about() -> OperationDoc {
    super::about_order("Wipe a device", CommandKind::Wipe)
}

/// Answers 202 with the command, which the device is told at its next check-in. Asking again is
/// answered by the command that is pending.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `DeviceErased`, `VersionMismatch`.
pub async fn handle(table: &Table, call: AuthorizedRequest, defaults: &Defaults) -> Result<Reply, Error> {
    let order = bodies::order(&call, CommandKind::Wipe)?;
    super::command(table, &call, &DeviceAction::Wipe(order), defaults).await
}
