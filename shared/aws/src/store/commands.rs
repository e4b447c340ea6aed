//! Commands and their history.

use domain::error::Error;
use domain::models::command::Command;
use domain::{CommandId, DeviceId, WorkspaceId};

use crate::item::{Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Source};
use crate::store::{devices, due};
use crate::table::Table;

keeps_stored_row!(Command);

/// The first part of a command's sort key.
pub const COMMAND: &str = "COMMAND#";

/// The key of a command.
#[must_use]
pub fn command_key(workspace: WorkspaceId, device_id: DeviceId, id: CommandId) -> RowKey {
    RowKey::new(devices::device_key(workspace, device_id).pk, format!("{COMMAND}{id}"))
}

impl Row for Command {
    fn key(&self) -> RowKey {
        command_key(self.workspace_id, self.device_id, self.command_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        if self.is_open() { due::due_attributes(&self.key(), self.expires_at) } else { Vec::new() }
    }
}

impl Table {
    /// A command of a device.
    pub async fn command(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        id: CommandId,
    ) -> Result<Option<Command>, Error> {
        self.get(&command_key(workspace, device, id)).await
    }

    /// A page of a device's commands, newest first.
    pub async fn list_commands(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Command>, Error> {
        let source = Source::in_partition(devices::device_key(workspace, device).pk, COMMAND);
        self.rows(&source, limit, start).await
    }
}
