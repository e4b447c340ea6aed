//! `DELETE /devices/{device_id}/commands/{command_id}`.

use aws::{Commit, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::command::Trigger;
use domain::permission::Permission;
use domain::rules::commands::apply;
use domain::states::CommandState;
use domain::{CommandId, DeviceId};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Cancel a command")
        .detail(
            "The command becomes `canceled` if the device has not received it, else `cancel_requested`: the device \
             may still carry it out. Cancelling a command that destroys data needs `users:wipe`.",
        )
        .with_etag()
        .shows::<views::Command>("The command.")
        .refuses([
            DomainError::CommandOver(CommandState::Succeeded),
            DomainError::PermissionMissing(Permission::UsersWipe),
        ])
}

/// Returns the command: `canceled` if the device has not received it, else `cancel_requested`. It is then no longer
/// served, but the device may still report a result. Cancelling a command that destroys data needs `users:wipe`.
///
/// # Errors
/// `NotFound`; `VersionMismatch`; `CommandOver`; `PermissionMissing`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let device = request.http.path_id("device_id", "device", DeviceId::parse)?;
    let id = request.http.path_id("command_id", "command", CommandId::parse)?;
    retry_on_conflict(table, || attempt(table, &request, device, id)).await
}

async fn attempt(table: &Table, request: &AuthorizedRequest, device: DeviceId, id: CommandId) -> Result<Reply, Error> {
    let workspace = request.workspace();
    let device = table.device(workspace, device).await?.ok_or(DomainError::NotFound("device"))?;
    let command = table.command(workspace, device.device_id, id).await?.ok_or(DomainError::NotFound("command"))?;
    request.http.check_version(command.version)?;
    if command.kind.is_destructive() {
        request.caller.require(Permission::UsersWipe)?;
    }
    let event_context = request.new_event_context();
    let Some(change) = apply(&device, &command, Trigger::Cancel, None, &event_context)? else {
        return Ok(Reply::ok_versioned(&views::Command::from(&command), command.version));
    };
    let committed = table.commit(Commit::from_changes(event_context.event_id, &change)).await?;
    let command = committed.with_new_version(change.command_after(&command).clone());
    Ok(Reply::ok_versioned(&views::Command::from(&command), command.version))
}
