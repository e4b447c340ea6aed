//! Jobs: one action on many users or devices.
//!
//! A request with `ids` is done before the reply if 20 seconds suffice; one with a filter does its first 50 items. Runs
//! that a queue starts do the rest, in ranges side by side, and the schedule whatever was interrupted.

mod bulk;
pub mod bulk_devices;
pub mod bulk_users;
pub mod cancel_job;
pub mod get_job;
pub mod list_jobs;
pub(crate) mod ranges;
pub(crate) mod rights;
pub(crate) mod silent_rule;
pub(crate) mod tasks;
pub mod work;

use aws::{Commit, Table};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::job::{Job, JobTask};
use domain::rules::change::ChangeSet;
use domain::rules::context::EventContext;
use domain::states::JobState;
use domain::{JobId, WorkspaceId};
use lambda::AuthorizedRequest;
use lambda::logging::Chain;

use crate::deadline::Deadline;
use crate::state::AppState;

pub(crate) use bulk::{BulkAction, BulkOperation, begin_with};

/// The current state of a job.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn load(table: &Table, workspace: WorkspaceId, id: JobId) -> Result<Job, Error> {
    Ok(table.job(workspace, id).await?.ok_or(DomainError::NotFound("job"))?)
}

/// The job that an earlier request with the same `Idempotency-Key` started.
pub(crate) async fn load_begun(table: &Table, request: &AuthorizedRequest, id: String) -> Result<Job, Error> {
    load(table, request.workspace(), JobId::parse(&id).ok_or(DomainError::NotFound("job"))?).await
}

/// Commits a change of a job, and returns the job with its new version.
///
/// # Errors
/// See [`Table::commit`].
pub(crate) async fn commit(table: &Table, job: &Job, change: ChangeSet, context: &EventContext) -> Result<Job, Error> {
    let committed = table.commit(Commit::from_changes(context.event_id, &change)).await?;
    Ok(committed.with_new_version(change.job.map_or_else(|| job.clone(), |job| job.after)))
}

/// How long a request works on the job that it started, well below API Gateway's limit of 30 seconds.
const ANSWER_WITHIN: Duration = Duration::seconds(20);

/// Deadline for work within the request that started the job.
pub(crate) fn deadline_of_answer(state: &AppState, request: &AuthorizedRequest) -> Deadline {
    Deadline::new(state.clock().clone(), request.http.id_source.random, request.now().plus(ANSWER_WITHIN))
}

/// The job to return after the request worked on it; other runs go on with it. An unavailable service is not an error
/// here: the job exists, and the schedule continues it.
pub(crate) async fn hand_on(
    state: &AppState,
    request: &AuthorizedRequest,
    start: Job,
    worked: Result<Job, Error>,
) -> Result<Job, Error> {
    match worked {
        Err(failure @ Error::Unavailable { .. }) => {
            tracing::warn!(job.id = %start.job_id, error = %Chain(&failure), "a job is left to the schedule");
            Ok(start)
        }
        Ok(job) if job.state == JobState::Running && !job.is_paused(request.now()) => {
            tasks::publish(state, &[JobTask::new(&job, None)]).await;
            Ok(job)
        }
        outcome => outcome,
    }
}
