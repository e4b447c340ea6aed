//! Jobs: one action on many users or devices.
//!
//! A call that names its things does them before it answers; one over a filter begins, and the
//! schedule goes on. Both are the same job, so either goes on where it was stopped.

pub mod bulk_devices;
pub mod bulk_users;
pub mod cancel_job;
pub mod get_job;
pub mod list_jobs;
mod ordered;
pub(crate) mod rights;
pub mod work;

use aws::{Commit, Table};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::job::Job;
use domain::rules::change::ChangeSet;
use domain::rules::context::EventContext;
use domain::{JobId, WorkspaceId};
use lambda::AuthorizedRequest;
use lambda::logging::Chain;

use crate::deadline::Deadline;
use crate::state::AppState;

pub(crate) use ordered::{BulkAction, BulkOperation, begin_with};

/// A job, as it is now.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn load(table: &Table, workspace: WorkspaceId, id: JobId) -> Result<Job, Error> {
    Ok(table.job(workspace, id).await?.ok_or(DomainError::NotFound("job"))?)
}

/// The job that a call has begun before, by what is remembered of it.
pub(crate) async fn load_begun(table: &Table, request: &AuthorizedRequest, made: &str) -> Result<Job, Error> {
    load(table, request.workspace(), JobId::parse(made).ok_or(DomainError::NotFound("job"))?).await
}

/// Commits what becomes of a job. Answers with the job as it then is.
///
/// # Errors
/// See [`Table::commit`].
pub(crate) async fn commit(table: &Table, job: &Job, change: ChangeSet, context: &EventContext) -> Result<Job, Error> {
    let committed = table.commit(Commit::from_changes(context.event_id, &change)).await?;
    Ok(committed.with_new_version(change.job.map_or_else(|| job.clone(), |job| job.after)))
}

/// How long a call works on the job that it has begun: it answers well before API Gateway gives up, after 30 seconds.
const ANSWER_WITHIN: Duration = Duration::seconds(20);

/// Until when a call works on the job that it has begun.
pub(crate) fn deadline_of_answer(state: &AppState, request: &AuthorizedRequest) -> Deadline {
    Deadline::new(state.clock().clone(), request.http.id_source.random, request.now().plus(ANSWER_WITHIN))
}

/// What a call answers that has begun a job and worked on it. That something could not be reached is no failure of the
/// call: the job is there, and the schedule goes on with it.
pub(crate) fn or_leave_to_schedule(begun: Job, worked: Result<Job, Error>) -> Result<Job, Error> {
    match worked {
        Err(failure @ Error::Unavailable { .. }) => {
            tracing::warn!(job.id = %begun.job_id, error = %Chain(&failure), "a job is left to the schedule");
            Ok(begun)
        }
        outcome => outcome,
    }
}
