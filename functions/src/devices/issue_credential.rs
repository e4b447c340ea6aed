//! `PUT /devices/{device_id}/credentials/{acs_credential_id}`: an access system has issued a credential to the phone.

use domain::CredentialId;
use domain::error::{DomainError, Error};
use domain::rules::credentials::issue;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Issue an access credential to a device")
        .detail(
            "Called by an access system that has put a credential on the phone. A phone holds at most 40 \
             credentials, and a credential may be on several phones.",
        )
        .with_etag()
        .shows::<views::Device>("The device.")
        .refuses([DomainError::DeviceDeleted])
}

/// Returns the device with the credential. A device holds at most [`domain::models::credential::CREDENTIAL_LIMIT`]
/// credentials; a credential may be on several devices.
///
/// # Errors
/// `NotFound`, `DeviceDeleted`, `VersionMismatch`; a field error of `acs_credential_id` at the limit.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let id = request.http.path_id("acs_credential_id", "credential", CredentialId::parse)?;
    super::change(state, &request, |details, context| issue(&details.device, details.attachments.as_ref(), id, context))
        .await
}
