//! Usage of a user per month.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::{UserId, WorkspaceId};
use crate::input::Fields;
use crate::stored::Stored;
use crate::string_enum::string_enum;

string_enum! {
    /// What is counted.
    stored UsageKind {
        /// Messages that the user has sent.
        MessagesSent = "messages_sent",
        /// Messages that the user has received.
        MessagesReceived = "messages_received",
        /// Messages that were archived.
        MessagesArchived = "messages_archived",
        /// Bytes of attachments.
        AttachmentBytes = "attachment_bytes",
        /// Calls.
        Calls = "calls",
    }
}

/// The most that one report may add to a count; more is an error of the app.
const COUNT_LIMIT: i64 = 1_000_000_000_000;

/// Characters of a month: `2026-11`.
const MONTH_LENGTH: usize = 7;

/// The number of shards of a workspace's totals, each a row of a month: transactions that write one row at the same time
/// conflict, so the reports of many phones are spread over many rows.
pub const TOTAL_SHARDS: u16 = 256;

/// Counts by kind.
pub type Counts = BTreeMap<UsageKind, u64>;

/// A report of the usage since the previous one.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageReport {
    /// Increases with each report of an enrolment; a repeated report adds nothing.
    pub sequence: u64,
    /// The usage.
    pub counts: Counts,
}

impl UsageReport {
    /// Reads `usage`, if it was sent: an object with `sequence` and counts.
    pub fn read(fields: &mut Fields) -> Option<Self> {
        let mut usage = fields.object("usage")?;
        let sequence = usage.integer("sequence", 1, i64::MAX);
        usage.require("sequence");
        let mut counts = Counts::new();
        for kind in UsageKind::ALL {
            if let Some(count) =
                usage.integer(kind.as_str(), 0, COUNT_LIMIT).and_then(|count| u64::try_from(count).ok())
                && count > 0
            {
                counts.insert(*kind, count);
            }
        }
        fields.take_errors_of("usage", usage);
        Some(Self { sequence: u64::try_from(sequence?).ok()?, counts })
    }
}

/// The month of a time, `YYYY-MM`. Usage counts in the month in which it is reported.
#[must_use]
pub fn month(at: Time) -> String {
    let mut day = at.day();
    day.truncate(MONTH_LENGTH);
    day
}

/// Whose usage a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageScope {
    /// One user's.
    User(UserId),
    /// A shard of the workspace's.
    Shard(u8),
}

impl UsageScope {
    /// The shard of the workspace's totals to which a user belongs. Users' identifiers end in random bits, so their
    /// reports are spread evenly, and what counts a report again, as after a conflict, needs no other shard.
    #[must_use]
    pub fn shard_of(user: UserId) -> Self {
        Self::Shard(user.0.as_bytes()[15])
    }
}

/// The usage of a month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Whose usage it is.
    pub of: UsageScope,
    /// The month, `YYYY-MM`.
    pub month: String,
    /// The counts.
    pub counts: Counts,
    /// Version for optimistic locking. Adding counts does not increase it.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

impl Usage {
    /// The counts of a report, to be added to the row.
    #[must_use]
    pub fn of_report(workspace_id: WorkspaceId, of: UsageScope, at: Time, report: &UsageReport) -> Self {
        let (month, counts) = (month(at), report.counts.clone());
        Self { workspace_id, of, month, counts, version: 1, stored: Stored::default() }
    }
}

/// Adds counts to others.
pub fn add(to: &mut Counts, more: &Counts) {
    for (kind, count) in more {
        let sum = to.entry(*kind).or_default();
        *sum = sum.saturating_add(*count);
    }
}
