//! `GET /users`: user management's list.

use aws::stores::{Person, UserFilter};
use aws::{UsageCounts, Users};
use domain::input::Fields;
use domain::refusal::Failure;
use domain::search::Query;
use domain::usage::{Of, Usage, month};
use domain::workspace::SERVICE_LEVEL;
use lambda::{Call, Reply};

use crate::paging::Paging;
use crate::views;

/// Answers with a page of users: the newest first, or those that were typed; each with what was
/// used this month.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(store: &(impl Users + UsageCounts), call: Call) -> Result<Reply, Failure> {
    let (paging, filter) = Paging::read(&call, read)?;
    let page = store.list_users(call.workspace(), &filter, paging.limit, paging.start.clone(), call.now()).await?;
    let of: Vec<Of> = page.items.iter().map(|person| Of::User(person.user.user_id)).collect();
    let used = store.usage(call.workspace(), &of, &month(call.now())).await?;
    Ok(paging.reply(&page, |person| shown(person, &used, &call)))
}

fn shown(person: &Person, used: &[Usage], call: &Call) -> serde_json::Value {
    let used = used.iter().find(|row| row.of == Of::User(person.user.user_id));
    views::user_with_usage(&person.user, &person.devices, used, call.now())
}

/// Reads the filters of the list, which are also those of a bulk call.
pub(crate) fn read(fields: &mut Fields) -> UserFilter {
    UserFilter {
        status: fields.word("status"),
        service_level: fields.text("service_level", SERVICE_LEVEL),
        network_indicator: fields.word("network_indicator"),
        last_seen_before: fields.time("last_seen_before"),
        pending_command: fields.boolean("pending_command"),
        search: Query::read(fields),
    }
}
