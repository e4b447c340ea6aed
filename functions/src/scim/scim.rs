//! `/scim/v2/…`, with any method: SCIM 2.0 (RFC 7644).

use aws::Table;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::Method;

use super::{discovery, listing, writing};
use crate::settings::Defaults;
use crate::state::AppState;

/// Answers as SCIM does: users are made, shown, listed, replaced, patched and deleted, and what
/// the server knows is told. `public_url` is the product's own address.
///
/// # Errors
/// `RouteNotFound`, `MethodNotAllowed`, `NotOffered`, `FilterNotTaken`; those of what is asked.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let defaults = &state.settings.defaults;
    let public_url = state.public_url()?;
    let base = &format!("{public_url}/scim/v2");
    let path = request.http.path("proxy").to_owned();
    // Who configures a base address with a slash at its end sends two.
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
        ["Users", id] if id != ".search" => one(table, &request, defaults, base, id).await,
        ["Me", ..] | ["Bulk"] => Err(DomainError::NotOffered.into()),
        ["ServiceProviderConfig" | "Users" | ".search"]
        | ["ResourceTypes" | "Schemas"]
        | ["ResourceTypes" | "Schemas" | "Users", _] => Err(DomainError::MethodNotAllowed.into()),
        _ => Err(DomainError::RouteNotFound.into()),
    }
}

/// What is asked of one user.
async fn one(
    table: &Table,
    request: &AuthorizedRequest,
    defaults: &Defaults,
    base: &str,
    id: &str,
) -> Result<Reply, Error> {
    match request.http.method {
        Method::GET => listing::get(table, request, base, id).await,
        Method::PUT => writing::replace(table, request, base, defaults, id).await,
        Method::PATCH => writing::patch(table, request, base, defaults, id).await,
        Method::DELETE => writing::delete(table, request, defaults, id).await,
        _ => Err(DomainError::MethodNotAllowed.into()),
    }
}
