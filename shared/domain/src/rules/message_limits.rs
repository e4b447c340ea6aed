//! Whether one more message may be sent.

use chrono::Duration;

use crate::clock::Time;
use crate::error::{DomainError, MessageLimit, RetryAfter};
use crate::input::Fields;
use crate::models::message_limits::{
    DailyCount, DailyQuota, MessageLimits, MessagePolicy, RECIPIENT_DAILY, RECIPIENT_PAUSE, Recipient, RecipientHistory,
};
use crate::models::offer::{Channel, Purpose};
use crate::models::user::User;
use crate::models::workspace::{WorkspaceEdit, WorkspaceSettings};
use crate::rules::change::{MessageCounters, RowChange};
use crate::stored::Stored;

impl MessagePolicy {
    /// The most messages of a workspace per day: the operator's limit, or the workspace's own if that is lower.
    #[must_use]
    pub fn per_day(&self, channel: Channel, settings: &WorkspaceSettings) -> u32 {
        let (allowed, wanted) = match channel {
            Channel::Email => (self.emails_per_day, settings.emails_per_day),
            Channel::Sms => (self.texts_per_day, settings.texts_per_day),
            Channel::Unknown(_) => (0, None),
        };
        wanted.map_or(allowed, |wanted| wanted.min(allowed))
    }

    /// Adds a field error for each quota of an edit that is above the operator's.
    pub fn check(&self, edit: &WorkspaceEdit, fields: &mut Fields) {
        let wanted = [
            ("emails_per_day", edit.emails_per_day, self.emails_per_day),
            ("texts_per_day", edit.texts_per_day, self.texts_per_day),
        ];
        for (field, wanted, allowed) in wanted {
            if wanted.flatten().is_some_and(|wanted| wanted > allowed) {
                fields.add_error(
                    field,
                    "out_of_range",
                    format!("must be at most {allowed}, which the operator allows"),
                );
            }
        }
    }
}

impl MessageLimits {
    /// Admits a message to a user, and counts it.
    ///
    /// # Errors
    /// `EmailMissing`, `MobileMissing`; `TextsOff`, `CallingCodeNotAllowed`; `TooManyMessages`.
    pub fn admit(
        self,
        user: &User,
        purpose: Purpose,
        channel: Channel,
        now: Time,
    ) -> Result<MessageCounters, DomainError> {
        let recipient = Recipient::of(user, purpose, channel).ok_or(match channel {
            Channel::Sms => DomainError::MobileMissing,
            Channel::Email | Channel::Unknown(_) => DomainError::EmailMissing,
        })?;
        if let (Channel::Sms, Some(number)) = (channel, &user.mobile) {
            self.policy.require_texts_allowed(number)?;
        }
        let to = RecipientHistory::with_one_more(self.history, &recipient, now)?;
        let today = self.quota.with_one_more(&self.counts, &self.shards).ok_or_else(|| self.quota.quota_error(now))?;
        Ok(MessageCounters { to, today })
    }
}

impl RecipientHistory {
    /// Counts one more message to a recipient, whose history was read as `before`.
    ///
    /// # Errors
    /// `TooManyMessages`.
    pub fn with_one_more(
        before: Option<Self>,
        recipient: &Recipient,
        now: Time,
    ) -> Result<RowChange<Self>, DomainError> {
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

impl DailyQuota {
    /// Counts one more message in the first of `shards` that has room; `found` are the rows of those shards that have
    /// counted any. `None` if all are full.
    #[must_use]
    pub fn with_one_more(&self, found: &[DailyCount], shards: &[u8]) -> Option<RowChange<DailyCount>> {
        shards.iter().find_map(|shard| {
            let before = found.iter().find(|row| row.shard == *shard).cloned();
            let mut after = before.clone().unwrap_or_else(|| self.empty_shard(*shard));
            after.count += 1;
            (after.count <= self.share(*shard)).then_some(RowChange { before, after })
        })
    }
}
