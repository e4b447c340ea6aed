//! Device attachments: custom metadata, access credentials, and the devices of a credential.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::models::device::DeviceAttachments;
use domain::{CredentialId, DeviceId, WorkspaceId};

use crate::item::{IndexRow, Row, RowKey, keeps_stored_row};
use crate::list::{Position, Range, Source};
use crate::store::devices;
use crate::table::Table;

keeps_stored_row!(DeviceAttachments);

/// The key of a device's attachments.
#[must_use]
pub fn attachments_key(workspace: WorkspaceId, id: DeviceId) -> RowKey {
    RowKey::new(devices::device_key(workspace, id).pk, "BELONGINGS")
}

/// The partition of the devices with an access credential.
#[must_use]
pub fn credential_partition(workspace: WorkspaceId, id: CredentialId) -> String {
    format!("CREDENTIAL#{workspace}#{id}")
}

impl Row for DeviceAttachments {
    fn key(&self) -> RowKey {
        attachments_key(self.workspace_id, self.device_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let holder = |id: &CredentialId| IndexRow {
            key: RowKey::new(credential_partition(self.workspace_id, *id), self.device_id.to_string()),
            attributes: BTreeMap::new(),
            unique: false,
        };
        self.credentials.keys().map(holder).collect()
    }
}

fn keys(workspace: WorkspaceId, ids: &BTreeSet<DeviceId>) -> Vec<RowKey> {
    ids.iter().map(|id| attachments_key(workspace, *id)).collect()
}

fn by_device(rows: Vec<DeviceAttachments>) -> BTreeMap<DeviceId, DeviceAttachments> {
    rows.into_iter().map(|row| (row.device_id, row)).collect()
}

/// How many devices of a credential one query reads.
const HOLDERS_AT_ONCE: usize = 1000;

impl Table {
    /// The attachments of some devices; devices without any are left out.
    pub async fn attachments(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<DeviceId>,
    ) -> Result<BTreeMap<DeviceId, DeviceAttachments>, Error> {
        Ok(by_device(self.rows_with(keys(workspace, ids)).await?))
    }

    /// As [`Table::attachments`], for display only: unreadable rows are left out.
    pub async fn attachments_to_show(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<DeviceId>,
    ) -> Result<BTreeMap<DeviceId, DeviceAttachments>, Error> {
        Ok(by_device(self.readable_rows_with(keys(workspace, ids)).await?))
    }

    /// The devices to which a credential was issued; some may be deleted by now.
    pub async fn devices_with_credential(
        &self,
        workspace: WorkspaceId,
        id: CredentialId,
    ) -> Result<BTreeSet<DeviceId>, Error> {
        let source = Source {
            index: None,
            partition: ("pk", credential_partition(workspace, id)),
            order: "sk",
            range: Range::All,
            descending: false,
        };
        let (mut holders, mut start) = (BTreeSet::new(), None::<Position>);
        loop {
            let (items, next) = self.query(&source, HOLDERS_AT_ONCE, start.as_ref()).await?;
            holders.extend(items.iter().filter_map(RowKey::of).filter_map(|key| DeviceId::parse(&key.sk)));
            start = next;
            if start.is_none() {
                return Ok(holders);
            }
        }
    }
}
