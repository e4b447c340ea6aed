//! The guarantees of a commit for the rows that it writes.

use std::collections::BTreeMap;

use aws::{Commit, Row};
use chrono::Duration;
use domain::models::actor::Actor;
use domain::models::device::Device;
use domain::models::event::EventType;
use domain::models::network::{Network, NetworkStatus, VERIZON};
use domain::models::restriction::Restriction;
use domain::models::user::User;
use domain::{ProfileId, UserId, WorkspaceId};
use serde_json::json;
use testkit::rows;
use testkit::wire::Store;

use super::{Case, TestStore, expect_conflict, new_id};

#[tokio::test]
async fn a_row_is_read_as_it_was_stored() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    assert_eq!(case.read(&user).await, user);
    let device = case.device(&mut user, "phone").await;
    assert_eq!(case.read(&user).await, user, "sets are read as they were written");
    assert_eq!(store.table.device(case.workspace, device.device_id).await.expect("the call succeeds"), Some(device));
    let other = WorkspaceId(new_id(case.now));
    assert_eq!(store.table.user(other, user.user_id).await.expect("the call succeeds"), None);
}

#[tokio::test]
async fn a_change_is_conditional_on_the_version_that_was_read() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let before = case.user("ada").await;
    let first = User { first_name: Some("Adele".to_owned()), ..before.clone() };
    case.edit(&before, &first).await;
    let second = User { first_name: None, number: Some("7".to_owned()), ..before.clone() };
    let late = Commit::without_event(case.id()).edit(&before, &second);
    expect_conflict(store.table.commit(late).await, "the row has changed since");
    let now = case.read(&before).await;
    assert_eq!(now, User { version: before.version + 1, ..first });
    case.edit(&now, &User { first_name: None, number: Some("7".to_owned()), ..now.clone() }).await;
    let now = case.read(&before).await;
    assert_eq!((now.first_name, now.number.as_deref(), now.version), (None, Some("7"), 3));
    expect_conflict(
        store.table.commit(Commit::without_event(case.id()).delete(&before)).await,
        "a delete is conditional as well",
    );
    let missing = case.new_user("nobody");
    let edited = User { number: Some("7".to_owned()), ..missing.clone() };
    expect_conflict(
        store.table.commit(Commit::without_event(case.id()).edit(&missing, &edited)).await,
        "a missing row cannot be changed",
    );
}

#[tokio::test]
async fn an_edit_without_changes_writes_nothing_and_a_version_bump_counts() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    assert!(Commit::without_event(case.id()).edit(&user, &user).is_empty());
    store.table.commit(Commit::without_event(case.id()).bump_version(&user, &user)).await.expect("no conflict");
    assert_eq!(case.read(&user).await, User { version: user.version + 1, ..user });
}

/// The stored row of an object.
fn row_of<R: Row>(store: &Store, thing: &R) -> serde_json::Value {
    rows::all(&store.bench, rows::MAIN).remove(&thing.key().to_string()).expect("the row exists")
}

/// Replaces the stored row of a user.
fn put_user(store: &Store, row: &serde_json::Value) {
    rows::put(&store.bench, rows::MAIN, row, &["device_ids"]);
}

/// For rows that were stored before an index existed, or changed by a release that does not know it.
#[tokio::test]
async fn an_edit_restores_missing_derived_attributes() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let mut stripped = row_of(store, &user);
    let complete_row = stripped.clone();
    let _list = stripped.as_object_mut().and_then(|row| row.remove("list")).expect("the row has the index attribute");
    stripped["not_deployed"] = "2001-01-01".into();
    stripped["deployed"] = "2001-01-01".into();
    put_user(store, &stripped);
    let read = case.read(&user).await;
    assert!(Commit::without_event(case.id()).edit(&read, &read).is_empty(), "nothing was changed");
    case.edit(&read, &User { number: Some("7".to_owned()), ..read.clone() }).await;
    let now = row_of(store, &user);
    for name in ["list", "not_deployed", "deployed"] {
        assert_eq!(now[name], complete_row[name], "{name}");
    }
    put_user(store, &stripped);
    let read = case.read(&user).await;
    store.table.commit(Commit::without_event(case.id()).bump_version(&read, &read)).await.expect("no conflict");
    let now = row_of(store, &user);
    assert_eq!(
        (&now["list"], &now["deployed"], &now["version"]),
        (&complete_row["list"], &complete_row["deployed"], &json!(2))
    );
}

#[tokio::test]
async fn attributes_of_another_release_survive_an_edit() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.new_user("ada");
    user.suspended = Some(Restriction { at: case.now, by: Actor::System, reason: Some("away".to_owned()) });
    user.client.profile_id = Some(ProfileId(new_id(case.now)));
    let network = Network {
        status: NetworkStatus::Enabled,
        status_at: case.now,
        reason: None,
        mdn_provisioning: None,
        last_seen_at: None,
        last_archived_at: None,
    };
    user.networks = BTreeMap::from([(VERIZON.to_owned(), network)]);
    case.put(&user).await;
    let mut row = row_of(store, &user);
    row["tomorrow"] = json!({"is": [1, {"deep": true}]});
    row["suspended"]["tomorrow"] = "held".into();
    row["suspended"]["by"]["tomorrow"] = "whom".into();
    row["client"]["tomorrow"] = json!(["client"]);
    row["networks"][VERIZON]["tomorrow"] = "network".into();
    put_user(store, &row);
    // Each value next to an unknown one is changed.
    let read = case.read(&user).await;
    assert_eq!(read, user);
    let mut after = read.clone();
    after.number = Some("7".to_owned());
    after.suspended = after.suspended.map(|hold| Restriction { reason: None, ..hold });
    after.client.profile_id = None;
    after.networks.values_mut().for_each(|network| network.status = NetworkStatus::Disabled);
    case.edit(&read, &after).await;
    let now = row_of(store, &user);
    assert_eq!(now["tomorrow"], row["tomorrow"]);
    assert_eq!(now["suspended"]["tomorrow"], "held");
    assert_eq!(now["suspended"]["by"]["tomorrow"], "whom");
    assert_eq!(now["suspended"]["reason"], serde_json::Value::Null);
    assert_eq!(now["client"], json!({"tomorrow": ["client"]}), "the known fields of the part are removed");
    assert_eq!(
        (&now["networks"][VERIZON]["tomorrow"], &now["networks"][VERIZON]["status"]),
        (&json!("network"), &json!("disabled"))
    );
    // A removed value goes completely, even if its last change came after the read.
    let stale = User { version: read.version + 1, ..after };
    case.edit(&stale, &User { suspended: None, number: None, ..stale.clone() }).await;
    let now = row_of(store, &user);
    assert_eq!((now.get("suspended"), now.get("number")), (None, None));
    assert_eq!((&now["tomorrow"], &now["networks"][VERIZON]["status"]), (&row["tomorrow"], &json!("disabled")));
    let read = case.read(&user).await;
    case.edit(&read, &User { networks: BTreeMap::new(), ..read.clone() }).await;
    assert_eq!(row_of(store, &user).get("networks"), None, "a removed network is removed completely");
}

#[tokio::test]
async fn an_existing_row_is_not_created_again() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let device = case.new_device(UserId(new_id(case.now)), "phone");
    case.put(&device).await;
    let again = Device { model_name: "Another".to_owned(), ..device.clone() };
    expect_conflict(store.table.commit(Commit::without_event(case.id()).put(&again)).await, "the row exists");
    assert_eq!(store.table.device(case.workspace, device.device_id).await.expect("the call succeeds"), Some(device));
}

#[tokio::test]
async fn index_rows_are_written_and_deleted_with_their_row() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let before = case.rows();
    let user = case.user("ada").await;
    assert_eq!(case.rows() - before, 1 + user.index_rows().len());
    let renamed = User { username: "eve".to_owned(), email: None, ..user.clone() };
    case.edit(&user, &renamed).await;
    assert_eq!(case.rows() - before, 1 + renamed.index_rows().len());
    case.remove(&User { version: 2, ..renamed }).await;
    assert_eq!(case.rows(), before);
}

#[tokio::test]
async fn a_repeated_commit_is_one_change() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let changed = User { number: Some("7".to_owned()), ..user.clone() };
    let event = case.context().event(EventType::UserCreated);
    let commit = || Commit::with_event(&event).edit(&user, &changed);
    store.table.commit(commit()).await.expect("no conflict");
    store.table.commit(commit()).await.expect("DynamoDB knows the request");
    store.forgetful.commit(commit()).await.expect("the event's own row says that it was done");
    assert_eq!(case.read(&user).await.version, user.version + 1);
    let without_event = case.id();
    let now = case.read(&user).await;
    let commit = || Commit::without_event(without_event).edit(&now, &user);
    store.table.commit(commit()).await.expect("no conflict");
    store.table.commit(commit()).await.expect("DynamoDB knows the request");
    expect_conflict(store.forgetful.commit(commit()).await, "without an event a repeat and a race look the same");
}

#[tokio::test]
async fn a_commit_is_atomic() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let stale = User { version: 9, ..user.clone() };
    let changed = User { number: Some("7".to_owned()), ..stale.clone() };
    let rows = case.rows();
    let other = case.new_user("bob");
    let commit = Commit::with_event(&case.context().event(EventType::UserCreated)).put(&other).edit(&stale, &changed);
    expect_conflict(store.table.commit(commit).await, "one part is rejected");
    assert_eq!(case.rows(), rows);
}

#[tokio::test]
async fn a_commit_fails_if_a_row_that_it_depends_on_has_changed() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let (ada, bob) = (case.user("ada").await, case.user("bob").await);
    let with = |user: &User, number: &str| User { number: Some(number.to_owned()), ..user.clone() };
    let commit = Commit::without_event(case.id()).edit(&ada, &with(&ada, "1")).require_unchanged(&bob);
    store.table.commit(commit).await.expect("bob is unchanged");
    assert_eq!(case.read(&bob).await, bob, "and it is unchanged");
    case.edit(&bob, &with(&bob, "2")).await;
    let ada = case.read(&ada).await;
    let commit = Commit::without_event(case.id()).edit(&ada, &with(&ada, "3")).require_unchanged(&bob);
    expect_conflict(store.table.commit(commit).await, "bob has changed since");
    case.remove(&case.read(&bob).await).await;
    let commit = Commit::without_event(case.id()).edit(&ada, &with(&ada, "3")).require_unchanged(&bob);
    expect_conflict(store.table.commit(commit).await, "bob is deleted");
    assert_eq!(case.read(&ada).await, ada);
    // Attributes that are written without a new version.
    let mut user = ada;
    let device = case.device(&mut user, "phone").await;
    let first = case.now.plus(Duration::hours(1));
    assert!(store.table.record_login_time(&device, first, case.id()).await.expect("the call succeeds"));
    let device = Device { last_login_at: Some(first), ..device };
    let named = Device { nickname: Some("mine".to_owned()), ..device.clone() };
    assert!(
        store
            .table
            .record_login_time(&device, first.plus(Duration::hours(1)), case.id())
            .await
            .expect("the call succeeds")
    );
    let rename = || Commit::without_event(case.id()).edit(&device, &named);
    expect_conflict(
        store.table.commit(rename().require_attribute_unchanged(&device, "last_login_at")).await,
        "the device has checked in since",
    );
    store.table.commit(rename()).await.expect("the commit succeeds");
}

/// Shows that the check for stale reads sees every kind of read.
#[tokio::test]
async fn each_read_method_is_exercised() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    assert_eq!(case.read(&user).await, user);
    let users = store.table.users(case.workspace, &[user.user_id].into()).await.expect("the call succeeds");
    assert_eq!(users, [user]);
    let listed = store.table.list_keys(case.workspace, 1, None).await.expect("the call succeeds");
    assert!(listed.items.is_empty());
    let requests = store.recorder.take();
    for read in ["GetItem", "BatchGetItem", "Query"] {
        assert!(requests.iter().any(|sent| sent.call.action == read), "{read}");
    }
}
