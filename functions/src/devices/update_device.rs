//! `PATCH /devices/{device_id}`: its nickname and its custom metadata.

use aws::Table;
use std::collections::BTreeMap;

use aws::DeviceDetails;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::{DeviceAttachments, Edit, NICKNAME, read_metadata};
use domain::rules::devices::edit;
use lambda::{AuthorizedRequest, Reply};
use serde_json::{Value, json};

use crate::description::OperationDoc;
use crate::retry::retry_on_conflict;
use crate::state::AppState;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change a device")
        .detail("`null` removes the nickname. Metadata is merged key by key; `null` or `\"\"` removes a key.")
        .body(|fields| drop(read(fields)))
        .versioned()
        .shows::<views::Device>("The device.")
        .refuses([DomainError::DeviceDeleted])
}

/// Answers with the device. A `nickname` of `null` is taken away; metadata is merged key by key,
/// and a key set to `null` or `""` is taken away.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let wanted = read(request.http.body()?)?;
    retry_on_conflict(table, || attempt(table, &request, &wanted)).await
}

fn read(mut fields: Fields) -> Result<Edit, DomainError> {
    let nickname = fields.text_edit("nickname", NICKNAME);
    let metadata = read_metadata_of(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    Ok(Edit { nickname, metadata })
}

/// Reads what is to be changed of the custom metadata.
pub(crate) fn read_metadata_of(fields: &mut Fields) -> BTreeMap<String, Value> {
    let schema = || json!({"type": "object", "additionalProperties": {"type": ["string", "boolean", "null"]}});
    match fields.value_with_schema("custom_metadata", schema).map(|value| read_metadata(&value)) {
        None => BTreeMap::new(),
        Some(Ok(metadata)) => metadata,
        Some(Err(faults)) => {
            for fault in faults {
                fields.add_error(&fault.field, fault.code, fault.detail);
            }
            BTreeMap::new()
        }
    }
}

async fn attempt(table: &Table, request: &AuthorizedRequest, wanted: &Edit) -> Result<Reply, Error> {
    let whole = super::load_device(table, request).await?;
    let whole = edited(table, request, whole, wanted).await?;
    Ok(super::shown(&whole, request))
}

/// The device after an edit, which is committed; what changes nothing commits nothing.
pub(crate) async fn edited(
    table: &Table,
    request: &AuthorizedRequest,
    whole: DeviceDetails,
    wanted: &Edit,
) -> Result<DeviceDetails, Error> {
    let none = DeviceAttachments::empty(&whole.device);
    let before = whole.attachments.as_ref().unwrap_or(&none);
    match edit(&whole.device, before, wanted, &request.event_context())? {
        Some((device, after, event)) => super::committed(table, whole, device, after, &event).await,
        None => Ok(whole),
    }
}
