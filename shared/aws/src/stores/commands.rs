//! Commands and their history.

use std::future::Future;

use domain::command::Command;
use domain::error::Error;
use domain::{CommandId, DeviceId, WorkspaceId};

use crate::list::{Page, Position, Source};
use crate::rows;
use crate::stores::Devices;
use crate::table::Table;

/// Where commands are kept, open and over.
pub trait Commands: Devices {
    /// A command of a device, as it is now.
    fn command(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        id: CommandId,
    ) -> impl Future<Output = Result<Option<Command>, Error>> + Send;

    /// A page of a device's commands, the newest first.
    fn list_commands(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        limit: usize,
        start: Option<Position>,
    ) -> impl Future<Output = Result<Page<Command>, Error>> + Send;
}

impl Commands for Table {
    async fn command(&self, workspace: WorkspaceId, device: DeviceId, id: CommandId) -> Result<Option<Command>, Error> {
        self.get(&rows::command(workspace, device, id)).await
    }

    async fn list_commands(
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
