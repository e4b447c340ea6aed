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

use aws::Table;
use aws::{DeviceDetails, retry_on_conflict};
use domain::DeviceId;
use domain::error::{DomainError, Error};
use domain::models::command::{CommandKind, CommandRequest};
use domain::rules::change::ChangeSet;
use domain::rules::context::EventContext;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::bodies;
use crate::commits;
use crate::context::ActionContext;
use crate::description::OperationDoc;
use crate::devices::actions::Order;
use crate::state::AppState;
use crate::views;

/// The device in the request's path with its related rows, guarded by `If-Match`.
async fn load_device(table: &Table, request: &AuthorizedRequest) -> Result<DeviceDetails, Error> {
    let id = request.http.path_id("device_id", "device", DeviceId::parse)?;
    let details = table.device_details(request.workspace(), id).await?.ok_or(DomainError::NotFound("device"))?;
    request.http.check_version(details.device.version)?;
    Ok(details)
}

/// The reply that shows a device.
fn shown(details: &DeviceDetails, request: &AuthorizedRequest) -> Reply {
    Reply::ok_versioned(&views::Device::of(details, request.now()), details.device.version)
}

/// Applies a rule to the device in the request's path, and returns the device. Commits nothing if nothing changes.
async fn change(
    state: &AppState,
    request: &AuthorizedRequest,
    rule: impl Fn(&DeviceDetails, &EventContext) -> Result<Option<ChangeSet>, DomainError> + Sync,
) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let details = load_device(table, request).await?;
        let context = request.new_event_context();
        let change = rule(&details, &context)?;
        Ok(shown(&commit_device(table, details, change, &context).await?, request))
    })
    .await
}

/// Commits a change of a device, if there is one, and returns the device with its new version.
pub(crate) async fn commit_device(
    table: &Table,
    details: DeviceDetails,
    change: Option<ChangeSet>,
    context: &EventContext,
) -> Result<DeviceDetails, Error> {
    let committed = commits::commit_change(table, change.as_ref(), context).await?;
    let Some(change) = change else {
        return Ok(details);
    };
    let device = committed.with_new_version(change.device_after(&details.device).clone());
    let attached = change.attachments.into_iter().next().map(|attached| committed.with_new_version(attached.after));
    Ok(DeviceDetails { device, attachments: attached.or(details.attachments), ..details })
}

/// OpenAPI documentation of an operation that sends a command of this kind.
fn order_doc(summary: &'static str, kind: CommandKind) -> OperationDoc {
    OperationDoc::new(summary)
        .detail(
            "The device receives the command at its next check-in. Ordering the same command again answers with the \
             pending one.",
        )
        .body(|mut fields| drop(CommandRequest::read(kind, &mut fields)))
        .if_match()
        .answers::<views::Command>(202, "The command.")
        .refuses([DomainError::DeviceDeleted, DomainError::DeviceErased])
}

/// Queues the requested command of this kind for the device in the request's path, and returns the command.
async fn order(state: &AppState, request: &AuthorizedRequest, kind: CommandKind) -> Result<Reply, Error> {
    let wanted = bodies::order(request, kind)?;
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let details = load_device(table, request).await?;
        let context = ActionContext::of_request(state, request)?;
        let Order { command, change } = actions::order(&context, &details, &wanted).await?;
        let command = command.ok_or_else(|| Error::internal("giving an order", "the command is not there"))?;
        commit_device(table, details, change, &context.event_context).await?;
        Ok(Reply::json(StatusCode::ACCEPTED, &views::Command::from(&command)))
    })
    .await
}
