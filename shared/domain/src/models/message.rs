//! How many messages go out, and to whom.
//!
//! What makes a message due counts it in the same commit, in two rows: the messages of its kind to its recipient, and
//! a part of the workspace's day. Both are guarded by the version at which they were read, so that DynamoDB itself
//! refuses what goes beyond, whatever path or race it comes by. `infra/decisions/message-limits.md` says why so.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::{DomainError, MessageLimit, RetryAfter};
use crate::ids::WorkspaceId;
use crate::models::invitation::{Channel, Purpose};
use crate::models::user::User;
use crate::secret::Hash;
use crate::stored::Stored;

/// The least time between two messages of a kind to a recipient.
pub const RECIPIENT_PAUSE: Duration = Duration::minutes(1);

/// The most messages of a kind to a recipient within 24 hours.
pub const RECIPIENT_DAILY: usize = 5;

/// How many rows a workspace's day is counted in, so that many messages at once do not wait for one row.
pub const QUOTA_SHARDS: u8 = 16;

/// What the operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessagePolicy {
    /// The most e-mails of a workspace a day (UTC).
    pub emails_per_day: u32,
    /// The most texts of a workspace a day (UTC).
    pub texts_per_day: u32,
    /// How the numbers begin that texts may go to, such as `+49`; none if there are no texts.
    pub calling_codes: Vec<String>,
}

impl MessagePolicy {
    /// Lets pass a number (E.164) that texts may go to.
    ///
    /// # Errors
    /// `TextsOff`, `CallingCodeNotAllowed`.
    pub fn require_textable(&self, number: &str) -> Result<(), DomainError> {
        if self.calling_codes.is_empty() {
            Err(DomainError::TextsOff)
        } else if self.calling_codes.iter().any(|code| number.starts_with(code.as_str())) {
            Ok(())
        } else {
            Err(DomainError::CallingCodeNotAllowed)
        }
    }
}

/// To whom messages of a kind go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// By a hash of the address or the number, in its plain form: whoever has two users has one limit.
    pub hash: Hash,
    /// What it is for: registering, or deploying.
    pub purpose: Purpose,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
}

impl Recipient {
    /// A user, as messages reach them; `None` if they do not.
    #[must_use]
    pub fn of(user: &User, purpose: Purpose, channel: Channel) -> Option<Self> {
        let address = match channel {
            Channel::Email => user.email.as_deref()?,
            Channel::Sms => user.mobile.as_deref()?,
            Channel::Unknown(_) => return None,
        };
        // With the workspace, so that a hash says nothing of another workspace's.
        let hash = Hash::of(format!("{}|{}", user.workspace_id, address.to_lowercase()));
        Some(Self { workspace_id: user.workspace_id, hash, purpose, channel })
    }
}

/// The messages of a kind that went to a recipient lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientHistory {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// See [`Recipient::hash`].
    pub recipient: Hash,
    /// What it is for: registering, or deploying.
    pub purpose: Purpose,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
    /// When each was made due, the oldest first: those of 24 hours.
    pub at: Vec<Time>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// The messages of a channel that a part of a workspace's day has counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DailyCount {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
    /// Which part of the day's quota.
    pub shard: u8,
    /// The day (UTC), `YYYY-MM-DD`.
    pub day: String,
    /// The number.
    pub count: u32,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// A workspace's day: each of its parts has a share of the quota, and all shares together are the quota. So whoever
/// finds room in one part needs to know of no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyQuota {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The channel: e-mail or SMS.
    pub channel: Channel,
    /// The day (UTC), `YYYY-MM-DD`.
    pub day: String,
    /// The quota.
    pub per_day: u32,
}

impl DailyQuota {
    /// A part that has counted none.
    pub(crate) fn part(&self, shard: u8) -> DailyCount {
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

    /// The refusal once no part has room: the next day begins anew.
    #[must_use]
    pub fn reached(&self, now: Time) -> DomainError {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        let tomorrow = (now.millis().div_euclid(DAY) + 1) * DAY;
        let until = Time::from_millis(tomorrow).unwrap_or(now);
        DomainError::TooManyMessages(RetryAfter::new(MessageLimit::Workspace, until, now))
    }
}
