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

use std::collections::BTreeMap;

use aws::DeviceDetails;
use aws::{Commit, Table};
use domain::error::{DomainError, Error};
use domain::models::command::{CommandKind, CommandRequest};
use domain::models::device::{Device, DeviceAttachments};
use domain::models::event::Event;
use domain::rules::context::EventContext;
use domain::{DeviceId, UserId, WorkspaceId};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::context::RequestContext;
use crate::description::OperationDoc;
use crate::devices::actions::DeviceAction;
use crate::retry::retry_on_conflict;
use crate::settings::Defaults;
use crate::views;

/// The device that a call's path names, with what belongs to it, guarded by `If-Match`.
async fn load_device(table: &Table, request: &AuthorizedRequest) -> Result<DeviceDetails, Error> {
    let id = request.http.path_id("device_id", "device", DeviceId::parse)?;
    let whole = table.device_details(request.workspace(), id).await?.ok_or(DomainError::NotFound("device"))?;
    request.http.check_version(whole.device.version)?;
    Ok(whole)
}

/// The names of the users of these devices. One who is purged has none.
pub(crate) async fn user_names(
    table: &Table,
    workspace: WorkspaceId,
    devices: &[Device],
) -> Result<BTreeMap<UserId, String>, Error> {
    let ids = devices.iter().map(|device| device.user_id).collect();
    let users = table.users(workspace, &ids).await?;
    Ok(users.iter().map(|user| (user.user_id, user.name())).collect())
}

/// The reply that shows a device.
fn shown(whole: &DeviceDetails, request: &AuthorizedRequest) -> Reply {
    Reply::ok_versioned(&views::Device::of(whole, request.now()), whole.device.version)
}

/// Does something to the device that a call's path names, and shows it; what changes nothing
/// commits nothing.
async fn perform(
    table: &Table,
    request: &AuthorizedRequest,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<Reply, Error> {
    let prepared = done(table, request, action, defaults).await?;
    Ok(shown(&prepared.whole, request))
}

/// What an operation that gives such an order says of itself.
fn order_doc(summary: &'static str, kind: CommandKind) -> OperationDoc {
    OperationDoc::new(summary)
        .detail(
            "The device receives the command at its next check-in. Ordering the same command again answers with the \
             pending one.",
        )
        .body(|mut fields| drop(CommandRequest::read(kind, &mut fields)))
        .guarded()
        .answers::<views::Command>(202, "The command.")
        .refuses([DomainError::DeviceDeleted, DomainError::DeviceErased])
}

/// Gives an order to the device that a call's path names, and shows the command.
async fn command(
    table: &Table,
    request: &AuthorizedRequest,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<Reply, Error> {
    let prepared = done(table, request, action, defaults).await?;
    let command = prepared.command.ok_or_else(|| Error::internal("giving an order", "the command is not there"))?;
    Ok(Reply::json(StatusCode::ACCEPTED, &views::Command::from(&command)))
}

/// Changes what belongs to the device that a call's path names, and shows it; what changes nothing
/// commits nothing.
async fn attachments(
    table: &Table,
    request: &AuthorizedRequest,
    change: impl Fn(&Device, &DeviceAttachments, &EventContext) -> Result<Option<(DeviceAttachments, Event)>, DomainError>
    + Sync,
) -> Result<Reply, Error> {
    retry_on_conflict(table, || async {
        let mut whole = load_device(table, request).await?;
        let none = DeviceAttachments::empty(&whole.device);
        let before = whole.attachments.as_ref().unwrap_or(&none);
        if let Some((after, event)) = change(&whole.device, before, &request.event_context())? {
            let device = whole.device.clone();
            whole = committed(table, whole, device, after, &event).await?;
        }
        Ok(shown(&whole, request))
    })
    .await
}

/// Commits a device and what belongs to it as they are to be, and answers with them.
async fn committed(
    table: &Table,
    whole: DeviceDetails,
    device: Device,
    after: DeviceAttachments,
    event: &Event,
) -> Result<DeviceDetails, Error> {
    // The device's version stands for the whole, so it goes up with what belongs to it too.
    let commit = Commit::with_event(event).bump_version(&whole.device, &device);
    let commit = match &whole.attachments {
        Some(before) => commit.edit(before, &after),
        None if after == DeviceAttachments::empty(&device) => commit,
        None => commit.put(&after),
    };
    let committed = table.commit(commit).await?;
    let (device, after) = (committed.with_new_version(device), committed.with_new_version(after));
    let attachments = whole.attachments.is_some() || after != DeviceAttachments::empty(&device);
    Ok(DeviceDetails { device, attachments: attachments.then_some(after), ..whole })
}

async fn done(
    table: &Table,
    request: &AuthorizedRequest,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<actions::PlannedDevice, Error> {
    retry_on_conflict(table, || async {
        let whole = load_device(table, request).await?;
        let mut prepared =
            actions::prepare(table, &RequestContext::of_request(request), whole, action, defaults).await?;
        if let Some(commit) = prepared.commit.take() {
            prepared.whole.device = table.commit(commit).await?.with_new_version(prepared.whole.device);
        }
        Ok(prepared)
    })
    .await
}
