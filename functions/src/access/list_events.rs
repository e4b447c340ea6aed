//! `GET /events`: who did what, when, from where, to what.

use aws::EventFilter;
use domain::error::Error;
use domain::input::Fields;
use domain::{DeviceId, Time, UserId};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// How far back a list goes if it is not said, in days.
const DEFAULT_SPAN: i64 = 90;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List events")
        .detail(
            "Who did what, to what, when and from where, newest first, from `since` (90 days ago by default) to \
             `until` (now by default).",
        )
        .lists::<views::Event>(|fields| {
            let _filter = read(fields, Time::EPOCH);
        })
}

/// Answers with a page of events, the newest first: by `device_id`, `user_id`, `event_type`, and
/// in a span from `since` (90 days ago) to `until` (now).
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, filter) = Paging::read(&request, |fields| read(fields, request.now()))?;
    let page = table.list_events(request.workspace(), &filter, paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, request.workspace(), &page, views::Event::from).await
}

/// Reads the filters of the list, which are also those of an export.
pub(crate) fn read(fields: &mut Fields, now: Time) -> EventFilter {
    let since = fields.time("since");
    // What is still to come has not happened.
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
