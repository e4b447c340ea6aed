//! A job at work: page by page, thing by thing.

use aws::{Commit, Position, Table};
use domain::error::{DomainError, Error};
use domain::error::{MessageLimit, RetryAfter};
use domain::input::Fields;
use domain::models::invitation::{Invitation, Warning};
use domain::models::job::{ItemOutcome, Job, JobItem, JobKind, JobPause, NextPage, Selection, Waiting};
use domain::models::source::SyncAction;
use domain::rules::change::ChangeSet;
use domain::rules::jobs::{cancel, page_done};
use domain::states::JobState;
use domain::{DeviceId, Time, UserId};
use lambda::logging::Chain;
use serde::de::DeserializeOwned;

use crate::context::{ActionContext, RequestContext};
use crate::deadline::Deadline;
use crate::devices::actions::DeviceAction;
use crate::devices::list_devices;
use crate::jobs::{commit, load};
use crate::makers::permissions_now;
use crate::retry::retry_on_conflict;
use crate::settings::Defaults;
use crate::users::actions::UserAction;
use crate::users::list_users;

/// Things of a page of a filter.
const PAGE: usize = 50;

/// Moves a job on, until it is over, its time is, or about so many things are done. Answers with
/// the job as it then stands.
///
/// # Errors
/// `Unavailable`: the job stays at its page, and whoever takes it up next goes on there.
pub(crate) async fn advance(
    table: &Table,
    context: &RequestContext,
    job: Job,
    defaults: &Defaults,
    deadline: &Deadline,
    things: usize,
) -> Result<Job, Error> {
    let context = &context.for_job(&job);
    let size = |job: &Job| job.page.len().max(1);
    moved_on(table, job, deadline, things, size, |job| async move {
        if may_go_on(table, &job, context.now()).await? {
            // On the heap, as is what it does to each thing: together they are more than a small stack takes.
            Box::pin(page(table, context, &job, defaults, deadline)).await
        } else {
            stopped(table, &context.at(deadline.id_source()).itself(), &job).await
        }
    })
    .await
}

/// Takes step after step of a job, until it is over, its time is, or steps of about so much size are
/// taken. A step answers with the job after it, or `None` if its time was over before; where another run
/// came first, the job is read again.
///
/// # Errors
/// What a step answers.
pub(crate) async fn moved_on<F: Future<Output = Result<Option<Job>, Error>>>(
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
            // Another run has moved it on, or it was stopped.
            Err(Error::Conflict) => {
                job = load(table, job.workspace_id, job.job_id).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(job)
}

/// Whether whoever began the job may still do what it does: a key or a token that was revoked, or a member
/// who was removed, does nothing more.
pub(crate) async fn may_go_on(table: &Table, job: &Job, now: Time) -> Result<bool, Error> {
    let permissions = permissions_now(table, job.workspace_id, job.maker(), now).await?;
    Ok(Action::of(job)?.permissions().iter().all(|needed| permissions.contains(needed)))
}

/// Ends a job whose beginner may not do it any more.
pub(crate) async fn stopped(table: &Table, context: &RequestContext, job: &Job) -> Result<Option<Job>, Error> {
    let event_context = context.event_context();
    let why = "whoever began it may not do this any more";
    let Some(change) = cancel(job, &outcomes(table, job).await?, Some(why), &event_context)? else {
        return Ok(None);
    };
    commit(table, job, change, &event_context).await.map(Some)
}

/// What has become of the things of a job's page so far.
pub(crate) async fn outcomes(table: &Table, job: &Job) -> Result<Vec<ItemOutcome>, Error> {
    let items = table.job_items(job.workspace_id, job.job_id, &job.page).await?;
    Ok(items.iter().map(|item| item.outcome).collect())
}

/// Does a job's page, and lays the next one down in the commit that counts this one. `None` if its
/// time was over before.
async fn page(
    table: &Table,
    context: &RequestContext,
    job: &Job,
    defaults: &Defaults,
    deadline: &Deadline,
) -> Result<Option<Job>, Error> {
    let (mut outcomes, mut waiting) = (Vec::new(), job.waiting.clone());
    for (at, id) in job.page.iter().enumerate() {
        if deadline.is_over() {
            return Ok(None);
        }
        let context = context.at(deadline.id_source());
        match retry_on_conflict(table, || Box::pin(thing(table, &context, job, id, defaults))).await? {
            ItemResult::Came(outcome) => outcomes.push(outcome),
            ItemResult::Waits(wait) if wait.limit == MessageLimit::Recipient => {
                waiting.push(Waiting { id: id.clone(), until: wait.until });
            }
            // What is left of the page waits as well, and all that comes after it.
            ItemResult::Waits(wait) => {
                let (ids, cursor) = (job.page[at..].to_vec(), job.cursor.clone());
                let rest = NextPage { ids, cursor, waiting, rest: Some(JobPause::of(&wait)), ..NextPage::default() };
                return turned(table, &context, job, &outcomes, Some(rest)).await;
            }
            ItemResult::Overtaken => return Err(Error::Conflict),
        }
    }
    let context = context.at(deadline.id_source());
    let next = match &job.cursor {
        Some(cursor) if waiting.len() < PAGE => {
            Some(NextPage { waiting, ..next_page(table, &context, job, cursor).await? })
        }
        cursor => NextPage::from_waiting(waiting, cursor.clone()),
    };
    turned(table, &context, job, &outcomes, next).await
}

/// The job with its next page.
async fn turned(
    table: &Table,
    context: &RequestContext,
    job: &Job,
    outcomes: &[ItemOutcome],
    next: Option<NextPage>,
) -> Result<Option<Job>, Error> {
    let event_context = context.event_context();
    commit(table, job, page_done(job, outcomes, next, &event_context), &event_context).await.map(Some)
}

/// What came of one thing.
enum ItemResult {
    /// Its outcome.
    Came(ItemOutcome),
    /// Its message may not go out yet.
    Waits(RetryAfter),
    /// The job was moved on or stopped meanwhile.
    Overtaken,
}

/// Does one thing, once: its outcome's row is made in the commit that changes it, and that commit
/// stands on the job as it is.
async fn thing(
    table: &Table,
    context: &RequestContext,
    job: &Job,
    id: &str,
    defaults: &Defaults,
) -> Result<ItemResult, Error> {
    let (now, item) = table.job_and_item(job.workspace_id, job.job_id, id).await?;
    if now.is_none_or(|now| now.version != job.version) {
        return Ok(ItemResult::Overtaken);
    }
    if let Some(item) = item {
        return Ok(ItemResult::Came(item.outcome));
    }
    let item = |outcome, error: Option<&DomainError>| JobItem::of(job, id, outcome, error, context.now());
    let (item, commit) = match decided(table, context, job, id, defaults).await {
        Ok(Some(PlannedChange { commit, warnings })) => {
            let changed = JobItem { warnings, ..item(ItemOutcome::Changed, None) };
            (changed, Some(commit).filter(|_| !job.dry_run))
        }
        Ok(None) => (item(ItemOutcome::Unchanged, None), None),
        // A job waits instead of failing; what is only tried is told as what it will come to.
        Err(Error::Refused(DomainError::TooManyMessages(wait))) if !job.dry_run => return Ok(ItemResult::Waits(wait)),
        Err(Error::Refused(DomainError::TooManyMessages(_))) => (item(ItemOutcome::Changed, None), None),
        Err(Error::Refused(error)) => (item(ItemOutcome::Failed, Some(&error)), None),
        Err(failure @ Error::Internal { .. }) => (given_up(job, id, context, &failure), None),
        Err(failure) => return Err(failure),
    };
    let alone = || Commit::without_event(context.event_context().event_id);
    match table.commit(commit.unwrap_or_else(alone).put(&item).require_unchanged(job)).await {
        Err(failure @ Error::Internal { .. }) => {
            let item = given_up(job, id, context, &failure);
            table.commit(alone().put(&item).require_unchanged(job)).await?;
            Ok(ItemResult::Came(item.outcome))
        }
        outcome => outcome.map(|_| ItemResult::Came(item.outcome)),
    }
}

/// The outcome of a thing that a fault of ours keeps from being done: it does not stop the others.
pub(crate) fn given_up(job: &Job, id: &str, context: &RequestContext, failure: &Error) -> JobItem {
    tracing::error!(job.id = %job.job_id, error = %Chain(failure), "a thing of a job failed");
    JobItem {
        code: Some("internal_error".to_owned()),
        ..JobItem::of(job, id, ItemOutcome::Failed, None, context.now())
    }
}

/// Reads a job's action, as it was kept.
///
/// # Errors
/// `Internal` if it is none of this kind.
pub(crate) fn read_action<T: DeserializeOwned>(job: &Job) -> Result<T, Error> {
    serde_json::from_value(job.action.clone()).map_err(|e| Error::internal("reading a job's action", e))
}

/// A job's action, as it was kept.
pub(crate) enum Action {
    User(UserAction),
    Device(DeviceAction),
    Sync(SyncAction),
}

impl Action {
    /// Reads it.
    ///
    /// # Errors
    /// `Internal` if it is none.
    pub fn of(job: &Job) -> Result<Self, Error> {
        Ok(match job.kind {
            JobKind::Users => Self::User(read_action(job)?),
            JobKind::Devices => Self::Device(read_action(job)?),
            JobKind::Sync => Self::Sync(read_action(job)?),
            JobKind::Unknown(_) => {
                return Err(Error::internal("reading a job's action", "a kind of another release"));
            }
        })
    }
}

/// What an action comes to for one thing.
pub(crate) struct PlannedChange {
    /// What is to be written.
    pub commit: Commit,
    /// What whoever asked for it should look at.
    pub warnings: Vec<Warning>,
}

/// What the job's action comes to for one thing; `None` if there is nothing to do.
pub(crate) async fn decided(
    table: &Table,
    context: &RequestContext,
    job: &Job,
    id: &str,
    defaults: &Defaults,
) -> Result<Option<PlannedChange>, Error> {
    let action = ActionContext::new(table, defaults, context.clone());
    match Action::of(job)? {
        Action::User(wanted) => {
            let id = UserId::parse(id).ok_or(DomainError::NotFound("user"))?;
            let user = table.user(job.workspace_id, id).await?.ok_or(DomainError::NotFound("user"))?;
            let plan = Box::pin(wanted.decide(&action, &user)).await?;
            let warnings = plan.new_invitation().into_iter().flat_map(Invitation::warnings).collect();
            Ok(plan.commit().map(|commit| PlannedChange { commit, warnings }))
        }
        Action::Device(wanted) => {
            let id = DeviceId::parse(id).ok_or(DomainError::NotFound("device"))?;
            let details = table.device_details(job.workspace_id, id).await?.ok_or(DomainError::NotFound("device"))?;
            let change = wanted.decide(&action, &details).await?;
            let commit = |change: &ChangeSet| Commit::from_changes(action.event.event_id, change);
            Ok(change.map(|change| PlannedChange { commit: commit(&change), warnings: Vec::new() }))
        }
        Action::Sync(_) => Err(not_by_things()),
    }
}

/// A sync goes by the rows of its source: see `sources::sync`.
fn not_by_things() -> Error {
    Error::internal("working on a job", "a sync is not done thing by thing")
}

/// The page that begins at a cursor.
async fn next_page(table: &Table, context: &RequestContext, job: &Job, cursor: &str) -> Result<NextPage, Error> {
    let Selection::Filter(filter) = &job.selection else {
        return Ok(NextPage::default());
    };
    let start = match cursor {
        "" => None,
        at => Position::from_text(at),
    };
    let mut fields = Fields::from_json(filter.clone());
    let (workspace, now) = (job.workspace_id, context.now());
    let (ids, next, unreadable) = match job.kind {
        JobKind::Users => {
            let page = table.list_users(workspace, &list_users::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|person| person.user.user_id.to_string()).collect(), page.next, page.unreadable)
        }
        JobKind::Devices => {
            let page = table.list_devices(workspace, &list_devices::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|device| device.device_id.to_string()).collect(), page.next, page.unreadable)
        }
        JobKind::Sync | JobKind::Unknown(_) => return Err(not_by_things()),
    };
    let cursor = next.map(|next| next.to_text());
    Ok(NextPage { ids, unreadable, cursor, ..NextPage::default() })
}
