//! Shards of a day's events.

use std::collections::BTreeSet;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::{EventId, WorkspaceId};
use crate::stored::Stored;

/// The most shards of a day.
pub const MOST_SHARDS: u8 = 64;

/// How long a writer goes by a number of shards that it has read.
pub const KNOWN_FOR: Duration = Duration::seconds(20);

/// The number of shards over which a workspace's events of a day are spread. It only grows, so that an event is in one
/// of the shards of its day whichever number its writer knew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventShards {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// The number of shards, a power of two.
    pub shards: u8,
    /// Time of the last raise.
    pub raised_at: Time,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// How long after a raise writers still go by the number before it: a reader that has read that number just before the
/// raise then reads all shards in which there is something.
pub const READERS_FOLLOW: Duration = Duration::seconds(5);

impl EventShards {
    /// The number by which an event is written at this time.
    #[must_use]
    pub fn for_writer(&self, at: Time) -> u8 {
        if at < self.raised_at.plus(READERS_FOLLOW) { self.shards.div_ceil(2) } else { self.shards }
    }
}

/// The shard of an event among this many.
#[must_use]
pub fn shard_of(id: EventId, shards: u8) -> u8 {
    // Identifiers end in random bits.
    id.0.as_bytes()[15] % shards.max(1)
}

/// The shards in which an event of a day with this many may be, whichever number its writer knew.
#[must_use]
pub fn possible_shards(id: EventId, shards: u8) -> BTreeSet<u8> {
    let known = std::iter::successors(Some(1_u8), |known| known.checked_mul(2)).take_while(|known| *known <= shards);
    known.map(|known| shard_of(id, known)).collect()
}
