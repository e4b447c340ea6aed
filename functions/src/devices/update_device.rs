//! `PATCH /devices/{device_id}`: its nickname and its custom metadata.

use std::collections::BTreeMap;

use aws::Devices;
use aws::stores::DeviceWhole;
use domain::device::{Belongings, Edit, NICKNAME, edit, read_metadata};
use domain::input::Fields;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};
use serde_json::{Value, json};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Change a device")
        .detail(
            "A `nickname` of `null` is taken away; metadata is merged key by key, and a key set to `null` or `\"\"` \
             is taken away.",
        )
        .body(|fields| drop(read(fields)))
        .versioned()
        .shows("The device.", thing("Device"))
        .refuses([Refusal::DeviceDeleted])
}

/// Answers with the device. A `nickname` of `null` is taken away; metadata is merged key by key,
/// and a key set to `null` or `""` is taken away.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(store: &impl Devices, call: Call) -> Result<Reply, Failure> {
    let wanted = read(call.request.body()?)?;
    attempts(store, || attempt(store, &call, &wanted)).await
}

fn read(mut fields: Fields) -> Result<Edit, Refusal> {
    let nickname = fields.edited_text("nickname", NICKNAME);
    let metadata = read_metadata_of(&mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(Edit { nickname, metadata })
}

/// Reads what is to be changed of the custom metadata.
pub(crate) fn read_metadata_of(fields: &mut Fields) -> BTreeMap<String, Value> {
    let schema = || json!({"type": "object", "additionalProperties": {"type": ["string", "boolean", "null"]}});
    match fields.value_like("custom_metadata", schema).map(|value| read_metadata(&value)) {
        None => BTreeMap::new(),
        Some(Ok(metadata)) => metadata,
        Some(Err(faults)) => {
            for fault in faults {
                fields.fault(&fault.field, fault.code, fault.detail);
            }
            BTreeMap::new()
        }
    }
}

async fn attempt(store: &impl Devices, call: &Call, wanted: &Edit) -> Result<Reply, Failure> {
    let whole = super::wanted(store, call).await?;
    let whole = edited(store, call, whole, wanted).await?;
    Ok(super::shown(&whole, call))
}

/// The device after an edit, which is committed; what changes nothing commits nothing.
pub(crate) async fn edited(
    store: &impl Devices,
    call: &Call,
    whole: DeviceWhole,
    wanted: &Edit,
) -> Result<DeviceWhole, Failure> {
    let none = Belongings::none(&whole.device);
    let before = whole.belongings.as_ref().unwrap_or(&none);
    match edit(&whole.device, before, wanted, &call.act())? {
        Some((device, after, event)) => super::committed(store, whole, device, after, &event).await,
        None => Ok(whole),
    }
}
