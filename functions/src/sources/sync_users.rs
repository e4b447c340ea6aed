//! `POST /sources/{source_id}/sync`.

use aws::{Commit, Table};
use domain::JobId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::job::{IDS_LIMIT, Job};
use domain::models::source::SyncRequest;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::context::Origin;
use crate::description::OperationDoc;
use crate::idempotency::{Creation, create_once};
use crate::jobs::{deadline_of_answer, hand_on, load_begun};
use crate::sources::Fetcher;
use crate::sources::sync::{SyncSettings, advance};
use crate::state::AppState;
use crate::views;

/// Rows processed before the call returns; the schedule processes the rest.
const AT_ONCE: usize = 500;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Sync users with a source")
        .detail(
            "All users, or at most 100 that are named. With `dry_run`, nothing is changed and the differences are \
             reported. Renaming users who have devices wipes these, so it needs `users:wipe`.",
        )
        .body(|mut fields| drop(read(&mut fields)))
        .idempotent()
        .if_match()
        .answers::<views::Job>(202, "The job so far.")
        .refuses([DomainError::SourcePushed, DomainError::NothingUploaded, DomainError::SyncRunning])
}

/// Reads `{user_ids?, dry_run?}`: up to 100 users, else all. With `dry_run` the differences are reported and nothing
/// is changed. Returns 202 with the job so far.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `SourcePushed`, `NothingUploaded`, `SyncRunning`,
/// `IdempotencyMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let fetcher = &Fetcher { client: &|| state.source_client(), hosts: &state.settings.source_hosts };
    let table = state.table()?;
    let mut fields = request.http.body()?;
    let (user_ids, dry_run) = read(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    let wanted = SyncRequest {
        job_id: JobId(request.http.id_source.new_id()),
        user_ids,
        dry_run,
        may_wipe: request.caller.may_wipe(),
    };
    let repeat = |id| load_begun(table, &request, id);
    let job = create_once(table, &request, || begin(table, &request, &wanted), repeat).await?;
    let job = go_on(state, &request, Some(fetcher), job).await?;
    Ok(Reply::json(StatusCode::ACCEPTED, &views::Job::from(&job)))
}

/// Runs a job started by a call, as far as time allows; other runs do the rest.
pub(crate) async fn go_on(
    state: &AppState,
    request: &AuthorizedRequest,
    fetcher: Option<&Fetcher<'_>>,
    job: Job,
) -> Result<Job, Error> {
    let (deadline, context) = (deadline_of_answer(state, request), Origin::of_request(request));
    let syncing = SyncSettings { fetcher, operator: &state.settings.operator, pages_at_once: 1 };
    let worked = advance(state.table()?, &syncing, &context, job.clone(), &deadline, AT_ONCE).await;
    hand_on(state, request, job, worked).await
}

fn read(fields: &mut Fields) -> (Option<Vec<String>>, bool) {
    (fields.ids("user_ids", IDS_LIMIT, "leave it out"), fields.boolean("dry_run").unwrap_or(false))
}

async fn begin(table: &Table, request: &AuthorizedRequest, wanted: &SyncRequest) -> Result<Creation<Job>, Error> {
    let source = super::load_source(table, request).await?;
    let event_context = request.new_event_context();
    let running = super::is_running(table, &source).await?;
    let (after, change) = source.begin_sync(wanted.clone(), running, &event_context)?;
    let commit = Commit::from_changes(event_context.event_id, &change).edit(&source, &after);
    let job = change.job.ok_or_else(|| Error::internal("beginning a job", "there is none"))?.after;
    Ok(Creation { id: wanted.job_id.to_string(), commit, result: job })
}
