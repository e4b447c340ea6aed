//! `POST /devices/me/commands/{command_id}`: report of the device.

use aws::{Commit, Table, retry_on_conflict};
use domain::CommandId;
use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::models::command::CommandReport;
use domain::rules::check_in::authenticate_report;
use domain::rules::commands::apply;
use domain::secret::DeviceCredential;
use domain::states::CommandState;
use lambda::{Reply, Request, device_credential};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Report the result of a command")
        .detail("Called by the device, even if it is blocked, deleted or wiped. Repeating a report changes nothing.")
        .body(|fields| drop(CommandReport::read(fields)))
        .shows::<views::OwnCommand>("The command after the report.")
        .refuses([DomainError::CommandOver(CommandState::Succeeded)])
}

/// Reads `{result, detail?}` and returns the state of the command. A device that is blocked, deleted, wiped or
/// re-enrolled may still report on commands that it has received.
///
/// # Errors
/// Every invalid field of the body; `CredentialMissing`, `CredentialInvalid`, `ReEnrol`; `NotFound`; `CommandOver`
/// for a result other than the recorded one.
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let table = state.table()?;
    let credential = device_credential(&request)?;
    let word = CommandReport::read(request.body()?)?;
    let id = CommandId::parse(request.path("command_id"));
    retry_on_conflict(table, || attempt(table, &request, &credential, id, &word)).await
}

async fn attempt(
    table: &Table,
    request: &Request,
    credential: &DeviceCredential,
    id: Option<CommandId>,
    word: &CommandReport,
) -> Result<Reply, Error> {
    let workspace = credential.workspace_id;
    let found = table.device(workspace, credential.device_id).await?;
    let command = match id {
        Some(id) => table.command(workspace, credential.device_id, id).await?,
        None => None,
    };
    authenticate_report(found.as_ref(), command.as_ref(), credential)?;
    let (Some(device), Some(command)) = (found, command) else {
        return Err(DomainError::NotFound("command").into());
    };
    let event_context = request.new_event_context(workspace, Actor::Device(device.device_id));
    let Some(change) = apply(&device, &command, word.trigger(), word.detail.clone(), &event_context)? else {
        return Ok(Reply::ok(&views::OwnCommand::from(&command)));
    };
    table.commit(Commit::from_changes(event_context.event_id, &change)).await?;
    Ok(Reply::ok(&views::OwnCommand::from(change.command_after(&command))))
}
