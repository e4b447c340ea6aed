//! `DELETE /devices/{device_id}/credentials/{acs_credential_id}`: the phone no longer holds an
//! access system's credential.

use aws::Devices;
use domain::CredentialId;
use domain::credential::revoke;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::description::About;
use crate::description::schema::thing;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Take an access credential from a device")
        .versioned()
        .shows("The device.", thing("Device"))
        .refuses([Refusal::DeviceDeleted])
}

/// Answers with the device, which does not hold the credential.
///
/// # Errors
/// `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(store: &impl Devices, call: Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("acs_credential_id", "credential", CredentialId::parse)?;
    super::belongings(store, &call, |device, known, act| revoke(device, known, id, act)).await
}
