//! What consumers and schedules keep of their own work.

use chrono::Duration;
use domain::command::Command;
use domain::device::{Device, PushToken};
use domain::error::Error;
use domain::invitation::Invitation;
use domain::job::Job;
use domain::source::DataSource;
use domain::user::User;
use domain::webhook::{Delivery, Webhook};
use domain::workspace::Workspace;
use domain::{EventId, Time};

use crate::commit::Commit;
use crate::item::Key;
use crate::list::{Position, Range, Source};
use crate::rows::{self, Lease};
use crate::table::Table;

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
        let before: Option<Lease> = self.get(&rows::lease(consumer, event)).await?;
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

/// A row that is due.
#[derive(Clone, Debug)]
pub enum DueRow {
    /// A deleted device whose retention is over.
    Device(Box<Device>),
    /// An invitation whose time is over.
    Invitation(Box<Invitation>),
    /// A push token whose endpoint is not settled.
    PushToken(PushToken),
    /// A command whose time is over.
    Command(Box<Command>),
    /// A job that is at work.
    Job(Box<Job>),
    /// A deleted user whose retention is over.
    User(Box<User>),
    /// A workspace whose rule for silent devices is to be applied.
    Workspace(Box<Workspace>),
    /// A data set that is read by schedule.
    Source(Box<DataSource>),
    /// A webhook with an earlier secret to forget.
    Webhook(Box<Webhook>),
    /// A delivery that is to be tried again.
    Delivery(Box<Delivery>),
}

/// A page of what is due.
#[derive(Debug)]
pub struct DuePage {
    /// The rows, each with its key for the log.
    pub rows: Vec<(Key, Result<Option<DueRow>, Error>)>,
    /// Where it goes on.
    pub next: Option<Position>,
}

impl Table {
    /// So many rows of a shard that are due, the longest overdue first, from where the last page
    /// ended. A row that cannot be read is in the page as its error.
    pub async fn due(&self, shard: &str, now: Time, start: Option<Position>, limit: usize) -> Result<DuePage, Error> {
        let source = Source {
            index: Some("due"),
            partition: ("due_shard", shard.to_owned()),
            order: "due_at",
            range: Range::Below(now.plus(Duration::milliseconds(1)).to_string()),
            descending: false,
        };
        let (items, next) = self.query(&source, limit, start.as_ref()).await?;
        let keys: Vec<Key> = items.iter().filter_map(Key::of).collect();
        let found = self.get_many(keys.clone()).await?;
        let read = |key: Key| {
            let (kind, _) = key.sk.split_once('#').unwrap_or((&key.sk, ""));
            let row = match kind {
                "DEVICE" => found.row(&key).map(|row| row.map(|device| DueRow::Device(Box::new(device)))),
                "PUSH" => found.row(&key).map(|row| row.map(DueRow::PushToken)),
                "COMMAND" => found.row(&key).map(|row| row.map(|command| DueRow::Command(Box::new(command)))),
                "JOB" => found.row(&key).map(|row| row.map(|job| DueRow::Job(Box::new(job)))),
                "USER" => found.row(&key).map(|row| row.map(|user| DueRow::User(Box::new(user)))),
                "WORKSPACE" => found.row(&key).map(|row| row.map(|workspace| DueRow::Workspace(Box::new(workspace)))),
                "SOURCE" => found.row(&key).map(|row| row.map(|source| DueRow::Source(Box::new(source)))),
                "WEBHOOK" => found.row(&key).map(|row| row.map(|webhook| DueRow::Webhook(Box::new(webhook)))),
                "DELIVERY" => found.row(&key).map(|row| row.map(|delivery| DueRow::Delivery(Box::new(delivery)))),
                _ => found.row(&key).map(|row| row.map(|invitation| DueRow::Invitation(Box::new(invitation)))),
            };
            (key, row)
        };
        Ok(DuePage { rows: keys.into_iter().map(read).collect(), next })
    }
}
