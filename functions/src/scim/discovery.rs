//! Discovery of the server's SCIM features. Filters are refused: a client that filtered and got everything would take
//! it for the filtered part (RFC 7644, 4).

use domain::error::DomainError;
use domain::rules::scim::schema;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde_json::Value;

/// True if the query has a filter.
pub(super) fn is_filtered(request: &AuthorizedRequest) -> Result<bool, DomainError> {
    let pairs = request.http.query_pairs()?;
    Ok(pairs.iter().any(|(name, value)| name == "filter" && !value.is_empty()))
}

/// The `ServiceProviderConfig` resource.
pub(super) fn provider_config(base: &str) -> Reply {
    ok(&schema::provider_config(base))
}

/// All resource types.
pub(super) fn resource_types(base: &str) -> Reply {
    all(schema::resource_types(base))
}

/// One resource type.
pub(super) fn resource_type(base: &str, id: &str) -> Result<Reply, DomainError> {
    one(schema::resource_types(base), id, "type")
}

/// All schemas.
pub(super) fn schemas(base: &str) -> Reply {
    all(schema::schemas(base))
}

/// One schema.
pub(super) fn schema(base: &str, id: &str) -> Result<Reply, DomainError> {
    one(schema::schemas(base), id, "schema")
}

fn all(resources: Vec<Value>) -> Reply {
    let total = resources.len();
    ok(&schema::list_response(resources, total, 1))
}

fn one(resources: Vec<Value>, id: &str, kind: &'static str) -> Result<Reply, DomainError> {
    let is = |resource: &Value| resource["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id));
    resources.into_iter().find(is).map(|resource| ok(&resource)).ok_or(DomainError::NotFound(kind))
}

fn ok(body: &Value) -> Reply {
    lambda::scim::json(StatusCode::OK, body)
}
