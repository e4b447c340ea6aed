//! SCIM 2.0, through which identity providers manage users. All of it is one operation, since clients know one URL and
//! one credential.

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

/// A body. If it has `schemas`, they must contain `schema`.
fn body(request: &AuthorizedRequest, schema: &str) -> Result<Map<String, Value>, DomainError> {
    let syntax = |detail: &str| DomainError::Scim(ScimType::InvalidSyntax, detail.to_owned());
    let object = || syntax("The body must be a JSON object without repeated names.");
    let fields = request.http.body().map_err(|error| match error {
        DomainError::Invalid(_) => object(),
        other => other,
    })?;
    let fields = fields.into_values().map_err(|_| object())?;
    let named = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas"));
    let fits = |name: &Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(schema));
    match named.map(|(_, schemas)| schemas.as_array().is_some_and(|names| names.iter().any(fits))) {
        Some(false) => Err(syntax(&format!("schemas must name {schema}."))),
        None | Some(true) => Ok(fields),
    }
}

/// The attributes of a user that the caller asks for.
fn projection(request: &AuthorizedRequest) -> Result<Projection, DomainError> {
    Projection::read(request.http.query()?)
}

/// The user with an identifier from the path.
async fn found(table: &Table, request: &AuthorizedRequest, id: &str) -> Result<ScimUserRecord, Error> {
    let id = UserId::parse(id).ok_or(DomainError::NotFound("user"))?;
    Ok(table.scim_user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?)
}

/// The reply that shows a user.
fn shown(status: StatusCode, person: &ScimUserRecord, projection: &Projection, base: &str) -> Reply {
    let document = Document::shown(person, base).projected(projection);
    tagged(lambda::scim::json(status, &document), person)
}

/// Adds a user's version to a reply, as its `ETag`.
fn tagged(mut reply: Reply, person: &ScimUserRecord) -> Reply {
    with(&mut reply, "etag", &version_tag(person.user.version));
    reply
}

fn with(reply: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers.push((HeaderName::from_static(name), value));
    }
}

/// True if a header matches a user's version; `None` without the header.
fn names_version(request: &AuthorizedRequest, header: &str, person: &ScimUserRecord) -> Option<bool> {
    let named = request.http.headers.get(header)?.to_str().unwrap_or_default();
    let current = format!("\"{}\"", person.user.version);
    let is_current = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current;
    Some(named.split(',').map(str::trim).any(is_current))
}
