//! Events: the audit record, the outbox and the public feed.

use chrono::Duration;
use domain::error::Error;
use domain::ids::timed_uuid;
use domain::models::event::{Event, EventType};
use domain::stored::Stored;
use domain::{DeviceId, EventId, Time, UserId, WorkspaceId};

use crate::item::{Read, Row, RowKey};
use crate::list::{Page, Position, Range, Source};
use crate::table::Table;

impl Read for Event {
    fn stored(&self) -> Option<&Stored> {
        Some(&self.stored)
    }
    fn set_stored(&mut self, stored: Stored) {
        self.stored = stored;
    }
}

/// The partition of the events of a day.
#[must_use]
pub fn events_of_day(workspace: WorkspaceId, day: &str) -> String {
    format!("EVENT#{workspace}#{day}")
}

/// The key of an event.
#[must_use]
pub fn event_key(workspace: WorkspaceId, id: EventId, at: Time) -> RowKey {
    RowKey::new(events_of_day(workspace, &at.day()), id.to_string())
}

/// The partition of a device's events in the index `device-events`.
#[must_use]
pub fn events_of_device(workspace: WorkspaceId, id: DeviceId) -> String {
    format!("{workspace}#{id}")
}

/// The partition of a user's events in the index `user-events`.
#[must_use]
pub fn events_of_user(workspace: WorkspaceId, id: UserId) -> String {
    format!("{workspace}#{id}")
}

/// The partition of a type's events in the index `type-events`.
#[must_use]
pub fn events_of_type(workspace: WorkspaceId, event_type: EventType) -> String {
    format!("{workspace}#{event_type}")
}

impl Row for Event {
    const VERSIONED: bool = false;

    fn key(&self) -> RowKey {
        event_key(self.workspace_id, self.event_id, self.created_at)
    }
    fn version(&self) -> u64 {
        1
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let device = self.device_id.map(|id| ("of_device", events_of_device(self.workspace_id, id)));
        let user = self.user_id.map(|id| ("of_user", events_of_user(self.workspace_id, id)));
        let event_type = ("of_type", events_of_type(self.workspace_id, self.event_type));
        [device, user, Some(event_type)].into_iter().flatten().collect()
    }
}

/// Filter of a list of events, within a time range.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// About this device.
    pub device_id: Option<DeviceId>,
    /// About this user.
    pub user_id: Option<UserId>,
    /// Of this type.
    pub event_type: Option<EventType>,
    /// From this time on.
    pub since: Time,
    /// Up to this time.
    pub until: Time,
    /// True for oldest first; only for events of a device, a user or a type.
    pub oldest_first: bool,
}

impl EventFilter {
    fn matches(&self, event: &Event) -> bool {
        self.device_id.is_none_or(|id| event.device_id == Some(id))
            && self.user_id.is_none_or(|id| event.user_id == Some(id))
            && self.event_type.is_none_or(|kind| event.event_type == kind)
    }

    /// The range of identifiers for the time range: identifiers begin with their time.
    fn range(&self) -> Range {
        Range::Between(timed_uuid(self.since, [0; 10]).to_string(), timed_uuid(self.until, [0xff; 10]).to_string())
    }

    fn source(&self, workspace: WorkspaceId) -> Option<Source> {
        let (index, partition) = if let Some(id) = self.device_id {
            ("device-events", ("of_device", events_of_device(workspace, id)))
        } else if let Some(id) = self.user_id {
            ("user-events", ("of_user", events_of_user(workspace, id)))
        } else if let Some(kind) = self.event_type {
            ("type-events", ("of_type", events_of_type(workspace, kind)))
        } else {
            return None;
        };
        Some(Source { index: Some(index), partition, order: "sk", range: self.range(), descending: !self.oldest_first })
    }
}

/// The most days that one page examines.
const DAYS_LOOKED_AT: usize = 31;

/// The event in a record of the table's stream, given in DynamoDB JSON.
///
/// # Errors
/// `Internal` if the record has no event that this release can read. The error has none of its content.
pub fn event_of_image(image: serde_json::Value) -> Result<Event, Error> {
    let unreadable = || Error::internal("reading a record", "the event cannot be read");
    let item: serde_dynamo::Item = serde_json::from_value(image).map_err(|_| unreadable())?;
    serde_dynamo::from_item(item).map_err(|_| unreadable())
}

impl Table {
    /// A page of events, newest first.
    pub async fn list_events(
        &self,
        workspace: WorkspaceId,
        filter: &EventFilter,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Event>, Error> {
        match filter.source(workspace) {
            Some(source) => self.page(&source, limit, start, RowKey::of, |_, event| filter.matches(event)).await,
            None => self.events_by_day(workspace, filter, limit, start).await,
        }
    }

    /// Events in the order of these identifiers; missing ones are left out.
    pub async fn events(&self, workspace: WorkspaceId, ids: &[EventId]) -> Result<Vec<Event>, Error> {
        // An identifier without a time belongs to no event.
        let key = |id: &EventId| Some(event_key(workspace, *id, id.time()?));
        self.readable_rows_with(ids.iter().filter_map(key).collect()).await
    }
}

impl Table {
    async fn events_by_day(
        &self,
        workspace: WorkspaceId,
        filter: &EventFilter,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Event>, Error> {
        let (mut items, mut unreadable) = (Vec::new(), 0);
        let mut day =
            start.as_ref().and_then(|start| start.0.get("day")).and_then(|day| noon(day)).unwrap_or(filter.until);
        let mut within = start.filter(|start| start.0.contains_key("pk"));
        for _ in 0..DAYS_LOOKED_AT {
            let source = Source {
                index: None,
                partition: ("pk", events_of_day(workspace, &day.day())),
                order: "sk",
                range: filter.range(),
                descending: true,
            };
            let start = within.take().map(|mut start| {
                start.0.remove("day");
                start
            });
            let page = self.page(&source, limit - items.len(), start, RowKey::of, |_, _: &Event| true).await?;
            items.extend(page.items);
            unreadable += page.unreadable;
            if let Some(mut next) = page.next {
                next.0.insert("day".to_owned(), day.day());
                return Ok(Page { items, next: Some(next), unreadable });
            }
            if day.day() <= filter.since.day() {
                return Ok(Page { items, next: None, unreadable });
            }
            day = day.minus(Duration::days(1));
            if items.len() == limit {
                break;
            }
        }
        let next = Position([("day".to_owned(), day.day())].into());
        Ok(Page { items, next: Some(next), unreadable })
    }
}

fn noon(day: &str) -> Option<Time> {
    Time::parse(&format!("{day}T12:00:00Z"))
}
