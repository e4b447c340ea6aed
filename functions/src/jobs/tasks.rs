//! Runs that a message starts: each works on a task of a job for some seconds, and then hands on to another run, so that a
//! job that has just come is not behind a large one for long. A sync has all of a run's time, since it may have to fetch
//! its source.

use chrono::Duration;
use domain::Time;
use domain::error::Error;
use domain::models::job::{Job, JobKind, JobTask};
use domain::rules::change::{ChangeSet, RowChange};
use domain::states::JobState;
use lambda::logging::Chain;

use crate::context::Origin;
use crate::deadline::Deadline;
use crate::jobs::ranges::{RangeWork, free_ranges, list_pages, work_on_range};
use crate::jobs::work::{JobRun, advance, cancel_without_permission, may_go_on};
use crate::jobs::{commit, load};
use crate::sources::Fetcher;
use crate::sources::sync::{self, SyncSettings};
use crate::state::AppState;
use crate::triggers::Run;

/// How long a run works on a task.
const SLICE: Duration = Duration::seconds(20);
/// How long the schedule leaves a job to a run that reports no progress.
const HELD: Duration = Duration::seconds(60);

/// Publishes tasks. A failure is not an error: the schedule finds the jobs.
pub(crate) async fn publish(state: &AppState, tasks: &[JobTask]) {
    let published = match state.jobs() {
        Ok(topic) if !tasks.is_empty() => topic.publish(tasks).await,
        outcome => outcome.map(drop),
    };
    if let Err(failure) = published {
        tracing::warn!(error = %Chain(&failure), "tasks of jobs are left to the schedule");
    }
}

/// Works on a task, and publishes those that come next.
///
/// # Errors
/// `Unavailable`: the schedule continues.
pub(crate) async fn work_on(state: &AppState, run: &Run, task: &JobTask, end: Deadline) -> Result<(), Error> {
    let (table, operator) = (state.table()?, &state.settings.operator);
    let Some(job) = table.job(task.workspace_id, task.job_id).await? else {
        return Ok(());
    };
    if job.state != JobState::Running || job.is_paused(run.now()) {
        return Ok(());
    }
    let deadline = &if job.kind == JobKind::Sync { end } else { end.or_after(SLICE) };
    let origin = Origin::of_run(run, job.workspace_id);
    let job_run = JobRun::new(table, &origin, &job, operator, deadline);
    let next = match task.range {
        Some(number) => match work_on_range(&job_run, &job, number, usize::MAX).await? {
            RangeWork::More => vec![task.clone()],
            RangeWork::Nothing => Vec::new(),
        },
        None => {
            if job.is_held(run.now()) {
                return Ok(());
            }
            let job = match hold(&job_run, &job, run.now().plus(HELD)).await {
                // Another run has it.
                Err(Error::Conflict) => return Ok(()),
                outcome => outcome?,
            };
            let job = go_on(state, &origin, &job_run, job).await?;
            let now = deadline.id_source().now;
            if job.is_held(now) && job.state == JobState::Running && !job.is_paused(now) {
                let _released = hold(&job_run, &job, now).await;
            }
            let mut next = next_tasks(state, &job, now).await?;
            // What stopped before its time waits for something; the schedule looks after it.
            next.retain(|task| task.range.is_some() || deadline.is_over());
            next
        }
    };
    publish(state, &next).await;
    Ok(())
}

/// Publishes the tasks that can be done for a job now.
///
/// # Errors
/// `Unavailable` if its ranges cannot be read.
pub(crate) async fn hand_on(state: &AppState, job: &Job, now: Time) -> Result<(), Error> {
    publish(state, &next_tasks(state, job, now).await?).await;
    Ok(())
}

/// The tasks that can be done for a job now.
async fn next_tasks(state: &AppState, job: &Job, now: Time) -> Result<Vec<JobTask>, Error> {
    if job.state != JobState::Running || job.is_paused(now) {
        return Ok(Vec::new());
    }
    let is_listed = job.listing.as_ref().is_some_and(|listing| listing.is_complete());
    let first = (!job.is_in_ranges() || !is_listed).then_some(None);
    let ranges = if job.is_in_ranges() { free_ranges(state.table()?, job, now).await? } else { Vec::new() };
    Ok(first.into_iter().chain(ranges.into_iter().map(Some)).map(|range| JobTask::new(job, range)).collect())
}

/// Keeps the schedule and other messages from working on the job until a time.
async fn hold(run: &JobRun<'_>, job: &Job, until: Time) -> Result<Job, Error> {
    let after = Job { due_at: Some(until), ..job.clone() };
    if after.due_at == job.due_at {
        return Ok(after);
    }
    let change = ChangeSet { job: Some(RowChange::from(job.clone(), after)), ..ChangeSet::default() };
    commit(run.table, job, change, &run.origin().new_event_context()).await
}

/// Works on what comes before a job's ranges: on its first page, or all of a sync; then lists the pages of its ranges,
/// and tells other runs to begin with them as soon as each has one.
async fn go_on(state: &AppState, origin: &Origin, run: &JobRun<'_>, job: Job) -> Result<Job, Error> {
    let (table, operator, deadline) = (run.table, run.operator, run.deadline);
    match job.kind {
        JobKind::Sync => {
            let fetcher = &Fetcher { client: &|| state.source_client(), hosts: &state.settings.source_hosts };
            let syncing = SyncSettings { fetcher: Some(fetcher), operator, pages_at_once: sync::PAGES_AT_ONCE };
            return Box::pin(sync::advance(table, &syncing, origin, job, deadline, usize::MAX)).await;
        }
        JobKind::Users | JobKind::Devices => {}
        // It waits for a release that knows this kind.
        JobKind::Unknown(_) => return Ok(job),
    }
    let mut job = advance(table, origin, job, operator, deadline, usize::MAX).await?;
    if job.is_in_ranges() && job.state == JobState::Running && !may_go_on(table, &job, run.now()).await? {
        let canceled = cancel_without_permission(table, &run.origin().itself(), &job).await?;
        return Ok(canceled.unwrap_or(job));
    }
    let mut are_told = job.listing.is_some();
    while job.is_in_ranges() && job.state == JobState::Running && !deadline.is_over() {
        match &job.listing {
            Some(listing) if listing.is_complete() => break,
            Some(listing) if !are_told && listing.pages >= u32::from(listing.ranges) => {
                let ranges = free_ranges(table, &job, run.now()).await?;
                let tasks: Vec<JobTask> = ranges.into_iter().map(|range| JobTask::new(&job, Some(range))).collect();
                publish(state, &tasks).await;
                are_told = true;
            }
            _ => {}
        }
        job = match list_pages(run, &job).await {
            // It was canceled, or another run lists its pages.
            Err(Error::Conflict) => return load(table, job.workspace_id, job.job_id).await,
            outcome => outcome?,
        };
    }
    Ok(job)
}
