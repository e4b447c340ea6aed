//! The ranges of a job: the rest of a filter's list after its first page, worked on side by side.
//!
//! The list is read page by page, and the pages go to the ranges in turn. A range belongs to one run at a time, which
//! works on its pages one after another. The job's row says how far the list is; what a range does is in the range's
//! row alone, until all ranges have ended.

use aws::{Commit, Table, retry_on_conflict};
use chrono::Duration;
use domain::Time;
use domain::error::Error;
use domain::models::job::{ItemOutcome, Job, JobPage, JobRange, Listing};
use domain::rules::jobs::{listed, range_done, range_stopped, ranges_done};
use domain::states::JobState;

use crate::context::Origin;
use crate::jobs::work::{Guard, JobRun, PAGE, cancel_without_permission, may_go_on, next_page, process_items};
use crate::jobs::{commit, load};

/// Objects that are listed at once.
const LISTED: usize = 200;
/// How long a range belongs to a run that reports no progress.
const HELD: Duration = Duration::seconds(60);

/// Lists further pages of a job, if there are any, and gives them to its ranges.
///
/// # Errors
/// `Conflict` if another run has changed the job.
pub(crate) async fn list_pages(run: &JobRun<'_>, job: &Job) -> Result<Job, Error> {
    let ranges = run.operator.ranges_per_job;
    let begin = || Listing { ranges, pages: 0, cursor: job.cursor.clone() };
    let before = job.listing.clone().unwrap_or_else(begin);
    let Some(cursor) = &before.cursor else {
        return Ok(job.clone());
    };
    let mut page = next_page(run, job, cursor, LISTED).await?;
    if page.cursor.is_none() {
        page.ids.extend(job.waiting.iter().map(|waiting| waiting.id.clone()));
    }
    let mut listing = Listing { cursor: page.cursor, ..before };
    let mut commit = Commit::without_event(run.origin().new_event_context().event_id);
    for ids in page.ids.chunks(PAGE) {
        let (number, range) = (listing.pages, listing.range_of(listing.pages));
        let (workspace_id, job_id, ids, at) = (job.workspace_id, job.job_id, ids.to_vec(), run.now());
        commit = commit.replace(&JobPage { workspace_id, job_id, range, number, ids, at });
        listing.pages += 1;
    }
    let after = listed(job, listing, page.unreadable);
    let committed = run.table.commit(commit.edit(job, &after)).await?;
    Ok(committed.with_new_version(after))
}

/// A job with what its ranges have done so far, to be shown.
pub(crate) async fn with_progress(table: &Table, job: Job) -> Result<Job, Error> {
    if job.listing.is_none() {
        return Ok(job);
    }
    Ok(job.with_progress(&table.job_ranges(&job).await?))
}

/// The ranges on which a run could work now, the one that is behind first.
pub(crate) async fn free_ranges(table: &Table, job: &Job, now: Time) -> Result<Vec<u16>, Error> {
    let Some(listing) = &job.listing else {
        return Ok(Vec::new());
    };
    let known = table.job_ranges(job).await?;
    let mut free: Vec<(u32, u16)> = (0..listing.ranges)
        .filter_map(|number| match known.iter().find(|range| range.number == number) {
            Some(range) => range.is_free(listing, now).then_some((range.next, number)),
            None => (u32::from(number) < listing.pages).then_some((u32::from(number), number)),
        })
        .collect();
    free.sort_unstable();
    Ok(free.into_iter().map(|(_, number)| number).collect())
}

/// Works on a job in ranges for one turn: lists pages, or does about `items` items of a range. Returns the job if there
/// is more to do at once.
///
/// # Errors
/// `Unavailable`: the next run continues.
pub(crate) async fn take_turn(run: &JobRun<'_>, job: Job, items: usize) -> Result<Option<Job>, Error> {
    match try_turn(run, &job, items).await {
        // Another run was faster.
        Err(Error::Conflict) => load(run.table, job.workspace_id, job.job_id).await.map(Some),
        outcome => outcome,
    }
}

async fn try_turn(run: &JobRun<'_>, job: &Job, items: usize) -> Result<Option<Job>, Error> {
    if !may_go_on(run.table, job, run.now()).await? {
        return cancel_without_permission(run.table, &run.origin().itself(), job).await.map(|_| None);
    }
    if job.listing.as_ref().is_none_or(|listing| !listing.is_complete()) {
        return list_pages(run, job).await.map(Some);
    }
    match free_ranges(run.table, job, run.now()).await?.first() {
        Some(number) => work_on_range(run, job, *number, items).await.map(|_| Some(job.clone())),
        None => finish_if_done(run, job).await.map(|()| None),
    }
}

/// What is left of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeWork {
    /// It has more to do, and nobody does it.
    More,
    /// It has ended, pauses, waits for pages, or belongs to another run.
    Nothing,
}

/// Works on a range until it ends or waits, time is up, or about `items` items are done.
///
/// # Errors
/// `Unavailable`: the range belongs to the run a little longer, and then another one continues.
pub(crate) async fn work_on_range(run: &JobRun<'_>, job: &Job, number: u16, items: usize) -> Result<RangeWork, Error> {
    let Some(mut range) = claim(run, job, number).await? else {
        return Ok(RangeWork::Nothing);
    };
    let mut left = items;
    loop {
        let page = match work_on_page(run, &range, left).await {
            Ok(page) => page,
            // It was stopped, or belongs to another run; or more was listed while it ran out of pages.
            Err(Error::Conflict) => match run.table.job_and_range(job.workspace_id, job.job_id, number).await? {
                (_, Some(now)) if now.version == range.version => continue,
                _ => return Ok(RangeWork::Nothing),
            },
            Err(failure) => return Err(failure),
        };
        let Some((after, job, done)) = page else {
            return Ok(RangeWork::Nothing);
        };
        left = left.saturating_sub(done);
        if after.ended_at.is_some() {
            return finish_if_done(run, &job).await.map(|()| RangeWork::Nothing);
        }
        if after.held_until.is_none() {
            let is_free = job
                .listing
                .as_ref()
                .is_some_and(|listing| after.is_free(listing, run.now()) && (done > 0 || listing.is_complete()));
            return Ok(if is_free { RangeWork::More } else { RangeWork::Nothing });
        }
        range = after;
    }
}

/// Makes a range the run's own; `None` if it has nothing to do or is another's.
async fn claim(run: &JobRun<'_>, job: &Job, number: u16) -> Result<Option<JobRange>, Error> {
    let (now, table) = (run.now(), run.table);
    let (Some(job), found) = table.job_and_range(job.workspace_id, job.job_id, number).await? else {
        return Ok(None);
    };
    let Some(listing) = job.listing.as_ref().filter(|_| job.state == JobState::Running) else {
        return Ok(None);
    };
    let range = found.clone().unwrap_or_else(|| JobRange::new(&job, number, now));
    if !range.is_free(listing, now) || listing.is_over(number, found.as_ref()) {
        return Ok(None);
    }
    let after = JobRange { held_until: Some(now.plus(HELD)), pause: None, ..range.clone() };
    let commit = Commit::without_event(run.origin().new_event_context().event_id);
    let commit = if found.is_some() { commit.edit(&range, &after) } else { commit.put(&after) };
    match table.commit(commit).await {
        Ok(committed) => Ok(Some(committed.with_new_version(after))),
        Err(Error::Conflict) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Works on the next page of a range, which is held on if there is time and `left` items are not done yet. Returns the
/// range and the job after it, and the number of items; `None` if the job has ended or was stopped.
async fn work_on_page(
    run: &JobRun<'_>,
    range: &JobRange,
    left: usize,
) -> Result<Option<(JobRange, Job, usize)>, Error> {
    let table = run.table;
    let job = load(table, range.workspace_id, range.job_id).await?;
    let Some(listing) = job.listing.as_ref().filter(|_| job.state == JobState::Running) else {
        return settle(table, &run.origin().itself(), job).await.map(|_| None);
    };
    if !may_go_on(table, &job, run.now()).await? {
        return cancel_without_permission(table, &run.origin().itself(), &job).await.map(|_| None);
    }
    let ids = page_of(table, range, listing).await?;
    let new_commit = || Commit::without_event(run.origin().new_event_context().event_id);
    let (after, commit) = match Box::pin(process_items(run, &job, Guard::Range(range), &ids)).await? {
        Some(done) => {
            let goes_on = ids.len() < left && !ids.is_empty() && !run.deadline.is_over();
            let held_until = goes_on.then(|| run.now().plus(HELD));
            let after = range_done(range, listing, done, PAGE, held_until, run.now());
            // Pages that are listed meanwhile are not to be missed.
            let commit = if ids.is_empty() { new_commit().require_unchanged(&job) } else { new_commit() };
            (after, commit)
        }
        None => (JobRange { held_until: None, ..range.clone() }, new_commit()),
    };
    let committed = table.commit(commit.edit(range, &after)).await?;
    Ok(Some((committed.with_new_version(after), job, ids.len())))
}

/// The items that a range handles next.
async fn page_of(table: &Table, range: &JobRange, listing: &Listing) -> Result<Vec<String>, Error> {
    if !range.page.is_empty() {
        return Ok(range.page.clone());
    }
    if range.next >= listing.pages {
        return Ok(Vec::new());
    }
    Ok(table.job_page(range).await?.map(|page| page.ids).unwrap_or_default())
}

/// Ends a job whose ranges have all ended.
async fn finish_if_done(run: &JobRun<'_>, job: &Job) -> Result<(), Error> {
    let job = load(run.table, job.workspace_id, job.job_id).await?;
    let Some(listing) = job.listing.as_ref().filter(|_| job.state == JobState::Running) else {
        return Ok(());
    };
    let ranges = run.table.job_ranges(&job).await?;
    let is_over = |number| listing.is_over(number, ranges.iter().find(|range| range.number == number));
    if !(0..listing.ranges).all(is_over) {
        return Ok(());
    }
    let event_context = run.origin().new_event_context();
    match commit(run.table, &job, ranges_done(&job, &ranges, &[], &event_context), &event_context).await {
        // Another run has ended it.
        Err(Error::Conflict) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Stops the ranges of a job that has ended, one by one, so that this competes with one item's commit at a time, and
/// counts what they did. Nothing is committed for the job after that.
///
/// # Errors
/// `Unavailable`: some may go on until the end of their page; the schedule stops them.
pub(crate) async fn settle(table: &Table, origin: &Origin, job: Job) -> Result<Job, Error> {
    let Some(listing) = job.listing.clone() else {
        return Ok(job);
    };
    let (mut ranges, mut outcomes) = (Vec::new(), Vec::new());
    for number in 0..listing.ranges {
        let range = retry_on_conflict(table, || stop(table, origin, &job, number)).await?;
        outcomes.extend(outcomes_of_page(table, &range, &listing).await?);
        ranges.push(range);
    }
    let event_context = origin.new_event_context();
    match commit(table, &job, ranges_done(&job, &ranges, &outcomes, &event_context), &event_context).await {
        // Another run has done the same.
        Err(Error::Conflict) => load(table, job.workspace_id, job.job_id).await,
        outcome => outcome,
    }
}

/// Stops a range. If nobody has worked on it, nobody will.
async fn stop(table: &Table, origin: &Origin, job: &Job, number: u16) -> Result<JobRange, Error> {
    let (_, found) = table.job_and_range(job.workspace_id, job.job_id, number).await?;
    let commit = Commit::without_event(origin.new_event_context().event_id);
    match found {
        Some(range) if range.ended_at.is_some() => Ok(range),
        Some(range) => {
            let after = range_stopped(&range, origin.now());
            let committed = table.commit(commit.edit(&range, &after)).await?;
            Ok(committed.with_new_version(after))
        }
        None => {
            let range = range_stopped(&JobRange::new(job, number, origin.now()), origin.now());
            table.commit(commit.put(&range)).await.map(|_| range)
        }
    }
}

/// The outcomes so far of the page on which a stopped range was.
async fn outcomes_of_page(table: &Table, range: &JobRange, listing: &Listing) -> Result<Vec<ItemOutcome>, Error> {
    let ids = page_of(table, range, listing).await?;
    let items = table.job_items(range.workspace_id, range.job_id, &ids).await?;
    Ok(items.iter().map(|item| item.outcome).collect())
}
