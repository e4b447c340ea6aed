//! Usage per month.

use std::collections::BTreeMap;

use domain::error::Error;
use domain::models::usage::{Counts, TOTAL_SHARDS, Usage, UsageScope, add};
use domain::{UserId, WorkspaceId};

use crate::item::{Row, RowKey, keeps_stored_row};
use crate::list::{Range, Source};
use crate::store::users;
use crate::table::Table;

keeps_stored_row!(Usage);

/// Prefix of the sort key of a user's usage.
pub const USAGE: &str = "USAGE#";

/// The partition of a workspace's usage.
#[must_use]
pub fn workspace_usage_partition(workspace: WorkspaceId) -> String {
    format!("{USAGE}{workspace}")
}

/// The key of the usage of a month.
#[must_use]
pub fn usage_key(workspace: WorkspaceId, of: UsageScope, month: &str) -> RowKey {
    match of {
        UsageScope::User(id) => RowKey::new(users::user_key(workspace, id).pk, format!("{USAGE}{month}")),
        UsageScope::Shard(shard) => RowKey::new(workspace_usage_partition(workspace), format!("{month}#{shard:02}")),
    }
}

fn usage_keys(workspace: WorkspaceId, of: &[UsageScope], month: &str) -> Vec<RowKey> {
    of.iter().map(|of| usage_key(workspace, *of, month)).collect()
}

impl Row for Usage {
    fn key(&self) -> RowKey {
        usage_key(self.workspace_id, self.of, &self.month)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// The most months that are shown.
pub const MONTHS: usize = 24;

impl Table {
    /// The usage of a month for each of these scopes; scopes without any are left out.
    pub async fn usage(&self, workspace: WorkspaceId, of: &[UsageScope], month: &str) -> Result<Vec<Usage>, Error> {
        self.rows_with(usage_keys(workspace, of, month)).await
    }

    /// As [`Table::usage`], for display only: unreadable rows are left out.
    pub async fn usage_to_show(
        &self,
        workspace: WorkspaceId,
        of: &[UsageScope],
        month: &str,
    ) -> Result<Vec<Usage>, Error> {
        self.readable_rows_with(usage_keys(workspace, of, month)).await
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
        let source = Source { range: Range::All, ..Source::in_partition(workspace_usage_partition(workspace), "") };
        let rows = self.rows::<Usage>(&source, MONTHS * usize::from(TOTAL_SHARDS), None).await?.items;
        let mut months = by_month(rows);
        // The last month that was read may be incomplete.
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

fn by_month(rows: Vec<Usage>) -> BTreeMap<String, Counts> {
    let mut months = BTreeMap::<String, Counts>::new();
    for row in rows {
        add(months.entry(row.month).or_default(), &row.counts);
    }
    months
}
