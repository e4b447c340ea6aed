//! What people have used: the user's balance, per month.

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
        /// Messages that went into the archive.
        MessagesArchived = "messages_archived",
        /// Bytes of what was attached to them.
        AttachmentBytes = "attachment_bytes",
        /// Calls.
        Calls = "calls",
    }
}

/// The most that one report adds to one count: beyond it, something is wrong with the app.
const MOST: i64 = 1_000_000_000_000;

/// The most bytes of the month's name: `2026-11`.
const MONTH_LENGTH: usize = 7;

/// How many shards a workspace's totals are spread over, so that many phones can report at once:
/// each report changes one of them, in its own commit.
pub const TOTAL_SHARDS: u8 = 64;

/// Counts by what is counted.
pub type Counts = BTreeMap<UsageKind, u64>;

/// A report of what was used since the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageReport {
    /// Goes up with each report of an enrolment; a repeated one adds nothing.
    pub sequence: u64,
    /// What was used.
    pub counts: Counts,
}

impl UsageReport {
    /// Reads `usage`: an object of `sequence` and counts, if it was sent.
    pub fn read(fields: &mut Fields) -> Option<Self> {
        let mut usage = fields.object("usage")?;
        let sequence = usage.integer("sequence", 1, i64::MAX);
        usage.require("sequence");
        let mut counts = Counts::new();
        for kind in UsageKind::ALL {
            if let Some(count) = usage.integer(kind.as_str(), 0, MOST).and_then(|count| u64::try_from(count).ok())
                && count > 0
            {
                counts.insert(*kind, count);
            }
        }
        fields.faults_of("usage", usage);
        Some(Self { sequence: u64::try_from(sequence?).ok()?, counts })
    }
}

/// The month of a moment, `YYYY-MM`: usage counts in the month in which it is reported.
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
    /// A part of the whole workspace's.
    Shard(u8),
}

impl UsageScope {
    /// The part of the workspace's totals in which a user counts.
    #[must_use]
    pub fn shard_of(user: UserId) -> Self {
        Self::Shard(user.0.as_bytes()[15] % TOTAL_SHARDS)
    }
}

/// What was used in a month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Of what it is the usage.
    pub of: UsageScope,
    /// The month, `YYYY-MM`.
    pub month: String,
    /// The counts.
    pub counts: Counts,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

impl Usage {
    /// The row after a report; a new one if there is none yet.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        workspace_id: WorkspaceId,
        of: UsageScope,
        month: &str,
        report: &UsageReport,
    ) -> Self {
        let new = || Self {
            workspace_id,
            of,
            month: month.to_owned(),
            counts: Counts::new(),
            version: 1,
            stored: Stored::default(),
        };
        let mut after = before.cloned().unwrap_or_else(new);
        add(&mut after.counts, &report.counts);
        after
    }
}

/// Adds counts to others.
pub fn add(to: &mut Counts, more: &Counts) {
    for (kind, count) in more {
        let sum = to.entry(*kind).or_default();
        *sum = sum.saturating_add(*count);
    }
}
