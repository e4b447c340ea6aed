//! Counts of messages per recipient and per day of a workspace.

use domain::error::Error;
use domain::models::message_limits::{DailyCount, DailyQuota, Recipient, RecipientHistory};
use domain::models::offer::Channel;
use domain::{Time, WorkspaceId};

use crate::item::{Row, RowKey, keeps_stored_row};
use crate::table::Table;

keeps_stored_row!(RecipientHistory, DailyCount);

/// The key of the messages of a kind to a recipient.
#[must_use]
pub fn recipient_history_key(recipient: &Recipient) -> RowKey {
    let Recipient { workspace_id, hash, purpose, channel } = recipient;
    RowKey::new(format!("SENT#{workspace_id}#{}", hash.as_str()), format!("{channel}#{purpose}"))
}

impl Row for RecipientHistory {
    fn key(&self) -> RowKey {
        let Self { workspace_id, recipient, purpose, channel, .. } = self.clone();
        recipient_history_key(&Recipient { workspace_id, hash: recipient, purpose, channel })
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        self.at.last().map(|last| last.plus(chrono::Duration::days(2)).seconds())
    }
}

/// The key of a shard of a day's messages. Each shard has its own partition.
#[must_use]
pub fn daily_count_key(workspace: WorkspaceId, channel: Channel, day: &str, shard: u8) -> RowKey {
    RowKey::new(format!("QUOTA#{workspace}#{channel}#{shard:02}"), day)
}

impl Row for DailyCount {
    fn key(&self) -> RowKey {
        daily_count_key(self.workspace_id, self.channel, &self.day, self.shard)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        let day = Time::parse(&format!("{}T00:00:00Z", self.day))?;
        Some(day.plus(chrono::Duration::days(3)).seconds())
    }
}

impl Table {
    /// The messages of a kind to a recipient, and some shards of a day; empty shards are left out.
    pub async fn message_counts(
        &self,
        recipient: Option<&Recipient>,
        quota: &DailyQuota,
        shards: &[u8],
    ) -> Result<(Option<RecipientHistory>, Vec<DailyCount>), Error> {
        let history = recipient.map(recipient_history_key);
        let count_key = |shard: &u8| daily_count_key(quota.workspace_id, quota.channel, &quota.day, *shard);
        let counts: Vec<RowKey> = shards.iter().map(count_key).collect();
        let found = self.get_many(counts.iter().cloned().chain(history.clone())).await?;
        let today = counts.iter().filter_map(|key| found.row(key).transpose()).collect::<Result<_, _>>()?;
        let history = history.map(|key| found.row(&key)).transpose()?.flatten();
        Ok((history, today))
    }
}
