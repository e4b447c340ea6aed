//! Running a sync: the source is imported as a whole, its rows are processed page by page, then the users without a
//! row, and finally the staged rows are deleted.
//!
//! The position is the job's cursor, which moves in the commit that counts a page. A change of a user creates its
//! outcome row in the same commit, and that row can be created only once. So an interrupted sync can be resumed
//! anywhere and applies each change once. A row that changes nothing gets no outcome row.
//!
//! A run without a caller who waits processes several pages side by side. Each is then a range of the job, whose row
//! guards its commits; every such run takes all ranges when it starts.
//!
//! Retries of a step are limited: each run records its start in the cursor, and after [`TRIES`] interrupted runs at
//! the same step the sync fails.

#[path = "names.rs"]
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use aws::{ClaimedBySource, StagedRowsOf, retry_on_conflict};
use aws::{Commit, FETCH_TIMEOUT, Position, Table, UsernameClaims};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::device::DeviceWithCommands;
use domain::models::event::EventType;
use domain::models::job::{ItemChange, ItemOutcome, Job, JobFailure, JobItem, JobRange, Listing, NextPage};
use domain::models::source::data::{KeyHash, Row, RowFault, former_key_hash, key_hash};
use domain::models::source::{DataSource, KeyField, SourceKind, SyncAction, VanishPolicy};
use domain::models::user::User;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::jobs::{fail, page_done};
use domain::rules::lifecycle;
use domain::rules::sync as rules;
use domain::rules::sync::{MatchCandidates, MatchedUser};
use domain::states::JobState;
use domain::{SourceId, UserId};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::context::{ActionContext, Origin};
use crate::deadline::Deadline;
use crate::jobs::work::{Guard, cancel_without_permission, failed_item, may_go_on, read_action, run_steps};
use crate::jobs::{commit, load};
use crate::settings::OperatorSettings;
use crate::sources::Fetcher;
use crate::sources::stage::{ROWS, StagedImport, keys_of, page_of, take_in};
use crate::sources::sync::names::{DoneAhead, SyncCache};
use crate::users::changes::complete_edit;
use crate::users::deletion::{DeleteRequest, delete};

/// Users of a source per page.
const USERS: usize = 100;
/// Outcome rows per commit.
const REPORTS: usize = 50;
/// Longest duration of fetching a source's page.
const PULLING: Duration = Duration::milliseconds(FETCH_TIMEOUT.as_millis() as i64);
/// Maximum number of interrupted runs at the same step.
const TRIES: u8 = 3;

/// Settings of a sync.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncSettings<'a> {
    /// Fetches source pages; `None` for uploaded sources.
    pub fetcher: Option<&'a Fetcher<'a>>,
    /// Defaults for settings that the workspace has not set.
    pub operator: &'a OperatorSettings,
    /// Pages of rows that are processed side by side; if more than one, each is a range of the job.
    pub pages_at_once: u16,
}

/// Pages of rows that a run without a caller who waits processes side by side.
pub(crate) const PAGES_AT_ONCE: u16 = 6;

/// Step of a sync, part of its job's cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum SyncStep {
    TakeIn,
    Rows { taken: StagedImport, at: u32 },
    Count { taken: StagedImport, start: Option<String>, users: u64, vanishing: u64 },
    Vanish { taken: StagedImport, start: Option<String> },
    Chosen { taken: StagedImport },
    Clear { failure: Option<JobFailure> },
}

/// Cursor of a sync.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SyncCursor {
    #[serde(flatten)]
    step: SyncStep,
    /// Number of runs started at this step. A run that stops in order, for lack of time, does not count.
    #[serde(default)]
    tries: u8,
}

impl SyncCursor {
    fn of(job: &Job) -> Result<Self, Error> {
        match job.cursor.as_deref() {
            None | Some("") => Ok(Self { step: SyncStep::TakeIn, tries: 0 }),
            Some(cursor) => serde_json::from_str(cursor).map_err(|e| Error::internal("reading where a sync stands", e)),
        }
    }

    fn next(&self) -> Result<NextPage, Error> {
        let cursor = serde_json::to_string(self).map_err(|e| Error::internal("keeping where a sync stands", e))?;
        Ok(NextPage { cursor: Some(cursor), ..NextPage::default() })
    }
}

impl SyncStep {
    fn step_name(&self) -> &'static str {
        match self {
            Self::TakeIn => "importing the source",
            Self::Rows { .. } => "a page of its rows",
            Self::Count { .. } => "counting users who are gone from the source",
            Self::Vanish { .. } => "users who are gone from the source",
            Self::Chosen { .. } => "the chosen users",
            Self::Clear { .. } => "clearing up",
        }
    }

    fn too_many_tries(&self) -> JobFailure {
        let detail = format!("{TRIES} runs ended at the same step ({}), so the sync was stopped.", self.step_name());
        JobFailure { code: "given_up".to_owned(), detail }
    }

    fn failed(failure: JobFailure) -> Self {
        Self::Clear { failure: Some(failure) }
    }

    fn expired() -> Self {
        let detail = "The sync took too long, and its data has expired. Start it again.";
        Self::failed(JobFailure { code: "staged_gone".to_owned(), detail: detail.to_owned() })
    }
}

/// Runs a sync until it has ended, the deadline has passed, or about `rows` rows are processed. Returns the job as it
/// is then. A source page is fetched only if enough time is left.
///
/// # Errors
/// `Unavailable`: the job keeps its position, and the next run resumes there.
pub(crate) async fn advance(
    table: &Table,
    syncing: &SyncSettings<'_>,
    origin: &Origin,
    job: Job,
    deadline: &Deadline,
    rows: usize,
) -> Result<Job, Error> {
    let origin = &origin.for_job(&job);
    let (job, guards) = match start_run(table, syncing, origin, &job, deadline).await {
        Ok(Some(begun)) => begun,
        Ok(None) => return Ok(job),
        // Another run has the job, or it was stopped.
        Err(Error::Conflict) => return load(table, job.workspace_id, job.job_id).await,
        Err(failure) => return Err(failure),
    };
    let id = job.job_id;
    let workspace_id = job.workspace_id;
    let (known, guards) = (&SyncCache::default(), &guards);
    let moved = run_steps(
        table,
        job,
        deadline,
        rows,
        |_| ROWS,
        |job| async move {
            if may_go_on(table, &job, origin.now()).await? {
                step(table, syncing, origin, &job, deadline, known, guards).await
            } else {
                delete_staged(table, origin, &job).await?;
                cancel_without_permission(table, &origin.at(deadline.id_source()).itself(), &job).await
            }
        },
    )
    .await;
    let origin = &origin.at(deadline.id_source());
    match moved {
        Ok(job) => reset_tries(table, origin, job).await,
        Err(failure @ Error::Unavailable { .. }) => {
            // A run that ended because a service was unavailable does not count as a try. If that cannot be recorded
            // either, it does.
            if let Ok(Some(job)) = table.job(workspace_id, id).await {
                let _rested = reset_tries(table, origin, job).await;
            }
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// Records in the job that a run starts at this step, and takes its ranges, whose pages no earlier run can commit any
/// more; fails the sync after too many. `None` if there is nothing to do, or no time for it.
async fn start_run(
    table: &Table,
    syncing: &SyncSettings<'_>,
    origin: &Origin,
    job: &Job,
    deadline: &Deadline,
) -> Result<Option<(Job, Vec<JobRange>)>, Error> {
    if job.state != JobState::Running || deadline.is_over() {
        return Ok(None);
    }
    let SyncCursor { step, tries } = SyncCursor::of(job)?;
    let SyncAction::Sync { source_id, .. } = read_action(&job.action)?;
    if step == SyncStep::TakeIn && !deadline.has(PULLING) {
        let source = table.source(job.workspace_id, source_id).await?;
        if source.is_some_and(|source| source.kind == SourceKind::Http) {
            return Ok(None);
        }
    }
    if tries < TRIES {
        let stand = SyncCursor { step, tries: tries + 1 };
        return if syncing.pages_at_once > 1 {
            take_ranges(table, origin, job, &stand, syncing.pages_at_once).await.map(Some)
        } else {
            commit_job(table, origin, job, &[], &stand).await.map(|job| Some((job, Vec::new())))
        };
    }
    tracing::error!(job.id = %job.job_id, step = step.step_name(), "a sync was stopped");
    let after = match step {
        // Staged rows expire by themselves.
        SyncStep::Clear { failure } => commit_end(table, origin, job, source_id, failure).await?,
        step => commit_step(table, origin, job, &[], &SyncStep::failed(step.too_many_tries())).await?,
    };
    Ok(Some((after, Vec::new())))
}

/// Commits the cursor, and takes the ranges of the job.
async fn take_ranges(
    table: &Table,
    origin: &Origin,
    job: &Job,
    stand: &SyncCursor,
    count: u16,
) -> Result<(Job, Vec<JobRange>), Error> {
    let event_context = origin.new_event_context();
    let mut change = page_done(job, &[], Some(stand.next()?), &event_context);
    let after = change.job.as_mut().map(|job| &mut job.after);
    let after = after.ok_or_else(|| Error::internal("starting a run of a sync", "there is no job"))?;
    after.listing = Some(Listing { ranges: count, pages: 0, cursor: None });
    let after = after.clone();
    let known = table.job_ranges(&after).await?;
    let mut commit = Commit::from_changes(event_context.event_id, &change);
    let mut taken = Vec::new();
    for number in 0..count {
        let range = known.iter().find(|range| range.number == number);
        commit = match range {
            Some(range) => commit.bump_version(range, range),
            None => commit.put(&JobRange::new(job, number, origin.now())),
        };
        taken.push(range.cloned().unwrap_or_else(|| JobRange::new(job, number, origin.now())));
    }
    let committed = table.commit(commit).await?;
    let taken = taken.into_iter().map(|range| committed.with_new_version(range)).collect();
    Ok((committed.with_new_version(after), taken))
}

/// Resets the number of tries, since the run has stopped in order.
async fn reset_tries(table: &Table, origin: &Origin, job: Job) -> Result<Job, Error> {
    let SyncCursor { step, tries } = SyncCursor::of(&job)?;
    if job.state != JobState::Running || tries == 0 {
        return Ok(job);
    }
    match commit_job(table, origin, &job, &[], &SyncCursor { step, tries: 0 }).await {
        // Another run has changed the job.
        Err(Error::Conflict) => Ok(job),
        outcome => outcome,
    }
}

/// Deletes the staged rows of a sync, and the upload unless it was a dry run.
pub(crate) async fn delete_staged(table: &Table, origin: &Origin, job: &Job) -> Result<(), Error> {
    let SyncAction::Sync { source_id, upload_id, .. } = read_action(&job.action)?;
    let uploaded = upload_id.filter(|_| !job.dry_run).map(StagedRowsOf::Upload);
    for leavings in uploaded.into_iter().chain([StagedRowsOf::Job(job.job_id)]) {
        super::clear(table, origin.id_source, job.workspace_id, source_id, leavings).await?;
    }
    Ok(())
}

/// Runs one step of a sync. `None` if time ran out before it was done.
async fn step(
    table: &Table,
    syncing: &SyncSettings<'_>,
    origin: &Origin,
    job: &Job,
    deadline: &Deadline,
    known: &SyncCache,
    guards: &[JobRange],
) -> Result<Option<Job>, Error> {
    let origin = &origin.at(deadline.id_source());
    let action: SyncAction = read_action(&job.action)?;
    let SyncAction::Sync { source_id, may_wipe, .. } = action;
    let SyncCursor { step, .. } = SyncCursor::of(job)?;
    if let SyncStep::Clear { failure } = step {
        return finish(table, origin, job, source_id, failure).await.map(Some);
    }
    let Some(source) = table.source(job.workspace_id, source_id).await? else {
        let detail = "The source was deleted.".to_owned();
        let failed = SyncStep::failed(JobFailure { code: "source_not_found".to_owned(), detail });
        return commit_step(table, origin, job, &[], &failed).await.map(Some);
    };
    let (source, ahead, guard) = (&source, &DoneAhead::default(), Guard::Job(job));
    let at_work = SyncRun { table, syncing, origin, job, source, may_wipe, deadline, known, ahead, guard };
    let (outcomes, next) = match step {
        SyncStep::TakeIn => match take_in(table, syncing, origin, job, source, &action).await? {
            Ok(taken) => (Vec::new(), SyncStep::Rows { taken, at: 0 }),
            Err(failure) => (Vec::new(), SyncStep::failed(failure)),
        },
        SyncStep::Rows { taken, at } => match at_work.process_rows(taken, at, guards).await? {
            Some(done) => done,
            None => return Ok(None),
        },
        SyncStep::Count { taken, start, users, vanishing } => {
            at_work.count_vanishing(taken, start, users, vanishing).await?
        }
        SyncStep::Vanish { taken, start } => match at_work.vanish_page(taken, start, guards).await? {
            Some(done) => done,
            None => return Ok(None),
        },
        SyncStep::Chosen { taken } => at_work.report_chosen_without_row(taken).await?,
        SyncStep::Clear { failure } => (Vec::new(), SyncStep::Clear { failure }),
    };
    let origin = origin.at(deadline.id_source());
    commit_step(table, &origin, job, &outcomes, &next).await.map(Some)
}

/// Commits the outcomes of a step and moves the job to the next one.
async fn commit_step(
    table: &Table,
    origin: &Origin,
    job: &Job,
    outcomes: &[ItemOutcome],
    next: &SyncStep,
) -> Result<Job, Error> {
    commit_job(table, origin, job, outcomes, &SyncCursor { step: next.clone(), tries: 0 }).await
}

/// Commits outcomes and the cursor.
async fn commit_job(
    table: &Table,
    origin: &Origin,
    job: &Job,
    outcomes: &[ItemOutcome],
    stand: &SyncCursor,
) -> Result<Job, Error> {
    let event_context = origin.new_event_context();
    let change = page_done(job, outcomes, Some(stand.next()?), &event_context);
    commit(table, job, change, &event_context).await
}

/// Ends a sync. Staged rows are deleted first, so that none outlive the job.
async fn finish(
    table: &Table,
    origin: &Origin,
    job: &Job,
    source_id: SourceId,
    failure: Option<JobFailure>,
) -> Result<Job, Error> {
    delete_staged(table, origin, job).await?;
    commit_end(table, origin, job, source_id, failure).await
}

async fn commit_end(
    table: &Table,
    origin: &Origin,
    job: &Job,
    source_id: SourceId,
    failure: Option<JobFailure>,
) -> Result<Job, Error> {
    let event_context = origin.new_event_context();
    let change = match failure {
        None => page_done(job, &[], None, &event_context),
        Some(failure) => {
            let mut event = event_context.event(EventType::SourceFailed);
            event.source_id = Some(source_id);
            fail(job, failure, event, &event_context)
        }
    };
    commit(table, job, change, &event_context).await
}

/// Context of a sync's step, or of one of the pages that it processes side by side.
#[derive(Clone, Copy)]
struct SyncRun<'a> {
    table: &'a Table,
    syncing: &'a SyncSettings<'a>,
    origin: &'a Origin,
    job: &'a Job,
    source: &'a DataSource,
    may_wipe: bool,
    deadline: &'a Deadline,
    known: &'a SyncCache,
    ahead: &'a DoneAhead,
    /// What each commit of a row or user requires to be unchanged.
    guard: Guard<'a>,
}

/// Boxed future of a row's processing. On the heap, because nested futures of a sync would overflow a small stack.
type BoxedOutcome<'f, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'f>>;

/// Users that a row may match, and the claims of its username.
type CandidatesByRow = (MatchCandidates, Option<UsernameClaims>);

/// What became of a page of rows.
enum PageOfRows {
    /// It is done, with these outcomes.
    Done(Vec<ItemOutcome>),
    /// Its rows have expired.
    Expired,
    /// Time ran out before its end.
    NoTime,
}

/// Decision about one row or user.
enum RowDecision {
    /// Nothing to change; no outcome row is written.
    Nothing,
    /// Not selected, or not concerned any more.
    NotChosen,
    /// Only reported.
    Reported(Box<JobItem>),
    /// Changed: the commit and the reported outcome.
    Changed(Box<Commit>, Box<JobItem>),
}

impl SyncRun<'_> {
    fn origin(&self) -> Origin {
        self.origin.at(self.deadline.id_source())
    }

    /// Context of an action on a user, at the current time.
    fn action_context(&self) -> ActionContext<'_> {
        ActionContext::new(self.table, self.syncing.operator, self.origin())
    }

    /// The devices that a user holds, each with its open commands.
    async fn devices_with_commands(&self, user: &User) -> Result<Vec<DeviceWithCommands>, Error> {
        self.table.devices_with_commands(user.workspace_id, &user.device_ids).await
    }

    /// Processes a page of rows, or as many as there are ranges side by side. `None` if time ran out, or another run has
    /// the ranges.
    async fn process_rows(
        self,
        taken: StagedImport,
        at: u32,
        ranges: &[JobRange],
    ) -> Result<Option<(Vec<ItemOutcome>, SyncStep)>, Error> {
        if at >= taken.pages {
            return Ok(Some((Vec::new(), self.step_after_rows(taken))));
        }
        let Some(guards) = self.guards(ranges).await? else {
            return Ok(None);
        };
        let pages = (at..taken.pages).zip(guards).map(|(number, guard)| {
            let of_page = SyncRun { guard, ..self };
            Box::pin(async move { of_page.process_page(taken, number).await })
        });
        let pages = join_all(pages).await;
        let next = at + u32::try_from(pages.len()).unwrap_or(u32::MAX);
        let mut outcomes = Vec::new();
        for page in pages {
            match page? {
                PageOfRows::Done(of_page) => outcomes.extend(of_page),
                PageOfRows::Expired => return Ok(Some((Vec::new(), SyncStep::expired()))),
                PageOfRows::NoTime => return Ok(None),
            }
        }
        let next = if next < taken.pages { SyncStep::Rows { taken, at: next } } else { self.step_after_rows(taken) };
        Ok(Some((outcomes, next)))
    }

    /// What guards the commits of each part that is done side by side: one range each, or the job without ranges. `None`
    /// if another run has the ranges.
    async fn guards<'s>(&'s self, ranges: &'s [JobRange]) -> Result<Option<Vec<Guard<'s>>>, Error> {
        if ranges.is_empty() {
            return Ok(Some(vec![self.guard]));
        }
        let are_held = self.table.job_ranges(self.job).await? == ranges;
        Ok(are_held.then(|| ranges.iter().map(Guard::Range).collect()))
    }

    async fn process_page(self, taken: StagedImport, number: u32) -> Result<PageOfRows, Error> {
        let Some(rows) = page_of(self.table, self.job, self.source, &taken, number).await? else {
            return Ok(PageOfRows::Expired);
        };
        let chosen = self.load_chosen_users().await?;
        let rows: Vec<Row> =
            rows.into_iter().filter(|row| chosen.as_ref().is_none_or(|chosen| chosen.has(row))).collect();
        let settings = self.action_context().settings().await?;
        let done = self.finished_items(rows.iter().map(line)).await?;
        let remaining: Vec<&Row> = rows.iter().filter(|row| !done.contains_key(&line(row))).collect();
        let mut outcomes: Vec<ItemOutcome> = done.into_values().collect();
        let found = self.find_candidates(&remaining, &taken).await?;
        let mut items = Vec::new();
        for (row, found) in remaining.into_iter().zip(found) {
            if self.deadline.is_over() {
                return Ok(PageOfRows::NoTime);
            }
            if let Some(outcome) = self.outcome_of_row_ahead(row) {
                outcomes.push(outcome);
                continue;
            }
            let Some(decided) = self.process_row(row, found, &taken, chosen.as_ref(), &settings).await? else {
                return Ok(PageOfRows::NoTime);
            };
            self.note(decided, &mut outcomes, &mut items);
        }
        self.store_outcomes(&items).await?;
        Ok(PageOfRows::Done(outcomes))
    }

    fn step_after_rows(&self, taken: StagedImport) -> SyncStep {
        match self.job.selection {
            domain::models::job::Selection::Ids(_) => SyncStep::Chosen { taken },
            domain::models::job::Selection::Filter(_) => SyncStep::Count { taken, start: None, users: 0, vanishing: 0 },
        }
    }

    fn note(&self, decided: RowDecision, outcomes: &mut Vec<ItemOutcome>, items: &mut Vec<JobItem>) {
        match decided {
            RowDecision::Nothing => outcomes.push(ItemOutcome::Unchanged),
            RowDecision::NotChosen => {}
            RowDecision::Changed(_, item) => outcomes.push(item.outcome),
            RowDecision::Reported(item) => {
                outcomes.push(item.outcome);
                items.push(*item);
            }
        }
    }

    /// Processes one row, retried from the reads on a conflict. Rows that are only reported are written at the end of
    /// the page. `None` if time ran out.
    fn process_row<'f>(
        &'f self,
        row: &'f Row,
        found: CandidatesByRow,
        taken: &'f StagedImport,
        chosen: Option<&'f ChosenUsers>,
        settings: &'f WorkspaceSettings,
    ) -> BoxedOutcome<'f, Option<RowDecision>> {
        Box::pin(self.process_row_with_retries(row, found, taken, chosen, settings))
    }

    async fn process_row_with_retries(
        &self,
        row: &Row,
        found: CandidatesByRow,
        taken: &StagedImport,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<Option<RowDecision>, Error> {
        let mut first = Some(found);
        let decided = retry_on_conflict(self.table, || {
            let first = first.take();
            async move {
                let found = match first {
                    Some(found) => Some(found),
                    // Conflict with another change: read again.
                    None => self.reload_row(row, taken).await?,
                };
                let Some(found) = found else { return Ok(None) };
                self.decide_when_name_is_free(row, found, taken, chosen, settings).await.map(Some)
            }
        });
        // Another run has moved the job on.
        decided.await?.ok_or(Error::Conflict)
    }

    /// Processes a row after freeing its username, if possible.
    fn decide_when_name_is_free<'f>(
        &'f self,
        row: &'f Row,
        found: CandidatesByRow,
        taken: &'f StagedImport,
        chosen: Option<&'f ChosenUsers>,
        settings: &'f WorkspaceSettings,
    ) -> BoxedOutcome<'f, Option<RowDecision>> {
        Box::pin(async move {
            let chain = self.free_username(row, &found.0, taken, chosen, settings).await?;
            match chain.found(found, || self.reload_row(row, taken)).await? {
                Some(found) => self.decide_boxed(row, found, chosen, settings).await.map(Some),
                None => Ok(None),
            }
        })
    }

    fn decide_boxed<'f>(
        &'f self,
        row: &'f Row,
        found: CandidatesByRow,
        chosen: Option<&'f ChosenUsers>,
        settings: &'f WorkspaceSettings,
    ) -> BoxedOutcome<'f, RowDecision> {
        Box::pin(async move { self.decide_and_commit(row, &found, chosen, settings).await })
    }

    /// Reads the candidates of a row again; `None` if the job was moved on or stopped meanwhile.
    async fn reload_row(&self, row: &Row, taken: &StagedImport) -> Result<Option<CandidatesByRow>, Error> {
        match self.guard.outcome(self.table, &line(row)).await {
            Ok(None) => {}
            Ok(Some(_)) | Err(Error::Conflict) => return Ok(None),
            Err(failure) => return Err(failure),
        }
        Ok(self.find_candidates(&[row], taken).await?.pop())
    }

    async fn decide_and_commit(
        &self,
        row: &Row,
        found: &CandidatesByRow,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<RowDecision, Error> {
        let id = line(row);
        let decided = match self.decide_row(row, found, chosen, settings).await {
            Err(Error::Refused(error)) => RowDecision::Reported(Box::new(self.refused_item(&id, &error))),
            Err(failure @ Error::Internal { .. }) => RowDecision::Reported(Box::new(self.failed_item(&id, &failure))),
            outcome => outcome?,
        };
        Box::pin(self.commit_decision(&id, decided)).await
    }

    /// Commits a decided change together with its outcome row. In a dry run it is only reported.
    async fn commit_decision(&self, id: &str, decided: RowDecision) -> Result<RowDecision, Error> {
        let RowDecision::Changed(commit, item) = decided else {
            return Ok(decided);
        };
        if self.job.dry_run {
            // A user who would be created has no identifier yet.
            let user_id = item.user_id.filter(|_| item.change != Some(ItemChange::Created));
            return Ok(RowDecision::Reported(Box::new(JobItem { user_id, ..*item })));
        }
        match self.table.commit(self.guard.hold((*commit).put(&*item))).await {
            Err(failure @ Error::Internal { .. }) => {
                Ok(RowDecision::Reported(Box::new(self.failed_item(id, &failure))))
            }
            outcome => outcome.map(|_| {
                RowDecision::Changed(Box::new(Commit::without_event(self.origin().new_event_context().event_id)), item)
            }),
        }
    }

    /// The decision for a row that creates its user.
    fn decide_new_user(
        &self,
        row: &Row,
        claims: Option<&UsernameClaims>,
        settings: &WorkspaceSettings,
    ) -> Result<RowDecision, Error> {
        require_level(row, settings)?;
        let context = self.action_context();
        let id = UserId(context.origin.id_source.new_id());
        let change = rules::create(self.source, row, id, &context.event_context);
        let Some(user) = change.user_after() else { return Ok(RowDecision::Nothing) };
        let commit = Commit::from_changes(context.event_context.event_id, &change);
        let commit = claims.into_iter().fold(commit, |commit, claims| commit.claim_username(claims, id));
        let item = JobItem {
            user_id: Some(user.user_id),
            change: Some(ItemChange::Created),
            fields: rules::changed_fields(&change),
            ..self.item(&line(row), ItemOutcome::Changed)
        };
        Ok(RowDecision::Changed(Box::new(commit), Box::new(item)))
    }

    /// Decides what a row changes.
    async fn decide_row(
        &self,
        row: &Row,
        found: &CandidatesByRow,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<RowDecision, Error> {
        if !row.faults.is_empty() {
            return Ok(RowDecision::Reported(Box::new(self.invalid_item(&line(row), row.faults.clone()))));
        }
        let context = self.action_context();
        let (found, claims) = found;
        let user = match rules::match_user(self.source, row, found)? {
            MatchedUser::New if chosen.is_some() => return Ok(RowDecision::NotChosen),
            MatchedUser::New => return self.decide_new_user(row, claims.as_ref(), settings),
            MatchedUser::User(user) => user,
        };
        if chosen.is_some_and(|chosen| !chosen.ids.contains(&user.user_id)) {
            return Ok(RowDecision::NotChosen);
        }
        if row.value("service_level") != user.service_level.as_deref() {
            require_level(row, settings)?;
        }
        let phones: Vec<DeviceWithCommands> = if rules::concerns_phones(self.source, &user, row) {
            self.devices_with_commands(&user).await?
        } else {
            Vec::new()
        };
        let is_renamed = rules::is_renamed(self.source, &user, row);
        lifecycle::require_rename_allowed(is_renamed, !phones.is_empty(), self.may_wipe)?;
        let new_id = || context.new_command_id();
        let Some((change, called)) = rules::apply(self.source, &user, &phones, row, &new_id, &context.event_context)?
        else {
            return Ok(RowDecision::Nothing);
        };
        let item = JobItem {
            user_id: Some(user.user_id),
            change: Some(called),
            fields: rules::changed_fields(&change),
            ..self.item(&line(row), ItemOutcome::Changed)
        };
        let renamed = lifecycle::is_renamed(&user, &rules::edit_of(row));
        let claims = claims.as_ref().filter(|_| renamed);
        // On the heap, as in a job: together the futures would overflow a small stack.
        let (_, commit) = Box::pin(complete_edit(&context, change, claims, &user)).await?;
        Ok(RowDecision::Changed(Box::new(commit), Box::new(item)))
    }

    /// Users that rows may match, in the order of the rows, and the claims of their usernames.
    async fn find_candidates(&self, rows: &[&Row], taken: &StagedImport) -> Result<Vec<CandidatesByRow>, Error> {
        let names: Vec<(String, Option<String>)> = rows
            .iter()
            .filter(|row| row.faults.is_empty())
            .map(|row| (row.username().to_owned(), row.external_id().map(str::to_owned)))
            .collect();
        let claimed = self.table.find_claimed(self.job.workspace_id, self.source.source_id, &names).await?;
        let other = |claimed: &ClaimedBySource| {
            let user = claimed.by_username.as_ref()?;
            user.provenance.source_id.filter(|id| *id != self.source.source_id)
        };
        let others: BTreeSet<SourceId> = claimed.iter().filter_map(other).collect();
        let others: Vec<SourceId> = others.into_iter().collect();
        let there = self.table.sources(self.job.workspace_id, &others).await?;
        // Few users were renamed by hand and have their current username in a row.
        let keys = match claimed.iter().any(|claimed| self.name_in_source(claimed).is_some()) {
            true => keys_of(self.table, self.job, self.source, taken).await?.unwrap_or_default(),
            false => Vec::new(),
        };
        let mut claimed = claimed.into_iter();
        let mut found = Vec::new();
        for row in rows {
            let claimed =
                if row.faults.is_empty() { claimed.next().unwrap_or_default() } else { ClaimedBySource::default() };
            let other_source = other(&claimed).filter(|id| there.iter().any(|source| source.source_id == *id));
            let has_other_row = self.name_in_source(&claimed).is_some_and(|name| rules::has_row_of(name, &keys));
            let ClaimedBySource { by_username, by_source_username, by_external_id, username } = claimed;
            let users =
                MatchCandidates { by_username, by_source_username, by_external_id, other_source, has_other_row };
            found.push((users, username));
        }
        Ok(found)
    }

    /// The name by which this source knows the user who has the username, if it differs.
    fn name_in_source<'c>(&self, claimed: &'c ClaimedBySource) -> Option<&'c str> {
        let known = &claimed.by_username.as_ref()?.provenance;
        known.source_username.as_deref().filter(|_| known.source_id == Some(self.source.source_id))
    }

    /// Recorded outcomes of the rows or users that are already processed.
    async fn finished_items(&self, ids: impl Iterator<Item = String>) -> Result<BTreeMap<String, ItemOutcome>, Error> {
        let ids: Vec<String> = ids.collect();
        let items = self.table.job_items(self.job.workspace_id, self.job.job_id, &ids).await?;
        Ok(items.into_iter().map(|item| (item.id, item.outcome)).collect())
    }

    /// Writes outcome rows of what is only reported. Repeating this writes the same rows.
    async fn store_outcomes(&self, items: &[JobItem]) -> Result<(), Error> {
        for items in items.chunks(REPORTS) {
            let commit = Commit::without_event(self.origin().new_event_context().event_id);
            self.table.commit(self.guard.hold(items.iter().fold(commit, Commit::replace))).await?;
        }
        Ok(())
    }

    /// The selected users; `None` if the sync is for all.
    async fn load_chosen_users(&self) -> Result<Option<ChosenUsers>, Error> {
        let domain::models::job::Selection::Ids(ids) = &self.job.selection else {
            return Ok(None);
        };
        let ids: BTreeSet<UserId> = ids.iter().filter_map(|id| UserId::parse(id)).collect();
        let users = self.table.users(self.job.workspace_id, &ids).await?;
        // The rows may have been staged by an earlier release.
        let former = users.iter().filter_map(|user| former_key_hash(&user.username));
        let names = users.iter().flat_map(|user| key_hashes_of(user, self.source)).chain(former).collect();
        Ok(Some(ChosenUsers { ids, users, names, key: self.source.key }))
    }

    /// Reports the selected users who do not exist or have no row.
    async fn report_chosen_without_row(&self, taken: StagedImport) -> Result<(Vec<ItemOutcome>, SyncStep), Error> {
        let Some(chosen) = self.load_chosen_users().await? else {
            return Ok((Vec::new(), SyncStep::Clear { failure: None }));
        };
        let Some(keys) = keys_of(self.table, self.job, self.source, &taken).await? else {
            return Ok((Vec::new(), SyncStep::expired()));
        };
        let mut items = Vec::new();
        for id in &chosen.ids {
            let user = chosen.users.iter().find(|user| user.user_id == *id && user.deleted.is_none());
            let has_row = |user: &User| key_hashes_of(user, self.source).any(|name| keys.binary_search(&name).is_ok());
            let error = match user {
                None => DomainError::NotFound("user"),
                Some(user) if !has_row(user) => DomainError::NotFound("row"),
                Some(_) => continue,
            };
            items.push(JobItem::of(self.job, &id.to_string(), ItemOutcome::Failed, Some(&error), self.origin().now()));
        }
        self.store_outcomes(&items).await?;
        Ok((items.iter().map(|item| item.outcome).collect(), SyncStep::Clear { failure: None }))
    }

    /// Counts the users who would vanish, as far as time allows. If there are too many, the source is probably wrong:
    /// the sync fails and no user is changed.
    async fn count_vanishing(
        &self,
        taken: StagedImport,
        start: Option<String>,
        mut users: u64,
        mut vanishing: u64,
    ) -> Result<(Vec<ItemOutcome>, SyncStep), Error> {
        if taken.nameless > 0 {
            let detail = format!(
                "{} rows could not be matched to a user, so nobody was treated as gone from the source.",
                taken.nameless
            );
            let item = JobItem {
                code: Some("keys_unreadable".to_owned()),
                detail: Some(detail),
                ..self.item("vanished", ItemOutcome::Failed)
            };
            self.store_outcomes(std::slice::from_ref(&item)).await?;
            return Ok((vec![item.outcome], SyncStep::Clear { failure: None }));
        }
        let Some(keys) = keys_of(self.table, self.job, self.source, &taken).await? else {
            return Ok((Vec::new(), SyncStep::expired()));
        };
        let mut start = start.as_deref().and_then(Position::from_text);
        loop {
            let page = self.users_page(start).await?;
            for user in page.items.iter().filter(|user| user.provenance.vanished_at.is_none()) {
                users += 1;
                vanishing += u64::from(rules::has_vanished(self.source, user, &keys));
            }
            start = page.next;
            if start.is_none() {
                break;
            }
            if self.deadline.is_over() {
                return Ok((
                    Vec::new(),
                    SyncStep::Count { taken, start: start.map(|at| at.to_text()), users, vanishing },
                ));
            }
        }
        if rules::too_many_vanish(self.source, vanishing, users) {
            let limit = self.source.vanish_limit_percent;
            let detail = format!(
                "{vanishing} of {users} users are no longer in the source, more than {limit} %. None of them was changed."
            );
            let failure = JobFailure { code: "too_many_vanish".to_owned(), detail };
            return Ok((Vec::new(), SyncStep::failed(failure)));
        }
        if vanishing == 0 {
            return Ok((Vec::new(), SyncStep::Clear { failure: None }));
        }
        Ok((Vec::new(), SyncStep::Vanish { taken, start: None }))
    }

    async fn users_page(&self, start: Option<Position>) -> Result<aws::Page<User>, Error> {
        self.table.users_of_source(self.job.workspace_id, self.source.source_id, USERS, start).await
    }

    /// Applies the policy to a page of users without a row, side by side if there are ranges. `None` if time ran out, or
    /// another run has the ranges.
    async fn vanish_page(
        self,
        taken: StagedImport,
        start: Option<String>,
        ranges: &[JobRange],
    ) -> Result<Option<(Vec<ItemOutcome>, SyncStep)>, Error> {
        let Some(keys) = keys_of(self.table, self.job, self.source, &taken).await? else {
            return Ok(Some((Vec::new(), SyncStep::expired())));
        };
        let page = self.users_page(start.as_deref().and_then(Position::from_text)).await?;
        // Users already processed by this job are marked as vanished, so they are found by their outcome rows.
        let has_no_row = |user: &&User| !rules::has_row(self.source, user, &keys);
        let without_row: Vec<&User> = page.items.iter().filter(has_no_row).collect();
        let done = self.finished_items(without_row.iter().map(|user| user.user_id.to_string())).await?;
        let remaining = without_row.into_iter().filter(|user| !done.contains_key(&user.user_id.to_string()));
        let vanished: Vec<&User> = remaining.filter(|user| rules::has_vanished(self.source, user, &keys)).collect();
        let mut outcomes: Vec<ItemOutcome> = done.into_values().collect();
        let Some(guards) = self.guards(ranges).await? else {
            return Ok(None);
        };
        let share = vanished.len().div_ceil(guards.len()).max(1);
        let parts = vanished.chunks(share).zip(guards).map(|(users, guard)| {
            let (of_part, keys) = (SyncRun { guard, ..self }, &keys);
            Box::pin(async move { of_part.vanish_users(users, keys).await })
        });
        for part in join_all(parts).await {
            match part? {
                Some(of_part) => outcomes.extend(of_part),
                None => return Ok(None),
            }
        }
        let next = match page.next.map(|at| at.to_text()) {
            None => SyncStep::Clear { failure: None },
            start => SyncStep::Vanish { taken, start },
        };
        Ok(Some((outcomes, next)))
    }

    /// Applies the policy to users, one after another. `None` if time ran out.
    async fn vanish_users(&self, users: &[&User], keys: &[KeyHash]) -> Result<Option<Vec<ItemOutcome>>, Error> {
        let (mut outcomes, mut items) = (Vec::new(), Vec::new());
        for user in users {
            if self.deadline.is_over() {
                return Ok(None);
            }
            let decided = retry_on_conflict(self.table, || self.vanish_user(user.user_id, keys)).await?;
            self.note(decided, &mut outcomes, &mut items);
        }
        self.store_outcomes(&items).await?;
        Ok(Some(outcomes))
    }

    /// Applies the policy to one user.
    async fn vanish_user(&self, id: UserId, keys: &[KeyHash]) -> Result<RowDecision, Error> {
        let (job, user) = (self.job, self.table.user(self.job.workspace_id, id).await?);
        let Some(user) = user.filter(|user| rules::has_vanished(self.source, user, keys)) else {
            return Ok(RowDecision::NotChosen);
        };
        let text = id.to_string();
        let decided = match self.commit_of_vanished(&user).await {
            Ok(Some(commit)) => {
                let item = JobItem {
                    user_id: Some(id),
                    change: Some(ItemChange::Vanished),
                    ..self.item(&text, ItemOutcome::Changed)
                };
                RowDecision::Changed(Box::new(commit), Box::new(item))
            }
            Ok(None) => RowDecision::NotChosen,
            Err(Error::Refused(error)) => {
                let item = JobItem::of(job, &text, ItemOutcome::Failed, Some(&error), self.origin().now());
                RowDecision::Reported(Box::new(JobItem { user_id: Some(id), ..item }))
            }
            Err(failure @ Error::Internal { .. }) => RowDecision::Reported(Box::new(self.failed_item(&text, &failure))),
            Err(failure) => return Err(failure),
        };
        Box::pin(self.commit_decision(&text, decided)).await
    }

    /// The commit that applies the policy to a vanished user.
    async fn commit_of_vanished(&self, user: &User) -> Result<Option<Commit>, Error> {
        let context = self.action_context();
        let change = match self.source.policy {
            VanishPolicy::Flag | VanishPolicy::Suspend | VanishPolicy::Unknown(_) => {
                let suspends = self.source.policy == VanishPolicy::Suspend;
                let phones = if suspends { self.devices_with_commands(user).await? } else { Vec::new() };
                let devices: Vec<_> = phones.into_iter().map(|phone| phone.device).collect();
                rules::vanish(self.source, user, &devices, &context.event_context)?
            }
            VanishPolicy::Delete => {
                let plan = delete(&context, user, &DeleteRequest::without_wipe(rules::VANISHED)).await?;
                plan.change.map(|deletion| rules::vanish_with(deletion, self.source, user, &context.event_context))
            }
        };
        Ok(change.map(|change| Commit::from_changes(context.event_context.event_id, &change)))
    }

    fn item(&self, id: &str, outcome: ItemOutcome) -> JobItem {
        JobItem::of(self.job, id, outcome, None, self.origin().now())
    }

    /// Report of a row that a rule refused.
    fn refused_item(&self, id: &str, error: &DomainError) -> JobItem {
        if let DomainError::Invalid(errors) = error {
            return self.invalid_item(id, errors.iter().cloned().map(RowFault::from).collect());
        }
        JobItem::of(self.job, id, ItemOutcome::Failed, Some(error), self.origin().now())
    }

    /// Report of a row with field errors.
    fn invalid_item(&self, id: &str, faults: Vec<RowFault>) -> JobItem {
        let sentences: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.field, fault.detail)).collect();
        JobItem {
            code: Some("invalid_input".to_owned()),
            detail: Some(sentences.join("; ")),
            faults,
            ..self.item(id, ItemOutcome::Failed)
        }
    }

    fn failed_item(&self, id: &str, failure: &Error) -> JobItem {
        failed_item(self.job, id, &self.origin(), failure)
    }
}

/// Identifier of a row in the report: its line number, zero-padded so that the report is in line order.
fn line(row: &Row) -> String {
    format!("{:06}", row.line)
}

fn require_level(row: &Row, settings: &WorkspaceSettings) -> Result<(), DomainError> {
    row.value("service_level").map_or(Ok(()), |level| settings.require_service_level(level))
}

/// Key hashes of the names that a row may use for a user in a source.
fn key_hashes_of(user: &User, source: &DataSource) -> impl Iterator<Item = KeyHash> {
    let request = user.provenance.source_id == Some(source.source_id);
    let known = user.provenance.source_username.as_deref().filter(|_| request);
    let external = user.provenance.external_id.as_deref().filter(|_| request);
    let usernames = [user.username.as_str()].into_iter().chain(known);
    let usernames: Vec<KeyHash> = usernames.map(|name| key_hash(KeyField::Username, name)).collect();
    usernames.into_iter().chain(external.map(|name| key_hash(KeyField::ExternalId, name)))
}

/// The users that a sync is limited to.
struct ChosenUsers {
    ids: BTreeSet<UserId>,
    users: Vec<User>,
    names: BTreeSet<KeyHash>,
    key: KeyField,
}

impl ChosenUsers {
    /// True if a row may match one of them.
    fn has(&self, row: &Row) -> bool {
        let username = row.value("username").map(|name| key_hash(KeyField::Username, name));
        row.key
            .into_iter()
            .chain(username.filter(|_| self.key == KeyField::ExternalId))
            .any(|name| self.names.contains(&name))
    }
}
