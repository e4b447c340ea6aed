//! Webhooks: events are delivered and signed, with retries until they are accepted, and only to their own receivers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws::EgressPolicy;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use domain::Time;
use domain::models::webhook::{CALLING_RUNS, LEASE_DURATION};
use http::{Method, Request};
use local::operations::Adjust;
use ring::hmac;
use serde_json::{Value, json};
use testkit::egress::{Answers, Sent};
use testkit::faults::process_ends;
use testkit::{Setup, rows, text};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::fixture::Fixture;

const URL: &str = "https://hooks.example.com/in?token=only-for-them";
const OTHER: &str = "https://other.example.com/in";

impl Fixture {
    /// A workspace, and receivers that answer with success.
    async fn with_receivers() -> Self {
        let fixture = Self::new().await;
        // Events before the webhook are not delivered.
        fixture.bench.advance(Duration::seconds(1));
        fixture.pages.answer_ok("thank you");
        fixture
    }

    /// Creates a webhook for some event types, and returns its identifier and its secret.
    async fn webhook(&self, url: &str, types: &[&str]) -> (String, String) {
        let created = self.post("/webhooks", json!({"url": url, "event_types": types})).await.expect(201);
        self.bench.drain().await;
        (created.get("webhook_id"), created.get("secret"))
    }

    /// Creates a user, and delivers the event.
    async fn new_user(&self, username: &str) -> String {
        let id = self.user(username).await;
        self.bench.drain().await;
        id
    }

    async fn schedule(&self) -> Value {
        let run = self.bench.stack.run_schedule("deliver-webhook").await.expect("run-due runs");
        self.bench.drain().await;
        run
    }

    /// Runs the schedule and moves the clock by two hours; `from` counts hours, and each day begins with a new user.
    async fn pass_two_hours(&self, from: i32) {
        if from % 24 == 0 {
            let _user = self.new_user(&format!("ada{from}")).await;
        }
        let _run = self.schedule().await;
        self.bench.advance(Duration::hours(2));
    }

    async fn deliveries(&self, webhook: &str) -> Vec<Value> {
        self.all(&format!("/webhooks/{webhook}/deliveries")).await
    }

    async fn shown_webhook(&self, webhook: &str) -> Value {
        self.get(&format!("/webhooks/{webhook}")).await
    }

    /// The requests to a URL.
    fn sent_to(&self, url: &str) -> Vec<Sent> {
        self.pages.sent().into_iter().filter(|sent| sent.url == url).collect()
    }

    fn answer(&self, status: u16) {
        self.pages.answer(Answers::With(status, Vec::new(), b"so".to_vec()));
    }
}

/// True if one of the signatures is by the secret, as the published verifiers check it.
fn is_signed(sent: &Sent, secret: &str, names: [&str; 3]) -> bool {
    let [id, at, signatures] = names.map(|name| sent.headers[name].clone());
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    assert_eq!(key.len(), 24);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = format!("{id}.{at}.{}", sent.body);
    let verifies = |signature: &str| {
        let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
    };
    signatures.split(' ').any(verifies)
}

const SVIX: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];
const STANDARD_NAMES: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

#[tokio::test]
async fn events_are_delivered_at_once_and_signed_under_both_header_names() {
    let fixture = Fixture::with_receivers().await;
    let (id, secret) = fixture.webhook(URL, &["user.created"]).await;
    let user = fixture.new_user("ada").await;
    let [sent] = <[Sent; 1]>::try_from(fixture.pages.sent()).unwrap();
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", URL));
    assert_eq!(sent.headers["content-type"], "application/json");
    for names in [SVIX, STANDARD_NAMES] {
        assert!(is_signed(&sent, &secret, names));
        assert_eq!(sent.headers[names[1]], fixture.bench.now().timestamp().to_string());
    }
    let [event] = <[Value; 1]>::try_from(fixture.events("user.created").await).unwrap();
    let body = sent.json();
    assert_eq!(sent.headers["svix-id"], text(&event["event_id"]));
    for name in ["event_id", "event_type", "workspace_id", "created_at", "user_id"] {
        assert_eq!(body[name], event[name], "{name}");
    }
    assert_eq!((&body["occurred_at"], text(&body["user_id"])), (&event["created_at"], user));
    let [delivery] = <[Value; 1]>::try_from(fixture.deliveries(&id).await).unwrap();
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("succeeded"), &json!(1)));
    let attempt = &delivery["last_attempt"];
    assert_eq!((&attempt["status"], &attempt["reply"]), (&json!(200), &json!("thank you")));
    assert_eq!((&attempt["error"], &delivery["next_at"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn webhooks_receive_no_personal_or_private_data() {
    let fixture = Fixture::with_receivers().await;
    let _hook = fixture.webhook(URL, &["*"]).await;
    let user = fixture.new_user("marker-name").await;
    let edit = json!({"first_name": "Markerfirst", "email": "marker@example.com", "mobile": "+491709999999"});
    let _edited = fixture.patch(&format!("/users/{user}"), edit).await.expect(200);
    let held = json!({"reason": "marker reason"});
    let _suspended = fixture.post(&format!("/users/{user}/suspend"), held).await.expect(200);
    fixture.bench.drain().await;
    let requests = fixture.pages.sent();
    let types: BTreeSet<String> = requests.iter().map(|sent| text(&sent.json()["event_type"])).collect();
    assert_eq!(types, ["user.created", "user.suspended", "user.updated"].map(str::to_owned).into());
    for sent in requests {
        let body = sent.body.to_lowercase();
        for personal in ["marker", "+4917", "adler", "private", "127.0.0.1", &fixture.tenant.key.to_lowercase()] {
            assert!(!body.contains(personal), "{personal}: {body}");
        }
    }
}

/// A payload without the values that differ from one event to the next.
fn without_ids(mut payload: Value) -> Value {
    for (name, value) in payload.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "actor" => value["id"] = json!("…"),
            "created_at" | "occurred_at" => *value = json!("…"),
            name if name.ends_with("_id") => *value = json!("…"),
            _ => {}
        }
    }
    payload
}

#[tokio::test]
async fn the_example_of_a_delivery_in_the_document_is_what_is_sent() {
    let fixture = Fixture::with_receivers().await;
    let _hook = fixture.webhook(URL, &["device.blocked"]).await;
    let (phone, _) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let body = json!({"reason": "left in a taxi"});
    let _blocked = fixture.post(&format!("/devices/{phone}/block"), body).await.expect(200);
    fixture.bench.drain().await;
    let [sent] = <[Sent; 1]>::try_from(fixture.sent_to(URL)).unwrap();
    let document = include_str!("../../../infra/docs/webhooks.md");
    let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(without_ids(example), without_ids(sent.json()), "{}", sent.body);
}

#[tokio::test]
async fn a_deleted_phone_is_delivered_in_seams_format_and_seams_route_creates_a_webhook() {
    let fixture = Fixture::with_receivers().await;
    let body = json!({"url": URL, "event_types": ["phone.deactivated", "lock.unlocked"]});
    let created = fixture.post("/webhooks/create", body).await.expect(200).body;
    assert_eq!(created["ok"], true);
    let webhook = &created["webhook"];
    assert_eq!((&webhook["url"], &webhook["event_types"][1]), (&json!(URL), &json!("lock.unlocked")));
    let every = fixture.post("/webhooks/create", json!({"url": OTHER})).await.expect(200).body;
    assert_eq!(every["webhook"]["event_types"], json!(["*"]));
    let ours = json!({"url": format!("{OTHER}/ours"), "event_types": ["device.deleted"]});
    let ours = fixture.post("/webhooks", ours).await.expect(201).get("webhook_id");
    let (phone, _) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let _activated = fixture.post("/phones/deactivate", json!({"device_id": phone})).await.expect(200);
    fixture.bench.drain().await;
    let [own] = <[Sent; 1]>::try_from(fixture.sent_to(&format!("{OTHER}/ours"))).unwrap();
    let own = own.json();
    assert_eq!((&own["event_type"], &own["device_id"]), (&json!("device.deleted"), &json!(phone)));
    assert!(own["user_id"].is_string() && own["actor"]["type"] == "key" && own["private"].is_null(), "{own}");
    let [delivery] = <[Value; 1]>::try_from(fixture.deliveries(&ours).await).unwrap();
    assert_eq!(delivery["event_type"], "device.deleted");
    let [sent] = <[Sent; 1]>::try_from(fixture.sent_to(URL)).unwrap();
    assert!(is_signed(&sent, &text(&webhook["secret"]), SVIX));
    let asked = json!({"device_id": phone, "event_type": "phone.deactivated"});
    assert_eq!(sent.json(), fixture.post("/events/get", asked).await.expect(200).body["event"]);
    let [delivery] = <[Value; 1]>::try_from(fixture.deliveries(&text(&webhook["webhook_id"])).await).unwrap();
    assert_eq!(delivery["event_type"], "phone.deactivated");
    let requests: Vec<String> = fixture.sent_to(OTHER).iter().map(|sent| text(&sent.json()["event_type"])).collect();
    assert!(requests.contains(&"phone.deactivated".to_owned()) && requests.contains(&"device.registered".to_owned()));
    assert!(!requests.contains(&"device.deleted".to_owned()), "{requests:?}");
    let complete_row =
        fixture.sent_to(OTHER).iter().map(Sent::json).find(|sent| sent["event_type"] == "phone.deactivated").unwrap();
    assert_eq!(
        (&complete_row["user_id"], &complete_row["actor"]),
        (&own["user_id"], &own["actor"]),
        "it receives both events"
    );
    assert!(sent.json()["actor"].is_null(), "Seam's alone is Seam's alone");
    let own = |sent: &Sent| sent.json()["webhook_id"] == every["webhook"]["webhook_id"];
    assert!(!fixture.sent_to(OTHER).iter().any(own), "it does not receive its own creation");
    let get = fixture.bench.get("/webhooks/create?url=https://x.example.com", &fixture.tenant.key).await.expect(405);
    assert_eq!(get.body["error"]["type"], "method_not_allowed");
    let bad =
        fixture.post("/webhooks/create", json!({"url": "https://10.0.0.1/", "event_types": []})).await.expect(400);
    let faults = &bad.body["error"]["validation_errors"];
    assert!(faults["url"].is_object() && faults["event_types"].is_object(), "{}", bad.text);
}

#[tokio::test]
async fn a_failed_delivery_is_retried_by_the_schedule_a_limited_number_of_times() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    fixture.answer(500);
    let _user = fixture.new_user("ada").await;
    // The first and, five seconds later, the second.
    assert_eq!(fixture.pages.sent().len(), 2);
    let waits = [5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600].map(Duration::seconds);
    for (at, wait) in waits.into_iter().enumerate() {
        let [delivery] = <[Value; 1]>::try_from(fixture.deliveries(&id).await).unwrap();
        let next: DateTime<Utc> = text(&delivery["next_at"]).parse().unwrap();
        assert_eq!((next - fixture.bench.now(), &delivery["state"]), (wait, &json!("pending")), "{delivery}");
        assert_eq!((&delivery["attempts"], &delivery["last_attempt"]["status"]), (&json!(at + 2), &json!(500)));
        assert_eq!(delivery["last_attempt"]["error"], "error_status");
        fixture.bench.advance(wait - Duration::milliseconds(1));
        assert_eq!(fixture.schedule().await, json!({"done": 0, "failed": 0, "late_seconds": 0}));
        fixture.bench.advance(Duration::milliseconds(1));
        assert_eq!(fixture.schedule().await, json!({"done": 1, "failed": 0, "late_seconds": 0}));
        assert_eq!(fixture.pages.sent().len(), at + 3);
    }
    let [delivery] = <[Value; 1]>::try_from(fixture.deliveries(&id).await).unwrap();
    let over = (&delivery["state"], &delivery["attempts"], &delivery["next_at"]);
    assert_eq!(over, (&json!("failed"), &json!(8), &Value::Null));
    fixture.bench.advance(Duration::days(2));
    assert_eq!(fixture.schedule().await["done"], 0);
    let same: BTreeSet<(String, String)> =
        fixture.pages.sent().into_iter().map(|sent| (sent.headers["svix-id"].clone(), sent.body)).collect();
    assert_eq!(same.len(), 1, "each attempt says the same");
}

#[tokio::test]
async fn a_successful_retry_is_the_last_and_each_failure_has_its_reason() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    let faults = [
        (Answers::Never, "no_answer", Value::Null),
        (Answers::ConnectionClosed, "unreachable", Value::Null),
        (Answers::With(404, Vec::new(), b"\x1b[31mno\nsuch \xff".to_vec()), "error_status", json!(404)),
    ];
    for (n, (answers, error, status)) in faults.into_iter().enumerate() {
        fixture.pages.answer(answers);
        let _user = fixture.new_user(&format!("ada{n}")).await;
        let delivery = fixture.deliveries(&id).await.remove(0);
        let attempt = &delivery["last_attempt"];
        assert_eq!((&attempt["error"], &attempt["status"]), (&json!(error), &status), "{delivery}");
        assert_eq!(attempt["reply"], if n == 2 { "[31mno such \u{fffd}" } else { "" });
        assert!(!fixture.shown_webhook(&id).await["failing_since"].is_null());
        fixture.pages.answer_ok("");
        fixture.bench.advance(Duration::minutes(5));
        assert_eq!(fixture.schedule().await["done"], 1);
        let delivery = fixture.deliveries(&id).await.remove(0);
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("succeeded"), &json!(3)));
        assert_eq!(fixture.shown_webhook(&id).await["failing_since"], Value::Null);
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    let inside = vec![("location", "https://169.254.169.254/latest".to_owned())];
    fixture.pages.answer(Answers::With(307, inside, Vec::new()));
    let _user = fixture.new_user("ada").await;
    assert!(fixture.pages.sent().iter().all(|sent| sent.url == URL));
    let delivery = fixture.deliveries(&id).await.remove(0);
    let attempt = &delivery["last_attempt"];
    assert_eq!((&attempt["error"], &attempt["status"]), (&json!("redirected"), &json!(307)));
    assert_eq!(delivery["state"], "pending");
}

#[tokio::test]
async fn a_private_address_is_rejected_at_creation_and_at_delivery() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(OTHER, &["user.created"]).await;
    for (url, code) in [
        ("https://127.0.0.1/", "not_public"),
        ("https://localhost/", "not_public"),
        ("https://10.1.2.3/", "not_public"),
        ("https://169.254.169.254/latest/meta-data", "not_public"),
        ("https://[::1]/", "not_public"),
        ("https://[::ffff:192.168.0.1]/", "not_public"),
        ("http://hooks.example.com/", "invalid_format"),
        ("http://127.0.0.1:9999/", "invalid_format"),
        ("https://user:word@hooks.example.com/", "invalid_format"),
        ("https://hooks.example.com:25/", "port_not_allowed"),
        ("https://hooks.example.com:6667/", "port_not_allowed"),
    ] {
        let edit = json!({"url": url});
        let edited = fixture.patch(&format!("/webhooks/{id}"), edit.clone()).await;
        for refused in [fixture.post("/webhooks", edit).await, edited] {
            assert_eq!(refused.expect(422).body["errors"][0]["code"], code, "{url}");
        }
    }
    // A URL that an earlier rule accepted is not called either.
    let (key, mut row) =
        rows::all(&fixture.bench, rows::MAIN).into_iter().find(|(key, _)| key.contains("| WEBHOOK#")).unwrap();
    for (url, error) in [
        ("https://127.0.0.1/", "not_public"),
        ("http://localhost:80/", "not_public"),
        ("https://169.254.169.254/latest", "not_public"),
        ("https://hooks.example.com:25/", "port_not_allowed"),
    ] {
        row["url"] = url.into();
        rows::put(&fixture.bench, rows::MAIN, &row, &[]);
        fixture.bench.advance(Duration::milliseconds(1));
        let _user = fixture.new_user(&format!("ada{}", url.len())).await;
        let delivery = fixture.deliveries(&id).await.remove(0);
        assert_eq!(delivery["last_attempt"]["error"], error, "{key}");
        // The failures are counted in the webhook's row.
        row = rows::all(&fixture.bench, rows::MAIN).remove(&key).unwrap();
    }
    assert_eq!(fixture.pages.sent(), []);
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_earlier_one_for_a_day() {
    let fixture = Fixture::with_receivers().await;
    let (id, first) = fixture.webhook(URL, &["user.created"]).await;
    let rotated = fixture.post(&format!("/webhooks/{id}/rotate-secret"), json!({})).await.expect(200);
    let second = rotated.get("secret");
    assert_ne!(first, second);
    let _user = fixture.new_user("ada").await;
    let sent = fixture.pages.sent().remove(0);
    assert_eq!(sent.headers["svix-signature"].split(' ').count(), 2);
    for secret in [&first, &second] {
        assert!(is_signed(&sent, secret, SVIX) && is_signed(&sent, secret, STANDARD_NAMES));
    }
    // A retry after a lost response keeps the earlier secret valid.
    let third = fixture.post(&format!("/webhooks/{id}/rotate-secret"), json!({})).await.expect(200).get("secret");
    let _user = fixture.new_user("bob").await;
    let sent = fixture.pages.sent().remove(1);
    assert!([&first, &second, &third].iter().all(|secret| is_signed(&sent, secret, SVIX)));
    fixture.bench.advance(Duration::hours(24));
    let _user = fixture.new_user("cyd").await;
    let sent = fixture.pages.sent().remove(2);
    assert!(is_signed(&sent, &third, SVIX) && !is_signed(&sent, &first, SVIX) && !is_signed(&sent, &second, SVIX));
    // An expired secret is deleted.
    let stored = || rows::all(&fixture.bench, rows::SECRETS).into_values().collect::<Vec<_>>();
    assert!(json!(stored()).to_string().contains(&first));
    assert_eq!(fixture.schedule().await, json!({"done": 1, "failed": 0, "late_seconds": 0}));
    let [stored] = <[Value; 1]>::try_from(stored()).unwrap();
    assert_eq!((&stored["current"], &stored["earlier"]), (&json!(third), &json!([])));
    assert_eq!(fixture.shown_webhook(&id).await["earlier_secret_until"], Value::Null);
    assert_eq!(fixture.schedule().await["done"], 0);
}

#[tokio::test]
async fn a_webhook_that_fails_for_five_days_is_disabled_and_the_others_are_notified() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    let (watching, _) = fixture.webhook(OTHER, &["webhook.disabled", "webhook.updated"]).await;
    fixture.pages.answer_at(URL, Answers::With(503, Vec::new(), Vec::new()));
    for at in (0..128).step_by(2) {
        fixture.pass_two_hours(at).await;
        assert_eq!(fixture.shown_webhook(&id).await["enabled"], true, "{at}");
    }
    let since = fixture.shown_webhook(&id).await["failing_since"].clone();
    assert_eq!(since, "2026-11-23T08:00:01.000Z");
    // The last attempt for the event of the fifth day.
    let _run = fixture.schedule().await;
    let shown = fixture.shown_webhook(&id).await;
    let disabled = json!({"at": "2026-11-28T16:00:01.000Z", "reason": "failing"});
    assert_eq!((&shown["enabled"], &shown["disabled"], &shown["failing_since"]), (&json!(false), &disabled, &since));
    assert!(fixture.all("/webhooks").await.contains(&shown));
    let [notice] = <[Value; 1]>::try_from(fixture.events("webhook.disabled").await).unwrap();
    assert_eq!((&notice["webhook_id"], &notice["actor"]["type"]), (&json!(id), &json!("system")));
    assert_eq!(notice["changes"]["reason"]["after"], "failing");
    let [told] = <[Sent; 1]>::try_from(fixture.sent_to(OTHER)).unwrap();
    assert_eq!((&told.json()["event_id"], &told.json()["webhook_id"]), (&notice["event_id"], &json!(id)));
    // It receives nothing more, not even retries.
    let sent = fixture.sent_to(URL).len();
    let _user = fixture.new_user("later").await;
    fixture.bench.advance(Duration::hours(12));
    let _run = fixture.schedule().await;
    assert_eq!(fixture.sent_to(URL).len(), sent);
    let states: BTreeSet<String> = fixture.deliveries(&id).await.iter().map(|of| text(&of["state"])).collect();
    assert!(!states.contains("pending") && states.contains("canceled"), "{states:?}");
    // Enabled again, it starts afresh.
    fixture.pages.answer_at(URL, Answers::With(204, Vec::new(), Vec::new()));
    let on = json!({"enabled": true});
    let on = fixture.patch(&format!("/webhooks/{id}"), on).await.expect(200).body;
    assert_eq!((&on["enabled"], &on["disabled"], &on["failing_since"]), (&json!(true), &Value::Null, &Value::Null));
    let _user = fixture.new_user("again").await;
    assert_eq!(fixture.sent_to(URL).len(), sent + 1);
    assert_eq!(fixture.deliveries(&watching).await.len(), 2);
}

#[tokio::test]
async fn a_success_restarts_the_five_days() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    for at in (0..12 * 24).step_by(2) {
        fixture.answer(if at / 24 % 4 == 3 { 200 } else { 500 });
        fixture.pass_two_hours(at).await;
    }
    assert_eq!(fixture.shown_webhook(&id).await["enabled"], true);
}

#[tokio::test]
async fn a_receiver_that_answers_410_disables_its_webhook_at_once() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    fixture.answer(410);
    let _user = fixture.new_user("ada").await;
    assert_eq!(fixture.pages.sent().len(), 1, "the second attempt is not made any more");
    assert_eq!(fixture.shown_webhook(&id).await["disabled"]["reason"], "gone");
    assert_eq!(fixture.events("webhook.disabled").await.len(), 1);
    let delivery = fixture.deliveries(&id).await.remove(0);
    assert_eq!((&delivery["last_attempt"]["error"], &delivery["state"]), (&json!("gone"), &json!("canceled")));
}

#[tokio::test]
async fn redeliver_calls_at_once_and_its_failure_does_not_change_the_schedule() {
    let fixture = Fixture::with_receivers().await;
    let (id, secret) = fixture.webhook(URL, &["user.created"]).await;
    fixture.answer(500);
    let _user = fixture.new_user("ada").await;
    let before = fixture.deliveries(&id).await.remove(0);
    let path = format!("/webhooks/{id}/deliveries/{}/redeliver", text(&before["event_id"]));
    fixture.bench.advance(Duration::minutes(1));
    let repeated = fixture.post(&path, json!({})).await.expect(200).body;
    assert_eq!((&repeated["state"], &repeated["attempts"]), (&json!("pending"), &json!(2)));
    assert_eq!((&repeated["redeliveries"], &repeated["next_at"]), (&json!(1), &before["next_at"]));
    fixture.answer(201);
    let taken = fixture.post(&path, json!({})).await.expect(200).body;
    assert_eq!((&taken["state"], &taken["redeliveries"]), (&json!("succeeded"), &json!(2)));
    assert_eq!(fixture.deliveries(&id).await, [taken]);
    assert_eq!(fixture.shown_webhook(&id).await["failing_since"], Value::Null);
    fixture.bench.advance(Duration::hours(1));
    assert_eq!(fixture.schedule().await["done"], 0);
    // A delivered event may be sent again.
    let _third = fixture.post(&path, json!({})).await.expect(200);
    let sent = fixture.pages.sent();
    assert_eq!(sent.len(), 5);
    assert!(sent.iter().all(|sent| is_signed(sent, &secret, SVIX) && sent.body == sent.body));
    let nobody = path.replace(&text(&before["event_id"]), "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e");
    assert_eq!(fixture.post(&nobody, json!({})).await.expect(404).code(), "delivery_not_found");
}

#[tokio::test]
async fn an_event_is_delivered_wherever_the_run_is_killed() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    fixture.faults.watch("deliver-webhook", None);
    let _user = fixture.new_user("ada").await;
    let calls = fixture.faults.calls();
    assert!(calls.len() >= 5, "{calls:?}");
    for (n, injected) in process_ends(&calls).into_iter().enumerate() {
        let requests = fixture.pages.sent().len();
        fixture.faults.watch("deliver-webhook", Some(injected.clone()));
        let _user = fixture.new_user(&format!("ada{n}")).await;
        fixture.faults.watch("deliver-webhook", None);
        fixture.bench.advance(Duration::seconds(90));
        let _retried = fixture.schedule().await;
        let calls = fixture.pages.sent().len() - requests;
        assert!((1..=2).contains(&calls), "{injected:?}: {calls}");
        assert_eq!(fixture.deliveries(&id).await[0]["state"], "succeeded", "{injected:?}");
    }
    // In the middle of the call itself.
    fixture.pages.answer(Answers::ProcessEnds);
    let _user = fixture.new_user("end").await;
    let delivery = fixture.deliveries(&id).await.remove(0);
    assert_eq!((&delivery["state"], &delivery["last_attempt"]), (&json!("pending"), &Value::Null));
    fixture.pages.answer_ok("");
    fixture.bench.advance(Duration::seconds(89));
    assert_eq!(fixture.schedule().await["done"], 0, "no other run takes it during its lease");
    fixture.bench.advance(Duration::seconds(61));
    assert_eq!(fixture.schedule().await, json!({"done": 1, "failed": 0, "late_seconds": 60}));
    assert_eq!(fixture.deliveries(&id).await[0]["state"], "succeeded");
}

#[tokio::test]
async fn a_repeated_event_is_delivered_once() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["*"]).await;
    let _user = fixture.new_user("ada").await;
    let event = fixture.events("user.created").await.remove(0);
    let mut public = event.clone();
    public.as_object_mut().unwrap().remove("private");
    let record = |n: u8| json!({"messageId": n.to_string(), "body": public.to_string()});
    let batch = json!({"Records": [record(1), record(2)]});
    for _ in 0..2 {
        let done = fixture.bench.stack.invoke("deliver-webhook", batch.clone()).await.unwrap();
        assert_eq!(done, json!({"batchItemFailures": []}));
    }
    let (since, until) = (fixture.bench.now() - Duration::hours(1), fixture.bench.now() + Duration::hours(1));
    let span = json!({"workspace_id": fixture.tenant.workspace_id, "since": since, "until": until});
    let _published = fixture.bench.stack.invoke("republish-events", span).await.unwrap();
    fixture.bench.drain().await;
    assert_eq!((fixture.pages.sent().len(), fixture.deliveries(&id).await.len()), (1, 1));
    // Events before a webhook's creation are not delivered to it.
    fixture.bench.advance(Duration::minutes(1));
    let (late, _) = fixture.webhook(OTHER, &["*"]).await;
    let span = json!({"workspace_id": fixture.tenant.workspace_id, "since": since, "until": until});
    let _published = fixture.bench.stack.invoke("republish-events", span).await.unwrap();
    fixture.bench.drain().await;
    assert_eq!(fixture.deliveries(&late).await, [] as [Value; 0]);
    // An invalid message is returned to the queue, and delays no other.
    let batch = json!({"Records": [{"messageId": "bad", "body": "{}"}, record(1)]});
    let done = fixture.bench.stack.invoke("deliver-webhook", batch).await.unwrap();
    assert_eq!(done, json!({"batchItemFailures": [{"itemIdentifier": "bad"}]}));
}

#[tokio::test]
async fn webhooks_receive_only_events_of_their_own_workspace() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["*"]).await;
    let neighbour = fixture.bench.tenant("Neighbour").await;
    fixture.bench.advance(Duration::seconds(1));
    let theirs = fixture.bench.post("/webhooks", &neighbour.key, json!({"url": OTHER})).await.expect(201);
    let _user = fixture.bench.user(&neighbour, "ben").await;
    fixture.bench.drain().await;
    assert_eq!((fixture.sent_to(URL).len(), fixture.sent_to(OTHER).len()), (0, 1));
    let event = text(&fixture.sent_to(OTHER)[0].json()["event_id"]);
    let path = format!("/webhooks/{}", theirs.get("webhook_id"));
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/rotate-secret")),
        (Method::GET, format!("{path}/deliveries")),
        (Method::POST, format!("{path}/deliveries/{event}/redeliver")),
        (Method::POST, format!("/webhooks/{id}/deliveries/{event}/redeliver")),
    ] {
        let body = (method != Method::GET).then(|| json!({}));
        let answer = fixture.bench.call(method, &path, Some(&fixture.tenant.key), body.as_ref()).await.expect(404);
        assert!(["webhook_not_found", "delivery_not_found"].contains(&answer.code()), "{path}");
    }
    assert_eq!(fixture.pages.sent().len(), 1);
}

#[tokio::test]
async fn a_deleted_webhook_receives_nothing_more_and_leaves_no_secret() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["*"]).await;
    fixture.answer(500);
    let _user = fixture.new_user("ada").await;
    let sent = fixture.pages.sent().len();
    fixture.pages.answer_ok("");
    let deletion = fixture.bench.delete(&format!("/webhooks/{id}"), &fixture.tenant.key).await.expect(200);
    assert_eq!(deletion.get("webhook_id"), id);
    let _user = fixture.new_user("bob").await;
    fixture.bench.advance(Duration::hours(1));
    let _run = fixture.schedule().await;
    assert_eq!(fixture.pages.sent().len(), sent);
    assert!(rows::all(&fixture.bench, rows::SECRETS).is_empty());
    assert!(!rows::all(&fixture.bench, rows::MAIN).keys().any(|key| key.contains("DELIVER")));
    assert_eq!(
        fixture.bench.get(&format!("/webhooks/{id}"), &fixture.tenant.key).await.expect(404).code(),
        "webhook_not_found"
    );
    // In the middle of a call as well.
    let (id, _) = fixture.webhook(URL, &["*"]).await;
    fixture.answer(500);
    let received = Arc::new(Mutex::new(Vec::new()));
    fixture.pages.meanwhile({
        let received = Arc::clone(&received);
        move || received.lock().unwrap().push(())
    });
    let _user = fixture.new_user("cyd").await;
    let _deleted = fixture.bench.delete(&format!("/webhooks/{id}"), &fixture.tenant.key).await.expect(200);
    fixture.bench.drain().await;
    let calls = received.lock().unwrap().len();
    fixture.bench.advance(Duration::days(2));
    let _run = fixture.schedule().await;
    assert_eq!(received.lock().unwrap().len(), calls);
}

#[tokio::test]
async fn pending_events_are_not_delivered_once_their_webhook_is_disabled_or_deleted() {
    let fixture = Fixture::with_receivers().await;
    let (off, _) = fixture.webhook(URL, &["user.created"]).await;
    let (gone, _) = fixture.webhook(OTHER, &["user.created"]).await;
    let path = |id: &str| format!("/webhooks/{id}");
    let end = async || {
        let off = fixture.patch(&path(&off), json!({"enabled": false})).await.expect(200);
        let _deleted = fixture.bench.delete(&path(&gone), &fixture.tenant.key).await;
        off
    };
    // One event waits for its retry, and one is not delivered yet.
    fixture.answer(500);
    let _user = fixture.new_user("ada").await;
    let _created = fixture.user("bea").await;
    let calls = fixture.pages.sent().len();
    assert!(calls >= 2);
    let _off = end().await;
    fixture.pages.answer_ok("thank you");
    fixture.bench.drain().await;
    for _ in 0..3 {
        fixture.bench.advance(Duration::hours(6));
        let run = fixture.schedule().await;
        assert_eq!(run["failed"], 0);
    }
    assert_eq!(fixture.pages.sent().len(), calls);
    let states: Vec<String> = fixture.deliveries(&off).await.iter().map(|delivery| text(&delivery["state"])).collect();
    assert_eq!(states, ["canceled"]);
}

#[tokio::test]
async fn a_response_of_ten_megabytes_is_truncated() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    fixture.pages.answer_ok(vec![b'x'; 10 * 1024 * 1024]);
    let _user = fixture.new_user("ada").await;
    let delivery = fixture.deliveries(&id).await.remove(0);
    assert_eq!((&delivery["state"], text(&delivery["last_attempt"]["reply"])), (&json!("succeeded"), "x".repeat(256)));
}

#[tokio::test]
async fn a_webhook_is_created_once_with_its_secret_and_there_are_at_most_twenty() {
    let fixture = Fixture::with_receivers().await;
    let once = async |url: &str| {
        let request = Request::builder().method(Method::POST).uri("/webhooks").header("idempotency-key", "one");
        let request = request.header("authorization", format!("Bearer {}", fixture.tenant.key));
        fixture.bench.send(request.body(json!({"url": url}).to_string().into_bytes()).unwrap()).await
    };
    let created = once(URL).await.expect(201);
    assert!(created.get("secret").starts_with("whsec_"));
    let repeated = once(URL).await.expect(409);
    assert_eq!((repeated.code(), &repeated.body["id"]), ("already_created", &json!(created.get("webhook_id"))));
    assert!(!repeated.text.contains("whsec_"));
    let _other = once(OTHER).await.expect(422);
    for n in 1..20 {
        let _created = fixture.post("/webhooks", json!({"url": format!("{OTHER}/{n}")})).await.expect(201);
    }
    assert_eq!(fixture.post("/webhooks", json!({"url": OTHER})).await.expect(409).code(), "too_many_webhooks");
    assert_eq!(fixture.post("/webhooks/create", json!({"url": OTHER})).await.expect(409).body["ok"], false);
    let listed = fixture.all("/webhooks").await;
    assert_eq!(listed.len(), 20);
    assert!(!json!(listed).to_string().contains("whsec_"));
}

#[tokio::test]
async fn a_webhooks_events_contain_its_host_and_never_the_rest_of_its_url() {
    let fixture = Fixture::with_receivers().await;
    let (id, secret) = fixture.webhook(URL, &["user.created"]).await;
    let (_watching, _) = fixture.webhook(OTHER, &["*"]).await;
    let path = format!("/webhooks/{id}");
    let edit = json!({"url": "https://moved.example.com/secret-path", "description": "Markerwords"});
    let _edited = fixture.patch(&path, edit.clone()).await.expect(200);
    let same = fixture.patch(&path, edit).await.expect(200);
    assert_eq!(same.get("description"), "Markerwords");
    let off = json!({"enabled": false, "description": null});
    let off = fixture.patch(&path, off).await.expect(200).body;
    assert_eq!((&off["disabled"]["reason"], &off["description"]), (&json!("by_admin"), &Value::Null));
    let _rotated = fixture.post(&format!("{path}/rotate-secret"), json!({})).await.expect(200);
    let _deleted = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    fixture.bench.drain().await;
    let types: Vec<String> = fixture.bench.event_types(&fixture.tenant).await;
    let mut types: Vec<&str> = types.iter().map(String::as_str).filter(|name| name.starts_with("webhook.")).collect();
    types.sort_unstable();
    let (made, updated) = ("webhook.created", "webhook.updated");
    let expected = [made, made, "webhook.deleted", "webhook.secret_rotated", updated, updated];
    assert_eq!(types, expected);
    let events = json!(fixture.all("/events").await).to_string();
    let requests: Vec<String> = fixture.sent_to(OTHER).into_iter().map(|sent| sent.body).collect();
    assert_eq!(requests.len(), 4);
    assert!(events.contains("moved.example.com") && events.contains("hooks.example.com"));
    for text in requests.iter().chain([&events]) {
        for secret in ["only-for-them", "secret-path", "Markerwords", secret.as_str(), "whsec_"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[tokio::test]
async fn a_slow_or_broken_receiver_delays_no_other() {
    let fixture = Fixture::with_receivers().await;
    let (slow, _) = fixture.webhook(URL, &["user.created"]).await;
    let (quick, _) = fixture.webhook(OTHER, &["user.created"]).await;
    fixture.pages.answer_at(URL, Answers::Never);
    for n in 0..12 {
        let _user = fixture.user(&format!("ada{n}")).await;
    }
    fixture.bench.drain().await;
    let states = async |id: &str| {
        let states = fixture.deliveries(id).await.into_iter().map(|delivery| text(&delivery["state"]));
        states.collect::<Vec<String>>()
    };
    assert_eq!(states(&quick).await, vec!["succeeded"; 12]);
    assert_eq!(states(&slow).await, vec!["pending"; 12]);
    // A receiver that never answers is skipped after some calls, until the next run.
    let before = fixture.sent_to(URL).len();
    fixture.bench.advance(Duration::minutes(20));
    assert_eq!(fixture.schedule().await, json!({"done": 10, "failed": 0, "late_seconds": 0}));
    assert_eq!(fixture.sent_to(URL).len(), before + 10);
    assert_eq!(fixture.schedule().await["done"], 2);
    // New events are not delivered to it by the queue's runs, which would delay others.
    let before = fixture.sent_to(URL).len();
    let _user = fixture.new_user("later").await;
    let waiting = fixture.deliveries(&slow).await.remove(0);
    assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("pending"), &json!(0)));
    assert_eq!((fixture.sent_to(URL).len(), fixture.deliveries(&quick).await.len()), (before, 13));
    fixture.pages.answer_at(URL, Answers::With(204, Vec::new(), Vec::new()));
    assert_eq!(fixture.schedule().await["done"], 1);
    assert_eq!(fixture.deliveries(&slow).await[0]["state"], "succeeded");
}

#[tokio::test]
async fn while_ten_runs_call_a_workspaces_webhooks_the_schedule_makes_its_other_deliveries() {
    let fixture = Fixture::with_receivers().await;
    let (id, _) = fixture.webhook(URL, &["user.created"]).await;
    let workspace = &fixture.tenant.workspace_id;
    let held_until = Time::from(fixture.bench.now()).plus(LEASE_DURATION);
    for number in 0..CALLING_RUNS {
        let (pk, sk) = (format!("CALLSLOT#{workspace}#{number:02}"), "SLOT");
        let slot = json!({"pk": pk, "sk": sk, "workspace_id": workspace, "number": number, "held_until": held_until, "version": 3});
        rows::put(&fixture.bench, rows::MAIN, &slot, &[]);
    }
    let _user = fixture.new_user("ada").await;
    assert_eq!(fixture.sent_to(URL).len(), 0);
    let waiting = fixture.deliveries(&id).await.remove(0);
    assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("pending"), &json!(0)));
    assert_eq!(fixture.schedule().await["done"], 1);
    assert_eq!(fixture.deliveries(&id).await[0]["state"], "succeeded");
    // The runs were interrupted.
    fixture.bench.advance(LEASE_DURATION);
    let _user = fixture.new_user("bob").await;
    assert_eq!(fixture.sent_to(URL).len(), 2);
    let slots = rows::all(&fixture.bench, rows::MAIN).into_keys().filter(|key| key.starts_with("CALLSLOT#")).count();
    assert_eq!(slots, usize::from(CALLING_RUNS) - 1, "a run gives its slot back");
}

/// The requests of a real receiver on this machine: path, headers and body.
type Received = UnboundedReceiver<(String, HeaderMap, String)>;

async fn receiver() -> (String, Received) {
    let (sender, received) = unbounded_channel();
    let note = |path: &'static str, status: StatusCode| {
        let sender = sender.clone();
        post(move |headers: HeaderMap, body: String| async move {
            sender.send((path.to_owned(), headers, body)).unwrap();
            (status, [("location", "/elsewhere")], "as you like")
        })
    };
    let router = Router::new()
        .route("/here", note("/here", StatusCode::OK))
        .route("/moved", note("/moved", StatusCode::FOUND))
        .route("/elsewhere", note("/elsewhere", StatusCode::OK));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}

#[tokio::test]
async fn loopback_addresses_are_called_only_if_the_program_allows_them() {
    let (url, mut received) = receiver().await;
    let reaching: Adjust = Arc::new(|_, mut connection| {
        connection.webhooks = EgressPolicy::Loopback;
        connection
    });
    let bench = Setup::new().with(reaching).start().await;
    let tenant = bench.tenant("House").await;
    let (here, moved) = (format!("{url}/here"), format!("{url}/moved").replace("127.0.0.1", "localhost"));
    let mut ids = Vec::new();
    for url in [&here, &moved] {
        let body = json!({"url": url, "event_types": ["user.created"]});
        ids.push(bench.post("/webhooks", &tenant.key, body).await.expect(201).get("webhook_id"));
    }
    let inside = json!({"url": "https://10.0.0.1/"});
    assert_eq!(bench.post("/webhooks", &tenant.key, inside).await.expect(422).body["errors"][0]["code"], "not_public");
    let _user = bench.user(&tenant, "ada").await;
    // Invoked directly, since five seconds pass before the second attempt.
    let event = bench.get("/events?event_type=user.created", &tenant.key).await.expect(200).body["items"][0].clone();
    let batch = json!({"Records": [{"messageId": "1", "body": event.to_string()}]});
    let run = bench.stack.invoke("deliver-webhook", batch);
    let calls = async { [received.recv().await.unwrap(), received.recv().await.unwrap()] };
    let received = tokio::select! {
        both = calls => both,
        ended = run => panic!("the run ended before both were called: {ended:?}"),
    };
    let paths: BTreeSet<&str> = received.iter().map(|(path, _, _)| path.as_str()).collect();
    assert_eq!(paths, ["/here", "/moved"].into(), "a redirect is not followed");
    let (_, headers, body) = &received[0];
    let delivered: Value = serde_json::from_str(body).unwrap();
    assert_eq!(headers["svix-id"].to_str().unwrap(), text(&event["event_id"]));
    assert_eq!(delivered["event_type"], "user.created");
}

#[tokio::test]
async fn no_environment_variable_allows_webhooks_to_private_addresses() {
    let all = functions::Settings::from_variables(|name| match name {
        "AWS_REGION" => Some("eu-central-1".to_owned()),
        "RETENTION_DAYS" | "INVITATION_DAYS" | "CHECK_IN_MINUTES" | "EMAILS_PER_DAY" | "TEXTS_PER_DAY"
        | "EMAILS_PER_SECOND" | "TEXTS_PER_SECOND" | "RANGES_PER_JOB" => Some("7".to_owned()),
        "EVENT_SHARDS" => Some("8".to_owned()),
        "TEXT_CALLING_CODES" => Some("+49".to_owned()),
        "PUBLIC_URL" => Some("https://phones.example".to_owned()),
        _ => Some("true".to_owned()),
    })
    .unwrap();
    let connection = aws::Connection::new(all.region.clone(), all.credentials.clone());
    let state = functions::AppState::new(all, aws::Clients::new(&connection), functions::Clock::system());
    assert_eq!(state.webhook_policy(), EgressPolicy::Public);
}
