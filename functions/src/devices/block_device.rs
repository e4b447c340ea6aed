//! `POST /devices/{device_id}/block`.

use aws::Devices;
use domain::device::block;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::attempts::attempts;

/// Answers with the device. From this answer on, the device is shut out.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(store: &impl Devices, call: Call) -> Result<Reply, Failure> {
    let reason = super::reason(&call)?;
    attempts(store, || super::change(store, &call, |device, act| block(device, reason.clone(), act))).await
}
