//! Bulk requests: one action on the items that are named, or on those that match a filter.

use aws::{Commit, Table};
use domain::JobId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::job::{IDS_LIMIT, Job, JobKind, NewJob, Selection, Tally};
use domain::rules::jobs::begin;
use domain::shape::Shape;
use domain::states::JobState;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde_json::Value;

use crate::context::Origin;
use crate::description::OperationDoc;
use crate::idempotency::{Creation, create_once};
use crate::jobs::work::{Action, PlannedOutcome, advance, plan_outcome};
use crate::jobs::{deadline_of_answer, hand_on, load_begun};
use crate::settings::OperatorSettings;
use crate::state::AppState;
use crate::views;

/// Objects of a filter that are handled before the reply; other runs handle the others.
const AT_ONCE: usize = 50;

/// The action of a bulk request.
pub(crate) struct BulkAction {
    /// The kind of its items.
    pub kind: JobKind,
    /// The action, as the job stores it.
    pub action: Value,
    /// The action's name.
    pub name: &'static str,
}

/// How a bulk operation reads its body.
#[derive(Clone, Copy)]
pub(crate) struct BulkOperation {
    /// Reads the action's name and fields.
    pub action: fn(&mut Fields) -> Option<BulkAction>,
    /// Records the errors of a filter.
    pub filter: fn(&mut Fields),
}

impl BulkOperation {
    /// Reads the action, the selection, and whether it is a dry run.
    fn read(self, fields: &mut Fields) -> (Option<BulkAction>, Option<Selection>, bool) {
        let task = (self.action)(fields);
        let selection = read_selection(fields, self.filter);
        (task, selection, fields.boolean("dry_run").unwrap_or(false))
    }

    /// OpenAPI documentation of the operation; `actions` are the names of its actions.
    pub fn doc(self, summary: &'static str, actions: &[&str]) -> OperationDoc {
        let read = |mut fields: Fields| drop(self.read(&mut fields));
        let about = OperationDoc::new(summary).idempotent();
        let about = if actions.is_empty() { about.body(read) } else { about.body_by("action", actions, read) };
        about
            .shows::<views::BulkResult>("Everything that was named is done, or would be.")
            .answers::<views::BulkResult>(207, "Some of what was named could not be done.")
            .answers::<views::JobResult>(202, "The job so far; it goes on in the background.")
    }
}

/// With `ids`, replies 200 with every outcome, or 207 if some failed. With a filter, replies 202 with the job.
///
/// # Errors
/// Every invalid field of the body; `PermissionMissing`; `IdempotencyMismatch`.
pub(crate) async fn begin_with(
    state: &AppState,
    request: AuthorizedRequest,
    bulk: BulkOperation,
) -> Result<Reply, Error> {
    let (table, operator) = (state.table()?, &state.settings.operator);
    let mut fields = request.http.body()?;
    let (task, selection, dry_run) = bulk.read(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    let (Some(task), Some(selection)) = (task, selection) else {
        return Err(DomainError::Invalid(Vec::new()).into());
    };
    Action::read(task.kind, &task.action)?.require_begun_by(&request.caller)?;
    let origin = Origin::of_request(&request);
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
        return dry_run_outcomes(table, &origin, new, &ids, operator).await;
    }
    let repeat = |id| load_begun(table, &request, id);
    let job = create_once(table, &request, async || start(&request, &new), repeat).await?;
    let item_limit = if matches!(job.selection, Selection::Ids(_)) { IDS_LIMIT } else { AT_ONCE };
    let deadline = deadline_of_answer(state, &request);
    let worked = advance(table, &origin, job.clone(), operator, &deadline, item_limit).await;
    shown(table, &hand_on(state, &request, job, worked).await?).await
}

fn read_selection(fields: &mut Fields, read_filter: fn(&mut Fields)) -> Option<Selection> {
    // Malformed identifiers are not refused here: each gets its own outcome.
    let ids = fields.ids("ids", IDS_LIMIT, "use a filter");
    let filter = fields.value_with_schema("filter", || Shape::of(|mut filter| read_filter(&mut filter)).schema());
    match (fields.is_sent("ids"), filter) {
        (true, None) => ids.map(Selection::Ids),
        (false, Some(Value::Object(filter))) => {
            let mut inner = Fields::from_json(filter.clone());
            read_filter(&mut inner);
            // A misspelled or accidentally empty filter would match everything.
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

fn start(request: &AuthorizedRequest, new: &NewJob) -> Result<Creation<Job>, Error> {
    let event_context = request.new_event_context();
    let change = begin(new.clone(), &event_context);
    let commit = Commit::from_changes(event_context.event_id, &change);
    let job = change.job.ok_or_else(|| Error::internal("beginning a job", "there is none"))?.after;
    Ok(Creation { id: new.job_id.to_string(), commit, result: job })
}

/// The outcomes that the action would have. Nothing is written.
async fn dry_run_outcomes(
    table: &Table,
    origin: &Origin,
    new: NewJob,
    ids: &[String],
    operator: &OperatorSettings,
) -> Result<Reply, Error> {
    let change = begin(new, &origin.new_event_context());
    let job = change.job.map(|job| job.after);
    let job = job.ok_or_else(|| Error::internal("beginning a job", "there is none"))?;
    let (mut tally, mut items) = (Tally::default(), Vec::new());
    for id in ids {
        let PlannedOutcome::Outcome(item, _) = plan_outcome(table, origin, &job, id, operator).await? else {
            return Err(Error::internal("a dry run", "an item would wait"));
        };
        tally.count(item.outcome);
        items.push(*item);
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
