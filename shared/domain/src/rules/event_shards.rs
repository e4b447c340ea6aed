//! When a workspace's events of a day are spread over more shards.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::clock::Time;
use crate::ids::WorkspaceId;
use crate::models::event_shards::{EventShards, KNOWN_FOR, MOST_SHARDS, READERS_FOLLOW};
use crate::rules::change::RowChange;
use crate::stored::Stored;

/// The events of one partition in one second that call for more shards. An event takes two to four of the 1,000 write
/// units that a partition has a second ("Best practices for designing and using partition keys effectively"), so this
/// is a fifth of what it can take, or less.
pub const BUSY: usize = 50;

/// The days on which a raise has an effect, from `day` on: as many as halve the most shards down to one.
pub fn days_of_raise(day: Time) -> impl Iterator<Item = String> {
    (0..=i64::from(MOST_SHARDS.ilog2())).map(move |later| day.plus(Duration::days(later)).day())
}

/// Doubles the shards of a day, of which a partition was busy at `seen_at`. The next day begins with as many, and each
/// day after that with half as many as the one before it, unless it has more already: a busy workspace does not begin
/// each day with one shard, and one that has become quiet comes back to it. `known` are the rows of
/// [`days_of_raise`] by day.
///
/// None if the day has `most` shards, or if its writers may not have followed the last raise yet.
#[must_use]
pub fn raise(
    known: &BTreeMap<String, EventShards>,
    workspace_id: WorkspaceId,
    (day, seen_at): (Time, Time),
    most: u8,
    now: Time,
) -> Vec<RowChange<EventShards>> {
    let today = known.get(&day.day());
    let shards = today.map_or(1, |today| today.shards).saturating_mul(2);
    let has_settled = today.is_none_or(|today| today.raised_at.plus(READERS_FOLLOW).plus(KNOWN_FOR) < seen_at);
    if shards > most.min(MOST_SHARDS) || !has_settled {
        return Vec::new();
    }
    let numbers = std::iter::once(shards).chain(std::iter::successors(Some(shards), |before| Some(before / 2)));
    let new = |day| EventShards { workspace_id, day, shards: 1, raised_at: now, version: 1, stored: Stored::default() };
    let raised = |(day, shards): (String, u8)| {
        let before = known.get(&day).cloned();
        let row = before.clone().unwrap_or_else(|| new(day));
        (row.shards < shards).then(|| RowChange { before, after: EventShards { shards, raised_at: now, ..row } })
    };
    days_of_raise(day).zip(numbers).filter_map(raised).collect()
}
