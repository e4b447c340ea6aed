//! Devices: from registration to deletion.

pub mod block_device;
pub mod check_in_device;
pub mod delete_device;
pub mod get_device;
pub mod list_devices;
pub mod register_device;
pub mod unblock_device;
pub mod update_device;

use aws::stores::DeviceWhole;
use aws::{Commit, Devices};
use domain::DeviceId;
use domain::device::{Device, REASON};
use domain::event::{Act, Event};
use domain::refusal::{Failure, Refusal};
use domain::user::User;
use lambda::{Call, Reply};

use crate::views;

/// The device that a call's path names, with what belongs to it, guarded by `If-Match`.
async fn wanted(store: &impl Devices, call: &Call) -> Result<DeviceWhole, Failure> {
    let id = call.request.path_id("device_id", "device", DeviceId::parse)?;
    let whole = store.device_whole(call.workspace(), id).await?.ok_or(Refusal::NotFound("device"))?;
    call.request.check_version(whole.device.version)?;
    Ok(whole)
}

/// The reply that shows a device.
fn shown(whole: &DeviceWhole, call: &Call) -> Reply {
    let name = whole.user.as_ref().map(User::name);
    let view = views::device_with_metadata(&whole.device, whole.metadata.as_ref(), name.as_deref(), call.now());
    Reply::thing(&view, whole.device.version)
}

/// The reason in a body, which may be left out.
fn reason(call: &Call) -> Result<Option<String>, Refusal> {
    let mut fields = call.request.body()?;
    let reason = fields.text("reason", REASON);
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(reason)
}

/// Changes a device as a rule says, and shows it; a rule that changes nothing commits nothing.
async fn change(
    store: &impl Devices,
    call: &Call,
    rule: impl Fn(&Device, &Act) -> Result<Option<(Device, Event)>, Refusal>,
) -> Result<Reply, Failure> {
    let mut whole = wanted(store, call).await?;
    if let Some((mut after, event)) = rule(&whole.device, &call.act())? {
        store.commit(Commit::of(&event).edit(&whole.device, &after)).await?;
        after.version += 1;
        whole.device = after;
    }
    Ok(shown(&whole, call))
}
