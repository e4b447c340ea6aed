//! Discovery of the server's SCIM features (RFC 7644, 4). Queries with a filter are refused, as the RFC requires: a
//! client would take the whole list for the filtered one.

use domain::error::DomainError;
use domain::rules::scim::schema;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde_json::Value;

/// True if the query has a filter.
pub(super) fn has_filter(request: &AuthorizedRequest) -> Result<bool, DomainError> {
    let pairs = request.http.query_pairs()?;
    Ok(pairs.iter().any(|(name, value)| name == "filter" && !value.is_empty()))
}

/// The `ServiceProviderConfig` resource.
pub(super) fn provider_config(base_url: &str) -> Reply {
    ok_reply(&schema::provider_config(base_url))
}

/// All resource types.
pub(super) fn resource_types(base_url: &str) -> Reply {
    list_reply(schema::resource_types(base_url))
}

/// One resource type.
///
/// # Errors
/// `NotFound`.
pub(super) fn resource_type(base_url: &str, id: &str) -> Result<Reply, DomainError> {
    resource_reply(schema::resource_types(base_url), id, "type")
}

/// All schemas.
pub(super) fn schemas(base_url: &str) -> Reply {
    list_reply(schema::schemas(base_url))
}

/// One schema, by its URI in any case.
///
/// # Errors
/// `NotFound`.
pub(super) fn schema(base_url: &str, uri: &str) -> Result<Reply, DomainError> {
    resource_reply(schema::schemas(base_url), uri, "schema")
}

fn list_reply(resources: Vec<Value>) -> Reply {
    let total = resources.len();
    ok_reply(&schema::list_response(resources, total, 1))
}

/// The resource with an id; `kind` names it in the error.
fn resource_reply(resources: Vec<Value>, id: &str, kind: &'static str) -> Result<Reply, DomainError> {
    let has_id = |resource: &Value| resource["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id));
    let resource = resources.into_iter().find(has_id).ok_or(DomainError::NotFound(kind))?;
    Ok(ok_reply(&resource))
}

fn ok_reply(body: &Value) -> Reply {
    lambda::scim::json(StatusCode::OK, body)
}
