//! Usage per month.
//!
//! A report is added to the rows without reading them. Its counts are attributes of the row, since nothing can be added
//! within a map that a new row does not have yet. The release before reads and writes them in a map, `counts`: what it
//! has counted in the same row is added when the row is read, and what it does not know it leaves.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::error::Error;
use domain::models::usage::{Counts, TOTAL_SHARDS, Usage, UsageKind, UsageScope, add};
use domain::stored::Stored;
use domain::{UserId, WorkspaceId};
use futures::future::try_join_all;

use crate::commit::Commit;
use crate::item::{Item, Read, Row, RowKey, to_item};
use crate::list::{Range, Source};
use crate::store::users;
use crate::table::Table;

/// Prefix of the sort key of a user's usage.
pub const USAGE: &str = "USAGE#";

/// The map of counts of the release before.
const COUNTS: &str = "counts";

/// The partitions of a workspace's usage.
const PARTITIONS: u8 = 16;

/// The shards of the release before.
const FORMER_SHARDS: usize = 64;

/// The partition of a shard of a workspace's usage.
#[must_use]
pub fn workspace_usage_partition(workspace: WorkspaceId, shard: u8) -> String {
    format!("{}#{}", former_partition(workspace), shard % PARTITIONS)
}

/// The one partition of all shards in the release before, where a sort key is the month and the shard.
fn former_partition(workspace: WorkspaceId) -> String {
    format!("{USAGE}{workspace}")
}

/// The key of the usage of a month.
#[must_use]
pub fn usage_key(workspace: WorkspaceId, of: UsageScope, month: &str) -> RowKey {
    match of {
        UsageScope::User(id) => RowKey::new(users::user_key(workspace, id).pk, format!("{USAGE}{month}")),
        UsageScope::Shard(shard) => {
            RowKey::new(workspace_usage_partition(workspace, shard), format!("{month}#{shard:03}"))
        }
    }
}

impl Read for Usage {
    fn stored(&self) -> Option<&Stored> {
        Some(&self.stored)
    }
    fn set_stored(&mut self, stored: Stored) {
        self.stored = stored;
    }
    fn unpack(item: &mut Item) {
        for kind in UsageKind::ALL {
            let added = item.remove(kind.as_str()).and_then(|value| number(&value));
            if let (Some(added), Some(AttributeValue::M(counts))) = (added, item.get_mut(COUNTS)) {
                let counted = counts.get(kind.as_str()).and_then(number).unwrap_or(0);
                counts.insert(kind.as_str().to_owned(), AttributeValue::N(added.saturating_add(counted).to_string()));
            }
        }
    }
}

/// A count; sums end at the most that 64 bits hold.
fn number(value: &AttributeValue) -> Option<u64> {
    Some(value.as_n().ok()?.parse().unwrap_or(u64::MAX))
}

impl Row for Usage {
    fn key(&self) -> RowKey {
        usage_key(self.workspace_id, self.of, &self.month)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn pack(&self, item: &mut Item) {
        if let Some(AttributeValue::M(counts)) = item.insert(COUNTS.to_owned(), AttributeValue::M(Item::new())) {
            item.extend(counts);
        }
    }
}

/// The most months that are shown.
pub const MONTHS: usize = 24;

impl Commit {
    /// Adds usage to the row of the same month.
    #[must_use]
    pub fn add_usage(self, usage: &Usage) -> Self {
        match to_item(usage) {
            Err(fault) => self.fail_with(fault),
            Ok(mut rest) => {
                let key = usage.key();
                rest.retain(|name, _| !key.attributes().contains_key(name));
                let numbers: BTreeMap<String, i128> =
                    usage.counts.iter().map(|(kind, count)| (kind.as_str().to_owned(), (*count).into())).collect();
                rest.retain(|name, _| !numbers.contains_key(name));
                self.add_numbers(&key, numbers, rest)
            }
        }
    }
}

impl Table {
    /// The usage of a month for each of these scopes, for display only: unreadable rows, and scopes without any usage,
    /// are left out.
    pub async fn usage_to_show(
        &self,
        workspace: WorkspaceId,
        of: &[UsageScope],
        month: &str,
    ) -> Result<Vec<Usage>, Error> {
        self.readable_rows_with(of.iter().map(|of| usage_key(workspace, *of, month)).collect()).await
    }

    /// A user's counts by month, for the latest [`MONTHS`] with usage.
    pub async fn user_usage(&self, workspace: WorkspaceId, user: UserId) -> Result<BTreeMap<String, Counts>, Error> {
        let source = Source::in_partition(users::user_key(workspace, user).pk, USAGE);
        Ok(by_month(self.rows(&source, MONTHS, None).await?.items))
    }

    /// Up to `limit` rows of a user's usage. `Internal` if one of them is unreadable.
    pub async fn usage_rows(&self, workspace: WorkspaceId, user: UserId, limit: usize) -> Result<Vec<Usage>, Error> {
        let source = Source::in_partition(users::user_key(workspace, user).pk, USAGE);
        let page = self.rows(&source, limit, None).await?;
        if page.unreadable > 0 { Err(unreadable_row()) } else { Ok(page.items) }
    }

    /// The workspace's counts by month, for the latest [`MONTHS`] with usage.
    pub async fn workspace_usage(&self, workspace: WorkspaceId) -> Result<BTreeMap<String, Counts>, Error> {
        let shards = usize::from(TOTAL_SHARDS) / usize::from(PARTITIONS);
        let partitions = (0..PARTITIONS).map(|number| (workspace_usage_partition(workspace, number), shards));
        let rows =
            partitions.chain([(former_partition(workspace), FORMER_SHARDS)]).map(|(partition, shards)| async move {
                let source = Source { range: Range::All, ..Source::in_partition(partition, "") };
                self.rows::<Usage>(&source, MONTHS * shards, None).await.map(|page| page.items)
            });
        let rows = try_join_all(rows).await?;
        let mut months = by_month(rows.into_iter().flatten());
        // Earlier months may be incomplete.
        while months.len() > MONTHS {
            months.pop_first();
        }
        Ok(months)
    }
}

/// The error for an unreadable row in a list that must be complete.
fn unreadable_row() -> Error {
    Error::internal("reading every row", "a row is unreadable")
}

fn by_month(rows: impl IntoIterator<Item = Usage>) -> BTreeMap<String, Counts> {
    let mut months = BTreeMap::<String, Counts>::new();
    for row in rows {
        add(months.entry(row.month).or_default(), &row.counts);
    }
    months
}
