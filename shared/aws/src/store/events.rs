//! Events: the audit record, the outbox and the public feed.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::Duration;
use domain::error::Error;
use domain::ids::timed_uuid;
use domain::models::event::{Event, EventType};
use domain::models::event_shards::possible_shards;
use domain::stored::Stored;
use domain::{DeviceId, EventId, Time, UserId, WorkspaceId};

use crate::item::{Read, Row, RowKey, stored};
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

/// The partition of the events of a day in a shard. Shard 0 has the keys of releases without shards.
#[must_use]
pub fn events_of_day(workspace: WorkspaceId, day: &str, shard: u8) -> String {
    in_shard(format!("EVENT#{workspace}#{day}"), shard)
}

/// The key of an event in a shard.
#[must_use]
pub fn event_key(workspace: WorkspaceId, id: EventId, at: Time, shard: u8) -> RowKey {
    RowKey::new(events_of_day(workspace, &at.day(), shard), id.to_string())
}

fn in_shard(partition: String, shard: u8) -> String {
    if shard == 0 { partition } else { format!("{partition}#{shard}") }
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

/// The partition of a type's events in a shard, in the index `type-events`.
#[must_use]
pub fn events_of_type(workspace: WorkspaceId, event_type: EventType, shard: u8) -> String {
    in_shard(format!("{workspace}#{event_type}"), shard)
}

/// The attributes of an event's row that name its shard.
pub(crate) fn keys_in_shard(event: &Event, shard: u8) -> [(String, AttributeValue); 2] {
    let Event { workspace_id, event_type, created_at, .. } = event;
    let partitions = [
        ("pk", events_of_day(*workspace_id, &created_at.day(), shard)),
        ("of_type", events_of_type(*workspace_id, *event_type, shard)),
    ];
    partitions.map(|(name, partition)| (name.to_owned(), AttributeValue::S(partition)))
}

/// The shard of an event's row as it was read; 0 for a new event.
fn stored_shard(event: &Event) -> u8 {
    let key = stored(event).and_then(RowKey::of);
    key.and_then(|key| key.pk.split('#').nth(3)?.parse().ok()).unwrap_or(0)
}

impl Row for Event {
    const VERSIONED: bool = false;

    fn key(&self) -> RowKey {
        event_key(self.workspace_id, self.event_id, self.created_at, stored_shard(self))
    }
    fn version(&self) -> u64 {
        1
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let device = self.device_id.map(|id| ("of_device", events_of_device(self.workspace_id, id)));
        let user = self.user_id.map(|id| ("of_user", events_of_user(self.workspace_id, id)));
        let event_type = ("of_type", events_of_type(self.workspace_id, self.event_type, stored_shard(self)));
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

    /// The one partition of an index that has the events of a device or a user.
    fn source(&self, workspace: WorkspaceId) -> Option<Source> {
        let (index, partition) = if let Some(id) = self.device_id {
            ("device-events", ("of_device", events_of_device(workspace, id)))
        } else {
            ("user-events", ("of_user", events_of_user(workspace, self.user_id?)))
        };
        Some(self.source_of(Some(index), partition))
    }

    fn source_of(&self, index: Option<&'static str>, partition: (&'static str, String)) -> Source {
        Source { index, partition, order: "sk", range: self.range(), descending: !self.oldest_first }
    }
}

/// The most days that one page examines.
const DAYS_LOOKED_AT: i64 = 31;

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
        if let Some(source) = filter.source(workspace) {
            return self.page(&source, limit, start, RowKey::of, |_, event| filter.matches(event)).await;
        }
        match filter.event_type {
            Some(event_type) => self.events_by_type(workspace, event_type, filter, limit, start).await,
            None => self.events_by_day(workspace, filter, limit, start).await,
        }
    }

    /// Events in the order of these identifiers; missing ones are left out.
    pub async fn events(&self, workspace: WorkspaceId, ids: &[EventId]) -> Result<Vec<Event>, Error> {
        // An identifier without a time belongs to no event.
        let timed: Vec<(EventId, Time)> = ids.iter().filter_map(|id| Some((*id, id.time()?))).collect();
        let shards = self.event_shards_of(workspace, timed.iter().map(|(_, at)| at.day())).await?;
        let keys = |(id, at): &(EventId, Time)| {
            let (id, at) = (*id, *at);
            let shards = possible_shards(id, shards.of(&at.day())).into_iter();
            shards.map(move |shard| event_key(workspace, id, at, shard)).collect::<Vec<_>>()
        };
        self.readable_rows_with(timed.iter().flat_map(keys).collect()).await
    }
}

impl Table {
    async fn events_by_type(
        &self,
        workspace: WorkspaceId,
        event_type: EventType,
        filter: &EventFilter,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Event>, Error> {
        let shards = self.event_shards_between(workspace, &filter.since.day(), &filter.until.day()).await?.most();
        let source =
            |shard| filter.source_of(Some("type-events"), ("of_type", events_of_type(workspace, event_type, shard)));
        let sources: Vec<Source> = (0..shards).map(source).collect();
        self.merged_page(&sources, limit, start, RowKey::of, |_, event| filter.matches(event)).await
    }

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
        let oldest = day.minus(Duration::days(DAYS_LOOKED_AT)).max(filter.since).min(day);
        let shards = self.event_shards_between(workspace, &oldest.day(), &day.day()).await?;
        for _ in 0..DAYS_LOOKED_AT {
            let source = |shard| Source {
                descending: true,
                ..filter.source_of(None, ("pk", events_of_day(workspace, &day.day(), shard)))
            };
            let sources: Vec<Source> = (0..shards.of(&day.day())).map(source).collect();
            let page =
                self.merged_page(&sources, limit - items.len(), within.take(), RowKey::of, |_, _: &Event| true).await?;
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
