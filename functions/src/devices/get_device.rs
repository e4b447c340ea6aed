//! `GET /devices/{device_id}`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a device").with_etag().shows::<views::Device>("The device.")
}

/// Returns the device with its custom metadata.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let details = super::load_device(table, &request).await?;
    let view = with_names(table, request.workspace(), views::Device::of(&details, request.now())).await?;
    Ok(Reply::ok_versioned(&view, details.device.version))
}
