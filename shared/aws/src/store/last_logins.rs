//! The day of the last login of each device and user: a row beside each, found by the index `seen`.
//!
//! A check-in moves an entry of the index once a day. The entries of a workspace are spread over shards, so that no
//! partition gathers its logins, and [each device's day](login_day) begins at a time of its own.

use std::collections::BTreeMap;

use domain::error::Error;
use domain::models::device::Device;
use domain::models::login_day::{is_first_of_day, login_day};
use domain::{DeviceId, EventId, Time, UserId, WorkspaceId};
use uuid::Uuid;

use crate::commit::Commit;
use crate::item::{IndexRow, Item, Row, RowKey, stored};
use crate::store::{devices, users};
use crate::table::Table;

/// The sort key of the row.
pub const SEEN: &str = "SEEN";

/// Number of partitions of the last logins of a workspace, for each kind of row.
pub const SHARDS: u8 = 8;

/// The attribute by which rows are ordered: the day and the identifier.
pub(crate) const LOGIN_DAY: &str = "login_day";

/// A partition of the last logins of a workspace.
#[must_use]
pub fn last_logins_partition(kind: &str, workspace: WorkspaceId, shard: u8) -> String {
    format!("{kind}#{workspace}#{SEEN}#{shard}")
}

fn index_row(kind: &str, workspace: WorkspaceId, main: &RowKey, id: Uuid, day: &str) -> IndexRow {
    let shard = id.as_bytes()[15] % SHARDS;
    IndexRow {
        key: RowKey::new(main.pk.clone(), SEEN),
        attributes: BTreeMap::from([
            ("list", last_logins_partition(kind, workspace, shard)),
            (LOGIN_DAY, format!("{day}#{id}")),
        ]),
        unique: false,
    }
}

/// The row beside a device that was last seen at a time.
pub(crate) fn device_seen(workspace: WorkspaceId, id: DeviceId, at: Time) -> IndexRow {
    index_row(devices::DEVICES, workspace, &devices::device_key(workspace, id), id.0, &login_day(id, at))
}

/// The row beside a user. A user's row follows with the first check-in of each device's day, so the entries of users
/// move when those of their devices do.
pub(crate) fn user_seen(workspace: WorkspaceId, id: UserId, at: Time) -> IndexRow {
    index_row(users::USERS, workspace, &users::user_key(workspace, id), id.0, &at.day())
}

impl Commit {
    /// Moves a user's "last seen" time, which no version guards. Fails if the user is missing.
    #[must_use]
    pub fn record_last_seen(self, workspace: WorkspaceId, user: UserId, now: Time) -> Self {
        let index_row = user_seen(workspace, user, now);
        self.set_time(&users::user_key(workspace, user), "last_seen_at", now, None, &index_row)
    }

    /// Records the first login of a device's day, for its user as well, without new versions.
    fn first_login(id: EventId, device: &Device, now: Time) -> Self {
        let index_row = device_seen(device.workspace_id, device.device_id, now);
        Self::without_event(id)
            .set_time(&device.key(), "last_login_at", now, Some(device.version), &index_row)
            .record_last_seen(device.workspace_id, device.user_id, now)
    }
}

impl Table {
    /// Records the login of a device that was read; the first of its day also for the user. `id` identifies the commit.
    /// False if the device's row has changed since.
    pub async fn record_login_time(&self, device: &Device, now: Time, id: EventId) -> Result<bool, Error> {
        if !is_first_of_day(device.device_id, device.last_login_at, now) {
            return self.record_later_login(device, now).await;
        }
        match self.commit(Commit::first_login(id, device, now)).await {
            Err(Error::Conflict) => Ok(false),
            outcome => outcome.map(|_| true),
        }
    }
}

/// True if an entry of the index is the row's own: not one that was read before the row changed.
pub(crate) fn is_entry_of<R: Row>(entry: &Item, row: &R) -> bool {
    let has_former = stored(row).is_some_and(|stored| stored.contains_key(LOGIN_DAY));
    !has_former && row.index_rows().iter().any(|index_row| index_row.key.sk == SEEN && index_row.is_in(entry))
}
