//! Jobs, and the outcomes of their objects.

use domain::error::Error;
use domain::models::job::{Job, JobItem, JobPage, JobRange, RETENTION};
use domain::{JobId, WorkspaceId};

use crate::item::{Read, Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Source};
use crate::store::due;
use crate::table::Table;

keeps_stored_row!(Job, JobRange);

impl Read for JobItem {}
impl Read for JobPage {}

/// The name of the list of jobs.
pub const JOBS: &str = "JOB";

/// Prefix of the sort key of an outcome.
pub const ITEM: &str = "ITEM#";

/// The key of a job.
#[must_use]
pub fn job_key(workspace: WorkspaceId, id: JobId) -> RowKey {
    RowKey::new(format!("JOB#{workspace}#{id}"), "JOB")
}

impl Row for Job {
    fn key(&self) -> RowKey {
        job_key(self.workspace_id, self.job_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes = vec![("list", crate::item::list_partition(JOBS, self.workspace_id))];
        indexes.extend(self.due_at.iter().flat_map(|at| due::due_attributes(&self.key(), *at)));
        indexes
    }
    fn time_to_live(&self) -> Option<i64> {
        self.ended_at.map(|ended| ended.plus(RETENTION).seconds())
    }
}

/// The key of an outcome.
#[must_use]
pub fn job_item_key(workspace: WorkspaceId, job_id: JobId, id: &str) -> RowKey {
    RowKey::new(job_key(workspace, job_id).pk, format!("{ITEM}{id}"))
}

impl Row for JobItem {
    fn key(&self) -> RowKey {
        job_item_key(self.workspace_id, self.job_id, &self.id)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(RETENTION).seconds())
    }
}

/// The key of a range. Each has a partition of its own, with its pages.
#[must_use]
pub fn job_range_key(workspace: WorkspaceId, job_id: JobId, number: u16) -> RowKey {
    RowKey::new(format!("JOBRANGE#{workspace}#{job_id}#{number:02}"), "RANGE")
}

impl Row for JobRange {
    fn key(&self) -> RowKey {
        job_range_key(self.workspace_id, self.job_id, self.number)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(RETENTION).seconds())
    }
}

/// The key of a page of a range.
#[must_use]
pub fn job_page_key(workspace: WorkspaceId, job_id: JobId, range: u16, number: u32) -> RowKey {
    RowKey::new(job_range_key(workspace, job_id, range).pk, format!("PAGE#{number:06}"))
}

impl Row for JobPage {
    fn key(&self) -> RowKey {
        job_page_key(self.workspace_id, self.job_id, self.range, self.number)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(RETENTION).seconds())
    }
}

impl Table {
    /// A job.
    pub async fn job(&self, workspace: WorkspaceId, id: JobId) -> Result<Option<Job>, Error> {
        self.get(&job_key(workspace, id)).await
    }

    /// A page of jobs, newest first.
    pub async fn list_jobs(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Job>, Error> {
        let source =
            Source::newest_first("created", ("list", crate::item::list_partition(JOBS, workspace)), "created_at");
        self.page(&source, limit, start, RowKey::of, |_, _| true).await
    }

    /// A job, and the outcome of one object.
    pub async fn job_and_item(
        &self,
        workspace: WorkspaceId,
        job: JobId,
        id: &str,
    ) -> Result<(Option<Job>, Option<JobItem>), Error> {
        let (job, item) = (job_key(workspace, job), job_item_key(workspace, job, id));
        let found = self.get_many([job.clone(), item.clone()]).await?;
        Ok((found.row(&job)?, found.row(&item)?))
    }

    /// The ranges of a job on which somebody has worked, in their order; none if it has no ranges.
    pub async fn job_ranges(&self, job: &Job) -> Result<Vec<JobRange>, Error> {
        let count = job.listing.as_ref().map_or(0, |listing| listing.ranges);
        self.rows_with((0..count).map(|number| job_range_key(job.workspace_id, job.job_id, number)).collect()).await
    }

    /// A job, and one of its ranges.
    pub async fn job_and_range(
        &self,
        workspace: WorkspaceId,
        job: JobId,
        number: u16,
    ) -> Result<(Option<Job>, Option<JobRange>), Error> {
        let (job, range) = (job_key(workspace, job), job_range_key(workspace, job, number));
        let found = self.get_many([job.clone(), range.clone()]).await?;
        Ok((found.row(&job)?, found.row(&range)?))
    }

    /// A range, and the outcome of one object.
    pub async fn range_and_item(
        &self,
        range: &JobRange,
        id: &str,
    ) -> Result<(Option<JobRange>, Option<JobItem>), Error> {
        let (range, item) = (range.key(), job_item_key(range.workspace_id, range.job_id, id));
        let found = self.get_many([range.clone(), item.clone()]).await?;
        Ok((found.row(&range)?, found.row(&item)?))
    }

    /// A page of a range.
    pub async fn job_page(&self, range: &JobRange) -> Result<Option<JobPage>, Error> {
        self.get(&job_page_key(range.workspace_id, range.job_id, range.number, range.next)).await
    }

    /// The outcomes of some objects in the same order; objects without one are left out.
    pub async fn job_items(&self, workspace: WorkspaceId, job: JobId, ids: &[String]) -> Result<Vec<JobItem>, Error> {
        self.rows_with(ids.iter().map(|id| job_item_key(workspace, job, id)).collect()).await
    }

    /// A page of a job's outcomes.
    pub async fn list_job_items(
        &self,
        workspace: WorkspaceId,
        job: JobId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<JobItem>, Error> {
        let source = Source { descending: false, ..Source::in_partition(job_key(workspace, job).pk, ITEM) };
        self.rows(&source, limit, start).await
    }
}
