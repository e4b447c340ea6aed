//! `POST /sources/{source_id}/sync`.

use aws::{Commit, Table};
use chrono::Duration;
use domain::JobId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::job::{IDS_LIMIT, Job};
use domain::models::source::SyncRequest;
use lambda::logging::Chain;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::context::RequestContext;
use crate::deadline::Deadline;
use crate::description::OperationDoc;
use crate::idempotency::{IdempotencyKey, IdempotencyOutcome};

use crate::settings::Defaults;
use crate::sources::Fetcher;
use crate::sources::sync::{SyncSettings, advance};
use crate::state::{AppState, Clock};
use crate::views;

/// Well before API Gateway gives up on an answer, after 30 seconds.
const ANSWER_WITHIN: Duration = Duration::seconds(20);
/// Rows that are done before the call answers; the schedule does the others.
const AT_ONCE: usize = 500;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Sync users with a source")
        .detail(
            "All users, or at most 100 that are named. With `dry_run`, nothing is changed and the differences are \
             reported. Renaming users who have devices wipes these, so it needs `users:wipe`.",
        )
        .body(|mut fields| drop(read(&mut fields)))
        .once()
        .guarded()
        .answers::<views::Job>(202, "The job so far.")
        .refuses([DomainError::SourcePushed, DomainError::NothingUploaded, DomainError::SyncRunning])
}

/// Takes `{user_ids?, dry_run?}`: up to 100 users, else all; with `dry_run` the difference is reported and
/// nothing is changed. Answers 202 with the job, as far as it has come.
///
/// # Errors
/// Every fault of the body; `NotFound`, `SourcePushed`, `NothingUploaded`, `SyncRunning`,
/// `IdempotencyMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let pulling = &Fetcher { outside: &|| state.outside(), hosts: &state.settings.source_hosts };
    let table = state.table()?;
    let defaults = &state.settings.defaults;
    let clock = state.clock();
    let mut fields = request.http.body()?;
    let (user_ids, dry_run) = read(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    let wanted = SyncRequest {
        job_id: JobId(request.http.id_source.new_id()),
        user_ids,
        dry_run,
        may_wipe: request.caller.may_wipe(),
    };
    let once = IdempotencyKey::of(&request)?;
    let job = once.retry_on_conflict(table, &request, || begun(table, &request, &once, &wanted)).await?;
    let job =
        go_on(table, Some(pulling), &RequestContext::of_request(&request), job, &request, defaults, clock).await?;
    Ok(Reply::json(StatusCode::ACCEPTED, &views::Job::from(&job)))
}

/// Moves a job that a call has begun on, as far as there is time; the schedule does the rest.
pub(crate) async fn go_on(
    table: &Table,
    pulling: Option<&Fetcher<'_>>,
    context: &RequestContext,
    job: Job,
    request: &AuthorizedRequest,
    defaults: &Defaults,
    clock: &Clock,
) -> Result<Job, Error> {
    let deadline = Deadline::new(clock.clone(), request.http.id_source.random, request.now().plus(ANSWER_WITHIN));
    let syncing = SyncSettings { pulling, defaults };
    match advance(table, &syncing, context, job.clone(), &deadline, AT_ONCE).await {
        // The job is there, and the schedule goes on with it: that is the news.
        Err(failure @ Error::Unavailable { .. }) => {
            tracing::warn!(job.id = %job.job_id, error = %Chain(&failure), "a job is left to the schedule");
            Ok(job)
        }
        outcome => outcome,
    }
}

fn read(fields: &mut Fields) -> (Option<Vec<String>>, bool) {
    (fields.ids("user_ids", IDS_LIMIT, "leave it out"), fields.boolean("dry_run").unwrap_or(false))
}

/// The job of a call: the one that it made before, or a new one.
async fn begun(
    table: &Table,
    request: &AuthorizedRequest,
    once: &IdempotencyKey,
    wanted: &SyncRequest,
) -> Result<Job, Error> {
    let forgotten = match once.before(table, request).await? {
        IdempotencyOutcome::New { forgotten } => forgotten,
        IdempotencyOutcome::Made(made) => {
            let id = JobId::parse(&made).ok_or(DomainError::NotFound("job"))?;
            return Ok(table.job(request.workspace(), id).await?.ok_or(DomainError::NotFound("job"))?);
        }
    };
    let source = super::load_source(table, request).await?;
    let event_context = request.event_context();
    let running = super::is_running(table, &source).await?;
    let (after, change) = source.begin_sync(wanted.clone(), running, &event_context)?;
    let commit = Commit::from_changes(event_context.event_id, &change).edit(&source, &after);
    table.commit(once.remember(commit, request, &wanted.job_id.to_string(), forgotten)).await?;
    change.job.map(|job| job.after).ok_or_else(|| Error::internal("beginning a job", "there is none"))
}
