//! The guarantees of rows beside a device's own: its details, and the day of its last login.

use std::collections::BTreeSet;

use aws::store::devices::device_key;
use aws::{Commit, DeviceFilter, Position, Row, Times};
use chrono::Duration;
use domain::models::command::{CommandKind, FailedCommand};
use domain::models::device::Device;
use domain::models::login_day::{login_day, login_day_start};
use domain::{DeviceId, EventId, Time, UserId};
use serde_json::{Value, json};
use testkit::rows::{self, MAIN};
use testkit::wire::Store;

use super::{Case, TestStore, expect_conflict, list_all_pages, new_id, nothing};

const ENDPOINT: &str = "arn:aws:sns:eu-central-1:123456789012:endpoint/APNS/handset/1";

fn named(case: &Case<'_>, user: UserId, identifier: &str) -> Device {
    Device {
        nickname: Some("Blue".to_owned()),
        push_endpoint: Some(ENDPOINT.to_owned()),
        failed: Some(FailedCommand { kind: CommandKind::Lock, at: case.now }),
        ..case.new_device(user, identifier)
    }
}

/// The rows of a device, by their sort keys; absent ones are null.
fn stored(store: &Store, device: &Device) -> [Value; 3] {
    let all = rows::all(&store.bench, MAIN);
    let pk = device.key().pk;
    ["DEVICE", "DETAILS", "SEEN"].map(|sk| all.get(&format!("{pk} | {sk}")).cloned().unwrap_or_default())
}

fn has_details(row: &Value) -> bool {
    ["nickname", "push_endpoint", "failed"].iter().any(|name| row.get(name).is_some())
}

/// Stores a device and its user as the release before did: in one row, with the day of its last login.
fn put_as_before(store: &Store, device: &Device) {
    let (mut row, details) = aws::to_json(device).expect("a row");
    for (name, value) in details.iter().flat_map(|details| details.as_object().expect("a row")) {
        if row.get(name).is_none() {
            row[name] = value.clone();
        }
    }
    if let Some(login) = device.last_login_at {
        row["login_day"] = login.day().into();
    }
    rows::put(&store.bench, MAIN, &row, &[]);
}

async fn read(case: &Case<'_>, device: &Device) -> Device {
    case.table.device(case.workspace, device.device_id).await.expect("DynamoDB answers").expect("the device exists")
}

async fn reindex(case: &Case<'_>) -> usize {
    let mut start: Option<Position> = None;
    let mut written = 0;
    loop {
        let page = case.table.stored_rows(start.as_ref(), 7).await.expect("DynamoDB answers");
        let outcomes = case.table.restore(&page.rows, || EventId(new_id(case.now))).await.expect("no failure");
        written += outcomes.iter().filter(|outcome| **outcome == aws::Restored::Written).count();
        start = page.next;
        if start.is_none() {
            return written;
        }
    }
}

#[tokio::test]
async fn a_device_s_details_are_stored_beside_its_row_and_guarded_by_its_version() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let before = case.rows();
    let device = named(&case, UserId(new_id(case.now)), "phone");
    case.put(&device).await;
    let [main, details, _] = stored(store, &device);
    assert!(!has_details(&main) && has_details(&details), "{main} {details}");
    assert_eq!(read(&case, &device).await, device);
    let listed = case.table.list_devices(case.workspace, &DeviceFilter::default(), 10, None, case.now).await.unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&device));
    // A change of the details alone counts as one of the device.
    let renamed = Device { nickname: Some("Green".to_owned()), failed: None, ..device.clone() };
    case.edit(&device, &renamed).await;
    let now = read(&case, &device).await;
    assert_eq!(now, Device { version: 2, ..renamed });
    let late = Commit::without_event(case.id()).edit(&device, &Device { nickname: None, ..device.clone() });
    expect_conflict(store.table.commit(late).await, "the device has changed since");
    assert_eq!(read(&case, &device).await, now);
    // Attributes of a later release stay.
    let mut later = stored(store, &device)[1].clone();
    later["tomorrow"] = json!({"is": 1});
    rows::put(&store.bench, MAIN, &later, &[]);
    let now = read(&case, &device).await;
    case.edit(&now, &Device { nickname: None, push_endpoint: None, ..now.clone() }).await;
    let [_, details, _] = stored(store, &device);
    assert!(!has_details(&details) && details["tomorrow"] == json!({"is": 1}), "{details}");
    case.remove(&read(&case, &device).await).await;
    assert_eq!(case.rows(), before, "they are deleted with the device");
}

#[tokio::test]
async fn details_in_the_main_row_of_the_release_before_are_read_and_move_with_the_next_change() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let long_ago = case.now.minus(Duration::days(3));
    let device = Device { last_login_at: Some(long_ago), ..named(&case, user.user_id, "phone") };
    put_as_before(store, &device);
    assert_eq!(read(&case, &device).await, device);
    // That release writes a field again after it was moved: its value counts.
    let edited = Device { model_name: "Other".to_owned(), ..device.clone() };
    case.edit(&read(&case, &device).await, &edited).await;
    let [main, details, seen] = stored(store, &device);
    assert!(!has_details(&main) && has_details(&details) && main.get("login_day").is_none(), "{main} {details}");
    let day = login_day(device.device_id, long_ago);
    assert_eq!(seen["login_day"], format!("{day}#{}", device.device_id), "its day moves as well");
    let mut rewritten = main.clone();
    rewritten["nickname"] = "Red".into();
    rewritten["version"] = 3.into();
    rows::put(&store.bench, MAIN, &rewritten, &[]);
    let now = read(&case, &device).await;
    assert_eq!(now, Device { nickname: Some("Red".to_owned()), version: 3, ..edited });
    case.edit(&now, &Device { os_version: "2".to_owned(), ..now.clone() }).await;
    let [main, details, _] = stored(store, &device);
    assert!(!has_details(&main) && details["nickname"] == "Red", "{main} {details}");
    // A version alone moves them, too, and so does `reindex`, once.
    for by_reindex in [false, true] {
        let other =
            Device { last_login_at: Some(long_ago), ..named(&case, user.user_id, &format!("other {by_reindex}")) };
        put_as_before(store, &other);
        let row = read(&case, &other).await;
        if by_reindex {
            assert!(reindex(&case).await > 0);
            assert_eq!(reindex(&case).await, 0, "a second time it has nothing to do");
        } else {
            let bump = Commit::without_event(case.id()).bump_version(&row, &row);
            store.table.commit(bump).await.expect("no conflict");
        }
        let [main, details, seen] = stored(store, &other);
        assert!(!has_details(&main) && has_details(&details), "{main} {details}");
        assert!(main.get("login_day").is_none() && seen.is_object(), "{main} {seen}");
        assert_eq!(read(&case, &other).await, Device { version: 2, ..row });
    }
}

/// The devices with a last login before a time, by pages of three.
async fn listed(case: &Case<'_>, before: Time, between: impl AsyncFn()) -> Vec<DeviceId> {
    let filter = DeviceFilter { last_login: Times::before(before), ..DeviceFilter::default() };
    let page = |start| case.table.list_devices(case.workspace, &filter, 3, start, case.now);
    let devices = list_all_pages(page, async || between().await).await;
    devices.iter().map(|device| device.device_id).collect()
}

#[tokio::test]
async fn devices_are_listed_by_the_day_of_their_last_login_and_within_it_by_identifier() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let mut expected = Vec::new();
    for number in 0..20 {
        let login = case.now.minus(Duration::hours(5 * (number % 7) + 24 * (number % 3)));
        let device = Device { last_login_at: Some(login), ..case.new_device(user.user_id, &format!("phone {number}")) };
        case.put(&device).await;
        expected.push((login_day(device.device_id, login), device.device_id));
    }
    case.put(&case.new_device(user.user_id, "never")).await;
    expected.sort();
    expected.reverse();
    let order: Vec<DeviceId> = expected.iter().map(|(_, id)| *id).collect();
    let end = case.now.plus(Duration::seconds(1));
    assert_eq!(listed(&case, end, nothing).await, order);
    // The time decides, not the day.
    let half = case.now.minus(Duration::hours(30));
    let shown: BTreeSet<DeviceId> = listed(&case, half, nothing).await.into_iter().collect();
    let mut earlier = BTreeSet::new();
    for id in &order {
        let device = case.table.device(case.workspace, *id).await.unwrap().unwrap();
        earlier.extend(device.last_login_at.filter(|login| *login < half).map(|_| *id));
    }
    assert_eq!(shown, earlier);
    assert!(!shown.is_empty() && shown.len() < order.len());
}

#[tokio::test]
async fn nothing_is_missing_from_the_list_by_last_login_while_rows_of_the_release_before_are_moved() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let login = |number: i64| Some(case.now.minus(Duration::hours(9 * number)));
    let mut ids = BTreeSet::new();
    for number in 0..16 {
        let device = Device { last_login_at: login(number), ..case.new_device(user.user_id, &format!("p {number}")) };
        ids.insert(device.device_id);
        if number % 2 == 0 { put_as_before(store, &device) } else { case.put(&device).await }
    }
    let end = case.now.plus(Duration::seconds(1));
    let before = listed(&case, end, nothing).await;
    assert_eq!((before.len(), before.iter().copied().collect()), (16, ids.clone()), "each once");
    let during = listed(&case, end, async || {
        let _written = reindex(&case).await;
    })
    .await;
    assert_eq!(during.into_iter().collect::<BTreeSet<_>>(), ids, "none is missing while they move");
    let after = listed(&case, end, nothing).await;
    assert_eq!((after.len(), after.into_iter().collect()), (16, ids), "each once");
}

#[tokio::test]
async fn the_first_login_of_a_day_moves_the_day_and_leaves_the_version() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    let start = login_day_start(device.device_id, case.now.plus(Duration::days(1)));
    for days in 0..3 {
        let now = start.plus(Duration::days(days));
        let before = read(&case, &device).await;
        assert!(store.table.record_login_time(&before, now, case.id()).await.expect("the call succeeds"));
        let [main, _, seen] = stored(store, &device);
        assert_eq!(main["version"], 1);
        assert_eq!(seen["login_day"], format!("{}#{}", now.day(), device.device_id));
        assert_eq!(main["last_login_at"], now.to_string());
    }
    // A row that changed in the meantime is not written.
    let before = read(&case, &device).await;
    case.edit(&before, &Device { os_version: "2".to_owned(), ..before.clone() }).await;
    let late = start.plus(Duration::days(9));
    assert!(!store.table.record_login_time(&before, late, case.id()).await.expect("the call succeeds"));
    assert_eq!(
        stored(store, &device)[2]["login_day"],
        format!("{}#{}", before.last_login_at.unwrap().day(), device.device_id)
    );
    assert_eq!(device_key(case.workspace, device.device_id), device.key());
}
