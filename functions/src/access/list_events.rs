//! `GET /events`: the audit log.

use aws::EventFilter;
use domain::error::Error;
use domain::input::Fields;
use domain::{DeviceId, Time, UserId};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// Default of `since`: this many days before `until`.
const DEFAULT_SPAN: i64 = 90;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List events")
        .detail(
            "Who did what, to what, when and from where, newest first, from `since` (by default 90 days before \
             `until`) to `until` (by default now).",
        )
        .lists::<views::Event>(|fields| {
            let _filter = read(fields, Time::EPOCH);
        })
}

/// Returns a page of events, newest first, filtered by `device_id`, `user_id` and `event_type`, from `since` (by
/// default 90 days before `until`) to `until` (by default now).
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, filter) = Paging::read(&request, |fields| read(fields, request.now()))?;
    let page = table.list_events(request.workspace(), &filter, paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, request.workspace(), &page, views::Event::from).await
}

/// Reads the filters of the list, which exports also use.
pub(crate) fn read(fields: &mut Fields, now: Time) -> EventFilter {
    let since = fields.time("since");
    // There are no future events.
    let until = fields.time("until").map_or(now, |until| until.min(now));
    if since.is_some_and(|since| since > until) {
        fields.add_error("since", "out_of_range", "must not be after until");
    }
    EventFilter {
        device_id: fields.id("device_id", DeviceId::parse),
        user_id: fields.id("user_id", UserId::parse),
        event_type: fields.enum_value("event_type"),
        since: since.unwrap_or(until.minus(chrono::Duration::days(DEFAULT_SPAN))),
        until,
        oldest_first: false,
    }
}
