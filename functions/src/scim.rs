//! SCIM 2.0, through which identity providers manage users. All of it is one operation, since clients are configured
//! with one base URL and one credential.

mod discovery;
mod listing;
#[expect(clippy::module_inception, reason = "an operation's file has its name")]
pub mod scim;
mod writing;

use aws::Table;
use domain::UserId;
use domain::error::ScimType;
use domain::error::{DomainError, Error};
use domain::rules::scim::document::{Document, ScimUserRecord, version_tag};
use domain::rules::scim::list::Projection;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// The fields of a request body. If it has `schemas`, they must contain `schema`.
fn read_body(request: &AuthorizedRequest, schema: &str) -> Result<Map<String, Value>, DomainError> {
    let invalid_syntax = |detail: &str| DomainError::Scim(ScimType::InvalidSyntax, detail.to_owned());
    let not_an_object = || invalid_syntax("The body must be a JSON object without repeated names.");
    let fields = request.http.body().map_err(|error| match error {
        DomainError::Invalid(_) => not_an_object(),
        other => other,
    })?;
    let fields = fields.into_values().map_err(|_| not_an_object())?;
    let schemas = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas")).map(|(_, schemas)| schemas);
    let is_required_schema = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(schema));
    let names_schema = |schemas: &Value| schemas.as_array().is_some_and(|uris| uris.iter().any(is_required_schema));
    if schemas.is_none_or(names_schema) {
        Ok(fields)
    } else {
        Err(invalid_syntax(&format!("schemas must contain {schema}.")))
    }
}

/// The attributes of a user that the request asks for.
fn read_projection(request: &AuthorizedRequest) -> Result<Projection, DomainError> {
    Projection::read(request.http.query()?)
}

/// Loads a user by an id from the path.
async fn load_user(table: &Table, request: &AuthorizedRequest, id: &str) -> Result<ScimUserRecord, Error> {
    let id = UserId::parse(id).ok_or(DomainError::NotFound("user"))?;
    Ok(table.scim_user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?)
}

/// A reply with a user and the user's `ETag`.
fn user_reply(status: StatusCode, record: &ScimUserRecord, projection: &Projection, base_url: &str) -> Reply {
    let resource = Document::representation(record, base_url).project(projection);
    with_etag(lambda::scim::json(status, &resource), record)
}

fn with_etag(mut reply: Reply, record: &ScimUserRecord) -> Reply {
    add_header(&mut reply, "etag", &version_tag(record.user.version));
    reply
}

fn add_header(reply: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers.push((HeaderName::from_static(name), value));
    }
}

/// True if `If-Match` or `If-None-Match` names the user's version, or any (`*`); `None` without the header. Weak and
/// strong ETags are compared alike.
fn header_matches_version(request: &AuthorizedRequest, header: &str, record: &ScimUserRecord) -> Option<bool> {
    let tags = request.http.headers.get(header)?.to_str().unwrap_or_default();
    let current = format!("\"{}\"", record.user.version);
    let matches_version = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current;
    Some(tags.split(',').map(str::trim).any(matches_version))
}
