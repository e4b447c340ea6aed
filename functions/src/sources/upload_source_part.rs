//! `PUT /sources/{source_id}/parts/{number}`.

use aws::StagedRowsOf;
use aws::store::staging::UploadPart;
use aws::{Commit, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::job::Job;
use domain::models::source::{DataSource, PART_LIMIT, Part, SyncRequest};
use domain::rules::change::ChangeSet;
use domain::{JobId, SourceId};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use uuid::Uuid;

use crate::description::OperationDoc;
use crate::sources::sync_users::go_on;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Upload a part of a file")
        .detail(
            "Comma-separated values in parts of at most 256 KiB, numbered from 1, under one identifier that the \
             caller chooses. The sync starts once every part has arrived, unless `start` is `false`.",
        )
        .takes("text/csv")
        .query(|mut fields| {
            let _part = read_query(&mut fields);
        })
        .field("number", "Number of the part, from 1.")
        .if_match()
        .answers::<views::UploadProgress>(202, "Progress of the upload.")
        .refuses([DomainError::SourceNotUploaded, DomainError::SyncRunning])
}

/// Stores a part of a CSV file: `?upload=` is a UUID that the caller generates for the whole file, `&last=true` marks
/// the last part, `&start=false` leaves the start to `sync-users`. Parts are numbered from 1, may arrive in any order
/// and repeatedly, and may split the file at any byte. Returns 202 with the received and missing parts, and the job
/// once the file is complete.
///
/// # Errors
/// Every invalid field of the query; `NotFound`, `SourceNotUploaded`, `SyncRunning`, `TooLarge`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (part, start) = read(&request)?;
    let bytes = request.http.bytes()?;
    let (source, job, replaced) = retry_on_conflict(table, || attempt(table, &request, part, start, bytes)).await?;
    if let Some(upload) = replaced {
        super::clear(
            table,
            request.http.id_source,
            source.workspace_id,
            source.source_id,
            StagedRowsOf::Upload(upload),
        )
        .await?;
    }
    if let Some(job) = job {
        // No page is fetched: the rows are uploaded.
        go_on(state, &request, None, job).await?;
    }
    let progress = views::UploadProgress::new(&source, part.upload_id);
    Ok(Reply::json(StatusCode::ACCEPTED, &progress))
}

fn read_query(fields: &mut Fields) -> (Option<Uuid>, bool, bool) {
    let upload = fields.id("upload", |text| SourceId::parse(text).map(|id| id.0));
    fields.require("upload");
    (upload, fields.boolean("last").unwrap_or(false), fields.boolean("start").unwrap_or(true))
}

fn read(request: &AuthorizedRequest) -> Result<(Part, bool), DomainError> {
    let mut fields = request.http.query()?;
    let (upload, is_last, start) = read_query(&mut fields);
    let number = request.http.path("number").parse().ok().filter(|number| (1..=PART_LIMIT).contains(number));
    if number.is_none() {
        fields.add_error("number", "out_of_range", format!("must be from 1 to {PART_LIMIT}"));
    }
    if !request.http.has_body() {
        fields.add_error("", "missing", "the body must contain the part");
    }
    fields.finish().map_err(DomainError::Invalid)?;
    let part = upload.zip(number).map(|(upload_id, number)| Part { upload_id, number, is_last });
    Ok((part.ok_or(DomainError::Invalid(Vec::new()))?, start))
}

/// Stores a part, and starts the sync once all parts are there. Also returns the identifier of the unused upload that
/// this one replaces.
async fn attempt(
    table: &Table,
    request: &AuthorizedRequest,
    part: Part,
    start: bool,
    bytes: &[u8],
) -> Result<(DataSource, Option<Job>, Option<Uuid>), Error> {
    let source = super::load_source(table, request).await?;
    let used =
        source.upload.as_ref().is_some_and(|upload| upload.upload_id == part.upload_id && upload.job_id.is_some());
    let mut after = source.with_part(&part, request.now())?;
    if used {
        return Ok((after, None, None));
    }
    let event_context = request.new_event_context();
    let mut change = ChangeSet::default();
    if start && after.upload.as_ref().is_some_and(|upload| upload.is_ready(request.now())) {
        let wanted = SyncRequest {
            job_id: JobId(request.http.id_source.new_id()),
            user_ids: None,
            dry_run: false,
            may_wipe: request.caller.may_wipe(),
        };
        (after, change) = after.begin_sync(wanted, super::is_running(table, &source).await?, &event_context)?;
    }
    let row = UploadPart {
        workspace_id: source.workspace_id,
        source_id: source.source_id,
        upload_id: part.upload_id,
        number: part.number,
        bytes: aws::bytes(bytes),
        at: request.now(),
    };
    table.commit(Commit::from_changes(event_context.event_id, &change).replace(&row).edit(&source, &after)).await?;
    let replaced = source.upload.filter(|upload| upload.upload_id != part.upload_id && upload.job_id.is_none());
    Ok((after, change.job.map(|job| job.after), replaced.map(|upload| upload.upload_id)))
}
