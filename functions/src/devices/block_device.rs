//! `POST /devices/{device_id}/block`.

use aws::{Commands, Workspaces};
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::bodies;
use crate::devices::actions::DeviceAction;
use crate::settings::Defaults;

/// Answers with the device. From this answer on, the device is shut out.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(store: &(impl Commands + Workspaces), call: Call, defaults: &Defaults) -> Result<Reply, Failure> {
    let reason = bodies::reason(&call)?;
    super::act(store, &call, &DeviceAction::Block { reason }, defaults).await
}
