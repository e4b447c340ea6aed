//! `PATCH /devices/{device_id}`: nickname and custom metadata.

use std::collections::BTreeMap;

use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::{Edit, NICKNAME, read_metadata};
use domain::rules::devices::edit;
use lambda::{AuthorizedRequest, Reply};
use serde_json::{Value, json};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change a device")
        .detail("`null` removes the nickname. Metadata is merged key by key; `null` or `\"\"` removes a key.")
        .body(|fields| drop(read(fields)))
        .with_etag()
        .shows::<views::Device>("The device.")
        .refuses([DomainError::DeviceDeleted])
}

/// Returns the device. A `nickname` of `null` removes it. Metadata is merged key by key; `null` or `""` removes a
/// key.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let wanted = read(request.http.body()?)?;
    super::change(state, &request, |details, context| {
        edit(&details.device, details.attachments.as_ref(), &wanted, context)
    })
    .await
}

fn read(mut fields: Fields) -> Result<Edit, DomainError> {
    let nickname = fields.text_edit("nickname", NICKNAME);
    let metadata = read_metadata_of(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    Ok(Edit { nickname, metadata })
}

/// Reads the changes of the custom metadata, by key.
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
