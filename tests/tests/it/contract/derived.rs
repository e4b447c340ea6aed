//! The guarantees of derived rows: by what lists find, order and count things.

use std::collections::{BTreeMap, BTreeSet};

use aws::Row as _;
use aws::store::counts::{EventRow, counts_partition};
use aws::store::derived::{Thing, facet_partition, order_partition};
use aws::store::events::event_key;
use domain::models::actor::Actor;
use domain::models::device::Device;
use domain::models::event::{Event, EventType};
use domain::models::restriction::{Deleted, Restriction};
use domain::models::user::User;
use domain::rules::derived::ThingKind;
use domain::states::Platform;
use domain::{EventId, UserId, WorkspaceId};
use serde_json::json;
use testkit::rows::{self, MAIN};

use super::{Case, TestStore, new_id};

async fn derive(case: &Case<'_>, thing: Thing) -> bool {
    case.table.derive(case.workspace, thing, || EventId(new_id(case.now))).await.expect("DynamoDB answers")
}

/// The identifiers in the partitions of a facet's value.
fn with(case: &Case<'_>, kind: ThingKind, facet: &str, value: &str) -> BTreeSet<String> {
    let partitions: Vec<String> =
        (0..4).map(|shard| format!("{} | ", facet_partition(case.workspace, kind, facet, value, shard))).collect();
    let keys = rows::all(&case.store.bench, MAIN).into_keys();
    let found = keys.filter(|key| partitions.iter().any(|partition| key.starts_with(partition)));
    found.filter_map(|key| Some(key.rsplit_once('#')?.1.to_owned())).collect()
}

/// The counts of the workspace that are not zero.
fn counts(case: &Case<'_>) -> BTreeMap<String, i64> {
    let counts = rows::counts(&rows::all(&case.store.bench, MAIN)).into_iter();
    counts.filter(|((of, _), _)| *of == case.workspace).map(|((_, counted), n)| (counted, n)).collect()
}

/// Stores phones, none of which is derived from.
async fn phones(case: &Case<'_>, count: usize) -> BTreeSet<(WorkspaceId, Thing)> {
    let mut phones = BTreeSet::new();
    for number in 0..count {
        let device = case.new_device(UserId(new_id(case.now)), &format!("phone {number}"));
        case.put(&device).await;
        phones.insert((case.workspace, Thing::Device(device.device_id)));
    }
    phones
}

fn derived_rows(case: &Case<'_>) -> usize {
    let kinds = ["FACET#", "ORDER#"].map(|kind| format!("{kind}{}", case.workspace));
    let keys = rows::all(&case.store.bench, MAIN).into_keys();
    keys.filter(|key| key.ends_with(" | DERIVED") || kinds.iter().any(|kind| key.starts_with(kind))).count()
}

#[tokio::test]
async fn what_is_derived_follows_the_thing_and_is_written_once() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let device = case.new_device(user.user_id, "phone");
    case.put(&device).await;
    let thing = Thing::Device(device.device_id);
    assert!(derive(&case, thing).await, "it is new");
    assert!(!derive(&case, thing).await, "a second time, there is nothing to write");
    let id = BTreeSet::from([device.device_id.to_string()]);
    assert_eq!(with(&case, ThingKind::Device, "platform", "ios"), id);
    assert_eq!(with(&case, ThingKind::Device, "status_of_os_version", "1 never_seen"), id);
    let blocked = Restriction { at: case.now, by: Actor::System, reason: None };
    let changed = Device { platform: Platform::Android, blocked: Some(blocked), ..device.clone() };
    case.edit(&device, &changed).await;
    assert!(derive(&case, thing).await);
    assert!(with(&case, ThingKind::Device, "platform", "ios").is_empty());
    assert_eq!(with(&case, ThingKind::Device, "platform", "android"), id);
    assert_eq!(with(&case, ThingKind::Device, "blocked", "true"), id);
    let counted = counts(&case);
    assert_eq!(
        (counted.get("DEVICE#platform#kept#android"), counted.get("DEVICE#platform#kept#ios")),
        (Some(&1), None)
    );
    // Its user's name is part of it.
    let orders = |name: &str| {
        let shards = (0..4).map(|shard| order_partition(case.workspace, ThingKind::Device, "user_name", shard));
        let keys = shards.map(|partition| format!("{partition} | {name}\t{}", device.device_id));
        let all = rows::all(&store.bench, MAIN);
        keys.filter(|key| all.contains_key(key)).count()
    };
    assert_eq!((orders("ada"), orders("eve")), (1, 0));
    case.edit(&user, &User { first_name: Some("Eve".to_owned()), ..user.clone() }).await;
    assert!(derive(&case, thing).await);
    assert_eq!((orders("ada"), orders("eve")), (0, 1));
    case.remove(&Device { version: 2, ..changed }).await;
    assert!(derive(&case, thing).await);
    assert_eq!((derived_rows(&case), counts(&case)), (0, BTreeMap::new()), "nothing is left of what is gone");
    assert!(!derive(&case, thing).await);
}

#[tokio::test]
async fn a_shadow_of_another_release_is_replaced_with_all_that_was_derived_by_it() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let device = case.new_device(UserId(new_id(case.now)), "phone");
    case.put(&device).await;
    let thing = Thing::Device(device.device_id);
    let _written = derive(&case, thing).await;
    let before = (derived_rows(&case), counts(&case));
    // A release that also derived a colour.
    let all = rows::all(&store.bench, MAIN);
    let mut shadow = all[&format!("{} | DERIVED", device.key().pk)].clone();
    shadow["facets"]["color"] = "blue".into();
    rows::put(&store.bench, MAIN, &shadow, &[]);
    let shard = device.device_id.0.as_bytes()[15] % 4;
    let pk = facet_partition(case.workspace, ThingKind::Device, "color", "blue", shard);
    let sk = format!("{}#{}", device.created_at, device.device_id);
    rows::put(&store.bench, MAIN, &json!({"pk": pk, "sk": sk}), &[]);
    let count = counts_partition(case.workspace, device.device_id.0.as_bytes()[15] % 16);
    rows::put(&store.bench, MAIN, &json!({"pk": count, "sk": "DEVICE#color#kept#blue", "n": 1}), &[]);
    assert!(derive(&case, thing).await);
    assert_eq!((derived_rows(&case), counts(&case)), before);
}

#[tokio::test]
async fn things_that_are_derived_at_once_are_all_counted() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let things = phones(&case, 24).await;
    // Each twice, as by a batch that is delivered again while the first is at work.
    let _written =
        futures::future::join_all(things.iter().chain(&things).map(|(_, thing)| derive(&case, *thing))).await;
    assert_eq!(counts(&case)["DEVICE#platform#kept#ios"], 24);
    assert_eq!(with(&case, ThingKind::Device, "platform", "ios").len(), 24);
}

#[tokio::test]
async fn of_two_batches_at_once_each_derives_all_of_its_things() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let things = phones(&case, 4).await;
    let batch = || case.table.derive_all(things.clone(), || EventId(new_id(case.now)));
    let (one, other) = futures::future::join(batch(), batch()).await;
    let written = [one, other].map(|outcomes| {
        outcomes.into_iter().filter(|(_, outcome)| *outcome.as_ref().expect("each is derived in the end")).count()
    });
    assert_eq!((written.iter().sum::<usize>(), counts(&case)["DEVICE#platform#kept#ios"]), (4, 4), "each once");
}

#[tokio::test]
async fn deleted_things_are_counted_apart() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let device = case.new_device(UserId(new_id(case.now)), "phone");
    case.put(&device).await;
    let thing = Thing::Device(device.device_id);
    let _written = derive(&case, thing).await;
    let end = Deleted { at: case.now, by: Actor::System, purge_after: case.now };
    case.edit(&device, &Device { deleted: Some(end), ..device.clone() }).await;
    let _written = derive(&case, thing).await;
    let platforms: BTreeMap<String, i64> =
        counts(&case).into_iter().filter(|(key, _)| key.starts_with("DEVICE#platform#")).collect();
    assert_eq!(platforms, BTreeMap::from([("DEVICE#platform#deleted#ios".to_owned(), 1)]));
}

#[tokio::test]
async fn users_are_found_once_by_the_end_of_either_number_that_they_still_have() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let numbers = |mobile: &str, number: &str| (Some(mobile.to_owned()), Some(number.to_owned()));
    let mut users = BTreeMap::new();
    for (name, (mobile, number)) in [
        ("ada", numbers("+49123", "+44123")),
        ("bea", numbers("+49555", "+44123")),
        ("eve", numbers("+49123", "+44777")),
    ] {
        let user = case.user(name).await;
        let with_numbers = User { mobile, number, ..user.clone() };
        case.edit(&user, &with_numbers).await;
        let _written = derive(&case, Thing::User(user.user_id)).await;
        users.insert(name, User { version: 2, ..with_numbers });
    }
    let found = async |end: &str, limit| {
        let found = case.table.users_by_number_end(case.workspace, end, limit).await.expect("DynamoDB answers");
        let mut names: Vec<String> = found.into_iter().map(|user| user.username).collect();
        names.sort();
        names
    };
    assert_eq!(found("321", 10).await, ["ada", "bea", "eve"]);
    assert_eq!((found("321", 2).await.len(), found("777", 10).await), (2, vec!["eve".to_owned()]));
    // What is derived lags behind.
    case.edit(&users["eve"], &User { number: None, ..users["eve"].clone() }).await;
    assert!(found("777", 10).await.is_empty());
}

#[tokio::test]
async fn a_batch_of_things_is_written_in_few_transactions_and_one_that_is_unreadable_holds_up_no_other() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let things = phones(&case, 24).await;
    let unreadable = case.new_device(UserId(new_id(case.now)), "unreadable");
    rows::put(&store.bench, MAIN, &json!({"pk": unreadable.key().pk, "sk": "DEVICE"}), &[]);
    let derive_all = async |things| case.table.derive_all(things, || EventId(new_id(case.now))).await;
    let with_it = things.iter().copied().chain([(case.workspace, Thing::Device(unreadable.device_id))]).collect();
    let outcomes = derive_all(with_it).await;
    let written = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Ok(true))).count();
    assert_eq!((outcomes.len(), written), (25, 24));
    assert_eq!(counts(&case)["DEVICE#platform#kept#ios"], 24);
    let counted = (0..16).filter(|shard| {
        let key = format!("{} | DEVICE#platform#kept#ios", counts_partition(case.workspace, *shard));
        rows::all(&store.bench, MAIN).contains_key(&key)
    });
    assert!((1..=5).contains(&counted.count()), "each transaction counts in one shard");
    assert!(derive_all(things).await.iter().all(|(_, outcome)| matches!(outcome, Ok(false))));
}

#[tokio::test]
async fn an_event_is_counted_once_however_often_and_with_whichever_others_it_is_delivered() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let events: Vec<Event> = (0..5).map(|_| case.context().event(EventType::UserCreated)).collect();
    for event in &events {
        case.put(event).await;
    }
    let row = |event: &Event| EventRow {
        key: event_key(case.workspace, event.event_id, event.created_at, 0),
        workspace_id: case.workspace,
        event_id: event.event_id,
        day: event.created_at.day(),
    };
    let rows: Vec<EventRow> = events.iter().map(row).collect();
    let day = format!("EVENTS#{}", case.now.day());
    let unknown = EventRow { key: aws::RowKey::new("EVENT#none", "none"), ..rows[0].clone() };
    for batch in [&rows[1..2], &rows[..3], &rows[..], &rows[4..], &[unknown]] {
        case.table.count_events(batch, || EventId(new_id(case.now))).await.expect("DynamoDB answers");
    }
    assert_eq!(counts(&case), BTreeMap::from([(day, 5)]));
    assert_eq!(case.table.events(case.workspace, &[events[0].event_id]).await.expect("DynamoDB answers").len(), 1);
}
