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
use crate::item::{IndexRow, Item, Row, RowKey, list_partition, stored};
use crate::list::{Page, Position, Range, Source};
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

/// The order of a list.
pub(crate) enum Order {
    /// That of an index.
    By(Source),
    /// By the day of the last login.
    ByLastLogin(LastLogins),
}

/// The rows of a kind by the day of their last login, the latest first.
pub(crate) struct LastLogins {
    pub kind: &'static str,
    pub workspace: WorkspaceId,
    /// All with an earlier last login are in the list, and maybe some that logged in on that day.
    pub before: Time,
}

impl LastLogins {
    fn in_partition(&self, partition: String) -> Source {
        let day = self.before.plus(chrono::Duration::days(1)).day();
        Source { range: Range::Below(day), ..Source::newest_first("seen", ("list", partition), LOGIN_DAY) }
    }

    fn shards(&self) -> Vec<Source> {
        let partition = |shard| last_logins_partition(self.kind, self.workspace, shard);
        (0..SHARDS).map(|shard| self.in_partition(partition(shard))).collect()
    }

    /// The rows that still have the index attribute of the release before.
    fn not_replaced(&self) -> Source {
        self.in_partition(list_partition(self.kind, self.workspace))
    }

    /// The row that an entry leads to.
    fn main_row(&self, entry: &Item) -> Option<RowKey> {
        Some(RowKey { sk: self.kind.to_owned(), ..RowKey::of(entry)? })
    }
}

/// True if an entry of the index is the row's own: not one that was read before the row changed.
fn is_entry_of<R: Row>(entry: &Item, row: &R) -> bool {
    let has_former = stored(row).is_some_and(|stored| stored.contains_key(LOGIN_DAY));
    !has_former && row.index_rows().iter().any(|index_row| index_row.key.sk == SEEN && index_row.is_in(entry))
}

impl Table {
    /// A page of a list in its order.
    pub(crate) async fn ordered_page<R: Row>(
        &self,
        order: &Order,
        limit: usize,
        start: Option<Position>,
        accept: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        match order {
            Order::By(source) => self.page(source, limit, start, RowKey::of, |_, row| accept(row)).await,
            Order::ByLastLogin(list) => self.page_by_last_login(list, limit, start, accept).await,
        }
    }

    /// First the rows that still have the index attribute of the release before, then the others: a row that loses the
    /// attribute between two pages is still to come.
    async fn page_by_last_login<R: Row>(
        &self,
        list: &LastLogins,
        limit: usize,
        start: Option<Position>,
        accept: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        let former = list.not_replaced();
        let is_in_former = |at: &Position| at.is_in(&former);
        let mut page = Page { items: Vec::new(), next: None, unreadable: 0 };
        if start.as_ref().is_none_or(is_in_former) {
            page = self.page(&former, limit, start.clone(), RowKey::of, |_, row| accept(row)).await?;
            if page.next.is_none() && page.items.len() == limit {
                page.next = page.items.last().and_then(|last| Some(former.position_of(stored(last)?)));
            }
            if page.next.is_some() {
                return Ok(page);
            }
        }
        let start = start.filter(|at| !is_in_former(at));
        let is_wanted = |entry: &Item, row: &R| is_entry_of(entry, row) && accept(row);
        let to_row = |entry: &Item| list.main_row(entry);
        let rest = self.merged_page(&list.shards(), limit - page.items.len(), start, to_row, is_wanted).await?;
        page.items.extend(rest.items);
        Ok(Page { next: rest.next, unreadable: page.unreadable + rest.unreadable, ..page })
    }
}
