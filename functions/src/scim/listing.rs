//! Reading users: one, or a list.
//!
//! Cost of a list: with a filter `eq` on `userName`, `externalId` or `id`, two or three reads, however many users
//! there are. Without filter and sort order, the keys of two indexes, about 20 users per read, and the page. With any
//! other filter or a sort order, also a read of each user. More than [`LOOK_MOST`] users are refused (`tooMany`). A
//! page that would be too large is shortened.

use aws::Table;
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::user::is_username;
use domain::rules::scim::document::{Document, ScimUserRecord};
use domain::rules::scim::filter::{Filter, Only};
use domain::rules::scim::list::{LOOK_MOST, Query};
use domain::rules::scim::schema::{SEARCH_REQUEST, list_response};
use lambda::reply::{LIST_BODY_LIMIT, wire_size};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;
use serde_json::Value;

use super::{body, found, names_version, projection, shown, tagged};

/// Users per read batch, in which each takes two rows.
const STEP: usize = 50;

/// Returns a user; 304 if `If-None-Match` names the current version.
pub(super) async fn get(table: &Table, request: &AuthorizedRequest, base: &str, id: &str) -> Result<Reply, Error> {
    let projection = projection(request)?;
    let person = found(table, request, id).await?;
    if names_version(request, "if-none-match", &person) == Some(true) {
        return Ok(tagged(lambda::scim::empty(StatusCode::NOT_MODIFIED), &person));
    }
    Ok(shown(StatusCode::OK, &person, &projection, base))
}

/// Returns a page of users; parameters are in the query.
pub(super) async fn list(table: &Table, request: &AuthorizedRequest, base: &str) -> Result<Reply, Error> {
    page(table, request, base, &Query::read(request.http.query()?)?).await
}

/// Returns a page of users; parameters are in the body.
pub(super) async fn search(table: &Table, request: &AuthorizedRequest, base: &str) -> Result<Reply, Error> {
    let fields = Fields::from_json(body(request, SEARCH_REQUEST)?);
    page(table, request, base, &Query::read(fields)?).await
}

async fn page(table: &Table, request: &AuthorizedRequest, base: &str, query: &Query) -> Result<Reply, Error> {
    let ids = listed(table, request, base, query).await?;
    let wanted: Vec<UserId> = ids.iter().skip(query.start - 1).take(query.count).copied().collect();
    let people = table.scim_users(request.workspace(), &wanted, true).await?;
    let shown = people.iter().map(|person| Document::shown(person, base).projected(&query.projection));
    Ok(lambda::scim::json(StatusCode::OK, &list_response(page_of(shown), ids.len(), query.start)))
}

/// As many users as fit into one reply, at least one.
fn page_of(users: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut bytes = 0;
    let mut page = Vec::new();
    for user in users {
        bytes += wire_size(&user.to_string()) + 1;
        if bytes > LIST_BODY_LIMIT && !page.is_empty() {
            break;
        }
        page.push(user);
    }
    page
}

/// Identifiers of all matching users, in the order of the list.
async fn listed(table: &Table, request: &AuthorizedRequest, base: &str, query: &Query) -> Result<Vec<UserId>, Error> {
    let candidates = match query.filter.as_ref().and_then(Filter::only) {
        Some(only) => the_only(table, request, &only).await?,
        None => table.user_ids(request.workspace(), LOOK_MOST).await?.ok_or_else(Query::too_many)?,
    };
    if query.filter.is_none() && query.sort.is_none() {
        return Ok(candidates);
    }
    let with_kept = query.sort.is_some() || !query.filter.as_ref().is_none_or(Filter::is_plain);
    let mut listed = Vec::new();
    for step in candidates.chunks(STEP) {
        let people = table.scim_users(request.workspace(), step, with_kept).await?;
        listed.extend(people.iter().filter_map(|person| fits(person, query, base)));
    }
    if let Some(sort) = &query.sort {
        listed.sort_by(|(one, _), (other, _)| one.cmp(other));
        if sort.is_descending() {
            listed.reverse();
        }
    }
    Ok(listed.into_iter().map(|(_, id)| id).collect())
}

/// Sort key and identifier of a user; `None` if the filter does not match.
fn fits(person: &ScimUserRecord, query: &Query, base: &str) -> Option<((bool, String), UserId)> {
    let document = Document::shown(person, base);
    let fits = query.filter.as_ref().is_none_or(|filter| filter.fits(&document));
    let key = || query.sort.map(|sort| sort.key(&document)).unwrap_or_default();
    fits.then(|| (key(), person.user.user_id))
}

/// Candidates for a filter that can match one user only.
async fn the_only(table: &Table, request: &AuthorizedRequest, only: &Only) -> Result<Vec<UserId>, Error> {
    let workspace = request.workspace();
    Ok(match only {
        Only::Id(id) => UserId::parse(id).into_iter().collect(),
        Only::Username(name) if is_username(name) => {
            table.ids_of_username(workspace, name).await?.into_iter().collect()
        }
        Only::Username(_) => Vec::new(),
        Only::ExternalId(id) => table.id_of_external_id(workspace, id).await?.into_iter().collect(),
    })
}

/// Checks `If-Match` against the current version.
pub(super) fn require_version(request: &AuthorizedRequest, person: &ScimUserRecord) -> Result<(), DomainError> {
    match names_version(request, "if-match", person) {
        Some(false) => Err(DomainError::VersionMismatch),
        None | Some(true) => Ok(()),
    }
}
