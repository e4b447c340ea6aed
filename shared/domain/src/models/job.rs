//! Jobs: one action on many things, page by page, whose progress can be read.
//!
//! What became of a thing is a row of its own, made in the very commit that changes the thing, and
//! it can be made once only: whenever a job ends in the middle and goes on, each thing is done once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;
use crate::error::{DomainError, MessageLimit, RetryAfter};
use crate::ids::{DeviceId, JobId, TokenId, UserId, WorkspaceId};
use crate::models::actor::{Actor, Maker};
use crate::models::invitation::Warning;
use crate::models::source::data::RowFault;
use crate::states::JobState;
use crate::stored::Stored;
use crate::string_enum::string_enum;

/// The most things that one call may name.
pub const NAMED_LIMIT: usize = 100;

/// How long after its call a job is taken up by the schedule, should the call not have ended it.
pub const TAKEN_UP_AFTER: chrono::Duration = chrono::Duration::seconds(60);

/// How long a job and its outcomes are kept once it is over.
pub const KEPT: chrono::Duration = chrono::Duration::days(90);

string_enum! {
    /// What a job works over.
    stored JobKind {
        /// Users.
        Users = "users",
        /// Devices.
        Devices = "devices",
        /// The rows of a source that users come from.
        Sync = "sync",
    }
}

string_enum! {
    /// What became of one thing.
    stored ItemOutcome {
        /// The action was done.
        Changed = "changed",
        /// There was nothing to do.
        Unchanged = "unchanged",
        /// A rule refused it, or it could not be done.
        Failed = "failed",
    }
}

/// Which things a job works over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These.
    Ids(Vec<String>),
    /// Those that a list with this query shows.
    Filter(serde_json::Map<String, Value>),
}

/// How many things came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The action was done, or would be in a dry run.
    pub changed: u64,
    /// There was nothing to do.
    pub unchanged: u64,
    /// A rule refused it, or it could not be done.
    pub failed: u64,
}

impl Tally {
    /// Counts an outcome.
    pub fn count(&mut self, outcome: ItemOutcome) {
        match outcome {
            ItemOutcome::Changed => self.changed += 1,
            ItemOutcome::Unchanged => self.unchanged += 1,
            // Nothing says that it was done.
            ItemOutcome::Failed | ItemOutcome::Unknown(_) => self.failed += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.changed + self.unchanged + self.failed
    }
}

/// Work over many things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub job_id: JobId,
    /// What it works over.
    pub kind: JobKind,
    /// What it does: the action's name and what belongs to it, as it was asked for.
    pub action: Value,
    /// The things that it names.
    pub selection: Selection,
    /// True if nothing is done, and the outcomes are what would be.
    #[serde(default)]
    pub dry_run: bool,
    /// Its state.
    pub state: JobState,
    /// When it was begun.
    pub created_at: Time,
    /// By whom: what it does is done in their name.
    pub created_by: Actor,
    /// The personal access token by which it was begun, if by one: it goes on only as long as that is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// The things of the page at hand: they stand here before the first of them is done, since a
    /// list may show others once some are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page: Vec<String>,
    /// Where the page after it begins: empty for the list's own beginning, absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Since when it waits for the schedule to take it up, while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// Things of pages that are done whose message has to wait for its recipient: they are the next page once no
    /// others are left, or too many wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Why it rests, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<JobPause>,
    /// What came of the pages that are done.
    pub tally: Tally,
    /// Why it was stopped, if by what it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<JobFailure>,
    /// Time of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// A thing of a job that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The thing.
    pub id: String,
    /// Time of its end.
    pub until: Time,
}

/// Why a job rests: what it has to send may not go out yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct JobPause {
    /// Stable code of the limit that was reached.
    pub code: String,
    /// Time at which the job goes on.
    pub until: Time,
}

impl JobPause {
    /// A job that has met a limit rests until it may go on.
    #[must_use]
    pub fn of(wait: &RetryAfter) -> Self {
        Self { code: wait.limit.as_str().to_owned(), until: wait.until }
    }
}

/// Why a job was stopped by what it works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct JobFailure {
    /// Stable code for programs.
    pub code: String,
    /// What happened, for people.
    pub detail: String,
}

string_enum! {
    /// What a sync did to a user.
    stored ItemChange {
        /// They were made.
        Created = "created",
        /// They were changed.
        Updated = "updated",
        /// They were made by hand, and follow the source from now on.
        Adopted = "adopted",
        /// They had vanished, and are back.
        Reappeared = "reappeared",
        /// The source knows them no more.
        Vanished = "vanished",
    }
}

/// What a job is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Its identifier.
    pub job_id: JobId,
    /// What it works over.
    pub kind: JobKind,
    /// The action, as the job keeps it.
    pub action: Value,
    /// The action's name, which is all that its event tells of it.
    pub action_name: &'static str,
    /// The things that it names.
    pub selection: Selection,
    /// See [`Job::dry_run`].
    pub dry_run: bool,
}

/// The page after the one that is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextPage {
    /// Its things.
    pub ids: Vec<String>,
    /// How many rows that belong on it cannot be read: they have failed.
    pub left_out: usize,
    /// Where the page after it begins; `None` if there is none.
    pub cursor: Option<String>,
    /// See [`Job::waiting`].
    pub waiting: Vec<Waiting>,
    /// Why it has to wait, if it has.
    pub rest: Option<JobPause>,
}

impl NextPage {
    /// The page that takes up what waits, as soon as the first of it may go on. `cursor` is where the list goes on
    /// after it. `None` if nothing waits.
    #[must_use]
    pub fn of_waiting(waiting: Vec<Waiting>, cursor: Option<String>) -> Option<Self> {
        let until = waiting.iter().map(|waiting| waiting.until).min()?;
        let rest = JobPause { code: MessageLimit::Recipient.as_str().to_owned(), until };
        let ids = waiting.into_iter().map(|waiting| waiting.id).collect();
        Some(Self { ids, cursor, rest: Some(rest), ..Self::default() })
    }
}

/// What stands where somebody's words were: that there were some is worth knowing.
const FORGOTTEN: &str = "\u{2026}";

impl Job {
    /// Who began it, as whom it goes on.
    #[must_use]
    pub fn maker(&self) -> Maker {
        Maker { actor: self.created_by, token_id: self.token_id }
    }

    /// True while it has to wait.
    #[must_use]
    pub fn rests(&self, now: Time) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.until > now)
    }

    /// Ends it. What people have written, of whom to look for and why, goes with its work.
    pub(crate) fn end(&mut self, state: JobState, at: Time) {
        self.state = state;
        self.due_at = None;
        self.ended_at = Some(at);
        self.page.clear();
        self.waiting.clear();
        (self.cursor, self.rest) = (None, None);
        if let Selection::Filter(filter) = &mut self.selection
            && let Some(search) = filter.get_mut("search")
        {
            *search = FORGOTTEN.into();
        }
        if let Value::Object(action) = &mut self.action {
            action.remove("reason");
        }
    }
}

/// What became of one thing of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobItem {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The job.
    pub job_id: JobId,
    /// The thing.
    pub id: String,
    /// What became of it.
    pub outcome: ItemOutcome,
    /// The refusal's stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The refusal, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The devices that the refusal names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// The user of a source's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// What was done to that user, or would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ItemChange>,
    /// The fields of that user that changed, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Every fault of a source's row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<RowFault>,
    /// What whoever began the job should look at, although it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Its time.
    pub at: Time,
}

impl JobItem {
    /// What became of a thing of a job; with the refusal, if it was refused.
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
