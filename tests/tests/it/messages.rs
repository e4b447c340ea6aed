//! Limits of messages per recipient and per workspace, also under concurrent requests.

use chrono::{DateTime, Duration, Utc};
use futures::future::join_all;
use http::Method;
use local::messaging::Channel;
use serde_json::{Value, json};
use testkit::{Answer, Bench, Setup, Tenant};

async fn user(bench: &Bench, tenant: &Tenant, username: &str, more: Value) -> String {
    let mut body = json!({"username": username});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    bench.post("/users", &tenant.key, body).await.expect(201).get("user_id")
}

async fn create_users(bench: &Bench, tenant: &Tenant, count: usize) -> Vec<String> {
    let make = async |number: usize| {
        let email = format!("user{number}@example.com");
        user(bench, tenant, &format!("user{number}"), json!({"email": email})).await
    };
    let mut created = Vec::new();
    for number in 0..count {
        created.push(make(number).await);
    }
    created
}

async fn invite(bench: &Bench, tenant: &Tenant, user: &str, channel: &str) -> Answer {
    bench.post(&format!("/users/{user}/invite"), &tenant.key, json!({"channel": channel})).await
}

/// Asserts that a response rejects with this code and this time to wait, in its body and its header.
fn expect_rejected_until(answer: &Answer, code: &str, bench: &Bench, wait: Duration) {
    assert_eq!((answer.status.as_u16(), answer.code()), (429, code), "{}", answer.text);
    let until: DateTime<Utc> = answer.get("retry_at").parse().unwrap();
    assert_eq!(until, bench.now() + wait, "{}", answer.text);
    assert_eq!(answer.headers["retry-after"], wait.num_seconds().to_string().as_str());
}

#[tokio::test]
async fn a_recipient_gets_at_most_one_message_of_a_kind_a_minute_and_five_a_day_in_total() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let to = json!({"email": "Ann@example.com", "mobile": "+49 170 1234567"});
    let one = user(&bench, &tenant, "one", to).await;
    let two = user(&bench, &tenant, "two", json!({"email": "ann@EXAMPLE.com", "mobile": "+491701234567"})).await;
    let _first = invite(&bench, &tenant, &one, "email").await.expect(202);
    for again in [&one, &two] {
        expect_rejected_until(
            &invite(&bench, &tenant, again, "email").await,
            "too_many_messages",
            &bench,
            Duration::minutes(1),
        );
    }
    // Of another channel, of another kind, in another workspace.
    let _text = invite(&bench, &tenant, &two, "sms").await.expect(202);
    expect_rejected_until(
        &invite(&bench, &tenant, &one, "sms").await,
        "too_many_messages",
        &bench,
        Duration::minutes(1),
    );
    let deploy = async |user: &str| bench.post(&format!("/users/{user}/deploy"), &tenant.key, json!({})).await;
    let _deployed = deploy(&one).await.expect(202);
    expect_rejected_until(&deploy(&two).await, "too_many_messages", &bench, Duration::minutes(1));
    let other = bench.tenant("Other").await;
    let theirs = user(&bench, &other, "ann", json!({"email": "ann@example.com"})).await;
    let _theirs = invite(&bench, &other, &theirs, "email").await.expect(202);
    // Five a day.
    for _ in 0..4 {
        bench.advance(Duration::minutes(1));
        let _again = invite(&bench, &tenant, &two, "email").await.expect(202);
    }
    bench.advance(Duration::minutes(1));
    let wait = Duration::days(1) - Duration::minutes(5);
    expect_rejected_until(&invite(&bench, &tenant, &one, "email").await, "too_many_messages", &bench, wait);
    bench.advance(wait);
    let _next = invite(&bench, &tenant, &one, "email").await.expect(202);
    // No row contains the address or the number.
    let rows = testkit::rows::all(&bench, testkit::rows::MAIN);
    let counts = rows.iter().filter(|(key, _)| key.starts_with("SENT#"));
    for (key, row) in counts {
        let row_text = format!("{key} {row}").to_lowercase();
        assert!(!row_text.contains("ann@") && !row_text.contains("1701234567"), "{row_text}");
    }
}

#[tokio::test]
async fn of_concurrent_invitations_one_is_sent_and_the_others_are_rejected() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let ann = user(&bench, &tenant, "ann", json!({"mobile": "+491701234567"})).await;
    let bob = user(&bench, &tenant, "bob", json!({"mobile": "+491701234567"})).await;
    let answers = join_all((0..10).map(|n| invite(&bench, &tenant, if n % 2 == 0 { &ann } else { &bob }, "sms"))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [202, 429].contains(status)), "{statuses:?}");
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Sms).len(), 1);
}

#[tokio::test]
async fn a_daily_quota_is_exact_under_concurrent_requests() {
    let bench = Setup::new().parameter("EmailsPerDay", "100").start().await;
    let tenant = bench.tenant("Acme").await;
    let above = bench.patch("/workspace", &tenant.key, json!({"emails_per_day": 101})).await.expect(422);
    assert_eq!(above.body["errors"][0]["code"], "out_of_range");
    let shown = bench.get("/workspace", &tenant.key).await.expect(200);
    assert_eq!((&shown.body["emails_per_day"], &shown.body["texts_per_day"]), (&json!(100), &json!(10_000)));
    let shown = bench.patch("/workspace", &tenant.key, json!({"emails_per_day": 19})).await.expect(200);
    assert_eq!(shown.body["emails_per_day"], 19);
    let users = create_users(&bench, &tenant, 30).await;
    let answers = join_all(users.iter().map(|user| invite(&bench, &tenant, user, "email"))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 19);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        // The test's clock starts at eight.
        expect_rejected_until(answer, "daily_quota_reached", &bench, Duration::hours(16));
    }
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Email).len(), 19);
    // Another workspace has its own; the next day is a new one.
    let other = bench.tenant("Other").await;
    let theirs = user(&bench, &other, "ann", json!({"email": "ann@example.com"})).await;
    let _theirs = invite(&bench, &other, &theirs, "email").await.expect(202);
    bench.advance(Duration::hours(16));
    let remaining = users.iter().zip(&answers).find(|(_, answer)| answer.status == 429).unwrap().0;
    let _next = invite(&bench, &tenant, remaining, "email").await.expect(202);
}

#[tokio::test]
async fn texts_are_sent_only_to_the_operators_calling_codes() {
    let bench = Setup::new().parameter("TextCallingCodes", "+49").start().await;
    let tenant = bench.tenant("Acme").await;
    let near = user(&bench, &tenant, "near", json!({"mobile": "+491701234567"})).await;
    let far = user(&bench, &tenant, "far", json!({"mobile": "+8821612345678", "email": "far@example.com"})).await;
    let _near = invite(&bench, &tenant, &near, "sms").await.expect(202);
    let refused = invite(&bench, &tenant, &far, "sms").await.expect(409);
    assert_eq!(refused.code(), "calling_code_not_allowed");
    let _by_mail = invite(&bench, &tenant, &far, "email").await.expect(202);
    let bulk = json!({"action": "invite", "channel": "sms", "ids": [far]});
    let bulk = bench.post("/users/bulk", &tenant.key, bulk).await.expect(207);
    assert_eq!(bulk.body["items"][0]["code"], "calling_code_not_allowed");
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Sms).len(), 1);
    let bench = Setup::new().parameter("TextCallingCodes", "").start().await;
    let tenant = bench.tenant("Acme").await;
    let near = user(&bench, &tenant, "near", json!({"mobile": "+491701234567"})).await;
    let refused = invite(&bench, &tenant, &near, "sms").await.expect(409);
    assert_eq!(refused.code(), "texts_off");
    assert!(refused.get("detail").contains("Texts are off"));
}

async fn job(bench: &Bench, tenant: &Tenant, id: &str) -> Value {
    bench.get(&format!("/jobs/{id}"), &tenant.key).await.expect(200).body
}

#[tokio::test]
async fn a_job_that_reaches_the_quota_shows_it_and_continues_the_next_day() {
    let bench = Setup::new().parameter("EmailsPerDay", "20").start().await;
    let tenant = bench.tenant("Acme").await;
    let users = create_users(&bench, &tenant, 25).await;
    let tried = json!({"action": "invite", "channel": "email", "ids": users, "dry_run": true});
    let tried = bench.post("/users/bulk", &tenant.key, tried).await.expect(200);
    assert_eq!(tried.body["progress"]["changed"], 25);
    for (selection, which) in [(json!({"ids": users}), "ids"), (json!({"filter": {}}), "filter")] {
        let mut body = selection;
        body["action"] = json!("invite");
        body["channel"] = json!("email");
        let started = bench.post("/users/bulk", &tenant.key, body).await.expect(202);
        let id = started.get("job_id");
        bench.run_due().await;
        let shown = job(&bench, &tenant, &id).await;
        assert_eq!((&shown["state"], &shown["progress"]["changed"]), (&json!("running"), &json!(20)), "{which}");
        assert_eq!(shown["progress"]["failed"], 0, "{which}");
        assert_eq!(shown["waiting"]["code"], "daily_quota_reached", "{which}");
        let until: DateTime<Utc> = shown["waiting"]["until"].as_str().unwrap().parse().unwrap();
        assert_eq!(until.time(), chrono::NaiveTime::MIN, "{which}: midnight");
        bench.set_clock(until - Duration::seconds(1));
        bench.run_due().await;
        assert_eq!(job(&bench, &tenant, &id).await["progress"]["changed"], 20, "{which}: not earlier");
        bench.set_clock(until);
        bench.run_due().await;
        let finished_job = job(&bench, &tenant, &id).await;
        assert_eq!(
            (&finished_job["state"], &finished_job["progress"]["changed"]),
            (&json!("finished"), &json!(25)),
            "{which}"
        );
        assert_eq!(finished_job["waiting"], Value::Null);
        bench.drain().await;
        bench.set_clock(until + Duration::days(1));
    }
    assert_eq!(bench.sent(Channel::Email).len(), 50);
    // While it waits, it can be canceled.
    let body = json!({"action": "invite", "channel": "email", "ids": users});
    let id = bench.post("/users/bulk", &tenant.key, body).await.expect(202).get("job_id");
    let canceled = bench.delete(&format!("/jobs/{id}"), &tenant.key).await.expect(200);
    assert_eq!((&canceled.body["state"], &canceled.body["progress"]["changed"]), (&json!("canceled"), &json!(20)));
    bench.advance(Duration::days(1));
    bench.run_due().await;
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Email).len(), 70);
}

#[tokio::test]
async fn a_job_continues_with_other_users_while_one_recipient_has_to_wait() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let mut users = Vec::new();
    for (name, email) in [("a", "team@example.com"), ("b", "Team@example.com"), ("c", "c@example.com")] {
        users.push(user(&bench, &tenant, name, json!({"email": email})).await);
    }
    let body = json!({"action": "invite", "channel": "email", "ids": users});
    let started = bench.post("/users/bulk", &tenant.key, body).await.expect(202);
    assert_eq!((&started.body["state"], &started.body["progress"]["changed"]), (&json!("running"), &json!(2)));
    assert_eq!(started.body["waiting"]["code"], "too_many_messages");
    let items: Vec<&str> = started.body["items"].as_array().unwrap().iter().filter_map(|i| i["id"].as_str()).collect();
    assert_eq!(items, [users[0].as_str(), users[2].as_str()]);
    bench.run_due().await;
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Email).len(), 2, "not before a minute has passed");
    bench.advance(Duration::minutes(1));
    bench.run_due().await;
    let finished_job = job(&bench, &tenant, &started.get("job_id")).await;
    assert_eq!((&finished_job["state"], &finished_job["progress"]["changed"]), (&json!("finished"), &json!(3)));
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Email).len(), 3);
}

#[tokio::test]
async fn a_rename_is_not_rejected_by_message_limits_and_its_email_follows_later() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let ann = user(&bench, &tenant, "ann", json!({"email": "ann@example.com"})).await;
    let _deployment = bench.post(&format!("/users/{ann}/deploy"), &tenant.key, json!({})).await.expect(202);
    bench.drain().await;
    let path = format!("/users/{ann}");
    let renamed = bench.patch(&path, &tenant.key, json!({"username": "anne"})).await.expect(200);
    assert_eq!(renamed.get("username"), "anne");
    bench.run_due().await;
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Email).len(), 1, "not within the minute");
    // A suspended user gets it after the activation.
    let _suspended = bench.post(&format!("{path}/suspend"), &tenant.key, json!({})).await.expect(200);
    bench.advance(Duration::minutes(1));
    for _ in 0..2 {
        bench.run_due().await;
        bench.drain().await;
    }
    assert_eq!(bench.sent(Channel::Email).len(), 1);
    let _activated = bench.post(&format!("{path}/activate"), &tenant.key, json!({})).await.expect(200);
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Email).len(), 2);
    // And by the schedule.
    let _renamed = bench.patch(&path, &tenant.key, json!({"username": "anna"})).await.expect(200);
    let events = bench.event_types(&tenant).await;
    let started = |events: &[String]| events.iter().filter(|kind| *kind == "deployment.started").count();
    assert_eq!(started(&events), 2);
    bench.advance(Duration::minutes(1));
    bench.run_due().await;
    bench.run_due().await;
    bench.drain().await;
    assert_eq!(started(&bench.event_types(&tenant).await), 3);
    assert_eq!(bench.sent(Channel::Email).len(), 3);
}

#[tokio::test]
async fn a_greeting_never_contains_what_looks_like_a_link() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let link = "Claim at evil.com/now";
    for (name, body) in [
        ("link", json!({"first_name": link, "last_name": "X", "email": "a@example.com"})),
        ("whole", json!({"last_name": "www.evil.com", "email": "b@example.com"})),
        ("evil.com", json!({"email": "c@example.com"})),
        ("plain", json!({"first_name": "Ada", "email": "d@example.com"})),
    ] {
        let id = user(&bench, &tenant, name, body).await;
        for path in ["invite", "deploy"] {
            let body = if path == "invite" { json!({"channel": "email"}) } else { json!({}) };
            let _sent = bench.call(Method::POST, &format!("/users/{id}/{path}"), Some(&tenant.key), Some(&body)).await;
            bench.drain().await;
            let mail = bench.sent(Channel::Email).into_iter().next().unwrap();
            let (text, html) = (mail.text.unwrap_or_default(), mail.html.unwrap_or_default());
            let greeting = if name == "plain" { "Hello Ada," } else { "Hello," };
            assert!(text.starts_with(greeting) && html.contains(&format!(">{greeting}<")), "{text}");
            assert!(!text.contains("evil") && !html.contains("evil"), "{text}");
        }
    }
}
