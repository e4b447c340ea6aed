//! Each minute: handles due rows. Besides, for each message of the queue `jobs`: works on a task of a job.

use std::collections::VecDeque;

use aws::DueRow;
use aws::Pusher;
use aws::store::due::DUE_SHARDS;
use aws::store::due::due_shard;
use aws::{Commit, RowKey, Table, retry_on_conflict};
use chrono::Duration;
use domain::error::Error;
use domain::models::command::{Command, Trigger};
use domain::models::job::{Job, JobKind, JobTask};
use domain::models::offer::Offer;
use domain::models::source::{DataSource, SyncRequest};
use domain::models::user::User;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::commands::apply;
use domain::rules::offers::expire;
use domain::states::JobState;
use domain::{JobId, Time, WorkspaceId};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

use crate::commits::commit_change;
use crate::context::{ActionContext, Origin};
use crate::creators::in_name_of;
use crate::deadline::Deadline;
use crate::jobs::ranges::{settle, take_turn};
use crate::jobs::work::{JobRun, advance};
use crate::jobs::{silent_rule, tasks};
use crate::settings::OperatorSettings;
use crate::sources::sync::{self, SyncSettings};
use crate::sources::{Fetcher, is_running};
use crate::state::AppState;
use crate::triggers::{Run, Tally, batch_item_failures, endpoint};
use crate::users::changes::carry_through;

/// Rows per read.
const PAGE: usize = 100;
/// Time left when the last step starts, before Lambda ends the run.
const RESERVE: Duration = Duration::seconds(10);
/// Objects of one job that are handled before another task of its workspace, and another workspace, gets its turn.
const ITEMS_PER_TURN: usize = 100;
/// Workspaces whose long tasks are worked on at once, each by one task at a time.
const WORKSPACES_AT_ONCE: usize = 16;

/// Returns how many rows were done and how many failed. What fails stays due, and never stops the rest. Short tasks
/// come first; then jobs, syncs and rules while time remains, in turns, those of several workspaces side by side. Each
/// run starts at another shard, so that none is starved.
///
/// # Errors
/// `Unavailable` if due rows cannot be listed.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    if run.records().next().is_some() {
        Box::pin(handle_tasks(state, &run)).await
    } else {
        handle_due(state, run).await
    }
}

/// What fails is logged and left to the schedule, which finds it sooner than the queue would bring it again.
async fn handle_tasks(state: &AppState, run: &Run) -> Result<Value, Error> {
    let mut tally = Tally::default();
    for record in run.records() {
        let body = record["body"].as_str().unwrap_or_default();
        let outcome = match serde_json::from_str::<JobTask>(body) {
            Ok(task) => tasks::work_on(state, run, &task, run.deadline(RESERVE)).await,
            Err(error) => Err(Error::internal("reading a task of a job", error)),
        };
        tally.note(run, &"a task of a job", outcome);
    }
    Ok(batch_item_failures([]))
}

async fn handle_due(state: &AppState, run: Run) -> Result<Value, Error> {
    let fetcher = &Fetcher { client: &|| state.source_client(), hosts: &state.settings.source_hosts };
    let table = state.table()?;
    let pusher = state.pusher();
    let operator = &state.settings.operator;
    let deadline = run.deadline(RESERVE);
    let mut tally = Tally::default();
    let mut long = Vec::new();
    for shard in shards(run.now()) {
        let mut start = None;
        while !deadline.is_over() {
            let page = table.due(&due_shard(shard), run.now(), start, PAGE).await?;
            for (key, row) in page.rows {
                if deadline.is_over() {
                    break;
                }
                match row {
                    Ok(Some(row @ (DueRow::Job(_) | DueRow::Workspace(_) | DueRow::Source(_)))) => {
                        long.push((key, row));
                    }
                    Ok(Some(row)) => tally.note(&run, &key, short(table, pusher, &run, &row, operator).await),
                    Ok(None) => {}
                    Err(failure) => tally.note(&run, &key, Err(failure)),
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    let (run, deadline) = (&run, &deadline);
    for (key, row) in &long {
        // Those of its ranges that nobody works on.
        if let DueRow::Job(job) = row
            && job.is_in_ranges()
            && let Err(failure) = tasks::hand_on(state, job, run.now()).await
        {
            tally.note(run, key, Err(failure));
        }
    }
    let work = |row: DueRow| Box::pin(async move { at_length(table, run, &row, operator, fetcher, deadline).await });
    let mut waiting = by_workspace(long);
    let mut at_work = FuturesUnordered::new();
    loop {
        while at_work.len() < WORKSPACES_AT_ONCE
            && !deadline.is_over()
            && let Some((workspace, mut tasks)) = waiting.pop_front()
        {
            let Some((key, row)) = tasks.pop_front() else { continue };
            let turn = work(row);
            at_work.push(async move { (workspace, tasks, key, turn.await) });
        }
        let Some((workspace, mut tasks, key, outcome)) = at_work.next().await else { break };
        match outcome {
            Ok(Some(rest)) if !deadline.is_over() => tasks.push_back((key, rest)),
            Ok(Some(DueRow::Job(rest))) => {
                tally.note(run, &key, tasks::hand_on(state, &rest, deadline.id_source().now).await);
            }
            outcome => tally.note(run, &key, outcome.map(drop)),
        }
        waiting.push_back((workspace, tasks));
    }
    Ok(json!({"done": tally.done, "failed": tally.failed}))
}

/// A workspace's long tasks, in the order of their turns.
type Tasks = VecDeque<(RowKey, DueRow)>;

/// The long tasks of each workspace; the workspace and the task that have waited longest come first.
fn by_workspace(mut long: Vec<(RowKey, DueRow)>) -> VecDeque<(Option<WorkspaceId>, Tasks)> {
    long.sort_by_key(|(_, row)| waits_since(row));
    let mut all: VecDeque<(Option<WorkspaceId>, Tasks)> = VecDeque::new();
    for task in long {
        let workspace = workspace_of(&task.1);
        match all.iter_mut().find(|(other, _)| *other == workspace) {
            Some((_, tasks)) => tasks.push_back(task),
            None => all.push_back((workspace, VecDeque::from([task]))),
        }
    }
    all
}

/// The workspace of a long task.
fn workspace_of(row: &DueRow) -> Option<WorkspaceId> {
    match row {
        DueRow::Job(job) => Some(job.workspace_id),
        DueRow::Source(source) => Some(source.workspace_id),
        DueRow::Workspace(workspace) => Some(workspace.workspace_id),
        _ => None,
    }
}

/// Since when a long task has been due; for a job, since its last turn.
fn waits_since(row: &DueRow) -> Option<Time> {
    match row {
        DueRow::Job(job) => job.due_at,
        DueRow::Source(source) => source.due_at,
        DueRow::Workspace(workspace) => workspace.silent_rule_at,
        DueRow::Offer(_) | DueRow::PushToken(_) | DueRow::Command(_) | DueRow::Device(_) | DueRow::User(_) => None,
        // These are in partitions of their own: see deliver-webhook.
        DueRow::Webhook(_) | DueRow::Delivery(_) => None,
    }
}

/// All shards, starting with another one each minute.
pub(super) fn shards(now: Time) -> impl Iterator<Item = u8> {
    let first = now.millis().div_euclid(60_000).rem_euclid(i64::from(DUE_SHARDS));
    let first = u8::try_from(first).unwrap_or(0);
    (0..DUE_SHARDS).map(move |n| (first + n) % DUE_SHARDS)
}

/// Handles a short task.
async fn short(
    table: &Table,
    pusher: &Pusher,
    run: &Run,
    row: &DueRow,
    operator: &OperatorSettings,
) -> Result<(), Error> {
    match row {
        DueRow::User(due) => retry_on_conflict(table, || deploy_after_rename(table, run, due, operator)).await,
        DueRow::Offer(due) => retry_on_conflict(table, || end(table, run, due)).await,
        DueRow::PushToken(due) => {
            let (workspace, device) = (due.workspace_id, due.device_id);
            retry_on_conflict(table, || endpoint::settle(table, pusher, run, workspace, device)).await
        }
        DueRow::Command(due) => retry_on_conflict(table, || time_out(table, run, due)).await,
        // The first three are handled by `at_length`, the others by `purge-deleted` and `deliver-webhook`.
        DueRow::Job(_) | DueRow::Workspace(_) | DueRow::Source(_) | DueRow::Device(_) => Ok(()),
        DueRow::Webhook(_) | DueRow::Delivery(_) => Ok(()),
    }
}

/// Handles a long task for one turn. Returns what is left for its next turn in this run, if anything.
async fn at_length(
    table: &Table,
    run: &Run,
    row: &DueRow,
    operator: &OperatorSettings,
    fetcher: &Fetcher<'_>,
    deadline: &Deadline,
) -> Result<Option<DueRow>, Error> {
    let job = match row {
        DueRow::Job(due) => {
            let job = table.job(due.workspace_id, due.job_id).await?;
            job.filter(|job| !job.is_held(deadline.id_source().now))
        }
        DueRow::Source(due) => retry_on_conflict(table, || scheduled(table, run, due)).await?,
        DueRow::Workspace(due) => {
            retry_on_conflict(table, || silent_rule::apply(table, run, due.workspace_id, operator)).await?
        }
        _ => None,
    };
    let Some(job) = job else {
        return Ok(None);
    };
    let origin = Origin::of_run(run, job.workspace_id);
    if job.state != JobState::Running {
        // Its cancellation was interrupted.
        return settle(table, &origin, job).await.map(|_| None);
    }
    let version = job.version;
    let after = match job.kind {
        JobKind::Sync => {
            let syncing = SyncSettings { fetcher: Some(fetcher), operator, pages_at_once: sync::PAGES_AT_ONCE };
            sync::advance(table, &syncing, &origin, job, deadline, ITEMS_PER_TURN).await?
        }
        JobKind::Users | JobKind::Devices if job.is_in_ranges() => {
            let job_run = JobRun::new(table, &origin, &job, operator, deadline);
            let rest = Box::pin(take_turn(&job_run, job, ITEMS_PER_TURN)).await?;
            return Ok(rest.map(|rest| DueRow::Job(Box::new(rest))));
        }
        JobKind::Users | JobKind::Devices => advance(table, &origin, job, operator, deadline, ITEMS_PER_TURN).await?,
        // It waits for a release that knows this kind.
        JobKind::Unknown(_) => return Ok(None),
    };
    // What made no progress waits for something, such as the time to fetch a page.
    let has_moved = after.version != version;
    let goes_on = has_moved && after.state == JobState::Running && !after.is_paused(deadline.id_source().now);
    Ok(goes_on.then(|| DueRow::Job(Box::new(after))))
}

/// Starts a source's scheduled sync if it is due. If the last one is still running, it waits for the next scheduled
/// time.
async fn scheduled(table: &Table, run: &Run, due: &DataSource) -> Result<Option<Job>, Error> {
    let Some(source) = table.source(due.workspace_id, due.source_id).await? else {
        return Ok(None);
    };
    if source.due_at.is_none_or(|at| at > run.now()) {
        return Ok(None);
    }
    let itself = Origin::of_run(run, source.workspace_id);
    let Some(origin) = in_name_of(table, &itself, source.set_by, source.schedule_permissions()).await? else {
        let (paused, event) = source.paused(&itself.new_event_context());
        table.commit(Commit::with_event(&event).edit(&source, &paused)).await?;
        return Ok(None);
    };
    let event_context = origin.new_event_context();
    if is_running(table, &source).await? {
        let after = DataSource { due_at: source.due_after(run.now()), ..source.clone() };
        table.commit(Commit::without_event(event_context.event_id).edit(&source, &after)).await?;
        return Ok(None);
    }
    let wanted = SyncRequest {
        job_id: JobId(run.id_source.new_id()),
        user_ids: None,
        dry_run: false,
        may_wipe: source.renames_may_wipe,
    };
    let (after, change) = source.begin_sync(wanted, false, &event_context)?;
    table.commit(Commit::from_changes(event_context.event_id, &change).edit(&source, &after)).await?;
    Ok(change.job.map(|job| job.after))
}

/// Creates the deployment that a message limit delayed when the user was renamed; while the limit applies, the user
/// stays due. A user who may not use the app gets it once they may.
async fn deploy_after_rename(table: &Table, run: &Run, due: &User, operator: &OperatorSettings) -> Result<(), Error> {
    let Some(before) = table.user(due.workspace_id, due.user_id).await? else {
        return Ok(());
    };
    if before.deleted.is_some() || before.deployment_due_at.is_none_or(|at| at > run.now()) {
        return Ok(());
    }
    let context = ActionContext::new(table, operator, Origin::of_run(run, before.workspace_id));
    let after = User { deployment_due_at: None, ..before.clone() };
    let change = ChangeSet { user: Some(RowChange::from(before, after)), ..ChangeSet::default() };
    let change = carry_through(&context, change).await?;
    commit_change(table, Some(&change), &context.event_context).await.map(drop)
}

/// Expires a command whose time has passed.
async fn time_out(table: &Table, run: &Run, due: &Command) -> Result<(), Error> {
    let (workspace, device) = (due.workspace_id, due.device_id);
    let command = table.command(workspace, device, due.command_id).await?;
    let (Some(command), Some(device)) = (command, table.device(workspace, device).await?) else {
        return Ok(());
    };
    if command.expires_at > run.now() {
        return Ok(());
    }
    let event_context = run.new_event_context(workspace);
    let change = apply(&device, &command, Trigger::Expired, None, &event_context)?;
    commit_change(table, change.as_ref(), &event_context).await.map(drop)
}

/// Ends an expired invitation and removes its code.
async fn end(table: &Table, run: &Run, due: &Offer) -> Result<(), Error> {
    let Some(before) = table.offer(due.workspace_id, due.user_id, due.invitation_id).await? else {
        return Ok(());
    };
    let event_context = run.new_event_context(before.workspace_id);
    commit_change(table, expire(&before, &event_context).as_ref(), &event_context).await.map(drop)
}
