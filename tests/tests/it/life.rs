//! A user's lifecycle over HTTP: suspended, activated, locked, wiped, changed, deleted, purged, and the effect of each
//! step on their phones.

use std::collections::BTreeSet;
use std::ops::Deref;

use chrono::{DateTime, Duration};
use http::{Method, Request};
use serde_json::{Value, json};
use testkit::{Answer, Bench, text};

use crate::fixture::Fixture;

/// A user with three phones that have checked in; the second one is blocked.
struct UserWithPhones {
    fixture: Fixture,
    user: String,
    phones: Vec<(String, String)>,
}

impl Deref for UserWithPhones {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl UserWithPhones {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let (user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 3).await;
        for (_, credential) in &phones {
            let _check_in = fixture.bench.check_in(credential).await.expect(200);
        }
        let fixture = Self { fixture, user, phones };
        let path = format!("/devices/{}/block", fixture.phones[1].0);
        let _blocked = fixture.post(&path, json!({"reason": "lost"})).await.expect(200);
        fixture.bench.drain().await;
        fixture.bench.advance(Duration::minutes(1));
        fixture
    }

    /// Sends an action on the user, and returns the response and the number of transactions.
    async fn context(&self, action: &str, body: Value) -> (Answer, usize) {
        self.faults.watch(action, None);
        let path = format!("/users/{}/{}", self.user, action.trim_end_matches("-user"));
        let answer = self.post(&path, body).await.expect(200);
        (answer, self.commits())
    }

    fn commits(&self) -> usize {
        self.faults.calls().iter().filter(|call| call.action == "TransactWriteItems").count()
    }

    async fn update(&self, body: Value) -> Answer {
        self.patch(&format!("/users/{}", self.user), body).await
    }

    async fn delete(&self, query: &str) -> Answer {
        self.bench.delete(&format!("/users/{}{query}", self.user), &self.tenant.key).await
    }

    /// The `access` of each phone's check-in.
    async fn access(&self) -> Vec<String> {
        let mut access = Vec::new();
        for (_, credential) in &self.phones {
            access.push(self.bench.check_in(credential).await.expect(200).get("access"));
        }
        access
    }

    /// The kinds of the commands in each phone's check-in.
    async fn delivered_kinds(&self) -> Vec<Vec<String>> {
        let mut kinds = Vec::new();
        for (_, credential) in &self.phones {
            let answer = self.bench.check_in(credential).await.expect(200);
            let commands = answer.body["commands"].as_array().cloned().unwrap_or_default();
            kinds.push(commands.iter().map(|command| text(&command["kind"])).collect());
        }
        kinds
    }

    async fn user(&self) -> Value {
        self.bench.get(&format!("/users/{}", self.user), &self.tenant.key).await.expect(200).body
    }

    async fn device(&self, phone: usize) -> Value {
        self.bench.get(&format!("/devices/{}", self.phones[phone].0), &self.tenant.key).await.expect(200).body
    }

    /// Events about the user, oldest first.
    async fn events(&self, kind: &str) -> Vec<Value> {
        let list = format!("/events?user_id={}&event_type={kind}&since=2026-11-01T00:00:00Z", self.user);
        let mut events = self.all(&list).await;
        events.reverse();
        events
    }

    async fn settle(&self, body: Value) {
        let _updated = self.patch("/workspace", body).await.expect(200);
    }

    /// Purges the phones, and then their user.
    async fn purge(&self) {
        for _round in 0..2 {
            assert_eq!(self.bench.purge().await["failed"], 0);
        }
    }

    /// Reports wrong PINs from a phone, and returns the phone's access.
    async fn wrong_pins(&self, phone: usize, failures: u32) -> String {
        let (body, path) = (json!({"pin_failures": failures}), "/devices/me/check-in");
        let answer = self.bench.call(Method::POST, path, Some(&self.phones[phone].1), Some(&body)).await;
        answer.expect(200).get("access")
    }

    /// Reports the phone's first command as succeeded.
    async fn report_done(&self, phone: usize) {
        let shown = self.device(phone).await;
        let command = text(&shown["commands"][0]["command_id"]);
        let _reported = self.bench.report_command(&self.phones[phone].1, &command, "succeeded").await.expect(200);
    }
}

#[tokio::test]
async fn suspending_a_user_is_one_commit_and_all_three_phones_lose_access_at_once() {
    let fixture = UserWithPhones::new().await;
    let before = [fixture.device(0).await, fixture.device(1).await, fixture.device(2).await];
    let (suspended, commits) = fixture.context("suspend-user", json!({"reason": "left"})).await;
    assert_eq!(commits, 1);
    assert_eq!((suspended.get("status"), &suspended.body["suspended"]["reason"]), ("suspended".into(), &json!("left")));
    assert_eq!(fixture.access().await, ["user_suspended", "device_blocked", "user_suspended"]);
    let events = fixture.events("user.suspended").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["changes"]["status"], json!({"before": "active", "after": "suspended"}));
    assert_eq!(events[0]["private"]["reason"], "left");
    assert!(!events[0]["changes"].to_string().contains("left"));
    for (phone, before) in before.iter().enumerate() {
        assert_eq!(fixture.device(phone).await["blocked"], before["blocked"], "its own block is kept");
    }
    let (again, commits) = fixture.context("suspend-user", json!({"reason": "again"})).await;
    assert_eq!((commits, &again.body["suspended"]), (0, &suspended.body["suspended"]), "a second time changes nothing");
    let invited = fixture.post(&format!("/users/{}/invite", fixture.user), json!({"channel": "email"})).await;
    assert_eq!(invited.expect(403).code(), "user_suspended");
}

#[tokio::test]
async fn activating_restores_the_state_before_the_suspension() {
    let fixture = UserWithPhones::new().await;
    let mut before = Vec::new();
    for phone in 0..3 {
        before.push(fixture.device(phone).await);
    }
    let (_suspended, _) = fixture.context("suspend-user", json!({})).await;
    let (active, commits) = fixture.context("activate-user", json!({})).await;
    assert_eq!((commits, active.get("status"), &active.body["suspended"]), (1, "active".into(), &Value::Null));
    for (phone, before) in before.iter().enumerate() {
        assert_eq!(&fixture.device(phone).await, before);
    }
    assert_eq!(fixture.access().await, ["allowed", "device_blocked", "allowed"]);
    let (_again, commits) = fixture.context("activate-user", json!({})).await;
    assert_eq!(commits, 0);
    assert_eq!(fixture.events("user.activated").await.len(), 1);
    let (_suspended, _) = fixture.context("suspend-user", json!({})).await;
    let path = format!("/devices/{}", fixture.phones[1].0);
    let _unblocked = fixture.post(&format!("{path}/unblock"), json!({})).await.expect(200);
    assert_eq!(fixture.access().await, ["user_suspended"; 3], "a block lifted meanwhile stays lifted");
    let (_active, _) = fixture.context("activate-user", json!({})).await;
    assert_eq!(fixture.access().await, ["allowed"; 3]);
}

#[tokio::test]
async fn a_user_who_never_registered_a_phone_becomes_active_by_an_admin_or_by_the_first_phone() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, path) = (bench.user(&tenant, "ada").await, |user: &str| format!("/users/{user}"));
    let status = async |user: &str| bench.get(&path(user), &tenant.key).await.expect(200).get("status");
    assert_eq!(status(&user).await, "inactive");
    let _activated = bench.post(&format!("{}/activate", path(&user)), &tenant.key, json!({})).await.expect(200);
    assert_eq!(status(&user).await, "active");
    let other = bench.user(&tenant, "bob").await;
    let _suspended = bench.post(&format!("{}/suspend", path(&other)), &tenant.key, json!({})).await.expect(200);
    assert_eq!(status(&other).await, "suspended");
    let _activated = bench.post(&format!("{}/activate", path(&other)), &tenant.key, json!({})).await.expect(200);
    assert_eq!(status(&other).await, "inactive", "the earlier state");
    let code = bench.invite(&tenant, &other, 1).await;
    let _phone = bench.register(&code, "phone").await.expect(201);
    assert_eq!(status(&other).await, "active");
}

#[tokio::test]
async fn lock_and_wipe_locks_the_user_and_wipes_every_phone_in_one_commit() {
    let fixture = UserWithPhones::new().await;
    let (locked, commits) =
        fixture.context("lock-and-wipe-user", json!({"reason": "stolen", "expires_in_days": 200})).await;
    assert_eq!((commits, locked.get("status")), (1, "locked".into()));
    assert_eq!(locked.body["locked"]["reason"], "stolen");
    assert_eq!(fixture.delivered_kinds().await, vec![vec!["wipe"]; 3], "the blocked one too");
    assert_eq!(fixture.access().await, ["user_locked", "device_blocked", "user_locked"]);
    assert_eq!(fixture.device(0).await["commands"][0]["expires_at"], "2027-06-11T08:01:00.000Z");
    let (_again, commits) = fixture.context("lock-and-wipe-user", json!({})).await;
    assert_eq!(commits, 0, "the pending commands are enough");
    fixture.report_done(0).await;
    assert_eq!(fixture.device(0).await["device_status"], "wiped");
    assert_eq!(fixture.bench.check_in(&fixture.phones[0].1).await.expect(401).code(), "re_enrol");
    // The lock lasts until the activation; then the wiped phone needs a code.
    let invite = format!("/users/{}/invite", fixture.user);
    let refused = fixture.post(&invite, json!({"channel": "email"})).await;
    assert_eq!(refused.expect(403).code(), "user_locked");
    let (_active, _) = fixture.context("activate-user", json!({})).await;
    assert_eq!(fixture.device(0).await["device_status"], "needs_enrolment");
    assert_eq!(fixture.device(2).await["device_status"], "wiping");
    assert_eq!(fixture.events("user.locked_and_wiped").await.len(), 1);
    assert_eq!(fixture.events("command.queued").await.len(), 3);
}

#[tokio::test]
async fn a_suspension_and_a_lock_are_independent_and_the_stronger_one_is_shown() {
    let fixture = UserWithPhones::new().await;
    let (_suspended, _) = fixture.context("suspend-user", json!({})).await;
    let (locked, _) = fixture.context("lock-and-wipe-user", json!({})).await;
    assert_eq!(locked.get("status"), "locked");
    let (reset, _) = fixture.context("reset-pin", json!({})).await;
    assert_eq!((reset.get("status"), &reset.body["locked"]), ("suspended".into(), &Value::Null));
    assert_eq!(fixture.access().await, ["user_suspended", "device_blocked", "user_suspended"]);
}

#[tokio::test]
async fn too_many_wrong_pins_lock_the_user_and_reset_pin_lifts_the_lock() {
    let fixture = UserWithPhones::new().await;
    assert_eq!(fixture.wrong_pins(0, 9).await, "allowed");
    assert_eq!(fixture.wrong_pins(0, 10).await, "user_locked");
    assert_eq!(fixture.access().await, ["user_locked", "device_blocked", "user_locked"]);
    assert_eq!(
        fixture.user().await["locked"]["by"],
        json!({"type": "device", "id": fixture.phones[0].0, "name": "iPhone 17"})
    );
    let (reset, commits) = fixture.context("reset-pin", json!({})).await;
    assert_eq!((commits, reset.get("status")), (1, "active".into()));
    assert_eq!(fixture.delivered_kinds().await, vec![vec!["reset_pin"]; 3]);
    // The phone repeats its report before a new PIN is set: these are the same failures.
    assert_eq!(fixture.wrong_pins(0, 10).await, "allowed");
    assert_eq!(fixture.wrong_pins(0, 11).await, "user_locked", "but more failures count");
    let (_lifted, _) = fixture.context("activate-user", json!({})).await;
    assert_eq!(fixture.wrong_pins(0, 0).await, "allowed");
    assert_eq!(fixture.wrong_pins(0, 9).await, "allowed");
    assert_eq!(fixture.events("user.locked").await.len(), 2);
    assert_eq!(fixture.events("user.pin_reset").await.len(), 1);
}

#[tokio::test]
async fn the_workspace_sets_how_many_wrong_pins_lock_a_user() {
    let fixture = UserWithPhones::new().await;
    fixture.settle(json!({"pin_limit": 0})).await;
    assert_eq!(fixture.wrong_pins(0, 5_000).await, "allowed", "never");
    fixture.settle(json!({"pin_limit": 3})).await;
    assert_eq!(fixture.wrong_pins(2, 2).await, "allowed");
    assert_eq!(fixture.wrong_pins(2, 3).await, "user_locked");
    assert_eq!(fixture.user().await["status"], "locked");
}

#[tokio::test]
async fn a_user_whose_phones_were_never_wiped_is_deleted_only_with_a_reason() {
    for in_body in [true, false] {
        let fixture = UserWithPhones::new().await;
        let path = format!("/users/{}", fixture.user);
        let refused = fixture.delete("").await.expect(409);
        assert_eq!(refused.code(), "wipe_first");
        let named: BTreeSet<String> =
            refused.body["devices"].as_array().unwrap().iter().map(|device| text(&device["device_id"])).collect();
        assert_eq!(named, fixture.phones.iter().map(|(device, _)| device.clone()).collect());
        let invalid = fixture.delete("?without_wipe=true").await.expect(422);
        assert_eq!(invalid.body["errors"][0]["field"], "reason");
        assert_eq!(fixture.user().await["status"], "active");
        let code = fixture.bench.invite(&fixture.tenant, &fixture.user, 1).await;
        fixture.faults.watch("delete-user", None);
        let deleted = if in_body {
            let body = json!({"without_wipe": true, "reason": "retired"});
            fixture.bench.call(Method::DELETE, &path, Some(&fixture.tenant.key), Some(&body)).await.expect(200)
        } else {
            fixture.delete("?without_wipe=true&reason=retired").await.expect(200)
        };
        assert_eq!(fixture.commits(), 1);
        assert_eq!(
            (deleted.get("status"), deleted.get("purge_after")),
            ("deleted".into(), "2026-12-23T08:01:00.000Z".into())
        );
        assert_eq!((&deleted.body["devices"], &deleted.body["device_count"]), (&json!([]), &json!(0)));
        assert_eq!(fixture.access().await, ["deleted"; 3]);
        let event = &fixture.events("user.deleted").await[0];
        assert_eq!(event["changes"]["without_wipe"], json!({"before": false, "after": true}));
        assert_eq!(event["private"]["reason"], "retired");
        assert_eq!(fixture.events("device.deleted").await.len(), 3);
        assert_eq!(fixture.bench.register(&code, "phone").await.code(), "user_deleted");
        // It cannot be undone, and a repetition gets the same response.
        assert_eq!(fixture.delete("").await.expect(200).get("deleted_at"), deleted.get("deleted_at"));
        for action in ["activate", "suspend", "lock-and-wipe", "reset-pin"] {
            let refused = fixture.post(&format!("{path}/{action}"), json!({})).await;
            assert_eq!(refused.expect(409).code(), "user_deleted", "{action}");
        }
        assert_eq!(fixture.update(json!({"first_name": "Eva"})).await.expect(409).code(), "user_deleted");
        assert_eq!(fixture.events("user.deleted").await.len(), 1);
        // The name is free again, at once.
        let _namesake = fixture.fixture.user("ADA").await;
    }
}

#[tokio::test]
async fn a_wipe_pending_at_its_users_deletion_is_delivered_and_reported_a_month_later() {
    let fixture = UserWithPhones::new().await;
    fixture.settle(json!({"retention_days": 30})).await;
    let (_locked, _) = fixture.context("lock-and-wipe-user", json!({"reason": "stolen"})).await;
    fixture.bench.advance(Duration::hours(1));
    fixture.report_done(0).await;
    let deleted = fixture.delete("").await.expect(200);
    assert_eq!(deleted.get("purge_after"), "2027-02-21T08:01:00.000Z", "the last wipe's end comes after the retention");
    fixture.bench.drain().await;

    fixture.bench.advance(Duration::days(31));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    assert_eq!(fixture.bench.purge().await["purged"], 1, "the phone that was wiped before");
    let (device, credential) = &fixture.phones[2];
    let back = fixture.bench.check_in(credential).await.expect(200);
    assert_eq!((back.get("access"), &back.body["commands"][0]["kind"]), ("deleted".into(), &json!("wipe")));
    let wipe = text(&back.body["commands"][0]["command_id"]);
    fixture.bench.advance(Duration::minutes(1));
    let reported = fixture.bench.report_command(credential, &wipe, "succeeded").await.expect(200);
    assert_eq!(reported.get("state"), "succeeded");
    assert_eq!(fixture.bench.check_in(credential).await.expect(401).code(), "re_enrol");
    for (list, kinds) in [
        (format!("/events?user_id={}", fixture.user), ["user.deleted", "command.succeeded"]),
        (format!("/events?device_id={device}"), ["device.deleted", "command.succeeded"]),
    ] {
        let events = fixture.all(&list).await;
        let about =
            |kind: &str| events.iter().filter(|e| e["event_type"] == kind).map(|e| text(&e["created_at"])).max();
        let times: Vec<DateTime<chrono::FixedOffset>> =
            kinds.iter().map(|kind| DateTime::parse_from_rfc3339(&about(kind).unwrap()).unwrap()).collect();
        assert!(times[1] - times[0] >= Duration::days(31), "{list}");
    }

    // The other phone never checked in. Once its wipe has expired, everything is purged.
    assert_eq!(fixture.bench.purge().await["purged"], 0);
    fixture.bench.set_clock("2027-02-21T08:01:00Z".parse().unwrap());
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    fixture.purge().await;
    let _missing = fixture.bench.get(&format!("/users/{}", fixture.user), &fixture.tenant.key).await.expect(404);
    for (device, credential) in &fixture.phones {
        let _missing = fixture.bench.get(&format!("/devices/{device}"), &fixture.tenant.key).await.expect(404);
        let _unknown = fixture.bench.check_in(credential).await.expect(401);
    }
    let list = format!("/events?user_id={}&since=2026-11-01T00:00:00Z", fixture.user);
    let events = fixture.all(&list).await;
    for kind in
        ["user.created", "user.locked_and_wiped", "user.deleted", "command.succeeded", "user.purged", "device.purged"]
    {
        assert!(events.iter().any(|event| event["event_type"] == kind), "{kind} is kept");
    }
    for event in &events {
        assert_eq!(event["private"], json!({}), "{event}");
        assert!(!event.to_string().contains("stolen"), "{event}");
    }
}

#[tokio::test]
async fn a_wiped_user_is_deleted_without_a_reason_and_purged_when_the_retention_is_over() {
    let fixture = UserWithPhones::new().await;
    let (_locked, _) = fixture.context("lock-and-wipe-user", json!({})).await;
    for phone in 0..3 {
        fixture.report_done(phone).await;
    }
    let deleted = fixture.delete("").await.expect(200);
    assert_eq!(deleted.get("purge_after"), "2026-12-23T08:01:00.000Z");
    fixture.bench.set_clock("2026-12-23T08:00:59Z".parse().unwrap());
    assert_eq!(fixture.bench.purge().await["purged"], 0);
    fixture.bench.advance(Duration::seconds(1));
    fixture.purge().await;
    let listed = fixture.all("/users").await;
    assert_eq!(listed, Vec::<Value>::new());
}

#[tokio::test]
async fn a_user_renamed_while_suspended_or_locked_gets_the_deployment_after_activation() {
    let fixture = UserWithPhones::new().await;
    for (out, back) in [("suspend-user", "activate-user"), ("lock-and-wipe-user", "reset-pin")] {
        let (_out, _) = fixture.context(out, json!({})).await;
        fixture.bench.stack.messaging().clear();
        let _renamed = fixture.update(json!({"username": format!("before-{back}")})).await.expect(200);
        fixture.bench.drain().await;
        assert_eq!(fixture.bench.newest_deployment_code(), None, "no message to a suspended user");
        let (_back, commits) = fixture.context(back, json!({})).await;
        assert_eq!(commits, 1, "{back}");
        fixture.bench.drain().await;
        assert!(fixture.bench.newest_deployment_code().is_some(), "{back}");
        // Once.
        fixture.bench.stack.messaging().clear();
        let (_out, _) = fixture.context("suspend-user", json!({})).await;
        let (_back, _) = fixture.context("activate-user", json!({})).await;
        fixture.bench.drain().await;
        assert_eq!(fixture.bench.newest_deployment_code(), None);
        fixture.bench.advance(Duration::minutes(1));
    }
}

#[tokio::test]
async fn another_username_resets_every_phone_in_one_commit() {
    let fixture = UserWithPhones::new().await;
    fixture.faults.watch("update-user", None);
    let renamed = fixture.update(json!({"username": "adele"})).await.expect(200);
    assert_eq!((fixture.commits(), renamed.get("username")), (1, "adele".into()));
    assert_eq!(fixture.delivered_kinds().await, vec![vec!["factory_reset"]; 3]);
    assert_eq!(fixture.device(0).await["device_status"], "wiping");
    let event = &fixture.events("user.updated").await[0];
    assert_eq!(event["changed_fields"], json!(["username"]));
    assert!(!event.to_string().contains("adele"));
    fixture.bench.advance(Duration::minutes(1));
    fixture.report_done(0).await;
    assert_eq!(fixture.bench.check_in(&fixture.phones[0].1).await.expect(401).code(), "re_enrol");
    assert_eq!(fixture.device(0).await["device_status"], "needs_enrolment");
    let code = fixture.bench.invite(&fixture.tenant, &fixture.user, 1).await;
    let re_enrolled = fixture.bench.register(&code, "ada-0").await.expect(201);
    assert_eq!(re_enrolled.body["device"]["device_id"], *fixture.phones[0].0);
    assert_eq!(fixture.bench.check_in(&re_enrolled.get("credential")).await.expect(200).get("access"), "allowed");
    // The old username is free, the new one is taken and found.
    let taken = json!({"username": "ADELE"});
    assert_eq!(fixture.post("/users", taken).await.expect(409).code(), "username_taken");
    let other = fixture.fixture.user("ada").await;
    let restored = fixture.patch(&format!("/users/{other}"), json!({"username": "adele"})).await;
    assert_eq!(restored.expect(409).code(), "username_taken");
    let found = fixture.all("/users?search=adele").await;
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn only_another_username_resets_the_phones_and_it_needs_the_permission_to_wipe() {
    let fixture = UserWithPhones::new().await;
    let same = fixture.update(json!({"username": "ADA"})).await.expect(200);
    assert_eq!(same.get("username"), "ADA");
    assert_eq!(fixture.delivered_kinds().await, vec![Vec::<String>::new(); 3], "other capitals are the same name");
    let body = json!({"name": "helpdesk", "permissions": ["users:manage", "users:read"]});
    let key = fixture.post("/keys", body).await.expect(201).get("key");
    let path = format!("/users/{}", fixture.user);
    let refused = fixture.bench.patch(&path, &key, json!({"username": "adele"})).await.expect(403);
    assert_eq!(refused.code(), "permission_missing");
    let _edited = fixture.bench.patch(&path, &key, json!({"first_name": "Adele"})).await.expect(200);
    assert_eq!(fixture.delivered_kinds().await, vec![Vec::<String>::new(); 3]);
}

#[tokio::test]
async fn events_name_a_users_changed_fields_without_their_values() {
    let fixture = UserWithPhones::new().await;
    fixture.settle(json!({"service_levels": ["gold", "silver"]})).await;
    let edit = json!({"first_name": "Zelda", "mobile": null, "email": "z@example.com", "service_level": "gold"});
    let edited = fixture.update(edit).await.expect(200);
    assert_eq!((edited.get("first_name"), &edited.body["mobile"]), ("Zelda".into(), &Value::Null));
    let events = fixture.events("user.updated").await;
    assert_eq!(events.len(), 1);
    let names: BTreeSet<String> = events[0]["changed_fields"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(names, ["first_name".into(), "mobile".into(), "email".into()].into());
    assert_eq!(events[0]["changes"], json!({"service_level": {"before": null, "after": "gold"}}));
    assert!(!events[0].to_string().contains("Zelda") && !events[0].to_string().contains("example.com"));
    assert_eq!(
        fixture.delivered_kinds().await,
        vec![Vec::<String>::new(); 3],
        "only another username resets the phones"
    );
    let same = fixture.update(json!({"first_name": "Zelda"})).await.expect(200);
    assert_eq!(same.headers["etag"], edited.headers["etag"]);
    assert_eq!(fixture.events("user.updated").await.len(), 1);
    let unknown = fixture.update(json!({"service_level": "lead"})).await.expect(422);
    assert_eq!(unknown.body["errors"][0]["field"], "service_level");
    assert_eq!(fixture.update(json!({"username": null})).await.expect(422).code(), "invalid_input");
}

#[tokio::test]
async fn a_change_for_an_older_version_is_rejected() {
    let fixture = UserWithPhones::new().await;
    let path = format!("/users/{}", fixture.user);
    let read = fixture.bench.get(&path, &fixture.tenant.key).await.expect(200);
    let old = read.headers["etag"].clone();
    let guarded = async |method: Method, action: &str, body: Value| {
        let request = Request::builder().method(method).uri(format!("{path}{action}")).header("if-match", &old);
        let request = request.header("authorization", format!("Bearer {}", fixture.tenant.key));
        fixture.bench.send(request.body(body.to_string().into_bytes()).unwrap()).await
    };
    let _fits = guarded(Method::PATCH, "", json!({"first_name": "Eva"})).await.expect(200);
    for (method, action, body) in [
        (Method::PATCH, "", json!({"first_name": "Ida"})),
        (Method::POST, "/suspend", json!({})),
        (Method::POST, "/activate", json!({})),
        (Method::POST, "/lock-and-wipe", json!({})),
        (Method::POST, "/reset-pin", json!({})),
        (Method::POST, "/invite", json!({"channel": "email"})),
        (Method::DELETE, "", json!({"without_wipe": true, "reason": "retired"})),
    ] {
        let refused = guarded(method, action, body).await.expect(412);
        assert_eq!(refused.code(), "version_mismatch", "{action}");
    }
    assert_eq!(fixture.user().await["first_name"], "Eva");
    assert_eq!(fixture.user().await["status"], "active");
}
