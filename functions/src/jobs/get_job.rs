//! `GET /jobs/{job_id}`: its progress, and the outcome for each item.

use aws::Page;
use domain::JobId;
use domain::error::{DomainError, Error};
use domain::models::job::{Job, JobItem, JobKind};
use domain::rules::exports::harmless;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::{HeaderName, HeaderValue};

use crate::actors::with_names;
use crate::description::{OperationDoc, schema_of};
use crate::jobs::load;
use crate::jobs::ranges::with_progress;
use crate::jobs::work::Action;
use crate::paging;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a job")
        .detail(
            "Progress of the job, and a page of outcomes. With `Accept: text/csv`, the outcomes come as \
             comma-separated values in parts, each with a `Link` to the next. Whoever may start such a job, or read \
             what it works on, may see it.",
        )
        .query(|mut fields| drop(paging::parameters(&mut fields, paging::LIMITS)))
        .with_etag()
        .answer(
            200,
            "The job with a page of outcomes.",
            vec![("application/json", schema_of::<views::JobPage>()), ("text/csv", schema_of::<String>())],
        )
        .with_header("link", "Address of the next part of the comma-separated values.")
        .refuses([DomainError::CursorInvalid])
}

/// Replies with the job and a page of outcomes, by item identifier. With `Accept: text/csv`, the outcomes are CSV
/// (RFC 4180) in parts: a `Link` header names the next part, and only the first has a header row.
///
/// # Errors
/// Every invalid query parameter; `NotFound`, `VersionMismatch`, `PermissionMissing`, `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("job_id", "job", JobId::parse)?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    let job = with_progress(table, load(table, request.workspace(), id).await?).await?;
    request.http.check_version(job.version)?;
    Action::of(&job)?.require_seen_by(&request.caller)?;
    if request.http.header("accept").is_some_and(|accept| accept.contains("text/csv")) {
        let page = table.list_job_items(request.workspace(), id, CSV_PART, paging.start.clone()).await?;
        return Ok(csv_part(&paging, &page, &job)?.with_etag(job.version));
    }
    let page = table.list_job_items(request.workspace(), id, paging.limit, paging.start.clone()).await?;
    let view = views::JobPage {
        job: views::Job::from(&job),
        items: page.items.iter().map(views::JobItem::from).collect(),
        next_cursor: paging.next(&page),
    };
    Ok(Reply::ok_versioned(&with_names(table, request.workspace(), view).await?, job.version))
}

/// Outcomes per part: with at most half a kilobyte per line, far below what Lambda may return.
const CSV_PART: usize = 1_000;

/// Columns of every outcome.
const COLUMNS: [&str; 5] = ["id", "outcome", "code", "detail", "at"];

/// Further columns for the rows of a source: the user, the change, and the names of changed and invalid fields.
const COLUMNS_OF_ROWS: [&str; 4] = ["user_id", "change", "fields", "errors"];

fn csv_part(paging: &Paging, page: &Page<JobItem>, job: &Job) -> Result<Reply, Error> {
    let of_rows: &[&str] = if job.kind == JobKind::Sync { &COLUMNS_OF_ROWS } else { &[] };
    let broken = |e: csv::Error| Error::internal("writing CSV", e);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if paging.start.is_none() {
        writer.write_record(COLUMNS.iter().chain(of_rows)).map_err(broken)?;
    }
    for item in &page.items {
        let cells = cells(item).into_iter().take(COLUMNS.len() + of_rows.len());
        writer.write_record(cells.map(|cell| harmless(&cell).into_owned())).map_err(broken)?;
    }
    let bytes = writer.into_inner().map_err(|e| Error::internal("writing CSV", e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| Error::internal("writing CSV", e))?;
    let mut reply = Reply::new(lambda_http::http::StatusCode::OK, "text/csv; charset=utf-8", text)
        .with(HeaderName::from_static("cache-control"), "no-store");
    if let Some(next) = paging.next(page)
        && let Ok(link) = HeaderValue::from_str(&format!("</jobs/{}?cursor={next}>; rel=\"next\"", job.job_id))
    {
        reply.headers.push((HeaderName::from_static("link"), link));
    }
    Ok(reply)
}

/// The cells of an outcome, in the order of the columns.
fn cells(item: &JobItem) -> Vec<String> {
    let errors = item.faults.iter().map(|fault| format!("{}: {}", fault.field, fault.code)).collect::<Vec<_>>();
    vec![
        item.id.clone(),
        item.outcome.as_str().to_owned(),
        item.code.clone().unwrap_or_default(),
        item.detail.clone().unwrap_or_default(),
        item.at.to_string(),
        item.user_id.map(|id| id.to_string()).unwrap_or_default(),
        item.change.map(|change| change.as_str().to_owned()).unwrap_or_default(),
        item.fields.join(", "),
        errors.join(", "),
    ]
}
