//! Each minute: what is due.

use aws::rows::{DUE_SHARDS, due_shard};
use aws::stores::{DueRow, Work};
use aws::{Commit, Endpoints, Invitations, PushTokens};
use domain::command::{Command, Stimulus, apply};
use domain::device::Device;
use domain::invitation::{Invitation, expire};
use domain::job::Job;
use domain::refusal::Failure;
use domain::workspace::{SilentAction, SilentRule, Workspace, silent_rule_applied};
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::access::update_workspace::silent;
use crate::attempts::attempts;
use crate::devices::actions::{DeviceAction, prepare};
use crate::doer::Doer;
use crate::jobs::work::{Store, advance};
use crate::settings::Defaults;
use crate::triggers::{Run, endpoint};

/// Rows that are taken up in one run of a shard; the rest waits for the next minute.
const PER_SHARD: usize = 100;

/// Things of one job, or of one workspace's rule, that are done in one run: with some tens of
/// milliseconds each, well within the run's time even if there are several.
const THINGS: usize = 1_000;

/// Answers with how many rows were done and how many failed. What fails stays due, and never
/// stops the rest.
///
/// # Errors
/// `Unavailable` if what is due cannot be listed.
pub async fn handle(
    store: &(impl Work + PushTokens + Store),
    endpoints: &impl Endpoints,
    run: Run,
    defaults: &Defaults,
) -> Result<Value, Failure> {
    let (mut done, mut failed) = (0, 0);
    for shard in 0..DUE_SHARDS {
        let page = store.due(&due_shard(shard), run.moment.now, None, PER_SHARD).await?;
        for (key, row) in page.rows {
            let result = match row {
                Ok(Some(row)) => one(store, endpoints, &run, &row, defaults).await,
                Ok(None) => Ok(()),
                Err(failure) => Err(failure),
            };
            match result {
                Ok(()) => done += 1,
                Err(failure) => {
                    tracing::error!(operation = run.operation, row = key.sk, error = %Chain(&failure), "a due row failed");
                    failed += 1;
                }
            }
        }
    }
    Ok(json!({"done": done, "failed": failed}))
}

async fn one(
    store: &(impl PushTokens + Store),
    endpoints: &impl Endpoints,
    run: &Run,
    row: &DueRow,
    defaults: &Defaults,
) -> Result<(), Failure> {
    match row {
        DueRow::Invitation(due) => attempts(store, || end(store, run, due)).await,
        DueRow::PushToken(due) => {
            let (workspace, device) = (due.workspace_id, due.device_id);
            attempts(store, || endpoint::settle(store, endpoints, run, workspace, device)).await
        }
        DueRow::Command(due) => attempts(store, || time_out(store, run, due)).await,
        DueRow::Job(due) => {
            let doer = Doer::of_run(run, due.workspace_id);
            advance(store, &doer, Job::clone(due), defaults, THINGS).await.map(drop)
        }
        DueRow::Workspace(due) => silent_rule(store, run, due, defaults).await,
        // These are for `purge-deleted`.
        DueRow::Device(_) | DueRow::User(_) => Ok(()),
    }
}

/// Ends a command whose time is over.
async fn time_out(store: &impl Store, run: &Run, due: &Command) -> Result<(), Failure> {
    let (workspace, device) = (due.workspace_id, due.device_id);
    let command = store.command(workspace, device, due.command_id).await?;
    let (Some(command), Some(device)) = (command, store.device(workspace, device).await?) else {
        return Ok(());
    };
    if command.expires_at > run.moment.now {
        return Ok(());
    }
    match apply(&device, &command, Stimulus::TimeIsUp, None, &run.act(workspace))? {
        Some(over) => {
            let commit = Commit::of(&over.event).edit(&device, &over.device).edit(&command, &over.command);
            store.commit(commit).await
        }
        None => Ok(()),
    }
}

/// Applies a workspace's rule for silent devices: to as many as a run does, then the next run goes
/// on, until all are done and the rule rests for a day. What it has done is no longer silent and
/// there, so nothing is done twice.
async fn silent_rule(store: &impl Store, run: &Run, due: &Workspace, defaults: &Defaults) -> Result<(), Failure> {
    let id = due.workspace_id;
    let Some(workspace) = store.workspace(id).await? else {
        return Ok(());
    };
    let rested = workspace.silent_rule_at.is_none_or(|at| at > run.moment.now);
    let Some(rule) = workspace.settings.silent_devices.clone().filter(|_| !rested) else {
        return Ok(());
    };
    let reason = Some(rule.reason());
    let action = match rule.action {
        SilentAction::Block => DeviceAction::Block { reason },
        SilentAction::Delete => DeviceAction::Delete { reason },
    };
    let (mut start, mut done) = (None, 0);
    while done < THINGS {
        let page = store.list_devices(id, &silent(&rule, run.moment.now), PER_SHARD, start, run.moment.now).await?;
        for device in &page.items {
            done += 1;
            attempts(store, || quieted(store, run, device, &rule, &action, defaults)).await?;
        }
        start = page.next;
        if start.is_none() {
            let rests = || async {
                let Some(before) = store.workspace(id).await?.filter(|now| now.silent_rule_at == due.silent_rule_at)
                else {
                    return Ok(());
                };
                let after = silent_rule_applied(&before, run.moment.now);
                store.commit(Commit::unrecorded(run.moment.event_id()).edit(&before, &after)).await
            };
            return attempts(store, rests).await;
        }
    }
    Ok(())
}

/// Does to one device what the rule says, if it is still silent.
async fn quieted(
    store: &impl Store,
    run: &Run,
    due: &Device,
    rule: &SilentRule,
    action: &DeviceAction,
    defaults: &Defaults,
) -> Result<(), Failure> {
    let Some(whole) = store.device_whole(due.workspace_id, due.device_id).await? else {
        return Ok(());
    };
    if whole.device.last_login_at.is_none_or(|login| login >= rule.silent_before(run.moment.now)) {
        return Ok(());
    }
    let doer = Doer::of_run(run, due.workspace_id);
    match prepare(store, &doer, whole, action, defaults).await {
        Ok(prepared) => match prepared.commit {
            Some(commit) => store.commit(commit).await,
            None => Ok(()),
        },
        // It was deleted since.
        Err(Failure::Refused(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Ends an invitation whose time is over: its code goes.
async fn end(store: &impl Invitations, run: &Run, due: &Invitation) -> Result<(), Failure> {
    let Some(before) = store.invitation(due.workspace_id, due.user_id, due.invitation_id).await? else {
        return Ok(());
    };
    match expire(&before, &run.act(before.workspace_id)) {
        Some((after, event)) => store.commit(Commit::of(&event).edit(&before, &after).forget_code(&after)).await,
        None => Ok(()),
    }
}
