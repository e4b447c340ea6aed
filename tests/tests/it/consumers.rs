//! Consumers of events: messages, pushes and feedback; and the schedules: due work and the purge.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::Duration;
use http::{Method, Request};
use local::messaging::Channel;
use local::queue::Retry;
use serde_json::{Value, json};
use testkit::faults::{Fault, FaultDuration, Faults, InjectedFault};
use testkit::request_recorder::RequestRecorder;
use testkit::{Bench, Setup, Tenant, rows};

async fn user_of(bench: &Bench, tenant: &Tenant, email: &str, username: &str) -> String {
    let body = json!({"username": username, "first_name": "Bo", "email": email});
    bench.post("/users", &tenant.key, body).await.expect(201).get("user_id")
}

async fn invite_by_email(bench: &Bench, tenant: &Tenant, user: &str) -> Value {
    let path = format!("/users/{user}/invite");
    let _accepted = bench.post(&path, &tenant.key, json!({"channel": "email"})).await.expect(202);
    bench.drain().await;
    bench.get(&format!("/users/{user}"), &tenant.key).await.expect(200).body["invitation"].clone()
}

/// Invites a user by text, and returns the user and the invitation after delivery.
async fn invite_by_text(bench: &Bench, tenant: &Tenant, username: &str, mobile: &str) -> (String, Value) {
    let body = json!({"username": username, "first_name": "Bo", "last_name": "Beck", "mobile": mobile});
    let user = bench.post("/users", &tenant.key, body).await.expect(201).get("user_id");
    let path = format!("/users/{user}/invite");
    let _accepted = bench.post(&path, &tenant.key, json!({"channel": "sms"})).await.expect(202);
    bench.drain().await;
    let shown = invitation_of(bench, tenant, &user).await;
    (user, shown)
}

async fn invitation_of(bench: &Bench, tenant: &Tenant, user: &str) -> Value {
    bench.get(&format!("/users/{user}"), &tenant.key).await.expect(200).body["invitation"].clone()
}

async fn device(bench: &Bench, tenant: &Tenant, id: &str) -> Value {
    bench.get(&format!("/devices/{id}"), &tenant.key).await.expect(200).body
}

#[tokio::test]
async fn an_invitation_is_mailed_once_with_its_link_as_text_as_html_and_as_a_qr_code() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let user = user_of(&bench, &tenant, "bo@example.com", "bo").await;
    let invitation = invite_by_email(&bench, &tenant, &user).await;
    assert_eq!(invitation["delivery"]["state"], "delivered");
    let mails = bench.sent(Channel::Email);
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    let code = bench.newest_code().unwrap();
    assert_eq!(mail.to, "bo@example.com");
    assert!(mail.text.as_ref().unwrap().contains(&format!("/i/{code}")));
    assert!(mail.html.as_ref().unwrap().contains(&format!("/i/{code}")));
    assert!(mail.html.as_ref().unwrap().contains("cid:invitation-qr"));
    assert_eq!(mail.attachments.len(), 1);
    assert!(mail.html.as_ref().unwrap().len() < 100 * 1024);
    assert!(!mail.subject.as_deref().unwrap_or_default().contains("Bo"), "a subject contains no name");
}

#[tokio::test]
async fn a_new_invitation_ends_the_earlier_code() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let user = bench.user(&tenant, "ada").await;
    let older = bench.invite(&tenant, &user, 1).await;
    let newer = bench.invite(&tenant, &user, 1).await;
    let refused = bench.register(&older, "phone").await.expect(410);
    assert_eq!(refused.code(), "code_superseded");
    let _registered = bench.register(&newer, "phone").await.expect(201);
}

#[tokio::test]
async fn an_invitation_superseded_before_its_message_is_sent_sends_none() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let user = bench.user(&tenant, "ada").await;
    let path = format!("/users/{user}/invite");
    for _ in 0..3 {
        let _accepted =
            bench.post_after_message_limit(&path, &tenant.key, json!({"channel": "email"})).await.expect(202);
    }
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Email).len(), 1);
    let _registered = bench.register(&bench.newest_code().unwrap(), "phone").await.expect(201);
}

#[tokio::test]
async fn no_message_is_sent_for_an_invitation_or_deployment_that_has_ended() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let key = &tenant.key;
    let offers = [
        ("invite", json!({"channel": "email"}), "invitation_id", "/users/{user}/invitations/{id}"),
        ("invite", json!({"channel": "sms"}), "invitation_id", "/users/{user}/invitations/{id}"),
        ("deploy", json!({}), "deployment_id", "/deployments/{id}"),
    ];
    for (at, (offer, body, name, path)) in offers.iter().enumerate() {
        for end in ["nothing", "taken back", "another address", "a user who is deleted", "its time"] {
            bench.stack.messaging().clear();
            let user = bench.user(&tenant, &format!("ada-{at}-{}", end.replace(' ', "-"))).await;
            let own = json!({"mobile": format!("+49170{at}{:06}", end.len())});
            let _updated = bench.patch(&format!("/users/{user}"), key, own).await.expect(200);
            let created = bench.post(&format!("/users/{user}/{offer}"), key, body.clone()).await.expect(202);
            match end {
                "taken back" => {
                    let path = path.replace("{user}", &user).replace("{id}", &created.get(name));
                    let _deleted = bench.delete(&path, key).await.expect(200);
                }
                "another address" => {
                    let moved = json!({"email": "elsewhere@example.com", "mobile": "+4917099999999"});
                    let _updated = bench.patch(&format!("/users/{user}"), key, moved).await.expect(200);
                }
                "a user who is deleted" => {
                    let _deleted = bench.delete(&format!("/users/{user}"), key).await.expect(200);
                }
                "its time" => bench.advance(Duration::days(8)),
                _ => {}
            }
            bench.drain().await;
            let sent = bench.sent(Channel::Email).len() + bench.sent(Channel::Sms).len();
            assert_eq!(sent, usize::from(end == "nothing"), "{offer} {body}, ended by {end}");
            // Nor is its code kept any longer.
            let secret = format!("INVITATION#{}", created.get(name));
            let is_kept = rows::all(&bench, rows::SECRETS).contains_key(&secret);
            assert_eq!(is_kept, ["nothing", "its time"].contains(&end), "{offer} {body}, ended by {end}");
        }
    }
}

#[tokio::test]
async fn an_idempotency_key_with_another_user_is_another_request() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (ada, bea) = (bench.user(&tenant, "ada").await, bench.user(&tenant, "bea").await);
    let invite = async |user: &str| {
        let request = Request::builder().method(Method::POST).uri(format!("/users/{user}/invite"));
        let request =
            request.header("authorization", format!("Bearer {}", tenant.key)).header("idempotency-key", "one");
        bench.send(request.body(br#"{"channel": "email"}"#.to_vec()).unwrap()).await
    };
    let first = invite(&ada).await.expect(202);
    assert_eq!(invite(&ada).await.expect(202).get("invitation_id"), first.get("invitation_id"));
    assert_eq!(invite(&bea).await.expect(422).code(), "idempotency_mismatch");
}

#[tokio::test]
async fn a_deleted_phone_is_woken_by_its_deletion_and_not_by_earlier_events_of_its_user() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 2).await;
    bench.drain().await;
    bench.stack.messaging().clear();
    let _suspended = bench.post(&format!("/users/{user}/suspend"), &tenant.key, json!({})).await.expect(200);
    let _deleted = bench.delete(&format!("/devices/{}", phones[0].0), &tenant.key).await.expect(200);
    bench.drain().await;
    let mut kinds: Vec<Vec<String>> = pushed_events(&bench).into_values().collect();
    kinds.sort();
    assert_eq!(kinds, [["device.deleted"], ["user.suspended"]]);
}

#[tokio::test]
async fn events_record_the_device_or_code_as_their_actor() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let key = &tenant.key;
    let user = bench.user(&tenant, "ada").await;
    let code = bench.invite(&tenant, &user, 1).await;
    let _opened = bench.call(Method::POST, &format!("/i/{code}"), None, None).await.expect(303);
    let registered = bench.register(&code, "phone").await.expect(201);
    let (id, credential) = (registered.body["device"]["device_id"].as_str().unwrap(), registered.get("credential"));
    let lock = bench.post(&format!("/devices/{id}/lock"), key, json!({})).await.expect(202).get("command_id");
    let news = json!({"app_version": "5.0.0"});
    let _check_in = bench.check_in_with(&credential, news).await.expect(200);
    let _reported = bench.report_command(&credential, &lock, "succeeded").await.expect(200);
    let _deployment = bench.post(&format!("/users/{user}/deploy"), key, json!({})).await.expect(202);
    let _config = bench.download(&credential).await.expect(200);
    let events = bench.list_all(&tenant, &format!("/events?user_id={user}")).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let by = |event: &Value| (text(&event["event_type"]), text(&event["actor"]["type"]));
    let actors: BTreeMap<String, String> = events.iter().map(by).collect();
    let expected = [
        ("user.created", "key"),
        ("user.invited", "key"),
        ("invitation.sent", "system"),
        ("invitation.delivered", "system"),
        ("invitation.opened", "invitation"),
        ("device.registered", "invitation"),
        ("command.queued", "key"),
        ("device.confirmed", "device"),
        ("command.delivered", "device"),
        ("command.succeeded", "device"),
        ("deployment.started", "key"),
        ("device.config_served", "device"),
    ];
    assert_eq!(actors, expected.map(|(event, actor)| (event.to_owned(), actor.to_owned())).into());
}

#[tokio::test]
async fn the_mail_services_reports_are_shown_on_the_invitation() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    for (email, state) in
        [("bounce@simulator.amazonses.com", "bounced"), ("complaint@simulator.amazonses.com", "complained")]
    {
        let user = user_of(&bench, &tenant, email, state).await;
        assert_eq!(invite_by_email(&bench, &tenant, &user).await["delivery"]["state"], state);
    }
}

#[tokio::test]
async fn an_invitation_is_texted_once_without_personal_data_and_its_code_registers() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (_user, invitation) = invite_by_text(&bench, &tenant, "bo", "+49 170 1234567").await;
    assert_eq!((&invitation["channel"], &invitation["delivery"]["state"]), (&json!("sms"), &json!("delivered")));
    let texts = bench.sent(Channel::Sms);
    assert_eq!((texts.len(), bench.sent(Channel::Email).len()), (1, 0));
    let text = texts[0].text.as_ref().unwrap();
    let code = bench.newest_code().unwrap();
    assert_eq!(texts[0].to, "+491701234567");
    assert!(text.ends_with(&format!("/i/{code}")), "{text}");
    assert!(["Bo", "Beck", "bo ", "170", "Acme"].iter().all(|personal| !text.contains(personal)), "{text}");
    assert_eq!(domain::sms::segments(text), 1);
    let types = bench.event_types(&tenant).await;
    for kind in ["user.invited", "invitation.sent", "invitation.delivered"] {
        assert_eq!(types.iter().filter(|recorded| *recorded == kind).count(), 1, "{kind}");
    }
    let _registered = bench.register(&code, "phone").await.expect(201);
}

#[tokio::test]
async fn a_text_needs_a_number_and_a_failed_number_is_shown() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let unreached = user_of(&bench, &tenant, "bo@example.com", "bo").await;
    let path = format!("/users/{unreached}/invite");
    let refused = bench.post(&path, &tenant.key, json!({"channel": "sms"})).await.expect(409);
    assert_eq!(refused.code(), "mobile_missing");
    let (_user, invitation) = invite_by_text(&bench, &tenant, "cleo", "+14254147167").await;
    let delivery = &invitation["delivery"];
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("failed"), &json!("carrier_blocked")));
    let events = bench.get("/events", &tenant.key).await.expect(200).text;
    assert!(!events.contains("4254147167"), "the events contain no number");
}

/// The event of CloudWatch Logs with the report of a text.
fn text_report(message_id: &str, status: &str) -> Value {
    let line = json!({
        "notification": {"messageId": message_id, "timestamp": "2026-11-23 08:00:00.000"},
        "delivery": {"destination": "+491701234567", "providerResponse": "Phone number is opted out"},
        "status": status,
    });
    let entry = local::logs::LogEntry {
        group: "sns/us-east-1/000000000000/DirectPublishToPhoneNumber".to_owned(),
        message: line.to_string(),
        timestamp: testkit::bench::START.parse().unwrap(),
    };
    let subscription = local::template::LogSubscription {
        name: "a".to_owned(),
        group: entry.group.clone(),
        operation: "record-feedback".to_owned(),
    };
    local::logs::event(&entry, &subscription, &local::template::StackLocation::default())
}

#[tokio::test]
async fn a_report_of_a_text_counts_once_and_one_of_an_unknown_text_is_dropped() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, _) = invite_by_text(&bench, &tenant, "bo", "+491701234567").await;
    let rows = testkit::rows::all(&bench, testkit::rows::MAIN);
    let messages: Vec<&String> = rows.keys().filter(|key| key.starts_with("MESSAGE#")).collect();
    assert_eq!(messages.len(), 1);
    let id = messages[0].strip_prefix("MESSAGE#").and_then(|key| key.strip_suffix(" | MESSAGE")).unwrap();
    for (id, status) in [(id, "SUCCESS"), (id, "FAILURE"), ("11111111-2222-4333-8444-555555555555", "SUCCESS")] {
        let _done = bench.stack.invoke("record-feedback", text_report(id, status)).await.unwrap();
    }
    bench.drain().await;
    assert_eq!(testkit::rows::all(&bench, testkit::rows::MAIN), rows, "nothing changed");
    assert_eq!(invitation_of(&bench, &tenant, &user).await["delivery"]["state"], "delivered");
    let broken = json!({"awslogs": {"data": "no log"}});
    assert!(bench.stack.invoke("record-feedback", broken).await.is_err());
}

#[tokio::test]
async fn a_message_that_is_not_allowed_fails_at_once_with_its_reason_and_delays_no_other() {
    for (channel, action) in [("email", "SendEmail"), ("sms", "Publish")] {
        let faults = Faults::new();
        let bench = Setup::new().with(faults.adjust()).start().await;
        let tenant = bench.tenant("Acme").await;
        let mut users = Vec::new();
        for (name, mobile) in [("ada", "+491701234561"), ("bob", "+491701234562")] {
            let body = json!({"username": name, "email": format!("{name}@example.com"), "mobile": mobile});
            users.push(bench.post("/users", &tenant.key, body).await.expect(201).get("user_id"));
        }
        // The first one is denied, also on each retry.
        let injected = InjectedFault {
            action: action.to_owned(),
            nth: 1,
            fault: Fault::Denied,
            duration: FaultDuration::Calls(1),
        };
        faults.watch("send-message", Some(injected));
        for user in &users {
            let path = format!("/users/{user}/invite");
            let _accepted = bench.post(&path, &tenant.key, json!({"channel": channel})).await.expect(202);
            bench.drain().await;
        }
        let calls = faults.calls().into_iter().filter(|call| call.sends()).count();
        assert_eq!(calls, 2, "{channel}: one request for each");
        let denied = invitation_of(&bench, &tenant, &users[0]).await;
        let delivery = &denied["delivery"];
        assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("failed"), &json!("access_denied")), "{channel}");
        assert_eq!(invitation_of(&bench, &tenant, &users[1]).await["delivery"]["state"], "delivered", "{channel}");
        let kinds = bench.event_types(&tenant).await;
        assert!(kinds.contains(&"invitation.failed".to_owned()), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_sender_that_is_no_longer_allowed_sends_nothing_and_the_failure_is_shown() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let senders = json!({"sender": "IT@handset.example", "sms_sender": "handset"});
    let _updated = bench.patch("/workspace", &tenant.key, senders).await.expect(200);
    let user = user_of(&bench, &tenant, "bo@example.com", "bo").await;
    assert_eq!(invite_by_email(&bench, &tenant, &user).await["delivery"]["state"], "delivered");
    let (_, by_text) = invite_by_text(&bench, &tenant, "cleo", "+491701234567").await;
    assert_eq!(by_text["delivery"]["state"], "delivered");
    let sent = bench.stack.messaging().outbox().len();
    // Settings of an earlier release, which allowed any address of the domain and any name.
    let key = format!("WORKSPACE#{} | WORKSPACE", tenant.workspace_id);
    let mut row = testkit::rows::all(&bench, testkit::rows::MAIN)[&key].clone();
    row["settings"]["sender"] = json!("ceo@handset.example");
    row["settings"]["sms_sender"] = json!("Bank");
    testkit::rows::put(&bench, testkit::rows::MAIN, &row, &[]);
    bench.advance(Duration::minutes(2));
    let user = user_of(&bench, &tenant, "dan@example.com", "dan").await;
    let by_mail = invite_by_email(&bench, &tenant, &user).await;
    let (_, by_text) = invite_by_text(&bench, &tenant, "eve", "+491701234568").await;
    for invitation in [by_mail, by_text] {
        let delivery = &invitation["delivery"];
        assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("failed"), &json!("sender_not_allowed")));
    }
    assert_eq!(bench.stack.messaging().outbox().len(), sent);
}

#[tokio::test]
async fn an_invitations_email_links_to_the_app_stores() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let user = bench.user(&tenant, "ada").await;
    let _code = bench.invite(&tenant, &user, 1).await;
    let mail = &bench.sent(Channel::Email)[0];
    for store in ["https://apps.apple.com/", "https://play.google.com/store/apps/details?id="] {
        assert!(mail.text.as_ref().unwrap().contains(store), "{store}");
        assert!(mail.html.as_ref().unwrap().contains(&format!("<a href=\"{store}")), "{store}");
    }
    let nowhere = [("IosStoreUrl", ""), ("AndroidStoreUrl", "")];
    let bench = Setup::new().parameters(nowhere).start().await;
    let tenant = bench.tenant("Acme").await;
    let user = bench.user(&tenant, "ada").await;
    let _code = bench.invite(&tenant, &user, 1).await;
    let mail = &bench.sent(Channel::Email)[0];
    assert!(!mail.text.as_ref().unwrap().contains("the app yet"));
    assert!(!mail.html.as_ref().unwrap().contains("the app yet"));
}

#[tokio::test]
async fn republished_events_send_no_message_twice() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (id, _) = bench.phone(&tenant, "ada").await;
    let _blocked = bench.post(&format!("/devices/{id}/block"), &tenant.key, json!({})).await.expect(200);
    bench.drain().await;
    let before = (bench.sent(Channel::Email).len(), bench.sent(Channel::Push).len());
    let span = json!({
        "workspace_id": tenant.workspace_id,
        "since": (bench.now() - Duration::hours(1)).to_rfc3339(),
        "until": (bench.now() + Duration::hours(1)).to_rfc3339(),
    });
    let answer = bench.stack.invoke("republish-events", span).await.unwrap();
    assert!(answer["published"].as_u64().unwrap() >= 5, "{answer}");
    assert_eq!(answer["until"], Value::Null);
    bench.drain().await;
    assert_eq!((bench.sent(Channel::Email).len(), bench.sent(Channel::Push).len()), before);
}

#[tokio::test]
async fn block_unblock_and_delete_push_to_the_app_without_personal_data() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (id, _) = bench.phone(&tenant, "ada").await;
    bench.drain().await;
    let shown = device(&bench, &tenant, &id).await;
    assert_eq!(shown["push"]["in_use"], true);
    assert_eq!(shown["push"]["reason"], "endpoint_ready");
    let endpoint = shown["push_endpoint"].as_str().unwrap().to_owned();
    for (method, path) in [(Method::POST, "/block"), (Method::POST, "/unblock"), (Method::DELETE, "")] {
        let path = format!("/devices/{id}{path}");
        let _changed = bench.call(method, &path, Some(&tenant.key), None).await.expect(200);
        bench.drain().await;
    }
    let pushes = bench.sent(Channel::Push);
    let kinds = ["device.deleted", "device.unblocked", "device.blocked"];
    assert_eq!(pushes.len(), kinds.len());
    for (push, kind) in pushes.iter().zip(kinds) {
        let text = push.text.as_ref().unwrap();
        assert!(text.contains(kind) && !text.contains("Ada") && !text.contains(&id), "{text}");
        assert_eq!(push.to, endpoint);
    }
}

/// The event types that were pushed to each endpoint since the outbox was cleared.
fn pushed_events(bench: &Bench) -> BTreeMap<String, Vec<String>> {
    let mut woken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for push in bench.sent(Channel::Push).into_iter().rev() {
        let text = push.text.unwrap_or_default();
        let kind = serde_json::from_str::<Value>(&text).map_or(text, |told| kind_of(&told));
        woken.entry(push.to).or_default().push(kind);
    }
    woken
}

fn kind_of(told: &Value) -> String {
    told["type"].as_str().or(told["default"].as_str()).unwrap_or_default().to_owned()
}

/// Publishes the events of the last hour again.
async fn republish_last_hour(bench: &Bench, tenant: &Tenant) {
    let (since, until) = (bench.now() - Duration::hours(1), bench.now() + Duration::hours(1));
    let span = json!({"workspace_id": tenant.workspace_id, "since": since, "until": until});
    let _published = bench.stack.invoke("republish-events", span).await.unwrap();
    bench.drain().await;
}

#[tokio::test]
async fn a_command_pushes_once_to_its_phone_only_however_often_its_event_is_delivered() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (_user, phones) = bench.user_with_phones(&tenant, "ada", 2).await;
    bench.drain().await;
    bench.stack.messaging().clear();
    let path = format!("/devices/{}/wipe", phones[0].0);
    for _ in 0..2 {
        let _ordered = bench.post(&path, &tenant.key, json!({"reason": "lost"})).await.expect(202);
        bench.drain().await;
    }
    republish_last_hour(&bench, &tenant).await;
    let endpoint = device(&bench, &tenant, &phones[0].0).await["push_endpoint"].as_str().unwrap().to_owned();
    assert_eq!(pushed_events(&bench), BTreeMap::from([(endpoint, vec!["command.queued".to_owned()])]));
    let text = bench.sent(Channel::Push)[0].text.clone().unwrap();
    assert!(["Ada", "lost", "wipe", &phones[0].0].iter().all(|told| !text.contains(*told)), "{text}");
}

#[tokio::test]
async fn a_push_that_sns_throttles_is_tried_again_and_delays_no_other_of_its_batch() {
    let throttled = Arc::new(Mutex::new(None::<String>));
    let recorder = RequestRecorder::answering({
        let throttled = Arc::clone(&throttled);
        move |sent| {
            let throttled = throttled.lock().unwrap().clone()?;
            (sent.call.sends() && sent.body.contains(&throttled)).then(|| Fault::Throttle.answer(&sent.call).unwrap())
        }
    });
    let bench = Setup::new().with(recorder.adjust()).start().await;
    let tenant = bench.tenant("Acme").await;
    let (_user, phones) = bench.user_with_phones(&tenant, "ada", 3).await;
    bench.drain().await;
    bench.stack.messaging().clear();
    let endpoint = device(&bench, &tenant, &phones[0].0).await["push_endpoint"].as_str().unwrap().to_owned();
    *throttled.lock().unwrap() = Some(endpoint);
    for (id, _) in &phones {
        let _blocked = bench.post(&format!("/devices/{id}/block"), &tenant.key, json!({})).await.expect(200);
    }
    bench.stack.drain(Retry::WhenDue).await.unwrap();
    assert_eq!(pushed_events(&bench).len(), 2);
    assert_eq!(bench.stack.driver().messages("handset-push-events").len(), 1, "the throttled one is back in its queue");
    *throttled.lock().unwrap() = None;
    bench.settle().await;
    let woken = pushed_events(&bench);
    assert_eq!(woken.len(), 3);
    assert!(woken.values().all(|kinds| kinds == &["device.blocked"]), "{woken:?}");
    assert!(bench.stack.driver().dead_letters().is_empty());
}

#[tokio::test]
async fn an_event_with_which_the_topic_itself_invoked_notify_device_wakes_the_phone_or_is_tried_again() {
    let faults = Faults::new();
    let bench = Setup::new().with(faults.adjust()).start().await;
    let tenant = bench.tenant("Acme").await;
    let (id, _) = bench.phone(&tenant, "ada").await;
    bench.drain().await;
    let blocked = bench.post(&format!("/devices/{id}/block"), &tenant.key, json!({})).await.expect(200);
    assert!(blocked.body["blocked"].is_object());
    let events = bench.get("/events?event_type=device.blocked", &tenant.key).await.expect(200);
    let message = events.body["items"][0].to_string();
    let notification = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message}}]});
    let duration = FaultDuration::Calls(3);
    let throttled = InjectedFault { action: "Publish".to_owned(), nth: 1, fault: Fault::Throttle, duration };
    faults.watch("notify-device", Some(throttled));
    let failed = bench.stack.invoke("notify-device", notification.clone()).await;
    assert!(failed.is_err(), "Lambda tries again: {failed:?}");
    bench.advance(Duration::minutes(1));
    let _done = bench.stack.invoke("notify-device", notification).await.unwrap();
    assert_eq!(pushed_events(&bench).into_values().collect::<Vec<_>>(), [["device.blocked"]]);
}

#[tokio::test]
async fn a_users_suspension_activation_and_lock_push_once_to_each_of_their_phones_only() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 3).await;
    let _other = bench.phone(&tenant, "bob").await;
    bench.drain().await;
    bench.stack.messaging().clear();
    let change = async |step: &str| {
        let _changed = bench.post(&format!("/users/{user}/{step}"), &tenant.key, json!({})).await.expect(200);
        bench.drain().await;
    };
    change("suspend").await;
    change("activate").await;
    let body = json!({"pin_failures": 10});
    let locked = bench.check_in_with(&phones[0].1, body).await.expect(200);
    assert_eq!(locked.get("access"), "user_locked");
    bench.drain().await;
    change("activate").await;
    republish_last_hour(&bench, &tenant).await;
    let kinds = ["user.suspended", "user.activated", "user.locked", "user.activated"].map(str::to_owned).to_vec();
    let mut expected = BTreeMap::new();
    for (id, _) in &phones {
        let endpoint = device(&bench, &tenant, id).await["push_endpoint"].as_str().unwrap().to_owned();
        expected.insert(endpoint, kinds.clone());
    }
    assert_eq!(pushed_events(&bench), expected);
}

#[tokio::test]
async fn lock_and_wipe_and_reset_pin_push_to_every_phone_of_the_user() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 2).await;
    bench.drain().await;
    for step in ["reset-pin", "lock-and-wipe"] {
        bench.stack.messaging().clear();
        let _changed = bench.post(&format!("/users/{user}/{step}"), &tenant.key, json!({})).await.expect(200);
        bench.drain().await;
        let woken = pushed_events(&bench);
        assert_eq!(woken.len(), phones.len(), "{step}");
        assert!(woken.values().all(|kinds| kinds == &["command.queued"]), "{step}: {woken:?}");
    }
}

#[tokio::test]
async fn a_deleted_users_phones_get_a_last_push_and_are_removed_by_the_purge() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 2).await;
    bench.drain().await;
    bench.stack.messaging().clear();
    let body = json!({"without_wipe": true, "reason": "left"});
    let _deleted =
        bench.call(Method::DELETE, &format!("/users/{user}"), Some(&tenant.key), Some(&body)).await.expect(200);
    bench.drain().await;
    let woken = pushed_events(&bench);
    assert_eq!(woken.len(), phones.len());
    assert!(woken.values().all(|kinds| kinds == &["device.deleted"]), "{woken:?}");
    bench.advance(Duration::days(30));
    let purges = (bench.purge().await, bench.purge().await);
    assert_eq!((&purges.0["failed"], &purges.1["failed"]), (&json!(0), &json!(0)));
    bench.drain().await;
    let _unknown = bench.get(&format!("/users/{user}"), &tenant.key).await.expect(404);
    let events = bench.get(&format!("/events?user_id={user}&limit=100"), &tenant.key).await.expect(200);
    let private = events.body["items"].as_array().unwrap().iter().filter(|event| {
        let private = event["private"].as_object();
        private.is_some_and(|private| private.values().any(|value| !value.is_null()))
    });
    assert_eq!(private.count(), 0, "private data of a purged user's events is deleted");
    assert!(!events.text.contains("left"));
}

#[tokio::test]
async fn a_user_is_kept_until_their_earlier_deleted_device_can_no_longer_check_in() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 1).await;
    let (id, credential) = &phones[0];
    let wipe = json!({"expires_in_days": 60});
    let _ordered = bench.post(&format!("/devices/{id}/wipe"), &tenant.key, wipe).await.expect(202);
    for path in [format!("/devices/{id}"), format!("/users/{user}")] {
        let _deleted = bench.delete(&path, &tenant.key).await.expect(200);
    }
    bench.drain().await;
    bench.advance(Duration::days(40));
    assert_eq!(bench.purge().await["failed"], 0);
    let served = bench.check_in(credential).await.expect(200);
    let command = served.body["commands"][0]["command_id"].as_str().expect("the wipe is still served").to_owned();
    let word = json!({"result": "deferred", "detail": "on a journey"});
    let path = format!("/devices/me/commands/{command}");
    let _noted = bench.call(Method::POST, &path, Some(credential), Some(&word)).await.expect(200);
    bench.drain().await;
    bench.advance(Duration::days(25));
    let _timed_out = bench.run_due().await;
    let _first = bench.purge().await;
    let _second = bench.purge().await;
    bench.drain().await;
    let rows = testkit::rows::all(&bench, testkit::rows::MAIN);
    let remaining: Vec<&String> = rows.keys().filter(|key| key.contains(&user) || key.contains(id.as_str())).collect();
    let left: Vec<_> = remaining.into_iter().filter(|key| !key.starts_with("EVENT#")).collect();
    assert!(left.is_empty(), "{left:?}");
    let recorded = rows.values().filter(|row| row["user_id"] == json!(user) && row["event_type"].is_string());
    let private: Vec<_> = recorded.filter(|row| row["private"] != json!({})).map(|row| &row["event_type"]).collect();
    assert!(private.is_empty(), "{private:?}");
}

/// Registers a phone whose push token is rejected, and returns its device and its credential.
async fn phone_with_a_stale_token(bench: &Bench, tenant: &Tenant) -> (String, String) {
    let user = bench.user(tenant, "ada").await;
    let code = bench.invite(tenant, &user, 1).await;
    let mut application = Bench::registration_body(&code, "phone");
    application["push_token"] = json!("stale-token");
    let registered = bench.call(Method::POST, "/devices", None, Some(&application)).await.expect(201);
    (registered.body["device"]["device_id"].as_str().unwrap().to_owned(), registered.get("credential"))
}

#[tokio::test]
async fn a_token_that_the_push_service_rejects_is_disabled_until_the_phone_sends_another_one() {
    let recorder = RequestRecorder::new();
    let bench = Setup::new().with(recorder.adjust()).start().await;
    let tenant = bench.tenant("Acme").await;
    let (id, credential) = phone_with_a_stale_token(&bench, &tenant).await;
    bench.drain().await;
    let first = device(&bench, &tenant, &id).await["push_endpoint"].clone();

    bench.advance(Duration::seconds(1));
    let _blocked = bench.post(&format!("/devices/{id}/block"), &tenant.key, json!({})).await.expect(200);
    bench.drain().await;
    let shown = device(&bench, &tenant, &id).await;
    assert_eq!(shown["push"]["in_use"], false, "{}", shown["push"]);
    let _earlier = recorder.take();
    let _unblocked = bench.post(&format!("/devices/{id}/unblock"), &tenant.key, json!({})).await.expect(200);
    bench.drain().await;
    let pushed = recorder.take().iter().filter(|sent| sent.operation == "notify-device" && sent.call.sends()).count();
    assert_eq!(pushed, 0, "no push to a phone that is unreachable");

    let report = json!({"push_token": "fresh-token"});
    let _check_in = bench.check_in_with(&credential, report).await.expect(200);
    bench.drain().await;
    let shown = device(&bench, &tenant, &id).await;
    assert_eq!(shown["push"]["reason"], "endpoint_ready");
    assert_ne!(shown["push_endpoint"], first);
}

#[tokio::test]
async fn an_endpoint_that_sns_disabled_is_enabled_by_the_next_check_in_but_not_repeatedly() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (id, credential) = phone_with_a_stale_token(&bench, &tenant).await;
    let _check_in = bench.check_in(&credential).await.expect(200);
    bench.drain().await;
    let endpoint = device(&bench, &tenant, &id).await["push_endpoint"].clone();
    // A push to this token fails, and SNS disables its endpoint.
    let disable = async || {
        for action in ["block", "unblock"] {
            bench.advance(Duration::seconds(1));
            let _held = bench.post(&format!("/devices/{id}/{action}"), &tenant.key, json!({})).await.expect(200);
            bench.drain().await;
        }
        assert_eq!(device(&bench, &tenant, &id).await["push"]["in_use"], false);
    };
    let contact = async || {
        let same = json!({"push_token": "stale-token"});
        let _check_in = bench.check_in_with(&credential, same).await.expect(200);
        bench.drain().await;
        device(&bench, &tenant, &id).await
    };
    disable().await;
    let shown = contact().await;
    assert_eq!((&shown["push"]["reason"], &shown["push_endpoint"]), (&json!("endpoint_ready"), &endpoint));
    bench.stack.messaging().clear();
    disable().await;
    assert!(!bench.sent(Channel::Push).is_empty(), "SNS sends to it again");
    let events = bench.event_types(&tenant).await.len();
    for _ in 0..3 {
        bench.advance(Duration::hours(7));
        assert_eq!(contact().await["push"]["in_use"], false, "a rejected token is not tried each time");
    }
    assert_eq!(bench.event_types(&tenant).await.len(), events);
    bench.advance(Duration::hours(3));
    assert_eq!(contact().await["push"]["reason"], "endpoint_ready");
}

#[tokio::test]
async fn pushes_to_a_device_that_is_deleted_or_erased_show_as_not_in_use() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (_, phones) = bench.user_with_phones(&tenant, "ada", 3).await;
    bench.drain().await;
    let [kept, deleted, erased] = [0, 1, 2].map(|n| phones[n].0.clone());
    let _deleted = bench.delete(&format!("/devices/{deleted}"), &tenant.key).await.expect(200);
    let wipe = bench.post(&format!("/devices/{erased}/wipe"), &tenant.key, json!({})).await.expect(202);
    let _reported = bench.report_command(&phones[2].1, &wipe.get("command_id"), "succeeded").await.expect(200);
    bench.drain().await;
    for (id, reason) in [(&kept, "endpoint_ready"), (&deleted, "device_deleted"), (&erased, "device_erased")] {
        let push = device(&bench, &tenant, id).await["push"].clone();
        assert_eq!((&push["in_use"], &push["reason"]), (&json!(*id == kept), &json!(reason)));
    }
    for (filter, expected) in [("true", vec![&kept]), ("false", vec![&deleted, &erased])] {
        let listed = bench.list_all(&tenant, &format!("/devices?push_in_use={filter}")).await;
        let mut ids: Vec<&str> = listed.iter().filter_map(|device| device["device_id"].as_str()).collect();
        ids.sort_unstable();
        let mut expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{filter}");
    }
    let erased = device(&bench, &tenant, &erased).await;
    assert_eq!(erased["warnings"][0]["message"], "Push notifications are not in use: the device was erased.");
}

#[tokio::test]
async fn an_expired_invitation_ends_and_its_code_is_deleted() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let user = bench.user(&tenant, "ada").await;
    let code = bench.invite(&tenant, &user, 1).await;
    bench.advance(Duration::days(7));
    assert_eq!(bench.register(&code, "phone").await.expect(410).code(), "code_expired");
    let run = bench.stack.run_schedule("run-due").await.unwrap();
    assert_eq!(run, json!({"done": 1, "failed": 0}));
    assert_eq!(bench.stack.run_schedule("run-due").await.unwrap(), json!({"done": 0, "failed": 0}));
    let types = bench.event_types(&tenant).await;
    assert_eq!(types.iter().filter(|kind| *kind == "invitation.expired").count(), 1);
}

#[tokio::test]
async fn a_deleted_device_is_kept_for_the_retention_time_and_then_purged_completely() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (id, credential) = bench.phone(&tenant, "ada").await;
    bench.drain().await;
    let _deleted = bench.delete(&format!("/devices/{id}"), &tenant.key).await.expect(200);
    bench.drain().await;
    bench.advance(Duration::days(29));
    assert_eq!(bench.stack.run_schedule("purge-deleted").await.unwrap()["purged"], 0);
    assert_eq!(device(&bench, &tenant, &id).await["status"], "deleted");
    assert_eq!(bench.check_in(&credential).await.expect(200).get("access"), "deleted");
    bench.advance(Duration::days(1));
    assert_eq!(bench.stack.run_schedule("purge-deleted").await.unwrap()["purged"], 1);
    let _missing = bench.get(&format!("/devices/{id}"), &tenant.key).await.expect(404);
    let _unknown = bench.check_in(&credential).await.expect(401);
    let listed = bench.get("/devices", &tenant.key).await.expect(200);
    assert_eq!(listed.body["items"], json!([]));
    let found = bench.get("/devices?search=ada-phone", &tenant.key).await.expect(200);
    assert_eq!(found.body["items"], json!([]));
    let types = bench.event_types(&tenant).await;
    assert_eq!(types.last().map(String::as_str), Some("device.purged"));
}

#[tokio::test]
async fn one_unreadable_row_does_not_stop_the_purge_of_the_others() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let (id, _) = bench.phone(&tenant, &format!("user{n}")).await;
        let _deleted = bench.delete(&format!("/devices/{id}"), &tenant.key).await.expect(200);
        ids.push(id);
    }
    let tables = &bench.stack.template().tables;
    let table = tables.iter().find(|table| table["KeySchema"].as_array().is_some_and(|keys| keys.len() == 2)).unwrap();
    let key = json!({"pk": {"S": format!("DEVICE#{}#{}", tenant.workspace_id, ids[2])}, "sk": {"S": "DEVICE"}});
    let broken = json!({
        "TableName": table["TableName"],
        "Key": key,
        "UpdateExpression": "SET platform = :nonsense",
        "ExpressionAttributeValues": {":nonsense": {"S": "No word"}},
    });
    bench.stack.database().update_item(serde_json::from_value(broken).unwrap()).unwrap();
    bench.advance(Duration::days(31));
    let purged = bench.stack.run_schedule("purge-deleted").await.unwrap();
    assert_eq!(purged, json!({"purged": 5, "failed": 1, "more": false}));
}

#[tokio::test]
async fn a_phone_in_two_workspaces_keeps_its_endpoint_until_both_have_released_it() {
    let bench = Bench::start().await;
    let mut phones = Vec::new();
    for name in ["One", "Two"] {
        let tenant = bench.tenant(name).await;
        let (id, _) = bench.phone(&tenant, "ada").await;
        bench.drain().await;
        phones.push((tenant, id));
    }
    let (first, second) = (&phones[0], &phones[1]);
    let endpoint = device(&bench, &first.0, &first.1).await["push_endpoint"].clone();
    assert_eq!(device(&bench, &second.0, &second.1).await["push_endpoint"], endpoint);
    let _deleted = bench.delete(&format!("/devices/{}", first.1), &first.0.key).await.expect(200);
    bench.drain().await;
    bench.advance(Duration::days(31));
    assert_eq!(bench.stack.run_schedule("purge-deleted").await.unwrap()["purged"], 1);
    bench.stack.messaging().clear();
    let _blocked = bench.post(&format!("/devices/{}/block", second.1), &second.0.key, json!({})).await.expect(200);
    bench.drain().await;
    assert_eq!(bench.sent(Channel::Push).len(), 1, "the second workspace still reaches the phone");
}

#[tokio::test]
async fn opening_an_invitation_is_counted_by_its_button_and_not_by_its_page() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let user = bench.user(&tenant, "ada").await;
    let code = bench.invite(&tenant, &user, 1).await;
    let opened = async || {
        bench.get(&format!("/users/{user}"), &tenant.key).await.expect(200).body["invitation"]["opened"].clone()
    };
    let page = bench.call(Method::GET, &format!("/i/{code}"), None, None).await.expect(200);
    assert!(!page.text.contains("Ada") && !page.text.contains("Adler") && !page.text.contains("example.com"));
    assert!(page.text.contains("<svg") && page.text.contains("Open the app"));
    assert_eq!(opened().await, 0);
    let pressed = bench.call(Method::POST, &format!("/i/{code}"), None, None).await.expect(303);
    assert_eq!(pressed.headers["location"], format!("handset://i/{code}"));
    assert_eq!(opened().await, 1);
    let _unknown = bench.call(Method::GET, "/i/nobodys", None, None).await.expect(404);
    let _registered = bench.register(&code, "phone").await.expect(201);
    let _over = bench.call(Method::GET, &format!("/i/{code}"), None, None).await.expect(410);
}

/// Records of the table's stream for this many events like the first of a workspace, made in the present second.
fn stream_records(tenant: &Tenant, bench: &Bench, count: usize) -> Vec<Value> {
    let of_workspace = format!("EVENT#{}#", tenant.workspace_id);
    let mut stored = rows::all(bench, rows::MAIN).into_iter().filter(|(key, _)| key.starts_with(&of_workspace));
    let (_, row) = stored.next().expect("a workspace begins with an event");
    let second = f64::from(u32::try_from(bench.now().timestamp()).unwrap());
    let record = |at: usize| {
        let (sequence, image) = (at.to_string(), rows::item(&row, &[]));
        let dynamodb = json!({"SequenceNumber": sequence, "ApproximateCreationDateTime": second, "NewImage": image});
        json!({"eventName": "INSERT", "dynamodb": dynamodb})
    };
    (0..count).map(record).collect()
}

/// The numbers of shards of a workspace's days.
fn shards_by_day(bench: &Bench, tenant: &Tenant) -> BTreeMap<String, u64> {
    let rows = testkit::rows::all(bench, testkit::rows::MAIN);
    let of_days = rows.values().filter(|row| row["pk"] == json!(format!("EVENTS#{}", tenant.workspace_id)));
    of_days.map(|row| (row["sk"].as_str().unwrap().to_owned(), row["shards"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn a_second_with_50_events_of_a_partition_doubles_the_shards_of_its_day_if_the_operator_allows_it() {
    for most in [1_u64, 4] {
        let bench = Setup::new().parameter("EventShards", &most.to_string()).start().await;
        let tenant = bench.tenant("Acme").await;
        bench.drain().await;
        let mut found = Vec::new();
        // Seconds later, and the number of records; the third batch is too early for its writers to have followed.
        for (later, count) in [(0, 49), (1, 50), (20, 50), (60, 100), (60, 100)] {
            bench.advance(Duration::seconds(later));
            let records = stream_records(&tenant, &bench, count);
            let answer = bench.stack.invoke("publish-events", json!({"Records": records})).await.unwrap();
            assert_eq!(answer, json!({"batchItemFailures": []}));
            found.push(shards_by_day(&bench, &tenant).get("2026-11-23").copied().unwrap_or(1));
        }
        assert_eq!(found, if most == 1 { [1; 5] } else { [1, 2, 2, 4, 4] });
    }
}
