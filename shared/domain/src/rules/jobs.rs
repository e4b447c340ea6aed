//! Starting, continuing, canceling and failing a job.

use serde_json::Value;

use crate::clock::Time;
use crate::error::{DomainError, MessageLimit};
use crate::models::event::{Event, EventType};
use crate::models::job::{
    ItemOutcome, Job, JobFailure, JobPause, JobRange, Listing, NewJob, NextPage, PageResult, RESUME_AFTER, Selection,
    Tally,
};
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
        listing: None,
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

/// A new job over a filter for whose first page nobody waits: all of its list goes to ranges.
#[must_use]
pub fn begin_in_ranges(new: NewJob, ranges: u16, context: &EventContext) -> ChangeSet {
    let mut change = begin(new, context);
    if let Some(job) = &mut change.job {
        job.after.listing = Some(Listing { ranges, pages: 0, cursor: job.after.cursor.clone() });
    }
    change
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
        after.listing = None;
        change.events.push(finished(job, context));
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

/// The event of a job that is done.
fn finished(job: &Job, context: &EventContext) -> Event {
    let mut event = context.event(EventType::JobFinished);
    event.job_id = Some(job.job_id);
    event.add_change("state", job.state.as_str(), JobState::Finished.as_str());
    event
}

/// The job after some pages of its list went to its ranges, with this many rows that could not be read.
#[must_use]
pub fn listed(job: &Job, listing: Listing, unreadable: usize) -> Job {
    let mut after = job.clone();
    if listing.is_complete() {
        // They are the last page.
        after.waiting.clear();
    }
    after.tally.failed += unreadable as u64;
    after.listing = Some(listing);
    after
}

/// A range after a page, which it does not hold any longer if `held_until` is absent. What waits for a recipient's limit
/// comes when the list is done, or when as many wait as a page has.
#[must_use]
pub fn range_done(
    range: &JobRange,
    listing: &Listing,
    done: PageResult,
    page_limit: usize,
    held_until: Option<Time>,
    at: Time,
) -> JobRange {
    let mut after = range.clone();
    done.outcomes.iter().for_each(|outcome| after.tally.count(*outcome));
    if after.page.is_empty() && after.next < listing.pages {
        after.next += u32::from(listing.ranges);
    }
    (after.page, after.pause, after.held_until) = (done.rest, done.pause, held_until);
    after.waiting.extend(done.waiting);
    let is_last = after.next >= listing.pages && listing.is_complete();
    if after.page.is_empty() && (is_last || after.waiting.len() >= page_limit) {
        let until = after.waiting.iter().map(|waiting| waiting.until).min();
        after.pause = until.map(|until| JobPause { code: MessageLimit::Recipient.as_str().to_owned(), until });
        after.page = std::mem::take(&mut after.waiting).into_iter().map(|waiting| waiting.id).collect();
    }
    if after.page.is_empty() && is_last {
        after.ended_at = Some(at);
    }
    if after.ended_at.is_some() || after.pause.as_ref().is_some_and(|pause| pause.until > at) {
        after.held_until = None;
    }
    after
}

/// A range that is stopped. Its page stays, so that the outcomes so far can be found.
#[must_use]
pub fn range_stopped(range: &JobRange, at: Time) -> JobRange {
    JobRange { waiting: Vec::new(), pause: None, held_until: None, ended_at: Some(at), ..range.clone() }
}

/// The job with the outcomes of its ranges once all have ended; stopped ones may have outcomes of part of a page besides.
/// The job has finished, unless it had ended before.
#[must_use]
pub fn ranges_done(job: &Job, ranges: &[JobRange], outcomes: &[ItemOutcome], context: &EventContext) -> ChangeSet {
    let mut after = job.clone();
    ranges.iter().for_each(|range| after.tally.add(range.tally));
    outcomes.iter().for_each(|outcome| after.tally.count(*outcome));
    (after.listing, after.due_at) = (None, None);
    let mut change = ChangeSet::default();
    if job.state == JobState::Running {
        after.end(JobState::Finished, context.at);
        change.events.push(finished(job, context));
    }
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
    // Its ranges are stopped next; if that is interrupted, the schedule does it.
    after.due_at = after.listing.is_some().then(|| context.at.plus(RESUME_AFTER));
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
    after.listing = None;
    ChangeSet { job: Some(RowChange::from(job.clone(), after)), ..ChangeSet::with_event(event) }
}
