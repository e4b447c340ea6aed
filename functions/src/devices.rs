//! Devices: from registration to deletion.

pub(crate) mod actions;
pub mod block_device;
pub mod cancel_command;
pub mod check_in_device;
pub mod delete_device;
pub mod get_device;
pub mod issue_credential;
pub mod list_commands;
pub mod list_devices;
pub mod lock_device;
pub mod register_device;
pub mod report_command;
pub mod report_credential_service;
pub mod revoke_credential;
pub mod unblock_device;
pub mod update_device;
pub mod wipe_device;

use aws::stores::DeviceWhole;
use aws::{Commands, Commit, Devices, Workspaces};
use domain::DeviceId;
use domain::command::{CommandKind, Order};
use domain::device::{Belongings, Device};
use domain::event::{Act, Event};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
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
    Reply::thing(&views::device_whole(whole, call.now()), whole.device.version)
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

/// What an operation that gives such an order says of itself.
fn about_order(summary: &'static str, kind: CommandKind) -> About {
    About::new(summary)
        .detail(
            "The command is told to the device at its next check-in. Asking again is answered by the command that is \
             pending.",
        )
        .body(|mut fields| drop(Order::read(kind, &mut fields)))
        .guarded()
        .answers(202, "The command.", thing("Command"))
        .refuses([Refusal::DeviceDeleted, Refusal::DeviceErased])
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

/// Changes what belongs to the device that a call's path names, and shows it; what changes nothing
/// commits nothing.
async fn belongings(
    store: &impl Devices,
    call: &Call,
    change: impl Fn(&Device, &Belongings, &Act) -> Result<Option<(Belongings, Event)>, Refusal> + Sync,
) -> Result<Reply, Failure> {
    attempts(store, || async {
        let mut whole = wanted(store, call).await?;
        let none = Belongings::none(&whole.device);
        let before = whole.belongings.as_ref().unwrap_or(&none);
        if let Some((after, event)) = change(&whole.device, before, &call.act())? {
            let device = whole.device.clone();
            whole = committed(store, whole, device, after, &event).await?;
        }
        Ok(shown(&whole, call))
    })
    .await
}

/// Commits a device and what belongs to it as they are to be, and answers with them.
async fn committed(
    store: &impl Devices,
    whole: DeviceWhole,
    mut device: Device,
    mut after: Belongings,
    event: &Event,
) -> Result<DeviceWhole, Failure> {
    // The device's version stands for the whole, so it goes up with what belongs to it too.
    let commit = Commit::of(event).touch(&whole.device, &device);
    let unchanged = whole.belongings.as_ref() == Some(&after);
    let commit = match &whole.belongings {
        Some(before) => commit.edit(before, &after),
        None if after == Belongings::none(&device) => commit,
        None => commit.put(&after),
    };
    store.commit(commit).await?;
    device.version += 1;
    after.version += u64::from(whole.belongings.is_some() && !unchanged);
    let belongings = whole.belongings.is_some() || after != Belongings::none(&device);
    Ok(DeviceWhole { device, belongings: belongings.then_some(after), ..whole })
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
