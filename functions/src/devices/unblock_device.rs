//! `POST /devices/{device_id}/unblock`.

use aws::Devices;
use domain::device::unblock;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::attempts::attempts;

/// Answers with the device. It may do again what its user may.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(store: &impl Devices, call: Call) -> Result<Reply, Failure> {
    let reason = super::reason(&call)?;
    attempts(store, || super::change(store, &call, |device, act| unblock(device, reason.clone(), act))).await
}
