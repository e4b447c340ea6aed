//! Events and their actors.

use std::collections::{BTreeMap, BTreeSet};

use aws::{Commit, DeviceFilter, EventFilter, UserFilter};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::models::event::{Event, EventType};
use domain::models::event_shards::{EventShards, shard_of};
use domain::stored::Stored;
use domain::{DeviceId, EventId, UserId};
use serde_json::{Value, json};
use testkit::rows;
use uuid::Uuid;

use super::{Case, TestStore, list_all_pages, new_id, nothing, search_query};

type Matches<'a> = &'a dyn Fn(&Event) -> bool;

#[tokio::test]
async fn events_are_read_by_day_device_user_and_type() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let begin = case.now;
    let (device, user) = (DeviceId(new_id(begin)), UserId(new_id(begin)));
    let mut created: Vec<Event> = Vec::new();
    for day in 0..4 {
        for at in 0..3 {
            let event = match at {
                0 => case.context().event(EventType::DeviceBlocked).with_device(device, user),
                1 => case.context().event(EventType::UserInvited).with_user(user),
                _ => case.context().event(EventType::KeyCreated),
            };
            store.table.commit(Commit::with_event(&event)).await.expect("the row is new");
            created.push(event);
            case.later(Duration::hours(1));
        }
        if day == 1 {
            case.later(Duration::days(3));
        }
        case.later(Duration::hours(21));
    }
    let span = EventFilter {
        device_id: None,
        user_id: None,
        event_type: None,
        since: begin,
        until: case.now,
        oldest_first: false,
    };
    let case = &case;
    for limit in [1, 2, 100] {
        let table: [(EventFilter, Matches<'_>); 6] = [
            (span.clone(), &|_| true),
            (EventFilter { device_id: Some(device), ..span.clone() }, &|event| event.device_id == Some(device)),
            (EventFilter { user_id: Some(user), ..span.clone() }, &|event| event.user_id == Some(user)),
            (EventFilter { event_type: Some(EventType::KeyCreated), ..span.clone() }, &|event| {
                event.event_type == EventType::KeyCreated
            }),
            (EventFilter { user_id: Some(user), event_type: Some(EventType::UserInvited), ..span.clone() }, &|event| {
                event.event_type == EventType::UserInvited
            }),
            (EventFilter { since: created[4].created_at, until: created[7].created_at, ..span.clone() }, &|event| {
                (created[4].created_at..=created[7].created_at).contains(&event.created_at)
            }),
        ];
        for (filter, wanted) in table {
            let filter = &filter;
            let page = |start| async move { case.table.list_events(case.workspace, filter, limit, start).await };
            let found = list_all_pages(page, nothing).await;
            let expected: Vec<Event> = created.iter().rev().filter(|event| wanted(event)).cloned().collect();
            assert_eq!(found, expected, "{filter:?}, pages of {limit}");
        }
    }
}

#[tokio::test]
async fn a_month_without_events_does_not_end_the_list() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let begin = case.now;
    let event = case.context().event(EventType::KeyCreated);
    store.table.commit(Commit::with_event(&event)).await.expect("the row is new");
    case.later(Duration::days(80));
    let span = EventFilter {
        device_id: None,
        user_id: None,
        event_type: None,
        since: begin,
        until: case.now,
        oldest_first: false,
    };
    let (case, span) = (&case, &span);
    let first = case.table.list_events(case.workspace, span, 10, None).await.expect("the call succeeds");
    assert!(first.items.is_empty() && first.next.is_some(), "a page reads a limited number of days");
    let found =
        list_all_pages(|start| async move { case.table.list_events(case.workspace, span, 10, start).await }, nothing)
            .await;
    assert_eq!(found, [event]);
}

#[tokio::test]
async fn events_are_read_by_their_identifiers() {
    let store = &TestStore::start().await;
    let (mut case, other) = (Case::new(store), Case::new(store));
    let mut events = Vec::new();
    for _ in 0..3 {
        let event = case.context().event(EventType::UserCreated);
        case.table.commit(Commit::with_event(&event)).await.expect("the event is recorded");
        events.push(event);
        case.later(Duration::days(1));
    }
    let timeless = EventId(Uuid::from_u128(7));
    let ids = [events[2].event_id, timeless, events[0].event_id, case.id()];
    let found = case.table.events(case.workspace, &ids).await.expect("the call succeeds");
    assert_eq!(found, [events[2].clone(), events[0].clone()]);
    assert_eq!(case.table.events(other.workspace, &ids).await.expect("the call succeeds"), []);
    // Written while the day had 1, 2 and 8 shards.
    set_shards(&case, 8);
    for known in [1, 2, 8] {
        let written: Vec<Event> = (0..9).map(|_| case.context().event(EventType::UserCreated)).collect();
        for event in &written {
            put_in_shard(&case, event, known);
        }
        let ids: Vec<EventId> = written.iter().map(|event| event.event_id).collect();
        assert_eq!(case.table.events(case.workspace, &ids).await.expect("the call succeeds"), written, "{known}");
    }
}

/// Stores the number of shards of the present day's events.
fn set_shards(case: &Case<'_>, shards: u8) {
    let row = EventShards {
        workspace_id: case.workspace,
        day: case.now.day(),
        shards,
        raised_at: case.now.minus(Duration::minutes(1)),
        version: 1,
        stored: Stored::default(),
    };
    rows::put(&case.store.bench, rows::MAIN, &rows::rows_of(&row)[0], &[]);
}

/// Stores an event as a writer does that knows this number of shards.
fn put_in_shard(case: &Case<'_>, event: &Event, shards: u8) {
    let mut row = rows::rows_of(event).remove(0);
    let shard = shard_of(event.event_id, shards);
    if shard > 0 {
        for partition in ["pk", "of_type"] {
            row[partition] = json!(format!("{}#{shard}", row[partition].as_str().expect("a text")));
        }
    }
    rows::put(&case.store.bench, rows::MAIN, &row, &[]);
}

/// Stores this many events of two types, a second apart, over two days of this many shards.
fn put_two_days(case: &mut Case<'_>, shards: u8, count: usize) -> Vec<Event> {
    let mut created = Vec::new();
    for at in 0..count {
        if at == 0 || at == count / 2 {
            case.later(Duration::days(1));
            set_shards(case, shards);
        }
        let event_type = if at % 3 == 0 { EventType::KeyCreated } else { EventType::UserCreated };
        let event = case.context().event(event_type);
        put_in_shard(case, &event, shards);
        created.push(event);
        case.later(Duration::seconds(1));
    }
    created
}

fn any_event(case: &Case<'_>, created: &[Event]) -> EventFilter {
    EventFilter {
        device_id: None,
        user_id: None,
        event_type: None,
        since: created[0].created_at,
        until: case.now,
        oldest_first: false,
    }
}

#[tokio::test]
async fn events_in_shards_are_read_in_order_by_day_and_by_type_in_both_directions() {
    let store = &TestStore::start().await;
    for shards in [1, 2, 8] {
        let mut case = Case::new(store);
        let created = put_two_days(&mut case, shards, 50);
        let case = &case;
        let any = any_event(case, &created);
        let of_type = EventFilter { event_type: Some(EventType::UserCreated), ..any.clone() };
        let oldest_first = EventFilter { oldest_first: true, ..of_type.clone() };
        let some = (created[10].created_at, created[40].created_at);
        let within = EventFilter { since: some.0, until: some.1, ..any.clone() };
        for filter in [&any, &of_type, &oldest_first, &within] {
            let is_wanted = |event: &&Event| {
                filter.event_type.is_none_or(|of| event.event_type == of)
                    && (filter.since..=filter.until).contains(&event.created_at)
            };
            let mut expected: Vec<Event> = created.iter().filter(is_wanted).cloned().collect();
            if !filter.oldest_first {
                expected.reverse();
            }
            for limit in [1, 7, 24, 25, 100] {
                let page = |start| async move { case.table.list_events(case.workspace, filter, limit, start).await };
                let found = list_all_pages(page, nothing).await;
                assert_eq!(found, expected, "{shards} shards, pages of {limit}, {filter:?}");
            }
        }
    }
}

#[tokio::test]
async fn pages_continue_over_shards_and_events_that_were_added_between_them() {
    let store = &TestStore::start().await;
    for event_type in [None, Some(EventType::KeyCreated)] {
        let mut case = Case::new(store);
        let created = put_two_days(&mut case, 1, 40);
        let any = EventFilter { event_type, ..any_event(&case, &created) };
        let filter = &EventFilter { until: case.now.plus(Duration::hours(1)), ..any };
        let (mut found, mut shards, mut start) = (Vec::new(), 1, None);
        loop {
            let page = case.table.list_events(case.workspace, filter, 3, start).await.expect("the call succeeds");
            found.extend(page.items);
            start = page.next;
            if start.is_none() {
                break;
            }
            if shards < 64 {
                shards *= 2;
                set_shards(&case, shards);
            }
            // One writer knows the number of shards, and one still has the number before.
            for known in [shards, shards / 2] {
                case.later(Duration::milliseconds(1));
                put_in_shard(&case, &case.context().event(EventType::KeyCreated), known);
            }
        }
        let is_wanted = |event: &&Event| event_type.is_none_or(|of| event.event_type == of);
        let expected: Vec<Event> = created.iter().rev().filter(is_wanted).cloned().collect();
        assert_eq!(found, expected, "each once");
        let again = |start| async { case.table.list_events(case.workspace, filter, 9, start).await };
        let all = list_all_pages(again, nothing).await;
        assert!(all.len() > found.len() && all.ends_with(&found), "the added events come first");
        assert!(all.iter().rev().is_sorted_by_key(|event| event.event_id));
    }
}

#[tokio::test]
async fn a_writer_follows_the_number_of_shards_after_20_seconds_and_its_events_are_found_before_and_after() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let shards_used = |events: &[Event]| {
        let rows = rows::all(&store.bench, rows::MAIN);
        let of = |event: &Event| rows.keys().find(|key| key.ends_with(&event.event_id.to_string())).cloned();
        events
            .iter()
            .filter_map(of)
            .map(|key| key.split(" | ").next().map(str::to_owned))
            .collect::<BTreeSet<_>>()
            .len()
    };
    let mut created: Vec<Event> = Vec::new();
    for (shards, later, used) in [(1, 0, 1), (4, 19, 1), (4, 1, 4), (8, 21, 8)] {
        set_shards(&case, shards);
        case.later(Duration::seconds(later));
        let events: Vec<Event> = (0..8).map(|_| case.context().event(EventType::KeyCreated)).collect();
        for event in &events {
            store.table.commit(Commit::with_event(event)).await.expect("the row is new");
        }
        assert_eq!(shards_used(&events), used, "{shards} shards, {later} s later");
        created.extend(events);
    }
    let (case, filter) = (&case, &any_event(&case, &created));
    let page = |start| async move { case.table.list_events(case.workspace, filter, 5, start).await };
    let found = list_all_pages(page, nothing).await;
    assert_eq!(found, created.iter().rev().cloned().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_over_shards_reads_little_more_than_it_shows() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let created = put_two_days(&mut case, 8, 400);
    drop(store.recorder.take());
    let filter = any_event(&case, &created);
    let page = case.table.list_events(case.workspace, &filter, 50, None).await.expect("the call succeeds");
    assert_eq!(page.items.len(), 50);
    let queries: Vec<Value> = store.recorder.take().iter().filter_map(|sent| sent.body.parse().ok()).collect();
    let of_events = queries.iter().filter(|query| query.to_string().contains("EVENT#"));
    let read: u64 = of_events.filter_map(|query| query["Limit"].as_u64()).sum();
    assert!((51..=90).contains(&read), "{read} rows for a page of 50");
}

#[tokio::test]
async fn a_position_of_another_list_is_rejected() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    for name in ["ada", "bob"] {
        let _user = case.user(name).await;
        case.later(Duration::seconds(1));
    }
    let users = store
        .table
        .list_users(case.workspace, &UserFilter::default(), 1, None, case.now)
        .await
        .expect("the call succeeds");
    let next = users.next.expect("there is a next page");
    let searched = DeviceFilter { search: Some(search_query("ada")), ..DeviceFilter::default() };
    let refused = [
        store.table.list_devices(case.workspace, &searched, 1, Some(next.clone()), case.now).await.map(drop),
        store
            .table
            .list_devices(
                case.workspace,
                &DeviceFilter { blocked: Some(true), ..DeviceFilter::default() },
                1,
                Some(next),
                case.now,
            )
            .await
            .map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::Refused(DomainError::CursorInvalid))), "{refused:?}");
    }
}

#[tokio::test]
async fn actors_names_are_read_in_their_own_workspace_only() {
    let store = &TestStore::start().await;
    let (case, other) = (Case::new(store), Case::new(store));
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    let actors = [Actor::Device(device.device_id), Actor::Device(DeviceId(case.id().0)), Actor::System];
    let names = case.table.actor_names(case.workspace, &actors).await.expect("the call succeeds");
    let expected = BTreeMap::from([(device.device_id.to_string(), device.display_name().to_owned())]);
    assert_eq!(names, expected);
    assert_eq!(other.table.actor_names(other.workspace, &actors).await.expect("the call succeeds"), BTreeMap::new());
}
