//! `GET /devices/{device_id}`.

use aws::Table;
use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> OperationDoc {
    OperationDoc::new("Get a device").versioned().shows("The device.", thing("Device"))
}

/// Answers with the device and its custom metadata.
///
/// # Errors
/// `NotFound`.
pub async fn handle(table: &Table, call: AuthorizedRequest) -> Result<Reply, Error> {
    let whole = super::wanted(table, &call).await?;
    let view = with_names(table, call.workspace(), views::device_details(&whole, call.now())).await?;
    Ok(Reply::thing(&view, whole.device.version))
}
