//! Jobs: one action on many items, page by page, with readable progress.
//!
//! The outcome of an item is its own row, written once, in the same commit that changes the item. So a job
//! that is interrupted and resumed handles each item exactly once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;
use crate::error::{DomainError, MessageLimit, RetryAfter};
use crate::ids::{DeviceId, JobId, TokenId, UserId, WorkspaceId};
use crate::models::actor::{Actor, Creator};
use crate::models::offer::Warning;
use crate::models::source::data::RowFault;
use crate::states::JobState;
use crate::stored::Stored;
use crate::string_enum::string_enum;

/// The most items that one call may name.
pub const IDS_LIMIT: usize = 100;

/// How long after its call a job is resumed by the schedule, if the call did not finish it.
pub const RESUME_AFTER: chrono::Duration = chrono::Duration::seconds(60);

/// How long a job and its outcomes are kept after its end.
pub const RETENTION: chrono::Duration = chrono::Duration::days(90);

string_enum! {
    /// The kind of items that a job works on.
    stored JobKind {
        /// Users.
        Users = "users",
        /// Devices.
        Devices = "devices",
        /// The rows of a source.
        Sync = "sync",
    }
}

string_enum! {
    /// A job's outcome for one item.
    stored ItemOutcome {
        /// The action changed the item.
        Changed = "changed",
        /// Nothing had to be changed.
        Unchanged = "unchanged",
        /// A rule rejected it, or it failed.
        Failed = "failed",
    }
}

/// The items that a job works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// By identifier.
    Ids(Vec<String>),
    /// Those of a list with this query.
    Filter(serde_json::Map<String, Value>),
}

/// Numbers of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Changed, or would be in a dry run.
    pub changed: u64,
    /// Nothing had to be changed.
    pub unchanged: u64,
    /// Rejected by a rule, or failed.
    pub failed: u64,
}

impl Tally {
    /// Adds an outcome.
    pub fn count(&mut self, outcome: ItemOutcome) {
        match outcome {
            ItemOutcome::Changed => self.changed += 1,
            ItemOutcome::Unchanged => self.unchanged += 1,
            // An unknown outcome of another release is not proof of success.
            ItemOutcome::Failed | ItemOutcome::Unknown(_) => self.failed += 1,
        }
    }

    /// The sum.
    #[must_use]
    pub fn total(self) -> u64 {
        self.changed + self.unchanged + self.failed
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub job_id: JobId,
    /// The kind of its items.
    pub kind: JobKind,
    /// The action's name and parameters, as requested.
    pub action: Value,
    /// The items that it works on.
    pub selection: Selection,
    /// True if nothing is changed and the outcomes are predictions.
    #[serde(default)]
    pub dry_run: bool,
    /// Its state.
    pub state: JobState,
    /// Creation time.
    pub created_at: Time,
    /// Who created it; its changes are made in their name.
    pub created_by: Actor,
    /// The personal access token with which it was created, if any; the job only continues while the token is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// Identifiers of the current page. They are stored before the first one is handled, since the list may
    /// change as items are changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page: Vec<String>,
    /// Cursor of the next page: empty for the start of the list, absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// While it runs: when the schedule resumes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// Objects of finished pages whose message must wait for its recipient's limit. They become the next page
    /// when the list is done, or when too many wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Why it pauses, if it does.
    #[serde(rename = "rest", default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<JobPause>,
    /// Outcomes of the finished pages.
    pub tally: Tally,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<JobFailure>,
    /// End time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// An item of a job that waits for a message limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Identifier of the item.
    pub id: String,
    /// End of the wait.
    pub until: Time,
}

/// A job's pause for a message limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct JobPause {
    /// Stable code of the limit that was reached.
    pub code: String,
    /// Time at which the job goes on.
    pub until: Time,
}

impl JobPause {
    /// The pause for a message limit.
    #[must_use]
    pub fn of(wait: &RetryAfter) -> Self {
        Self { code: wait.limit.as_str().to_owned(), until: wait.until }
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct JobFailure {
    /// Stable code for programs.
    pub code: String,
    /// What happened, for people.
    pub detail: String,
}

string_enum! {
    /// A sync's change of a user.
    stored ItemChange {
        /// Created.
        Created = "created",
        /// Changed.
        Updated = "updated",
        /// Created by hand before, and follows the source from now on.
        Adopted = "adopted",
        /// Had vanished, and is back in the source.
        Reappeared = "reappeared",
        /// No longer in the source.
        Vanished = "vanished",
    }
}

/// The data of a new job.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Its identifier.
    pub job_id: JobId,
    /// The kind of its items.
    pub kind: JobKind,
    /// The action as stored.
    pub action: Value,
    /// The action's name; its event contains nothing else of the action.
    pub action_name: &'static str,
    /// The items that it works on.
    pub selection: Selection,
    /// See [`Job::dry_run`].
    pub dry_run: bool,
}

/// A job's next page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextPage {
    /// Identifiers of its items.
    pub ids: Vec<String>,
    /// Number of unreadable rows on the page, which count as failed.
    pub unreadable: usize,
    /// Cursor of the page after it; `None` at the end.
    pub cursor: Option<String>,
    /// See [`Job::waiting`].
    pub waiting: Vec<Waiting>,
    /// Why it must pause, if it must.
    pub pause: Option<JobPause>,
}

impl NextPage {
    /// The page of the waiting items, to be handled when the first wait ends. `cursor` continues the list
    /// after it. `None` if nothing waits.
    #[must_use]
    pub fn from_waiting(waiting: Vec<Waiting>, cursor: Option<String>) -> Option<Self> {
        let until = waiting.iter().map(|waiting| waiting.until).min()?;
        let pause = JobPause { code: MessageLimit::Recipient.as_str().to_owned(), until };
        let ids = waiting.into_iter().map(|waiting| waiting.id).collect();
        Some(Self { ids, cursor, pause: Some(pause), ..Self::default() })
    }
}

/// Replaces a text that people wrote when it is erased, to show that there was one.
const ERASED_TEXT: &str = "\u{2026}";

impl Job {
    /// Who created it; its changes are made in their name.
    #[must_use]
    pub fn creator(&self) -> Creator {
        Creator { actor: self.created_by, token_id: self.token_id }
    }

    /// True while it pauses.
    #[must_use]
    pub fn is_paused(&self, now: Time) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.until > now)
    }

    /// Ends it, and erases what people wrote into it (search texts and reasons).
    pub(crate) fn end(&mut self, state: JobState, at: Time) {
        self.state = state;
        self.due_at = None;
        self.ended_at = Some(at);
        self.page.clear();
        self.waiting.clear();
        (self.cursor, self.pause) = (None, None);
        if let Selection::Filter(filter) = &mut self.selection
            && let Some(search) = filter.get_mut("search")
        {
            *search = ERASED_TEXT.into();
        }
        if let Value::Object(action) = &mut self.action {
            action.remove("reason");
        }
    }
}

/// A job's outcome for one item, stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobItem {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The job.
    pub job_id: JobId,
    /// Identifier of the item.
    pub id: String,
    /// The outcome.
    pub outcome: ItemOutcome,
    /// Stable code of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error's sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Devices that the error names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// The user of a source's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// What was changed for that user, or would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ItemChange>,
    /// Names of that user's changed fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// All errors of a source's row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<RowFault>,
    /// Warnings to the job's creator about a change that was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Time of the outcome.
    pub at: Time,
}

impl JobItem {
    /// An outcome for an item, with the error if there is one.
    #[must_use]
    pub fn of(job: &Job, id: &str, outcome: ItemOutcome, error: Option<&DomainError>, at: Time) -> Self {
        let devices = match error {
            Some(DomainError::WipeFirst(devices) | DomainError::DeviceLimitReached(devices)) => devices.as_slice(),
            _ => &[],
        };
        Self {
            workspace_id: job.workspace_id,
            job_id: job.job_id,
            id: id.to_owned(),
            outcome,
            code: error.map(DomainError::code),
            detail: error.map(DomainError::to_string),
            devices: devices.iter().map(|device| device.device_id).collect(),
            user_id: None,
            change: None,
            fields: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
            at,
        }
    }
}
