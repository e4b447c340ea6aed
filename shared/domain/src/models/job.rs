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

/// The most ranges of a job.
pub const RANGES_LIMIT: u16 = 50;

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
    /// Adds the outcomes of another tally.
    pub fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
    }

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
    /// How far its list is cut into ranges. Absent before, and after its end, when the ranges' outcomes are in `tally`.
    /// Meanwhile `cursor` stays where the ranges begin, so that the release without ranges goes through the list again
    /// and finds the outcomes of what is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Listing>,
    /// Outcomes of the finished pages, without those of its ranges.
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

/// How far a job's list is cut into ranges, which are worked on side by side: the pages of the list go to them in turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Number of ranges.
    pub ranges: u16,
    /// Number of pages that are listed.
    pub pages: u32,
    /// Cursor of the next page; absent at the end of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Listing {
    /// True if all pages are listed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cursor.is_none()
    }

    /// True if a range is over: it has ended, or there was no page for it.
    #[must_use]
    pub fn is_over(&self, number: u16, range: Option<&JobRange>) -> bool {
        let has_none = range.is_none() && u32::from(number) >= self.pages;
        self.is_complete() && (has_none || range.is_some_and(|range| range.ended_at.is_some()))
    }

    /// The range to which a page goes.
    #[must_use]
    pub fn range_of(&self, page: u32) -> u16 {
        u16::try_from(page % u32::from(self.ranges.max(1))).unwrap_or_default()
    }
}

/// A page of a job's list, as it was when it was listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPage {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The job.
    pub job_id: JobId,
    /// The range to which it goes.
    pub range: u16,
    /// Its number, from 0.
    pub number: u32,
    /// Identifiers of its items.
    pub ids: Vec<String>,
    /// When it was listed.
    pub at: Time,
}

/// A range of a job: every so many pages of its list. Each commit for one of its items requires it to be unchanged, in
/// place of the job's row, which the ranges would compete for. Whoever works on it or stops it changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRange {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The job.
    pub job_id: JobId,
    /// Its number, from 0.
    pub number: u16,
    /// Number of its next page.
    pub next: u32,
    /// Identifiers of items of earlier pages that come first: a message limit has delayed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page: Vec<String>,
    /// See [`Job::waiting`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Why it pauses, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<JobPause>,
    /// Outcomes of its finished pages.
    pub tally: Tally,
    /// Until when a run works on it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Time>,
    /// When it was done or stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// When work on it began.
    pub at: Time,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

impl JobRange {
    /// A range that nobody has worked on.
    #[must_use]
    pub fn new(job: &Job, number: u16, at: Time) -> Self {
        Self {
            workspace_id: job.workspace_id,
            job_id: job.job_id,
            number,
            next: u32::from(number),
            page: Vec::new(),
            waiting: Vec::new(),
            pause: None,
            tally: Tally::default(),
            held_until: None,
            ended_at: None,
            at,
            version: 1,
            stored: Stored::default(),
        }
    }

    /// True if it has something to do and nobody does it.
    #[must_use]
    pub fn is_free(&self, listing: &Listing, now: Time) -> bool {
        let is_held = self.held_until.is_some_and(|until| until > now);
        let is_paused = self.pause.as_ref().is_some_and(|pause| pause.until > now);
        let has_work = !self.page.is_empty() || self.next < listing.pages || listing.is_complete();
        self.ended_at.is_none() && !is_held && !is_paused && has_work
    }
}

/// What a run that a message starts is to do for a job: a range's part, or what comes before there are ranges. Told more
/// than once, it does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTask {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The job.
    pub job_id: JobId,
    /// Number of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<u16>,
}

impl JobTask {
    /// A task of a job.
    #[must_use]
    pub fn new(job: &Job, range: Option<u16>) -> Self {
        Self { workspace_id: job.workspace_id, job_id: job.job_id, range }
    }
}

/// What was done of a range's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageResult {
    /// Outcomes of items.
    pub outcomes: Vec<ItemOutcome>,
    /// Items that wait for their recipient's limit.
    pub waiting: Vec<Waiting>,
    /// Items that are left because of the pause.
    pub rest: Vec<String>,
    /// Why it stopped, if it did.
    pub pause: Option<JobPause>,
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

    /// True while a run that a message started has it, or while it pauses: the schedule and other messages leave it.
    #[must_use]
    pub fn is_held(&self, now: Time) -> bool {
        let by_its_call = self.created_at.plus(RESUME_AFTER);
        self.due_at.is_some_and(|due| due > now && due != by_its_call)
    }

    /// True if the rest of its list is worked on in ranges.
    #[must_use]
    pub fn is_in_ranges(&self) -> bool {
        let is_list = matches!(self.kind, JobKind::Users | JobKind::Devices);
        let has_more = self.cursor.as_ref().is_some_and(|cursor| !cursor.is_empty());
        is_list && self.page.is_empty() && (self.listing.is_some() || has_more)
    }

    /// It with what its ranges have done so far, and a pause if all that are left pause.
    #[must_use]
    pub fn with_progress(&self, ranges: &[JobRange]) -> Self {
        let mut shown = self.clone();
        for range in ranges {
            shown.tally.add(range.tally);
        }
        let open: Vec<&JobRange> = ranges.iter().filter(|range| range.ended_at.is_none()).collect();
        let pauses: Option<Vec<&JobPause>> = open.iter().map(|range| range.pause.as_ref()).collect();
        let pause = pauses.into_iter().flatten().min_by_key(|pause| pause.until).cloned();
        shown.pause = shown.pause.or(pause);
        shown
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
        if let Some(listing) = &mut self.listing {
            listing.cursor = None;
        }
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
