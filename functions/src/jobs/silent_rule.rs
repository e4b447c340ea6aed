//! The rule for silent devices: each day, a job blocks or deletes those that it finds, in the name of whoever set it.

use aws::{Commit, DeviceFilter, Table};
use domain::error::Error;
use domain::input::Fields;
use domain::models::device::Status;
use domain::models::job::{Job, JobKind, NewJob, Selection};
use domain::models::workspace::{SilentAction, SilentRule, Workspace};
use domain::rules::change::ChangeSet;
use domain::rules::context::EventContext;
use domain::rules::jobs::{begin_in_ranges, cancel};
use domain::rules::workspaces::{apply_silent_rule, pause_silent_rule};
use domain::states::JobState;
use domain::{JobId, Time, WorkspaceId};
use serde_json::{Map, Value, json};

use crate::context::Origin;
use crate::creators::in_name_of;
use crate::devices::actions::DeviceAction;
use crate::devices::list_devices;
use crate::jobs::commit;
use crate::jobs::ranges::settle;
use crate::jobs::work::outcomes;
use crate::settings::OperatorSettings;
use crate::triggers::Run;

/// The filter that finds the devices to which the rule applies: see [`SilentRule::applies_to`].
pub(crate) fn silent(rule: &SilentRule, now: Time) -> DeviceFilter {
    list_devices::read(&mut Fields::from_json(stored(rule, now)))
}

/// The same filter, as a job stores it.
fn stored(rule: &SilentRule, now: Time) -> Map<String, Value> {
    let fields = [
        ("status", json!(Status::Active.as_str())),
        ("blocked", json!(false)),
        ("last_login_before", json!(rule.silent_before(now))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Begins the job of a workspace's rule if it is due and a device is silent. If the last job is still running, the rule
/// waits for the next day. If its creator no longer has the permission, it is paused.
///
/// # Errors
/// `Conflict` if the workspace was changed meanwhile.
pub(crate) async fn apply(
    table: &Table,
    run: &Run,
    id: WorkspaceId,
    operator: &OperatorSettings,
) -> Result<Option<Job>, Error> {
    let Some(workspace) = table.workspace(id).await? else {
        return Ok(None);
    };
    let is_due = workspace.silent_rule_at.is_some_and(|at| at <= run.now());
    let Some(rule) = workspace.settings.silent_devices.clone().filter(|_| is_due) else {
        return Ok(None);
    };
    let itself = Origin::of_run(run, id);
    let Some(origin) = in_name_of(table, &itself, workspace.silent_rule_by, &[SilentRule::PERMISSION]).await? else {
        let (paused, event) = pause_silent_rule(&workspace, &itself.new_event_context());
        return table.commit(Commit::with_event(&event).edit(&workspace, &paused)).await.map(|_| None);
    };
    let is_known = !matches!(rule.action, SilentAction::Unknown(_));
    let is_needed = is_known
        && job_in(table, &workspace, JobState::Running).await?.is_none()
        && finds(table, id, &rule, run.now()).await?;
    let new = || NewJob {
        job_id: JobId(run.id_source.new_id()),
        kind: JobKind::Devices,
        selection: Selection::Filter(stored(&rule, run.now())),
        action: json!(DeviceAction::ApplySilentRule { rule: rule.clone() }),
        action_name: "apply_silent_rule",
        dry_run: false,
    };
    let event_context = origin.new_event_context();
    let begun = is_needed.then(|| begin_in_ranges(new(), operator.ranges_per_job, &event_context));
    let change = apply_silent_rule(&workspace, begun, run.now());
    let Some(begun) = change.job.as_ref().map(|job| job.after.clone()) else {
        return table.commit(Commit::from_changes(event_context.event_id, &change)).await.map(|_| None);
    };
    commit(table, &begun, change, &event_context).await.map(Some)
}

/// True if the rule applies to a device.
async fn finds(table: &Table, id: WorkspaceId, rule: &SilentRule, now: Time) -> Result<bool, Error> {
    let page =
        table.list_devices(id, &DeviceFilter { derived: Some(false), ..silent(rule, now) }, 1, None, now).await?;
    Ok(!page.items.is_empty() || page.next.is_some())
}

/// The last job that applied the workspace's rule, if it is in a state.
async fn job_in(table: &Table, workspace: &Workspace, state: JobState) -> Result<Option<Job>, Error> {
    let Some(id) = workspace.silent_rule_job_id else {
        return Ok(None);
    };
    let job = table.job(workspace.workspace_id, id).await?;
    Ok(job.filter(|job| job.state == state))
}

/// Cancels the job of a rule that is being changed; [`settle_job`] stops its ranges after the commit. `None` if no job
/// runs.
///
/// # Errors
/// `Unavailable`.
pub(crate) async fn cancel_job(
    table: &Table,
    workspace: &Workspace,
    context: &EventContext,
) -> Result<Option<ChangeSet>, Error> {
    let Some(job) = job_in(table, workspace, JobState::Running).await? else {
        return Ok(None);
    };
    let why = "the rule for silent devices was changed";
    Ok(cancel(&job, &outcomes(table, &job).await?, Some(why), context)?)
}

/// Stops the ranges of the workspace's job if it was canceled.
///
/// # Errors
/// `Unavailable`: the schedule stops them.
pub(crate) async fn settle_job(table: &Table, origin: &Origin, workspace: &Workspace) -> Result<(), Error> {
    match job_in(table, workspace, JobState::Canceled).await? {
        Some(job) => settle(table, origin, job).await.map(drop),
        None => Ok(()),
    }
}
