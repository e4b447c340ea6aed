//! `POST /devices/{device_id}/block`.

use domain::error::{DomainError, Error};
use domain::rules::devices::block;
use lambda::{AuthorizedRequest, Reply};

use crate::bodies;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Block a device")
        .detail("The device has no access from this answer on. Blocking a blocked device changes nothing.")
        .body(|mut fields| drop(bodies::read_reason(&mut fields)))
        .with_etag()
        .shows::<views::Device>("The device.")
        .refuses([DomainError::DeviceDeleted])
}

/// Returns the device, which is blocked from this reply on: check-ins answer 200 with `access: device_blocked`;
/// registration and configuration download answer 403.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let reason = bodies::reason(&request)?;
    super::change(state, &request, |details, context| block(&details.device, reason.clone(), context)).await
}
