//! The number of shards of a day's events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use domain::error::Error;
use domain::models::event::Event;
use domain::models::event_shards::{EventShards, KNOWN_FOR, MOST_SHARDS};
use domain::rules::event_shards::{days_of_raise, raise};
use domain::{EventId, Time, WorkspaceId};

use crate::commit::Commit;
use crate::item::{Item, Row, RowKey, from_item, keeps_stored_row, log_unreadable};
use crate::list::{Range, Source};
use crate::table::Table;

keeps_stored_row!(EventShards);

/// The most commits that go by a number that was read: the events of a long run may all have the time of its beginning.
const KEPT_COMMITS: u32 = 100;
/// The most days of which a process keeps the number.
const KEPT_DAYS: usize = 1_000;
/// The most days of one query.
const DAYS_AT_ONCE: usize = 1_000;

/// The key of the shards of a day.
#[must_use]
pub fn event_shards_key(workspace: WorkspaceId, day: &str) -> RowKey {
    RowKey::new(event_shards_partition(workspace), day)
}

fn event_shards_partition(workspace: WorkspaceId) -> String {
    format!("EVENTS#{workspace}")
}

impl Row for EventShards {
    fn key(&self) -> RowKey {
        event_shards_key(self.workspace_id, &self.day)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// The number of shards by day; a day that is not in it has one.
#[derive(Debug, Default)]
pub(crate) struct ShardsByDay(BTreeMap<String, u8>);

impl ShardsByDay {
    fn of_items<'a>(items: impl Iterator<Item = &'a Item>) -> Self {
        let shards = |item: &Item| {
            let key = RowKey::of(item)?;
            let row = from_item::<EventShards>(item.clone()).inspect_err(|_| log_unreadable(&key));
            // If the number is unreadable, the events of the day are still found.
            Some((key.sk, row.map_or(MOST_SHARDS, |row| row.shards)))
        };
        Self(items.filter_map(shards).collect())
    }

    /// The number of shards of a day.
    pub fn of(&self, day: &str) -> u8 {
        self.0.get(day).copied().unwrap_or(1)
    }

    /// The largest number of shards of these days.
    pub fn most(&self) -> u8 {
        self.0.values().copied().max().unwrap_or(1)
    }
}

/// A day of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventDay {
    workspace: WorkspaceId,
    day: String,
}

impl EventDay {
    pub fn of(event: &Event) -> Self {
        Self { workspace: event.workspace_id, day: event.created_at.day() }
    }
}

/// A number of shards that was read.
#[derive(Clone, Copy, Debug)]
struct Kept {
    shards: u8,
    /// Time of the event for which it was read.
    at: Time,
    /// Commits that went by it.
    commits: u32,
}

impl Kept {
    fn holds_at(&self, at: Time) -> bool {
        self.commits < KEPT_COMMITS && at < self.at.plus(KNOWN_FOR) && self.at < at.plus(KNOWN_FOR)
    }
}

/// The numbers of shards that a process has read lately. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptShards(Arc<Mutex<BTreeMap<EventDay, Kept>>>);

impl KeptShards {
    /// The number for one more commit.
    fn take(&self, day: &EventDay) -> Option<Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_mut(day)?;
        kept.commits += 1;
        Some(*kept)
    }

    fn keep(&self, day: EventDay, shards: u8, at: Time) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_DAYS {
            kept.clear();
        }
        kept.insert(day, Kept { shards, at, commits: 0 });
    }
}

impl Table {
    /// Puts the new events of a commit into shards. By an earlier number of shards they are found as well, so this
    /// never fails.
    pub(crate) async fn in_event_shards(&self, commit: Commit) -> Commit {
        let mut shards = BTreeMap::new();
        for (day, at) in commit.event_days() {
            let number = self.event_shards_at(&day, at).await;
            shards.insert(day, number);
        }
        commit.in_shards(&shards)
    }

    async fn event_shards_at(&self, day: &EventDay, at: Time) -> u8 {
        let kept = self.kept_shards.take(day);
        if let Some(kept) = kept.filter(|kept| kept.holds_at(at)) {
            return kept.shards;
        }
        match self.get::<EventShards>(&event_shards_key(day.workspace, &day.day)).await {
            Ok(row) => {
                let shards = row.map_or(1, |row| row.for_writer(at));
                self.kept_shards.keep(day.clone(), shards, at);
                shards
            }
            Err(error) => {
                tracing::warn!(%error, "the number of shards of a day's events was not read");
                kept.map_or(1, |kept| kept.shards)
            }
        }
    }

    /// Doubles the shards of the day of these events, of which a partition was busy at `seen_at`; see [`raise`].
    ///
    /// # Errors
    /// `Conflict` if it was raised at the same time.
    pub async fn raise_event_shards(
        &self,
        workspace: WorkspaceId,
        (day, seen_at): (Time, Time),
        most: u8,
        (now, id): (Time, EventId),
    ) -> Result<(), Error> {
        let keys = days_of_raise(day).map(|day| event_shards_key(workspace, &day)).collect();
        let rows = self.rows_with::<EventShards>(keys).await?.into_iter();
        let known = rows.map(|row| (row.day.clone(), row)).collect();
        let raised = raise(&known, workspace, (day, seen_at), most, now);
        if raised.is_empty() {
            return Ok(());
        }
        let commit = raised.iter().fold(Commit::without_event(id), Commit::apply);
        self.commit(commit).await.map(drop)
    }

    /// The number of shards of each of these days.
    pub(crate) async fn event_shards_of(
        &self,
        workspace: WorkspaceId,
        days: impl Iterator<Item = String>,
    ) -> Result<ShardsByDay, Error> {
        let days: BTreeSet<String> = days.collect();
        let found = self.get_many(days.iter().map(|day| event_shards_key(workspace, day))).await?;
        Ok(ShardsByDay::of_items(days.iter().filter_map(|day| found.item(&event_shards_key(workspace, day)))))
    }

    /// The number of shards of each day from the first to the last, both inclusive.
    pub(crate) async fn event_shards_between(
        &self,
        workspace: WorkspaceId,
        first: &str,
        last: &str,
    ) -> Result<ShardsByDay, Error> {
        let source = Source {
            range: Range::Between(first.to_owned(), last.to_owned()),
            ..Source::in_partition(event_shards_partition(workspace), "")
        };
        let mut shards = ShardsByDay::default();
        let mut start = None;
        loop {
            let (items, next) = self.query(&source, DAYS_AT_ONCE, start.as_ref()).await?;
            shards.0.extend(ShardsByDay::of_items(items.iter()).0);
            start = next;
            if start.is_none() {
                return Ok(shards);
            }
        }
    }
}
