//! Starting, continuing, canceling and failing a job.

use serde_json::Value;

use crate::error::DomainError;
use crate::models::event::{Event, EventType};
use crate::models::job::{ItemOutcome, Job, JobFailure, NewJob, NextPage, RESUME_AFTER, Selection, Tally};
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;
use crate::states::JobState;
use crate::stored::Stored;

/// A new, running job, with its event.
#[must_use]
pub fn begin(new: NewJob, context: &EventContext) -> ChangeSet {
    let (page, cursor) = match &new.selection {
        Selection::Ids(ids) => (ids.clone(), None),
        Selection::Filter(_) => (Vec::new(), Some(String::new())),
    };
    let job = Job {
        workspace_id: context.workspace_id,
        job_id: new.job_id,
        kind: new.kind,
        action: new.action,
        selection: new.selection,
        dry_run: new.dry_run,
        state: JobState::Running,
        created_at: context.at,
        created_by: context.actor,
        token_id: context.token_id,
        page,
        cursor,
        due_at: Some(context.at.plus(RESUME_AFTER)),
        waiting: Vec::new(),
        pause: None,
        tally: Tally::default(),
        failure: None,
        ended_at: None,
        version: 1,
        stored: Stored::default(),
    };
    let mut event = context.event(EventType::JobCreated);
    event.job_id = Some(job.job_id);
    event.add_change("kind", Value::Null, job.kind.as_str());
    event.add_change("action", Value::Null, new.action_name);
    event.add_change("dry_run", false, job.dry_run);
    ChangeSet { job: Some(RowChange::new(job)), ..ChangeSet::with_event(event) }
}

/// The job after one page, with these outcomes; without a next page it has finished. Only the end is an event: the
/// items of the page have their own.
#[must_use]
pub fn page_done(job: &Job, outcomes: &[ItemOutcome], next: Option<NextPage>, context: &EventContext) -> ChangeSet {
    let mut after = job.clone();
    let unreadable = next.as_ref().map_or(0, |next| next.unreadable);
    for outcome in outcomes.iter().chain(std::iter::repeat_n(&ItemOutcome::Failed, unreadable)) {
        after.tally.count(*outcome);
    }
    let mut change = ChangeSet::default();
    if next.is_none() {
        after.end(JobState::Finished, context.at);
        let mut event = context.event(EventType::JobFinished);
        event.job_id = Some(job.job_id);
        event.add_change("state", job.state.as_str(), after.state.as_str());
        change.events.push(event);
    }
    if next.is_some() {
        // Other due jobs take their turn first. While the call that created the job runs, its due time lies ahead and
        // stays.
        after.due_at = job.due_at.map(|due| due.max(context.at));
    }
    let NextPage { ids, cursor, waiting, pause, unreadable: _ } = next.unwrap_or_default();
    after.due_at = pause.as_ref().map(|pause| pause.until).or(after.due_at);
    (after.page, after.cursor, after.waiting, after.pause) = (ids, cursor, waiting, pause);
    change.job = Some(RowChange::from(job.clone(), after));
    change
}

/// Cancels a job, after part of its page had these outcomes; `None` if it is already canceled.
///
/// # Errors
/// `JobOver` if it has finished or failed.
pub fn cancel(
    job: &Job,
    outcomes: &[ItemOutcome],
    reason: Option<&str>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    match job.state {
        JobState::Canceled => return Ok(None),
        JobState::Finished | JobState::Failed | JobState::Unknown(_) => return Err(DomainError::JobOver(job.state)),
        JobState::Running => {}
    }
    let mut after = job.clone();
    for outcome in outcomes {
        after.tally.count(*outcome);
    }
    after.end(JobState::Canceled, context.at);
    let mut event = context.event(EventType::JobCanceled);
    event.job_id = Some(job.job_id);
    event.add_change("state", job.state.as_str(), after.state.as_str());
    event.private.reason = reason.map(str::to_owned);
    Ok(Some(ChangeSet { job: Some(RowChange::from(job.clone(), after)), ..ChangeSet::with_event(event) }))
}

/// Ends a job that cannot continue, with an event that records the failure.
#[must_use]
pub fn fail(job: &Job, failure: JobFailure, event: Event, context: &EventContext) -> ChangeSet {
    let mut after = job.clone();
    let mut event = Event { job_id: Some(job.job_id), ..event };
    event.add_change("failure", Value::Null, failure.code.as_str());
    after.failure = Some(failure);
    after.end(JobState::Failed, context.at);
    ChangeSet { job: Some(RowChange::from(job.clone(), after)), ..ChangeSet::with_event(event) }
}
