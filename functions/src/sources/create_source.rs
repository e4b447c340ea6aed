//! `POST /sources`.

use aws::{Commit, Table};
use domain::SourceId;
use domain::error::{DomainError, Error};
use domain::input::{Fields, StringEnum};
use domain::limits::SOURCE_LIMIT;
use domain::models::source::{DataSource, SourceKind, SourceSettings};
use domain::permission::Permission;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::description::OperationDoc;
use crate::idempotency::{Creation, create_once};

use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Create a source")
        .detail(
            "Where users come from: a file that is uploaded, a page that is read by HTTPS, or an identity provider \
             that pushes by SCIM. `renames_may_wipe` needs `users:wipe`.",
        )
        .body_by("kind", &<SourceKind as StringEnum>::all(), |mut fields| drop(read(&mut fields, &[])))
        .idempotent()
        .answers::<views::Source>(201, "The source.")
        .with_header("etag", "The source's version, for `If-Match`.")
        .refuses([DomainError::TooManySources, DomainError::PermissionMissing(Permission::UsersWipe)])
}

/// Returns 201 with the source; the token is not shown, only whether one is set. A source whose renames may wipe
/// phones needs `users:wipe`.
///
/// # Errors
/// Every invalid field of the body; `PermissionMissing`, `TooManySources`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let hosts = &state.settings.source_hosts;
    let mut fields = request.http.body()?;
    let (kind, settings) = read(&mut fields, hosts);
    fields.finish().map_err(DomainError::Invalid)?;
    let kind = kind.ok_or(DomainError::field("kind", "missing", "is required"))?;
    create_once(table, &request, || create(table, &request, kind, &settings), |id| repeat(table, &request, id)).await
}

fn read(fields: &mut Fields, hosts: &[String]) -> (Option<SourceKind>, SourceSettings) {
    let kind: Option<SourceKind> = fields.required_enum("kind");
    // Without a valid kind, the other fields are still checked, so that every field error is reported.
    (kind, SourceSettings::read_new(fields, kind.unwrap_or(SourceKind::Http), hosts))
}

async fn repeat(table: &Table, request: &AuthorizedRequest, id: String) -> Result<Reply, Error> {
    let id = SourceId::parse(&id).ok_or(DomainError::NotFound("source"))?;
    Ok(shown(&table.source(request.workspace(), id).await?.ok_or(DomainError::NotFound("source"))?))
}

async fn create(
    table: &Table,
    request: &AuthorizedRequest,
    kind: SourceKind,
    settings: &SourceSettings,
) -> Result<Creation<Reply>, Error> {
    if settings.renames_may_wipe == Some(true) {
        request.caller.require(Permission::UsersWipe)?;
    }
    // Concurrent calls may exceed the limit by a few, which is harmless.
    if table.list_sources(request.workspace(), SOURCE_LIMIT, None).await?.items.len() >= SOURCE_LIMIT {
        return Err(DomainError::TooManySources.into());
    }
    let id = SourceId(request.http.id_source.new_id());
    let (source, event) = DataSource::create(kind, id, settings.clone(), &request.new_event_context());
    let mut commit = Commit::with_event(&event).put(&source);
    if let Some(token) = settings.token.as_ref().and_then(Option::as_deref) {
        commit = commit.put_source_token(id, token);
    }
    Ok(Creation { id: id.to_string(), commit, result: shown(&source) })
}

fn shown(source: &DataSource) -> Reply {
    Reply::json(StatusCode::CREATED, &views::Source::from(source)).with_etag(source.version)
}
