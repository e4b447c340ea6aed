//! `PUT /devices/{device_id}/credentials/{acs_credential_id}`: an access system has issued a
//! credential to the phone.

use aws::Devices;
use domain::CredentialId;
use domain::credential::issue;
use domain::refusal::Failure;
use lambda::{Call, Reply};

/// Answers with the device, which holds the credential; at most
/// [`domain::credential::CREDENTIAL_LIMIT`] of them. The same credential may be on several devices.
///
/// # Errors
/// `NotFound`, `DeviceDeleted`, `VersionMismatch`; a fault of `acs_credential_id` at the limit.
pub async fn handle(store: &impl Devices, call: Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("acs_credential_id", "credential", CredentialId::parse)?;
    super::belongings(store, &call, |device, known, act| issue(device, known, id, act)).await
}
