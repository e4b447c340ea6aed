//! `/scim/v2/…`, with any method: SCIM 2.0 (RFC 7644).

use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::Method;

use super::{discovery, listing, writing};
use crate::state::AppState;

/// Routes a SCIM request: users are created, read, listed, replaced, patched and deleted; discovery describes the
/// server.
///
/// # Errors
/// `RouteNotFound`, `MethodNotAllowed`, `NotOffered`, `FilterNotTaken`; those of the operation.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let public_url = state.public_url()?;
    let base = &format!("{public_url}/scim/v2");
    let path = request.http.path("proxy").to_owned();
    // A client whose base URL ends with a slash sends two.
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let get = request.http.method == Method::GET;
    let post = request.http.method == Method::POST;
    match parts[..] {
        ["ServiceProviderConfig" | "ResourceTypes" | "Schemas"] | ["ResourceTypes" | "Schemas", _]
            if get && discovery::is_filtered(&request)? =>
        {
            Err(DomainError::FilterNotTaken.into())
        }
        ["ServiceProviderConfig"] if get => Ok(discovery::provider_config(base)),
        ["ResourceTypes"] if get => Ok(discovery::resource_types(base)),
        ["ResourceTypes", id] if get => Ok(discovery::resource_type(base, id)?),
        ["Schemas"] if get => Ok(discovery::schemas(base)),
        ["Schemas", id] if get => Ok(discovery::schema(base, id)?),
        ["Users"] if get => listing::list(table, &request, base).await,
        ["Users"] if post => writing::create(table, &request, base).await,
        ["Users", ".search"] | [".search"] if post => listing::search(table, &request, base).await,
        ["Users", id] if id != ".search" => one(state, &request, base, id).await,
        ["Me", ..] | ["Bulk"] => Err(DomainError::NotOffered.into()),
        ["ServiceProviderConfig" | "Users" | ".search"]
        | ["ResourceTypes" | "Schemas"]
        | ["ResourceTypes" | "Schemas" | "Users", _] => Err(DomainError::MethodNotAllowed.into()),
        _ => Err(DomainError::RouteNotFound.into()),
    }
}

/// Routes a request for one user.
async fn one(state: &AppState, request: &AuthorizedRequest, base: &str, id: &str) -> Result<Reply, Error> {
    match request.http.method {
        Method::GET => listing::get(state.table()?, request, base, id).await,
        Method::PUT => writing::replace(state, request, base, id).await,
        Method::PATCH => writing::patch(state, request, base, id).await,
        Method::DELETE => writing::delete(state, request, id).await,
        _ => Err(DomainError::MethodNotAllowed.into()),
    }
}
