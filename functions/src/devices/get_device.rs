//! `GET /devices/{device_id}`.

use aws::Devices;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::description::About;
use crate::description::schema::thing;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Get a device").versioned().shows("The device.", thing("Device"))
}

/// Answers with the device and its custom metadata.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &impl Devices, call: Call) -> Result<Reply, Failure> {
    let whole = super::wanted(store, &call).await?;
    Ok(super::shown(&whole, &call))
}
