//! Events and their actors.

use std::collections::BTreeMap;

use aws::{Commit, DeviceFilter, EventFilter, UserFilter};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::models::event::{Event, EventType};
use domain::{DeviceId, EventId, UserId};
use uuid::Uuid;

use super::{Place, TestStore, new_id, nothing, typed, walk};

type Wanted<'a> = &'a dyn Fn(&Event) -> bool;

#[tokio::test]
async fn events_come_by_day_device_user_and_type() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let begin = place.now;
    let (device, user) = (DeviceId(new_id(begin)), UserId(new_id(begin)));
    let mut made: Vec<Event> = Vec::new();
    for day in 0..4 {
        for at in 0..3 {
            let event = match at {
                0 => place.context().event(EventType::DeviceBlocked).about_device(device, user),
                1 => place.context().event(EventType::UserInvited).about_user(user),
                _ => place.context().event(EventType::KeyCreated),
            };
            store.table.commit(Commit::of(&event)).await.expect("it is new");
            made.push(event);
            place.later(Duration::hours(1));
        }
        if day == 1 {
            place.later(Duration::days(3));
        }
        place.later(Duration::hours(21));
    }
    let span = EventFilter {
        device_id: None,
        user_id: None,
        event_type: None,
        since: begin,
        until: place.now,
        oldest_first: false,
    };
    let place = &place;
    for limit in [1, 2, 100] {
        let table: [(EventFilter, Wanted<'_>); 6] = [
            (span.clone(), &|_| true),
            (EventFilter { device_id: Some(device), ..span.clone() }, &|event| event.device_id == Some(device)),
            (EventFilter { user_id: Some(user), ..span.clone() }, &|event| event.user_id == Some(user)),
            (EventFilter { event_type: Some(EventType::KeyCreated), ..span.clone() }, &|event| {
                event.event_type == EventType::KeyCreated
            }),
            (EventFilter { user_id: Some(user), event_type: Some(EventType::UserInvited), ..span.clone() }, &|event| {
                event.event_type == EventType::UserInvited
            }),
            (EventFilter { since: made[4].created_at, until: made[7].created_at, ..span.clone() }, &|event| {
                (made[4].created_at..=made[7].created_at).contains(&event.created_at)
            }),
        ];
        for (filter, wanted) in table {
            let filter = &filter;
            let page = |start| async move { place.table.list_events(place.workspace, filter, limit, start).await };
            let found = walk(page, nothing).await;
            let expected: Vec<Event> = made.iter().rev().filter(|event| wanted(event)).cloned().collect();
            assert_eq!(found, expected, "{filter:?}, pages of {limit}");
        }
    }
}

#[tokio::test]
async fn a_quiet_month_does_not_end_the_list() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let begin = place.now;
    let event = place.context().event(EventType::KeyCreated);
    store.table.commit(Commit::of(&event)).await.expect("it is new");
    place.later(Duration::days(80));
    let span = EventFilter {
        device_id: None,
        user_id: None,
        event_type: None,
        since: begin,
        until: place.now,
        oldest_first: false,
    };
    let (place, span) = (&place, &span);
    let first = place.table.list_events(place.workspace, span, 10, None).await.expect("it answers");
    assert!(first.items.is_empty() && first.next.is_some(), "a page looks at so many days only");
    let found =
        walk(|start| async move { place.table.list_events(place.workspace, span, 10, start).await }, nothing).await;
    assert_eq!(found, [event]);
}

#[tokio::test]
async fn events_come_by_their_identifiers() {
    let store = &TestStore::start().await;
    let (mut place, other) = (Place::new(store), Place::new(store));
    let mut events = Vec::new();
    for _ in 0..3 {
        let event = place.context().event(EventType::UserCreated);
        place.table.commit(Commit::of(&event)).await.expect("an event is recorded");
        events.push(event);
        place.later(Duration::days(1));
    }
    let timeless = EventId(Uuid::from_u128(7));
    let ids = [events[2].event_id, timeless, events[0].event_id, place.id()];
    let found = place.table.events(place.workspace, &ids).await.expect("it answers");
    assert_eq!(found, [events[2].clone(), events[0].clone()]);
    assert_eq!(place.table.events(other.workspace, &ids).await.expect("it answers"), []);
}

#[tokio::test]
async fn a_position_of_another_list_is_refused() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    for name in ["ada", "bob"] {
        let _user = place.user(name).await;
        place.later(Duration::seconds(1));
    }
    let users =
        store.table.list_users(place.workspace, &UserFilter::default(), 1, None, place.now).await.expect("it answers");
    let next = users.next.expect("there are more");
    let searched = DeviceFilter { search: Some(typed("ada")), ..DeviceFilter::default() };
    let refused = [
        store.table.list_devices(place.workspace, &searched, 1, Some(next.clone()), place.now).await.map(drop),
        store
            .table
            .list_devices(
                place.workspace,
                &DeviceFilter { blocked: Some(true), ..DeviceFilter::default() },
                1,
                Some(next),
                place.now,
            )
            .await
            .map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::Refused(DomainError::CursorInvalid))), "{refused:?}");
    }
}

#[tokio::test]
async fn who_acts_has_a_name_in_their_own_workspace_alone() {
    let store = &TestStore::start().await;
    let (place, other) = (Place::new(store), Place::new(store));
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    let actors = [Actor::Device(device.device_id), Actor::Device(DeviceId(place.id().0)), Actor::System];
    let names = place.table.actor_names(place.workspace, &actors).await.expect("it answers");
    let expected = BTreeMap::from([(device.device_id.to_string(), device.display_name().to_owned())]);
    assert_eq!(names, expected);
    assert_eq!(other.table.actor_names(other.workspace, &actors).await.expect("it answers"), BTreeMap::new());
}
