//! `DELETE /devices/{device_id}`.

use aws::{Commands, Workspaces};
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::devices::actions::DeviceAction;
use crate::settings::Defaults;

/// Answers with the device, status `deleted`, and `purge_after`. The user's slot is free at once;
/// nothing undoes it. What the device still has to do is served until it is over.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(store: &(impl Commands + Workspaces), call: Call, defaults: &Defaults) -> Result<Reply, Failure> {
    super::act(store, &call, &DeviceAction::Delete { reason: None }, defaults).await
}
