//! Commands and their history.

use domain::command::Command;
use domain::error::Error;
use domain::{CommandId, DeviceId, WorkspaceId};

use crate::list::{Page, Position, Source};
use crate::rows;
use crate::table::Table;

impl Table {
    /// A command of a device, as it is now.
    pub async fn command(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        id: CommandId,
    ) -> Result<Option<Command>, Error> {
        self.get(&rows::command(workspace, device, id)).await
    }

    /// A page of a device's commands, the newest first.
    pub async fn list_commands(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Command>, Error> {
        let source = Source::within(rows::device(workspace, device).pk, rows::COMMAND);
        self.rows(&source, limit, start).await
    }
}
