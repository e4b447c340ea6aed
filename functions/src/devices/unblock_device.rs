//! `POST /devices/{device_id}/unblock`.

use domain::error::{DomainError, Error};
use domain::rules::devices::unblock;
use lambda::{AuthorizedRequest, Reply};

use crate::bodies;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Unblock a device")
        .detail("The device may be used again, as far as its user may use the app.")
        .body(|mut fields| drop(bodies::read_reason(&mut fields)))
        .with_etag()
        .shows::<views::Device>("The device.")
        .refuses([DomainError::DeviceDeleted])
}

/// Returns the device, which may be used again as far as its user may use the app.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let reason = bodies::reason(&request)?;
    super::change(state, &request, |details, context| unblock(&details.device, reason.clone(), context)).await
}
