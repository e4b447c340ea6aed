//! Jobs, and what became of their things.

use domain::error::Error;
use domain::job::{Job, JobItem};
use domain::{JobId, WorkspaceId};

use crate::item::Key;
use crate::list::{Page, Position, Source};
use crate::rows;
use crate::table::Table;

impl Table {
    /// A job, as it is now.
    pub async fn job(&self, workspace: WorkspaceId, id: JobId) -> Result<Option<Job>, Error> {
        self.get(&rows::job(workspace, id)).await
    }

    /// A page of jobs, the newest first.
    pub async fn list_jobs(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Job>, Error> {
        let source = Source::newest("created", ("list", rows::list(rows::JOBS, workspace)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }

    /// A job as it is now, and what became of one thing.
    pub async fn job_and_item(
        &self,
        workspace: WorkspaceId,
        job: JobId,
        id: &str,
    ) -> Result<(Option<Job>, Option<JobItem>), Error> {
        let (job, item) = (rows::job(workspace, job), rows::job_item(workspace, job, id));
        let found = self.get_many([job.clone(), item.clone()]).await?;
        Ok((found.row(&job)?, found.row(&item)?))
    }

    /// What became of some things, in their order; those that are not done are left out.
    pub async fn job_items(&self, workspace: WorkspaceId, job: JobId, ids: &[String]) -> Result<Vec<JobItem>, Error> {
        let key = |id: &String| rows::job_item(workspace, job, id);
        let found = self.get_many(ids.iter().map(key)).await?;
        ids.iter().filter_map(|id| found.row(&key(id)).transpose()).collect()
    }

    /// A page of what became of a job's things.
    pub async fn list_job_items(
        &self,
        workspace: WorkspaceId,
        job: JobId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<JobItem>, Error> {
        let source = Source { descending: false, ..Source::within(rows::job(workspace, job).pk, rows::ITEM) };
        self.rows(&source, limit, start).await
    }
}
