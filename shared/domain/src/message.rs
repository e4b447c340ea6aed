//! How many messages go out, and to whom.
//!
//! What makes a message due counts it in the same commit, in two rows: the messages of its kind to its recipient, and
//! a part of the workspace's day. Both are guarded by the version at which they were read, so that DynamoDB itself
//! refuses what goes beyond, whatever path or race it comes by. `infra/decisions/message-limits.md` says why so.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::change::RowChange;
use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::WorkspaceId;
use crate::input::Fields;
use crate::invitation::{Channel, Purpose};
use crate::secret::Hash;
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::user::User;
use crate::workspace::{Settings, WorkspaceEdit};

/// The least time between two messages of a kind to a recipient.
pub const RECIPIENT_PAUSE: Duration = Duration::minutes(1);
/// The most messages of a kind to a recipient within 24 hours.
pub const RECIPIENT_DAILY: usize = 5;
/// How many rows a workspace's day is counted in, so that many messages at once do not wait for one row.
pub const QUOTA_SHARDS: u8 = 16;
/// The most messages a day that an operator or a workspace can set.
pub const QUOTA_MAX: u32 = 10_000_000;

string_enum! {
    /// Which limit a message has met.
    MessageLimit {
        /// That of its recipient.
        Recipient = "too_many_messages",
        /// That of the workspace's day.
        Workspace = "daily_quota_reached",
    }
}

/// Why a message has to wait, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// The limit.
    pub limit: MessageLimit,
    /// When it may be tried again.
    pub until: Time,
    /// The same in seconds from now, rounded up.
    pub seconds: i64,
}

impl RetryAfter {
    /// A wait that begins now.
    #[must_use]
    pub fn new(limit: MessageLimit, until: Time, now: Time) -> Self {
        let millis = until.millis() - now.millis();
        Self { limit, until, seconds: (millis.max(0) + 999) / 1000 }
    }
}

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
    /// The most messages of a workspace a day: what the operator allows, or less if the workspace asks for less.
    #[must_use]
    pub fn per_day(&self, channel: Channel, settings: &Settings) -> u32 {
        let (allowed, wanted) = match channel {
            Channel::Email => (self.emails_per_day, settings.emails_per_day),
            Channel::Sms => (self.texts_per_day, settings.texts_per_day),
            Channel::Unknown(_) => (0, None),
        };
        wanted.map_or(allowed, |wanted| wanted.min(allowed))
    }

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

    /// Notes a fault of each quota of an edit that is above the operator's.
    pub fn check(&self, edit: &WorkspaceEdit, fields: &mut Fields) {
        let wanted = [
            ("emails_per_day", edit.emails_per_day, self.emails_per_day),
            ("texts_per_day", edit.texts_per_day, self.texts_per_day),
        ];
        for (field, wanted, allowed) in wanted {
            if wanted.flatten().is_some_and(|wanted| wanted > allowed) {
                fields.fault(field, "out_of_range", format!("must be at most {allowed}, which the operator allows"));
            }
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
    /// What for.
    pub purpose: Purpose,
    /// How.
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
    /// What for.
    pub purpose: Purpose,
    /// How.
    pub channel: Channel,
    /// When each was made due, the oldest first: those of 24 hours.
    pub at: Vec<Time>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

impl RecipientHistory {
    /// Counts one more message to a recipient, of whom `before` was read.
    ///
    /// # Errors
    /// `TooManyMessages`.
    pub fn one_more(before: Option<Self>, recipient: &Recipient, now: Time) -> Result<RowChange<Self>, DomainError> {
        let sent = before.iter().flat_map(|before| &before.at).copied();
        let mut at: Vec<Time> = sent.filter(|at| at.plus(Duration::days(1)) > now).collect();
        let pause = at.last().map(|last| last.plus(RECIPIENT_PAUSE));
        let day = at.len().checked_sub(RECIPIENT_DAILY).map(|first| at[first].plus(Duration::days(1)));
        if let Some(until) = pause.max(day).filter(|until| *until > now) {
            return Err(DomainError::TooManyMessages(RetryAfter::new(MessageLimit::Recipient, until, now)));
        }
        at.push(now);
        let Recipient { workspace_id, hash, purpose, channel } = recipient.clone();
        let (version, stored) =
            before.as_ref().map_or((1, Stored::default()), |before| (before.version, before.stored.clone()));
        Ok(RowChange { before, after: Self { workspace_id, recipient: hash, purpose, channel, at, version, stored } })
    }
}

/// The messages of a channel that a part of a workspace's day has counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DailyCount {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// How.
    pub channel: Channel,
    /// Which part of the day's quota.
    pub shard: u8,
    /// The day (UTC), `YYYY-MM-DD`.
    pub day: String,
    /// How many.
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
    /// How.
    pub channel: Channel,
    /// The day (UTC), `YYYY-MM-DD`.
    pub day: String,
    /// The quota.
    pub per_day: u32,
}

impl DailyQuota {
    /// Counts one more message in the first of some parts that has room; `found` are those of them that have counted
    /// any. `None` if they are full.
    #[must_use]
    pub fn one_more(&self, found: &[DailyCount], shards: &[u8]) -> Option<RowChange<DailyCount>> {
        shards.iter().find_map(|shard| {
            let before = found.iter().find(|row| row.shard == *shard).cloned();
            let mut after = before.clone().unwrap_or_else(|| self.part(*shard));
            after.count += 1;
            (after.count <= self.share(*shard)).then_some(RowChange { before, after })
        })
    }

    /// A part that has counted none.
    fn part(&self, shard: u8) -> DailyCount {
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

    fn share(&self, shard: u8) -> u32 {
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

/// A message, counted.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageCount {
    /// For its recipient.
    pub to: RowChange<RecipientHistory>,
    /// For the workspace.
    pub today: RowChange<DailyCount>,
}
