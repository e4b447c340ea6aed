//! `GET /users`: user management's list.

use aws::stores::{Person, UserFilter};
use aws::{Profiles, UsageCounts, Users};
use domain::input::Fields;
use domain::profile::Profile;
use domain::refusal::Failure;
use domain::search::Query;
use domain::usage::{Of, Usage, month};
use domain::workspace::SERVICE_LEVEL;
use domain::{ProfileId, SourceId};
use lambda::{Call, Reply};
use serde_json::json;

use crate::paging::Paging;
use crate::views;

/// Answers with a page of users: the newest first, or those that were typed; each with what was
/// used this month.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(store: &(impl Users + UsageCounts + Profiles), call: Call) -> Result<Reply, Failure> {
    let (paging, filter) = Paging::read(&call, read)?;
    let page = store.list_users(call.workspace(), &filter, paging.limit, paging.start.clone(), call.now()).await?;
    let of: Vec<Of> = page.items.iter().map(|person| Of::User(person.user.user_id)).collect();
    let used = store.usage(call.workspace(), &of, &month(call.now())).await?;
    let profiles = profiles_of(store, &call, &page.items).await?;
    Ok(paging.reply(&page, |person| shown(person, &used, &profiles, &call)))
}

/// The profiles that some users have.
async fn profiles_of(store: &impl Profiles, call: &Call, people: &[Person]) -> Result<Vec<Profile>, Failure> {
    let ids = people.iter().filter_map(|person| person.user.client.profile_id).collect();
    store.profiles(call.workspace(), &ids).await
}

fn shown(person: &Person, used: &[Usage], profiles: &[Profile], call: &Call) -> serde_json::Value {
    let used = used.iter().find(|row| row.of == Of::User(person.user.user_id));
    let mut view = views::user_with_usage(&person.user, &person.devices, used, call.now());
    view["profile"] = json!(views::profile_name(profiles, person.user.client.profile_id));
    view
}

/// Reads the filters of the list, which are also those of a bulk call.
pub(crate) fn read(fields: &mut Fields) -> UserFilter {
    UserFilter {
        status: fields.word("status"),
        service_level: fields.text("service_level", SERVICE_LEVEL),
        network_indicator: fields.word("network_indicator"),
        last_seen_before: fields.time("last_seen_before"),
        pending_command: fields.boolean("pending_command"),
        deployed: fields.boolean("deployed"),
        profile_id: fields.id("profile_id", ProfileId::parse),
        source_id: fields.id("source_id", SourceId::parse),
        force_pending: fields.boolean("force_pending"),
        search: Query::read(fields),
    }
}
