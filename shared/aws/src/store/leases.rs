//! Leases of consumers on events, so that each event is handled once.

use chrono::Duration;
use domain::error::Error;
use domain::{EventId, Time};
use serde::{Deserialize, Serialize};

use crate::commit::Commit;
use crate::item::{Read, Row, RowKey};
use crate::table::Table;

impl Read for Lease {}

/// The key of a consumer's lease of an event.
#[must_use]
pub fn lease_key(consumer: &str, event: EventId) -> RowKey {
    RowKey::new(format!("LEASE#{consumer}#{event}"), "LEASE")
}

/// A consumer's lease of an event; once the event is handled, the record of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The consumer.
    pub consumer: String,
    /// The event.
    pub event_id: EventId,
    /// End of the lease: until then nobody else handles the event.
    pub held_until: Time,
    /// When it was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// When the row may be removed.
    pub forget_at: Time,
    /// Version for optimistic locking, different for each lease.
    pub version: u64,
}

impl Row for Lease {
    fn key(&self) -> RowKey {
        lease_key(&self.consumer, self.event_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.forget_at.seconds())
    }
}

/// How long the record that an event was handled is kept: longer than a message can be delivered again.
const RECORD_RETENTION: Duration = Duration::days(15);

/// The result of asking for a lease.
#[derive(Debug)]
pub enum LeaseOutcome {
    /// The consumer has the lease.
    Acquired(Lease),
    /// The event was handled before.
    Done,
    /// Another run has the lease.
    Busy,
}

impl Table {
    /// Takes a lease for a duration. `Conflict` if another run was faster; asking again tells whether that one
    /// has it.
    pub async fn take_lease(
        &self,
        consumer: &str,
        event: EventId,
        duration: Duration,
        now: Time,
        commit_id: EventId,
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
            held_until: now.plus(duration),
            done_at: None,
            forget_at: now.plus(RECORD_RETENTION),
            version: before.as_ref().map_or(1, |lease| lease.version),
        };
        let commit = Commit::without_event(commit_id);
        let commit = match &before {
            Some(before) => commit.edit(before, &lease),
            None => commit.put(&lease),
        };
        Table::commit(self, commit).await?;
        Ok(LeaseOutcome::Acquired(Lease { version: before.map_or(1, |before| before.version + 1), ..lease }))
    }
}

impl Commit {
    /// Records that the consumer has handled the event, in the commit of the outcome.
    #[must_use]
    pub fn complete_lease(self, lease: &Lease, now: Time) -> Self {
        self.edit(lease, &Lease { done_at: Some(now), ..lease.clone() })
    }
}
