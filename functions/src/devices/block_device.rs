//! `POST /devices/{device_id}/block`.

use aws::{Commands, Workspaces};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::bodies;
use crate::description::About;
use crate::description::schema::thing;
use crate::devices::actions::DeviceAction;
use crate::settings::Defaults;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Block a device")
        .detail("From this answer on, the device is shut out. Blocking a blocked device is the same answer.")
        .body(|mut fields| drop(bodies::read_reason(&mut fields)))
        .versioned()
        .shows("The device.", thing("Device"))
        .refuses([Refusal::DeviceDeleted])
}

/// Answers with the device. From this answer on, the device is shut out.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(store: &(impl Commands + Workspaces), call: Call, defaults: &Defaults) -> Result<Reply, Failure> {
    let reason = bodies::reason(&call)?;
    super::act(store, &call, &DeviceAction::Block { reason }, defaults).await
}
