//! Runs jobs, page by page and item by item.

use std::collections::BTreeMap;

use aws::{Commit, DeviceFilter, Position, Table, UserFilter, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::error::{MessageLimit, RetryAfter};
use domain::input::Fields;
use domain::models::job::{
    ItemOutcome, Job, JobItem, JobKind, JobPause, JobRange, NextPage, PageResult, Selection, Waiting,
};
use domain::models::offer::{Offer, Warning};
use domain::models::source::SyncAction;
use domain::rules::jobs::{cancel, page_done};
use domain::states::JobState;
use domain::{DeviceId, Time, UserId};
use lambda::logging::Chain;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::{ActionContext, Origin};
use crate::creators::permissions_now;
use crate::deadline::Deadline;
use crate::devices::actions::DeviceAction;
use crate::devices::list_devices;
use crate::jobs::ranges::settle;
use crate::jobs::{commit, load};
use crate::settings::OperatorSettings;
use crate::users::actions::UserAction;
use crate::users::list_users;

/// Objects per page of a filter.
pub(crate) const PAGE: usize = 50;

/// A run's work on a job, in the name of the job's creator.
pub(crate) struct JobRun<'a> {
    pub table: &'a Table,
    pub operator: &'a OperatorSettings,
    pub deadline: &'a Deadline,
    origin: Origin,
}

impl<'a> JobRun<'a> {
    /// The work of an operation's run on a job.
    pub fn new(
        table: &'a Table,
        origin: &Origin,
        job: &Job,
        operator: &'a OperatorSettings,
        deadline: &'a Deadline,
    ) -> Self {
        Self { table, operator, deadline, origin: origin.for_job(job) }
    }

    /// Who acts, at the current time.
    pub fn origin(&self) -> Origin {
        self.origin.at(self.deadline.id_source())
    }

    /// The current time.
    pub fn now(&self) -> Time {
        self.deadline.id_source().now
    }
}

/// Continues a job until it ends, the rest is for its ranges, time is up, or about `item_limit` items are done. Returns
/// the job in its new state.
///
/// # Errors
/// `Unavailable`: the job stays at its page, and the next run continues there.
pub(crate) async fn advance(
    table: &Table,
    origin: &Origin,
    job: Job,
    operator: &OperatorSettings,
    deadline: &Deadline,
    item_limit: usize,
) -> Result<Job, Error> {
    let run = &JobRun::new(table, origin, &job, operator, deadline);
    let size = |job: &Job| job.page.len().max(1);
    run_steps(table, job, deadline, item_limit, size, |job| async move {
        if job.is_in_ranges() {
            Ok(None)
        } else if may_go_on(table, &job, run.now()).await? {
            // Boxed, as is the work on each item: together they are too large for a small stack.
            Box::pin(process_page(run, &job)).await
        } else {
            cancel_without_permission(table, &run.origin().itself(), &job).await
        }
    })
    .await
}

/// Runs steps of a job until it ends, pauses, time is up, or steps of about `most` in total `size` are done. A step
/// returns the job after it, or `None` if time was up before. After a conflict with another run, the job is read again.
///
/// # Errors
/// Those of a step.
pub(crate) async fn run_steps<F: Future<Output = Result<Option<Job>, Error>>>(
    table: &Table,
    mut job: Job,
    deadline: &Deadline,
    most: usize,
    size: impl Fn(&Job) -> usize,
    step: impl Fn(Job) -> F,
) -> Result<Job, Error> {
    let mut done = 0;
    while job.state == JobState::Running
        && done < most
        && !deadline.is_over()
        && !job.is_paused(deadline.id_source().now)
    {
        done += size(&job);
        match step(job.clone()).await {
            Ok(Some(after)) => job = after,
            Ok(None) => return Ok(job),
            // Another run advanced it, or it was canceled.
            Err(Error::Conflict) => {
                job = load(table, job.workspace_id, job.job_id).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(job)
}

/// True if the job's creator may still do what it does. A revoked key or token, or a removed member, may do nothing.
pub(crate) async fn may_go_on(table: &Table, job: &Job, now: Time) -> Result<bool, Error> {
    let permissions = permissions_now(table, job.workspace_id, job.creator(), now).await?;
    Ok(Action::of(job)?.permissions().iter().all(|needed| permissions.contains(needed)))
}

/// Cancels a job whose creator may no longer do what it does. `None` if it was canceled before.
pub(crate) async fn cancel_without_permission(table: &Table, origin: &Origin, job: &Job) -> Result<Option<Job>, Error> {
    let event_context = origin.new_event_context();
    let why = "whoever started the job no longer has the permission";
    let Some(change) = cancel(job, &outcomes(table, job).await?, Some(why), &event_context)? else {
        return Ok(None);
    };
    let canceled = commit(table, job, change, &event_context).await?;
    settle(table, origin, canceled).await.map(Some)
}

/// The outcomes so far of the job's current page.
pub(crate) async fn outcomes(table: &Table, job: &Job) -> Result<Vec<ItemOutcome>, Error> {
    let items = table.job_items(job.workspace_id, job.job_id, &job.page).await?;
    Ok(items.iter().map(|item| item.outcome).collect())
}

/// Handles a job's page, and sets the next page in the commit that counts this one. `None` if time was up before.
async fn process_page(run: &JobRun<'_>, job: &Job) -> Result<Option<Job>, Error> {
    let Some(done) = process_items(run, job, Guard::Job(job), &job.page).await? else {
        return Ok(None);
    };
    let waiting = [job.waiting.clone(), done.waiting].concat();
    let next = match &job.cursor {
        // The rest of the page waits too, and so does everything after it.
        cursor if done.pause.is_some() => {
            let (ids, cursor, pause) = (done.rest, cursor.clone(), done.pause);
            Some(NextPage { ids, cursor, waiting, pause, ..NextPage::default() })
        }
        None => NextPage::from_waiting(waiting, None),
        Some(first) if first.is_empty() => Some(NextPage { waiting, ..next_page(run, job, first, PAGE).await? }),
        // All further pages go to the job's ranges.
        cursor => Some(NextPage { waiting, cursor: cursor.clone(), ..NextPage::default() }),
    };
    let event_context = run.origin().new_event_context();
    commit(run.table, job, page_done(job, &done.outcomes, next, &event_context), &event_context).await.map(Some)
}

/// The row that must be unchanged when an item is committed: whoever advances or stops the work changes it.
#[derive(Clone, Copy)]
pub(crate) enum Guard<'a> {
    /// Of the items of a job's page.
    Job(&'a Job),
    /// Of the items of a range.
    Range(&'a JobRange),
}

impl Guard<'_> {
    /// A commit that requires the guard to be unchanged.
    pub fn hold(self, commit: Commit) -> Commit {
        match self {
            Self::Job(job) => commit.require_unchanged(job),
            Self::Range(range) => commit.require_unchanged(range),
        }
    }

    /// The outcome of an item, if it has one. `Conflict` if the guard was changed.
    pub async fn outcome(self, table: &Table, id: &str) -> Result<Option<JobItem>, Error> {
        let (is_same, item) = match self {
            Self::Job(job) => {
                let (now, item) = table.job_and_item(job.workspace_id, job.job_id, id).await?;
                (now.is_some_and(|now| now.version == job.version), item)
            }
            Self::Range(range) => {
                let (now, item) = table.range_and_item(range, id).await?;
                (now.is_some_and(|now| now.version == range.version), item)
            }
        };
        if is_same { Ok(item) } else { Err(Error::Conflict) }
    }
}

/// Handles items one after another; those that have an outcome are done. `None` if time was up before the end.
///
/// # Errors
/// `Conflict` if the guard was changed.
pub(crate) async fn process_items(
    run: &JobRun<'_>,
    job: &Job,
    guard: Guard<'_>,
    ids: &[String],
) -> Result<Option<PageResult>, Error> {
    let known = run.table.job_items(job.workspace_id, job.job_id, ids).await?;
    let known: BTreeMap<String, ItemOutcome> = known.into_iter().map(|item| (item.id, item.outcome)).collect();
    let mut done = PageResult::default();
    for (at, id) in ids.iter().enumerate() {
        if let Some(outcome) = known.get(id) {
            done.outcomes.push(*outcome);
            continue;
        }
        if run.deadline.is_over() {
            return Ok(None);
        }
        match Box::pin(process_item(run, job, guard, id)).await? {
            ItemResult::Came(outcome) => done.outcomes.push(outcome),
            ItemResult::Waits(wait) if wait.limit == MessageLimit::Recipient => {
                done.waiting.push(Waiting { id: id.clone(), until: wait.until });
            }
            ItemResult::Waits(wait) => {
                (done.rest, done.pause) = (ids[at..].to_vec(), Some(JobPause::of(&wait)));
                break;
            }
            ItemResult::Overtaken => return Err(Error::Conflict),
        }
    }
    Ok(Some(done))
}

/// The result for one item.
enum ItemResult {
    /// The outcome.
    Came(ItemOutcome),
    /// A message limit delays it.
    Waits(RetryAfter),
    /// The guard was changed: the work was advanced or stopped meanwhile.
    Overtaken,
}

/// Handles one item exactly once: the commit that changes it also creates its outcome's row, and requires the guard to
/// be unchanged. After a conflict, both are read again.
async fn process_item(run: &JobRun<'_>, job: &Job, guard: Guard<'_>, id: &str) -> Result<ItemResult, Error> {
    let origin = run.origin();
    let mut is_first = true;
    let attempt = || {
        let is_again = !std::mem::take(&mut is_first);
        let origin = &origin;
        Box::pin(async move {
            if is_again {
                match guard.outcome(run.table, id).await {
                    Ok(Some(item)) => return Ok(ItemResult::Came(item.outcome)),
                    Ok(None) => {}
                    Err(Error::Conflict) => return Ok(ItemResult::Overtaken),
                    Err(failure) => return Err(failure),
                }
            }
            try_item(run, origin, job, guard, id).await
        })
    };
    retry_on_conflict(run.table, attempt).await
}

async fn try_item(
    run: &JobRun<'_>,
    origin: &Origin,
    job: &Job,
    guard: Guard<'_>,
    id: &str,
) -> Result<ItemResult, Error> {
    let table = run.table;
    let (item, commit) = match plan_outcome(table, origin, job, id, run.operator).await? {
        PlannedOutcome::Outcome(item, commit) => (*item, commit),
        PlannedOutcome::Waits(wait) => return Ok(ItemResult::Waits(wait)),
    };
    let alone = || Commit::without_event(origin.new_event_context().event_id);
    match table.commit(guard.hold(commit.unwrap_or_else(alone).put(&item))).await {
        Err(failure @ Error::Internal { .. }) => {
            let item = failed_item(job, id, origin, &failure);
            table.commit(guard.hold(alone().put(&item))).await?;
            Ok(ItemResult::Came(item.outcome))
        }
        outcome => outcome.map(|_| ItemResult::Came(item.outcome)),
    }
}

/// The planned outcome for one item, before anything is written.
pub(crate) enum PlannedOutcome {
    /// The outcome, with the commit that changes the item, if it changes.
    Outcome(Box<JobItem>, Option<Commit>),
    /// A message limit delays it.
    Waits(RetryAfter),
}

/// Plans the outcome for one item. In a dry run nothing is to be committed, and an item that a message limit delays
/// counts as changed, since the job would wait and then change it.
///
/// # Errors
/// `Conflict`, `Unavailable`: nothing is decided. Any other error is the item's outcome.
pub(crate) async fn plan_outcome(
    table: &Table,
    origin: &Origin,
    job: &Job,
    id: &str,
    operator: &OperatorSettings,
) -> Result<PlannedOutcome, Error> {
    let item = |outcome, error: Option<&DomainError>| JobItem::of(job, id, outcome, error, origin.now());
    let (item, commit) = match plan_item(table, origin, job, id, operator).await {
        Ok(Some(PlannedChange { commit, warnings })) => {
            let changed = JobItem { warnings, ..item(ItemOutcome::Changed, None) };
            (changed, Some(commit).filter(|_| !job.dry_run))
        }
        Ok(None) => (item(ItemOutcome::Unchanged, None), None),
        Err(Error::Refused(DomainError::TooManyMessages(_))) if job.dry_run => (item(ItemOutcome::Changed, None), None),
        Err(Error::Refused(DomainError::TooManyMessages(wait))) => return Ok(PlannedOutcome::Waits(wait)),
        Err(Error::Refused(error)) => (item(ItemOutcome::Failed, Some(&error)), None),
        Err(failure @ Error::Internal { .. }) => (failed_item(job, id, origin, &failure), None),
        Err(failure) => return Err(failure),
    };
    Ok(PlannedOutcome::Outcome(Box::new(item), commit))
}

/// The outcome of an item that failed through an internal error, which does not stop the others.
pub(crate) fn failed_item(job: &Job, id: &str, origin: &Origin, failure: &Error) -> JobItem {
    tracing::error!(job.id = %job.job_id, error = %Chain(failure), "an item of a job failed");
    JobItem { code: Some("internal_error".to_owned()), ..JobItem::of(job, id, ItemOutcome::Failed, None, origin.now()) }
}

/// Reads a job's stored action.
///
/// # Errors
/// `Internal` if it is not of this type.
pub(crate) fn read_action<T: DeserializeOwned>(stored: &Value) -> Result<T, Error> {
    T::deserialize(stored).map_err(|e| Error::internal("reading a job's action", e))
}

/// A job's stored action.
pub(crate) enum Action {
    User(UserAction),
    Device(DeviceAction),
    Sync(SyncAction),
}

impl Action {
    /// Reads a job's stored action.
    ///
    /// # Errors
    /// `Internal` if it cannot be read.
    pub fn of(job: &Job) -> Result<Self, Error> {
        Self::read(job.kind, &job.action)
    }

    /// Reads an action as a job of this kind stores it.
    ///
    /// # Errors
    /// `Internal` if it cannot be read.
    pub fn read(kind: JobKind, stored: &Value) -> Result<Self, Error> {
        Ok(match kind {
            JobKind::Users => Self::User(read_action(stored)?),
            JobKind::Devices => Self::Device(read_action(stored)?),
            JobKind::Sync => Self::Sync(read_action(stored)?),
            JobKind::Unknown(_) => {
                return Err(Error::internal("reading a job's action", "a kind of another release"));
            }
        })
    }
}

/// The change that an action makes to one item.
struct PlannedChange {
    /// The change.
    pub commit: Commit,
    /// Warnings for whoever requested it.
    pub warnings: Vec<Warning>,
}

/// The change that the job's action makes to one item; `None` if there is nothing to do.
async fn plan_item(
    table: &Table,
    origin: &Origin,
    job: &Job,
    id: &str,
    operator: &OperatorSettings,
) -> Result<Option<PlannedChange>, Error> {
    let context = ActionContext::new(table, operator, origin.clone());
    match Action::of(job)? {
        Action::User(wanted) => {
            let id = UserId::parse(id).ok_or(DomainError::NotFound("user"))?;
            let user = table.user(job.workspace_id, id).await?.ok_or(DomainError::NotFound("user"))?;
            let plan = Box::pin(wanted.decide(&context, &user)).await?;
            let warnings = plan.new_offer().into_iter().flat_map(Offer::warnings).collect();
            Ok(plan.to_commit().map(|commit| PlannedChange { commit, warnings }))
        }
        Action::Device(wanted) => {
            let id = DeviceId::parse(id).ok_or(DomainError::NotFound("device"))?;
            let details = table.device_details(job.workspace_id, id).await?.ok_or(DomainError::NotFound("device"))?;
            let change = wanted.decide(&context, &details).await?;
            let commit = change.map(|change| Commit::from_changes(context.event_context.event_id, &change));
            let commit = match wanted {
                // A login does not change the row's version.
                DeviceAction::ApplySilentRule { .. } => {
                    commit.map(|commit| commit.require_attribute_unchanged(&details.device, "last_login_at"))
                }
                _ => commit,
            };
            Ok(commit.map(|commit| PlannedChange { commit, warnings: Vec::new() }))
        }
        Action::Sync(_) => Err(sync_has_no_items()),
    }
}

/// A sync handles rows of its source instead: see `sources::sync`.
fn sync_has_no_items() -> Error {
    Error::internal("working on a job", "a sync has no items")
}

/// The page of at most `limit` items at a cursor.
pub(crate) async fn next_page(run: &JobRun<'_>, job: &Job, cursor: &str, limit: usize) -> Result<NextPage, Error> {
    let Selection::Filter(filter) = &job.selection else {
        return Ok(NextPage::default());
    };
    let start = match cursor {
        "" => None,
        at => Position::from_text(at),
    };
    let mut fields = Fields::from_json(filter.clone());
    let (table, workspace, now) = (run.table, job.workspace_id, run.now());
    let (ids, next, unreadable) = match job.kind {
        JobKind::Users => {
            let filter = UserFilter { derived: Some(false), ..list_users::read(&mut fields) };
            let page = table.list_users(workspace, &filter, limit, start, now).await?;
            (page.items.iter().map(|person| person.user.user_id.to_string()).collect(), page.next, page.unreadable)
        }
        JobKind::Devices => {
            let filter = DeviceFilter { derived: Some(false), ..list_devices::read(&mut fields) };
            let page = table.list_devices(workspace, &filter, limit, start, now).await?;
            (page.items.iter().map(|device| device.device_id.to_string()).collect(), page.next, page.unreadable)
        }
        JobKind::Sync | JobKind::Unknown(_) => return Err(sync_has_no_items()),
    };
    let cursor = next.map(|next| next.to_text());
    Ok(NextPage { ids, unreadable, cursor, ..NextPage::default() })
}
