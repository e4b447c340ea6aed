//! An older and a newer release on the same table, in either order: data of another release is shown, survives edits,
//! and stops nothing.

use chrono::Duration;
use domain::Time;
use domain::ids::timed_uuid;
use http::Method;
use serde_json::{Value, json};
use testkit::request_recorder::RequestRecorder;
use testkit::rows::{self, MAIN};
use testkit::{Bench, Setup, Tenant};

/// The first row whose key starts with `pk` and that contains a text.
fn find(bench: &Bench, pk: &str, contains: &str) -> Value {
    let all = rows::all(bench, MAIN).into_values();
    let mut found = all.filter(|row| row["pk"].as_str().unwrap().starts_with(pk) && row.to_string().contains(contains));
    found.next().unwrap_or_else(|| panic!("no row of {pk} has {contains}"))
}

fn put(bench: &Bench, row: &Value) {
    rows::put(bench, MAIN, row, &["device_ids"]);
}

/// Changes a row as another release would.
fn change(bench: &Bench, pk: &str, contains: &str, change: impl Fn(&mut Value)) -> Value {
    let mut row = find(bench, pk, contains);
    change(&mut row);
    put(bench, &row);
    row
}

/// Stores a copy of an event as another release would write it, and returns its identifier.
fn event(bench: &Bench, tenant: &Tenant, number: u8, change: impl Fn(&mut Value)) -> String {
    let mut event = find(bench, &format!("EVENT#{}", tenant.workspace_id), "user.created");
    let id = timed_uuid(Time::from(bench.now()), [number; 10]).to_string();
    event["event_id"] = id.clone().into();
    event["sk"] = id.clone().into();
    change(&mut event);
    put(bench, &event);
    id
}

async fn patch(bench: &Bench, tenant: &Tenant, path: &str, body: Value) {
    let _edited = bench.call(Method::PATCH, path, Some(&tenant.key), Some(&body)).await.expect(200);
}

#[tokio::test]
async fn values_of_another_release_are_shown_and_survive_edits() {
    let bench = Bench::start().await;
    bench.expect_another_release();
    let tenant = bench.tenant("Later").await;
    let (device, credential) = bench.phone(&tenant, "ada").await;
    let key = &tenant.key;
    let user = bench.get(&format!("/devices/{device}"), key).await.expect(200).get("user_id");
    let _locked = bench.post(&format!("/devices/{device}/lock"), key, json!({})).await.expect(202);
    bench.drain().await;
    let of_device = format!("DEVICE#{}#{device}", tenant.workspace_id);
    let of_user = format!("USER#{}#{user}", tenant.workspace_id);
    let _device = change(&bench, &of_device, "\"sk\":\"DEVICE\"", |row| {
        row["platform"] = "glasses".into();
        row["push"]["reason"] = "asleep".into();
        row["push"]["by"] = json!({"whom": 7});
        row["commands"][0]["kind"] = "locate".into();
        row["tomorrow"] = "device".into();
    });
    let _command = change(&bench, &of_device, "COMMAND#", |row| {
        row["kind"] = "locate".into();
        row["history"][0]["by"] = json!({"type": "robot", "id": 12});
        row["history"][0]["tomorrow"] = 1.into();
    });
    let _user = change(&bench, &of_user, "\"sk\":\"USER\"", |row| {
        row["source"] = "ldap".into();
        row["tomorrow"] = "user".into();
    });
    let shown = bench.get(&format!("/devices/{device}"), key).await.expect(200).body;
    assert_eq!((&shown["platform"], &shown["push"]["reason"]), (&json!("glasses"), &json!("asleep")));
    let commands = bench.get(&format!("/devices/{device}/commands"), key).await.expect(200).body;
    assert_eq!(commands["items"][0]["kind"], "locate");
    assert_eq!(commands["items"][0]["history"][0]["by"]["type"], "robot");
    let seen = bench.get(&format!("/users/{user}"), key).await.expect(200).body;
    assert_eq!(seen["source"], "ldap");
    for list in ["/devices", "/users"] {
        assert_eq!(bench.list_all(&tenant, list).await.len(), 1, "{list}");
    }
    // Commands of another release are not delivered by this one, and stay queued.
    let check_in = bench.check_in_with(&credential, json!({})).await.expect(200);
    assert_eq!(check_in.body["commands"], json!([]));
    assert_eq!(find(&bench, &of_device, "COMMAND#")["state"], "queued");
    patch(&bench, &tenant, &format!("/devices/{device}"), json!({"nickname": "Mine"})).await;
    patch(&bench, &tenant, &format!("/users/{user}"), json!({"first_name": "Adele"})).await;
    let stored = find(&bench, &of_device, "\"sk\":\"DEVICE\"");
    assert_eq!((&stored["platform"], &stored["tomorrow"]), (&json!("glasses"), &json!("device")));
    assert_eq!(find(&bench, &of_device, "\"sk\":\"DETAILS\"")["nickname"], "Mine");
    assert_eq!((&stored["push"]["by"], &stored["commands"][0]["kind"]), (&json!({"whom": 7}), &json!("locate")));
    let kept = find(&bench, &of_user, "\"sk\":\"USER\"");
    assert_eq!(
        (&kept["source"], &kept["first_name"], &kept["tomorrow"]),
        (&json!("ldap"), &json!("Adele"), &json!("user"))
    );
    // An admin can cancel a command of an unknown kind.
    let command = commands["items"][0]["command_id"].as_str().unwrap();
    let _canceled = bench.delete(&format!("/devices/{device}/commands/{command}"), key).await.expect(200);
    let kept = find(&bench, &of_device, "COMMAND#");
    assert_eq!((&kept["kind"], &kept["state"]), (&json!("locate"), &json!("canceled")));
    assert_eq!(kept["history"][0]["tomorrow"], 1, "its history is unchanged");
    assert_eq!(kept["history"][0]["by"], json!({"type": "robot", "id": 12}));
}

#[tokio::test]
async fn an_unknown_permission_or_role_of_another_release_grants_nothing() {
    let bench = Bench::start().await;
    bench.expect_another_release();
    let tenant = bench.tenant("Rights").await;
    let narrow = json!({"name": "Narrow", "permissions": ["devices:read", "users:read"]});
    let narrow = bench.post("/keys", &tenant.key, narrow).await.expect(201);
    let _key = change(&bench, "KEY#", "Narrow", |row| row["permissions"] = json!(["users:read", "moon:walk"]));
    assert_eq!(bench.get("/users", &narrow.get("key")).await.status, 200);
    assert_eq!(bench.get("/devices", &narrow.get("key")).await.status, 403);
    let keys = bench.list_all(&tenant, "/keys").await;
    let shown = keys.iter().find(|key| key["name"] == "Narrow").unwrap();
    let mut permissions: Vec<&str> =
        shown["permissions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    permissions.sort_unstable();
    assert_eq!(permissions, ["moon:walk", "users:read"]);
}

#[tokio::test]
async fn an_event_of_another_release_is_shown_and_published_and_an_unreadable_one_stops_nothing() {
    let recorder = RequestRecorder::new();
    let bench = Setup::new().with(recorder.adjust()).start().await;
    bench.expect_another_release();
    let tenant = bench.tenant("Events").await;
    let user = bench.user(&tenant, "ada").await;
    bench.drain().await;
    bench.advance(Duration::minutes(1));
    let _earlier = recorder.take();
    let later = event(&bench, &tenant, 1, |row| {
        row["event_type"] = "user.beamed_up".into();
        row["command_kind"] = "locate".into();
        row["actor"] = json!({"type": "robot", "id": 12});
        row["private"]["tomorrow"] = "secret".into();
        row["of_type"] = "nowhere".into();
    });
    let broken = event(&bench, &tenant, 2, |row| row["actor"] = json!(["Rumpelstiltskin"]));
    let invited =
        bench.post(&format!("/users/{user}/invite"), &tenant.key, json!({"channel": "email"})).await.expect(202);
    bench.drain().await;
    // The later message was sent.
    assert!(bench.newest_code().is_some());
    let sent = recorder.take();
    let published =
        |text: &str| sent.iter().filter(|sent| sent.operation == "publish-events" && sent.body.contains(text)).count();
    assert_eq!((published(&later), published(&broken)), (1, 0));
    assert!(published(&invited.get("invitation_id")) >= 1);
    assert_eq!(published("secret"), 0, "private data stays private");
    for path in ["/events".to_owned(), format!("/events?user_id={user}")] {
        let events = bench.get(&path, &tenant.key).await.expect(200).body;
        let events = events["items"].as_array().unwrap();
        let shown = events.iter().find(|event| event["event_id"] == later.as_str()).expect("the event is shown");
        assert_eq!((&shown["event_type"], &shown["command_kind"]), (&json!("user.beamed_up"), &json!("locate")));
        assert_eq!((&shown["actor"]["type"], &shown["private"]["tomorrow"]), (&json!("robot"), &json!("secret")));
        assert!(!events.iter().any(|event| event["event_id"] == broken.as_str()), "{path}");
        assert!(events.len() > 2, "{path}");
    }
    // It is not lost: it is counted, and published by a release that can read it.
    let span =
        json!({"workspace_id": tenant.workspace_id, "since": bench.now() - Duration::hours(1), "until": bench.now()});
    let answer = bench.stack.invoke("republish-events", span.clone()).await.unwrap();
    assert_eq!(answer["unreadable"], 1, "{answer}");
    let _read = change(&bench, "EVENT#", "Rumpelstiltskin", |row| row["actor"] = json!({"type": "system"}));
    let _earlier = recorder.take();
    let answer = bench.stack.invoke("republish-events", span).await.unwrap();
    assert_eq!(answer["unreadable"], 0, "{answer}");
    assert!(recorder.take().iter().any(|sent| sent.body.contains(&broken)));
}

#[tokio::test]
async fn an_unreadable_row_is_omitted_from_lists_and_not_purged() {
    let bench = Bench::start().await;
    bench.expect_another_release();
    let tenant = bench.tenant("Broken").await;
    let (device, _credential) = bench.phone(&tenant, "ada").await;
    let (other, _credential) = bench.phone(&tenant, "bob").await;
    let key = &tenant.key;
    let user = bench.get(&format!("/devices/{device}"), key).await.expect(200).get("user_id");
    bench.drain().await;
    let of_device = format!("DEVICE#{}#{device}", tenant.workspace_id);
    let complete_row = find(&bench, &of_device, "\"sk\":\"DEVICE\"");
    let _broken = change(&bench, &of_device, "\"sk\":\"DEVICE\"", |row| row["epoch"] = "first".into());
    let devices = bench.list_all(&tenant, "/devices").await;
    assert_eq!(
        devices.iter().map(|device| device["device_id"].as_str().unwrap()).collect::<Vec<_>>(),
        [other.as_str()]
    );
    assert_eq!(bench.list_all(&tenant, "/users").await.len(), 2);
    assert_eq!(bench.get(&format!("/users/{user}"), key).await.expect(200).body["devices"], json!([]));
    // An operation that needs the row fails.
    let deletion = json!({"without_wipe": true, "reason": "left"});
    let path = format!("/users/{user}");
    assert_eq!(bench.call(Method::DELETE, &path, Some(key), Some(&deletion)).await.status, 500);
    put(&bench, &complete_row);
    let _deleted = bench.call(Method::DELETE, &path, Some(key), Some(&deletion)).await.expect(200);
    bench.drain().await;
    // The purge waits for a release that can read all rows, so that nothing is left behind.
    let of_user = format!("USER#{}#{user}", tenant.workspace_id);
    let invitation = find(&bench, &of_user, "INVITATION#");
    let _broken = change(&bench, &of_user, "INVITATION#", |row| row["devices"] = "many".into());
    bench.advance(Duration::days(400));
    let _purged = bench.stack.run_schedule("purge-deleted").await.unwrap();
    let purged = bench.stack.run_schedule("purge-deleted").await.unwrap();
    assert_eq!(purged["failed"], 1, "{purged}");
    let _user = find(&bench, &of_user, "\"sk\":\"USER\"");
    put(&bench, &invitation);
    let _purged = bench.stack.run_schedule("purge-deleted").await.unwrap();
    bench.drain().await;
    assert!(!rows::all(&bench, MAIN).keys().any(|key| key.starts_with(&of_user)));
}

/// Each attribute by which an index finds a row (but `owner`, which alone tells whose a device is), of rows that were
/// stored before the index was there, comes with the
/// next edit. What is never edited by a request is brought by `reindex`: see `stored_shapes`.
#[tokio::test]
async fn an_edit_adds_a_row_to_indexes_of_a_later_release() {
    let bench = Bench::start().await;
    bench.expect_another_release();
    let tenant = bench.tenant("Indexes").await;
    let (device, _credential) = bench.phone(&tenant, "ada").await;
    let key = &tenant.key;
    let user = bench.get(&format!("/devices/{device}"), key).await.expect(200).get("user_id");
    let _blocked = bench.post(&format!("/devices/{device}/block"), key, json!({"reason": "lost"})).await.expect(200);
    let _locked = bench.post(&format!("/devices/{device}/lock"), key, json!({})).await.expect(202);
    let profile = json!({"name": "Office", "settings": {}, "default": true});
    let profile = bench.post("/profiles", key, profile).await.expect(201).get("profile_id");
    let _deployment =
        bench.post(&format!("/users/{user}/deploy"), key, json!({"profile_id": profile})).await.expect(202);
    bench.drain().await;
    let strip = |row: &mut Value| {
        row.as_object_mut().unwrap().retain(|name, _| name == "owner" || !aws::INDEXED.contains(&name.as_str()))
    };
    let edits = [
        (
            format!("DEVICE#{}#{device}", tenant.workspace_id),
            "\"sk\":\"DEVICE\"",
            format!("/devices/{device}"),
            json!({"nickname": "Mine"}),
        ),
        (
            format!("USER#{}#{user}", tenant.workspace_id),
            "\"sk\":\"USER\"",
            format!("/users/{user}"),
            json!({"number": "47"}),
        ),
        (
            format!("PROFILE#{}#{profile}", tenant.workspace_id),
            "\"sk\":\"PROFILE\"",
            format!("/profiles/{profile}"),
            json!({"name": "Home"}),
        ),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (pk, sk, path, body) in edits {
        let complete_row = find(&bench, &pk, sk);
        let _stripped = change(&bench, &pk, sk, strip);
        patch(&bench, &tenant, &path, body).await;
        let now = find(&bench, &pk, sk);
        for name in aws::INDEXED {
            assert_eq!(now.get(name), complete_row.get(name), "{path}: {name}");
            seen.extend(complete_row.get(name).map(|_| *name));
        }
    }
    for name in ["list", "blocked_at", "pending_since", "deployed", "of_profile"] {
        assert!(seen.contains(name), "{name}");
    }
    assert_eq!(bench.list_all(&tenant, "/users?deployed=true").await.len(), 1);
    assert_eq!(bench.list_all(&tenant, "/devices?blocked=true").await.len(), 1);
}
