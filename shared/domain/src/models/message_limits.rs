//! Limits on messages: the operator's policy, what was sent, and the rates of sending.
//!
//! The commit that makes a message due also counts it in two rows: the messages of its kind to its recipient,
//! and one shard of the workspace's day. Both rows are guarded by the version at which they were read, so that
//! DynamoDB itself refuses a message beyond the limits, whatever the path or the race.
//! `infra/decisions/message-limits.md` has the reasons.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::{DomainError, MessageLimit, RetryAfter};
use crate::ids::WorkspaceId;
use crate::models::offer::{Channel, Purpose};
use crate::models::user::User;
use crate::secret::Hash;
use crate::stored::Stored;

/// The shortest time between two messages of a kind to a recipient.
pub const RECIPIENT_PAUSE: Duration = Duration::minutes(1);

/// The most messages of a kind to a recipient within 24 hours.
pub const RECIPIENT_DAILY: usize = 5;

/// How many rows count a workspace's day, so that messages sent at once do not compete for one row.
pub const QUOTA_SHARDS: u8 = 128;

/// The operator's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessagePolicy {
    /// The most e-mails of a workspace per day (UTC).
    pub emails_per_day: u32,
    /// The most texts of a workspace per day (UTC).
    pub texts_per_day: u32,
    /// Calling codes that texts may go to, such as `+49`; empty if texts are off.
    pub calling_codes: Vec<String>,
}

impl MessagePolicy {
    /// Checks that texts may go to a number (E.164).
    ///
    /// # Errors
    /// `TextsOff`, `CallingCodeNotAllowed`.
    pub fn require_texts_allowed(&self, number: &str) -> Result<(), DomainError> {
        if self.calling_codes.is_empty() {
            Err(DomainError::TextsOff)
        } else if self.calling_codes.iter().any(|code| number.starts_with(code.as_str())) {
            Ok(())
        } else {
            Err(DomainError::CallingCodeNotAllowed)
        }
    }
}

/// The rates at which SES and SNS accept this account's messages, shared by all runs that send. There are as many runs as
/// e-mails a second, and each takes its time for a message, so that together they reach a rate and do not exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendingRates {
    /// E-mails a second.
    pub emails_per_second: u32,
    /// Texts a second.
    pub texts_per_second: u32,
}

/// The fewest concurrent runs that a queue's event source can be limited to (`ScalingConfig`, AWS CloudFormation).
const FEWEST_RUNS: u32 = 2;

/// The longest time that a run takes for a message, well within its time limit.
const LONGEST_TIME: Duration = Duration::seconds(10);

impl SendingRates {
    /// The most concurrent runs.
    #[must_use]
    pub fn runs(self) -> u32 {
        self.emails_per_second.max(FEWEST_RUNS)
    }

    /// How long a run takes at least for a message of a channel, from the call to SES or SNS on.
    #[must_use]
    pub fn time_per_message(self, channel: &Channel) -> Duration {
        let rate = match channel {
            Channel::Email => self.emails_per_second,
            Channel::Sms => self.texts_per_second,
            Channel::Unknown(_) => return Duration::zero(),
        };
        let milliseconds = (1000 * u64::from(self.runs())).div_ceil(u64::from(rate.max(1)));
        Duration::milliseconds(milliseconds.cast_signed()).min(LONGEST_TIME)
    }
}

/// A recipient of messages of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Hash of the normalized address or number, so that two users with one address share one limit.
    pub hash: Hash,
    /// Invitation or deployment.
    pub purpose: Purpose,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
}

impl Recipient {
    /// The recipient of messages to a user; `None` if the user has no address or number.
    #[must_use]
    pub fn of(user: &User, purpose: Purpose, channel: Channel) -> Option<Self> {
        let address = match channel {
            Channel::Email => user.email.as_deref()?,
            Channel::Sms => user.mobile.as_deref()?,
            Channel::Unknown(_) => return None,
        };
        // Salted by the workspace, so that equal hashes do not link recipients across workspaces.
        let hash = Hash::of(format!("{}|{}", user.workspace_id, address.to_lowercase()));
        Some(Self { workspace_id: user.workspace_id, hash, purpose, channel })
    }
}

/// The recent messages of a kind to a recipient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientHistory {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// See [`Recipient::hash`].
    pub recipient: Hash,
    /// Invitation or deployment.
    pub purpose: Purpose,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
    /// When each message was made due, oldest first, for the last 24 hours.
    pub at: Vec<Time>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// A shard of the count of a workspace's messages of a channel in a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DailyCount {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
    /// Number of the shard.
    pub shard: u8,
    /// The day (UTC), `YYYY-MM-DD`.
    pub day: String,
    /// Messages counted in this shard.
    pub count: u32,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// A workspace's daily quota of a channel. Each shard has a share, and the shares add up to the quota, so that
/// a message needs room in one shard only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyQuota {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
    /// The day (UTC), `YYYY-MM-DD`.
    pub day: String,
    /// The quota of the day.
    pub per_day: u32,
}

/// What limits a new message: the operator's policy, and what was sent before, as read from the store.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageLimits {
    /// The operator's policy.
    pub policy: MessagePolicy,
    /// The workspace's quota of the channel on the day of the message.
    pub quota: DailyQuota,
    /// The shards of the quota in the order in which they are tried.
    pub shards: Vec<u8>,
    /// Those of the shards that have counted a message.
    pub counts: Vec<DailyCount>,
    /// The recent messages of the kind to the recipient, if any.
    pub history: Option<RecipientHistory>,
}

impl DailyQuota {
    /// An empty shard.
    pub(crate) fn empty_shard(&self, shard: u8) -> DailyCount {
        DailyCount {
            workspace_id: self.workspace_id,
            channel: self.channel,
            shard,
            day: self.day.clone(),
            count: 0,
            version: 1,
            stored: Stored::default(),
        }
    }

    pub(crate) fn share(&self, shard: u8) -> u32 {
        let shards = u32::from(QUOTA_SHARDS);
        self.per_day / shards + u32::from(u32::from(shard) < self.per_day % shards)
    }

    /// The error once no shard has room; the quota starts again on the next day.
    #[must_use]
    pub fn quota_error(&self, now: Time) -> DomainError {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        let tomorrow = (now.millis().div_euclid(DAY) + 1) * DAY;
        let until = Time::from_millis(tomorrow).unwrap_or(now);
        DomainError::TooManyMessages(RetryAfter::new(MessageLimit::Workspace, until, now))
    }
}
