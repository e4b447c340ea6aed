//! `/events/list` and `/events/get`: the events that have a type in Seam's API.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::AppState;

use aws::EventFilter;
use aws::Table;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::DeviceAttachments;
use domain::models::event::{Event, EventType};
use domain::models::webhook::{PHONE_DEACTIVATED, is_deactivation};
use domain::text::{Form, TextRule};
use domain::{DeviceId, EventId, Time};
use lambda::{AuthorizedRequest, Reply};
use serde_json::{Value, json};

use super::{Listing, Verbs, any_case, finish, required_id, route, views};

/// Default and maximum number of events in a list.
const LIMIT: (i64, i64) = (500, 10_000);
/// Maximum number of devices in `device_ids`.
const DEVICES_MOST: usize = 100;
/// Events per read.
const PAGE: usize = 100;
/// An event type or a device identifier in a list.
const WORD: TextRule = TextRule::new(Form::Ascii, 1, 100);

/// Returns a list of events, oldest first, or one event.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; every invalid field of the parameters; `NotFound`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    match route(&request, "events") {
        "list" => list(table, &request).await,
        "get" => get(table, &request).await,
        _ => Err(DomainError::RouteNotFound.into()),
    }
}

struct EventQuery {
    since: Time,
    until: Time,
    devices: Option<BTreeSet<DeviceId>>,
    deactivations: bool,
    limit: usize,
}

impl EventQuery {
    fn read(mut fields: Fields, now: Time) -> Result<Self, DomainError> {
        let (since, until) = read_span(&mut fields, now);
        let mut devices: Vec<String> = fields.texts_or_empty("device_ids", WORD);
        if devices.len() > DEVICES_MOST {
            fields.add_error("device_ids", "too_many", format!("must be at most {DEVICES_MOST}"));
        }
        devices.extend(fields.text("device_id", WORD));
        let mut types: Vec<String> = fields.texts_or_empty("event_types", WORD);
        types.extend(fields.text("event_type", WORD));
        let limit = fields.integer("limit", 1, LIMIT.1).unwrap_or(LIMIT.0);
        fields.finish().map_err(DomainError::Invalid)?;
        // Identifiers in a foreign format match no events.
        let named = !devices.is_empty();
        let devices: BTreeSet<DeviceId> = devices.iter().filter_map(|id| any_case(DeviceId::parse)(id)).collect();
        Ok(Self {
            since,
            until,
            devices: named.then_some(devices),
            deactivations: types.is_empty() || types.iter().any(|name| name == PHONE_DEACTIVATED),
            limit: usize::try_from(limit).unwrap_or(1),
        })
    }
}

/// Reads exactly one of `since` and `between`, which has two times.
fn read_span(fields: &mut Fields, now: Time) -> (Time, Time) {
    let between = fields.value("between");
    let since = fields.value("since").is_some();
    match (since, between) {
        (true, None) => {
            let since = fields.value("since").as_ref().and_then(parse_time);
            if since.is_none() {
                fields.add_error("since", "invalid_format", "must be a date and time such as 2026-01-31T08:00:00Z");
            }
            {
                let since = since.unwrap_or(now);
                // The clock of the caller may be ahead of ours.
                (since, now.max(since))
            }
        }
        (false, Some(Value::Array(moments))) if moments.len() == 2 => {
            let (first, last) = (parse_time(&moments[0]), parse_time(&moments[1]));
            match (first, last) {
                (Some(first), Some(last)) if first <= last => return (first, last.min(now).max(first)),
                (Some(_), Some(_)) => fields.add_error("between", "out_of_range", "must be in their order"),
                _ => fields.add_error(
                    "between",
                    "invalid_format",
                    "must be two dates and times such as 2026-01-31T08:00:00Z",
                ),
            }
            (now, now)
        }
        (false, Some(_)) => {
            fields.add_error("between", "wrong_type", "must be two dates and times");
            (now, now)
        }
        (true, Some(_)) | (false, None) => {
            fields.add_error("", "missing", "Must specify either since or between");
            (now, now)
        }
    }
}

/// A time, or a date for its first moment (UTC).
fn parse_time(value: &Value) -> Option<Time> {
    let text = value.as_str()?;
    Time::parse(text).or_else(|| Time::parse(&format!("{text}T00:00:00Z")))
}

async fn list(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let wanted = EventQuery::read(Verbs::GetPost.parameters(request)?, request.now())?;
    let mut found = Vec::new();
    if wanted.deactivations {
        let of = |device_id| filter(device_id, wanted.since, wanted.until);
        match &wanted.devices {
            None => found = deactivations(table, request, &of(None), wanted.limit).await?,
            Some(devices) => {
                for device in devices {
                    found.extend(deactivations(table, request, &of(Some(*device)), wanted.limit).await?);
                }
                found.sort_by_key(|event| event.event_id);
                found.truncate(wanted.limit);
            }
        }
    }
    let mut listing = Listing::default();
    let attachments = attachments(table, request, &found).await?;
    for event in &found {
        listing.push(shown(event, &attachments))?;
    }
    Ok(lambda::seam::ok(json!({"events": listing.items})))
}

/// The attachments of the phones that the events are about.
async fn attachments(
    table: &Table,
    request: &AuthorizedRequest,
    events: &[Event],
) -> Result<BTreeMap<DeviceId, DeviceAttachments>, Error> {
    let ids = events.iter().filter_map(|event| event.device_id).collect();
    table.attachments_to_show(request.workspace(), &ids).await
}

fn shown(event: &Event, attachments: &BTreeMap<DeviceId, DeviceAttachments>) -> Value {
    views::phone_deactivated(event, event.device_id.and_then(|id| attachments.get(&id)))
}

fn filter(device_id: Option<DeviceId>, since: Time, until: Time) -> EventFilter {
    let event_type = Some(EventType::DeviceDeleted);
    EventFilter { device_id, user_id: None, event_type, since, until, oldest_first: true }
}

/// Deactivations of phones, oldest first.
async fn deactivations(
    table: &Table,
    request: &AuthorizedRequest,
    filter: &EventFilter,
    limit: usize,
) -> Result<Vec<Event>, Error> {
    let mut found = Vec::new();
    let mut start = None;
    loop {
        let page = table.list_events(request.workspace(), filter, PAGE, start).await?;
        found.extend(page.items.into_iter().filter(is_deactivation));
        start = page.next;
        if found.len() >= limit || start.is_none() {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

/// Reads an event by `event_id`, or the oldest one by `device_id` and `event_type`.
async fn get(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = Verbs::GetPost.parameters(request)?;
    let found = if fields.value("event_id").is_some() || fields.value("device_id").is_none() {
        let id = required_id(&mut fields, "event_id", EventId::parse);
        table.events(request.workspace(), &[finish(fields, id)?]).await?.pop().filter(is_deactivation)
    } else {
        let id = required_id(&mut fields, "device_id", DeviceId::parse);
        let event_type = fields.required_text("event_type", WORD);
        let (id, event_type) = finish(fields, id.zip(event_type))?;
        let oldest = id.0.get_timestamp().and_then(|_| EventId(id.0).time()).unwrap_or(request.now());
        let filter = filter(Some(id), oldest.min(request.now()), request.now());
        let wanted = event_type == PHONE_DEACTIVATED;
        if wanted { deactivations(table, request, &filter, 1).await?.pop() } else { None }
    };
    let event = found.ok_or(DomainError::NotFound("event"))?;
    let attachments = attachments(table, request, std::slice::from_ref(&event)).await?;
    Ok(lambda::seam::ok(json!({"event": shown(&event, &attachments)})))
}
