//! `DELETE /devices/{device_id}/credentials/{acs_credential_id}`: an access system has removed a credential from the
//! phone.

use domain::CredentialId;
use domain::error::{DomainError, Error};
use domain::rules::credentials::revoke;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Revoke an access credential of a device")
        .with_etag()
        .shows::<views::Device>("The device.")
        .refuses([DomainError::DeviceDeleted])
}

/// Returns the device without the credential.
///
/// # Errors
/// `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let id = request.http.path_id("acs_credential_id", "credential", CredentialId::parse)?;
    super::change(state, &request, |details, context| {
        revoke(&details.device, details.attachments.as_ref(), id, context)
    })
    .await
}
