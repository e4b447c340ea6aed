//! Leases of consumers on events, so that each event is handled once.

use chrono::Duration;
use domain::error::Error;
use domain::{EventId, Time};
use serde::{Deserialize, Serialize};

use crate::commit::Commit;
use crate::item::{Key, Read, Row};
use crate::table::Table;

impl Read for Lease {}

/// The key of a consumer's lease of an event.
#[must_use]
pub fn lease_key(consumer: &str, event: EventId) -> Key {
    Key::new(format!("LEASE#{consumer}#{event}"), "LEASE")
}

/// A consumer's hold on an event, and then the mark that it is done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The consumer.
    pub consumer: String,
    /// The event.
    pub event_id: EventId,
    /// Until when nobody else takes it up.
    pub held_until: Time,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// When the row may go.
    pub forget_at: Time,
    /// Tells one hold from the next.
    pub version: u64,
}

impl Row for Lease {
    fn key(&self) -> Key {
        lease_key(&self.consumer, self.event_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.forget_at.seconds())
    }
}

/// How long a consumer's mark that it is done is kept: longer than a message can come again.
const REMEMBER: Duration = Duration::days(15);

/// What became of taking up an event.
#[derive(Debug)]
pub enum LeaseOutcome {
    /// It is this consumer's to do, until the lease ends.
    Yes(Lease),
    /// It was done before.
    Done,
    /// Another run is at it.
    Busy,
}

impl Table {
    /// Takes up an event, for so long. `Conflict` if another came first: whoever asks again
    /// learns whether that one has it.
    pub async fn take(
        &self,
        consumer: &str,
        event: EventId,
        hold: Duration,
        now: Time,
        new_id: EventId,
    ) -> Result<LeaseOutcome, Error> {
        let before: Option<Lease> = self.get(&lease_key(consumer, event)).await?;
        if before.as_ref().is_some_and(|lease| lease.done_at.is_some()) {
            return Ok(LeaseOutcome::Done);
        }
        if before.as_ref().is_some_and(|lease| lease.held_until > now) {
            return Ok(LeaseOutcome::Busy);
        }
        let lease = Lease {
            consumer: consumer.to_owned(),
            event_id: event,
            held_until: now.plus(hold),
            done_at: None,
            forget_at: now.plus(REMEMBER),
            version: before.as_ref().map_or(1, |lease| lease.version),
        };
        let commit = Commit::without_event(new_id);
        let commit = match &before {
            Some(before) => commit.edit(before, &lease),
            None => commit.put(&lease),
        };
        Table::commit(self, commit).await?;
        Ok(LeaseOutcome::Yes(Lease { version: before.map_or(1, |before| before.version + 1), ..lease }))
    }
}

impl Commit {
    /// Marks an event as done by its consumer, in the commit that records the outcome.
    #[must_use]
    pub fn done(self, lease: &Lease, now: Time) -> Self {
        self.edit(lease, &Lease { done_at: Some(now), ..lease.clone() })
    }
}
