//! Due work: rows with a time, found by `run-due`, `purge-deleted` and `deliver-webhook` in a sharded sparse index.

use chrono::Duration;
use domain::Time;
use domain::error::Error;
use domain::models::command::Command;
use domain::models::device::{Device, PushToken};
use domain::models::job::Job;
use domain::models::offer::Offer;
use domain::models::restriction::Deleted;
use domain::models::source::DataSource;
use domain::models::user::User;
use domain::models::webhook::{Delivery, Webhook};
use domain::models::workspace::Workspace;
use sha2::{Digest as _, Sha256};

use crate::item::RowKey;
use crate::list::{Position, Range, Source};
use crate::table::Table;

/// Number of partitions of the index of due work.
pub const DUE_SHARDS: u8 = 16;

/// A partition of the work of `run-due`.
#[must_use]
pub fn due_shard(shard: u8) -> String {
    format!("DUE#{shard:02}")
}

/// A partition of the work of `purge-deleted`.
#[must_use]
pub fn purge_shard(shard: u8) -> String {
    format!("PURGE#{shard:02}")
}

/// A partition of the work of `deliver-webhook`.
#[must_use]
pub fn calls_shard(shard: u8) -> String {
    format!("CALLS#{shard:02}")
}

/// The index attributes by which `deliver-webhook` finds a row.
pub(crate) fn due_call_attributes(key: &RowKey, at: Time) -> Vec<(&'static str, String)> {
    vec![("due_shard", calls_shard(shard_of(key))), ("due_at", at.to_string())]
}

/// The index attributes by which `run-due` finds a row.
pub(crate) fn due_attributes(key: &RowKey, at: Time) -> Vec<(&'static str, String)> {
    vec![("due_shard", due_shard(shard_of(key))), ("due_at", at.to_string())]
}

/// The index attributes by which a deleted object is listed and found by `purge-deleted`.
pub(crate) fn deleted_attributes(key: &RowKey, end: &Deleted) -> [(&'static str, String); 3] {
    [
        ("deleted_at", end.at.to_string()),
        ("due_shard", purge_shard(shard_of(key))),
        ("due_at", end.purge_after.to_string()),
    ]
}

pub(crate) fn shard_of(key: &RowKey) -> u8 {
    Sha256::digest(format!("{}/{}", key.pk, key.sk))[0] % DUE_SHARDS
}

/// A row that is due.
#[derive(Clone, Debug)]
pub enum DueRow {
    /// A deleted device whose retention has ended.
    Device(Box<Device>),
    /// An invitation that has expired.
    Offer(Box<Offer>),
    /// A push token whose endpoint must be checked.
    PushToken(PushToken),
    /// A command that has expired, or must be delivered again.
    Command(Box<Command>),
    /// A job that must be resumed.
    Job(Box<Job>),
    /// A deleted user whose retention has ended, or a user with a deployment that is due.
    User(Box<User>),
    /// A workspace whose rule for silent devices must be applied.
    Workspace(Box<Workspace>),
    /// A source with a scheduled sync.
    Source(Box<DataSource>),
    /// A webhook with an expired former secret.
    Webhook(Box<Webhook>),
    /// A delivery with a due attempt.
    Delivery(Box<Delivery>),
}

/// A page of due work.
#[derive(Debug)]
pub struct DuePage {
    /// The rows, each with its key for logs.
    pub rows: Vec<(RowKey, Result<Option<DueRow>, Error>)>,
    /// Position of the next page.
    pub next: Option<Position>,
}

impl Table {
    /// Up to `limit` due rows of a shard, the longest overdue first, after the last page. An unreadable row is
    /// in the page as an error.
    pub async fn due(&self, shard: &str, now: Time, start: Option<Position>, limit: usize) -> Result<DuePage, Error> {
        let (keys, next) = self.due_keys(shard, now, start, limit).await?;
        Ok(DuePage { rows: self.due_rows(keys).await?, next })
    }

    /// The same, but only the rows' keys, which costs little.
    pub async fn due_keys(
        &self,
        shard: &str,
        now: Time,
        start: Option<Position>,
        limit: usize,
    ) -> Result<(Vec<RowKey>, Option<Position>), Error> {
        let source = Source {
            index: Some("due"),
            partition: ("due_shard", shard.to_owned()),
            order: "due_at",
            range: Range::Below(now.plus(Duration::milliseconds(1)).to_string()),
            descending: false,
        };
        let (items, next) = self.query(&source, limit, start.as_ref()).await?;
        Ok((items.iter().filter_map(RowKey::of).collect(), next))
    }

    /// The rows with these keys, in that order. An unreadable row is an error of its own.
    pub async fn due_rows(&self, keys: Vec<RowKey>) -> Result<Vec<(RowKey, Result<Option<DueRow>, Error>)>, Error> {
        let found = self.get_many(keys.clone()).await?;
        let read = |key: RowKey| {
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
                _ => found.row(&key).map(|row| row.map(|invitation| DueRow::Offer(Box::new(invitation)))),
            };
            (key, row)
        };
        Ok(keys.into_iter().map(read).collect())
    }
}
