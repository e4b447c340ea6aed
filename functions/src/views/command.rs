//! Commands.

use domain::models::command::{self, CommandKind};
use domain::states::CommandState;
use domain::{CommandId, DeviceId, Time, UserId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::views::Actor;

/// Something that a device must do, with its history.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Command {
    /// Identifier of the command.
    command_id: CommandId,
    /// Device that carries it out.
    device_id: DeviceId,
    /// User who held the device at the time of the order.
    user_id: UserId,
    /// Kind of command.
    kind: CommandKind,
    /// State of the command.
    state: CommandState,
    /// Whether the device's report came after the command had ended.
    late: bool,
    /// Time of the order.
    queued_at: Time,
    /// Who gave the order.
    queued_by: Actor,
    /// Reason that was given.
    reason: Option<String>,
    /// Time after which the command is no longer carried out.
    expires_at: Time,
    /// When the device is told again of a wipe that it could not carry out before it was deleted.
    again_at: Option<Time>,
    /// How often the device has deferred the command.
    deferrals: u32,
    /// What the app reported in words.
    detail: Option<String>,
    /// Every state of the command, oldest first.
    history: Vec<HistoryEntry>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct HistoryEntry {
    /// State that the command entered.
    state: CommandState,
    /// Time of the change.
    at: Time,
    /// Who made the change.
    by: Actor,
    /// Present and `true` if the device's report came after the command had ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// A command, as its own device sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct OwnCommand {
    /// Identifier of the command.
    command_id: CommandId,
    /// Kind of command.
    kind: CommandKind,
    /// State of the command.
    state: CommandState,
    /// Whether the report came after the command had ended.
    late: bool,
    /// Time after which the command must not be carried out.
    expires_at: Time,
}

impl From<&command::Command> for Command {
    fn from(command: &command::Command) -> Self {
        Self {
            command_id: command.command_id,
            device_id: command.device_id,
            user_id: command.user_id,
            kind: command.kind,
            state: command.state,
            late: command.late,
            queued_at: command.queued_at,
            queued_by: command.queued_by.into(),
            reason: command.reason.clone(),
            expires_at: command.expires_at,
            again_at: command.again_at,
            deferrals: command.deferrals,
            detail: command.detail.clone(),
            history: command.history.iter().map(HistoryEntry::from).collect(),
        }
    }
}

impl From<&command::HistoryEntry> for HistoryEntry {
    fn from(entry: &command::HistoryEntry) -> Self {
        Self { state: entry.state, at: entry.at, by: entry.by.into(), late: entry.late }
    }
}

impl From<&command::Command> for OwnCommand {
    fn from(command: &command::Command) -> Self {
        Self {
            command_id: command.command_id,
            kind: command.kind,
            state: command.state,
            late: command.late,
            expires_at: command.expires_at,
        }
    }
}
