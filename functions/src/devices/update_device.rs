//! `PATCH /devices/{device_id}`: its nickname and its custom metadata.

use aws::{Commit, Devices};
use domain::device::{Edit, Metadata, NICKNAME, edit, read_metadata};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::attempts::attempts;

/// Answers with the device. A `nickname` of `null` is taken away; metadata is merged key by key,
/// and a key set to `null` or `""` is taken away.
///
/// # Errors
/// Every fault of the body; `NotFound`, `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(store: &impl Devices, call: Call) -> Result<Reply, Failure> {
    let wanted = read(&call)?;
    attempts(store, || attempt(store, &call, &wanted)).await
}

fn read(call: &Call) -> Result<Edit, Refusal> {
    let mut fields = call.request.body()?;
    let taken_away = fields.is_null("nickname").then_some(None);
    let nickname = fields.text("nickname", NICKNAME).map(Some).or(taken_away);
    let metadata = fields.value("custom_metadata").map(|value| read_metadata(&value));
    let metadata = match metadata {
        None => std::collections::BTreeMap::new(),
        Some(Ok(metadata)) => metadata,
        Some(Err(faults)) => {
            for fault in faults {
                fields.fault(&fault.field, fault.code, fault.detail);
            }
            std::collections::BTreeMap::new()
        }
    };
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(Edit { nickname, metadata })
}

async fn attempt(store: &impl Devices, call: &Call, wanted: &Edit) -> Result<Reply, Failure> {
    let mut whole = super::wanted(store, call).await?;
    let none = Metadata {
        workspace_id: call.workspace(),
        device_id: whole.device.device_id,
        values: std::collections::BTreeMap::new(),
        version: 1,
    };
    let before = whole.metadata.as_ref().unwrap_or(&none);
    let Some((mut device, mut metadata, event)) = edit(&whole.device, before, wanted, &call.act())? else {
        return Ok(super::shown(&whole, call));
    };
    // The device's version stands for the whole, so it goes up with the metadata too.
    let commit = Commit::of(&event).touch(&whole.device, &device);
    let commit = match &whole.metadata {
        Some(before) => commit.edit(before, &metadata),
        None if metadata.values.is_empty() => commit,
        None => commit.put(&metadata),
    };
    store.commit(commit).await?;
    device.version += 1;
    metadata.version += 1;
    whole.device = device;
    whole.metadata = Some(metadata);
    Ok(super::shown(&whole, call))
}
