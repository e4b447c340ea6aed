//! What people have used, per month.

use std::collections::BTreeMap;
use std::future::Future;

use domain::error::Error;
use domain::usage::{Counts, TOTAL_SHARDS, Usage, UsageScope, add};
use domain::{UserId, WorkspaceId};

use crate::item::Key;
use crate::list::{Range, Source};
use crate::rows;
use crate::stores::Commits;
use crate::table::Table;

/// The most months that are shown.
pub const MONTHS: usize = 24;

/// Where usage is counted.
pub trait UsageCounts: Commits {
    /// The counts of a month, of each of these; those that have none are left out.
    fn usage(
        &self,
        workspace: WorkspaceId,
        of: &[UsageScope],
        month: &str,
    ) -> impl Future<Output = Result<Vec<Usage>, Error>> + Send;

    /// The same, only to be shown: those that cannot be read are left out.
    fn usage_to_show(
        &self,
        workspace: WorkspaceId,
        of: &[UsageScope],
        month: &str,
    ) -> impl Future<Output = Result<Vec<Usage>, Error>> + Send;

    /// A user's counts by months, of the last [`MONTHS`] that have any.
    fn user_usage(
        &self,
        workspace: WorkspaceId,
        user: UserId,
    ) -> impl Future<Output = Result<BTreeMap<String, Counts>, Error>> + Send;

    /// So many of the rows in which a user's usage is counted. `Internal` if one of them cannot be read.
    fn usage_rows(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Usage>, Error>> + Send;

    /// The whole workspace's counts by months, of the last [`MONTHS`] that have any.
    fn workspace_usage(
        &self,
        workspace: WorkspaceId,
    ) -> impl Future<Output = Result<BTreeMap<String, Counts>, Error>> + Send;
}

impl UsageCounts for Table {
    async fn usage(&self, workspace: WorkspaceId, of: &[UsageScope], month: &str) -> Result<Vec<Usage>, Error> {
        let keys: Vec<Key> = of.iter().map(|of| rows::usage(workspace, *of, month)).collect();
        let found = self.get_many(keys.clone()).await?;
        keys.iter().filter_map(|key| found.row(key).transpose()).collect()
    }

    async fn usage_to_show(&self, workspace: WorkspaceId, of: &[UsageScope], month: &str) -> Result<Vec<Usage>, Error> {
        let keys: Vec<Key> = of.iter().map(|of| rows::usage(workspace, *of, month)).collect();
        let found = self.get_many(keys.clone()).await?;
        Ok(keys.iter().filter_map(|key| found.readable(key)).collect())
    }

    async fn user_usage(&self, workspace: WorkspaceId, user: UserId) -> Result<BTreeMap<String, Counts>, Error> {
        let source = Source::within(rows::user(workspace, user).pk, rows::USAGE);
        Ok(by_month(self.rows(&source, MONTHS, None).await?.items))
    }

    async fn usage_rows(&self, workspace: WorkspaceId, user: UserId, limit: usize) -> Result<Vec<Usage>, Error> {
        let source = Source::within(rows::user(workspace, user).pk, rows::USAGE);
        let page = self.rows(&source, limit, None).await?;
        if page.left_out > 0 { Err(left_out()) } else { Ok(page.items) }
    }

    async fn workspace_usage(&self, workspace: WorkspaceId) -> Result<BTreeMap<String, Counts>, Error> {
        let source = Source { range: Range::All, ..Source::within(rows::workspace_usage(workspace), "") };
        let rows = self.rows::<Usage>(&source, MONTHS * usize::from(TOTAL_SHARDS), None).await?.items;
        let mut months = by_month(rows);
        // The last month that was looked at may be there in part.
        while months.len() > MONTHS {
            months.pop_first();
        }
        Ok(months)
    }
}

/// What a list comes to of which nothing may be left out.
fn left_out() -> Error {
    Error::internal("reading every row", "some cannot be read")
}

fn by_month(rows: Vec<Usage>) -> BTreeMap<String, Counts> {
    let mut months = BTreeMap::<String, Counts>::new();
    for row in rows {
        add(months.entry(row.month).or_default(), &row.counts);
    }
    months
}
