//! Workspaces.

use std::collections::BTreeSet;

use domain::WorkspaceId;
use domain::error::Error;
use domain::models::workspace::Workspace;

use crate::item::{Row, RowKey, keeps_stored_row};
use crate::store::due;
use crate::table::Table;

keeps_stored_row!(Workspace);

/// The key of a workspace.
#[must_use]
pub fn workspace_key(id: WorkspaceId) -> RowKey {
    RowKey::new(format!("WORKSPACE#{id}"), "WORKSPACE")
}

impl Row for Workspace {
    fn key(&self) -> RowKey {
        workspace_key(self.workspace_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.silent_rule_at.map(|at| due::due_attributes(&self.key(), at)).unwrap_or_default()
    }
}

impl Table {
    /// A workspace.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, Error> {
        self.get(&workspace_key(id)).await
    }

    /// Workspaces in the order of these identifiers; missing ones are left out.
    pub async fn workspaces(&self, ids: &BTreeSet<WorkspaceId>) -> Result<Vec<Workspace>, Error> {
        self.readable_rows_with(ids.iter().map(|id| workspace_key(*id)).collect()).await
    }
}
