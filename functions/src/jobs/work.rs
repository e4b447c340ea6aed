//! A job at work: page by page, thing by thing.

use aws::{Commands, Commit, Invitations, Jobs, Position, Users, Workspaces};
use domain::input::Fields;
use domain::job::{ItemOutcome, Job, JobItem, JobKind, JobState, NextPage, Selection, page_done};
use domain::refusal::{Failure, Refusal};
use domain::{DeviceId, UserId};
use lambda::logging::Chain;

use crate::attempts::attempts;
use crate::devices::actions::{self as device_actions, DeviceAction};
use crate::devices::list_devices;
use crate::doer::Doer;
use crate::settings::Defaults;
use crate::users::actions::{self as user_actions, UserAction};
use crate::users::list_users;

/// Things of a page of a filter.
const PAGE: usize = 50;

/// What a job touches.
pub trait Store: Users + Commands + Invitations + Workspaces + Jobs {}

impl<T: Users + Commands + Invitations + Workspaces + Jobs> Store for T {}

/// Moves a job on, until it is over or about so many things are done. Answers with the job as it
/// then stands.
///
/// # Errors
/// `Unavailable`: the job stays at its page, and whoever takes it up next goes on there.
pub(crate) async fn advance(
    store: &impl Store,
    doer: &Doer,
    mut job: Job,
    defaults: &Defaults,
    things: usize,
) -> Result<Job, Failure> {
    let doer = doer.for_job(&job);
    let mut done = 0;
    while job.state == JobState::Running && done < things {
        done += job.page.len().max(1);
        match page(store, &doer, &job, defaults).await {
            Ok(after) => job = after,
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

/// Does a job's page, and lays the next one down in the commit that counts this one.
async fn page(store: &impl Store, doer: &Doer, job: &Job, defaults: &Defaults) -> Result<Job, Failure> {
    let mut outcomes = Vec::new();
    for id in &job.page {
        outcomes.push(attempts(store, || thing(store, doer, job, id, defaults)).await?);
    }
    let next = match &job.cursor {
        None => None,
        Some(cursor) => Some(next_page(store, doer, job, cursor).await?),
    };
    let act = doer.act();
    let change = page_done(job, &outcomes, next, &act);
    store.commit(Commit::changing(act.event_id, &change)).await?;
    let after = change.job.map_or_else(|| job.clone(), |job| job.after);
    Ok(Job { version: job.version + 1, ..after })
}

/// Does one thing, once: its outcome's row is made in the commit that changes it.
async fn thing(
    store: &impl Store,
    doer: &Doer,
    job: &Job,
    id: &str,
    defaults: &Defaults,
) -> Result<ItemOutcome, Failure> {
    if let Some(item) = store.job_item(job.workspace_id, job.job_id, id).await? {
        return Ok(item.outcome);
    }
    let item = |outcome, refusal: Option<&Refusal>| JobItem {
        workspace_id: job.workspace_id,
        job_id: job.job_id,
        id: id.to_owned(),
        outcome,
        code: refusal.map(Refusal::code),
        detail: refusal.map(Refusal::to_string),
        at: doer.now(),
    };
    let (item, commit) = match decided(store, doer, job, id, defaults).await {
        Ok(Some(commit)) => (item(ItemOutcome::Changed, None), Some(commit).filter(|_| !job.dry_run)),
        Ok(None) => (item(ItemOutcome::Unchanged, None), None),
        Err(Failure::Refused(refusal)) => (item(ItemOutcome::Failed, Some(&refusal)), None),
        // One thing that cannot be done does not stop the others.
        Err(failure @ Failure::Internal { .. }) => {
            tracing::error!(job.id = %job.job_id, error = %Chain(&failure), "a thing of a job failed");
            let code = Some("internal_error".to_owned());
            (JobItem { code, ..item(ItemOutcome::Failed, None) }, None)
        }
        Err(failure) => return Err(failure),
    };
    let commit = commit.unwrap_or_else(|| Commit::unrecorded(doer.act().event_id));
    store.commit(commit.put(&item)).await?;
    Ok(item.outcome)
}

/// What the job's action comes to for one thing.
pub(crate) async fn decided(
    store: &impl Store,
    doer: &Doer,
    job: &Job,
    id: &str,
    defaults: &Defaults,
) -> Result<Option<Commit>, Failure> {
    let action = job.action.clone();
    let unreadable = |e: serde_json::Error| Failure::internal("reading a job's action", e);
    match job.kind {
        JobKind::Users => {
            let action: UserAction = serde_json::from_value(action).map_err(unreadable)?;
            let id = UserId::parse(id).ok_or(Refusal::NotFound("user"))?;
            let user = store.user(job.workspace_id, id).await?.ok_or(Refusal::NotFound("user"))?;
            Ok(user_actions::prepare(store, doer, &user, &action, defaults).await?.commit)
        }
        JobKind::Devices => {
            let action: DeviceAction = serde_json::from_value(action).map_err(unreadable)?;
            let id = DeviceId::parse(id).ok_or(Refusal::NotFound("device"))?;
            let whole = store.device_whole(job.workspace_id, id).await?.ok_or(Refusal::NotFound("device"))?;
            Ok(device_actions::prepare(store, doer, whole, &action, defaults).await?.commit)
        }
    }
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
    let (ids, next) = match job.kind {
        JobKind::Users => {
            let page = store.list_users(workspace, &list_users::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|person| person.user.user_id.to_string()).collect(), page.next)
        }
        JobKind::Devices => {
            let page = store.list_devices(workspace, &list_devices::read(&mut fields), PAGE, start, now).await?;
            (page.items.iter().map(|device| device.device_id.to_string()).collect(), page.next)
        }
    };
    let cursor = next.map(|next| String::from_utf8_lossy(&next.to_bytes()).into_owned());
    Ok(NextPage { ids, cursor })
}
