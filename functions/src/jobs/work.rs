//! Runs jobs, page by page and item by item.

use aws::{Commit, Position, Table};
use domain::error::{DomainError, Error};
use domain::error::{MessageLimit, RetryAfter};
use domain::input::Fields;
use domain::models::job::{ItemOutcome, Job, JobItem, JobKind, JobPause, NextPage, Selection, Waiting};
use domain::models::offer::{Offer, Warning};
use domain::models::source::SyncAction;
use domain::rules::change::ChangeSet;
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
use crate::jobs::{commit, load};
use crate::retry::retry_on_conflict;
use crate::settings::OperatorSettings;
use crate::users::actions::UserAction;
use crate::users::list_users;

/// Objects per page of a filter.
const PAGE: usize = 50;

/// Continues a job until it ends, time is up, or about `item_limit` items are done. Returns the job in its new state.
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
    let origin = &origin.for_job(&job);
    let size = |job: &Job| job.page.len().max(1);
    run_steps(table, job, deadline, item_limit, size, |job| async move {
        if may_go_on(table, &job, origin.now()).await? {
            // Boxed, as is the work on each item: together they are too large for a small stack.
            Box::pin(process_page(table, origin, &job, operator, deadline)).await
        } else {
            cancel_without_permission(table, &origin.at(deadline.id_source()).itself(), &job).await
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

/// Cancels a job whose creator may no longer do what it does.
pub(crate) async fn cancel_without_permission(table: &Table, origin: &Origin, job: &Job) -> Result<Option<Job>, Error> {
    let event_context = origin.new_event_context();
    let why = "whoever started the job no longer has the permission";
    let Some(change) = cancel(job, &outcomes(table, job).await?, Some(why), &event_context)? else {
        return Ok(None);
    };
    commit(table, job, change, &event_context).await.map(Some)
}

/// The outcomes so far of the job's current page.
pub(crate) async fn outcomes(table: &Table, job: &Job) -> Result<Vec<ItemOutcome>, Error> {
    let items = table.job_items(job.workspace_id, job.job_id, &job.page).await?;
    Ok(items.iter().map(|item| item.outcome).collect())
}

/// Handles a job's page, and sets the next page in the commit that counts this one. `None` if time was up before.
async fn process_page(
    table: &Table,
    origin: &Origin,
    job: &Job,
    operator: &OperatorSettings,
    deadline: &Deadline,
) -> Result<Option<Job>, Error> {
    let (mut outcomes, mut waiting) = (Vec::new(), job.waiting.clone());
    for (at, id) in job.page.iter().enumerate() {
        if deadline.is_over() {
            return Ok(None);
        }
        let origin = origin.at(deadline.id_source());
        match retry_on_conflict(table, || Box::pin(process_item(table, &origin, job, id, operator))).await? {
            ItemResult::Came(outcome) => outcomes.push(outcome),
            ItemResult::Waits(wait) if wait.limit == MessageLimit::Recipient => {
                waiting.push(Waiting { id: id.clone(), until: wait.until });
            }
            // The rest of the page waits too, and so does everything after it.
            ItemResult::Waits(wait) => {
                let (ids, cursor) = (job.page[at..].to_vec(), job.cursor.clone());
                let pause = NextPage { ids, cursor, waiting, pause: Some(JobPause::of(&wait)), ..NextPage::default() };
                return commit_page(table, &origin, job, &outcomes, Some(pause)).await;
            }
            ItemResult::Overtaken => return Err(Error::Conflict),
        }
    }
    let origin = origin.at(deadline.id_source());
    let next = match &job.cursor {
        Some(cursor) if waiting.len() < PAGE => {
            Some(NextPage { waiting, ..next_page(table, &origin, job, cursor).await? })
        }
        cursor => NextPage::from_waiting(waiting, cursor.clone()),
    };
    commit_page(table, &origin, job, &outcomes, next).await
}

/// Commits the outcomes of a page, with the next page.
async fn commit_page(
    table: &Table,
    origin: &Origin,
    job: &Job,
    outcomes: &[ItemOutcome],
    next: Option<NextPage>,
) -> Result<Option<Job>, Error> {
    let event_context = origin.new_event_context();
    commit(table, job, page_done(job, outcomes, next, &event_context), &event_context).await.map(Some)
}

/// The result for one item.
enum ItemResult {
    /// The outcome.
    Came(ItemOutcome),
    /// A message limit delays it.
    Waits(RetryAfter),
    /// The job was advanced or canceled meanwhile.
    Overtaken,
}

/// Handles one item exactly once: the commit that changes it also creates its outcome's row, and requires the job to
/// be unchanged.
async fn process_item(
    table: &Table,
    origin: &Origin,
    job: &Job,
    id: &str,
    operator: &OperatorSettings,
) -> Result<ItemResult, Error> {
    let (now, item) = table.job_and_item(job.workspace_id, job.job_id, id).await?;
    if now.is_none_or(|now| now.version != job.version) {
        return Ok(ItemResult::Overtaken);
    }
    if let Some(item) = item {
        return Ok(ItemResult::Came(item.outcome));
    }
    let (item, commit) = match plan_outcome(table, origin, job, id, operator).await? {
        PlannedOutcome::Outcome(item, commit) => (*item, commit),
        PlannedOutcome::Waits(wait) => return Ok(ItemResult::Waits(wait)),
    };
    let alone = || Commit::without_event(origin.new_event_context().event_id);
    match table.commit(commit.unwrap_or_else(alone).put(&item).require_unchanged(job)).await {
        Err(failure @ Error::Internal { .. }) => {
            let item = failed_item(job, id, origin, &failure);
            table.commit(alone().put(&item).require_unchanged(job)).await?;
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
            let commit = |change: &ChangeSet| Commit::from_changes(context.event_context.event_id, change);
            Ok(change.map(|change| PlannedChange { commit: commit(&change), warnings: Vec::new() }))
        }
        Action::Sync(_) => Err(sync_has_no_items()),
    }
}

/// A sync handles rows of its source instead: see `sources::sync`.
fn sync_has_no_items() -> Error {
    Error::internal("working on a job", "a sync has no items")
}

/// The page at a cursor.
async fn next_page(table: &Table, origin: &Origin, job: &Job, cursor: &str) -> Result<NextPage, Error> {
    let Selection::Filter(filter) = &job.selection else {
        return Ok(NextPage::default());
    };
    let start = match cursor {
        "" => None,
        at => Position::from_text(at),
    };
    let mut fields = Fields::from_json(filter.clone());
    let (workspace, now) = (job.workspace_id, origin.now());
    let (ids, next, unreadable) = match job.kind {
        JobKind::Users => {
            let page = table.list_users(workspace, &list_users::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|person| person.user.user_id.to_string()).collect(), page.next, page.unreadable)
        }
        JobKind::Devices => {
            let page = table.list_devices(workspace, &list_devices::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|device| device.device_id.to_string()).collect(), page.next, page.unreadable)
        }
        JobKind::Sync | JobKind::Unknown(_) => return Err(sync_has_no_items()),
    };
    let cursor = next.map(|next| next.to_text());
    Ok(NextPage { ids, unreadable, cursor, ..NextPage::default() })
}
