//! `/scim/v2/…`, with any method: SCIM 2.0 (RFC 7644).

use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::Method;

use super::{discovery, listing, writing};
use crate::state::AppState;

/// Routes a SCIM request: users can be created, read, listed, searched, replaced, patched and deleted; discovery
/// describes the server. `/Me` and `/Bulk` are not implemented (501).
///
/// # Errors
/// `RouteNotFound`, `MethodNotAllowed`, `NotOffered`, `FilterNotTaken`; those of the operation.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let public_url = state.public_url()?;
    let base_url = &format!("{public_url}/scim/v2");
    let path = request.http.path("proxy").to_owned();
    // A client whose base URL ends with a slash sends two.
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let is_get = request.http.method == Method::GET;
    let is_post = request.http.method == Method::POST;
    match segments[..] {
        ["ServiceProviderConfig" | "ResourceTypes" | "Schemas"] | ["ResourceTypes" | "Schemas", _]
            if is_get && discovery::has_filter(&request)? =>
        {
            Err(DomainError::FilterNotTaken.into())
        }
        ["ServiceProviderConfig"] if is_get => Ok(discovery::provider_config(base_url)),
        ["ResourceTypes"] if is_get => Ok(discovery::resource_types(base_url)),
        ["ResourceTypes", id] if is_get => Ok(discovery::resource_type(base_url, id)?),
        ["Schemas"] if is_get => Ok(discovery::schemas(base_url)),
        ["Schemas", uri] if is_get => Ok(discovery::schema(base_url, uri)?),
        ["Users"] if is_get => listing::list(table, &request, base_url).await,
        ["Users"] if is_post => writing::create(table, &request, base_url).await,
        ["Users", ".search"] | [".search"] if is_post => listing::search(table, &request, base_url).await,
        ["Users", id] if id != ".search" => handle_user(state, &request, base_url, id).await,
        ["Me", ..] | ["Bulk"] => Err(DomainError::NotOffered.into()),
        ["ServiceProviderConfig" | "Users" | ".search"]
        | ["ResourceTypes" | "Schemas"]
        | ["ResourceTypes" | "Schemas" | "Users", _] => Err(DomainError::MethodNotAllowed.into()),
        _ => Err(DomainError::RouteNotFound.into()),
    }
}

/// Routes a request for one user.
async fn handle_user(state: &AppState, request: &AuthorizedRequest, base_url: &str, id: &str) -> Result<Reply, Error> {
    match request.http.method {
        Method::GET => listing::get(state.table()?, request, base_url, id).await,
        Method::PUT => writing::replace(state, request, base_url, id).await,
        Method::PATCH => writing::patch(state, request, base_url, id).await,
        Method::DELETE => writing::delete(state, request, id).await,
        _ => Err(DomainError::MethodNotAllowed.into()),
    }
}
