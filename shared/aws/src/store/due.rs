//! What is due: rows with a time, found by `run-due`, `purge-deleted` and `deliver-webhook` in a sparse index of shards.

use chrono::Duration;
use domain::Time;
use domain::error::Error;
use domain::models::command::Command;
use domain::models::device::{Device, PushToken};
use domain::models::invitation::Invitation;
use domain::models::job::Job;
use domain::models::restriction::Deleted;
use domain::models::source::DataSource;
use domain::models::user::User;
use domain::models::webhook::{Delivery, Webhook};
use domain::models::workspace::Workspace;
use sha2::{Digest as _, Sha256};

use crate::item::Key;
use crate::list::{Position, Range, Source};
use crate::table::Table;

/// How many partitions the index of what is due is spread over.
pub const DUE_SHARDS: u8 = 16;

/// A partition of what `run-due` drives.
#[must_use]
pub fn due_shard(shard: u8) -> String {
    format!("DUE#{shard:02}")
}

/// A partition of what `purge-deleted` drives.
#[must_use]
pub fn purge_shard(shard: u8) -> String {
    format!("PURGE#{shard:02}")
}

/// A partition of what `deliver-webhook` drives.
#[must_use]
pub fn calls_shard(shard: u8) -> String {
    format!("CALLS#{shard:02}")
}

/// The attributes by which `deliver-webhook` finds a row.
pub(crate) fn due_call_attributes(key: &Key, at: Time) -> Vec<(&'static str, String)> {
    vec![("due_shard", calls_shard(shard_of(key))), ("due_at", at.to_string())]
}

/// The attributes by which `run-due` finds a row.
pub(crate) fn due_attributes(key: &Key, at: Time) -> Vec<(&'static str, String)> {
    vec![("due_shard", due_shard(shard_of(key))), ("due_at", at.to_string())]
}

/// The attributes by which a deleted thing is listed and found by `purge-deleted`.
pub(crate) fn deleted_attributes(key: &Key, end: &Deleted) -> [(&'static str, String); 3] {
    [
        ("deleted_at", end.at.to_string()),
        ("due_shard", purge_shard(shard_of(key))),
        ("due_at", end.purge_after.to_string()),
    ]
}

pub(crate) fn shard_of(key: &Key) -> u8 {
    Sha256::digest(format!("{}/{}", key.pk, key.sk))[0] % DUE_SHARDS
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
    /// A source that is read by schedule.
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
    /// Position of the next page.
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
