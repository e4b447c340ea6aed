//! `GET /users`.

use std::collections::BTreeMap;

use aws::{ListBasis, Table, UserFilter, UserWithDevices};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::listing::Sort;
use domain::models::usage::{Usage, UsageScope, month};
use domain::search::Query;
use domain::text::SERVICE_LEVEL;
use domain::{ProfileId, SourceId};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::{Paging, times};
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List users")
        .detail("Newest first, those that `search` finds, or by `sort`, each with this month's usage. When they were last seen is \
             sorted by day.")
        .lists::<views::UserListItem>(|fields| drop(read_sorted(fields)))
        .refuses([DomainError::SortNotAvailable])
}

/// Returns a page of users, newest first, those found by `search`, or by `sort`, each with usage of this month. `total`
/// is their number, if the filter is counted.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`, `SortNotAvailable`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, filter) = Paging::read(&request, read_sorted)?;
    let ListBasis { derived, total, .. } = table.basis_of_users(request.workspace(), &filter).await?;
    let filter = UserFilter { derived, ..filter };
    let (limit, start) = (paging.limit, paging.start.clone());
    let page = table.list_users(request.workspace(), &filter, limit, start, request.now()).await?;
    let of: Vec<UsageScope> = page.items.iter().map(|person| UsageScope::User(person.user.user_id)).collect();
    let used = table.usage_to_show(request.workspace(), &of, &month(request.now())).await?;
    let names = profile_names(table, &request, &page.items).await?;
    let view = |person: &UserWithDevices| {
        let used = used.iter().find(|row| row.of == UsageScope::User(person.user.user_id));
        shown(person, used, &names, &request)
    };
    paging.with_total(total).reply_named(table, request.workspace(), &page, view).await
}

/// Names of the profiles assigned to these users.
pub(crate) async fn profile_names(
    table: &Table,
    request: &AuthorizedRequest,
    people: &[UserWithDevices],
) -> Result<BTreeMap<ProfileId, String>, Error> {
    let ids = people.iter().filter_map(|person| person.user.client.profile_id).collect();
    table.profile_names(request.workspace(), &ids).await
}

/// The list item of a user.
pub(crate) fn shown(
    person: &UserWithDevices,
    used: Option<&Usage>,
    names: &BTreeMap<ProfileId, String>,
    request: &AuthorizedRequest,
) -> views::UserListItem {
    let profile = person.user.client.profile_id.and_then(|id| names.get(&id)).map(String::as_str);
    views::UserListItem::new(person, profile, used, request.now())
}

/// Reads the filters and the order of the list.
pub(crate) fn read_sorted(fields: &mut Fields) -> UserFilter {
    let filter = read(fields);
    UserFilter { sort: Sort::read(fields), ..filter }
}

/// Reads the filters of the list, which bulk calls also use.
pub(crate) fn read(fields: &mut Fields) -> UserFilter {
    UserFilter {
        status: fields.enum_value("status"),
        service_level: fields.text("service_level", SERVICE_LEVEL),
        network_indicator: fields.enum_value("network_indicator"),
        created: times(fields, "created_since", "created_before"),
        last_seen: times(fields, "last_seen_since", "last_seen_before"),
        pending_command: fields.boolean("pending_command"),
        unconfirmed_wipe: fields.boolean("unconfirmed_wipe"),
        deployed: fields.boolean("deployed"),
        profile_id: fields.id("profile_id", ProfileId::parse),
        source_id: fields.id("source_id", SourceId::parse),
        force_pending: fields.boolean("force_pending"),
        search: Query::read(fields),
        sort: None,
        derived: None,
    }
}
