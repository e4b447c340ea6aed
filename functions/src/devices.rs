//! Devices: from registration to deletion.

pub(crate) mod actions;
pub mod block_device;
pub mod cancel_command;
pub mod check_in_device;
pub mod delete_device;
pub mod get_device;
pub mod list_commands;
pub mod list_devices;
pub mod lock_device;
pub mod register_device;
pub mod report_command;
pub mod unblock_device;
pub mod update_device;
pub mod wipe_device;

use aws::stores::DeviceWhole;
use aws::{Commands, Devices, Workspaces};
use domain::DeviceId;
use domain::refusal::{Failure, Refusal};
use domain::user::User;
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::attempts;
use crate::devices::actions::DeviceAction;
use crate::doer::Doer;
use crate::settings::Defaults;
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

/// Does something to the device that a call's path names, and shows it; what changes nothing
/// commits nothing.
async fn act(
    store: &(impl Commands + Workspaces),
    call: &Call,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let prepared = done(store, call, action, defaults).await?;
    Ok(shown(&prepared.whole, call))
}

/// Gives an order to the device that a call's path names, and shows the command.
async fn command(
    store: &(impl Commands + Workspaces),
    call: &Call,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let prepared = done(store, call, action, defaults).await?;
    let command = prepared.command.ok_or_else(|| Failure::internal("giving an order", "the command is not there"))?;
    Ok(Reply::json(StatusCode::ACCEPTED, &views::command(&command)))
}

async fn done(
    store: &(impl Commands + Workspaces),
    call: &Call,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<actions::Prepared, Failure> {
    attempts(store, || async {
        let whole = wanted(store, call).await?;
        let mut prepared = actions::prepare(store, &Doer::of_call(call), whole, action, defaults).await?;
        if let Some(commit) = prepared.commit.take() {
            store.commit(commit).await?;
        }
        Ok(prepared)
    })
    .await
}
