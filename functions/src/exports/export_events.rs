//! `GET /events/export`: the audit events as comma-separated values.

use aws::Page;
use domain::EventId;
use domain::Time;
use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use super::{ExportKind, ExportRequest};
use crate::access::list_events;
use crate::actors::name_actors;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

static EVENTS: ExportKind = ExportKind {
    name: "events",
    columns: &[
        ("event_id", "/event_id"),
        ("event_type", "/event_type"),
        ("created_at", "/created_at"),
        ("actor_type", "/actor/type"),
        ("actor_id", "/actor/id"),
        ("actor_name", "/actor/name"),
        ("actor_token_id", "/actor_token_id"),
        ("operation", "/operation"),
        ("request_id", "/request_id"),
        ("device_id", "/device_id"),
        ("user_id", "/user_id"),
        ("invitation_id", "/invitation_id"),
        ("command_id", "/command_id"),
        ("command_kind", "/command_kind"),
        ("job_id", "/job_id"),
        ("deployment_id", "/deployment_id"),
        ("profile_id", "/profile_id"),
        ("source_id", "/source_id"),
        ("key_id", "/key_id"),
        ("member_id", "/member_id"),
        ("token_id", "/token_id"),
        ("webhook_id", "/webhook_id"),
        ("changes", "/changes"),
        ("changed_fields", "/changed_fields"),
        ("reason", "/private/reason"),
        ("address", "/private/address"),
    ],
};

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    super::doc("Export events", &EVENTS, |fields| {
        let _filter = list_events::read(fields, Time::EPOCH);
    })
}

/// Replies with a part of the events: those of `ids` that exist, in their order; else those that match the list's
/// filters, newest first, from `since` (by default 90 days before `until`) to `until` (by default now). Exporting and
/// listing need the same permission, so the columns include the reason and the caller's address.
///
/// # Errors
/// Every invalid query parameter; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let is_id = |id: &str| EventId::parse(id).is_some();
    let wanted = ExportRequest::read(&request, &EVENTS, is_id, |fields| list_events::read(fields, request.now()))?;
    if let Some(ids) = wanted.ids(EventId::parse) {
        let events = table.events(request.workspace(), &ids).await?;
        let views = name_actors(table, request.workspace(), events.iter().map(views::Event::from)).await?;
        return wanted.named(table, &request, &views).await;
    }
    let page = |limit, start| {
        let (request, filter) = (&request, &wanted.filter);
        async move {
            let page = table.list_events(request.workspace(), filter, limit, start).await?;
            let items = name_actors(table, request.workspace(), page.items.iter().map(views::Event::from)).await?;
            Ok(Page { items, next: page.next, unreadable: page.unreadable })
        }
    };
    wanted.part(table, &request, page).await
}
