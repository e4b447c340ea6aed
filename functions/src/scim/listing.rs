//! Users shown: one of them, or a list.
//!
//! A list costs this: by `userName`, `externalId` or `id` with `eq`, two or three reads, however
//! many users there are. Without filter and order, the keys of two indexes, about 20 users to a
//! read, and the page. With any other filter or an order, also a read of each user. Beyond
//! [`LOOK_MOST`] users it is refused (`tooMany`). A page that would be too large is shorter than was asked
//! for.

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

/// How many users are looked at at once: two rows of each fill a batch.
const STEP: usize = 50;

/// Answers with a user; 304 if the caller has seen this version.
pub(super) async fn get(table: &Table, request: &AuthorizedRequest, base: &str, id: &str) -> Result<Reply, Error> {
    let projection = projection(request)?;
    let person = found(table, request, id).await?;
    if names_version(request, "if-none-match", &person) == Some(true) {
        return Ok(tagged(lambda::scim::empty(StatusCode::NOT_MODIFIED), &person));
    }
    Ok(shown(StatusCode::OK, &person, &projection, base))
}

/// Answers with a page of users, by the query.
pub(super) async fn list(table: &Table, request: &AuthorizedRequest, base: &str) -> Result<Reply, Error> {
    page(table, request, base, &Query::read(request.http.query()?)?).await
}

/// Answers with a page of users, by the body.
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

/// As many users as one answer has room for; at least one.
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

/// Everyone whom a list holds, in its order.
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

/// What a user is sorted by, if the list holds them.
fn fits(person: &ScimUserRecord, query: &Query, base: &str) -> Option<((bool, String), UserId)> {
    let document = Document::shown(person, base);
    let fits = query.filter.as_ref().is_none_or(|filter| filter.fits(&document));
    let key = || query.sort.map(|sort| sort.key(&document)).unwrap_or_default();
    fits.then(|| (key(), person.user.user_id))
}

/// Those among whom the only user is whom a filter can mean.
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

/// Refuses a change of a version that the caller has not seen.
pub(super) fn require_version(request: &AuthorizedRequest, person: &ScimUserRecord) -> Result<(), DomainError> {
    match names_version(request, "if-match", person) {
        Some(false) => Err(DomainError::VersionMismatch),
        None | Some(true) => Ok(()),
    }
}
