//! Events and their actors.

use std::collections::BTreeMap;

use aws::{Commit, DeviceFilter, EventFilter, UserFilter};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::models::event::{Event, EventType};
use domain::{DeviceId, EventId, UserId};
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
