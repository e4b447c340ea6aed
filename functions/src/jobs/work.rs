//! A job at work: page by page, thing by thing.

use aws::{Commands, Commit, Invitations, Jobs, Keys, Position, Profiles, Tokens, Users, Workspaces};
use domain::input::Fields;
use domain::invitation::{Invitation, Warning};
use domain::job::{
    ItemOutcome, Job, JobItem, JobKind, JobState, NextPage, Rest, Selection, Waiting, cancel, page_done,
};
use domain::message::{MessageLimit, Wait};
use domain::refusal::{Failure, Refusal};
use domain::source::SyncAction;
use domain::{DeviceId, Time, UserId};
use lambda::logging::Chain;

use crate::attempts::attempts;
use crate::devices::actions::{self as device_actions, DeviceAction};
use crate::devices::list_devices;
use crate::doer::Doer;
use crate::makers::permissions_now;
use crate::pace::Pace;
use crate::settings::Defaults;
use crate::users::actions::{self as user_actions, UserAction};
use crate::users::list_users;

/// Things of a page of a filter.
const PAGE: usize = 50;

/// What a job touches.
pub trait Store: Users + Commands + Invitations + Workspaces + Profiles + Jobs + Keys + Tokens {}

impl<T: Users + Commands + Invitations + Workspaces + Profiles + Jobs + Keys + Tokens> Store for T {}

/// Moves a job on, until it is over, its time is, or about so many things are done. Answers with
/// the job as it then stands.
///
/// # Errors
/// `Unavailable`: the job stays at its page, and whoever takes it up next goes on there.
pub(crate) async fn advance(
    store: &impl Store,
    doer: &Doer,
    job: Job,
    defaults: &Defaults,
    pace: &Pace,
    things: usize,
) -> Result<Job, Failure> {
    let doer = &doer.for_job(&job);
    let size = |job: &Job| job.page.len().max(1);
    moved_on(store, job, pace, things, size, |job| async move {
        if may_go_on(store, &job, doer.now()).await? {
            // On the heap, as is what it does to each thing: together they are more than a small stack takes.
            Box::pin(page(store, doer, &job, defaults, pace)).await
        } else {
            stopped(store, &doer.at(pace.moment()).itself(), &job).await
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
pub(crate) async fn moved_on<F: Future<Output = Result<Option<Job>, Failure>>>(
    store: &impl Jobs,
    mut job: Job,
    pace: &Pace,
    most: usize,
    size: impl Fn(&Job) -> usize,
    step: impl Fn(Job) -> F,
) -> Result<Job, Failure> {
    let mut done = 0;
    while job.state == JobState::Running && done < most && !pace.is_over() && !job.rests(pace.moment().now) {
        done += size(&job);
        match step(job.clone()).await {
            Ok(Some(after)) => job = after,
            Ok(None) => return Ok(job),
            // Another run has moved it on, or it was stopped.
            Err(Failure::LostRace) => {
                let now = store.job(job.workspace_id, job.job_id).await?;
                job = now.ok_or(Refusal::NotFound("job"))?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(job)
}

/// Whether whoever began the job may still do what it does: a key or a token that was revoked, or a member
/// who was removed, does nothing more.
pub(crate) async fn may_go_on(store: &impl Store, job: &Job, now: Time) -> Result<bool, Failure> {
    let permissions = permissions_now(store, job.workspace_id, job.maker(), now).await?;
    Ok(Action::of(job)?.permissions().iter().all(|needed| permissions.contains(needed)))
}

/// Ends a job whose beginner may not do it any more.
pub(crate) async fn stopped(store: &impl Store, doer: &Doer, job: &Job) -> Result<Option<Job>, Failure> {
    let act = doer.act();
    let why = "whoever began it may not do this any more";
    let Some(change) = cancel(job, &outcomes(store, job).await?, Some(why), &act)? else {
        return Ok(None);
    };
    store.commit(Commit::changing(act.event_id, &change)).await?;
    Ok(change.job.map(|job| job.after))
}

/// What has become of the things of a job's page so far.
pub(crate) async fn outcomes(store: &impl Jobs, job: &Job) -> Result<Vec<ItemOutcome>, Failure> {
    let items = store.job_items(job.workspace_id, job.job_id, &job.page).await?;
    Ok(items.iter().map(|item| item.outcome).collect())
}

/// Does a job's page, and lays the next one down in the commit that counts this one. `None` if its
/// time was over before.
async fn page(
    store: &impl Store,
    doer: &Doer,
    job: &Job,
    defaults: &Defaults,
    pace: &Pace,
) -> Result<Option<Job>, Failure> {
    let (mut outcomes, mut waiting) = (Vec::new(), job.waiting.clone());
    for (at, id) in job.page.iter().enumerate() {
        if pace.is_over() {
            return Ok(None);
        }
        let doer = doer.at(pace.moment());
        match attempts(store, || Box::pin(thing(store, &doer, job, id, defaults))).await? {
            Done::Came(outcome) => outcomes.push(outcome),
            Done::Waits(wait) if wait.limit == MessageLimit::Recipient => {
                waiting.push(Waiting { id: id.clone(), until: wait.until });
            }
            // What is left of the page waits as well, and all that comes after it.
            Done::Waits(wait) => {
                let (ids, cursor) = (job.page[at..].to_vec(), job.cursor.clone());
                let rest = NextPage { ids, cursor, waiting, rest: Some(Rest::of(&wait)), ..NextPage::default() };
                return turned(store, &doer, job, &outcomes, Some(rest)).await;
            }
            Done::Overtaken => return Err(Failure::LostRace),
        }
    }
    let doer = doer.at(pace.moment());
    let next = match &job.cursor {
        Some(cursor) if waiting.len() < PAGE => {
            Some(NextPage { waiting, ..next_page(store, &doer, job, cursor).await? })
        }
        cursor => NextPage::of_waiting(waiting, cursor.clone()),
    };
    turned(store, &doer, job, &outcomes, next).await
}

/// The job with its next page.
async fn turned(
    store: &impl Store,
    doer: &Doer,
    job: &Job,
    outcomes: &[ItemOutcome],
    next: Option<NextPage>,
) -> Result<Option<Job>, Failure> {
    let act = doer.act();
    let change = page_done(job, outcomes, next, &act);
    store.commit(Commit::changing(act.event_id, &change)).await?;
    let after = change.job.map_or_else(|| job.clone(), |job| job.after);
    Ok(Some(Job { version: job.version + 1, ..after }))
}

/// What came of one thing.
enum Done {
    /// Its outcome.
    Came(ItemOutcome),
    /// Its message may not go out yet.
    Waits(Wait),
    /// The job was moved on or stopped meanwhile.
    Overtaken,
}

/// Does one thing, once: its outcome's row is made in the commit that changes it, and that commit
/// stands on the job as it is.
async fn thing(store: &impl Store, doer: &Doer, job: &Job, id: &str, defaults: &Defaults) -> Result<Done, Failure> {
    let (now, item) = store.job_and_item(job.workspace_id, job.job_id, id).await?;
    if now.is_none_or(|now| now.version != job.version) {
        return Ok(Done::Overtaken);
    }
    if let Some(item) = item {
        return Ok(Done::Came(item.outcome));
    }
    let item = |outcome, refusal: Option<&Refusal>| JobItem::of(job, id, outcome, refusal, doer.now());
    let (item, commit) = match decided(store, doer, job, id, defaults).await {
        Ok(Some(Decided { commit, warnings })) => {
            let changed = JobItem { warnings, ..item(ItemOutcome::Changed, None) };
            (changed, Some(commit).filter(|_| !job.dry_run))
        }
        Ok(None) => (item(ItemOutcome::Unchanged, None), None),
        // A job waits instead of failing; what is only tried is told as what it will come to.
        Err(Failure::Refused(Refusal::TooManyMessages(wait))) if !job.dry_run => return Ok(Done::Waits(wait)),
        Err(Failure::Refused(Refusal::TooManyMessages(_))) => (item(ItemOutcome::Changed, None), None),
        Err(Failure::Refused(refusal)) => (item(ItemOutcome::Failed, Some(&refusal)), None),
        Err(failure @ Failure::Internal { .. }) => (given_up(job, id, doer, &failure), None),
        Err(failure) => return Err(failure),
    };
    let alone = || Commit::unrecorded(doer.act().event_id);
    match store.commit(commit.unwrap_or_else(alone).put(&item).guarded_by(job)).await {
        Err(failure @ Failure::Internal { .. }) => {
            let item = given_up(job, id, doer, &failure);
            store.commit(alone().put(&item).guarded_by(job)).await?;
            Ok(Done::Came(item.outcome))
        }
        outcome => outcome.map(|()| Done::Came(item.outcome)),
    }
}

/// The outcome of a thing that a fault of ours keeps from being done: it does not stop the others.
fn given_up(job: &Job, id: &str, doer: &Doer, failure: &Failure) -> JobItem {
    tracing::error!(job.id = %job.job_id, error = %Chain(failure), "a thing of a job failed");
    JobItem { code: Some("internal_error".to_owned()), ..JobItem::of(job, id, ItemOutcome::Failed, None, doer.now()) }
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
    pub fn of(job: &Job) -> Result<Self, Failure> {
        let action = job.action.clone();
        let unreadable = |e: serde_json::Error| Failure::internal("reading a job's action", e);
        Ok(match job.kind {
            JobKind::Users => Self::User(serde_json::from_value(action).map_err(unreadable)?),
            JobKind::Devices => Self::Device(serde_json::from_value(action).map_err(unreadable)?),
            JobKind::Sync => Self::Sync(serde_json::from_value(action).map_err(unreadable)?),
            JobKind::Unknown(_) => {
                return Err(Failure::internal("reading a job's action", "a kind of another release"));
            }
        })
    }
}

/// What an action comes to for one thing.
pub(crate) struct Decided {
    /// What is to be written.
    pub commit: Commit,
    /// What whoever asked for it should look at.
    pub warnings: Vec<Warning>,
}

/// What the job's action comes to for one thing; `None` if there is nothing to do.
pub(crate) async fn decided(
    store: &impl Store,
    doer: &Doer,
    job: &Job,
    id: &str,
    defaults: &Defaults,
) -> Result<Option<Decided>, Failure> {
    match Action::of(job)? {
        Action::User(action) => {
            let id = UserId::parse(id).ok_or(Refusal::NotFound("user"))?;
            let user = store.user(job.workspace_id, id).await?.ok_or(Refusal::NotFound("user"))?;
            let prepared = Box::pin(user_actions::prepare(store, doer, &user, &action, defaults)).await?;
            let warnings = prepared.invitation.iter().flat_map(Invitation::warnings).collect();
            Ok(prepared.commit.map(|commit| Decided { commit, warnings }))
        }
        Action::Device(action) => {
            let id = DeviceId::parse(id).ok_or(Refusal::NotFound("device"))?;
            let whole = store.device_whole(job.workspace_id, id).await?.ok_or(Refusal::NotFound("device"))?;
            let commit = device_actions::prepare(store, doer, whole, &action, defaults).await?.commit;
            Ok(commit.map(|commit| Decided { commit, warnings: Vec::new() }))
        }
        Action::Sync(_) => Err(not_by_things()),
    }
}

/// A sync goes by the rows of its data set: see `sources::sync`.
fn not_by_things() -> Failure {
    Failure::internal("working on a job", "a sync is not done thing by thing")
}

/// The page that begins at a cursor.
async fn next_page(store: &impl Store, doer: &Doer, job: &Job, cursor: &str) -> Result<NextPage, Failure> {
    let Selection::Filter(filter) = &job.selection else {
        return Ok(NextPage::default());
    };
    let start = match cursor {
        "" => None,
        at => Position::from_bytes(at.as_bytes()),
    };
    let mut fields = Fields::of_json(filter.clone());
    let (workspace, now) = (job.workspace_id, doer.now());
    let (ids, next, left_out) = match job.kind {
        JobKind::Users => {
            let page = store.list_users(workspace, &list_users::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|person| person.user.user_id.to_string()).collect(), page.next, page.left_out)
        }
        JobKind::Devices => {
            let page = store.list_devices(workspace, &list_devices::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|device| device.device_id.to_string()).collect(), page.next, page.left_out)
        }
        JobKind::Sync | JobKind::Unknown(_) => return Err(not_by_things()),
    };
    let cursor = next.map(|next| String::from_utf8_lossy(&next.to_bytes()).into_owned());
    Ok(NextPage { ids, left_out, cursor, ..NextPage::default() })
}
