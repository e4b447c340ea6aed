//! Jobs, and the outcome of each of their things.

use domain::input::FieldError;
use domain::models::job::{self, ItemChange, ItemOutcome, JobFailure, JobKind, JobPause, Selection, Tally};
use domain::models::offer::Warning;
use domain::models::source::data::RowFault;
use domain::states::JobState;
use domain::{DeviceId, JobId, Time, UserId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::views::Creator;

/// Work on many users or devices.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Job {
    /// Identifier of the job.
    job_id: JobId,
    /// What the job works on.
    kind: JobKind,
    /// Name of the action.
    action: String,
    /// Parameters of the action.
    parameters: Map<String, Value>,
    /// The things that were named, at most 100.
    ids: Option<Vec<String>>,
    /// The filters that the things are found by; `{}` for all. Once the job has ended, `search` shows `…`.
    filter: Option<Map<String, Value>>,
    /// Whether nothing is changed, and the outcomes are what would be.
    dry_run: bool,
    /// State of the job.
    state: JobState,
    /// Time of the start.
    created_at: Time,
    /// Who started the job.
    created_by: Creator,
    /// Time of the end.
    ended_at: Option<Time>,
    /// Why the job was stopped, if something that it works on stopped it.
    failure: Option<JobFailure>,
    /// Why and until when the job waits, if it does.
    waiting: Option<JobPause>,
    /// How far the job is.
    progress: Progress,
}

/// A job that was just started, with the outcome of each thing that was named.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobResult {
    #[serde(flatten)]
    pub job: Job,
    /// Outcome of each thing that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<JobItem>")]
    pub items: Option<Vec<JobItem>>,
}

/// A job with a page of outcomes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobPage {
    #[serde(flatten)]
    pub job: Job,
    /// Outcomes of this page.
    pub items: Vec<JobItem>,
    /// Cursor of the next page; `null` after the last.
    pub next_cursor: Option<String>,
}

/// What a bulk call would do.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DryRun {
    /// Always `null`: no job was started.
    job_id: (),
    /// Always `true`.
    dry_run: bool,
    /// The outcomes in numbers.
    progress: Progress,
    /// Outcome that each thing would have.
    items: Vec<JobItem>,
}

/// Answer to a bulk call.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum BulkResult {
    Job(Box<JobResult>),
    DryRun(DryRun),
}

/// Outcomes in numbers.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Progress {
    /// Things that are done, whatever their outcome.
    done: u64,
    /// Things that were changed.
    changed: u64,
    /// Things that needed no change.
    unchanged: u64,
    /// Things that could not be changed.
    failed: u64,
}

/// Outcome of one of a job's things.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobItem {
    /// Identifier of the thing, as it was named; of a source's row, its username or external identifier.
    id: String,
    /// The outcome.
    outcome: ItemOutcome,
    /// Why it failed: a stable code for programs.
    code: Option<String>,
    /// Why it failed, for people.
    detail: Option<String>,
    /// Time of the outcome.
    at: Time,
    /// Devices that keep the action from being done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<DeviceId>,
    /// User of a source's row.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UserId")]
    user_id: Option<UserId>,
    /// What a sync did to the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ItemChange")]
    change: Option<ItemChange>,
    /// Names of the fields that a sync changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    fields: Option<Vec<String>>,
    /// Every invalid field of a source's row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<FieldError>")]
    errors: Vec<RowFault>,
    /// What whoever started the job should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

impl From<&job::Job> for Job {
    fn from(job: &job::Job) -> Self {
        let mut parameters = job.action.as_object().cloned().unwrap_or_default();
        let action = parameters.remove("action");
        // The kind of command that an action orders follows from its name.
        parameters.remove("kind");
        let (ids, filter) = match &job.selection {
            Selection::Ids(ids) => (Some(ids.clone()), None),
            Selection::Filter(filter) => (None, Some(filter.clone())),
        };
        Self {
            job_id: job.job_id,
            kind: job.kind,
            action: action.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
            parameters,
            ids,
            filter,
            dry_run: job.dry_run,
            state: job.state,
            created_at: job.created_at,
            created_by: job.creator().into(),
            ended_at: job.ended_at,
            failure: job.failure.clone(),
            waiting: job.pause.clone(),
            progress: job.tally.into(),
        }
    }
}

impl DryRun {
    pub fn new(tally: Tally, items: &[job::JobItem]) -> Self {
        Self { job_id: (), dry_run: true, progress: tally.into(), items: items.iter().map(JobItem::from).collect() }
    }
}

impl From<Tally> for Progress {
    fn from(tally: Tally) -> Self {
        Self { done: tally.total(), changed: tally.changed, unchanged: tally.unchanged, failed: tally.failed }
    }
}

impl From<&job::JobItem> for JobItem {
    fn from(item: &job::JobItem) -> Self {
        Self {
            id: item.id.clone(),
            outcome: item.outcome,
            code: item.code.clone(),
            detail: item.detail.clone(),
            at: item.at,
            devices: item.devices.clone(),
            user_id: item.user_id,
            change: item.change,
            fields: item.change.map(|_| item.fields.clone()),
            errors: item.faults.clone(),
            warnings: item.warnings.clone(),
        }
    }
}
