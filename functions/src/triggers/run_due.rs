//! Each minute: handles due rows. Besides, for each message of the queue `jobs`: works on a task of a job.

use std::collections::VecDeque;

use aws::DueRow;
use aws::Pusher;
use aws::store::due::DUE_SHARDS;
use aws::store::due::due_shard;
use aws::{Commit, Position, RowKey, Table};
use chrono::Duration;
use domain::error::Error;
use domain::models::actor::Creator;
use domain::models::command::{Command, Trigger};
use domain::models::device::Device;
use domain::models::job::{Job, JobKind, JobTask};
use domain::models::offer::Offer;
use domain::models::source::{DataSource, SyncRequest};
use domain::models::user::User;
use domain::models::workspace::{SilentAction, SilentRule, Workspace, after_silent_rule_run};
use domain::permission::Permission;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::commands::apply;
use domain::rules::devices::block;
use domain::rules::offers::expire;
use domain::rules::workspaces::pause_silent_rule;
use domain::states::JobState;
use domain::{JobId, Time, WorkspaceId};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::access::update_workspace::silent;
use crate::commits::commit_change;
use crate::context::{ActionContext, Origin};
use crate::creators::permissions_now;
use crate::deadline::Deadline;
use crate::devices::actions::delete;
use crate::jobs::ranges::{settle, take_turn};
use crate::jobs::tasks;
use crate::jobs::work::{JobRun, advance};
use crate::retry::retry_on_conflict;
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
/// Objects of one workspace's rule that are handled in one run.
const ITEMS_PER_RUN: usize = 1_000;
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
            return silent_rule(table, run, due.workspace_id, operator, deadline).await.map(|()| None);
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

/// Applies a workspace's rule for silent devices, in the name of whoever set it, while time remains. The next run
/// continues, until all devices are done and the rule pauses for a day. If its creator no longer has the permission,
/// the rule is paused.
async fn silent_rule(
    table: &Table,
    run: &Run,
    id: WorkspaceId,
    operator: &OperatorSettings,
    deadline: &Deadline,
) -> Result<(), Error> {
    let Some(workspace) = table.workspace(id).await? else {
        return Ok(());
    };
    let is_paused = workspace.silent_rule_at.is_none_or(|at| at > run.now());
    let Some(rule) = workspace.settings.silent_devices.clone().filter(|_| !is_paused) else {
        return Ok(());
    };
    let itself = Origin::of_run(run, id);
    let mut start = workspace.silent_rule_cursor.as_deref().and_then(Position::from_text);
    let mut looked = 0;
    loop {
        let now = deadline.id_source().now;
        let itself = itself.at(deadline.id_source());
        let Some(origin) = in_name_of(table, &itself, workspace.silent_rule_by, &[SilentRule::PERMISSION]).await?
        else {
            let (paused, event) = pause_silent_rule(&workspace, &itself.new_event_context());
            return unless_changed(table.commit(Commit::with_event(&event).edit(&workspace, &paused)).await.map(drop));
        };
        let page = table.list_devices(id, &silent(&rule, now), PAGE, start, now).await?;
        for device in &page.items {
            if deadline.is_over() {
                // The next run repeats this page; devices that are done stay done.
                return Ok(());
            }
            let origin = origin.at(deadline.id_source());
            match retry_on_conflict(table, || quieted(table, &origin, device, &workspace, &rule, operator)).await {
                Ok(Quieted::Done) => {}
                // The next run starts again, if the rule still applies.
                Ok(Quieted::Overtaken) => return Ok(()),
                // One failing device does not stop the others.
                Err(failure @ Error::Internal { .. }) => {
                    tracing::error!(device.id = %device.device_id, error = %Chain(&failure), "a silent device was skipped");
                }
                Err(failure) => return Err(failure),
            }
        }
        looked += page.items.len().max(1);
        start = page.next;
        if start.is_none() || looked >= ITEMS_PER_RUN || deadline.is_over() {
            break;
        }
    }
    let cursor = start.map(|at| at.to_text());
    let rested = after_silent_rule_run(&workspace, cursor, run.now());
    unless_changed(
        table.commit(Commit::without_event(run.id_source.event_id()).edit(&workspace, &rested)).await.map(drop),
    )
}

/// Ignores a conflict: the workspace was changed meanwhile, and its rule starts again with the next run.
fn unless_changed(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::Conflict) => Ok(()),
        outcome => outcome,
    }
}

/// The context of the creator of a schedule or rule; `None` if the creator is unknown or lacks a permission.
async fn in_name_of(
    table: &Table,
    itself: &Origin,
    creator: Option<Creator>,
    needed: &[Permission],
) -> Result<Option<Origin>, Error> {
    let Some(creator) = creator else {
        return Ok(None);
    };
    let permissions = permissions_now(table, itself.workspace_id, creator, itself.now()).await?;
    let may = needed.iter().all(|needed| permissions.contains(needed));
    Ok(may.then(|| itself.in_name_of(creator)))
}

/// The result of applying a rule to one silent device.
enum Quieted {
    /// The device is done, or no longer needs it.
    Done,
    /// The rule was changed or disabled meanwhile.
    Overtaken,
}

/// Applies the rule to one device. The commit requires that the device has not logged in and the workspace has not
/// changed.
async fn quieted(
    table: &Table,
    origin: &Origin,
    due: &Device,
    workspace: &Workspace,
    rule: &SilentRule,
    operator: &OperatorSettings,
) -> Result<Quieted, Error> {
    let Some(details) = table.device_details(due.workspace_id, due.device_id).await? else {
        return Ok(Quieted::Done);
    };
    if details.workspace.as_ref().is_none_or(|now| now.version != workspace.version) {
        return Ok(Quieted::Overtaken);
    }
    if !rule.applies_to(&details.device, origin.now()) {
        return Ok(Quieted::Done);
    }
    let reason = Some(rule.reason());
    let context = ActionContext::new(table, operator, origin.clone());
    let decided = match rule.action {
        SilentAction::Block => block(&details.device, reason, &context.event_context).map_err(Error::from),
        SilentAction::Delete => delete(&context, &details, reason).await,
        // Only another release knows this action.
        SilentAction::Unknown(_) => return Ok(Quieted::Done),
    };
    match decided {
        Ok(Some(change)) => {
            let commit = Commit::from_changes(context.event_context.event_id, &change);
            table
                .commit(
                    commit.require_attribute_unchanged(&details.device, "last_login_at").require_unchanged(workspace),
                )
                .await?;
            Ok(Quieted::Done)
        }
        Ok(None) => Ok(Quieted::Done),
        // It was deleted meanwhile.
        Err(Error::Refused(_)) => Ok(Quieted::Done),
        Err(failure) => Err(failure),
    }
}

/// Ends an expired invitation and removes its code.
async fn end(table: &Table, run: &Run, due: &Offer) -> Result<(), Error> {
    let Some(before) = table.offer(due.workspace_id, due.user_id, due.invitation_id).await? else {
        return Ok(());
    };
    let event_context = run.new_event_context(before.workspace_id);
    commit_change(table, expire(&before, &event_context).as_ref(), &event_context).await.map(drop)
}
