//! Devices' push tokens, and the devices of an SNS endpoint.

use domain::error::Error;
use domain::models::device::PushToken;
use domain::secret::Hash;
use domain::{DeviceId, WorkspaceId};

use crate::item::{Row, RowKey, keeps_stored_row};
use crate::list::{Range, Source};
use crate::store::{devices, due};
use crate::table::Table;

keeps_stored_row!(PushToken);

/// The partition of an endpoint's devices.
#[must_use]
pub fn endpoint_partition(endpoint: &str) -> String {
    format!("ENDPOINT#{}", Hash::of(endpoint).as_str())
}

/// Parses the device in the sort key of an endpoint's device.
#[must_use]
pub fn parse_endpoint_holder(sk: &str) -> Option<(WorkspaceId, DeviceId)> {
    let (workspace, device) = sk.split_once('#')?;
    Some((WorkspaceId::parse(workspace)?, DeviceId::parse(device)?))
}

/// The key of a device's push token.
#[must_use]
pub fn push_token_key(workspace: WorkspaceId, id: DeviceId) -> RowKey {
    RowKey::new(devices::device_key(workspace, id).pk, "PUSH")
}

impl Row for PushToken {
    fn key(&self) -> RowKey {
        push_token_key(self.workspace_id, self.device_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.mend_at.map(|at| due::due_attributes(&self.key(), at)).unwrap_or_default()
    }
}

/// The most devices of an endpoint that are read.
const HOLDER_LIMIT: usize = 100;

impl Table {
    /// A device's push token.
    pub async fn push_token(&self, workspace: WorkspaceId, id: DeviceId) -> Result<Option<PushToken>, Error> {
        self.get(&push_token_key(workspace, id)).await
    }

    /// The devices of an endpoint: one for each workspace of the phone.
    pub async fn endpoint_holders(&self, endpoint: &str) -> Result<Vec<(WorkspaceId, DeviceId)>, Error> {
        let source = Source {
            index: None,
            partition: ("pk", endpoint_partition(endpoint)),
            order: "sk",
            range: Range::All,
            descending: false,
        };
        let (items, _) = self.query(&source, HOLDER_LIMIT, None).await?;
        Ok(items.iter().filter_map(RowKey::of).filter_map(|key| parse_endpoint_holder(&key.sk)).collect())
    }
}
