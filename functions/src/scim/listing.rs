//! Reading users: one, a list, or a search.
//!
//! Cost of a list: with a filter `eq` on `userName`, `externalId` or `id`, two or three reads, however many users
//! there are. Without filter and sort order, the keys of two indexes, about 20 users per read, and the page. With any
//! other filter or a sort order, also a read of each user. Workspaces with more than [`LISTED_USERS_LIMIT`] users are
//! refused (`tooMany`). A page that would be too large is shortened.

use aws::Table;
use domain::UserId;
use domain::error::Error;
use domain::input::Fields;
use domain::models::user::is_username;
use domain::rules::scim::document::{Document, ScimUserRecord};
use domain::rules::scim::filter::{Filter, UniqueKey};
use domain::rules::scim::list::{LISTED_USERS_LIMIT, Query};
use domain::rules::scim::schema::{SEARCH_REQUEST, list_response};
use lambda::reply::{LIST_BODY_LIMIT, wire_size};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde_json::Value;

use super::{header_matches_version, load_user, read_body, read_projection, user_reply, with_etag};

/// Users of one batch read. Each takes up to two rows, and `BatchGetItem` reads at most 100.
const BATCH_SIZE: usize = 50;

/// Returns a user; 304 if `If-None-Match` names the current version.
pub(super) async fn get(table: &Table, request: &AuthorizedRequest, base_url: &str, id: &str) -> Result<Reply, Error> {
    let projection = read_projection(request)?;
    let record = load_user(table, request, id).await?;
    if header_matches_version(request, "if-none-match", &record) == Some(true) {
        return Ok(with_etag(lambda::scim::empty(StatusCode::NOT_MODIFIED), &record));
    }
    Ok(user_reply(StatusCode::OK, &record, &projection, base_url))
}

/// Returns a page of users, by the parameters in the query string.
pub(super) async fn list(table: &Table, request: &AuthorizedRequest, base_url: &str) -> Result<Reply, Error> {
    list_reply(table, request, base_url, &Query::read(request.http.query()?)?).await
}

/// Returns a page of users, by the parameters in the body.
pub(super) async fn search(table: &Table, request: &AuthorizedRequest, base_url: &str) -> Result<Reply, Error> {
    let fields = Fields::from_json(read_body(request, SEARCH_REQUEST)?);
    list_reply(table, request, base_url, &Query::read(fields)?).await
}

async fn list_reply(table: &Table, request: &AuthorizedRequest, base_url: &str, query: &Query) -> Result<Reply, Error> {
    let matching_ids = find_matching_ids(table, request, base_url, query).await?;
    let page_ids: Vec<UserId> = matching_ids.iter().skip(query.start_index - 1).take(query.count).copied().collect();
    let records = table.scim_users(request.workspace(), &page_ids, true).await?;
    let resources = records.iter().map(|record| Document::representation(record, base_url).project(&query.projection));
    let response = list_response(take_fitting(resources), matching_ids.len(), query.start_index);
    Ok(lambda::scim::json(StatusCode::OK, &response))
}

/// As many resources as fit into one reply, at least one.
fn take_fitting(resources: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut bytes = 0;
    let mut page = Vec::new();
    for resource in resources {
        bytes += wire_size(&resource.to_string()) + 1;
        if bytes > LIST_BODY_LIMIT && !page.is_empty() {
            break;
        }
        page.push(resource);
    }
    page
}

/// The ids of all users that the query matches, in its order.
async fn find_matching_ids(
    table: &Table,
    request: &AuthorizedRequest,
    base_url: &str,
    query: &Query,
) -> Result<Vec<UserId>, Error> {
    let candidates = match query.filter.as_ref().and_then(Filter::unique_key) {
        Some(key) => find_by_unique_key(table, request, &key).await?,
        None => {
            let ids = table.user_ids(request.workspace(), LISTED_USERS_LIMIT).await?;
            ids.ok_or_else(Query::too_many_users)?
        }
    };
    if query.filter.is_none() && query.sort.is_none() {
        return Ok(candidates);
    }
    let needs_user_row_only = query.filter.as_ref().is_none_or(Filter::needs_user_row_only);
    let with_scim_attributes = query.sort.is_some() || !needs_user_row_only;
    let mut matching = Vec::new();
    for batch in candidates.chunks(BATCH_SIZE) {
        let records = table.scim_users(request.workspace(), batch, with_scim_attributes).await?;
        matching.extend(records.iter().filter_map(|record| match_user(record, query, base_url)));
    }
    if let Some(sort) = &query.sort {
        matching.sort_by(|(key, _), (other_key, _)| key.cmp(other_key));
        if sort.is_descending() {
            matching.reverse();
        }
    }
    Ok(matching.into_iter().map(|(_, id)| id).collect())
}

/// Sort key and id of a user; `None` if the filter does not match.
fn match_user(record: &ScimUserRecord, query: &Query, base_url: &str) -> Option<((bool, String), UserId)> {
    let document = Document::representation(record, base_url);
    let is_match = query.filter.as_ref().is_none_or(|filter| filter.matches(&document));
    let sort_key = || query.sort.map(|sort| sort.key(&document)).unwrap_or_default();
    is_match.then(|| (sort_key(), record.user.user_id))
}

/// The users that may have a unique key; the filter decides.
async fn find_by_unique_key(table: &Table, request: &AuthorizedRequest, key: &UniqueKey) -> Result<Vec<UserId>, Error> {
    let workspace = request.workspace();
    Ok(match key {
        UniqueKey::Id(id) => UserId::parse(id).into_iter().collect(),
        UniqueKey::Username(name) if is_username(name) => {
            table.ids_of_username(workspace, name).await?.into_iter().collect()
        }
        UniqueKey::Username(_) => Vec::new(),
        UniqueKey::ExternalId(id) => table.id_of_external_id(workspace, id).await?.into_iter().collect(),
    })
}
