//! A bulk call: one action on the things that it names, or on those that a filter finds.

use aws::{Commit, Table};
use domain::JobId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::job::{IDS_LIMIT, ItemOutcome, Job, JobItem, JobKind, NewJob, Selection, Tally};
use domain::permission::Permission;
use domain::rules::jobs::begin;
use domain::shape::Shape;
use domain::states::JobState;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde_json::Value;

use crate::context::RequestContext;
use crate::description::OperationDoc;
use crate::idempotency::{IdempotencyKey, IdempotencyOutcome};
use crate::jobs::work::{PlannedChange, advance, decided};
use crate::jobs::{deadline_of_answer, load_begun, or_leave_to_schedule};
use crate::settings::Defaults;
use crate::state::AppState;
use crate::views;

/// Things of a filter that are done before the call answers; the schedule does the others.
const AT_ONCE: usize = 50;

/// What a bulk call asks for.
pub(crate) struct BulkAction {
    /// Over what.
    pub kind: JobKind,
    /// What is done, as the job keeps it.
    pub action: Value,
    /// Its name.
    pub name: &'static str,
    /// What it takes, beside what the operation takes.
    pub permission: Permission,
}

/// How a bulk operation reads its body.
#[derive(Clone, Copy)]
pub(crate) struct BulkOperation {
    /// Takes the action's name and what belongs to it.
    pub action: fn(&mut Fields) -> Option<BulkAction>,
    /// Notes the faults of a filter.
    pub filter: fn(&mut Fields),
}

impl BulkOperation {
    /// Reads the action, what it is done to, and whether it is only tried.
    fn read(self, fields: &mut Fields) -> (Option<BulkAction>, Option<Selection>, bool) {
        let task = (self.action)(fields);
        let selection = read_selection(fields, self.filter);
        (task, selection, fields.boolean("dry_run").unwrap_or(false))
    }

    /// What the operation says of itself; `actions` are the names of those that it knows.
    pub fn doc(self, summary: &'static str, actions: &[&str]) -> OperationDoc {
        let read = |mut fields: Fields| drop(self.read(&mut fields));
        let about = OperationDoc::new(summary).once();
        let about = if actions.is_empty() { about.body(read) } else { about.body_by("action", actions, read) };
        about
            .shows::<views::BulkResult>("Everything that was named is done, or would be.")
            .answers::<views::BulkResult>(207, "Some of what was named could not be done.")
            .answers::<views::JobResult>(202, "The job so far; it goes on in the background.")
    }
}

/// Answers 200 with every outcome, or 207 if some failed, for things that are named; 202 with the
/// job for those of a filter.
///
/// # Errors
/// Every fault of the body; `PermissionMissing`; `IdempotencyMismatch`.
pub(crate) async fn begin_with(
    state: &AppState,
    request: AuthorizedRequest,
    bulk: BulkOperation,
) -> Result<Reply, Error> {
    let (table, defaults) = (state.table()?, &state.settings.defaults);
    let mut fields = request.http.body()?;
    let (task, selection, dry_run) = bulk.read(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    let (Some(task), Some(selection)) = (task, selection) else {
        return Err(DomainError::Invalid(Vec::new()).into());
    };
    request.caller.require(task.permission)?;
    let context = RequestContext::of_request(&request);
    let new = NewJob {
        job_id: JobId(request.http.id_source.new_id()),
        kind: task.kind,
        action: task.action,
        action_name: task.name,
        selection,
        dry_run,
    };
    if let (true, Selection::Ids(ids)) = (dry_run, &new.selection) {
        let ids = ids.clone();
        return tried(table, &context, new, &ids, defaults).await;
    }
    let once = IdempotencyKey::of(&request)?;
    let job = once.retry_on_conflict(table, &request, || begun(table, &request, &once, &new)).await?;
    let things = if matches!(job.selection, Selection::Ids(_)) { IDS_LIMIT } else { AT_ONCE };
    let deadline = deadline_of_answer(state, &request);
    let worked = advance(table, &context, job.clone(), defaults, &deadline, things).await;
    shown(table, &or_leave_to_schedule(job, worked)?).await
}

fn read_selection(fields: &mut Fields, read_filter: fn(&mut Fields)) -> Option<Selection> {
    // Which of them name something is for the outcome of each to say.
    let ids = fields.ids("ids", IDS_LIMIT, "use a filter");
    let filter = fields.value_with_schema("filter", || Shape::of(|mut filter| read_filter(&mut filter)).schema());
    match (fields.is_sent("ids"), filter) {
        (true, None) => ids.map(Selection::Ids),
        (false, Some(Value::Object(filter))) => {
            let mut inner = Fields::from_json(filter.clone());
            read_filter(&mut inner);
            // A filter that was misspelled, or left empty by a mistake, would find everything.
            inner.deny_unknown();
            for name in filter.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name) {
                inner.add_error(name, "missing", "must have a value; leave it out to find any");
            }
            fields.take_errors_of("filter", inner);
            Some(Selection::Filter(filter))
        }
        (false, Some(_)) => {
            fields.add_error("filter", "wrong_type", "must be an object");
            None
        }
        (true, Some(_)) => {
            fields.add_error("filter", "too_many", "give ids or a filter, not both");
            None
        }
        (false, None) => {
            fields.add_error("ids", "missing", "give ids, or a filter; {} for all");
            None
        }
    }
}

/// The job of a call: the one that it made before, or a new one.
async fn begun(table: &Table, request: &AuthorizedRequest, once: &IdempotencyKey, new: &NewJob) -> Result<Job, Error> {
    let forgotten = match once.before(table, request).await? {
        IdempotencyOutcome::New { forgotten } => forgotten,
        IdempotencyOutcome::Made(made) => return load_begun(table, request, &made).await,
    };
    let event_context = request.event_context();
    let change = begin(new.clone(), &event_context);
    let commit = Commit::from_changes(event_context.event_id, &change);
    table.commit(once.remember(commit, request, &new.job_id.to_string(), forgotten)).await?;
    change.job.map(|job| job.after).ok_or_else(|| Error::internal("beginning a job", "there is none"))
}

/// What would become of the things that a call names. Nothing is written.
async fn tried(
    table: &Table,
    context: &RequestContext,
    new: NewJob,
    ids: &[String],
    defaults: &Defaults,
) -> Result<Reply, Error> {
    let change = begin(new, &context.event_context());
    let job = change.job.map(|job| job.after);
    let job = job.ok_or_else(|| Error::internal("beginning a job", "there is none"))?;
    let (mut tally, mut items) = (Tally::default(), Vec::new());
    for id in ids {
        let item = |outcome, error: Option<&DomainError>| JobItem::of(&job, id, outcome, error, context.now());
        let item = match decided(table, context, &job, id, defaults).await {
            Ok(Some(PlannedChange { warnings, .. })) => JobItem { warnings, ..item(ItemOutcome::Changed, None) },
            Ok(None) => item(ItemOutcome::Unchanged, None),
            // The job would wait, and then do it.
            Err(Error::Refused(DomainError::TooManyMessages(_))) => item(ItemOutcome::Changed, None),
            Err(Error::Refused(error)) => item(ItemOutcome::Failed, Some(&error)),
            Err(failure) => return Err(failure),
        };
        tally.count(item.outcome);
        items.push(item);
    }
    Ok(Reply::json(status(tally), &views::BulkResult::DryRun(views::DryRun::new(tally, &items))))
}

fn status(tally: Tally) -> StatusCode {
    if tally.failed > 0 { StatusCode::MULTI_STATUS } else { StatusCode::OK }
}

async fn shown(table: &Table, job: &Job) -> Result<Reply, Error> {
    let result = |items| views::BulkResult::Job(Box::new(views::JobResult { job: job.into(), items }));
    let Selection::Ids(ids) = &job.selection else {
        return Ok(Reply::json(StatusCode::ACCEPTED, &result(None)));
    };
    let items = table.job_items(job.workspace_id, job.job_id, ids).await?;
    let status = if job.state == JobState::Running { StatusCode::ACCEPTED } else { status(job.tally) };
    Ok(Reply::json(status, &result(Some(items.iter().map(views::JobItem::from).collect()))))
}
