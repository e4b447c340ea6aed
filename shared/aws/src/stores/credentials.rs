//! What belongs to devices beside their rows, and who holds a credential.

use std::collections::{BTreeMap, BTreeSet};

use domain::device::DeviceAttachments;
use domain::error::Error;
use domain::{CredentialId, DeviceId, WorkspaceId};

use crate::item::Key;
use crate::list::{Position, Range, Source};
use crate::rows;
use crate::table::Table;

/// How many holders of a credential one query reads.
const HOLDERS_AT_ONCE: usize = 1000;

impl Table {
    /// What belongs to some devices; those to which nothing does are left out.
    pub async fn attachments(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<DeviceId>,
    ) -> Result<BTreeMap<DeviceId, DeviceAttachments>, Error> {
        let found = self.get_many(ids.iter().map(|id| rows::attachments(workspace, *id))).await?;
        let known =
            |id: &DeviceId| Some(found.row(&rows::attachments(workspace, *id)).transpose()?.map(|row| (*id, row)));
        ids.iter().filter_map(known).collect()
    }

    /// The same, only to be shown: what cannot be read is left out.
    pub async fn attachments_to_show(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<DeviceId>,
    ) -> Result<BTreeMap<DeviceId, DeviceAttachments>, Error> {
        let found = self.get_many(ids.iter().map(|id| rows::attachments(workspace, *id))).await?;
        let known = |id: &DeviceId| Some((*id, found.readable(&rows::attachments(workspace, *id))?));
        Ok(ids.iter().filter_map(known).collect())
    }

    /// The devices that a credential was issued to; some of them may be deleted since.
    pub async fn devices_with_credential(
        &self,
        workspace: WorkspaceId,
        id: CredentialId,
    ) -> Result<BTreeSet<DeviceId>, Error> {
        let source = Source {
            index: None,
            partition: ("pk", rows::credential_holders(workspace, id)),
            order: "sk",
            range: Range::All,
            descending: false,
        };
        let (mut holders, mut start) = (BTreeSet::new(), None::<Position>);
        loop {
            let (items, next) = self.query(&source, HOLDERS_AT_ONCE, start.as_ref()).await?;
            holders.extend(items.iter().filter_map(Key::of).filter_map(|key| DeviceId::parse(&key.sk)));
            start = next;
            if start.is_none() {
                return Ok(holders);
            }
        }
    }
}
