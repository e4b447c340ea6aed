//! `GET /users/export`: the user list as comma-separated values.

use std::collections::BTreeMap;

use aws::UserWithDevices;
use aws::{Page, Table};
use domain::UserId;
use domain::error::Error;
use domain::models::usage::{Usage, UsageScope, month};
use domain::models::user::User;
use lambda::{AuthorizedRequest, Reply};
use serde_json::Value;

use super::{ExportKind, ExportRequest};
use crate::actors::name_actors;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users::list_users;

static USERS: ExportKind = ExportKind {
    name: "users",
    columns: &[
        ("user_id", "/user_id"),
        ("username", "/username"),
        ("first_name", "/first_name"),
        ("last_name", "/last_name"),
        ("name", "/name"),
        ("email", "/email"),
        ("mobile", "/mobile"),
        ("number", "/number"),
        ("user_identity_key", "/user_identity_key"),
        ("status", "/status"),
        ("service_level", "/service_level"),
        ("profile_id", "/profile_id"),
        ("profile", "/profile"),
        ("sip_user_name", "/sip_user_name"),
        ("service_account", "/service_account"),
        ("source", "/source"),
        ("source_id", "/source_id"),
        ("external_id", "/external_id"),
        ("by_hand", "/by_hand"),
        ("vanished_at", "/vanished_at"),
        ("created_at", "/created_at"),
        ("registered_at", "/registered_at"),
        ("last_seen_at", "/last_seen_at"),
        ("app_version", "/app_version"),
        ("network_indicator", "/network_indicator"),
        ("suspended_at", "/suspended/at"),
        ("suspended_by_type", "/suspended/by/type"),
        ("suspended_by_id", "/suspended/by/id"),
        ("suspended_by_name", "/suspended/by/name"),
        ("suspended_reason", "/suspended/reason"),
        ("suspended_by_source_at", "/suspended_by_source/at"),
        ("locked_at", "/locked/at"),
        ("locked_by_type", "/locked/by/type"),
        ("locked_by_id", "/locked/by/id"),
        ("locked_by_name", "/locked/by/name"),
        ("locked_reason", "/locked/reason"),
        ("pending_command", "/pending_command"),
        ("unconfirmed_wipe", "/unconfirmed_wipe"),
        ("device_count", "/device_count"),
        ("messages_sent", "/usage/messages_sent"),
        ("messages_received", "/usage/messages_received"),
        ("messages_archived", "/usage/messages_archived"),
        ("attachment_bytes", "/usage/attachment_bytes"),
        ("calls", "/usage/calls"),
        ("deleted_at", "/deleted_at"),
        ("purge_after", "/purge_after"),
    ],
};

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    super::doc("Export users", &USERS, |fields| drop(list_users::read_sorted(fields)))
}

/// Replies with a part of the users: those of `ids` that exist, in their order; else those that match the list's
/// filters, in its order. Each includes this month's usage.
///
/// # Errors
/// Every invalid query parameter; `CursorInvalid`, `SortNotAvailable`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let wanted = ExportRequest::read(&request, &USERS, |id| UserId::parse(id).is_some(), list_users::read_sorted)?;
    if let Some(ids) = wanted.ids(UserId::parse) {
        let people = named(table, &request, &ids).await?;
        return wanted.named(table, &request, &shown(table, &request, &people).await?).await;
    }
    let page = |limit, start| {
        let (request, filter) = (&request, &wanted.filter);
        async move {
            let page = table.list_users(request.workspace(), filter, limit, start, request.now()).await?;
            Ok(Page { items: shown(table, request, &page.items).await?, next: page.next, unreadable: page.unreadable })
        }
    };
    wanted.part(table, &request, page).await
}

async fn named(table: &Table, request: &AuthorizedRequest, ids: &[UserId]) -> Result<Vec<UserWithDevices>, Error> {
    let users = table.users(request.workspace(), &ids.iter().copied().collect()).await?;
    let devices = users.iter().flat_map(User::all_device_ids).collect();
    let devices = table.devices_to_show(request.workspace(), &devices).await?;
    let person = |id: &UserId| {
        let user = users.iter().find(|user| user.user_id == *id)?.clone();
        Some(UserWithDevices::of(user, &devices))
    };
    Ok(ids.iter().filter_map(person).collect())
}

/// The list's views of users, with the names of their profiles.
async fn shown(table: &Table, request: &AuthorizedRequest, people: &[UserWithDevices]) -> Result<Vec<Value>, Error> {
    let of: Vec<UsageScope> = people.iter().map(|person| UsageScope::User(person.user.user_id)).collect();
    let used = table.usage_to_show(request.workspace(), &of, &month(request.now())).await?;
    let used: BTreeMap<UserId, &Usage> = used.iter().filter_map(|row| Some((user_of(row)?, row))).collect();
    let names = list_users::profile_names(table, request, people).await?;
    let view =
        |person: &UserWithDevices| list_users::shown(person, used.get(&person.user.user_id).copied(), &names, request);
    name_actors(table, request.workspace(), people.iter().map(view)).await
}

fn user_of(row: &Usage) -> Option<UserId> {
    match row.of {
        UsageScope::User(id) => Some(id),
        UsageScope::Shard(_) => None,
    }
}
