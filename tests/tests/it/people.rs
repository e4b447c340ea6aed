//! User management: search while one types, the list's columns, networks, usage, invitations, and a workspace's
//! settings.

use std::collections::BTreeSet;

use chrono::Duration;
use http::{Method, Request};
use local::messaging::Channel;
use serde_json::{Value, json};
use testkit::faults::{Fault, FaultDuration, Faults, InjectedFault};
use testkit::{Answer, Setup, rows, text};

use crate::fixture::{Fixture, encoded};

impl Fixture {
    async fn create_user(&self, person: Value) -> String {
        self.post("/users", person).await.expect(201).get("user_id")
    }

    /// The usernames in a list, once everything is derived.
    async fn usernames(&self, query: &str) -> Vec<String> {
        self.bench.drain().await;
        let people = self.all(&format!("/users?{query}")).await;
        people.iter().map(|user| text(&user["username"])).collect()
    }

    async fn listed(&self, user: &str) -> Value {
        let people = self.all("/users").await;
        people.into_iter().find(|listed| listed["user_id"] == *user).unwrap()
    }

    async fn report_network(&self, user: &str, provider: &str, report: Value) -> Answer {
        self.put(&format!("/users/{user}/networks/{provider}"), report).await
    }
}

#[tokio::test]
async fn users_are_found_while_one_types() {
    let fixture = Fixture::new().await;
    for person in [
        json!({
            "username": "z.angstrom", "first_name": "Zo\u{eb} Marie", "last_name": "\u{c5}ngstr\u{f6}m-O'Neil",
            "email": "zoe.lund@mail.example.com", "mobile": "+49 170 1234567", "number": "*21# 4711",
        }),
        json!({"username": "max", "first_name": "MAX", "last_name": "Ringstrom", "mobile": "+1 425 555 0100"}),
    ] {
        let _created = fixture.create_user(person).await;
    }
    for typed in [
        // Any word of the name, whatever its accents and capitals, and several in any order.
        "zo",
        "ZO\u{cb}",
        "zoe",
        "mar",
        "angs",
        "\u{c5}NGSTR\u{d6}M",
        "A\u{30a}ngstro\u{308}m",
        "o'neil",
        "neil",
        "angstrom zoe",
        "marie o'n",
        "zo an ne",
        // The username, the address.
        "z.angstrom",
        "z.ang",
        "zoe.lund@mail.example.com",
        "lund",
        "mail.ex",
        // The numbers, with and without plus and spaces.
        "+49 170 1234567",
        "+491701234567",
        "491701234567",
        "49 170",
        "+49 (170) 123-45",
        "4711",
        "*21#47",
    ] {
        assert_eq!(fixture.usernames(&format!("search={}", encoded(typed))).await, ["z.angstrom"], "{typed}");
    }
    for typed in ["max", "rings", "+1 425", "14255550100", "RINGSTR\u{d6}M max"] {
        assert_eq!(fixture.usernames(&format!("search={}", encoded(typed))).await, ["max"], "{typed}");
    }
    // The middle of a word finds nothing, nor do words of two people.
    for typed in ["ngstrom", "oe", "711", "zoe max", "+49 171"] {
        assert_eq!(fixture.usernames(&format!("search={}", encoded(typed))).await, Vec::<String>::new(), "{typed}");
    }
    let invalid = fixture.bench.get("/users?search=--", &fixture.tenant.key).await.expect(422);
    assert_eq!(invalid.body["errors"][0]["field"], "search");
}

#[tokio::test]
async fn the_user_list_shows_every_column() {
    let fixture = Fixture::new().await;
    let _updated = fixture.update_settings(json!({"service_levels": ["gold"]})).await.expect(200);
    let (user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 2).await;
    let path = format!("/users/{user}");
    let _gold = fixture.patch(&path, json!({"service_level": "gold"})).await.expect(200);
    fixture.bench.advance(Duration::hours(1));
    let usage = json!({"sequence": 1, "messages_sent": 7});
    let _first =
        fixture.bench.check_in_with(&phones[0].1, json!({"app_version": "5.0.0", "usage": usage})).await.expect(200);
    fixture.bench.advance(Duration::minutes(2));
    let _newest = fixture.bench.check_in_with(&phones[1].1, json!({"app_version": "4.9.0"})).await.expect(200);
    let _carrier = fixture
        .report_network(&user, "att", json!({"status": "enabled", "mdn_provisioning": "enabled"}))
        .await
        .expect(200);
    let listed = fixture.listed(&user).await;
    let expected = json!({
        "user_id": user,
        "username": "ada",
        "first_name": "Ada",
        "last_name": "Adler",
        "name": "Ada Adler",
        "email": "ada@example.com",
        "mobile": "+491701234567",
        "number": "4711",
        "status": "active",
        "source": "api",
        "service_level": "gold",
        "created_at": "2026-11-23T08:00:00.000Z",
        "registered_at": "2026-11-23T08:00:00.000Z",
        "last_seen_at": "2026-11-23T09:02:00.000Z",
        "app_version": "4.9.0",
        "networks": [{
            "provider": "att",
            "status": "enabled",
            "status_at": "2026-11-23T09:02:00.000Z",
            "reason": null,
            "mdn_provisioning": "enabled",
            "last_seen_at": null,
            "last_archived_at": null,
            "indicator": "green",
            "tooltip": "Enabled \u{2013} 2026-11-23",
        }],
        "network_indicator": "green",
        "usage": {
            "messages_sent": 7, "messages_received": 0, "messages_archived": 0, "attachment_bytes": 0, "calls": 0,
        },
        "suspended": null,
        "locked": null,
        "pending_command": false,
        "device_count": 2,
        "deleted_at": null,
        "purge_after": null,
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&listed[column], value, "{column}");
    }
    let open = fixture.get(&path).await;
    for (column, value) in listed.as_object().unwrap() {
        assert_eq!(&open[column], value, "{column} of the user opened");
    }
    assert_eq!(open["devices"].as_array().unwrap().len(), 2);

    // Each filter.
    let other = fixture.create_user(json!({"username": "bob"})).await;
    let _suspended = fixture.post(&format!("/users/{other}/suspend"), json!({})).await.expect(200);
    for (query, wanted) in [
        ("status=suspended", vec!["bob"]),
        ("status=active", vec!["ada"]),
        ("service_level=gold", vec!["ada"]),
        ("service_level=silver", vec![]),
        ("last_seen_before=2026-11-23T09:00:00Z", vec![]),
        ("last_seen_before=2026-11-24T00:00:00Z", vec!["ada"]),
        ("pending_command=true", vec![]),
        ("pending_command=false", vec!["bob", "ada"]),
    ] {
        assert_eq!(fixture.usernames(query).await, wanted, "{query}");
    }
    let reset = fixture.post(&format!("{path}/reset-pin"), json!({})).await.expect(200);
    assert_eq!(reset.body["pending_command"], true);
    assert_eq!(fixture.usernames("pending_command=true").await, ["ada"], "once, of two phones");
    assert_eq!(fixture.usernames("pending_command=false").await, ["bob"]);
    assert_eq!(fixture.usernames("pending_command=true&status=suspended").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_carriers_report_is_shown_as_an_indicator_with_a_tooltip() {
    let fixture = Fixture::new().await;
    let (user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 1).await;
    let _check_in = fixture.bench.check_in(&phones[0].1).await.expect(200);
    let sent = json!({"status": "opt_in_sent", "status_at": "2026-11-20T10:00:00Z"});
    let verizon = fixture.report_network(&user, "verizon", sent.clone()).await.expect(200);
    assert_eq!(
        (verizon.get("indicator"), verizon.get("tooltip")),
        ("red".into(), "Opt-in sent \u{2013} 2026-11-20".into())
    );
    let green = json!({"status": "enabled", "status_at": "2026-11-21T10:00:00Z", "mdn_provisioning": "enabled"});
    let att = fixture.report_network(&user, "att", green).await.expect(200);
    assert_eq!((att.get("indicator"), att.get("tooltip")), ("green".into(), "Enabled \u{2013} 2026-11-21".into()));
    assert_eq!(fixture.listed(&user).await["network_indicator"], "red", "the most pressing one");
    assert_eq!(fixture.usernames("network_indicator=red").await, ["ada"]);
    assert!(fixture.usernames("network_indicator=green").await.is_empty());

    // The same again, or an older one, changes nothing.
    let _same = fixture.report_network(&user, "verizon", sent).await.expect(200);
    let older = json!({"status": "new_request", "status_at": "2026-11-19T10:00:00Z"});
    assert_eq!(fixture.report_network(&user, "verizon", older).await.expect(200).get("status"), "opt_in_sent");
    assert_eq!(fixture.events("user.network_changed").await.len(), 2);
    for (reason, status, tooltip) in [
        (json!("invalid_number"), "disabled", "Invalid number"),
        (json!("message_block"), "unable_to_provision", "Remove message block"),
        (Value::Null, "invalid_opt_in_response", "Invalid opt-in response"),
        (Value::Null, "opt_in_response_received", "Opt-in response received"),
    ] {
        fixture.bench.advance(Duration::minutes(1));
        let red =
            fixture.report_network(&user, "verizon", json!({"status": status, "reason": reason})).await.expect(200);
        assert_eq!(
            (red.get("indicator"), red.get("tooltip")),
            ("red".into(), format!("{tooltip} \u{2013} 2026-11-23"))
        );
    }
    fixture.bench.advance(Duration::minutes(1));
    let enabled = json!({"status": "enabled", "mdn_provisioning": "enabled"});
    assert_eq!(fixture.report_network(&user, "verizon", enabled).await.expect(200).get("indicator"), "green");
    assert_eq!(fixture.usernames("network_indicator=green").await, ["ada"]);
    let off = json!({"status": "enabled", "mdn_provisioning": "disabled"});
    let off = fixture.report_network(&user, "verizon", off).await.expect(200);
    let says = "Enabled, provisioning not enabled \u{2013} 2026-11-23";
    assert_eq!((off.get("indicator"), off.get("tooltip")), ("red".into(), says.into()));
    fixture.bench.advance(Duration::minutes(1));
    let enabled = json!({"status": "enabled", "mdn_provisioning": "enabled"});
    let _on = fixture.report_network(&user, "verizon", enabled).await.expect(200);

    // A network becomes orange with time although the phone checks in, until the carrier's next report.
    fixture.bench.advance(Duration::days(31));
    let _check_in = fixture.bench.check_in(&phones[0].1).await.expect(200);
    let quiet = fixture.listed(&user).await;
    assert_eq!(quiet["network_indicator"], "orange");
    assert_eq!(quiet["networks"][0]["tooltip"], "Enabled, not seen for over 30 days \u{2013} 2026-11-21");
    assert_eq!(fixture.usernames("network_indicator=orange").await, ["ada"]);
    let seen = json!({
        "status": "enabled", "mdn_provisioning": "enabled", "status_at": "2026-11-23T09:00:00Z",
        "last_seen_at": "2026-12-20T10:00:00Z",
    });
    for provider in ["att", "verizon"] {
        let reported = fixture.report_network(&user, provider, seen.clone()).await.expect(200);
        assert_eq!(reported.get("indicator"), "green", "{}", reported.text);
        assert_eq!(reported.get("last_seen_at"), "2026-12-20T10:00:00.000Z");
    }
    assert_eq!(fixture.usernames("network_indicator=green").await, ["ada"]);
    let off = json!({"status": "disabled", "mdn_provisioning": "enabled"});
    assert_eq!(fixture.report_network(&user, "att", off).await.expect(200).get("indicator"), "none");

    let foreign = fixture.report_network(&user, "att", json!({"status": "opt_in_sent"})).await.expect(422);
    assert_eq!(foreign.body["errors"][0]["field"], "status");
    let bad = fixture.report_network(&user, "No%20Name", json!({"status": "enabled"})).await.expect(422);
    assert_eq!(bad.body["errors"][0]["field"], "provider");
    for n in 0..6 {
        let _more =
            fixture.report_network(&user, &format!("carrier{n}"), json!({"status": "enabled"})).await.expect(200);
    }
    let ninth = fixture.report_network(&user, "carrier9", json!({"status": "enabled"})).await.expect(422);
    assert_eq!(ninth.body["errors"][0]["code"], "too_many");
}

#[tokio::test]
async fn a_report_of_usage_counts_once_whatever_fault_strikes_its_commit() {
    let faults = Faults::new();
    let bench = Setup::new().with(faults.adjust()).start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 1).await;
    for (sequence, fault) in (1_u64..).zip(Fault::ALL) {
        for duration in [FaultDuration::Calls(1), FaultDuration::Outage] {
            let sequence = 2 * sequence + u64::from(duration == FaultDuration::Outage);
            let report = json!({"usage": {"sequence": sequence, "calls": 1}});
            let injected = InjectedFault { action: "TransactWriteItems".to_owned(), nth: 1, fault, duration };
            faults.watch("check-in-device", Some(injected));
            let _uncertain = bench.check_in_with(&phones[0].1, report.clone()).await;
            assert!(!faults.failed_calls().is_empty(), "{fault:?}");
            faults.end_outage();
            faults.watch("", None);
            bench.advance(Duration::hours(1));
            let _again = bench.check_in_with(&phones[0].1, report).await.expect(200);
            for path in [format!("/users/{user}/usage"), "/usage".to_owned()] {
                let counted = bench.get(&path, &tenant.key).await.expect(200);
                assert_eq!(counted.body["totals"]["calls"], sequence - 1, "{fault:?} at {path}");
            }
        }
    }
}

#[tokio::test]
async fn usage_is_counted_by_month_and_kind_and_a_repeated_report_adds_nothing() {
    let fixture = Fixture::new().await;
    let (ada, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 2).await;
    let (bob, others) = fixture.bench.user_with_phones(&fixture.tenant, "bob", 1).await;
    let report = async |credential: &str, usage: Value| {
        let _check_in = fixture.bench.check_in_with(credential, json!({"usage": usage})).await.expect(200);
    };
    report(&phones[0].1, json!({"sequence": 1, "messages_sent": 3, "calls": 1})).await;
    report(&phones[0].1, json!({"sequence": 1, "messages_sent": 3, "calls": 1})).await;
    report(&phones[0].1, json!({"sequence": 3, "messages_sent": 2, "attachment_bytes": 5_000_000_000_u64})).await;
    report(&phones[0].1, json!({"sequence": 2, "messages_sent": 90})).await;
    // Each phone counts for itself.
    report(&phones[1].1, json!({"sequence": 1, "messages_received": 4})).await;
    report(&others[0].1, json!({"sequence": 9, "messages_sent": 10, "messages_archived": 1})).await;
    let month = |sent: u64, received: u64, archived: u64, bytes: u64, calls: u64| {
        json!({
            "messages_sent": sent, "messages_received": received, "messages_archived": archived,
            "attachment_bytes": bytes, "calls": calls,
        })
    };
    let dated = |month: &str, mut counts: Value| {
        counts["month"] = month.into();
        counts
    };
    let november = month(5, 4, 0, 5_000_000_000, 1);
    assert_eq!(fixture.listed(&ada).await["usage"], november);
    assert_eq!(fixture.events("user.usage_reported").await, Vec::<Value>::new(), "usage is its own history");

    fixture.bench.advance(Duration::days(10));
    assert_eq!(fixture.listed(&ada).await["usage"], month(0, 0, 0, 0, 0), "a new month");
    report(&phones[0].1, json!({"sequence": 4, "calls": 2})).await;
    let of_ada = fixture.get(&format!("/users/{ada}/usage")).await;
    let months = json!([dated("2026-12", month(0, 0, 0, 0, 2)), dated("2026-11", november)]);
    assert_eq!(of_ada, json!({"months": months, "totals": month(5, 4, 0, 5_000_000_000, 3)}));
    let full_list = fixture.get("/usage").await;
    assert_eq!(full_list["totals"], month(15, 4, 1, 5_000_000_000, 3));
    assert_eq!(full_list["months"][1], dated("2026-11", month(15, 4, 1, 5_000_000_000, 1)));

    // A re-enrolled app starts counting again.
    let code = fixture.bench.invite(&fixture.tenant, &bob, 1).await;
    let re_enrolled = fixture.bench.register(&code, "bob-0").await.expect(201).get("credential");
    report(&re_enrolled, json!({"sequence": 1, "messages_sent": 1})).await;
    assert_eq!(fixture.get(&format!("/users/{bob}/usage")).await["totals"]["messages_sent"], 11);
    let invalid = fixture.bench.check_in_with(&re_enrolled, json!({"usage": {"calls": -1}})).await.expect(422);
    let fields: BTreeSet<String> =
        invalid.body["errors"].as_array().unwrap().iter().map(|fault| text(&fault["field"])).collect();
    assert_eq!(fields, ["usage.calls".to_owned(), "usage.sequence".to_owned()].into());
    let foreign = fixture.bench.tenant("Foreign").await;
    assert_eq!(fixture.bench.get("/usage", &foreign.key).await.expect(200).body["months"], json!([]));
}

#[tokio::test]
async fn invitations_are_listed_with_their_outcomes_and_times() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ada").await;
    let path = format!("/users/{user}/invitations");
    let list = async || fixture.all(&path).await;
    let first = fixture.bench.invite(&fixture.tenant, &user, 1).await;
    fixture.bench.advance(Duration::minutes(1));
    let _pressed = fixture.bench.call(Method::POST, &format!("/i/{first}"), None, None).await.expect(303);
    fixture.bench.advance(Duration::minutes(1));
    let _pressed = fixture.bench.call(Method::POST, &format!("/i/{first}"), None, None).await.expect(303);
    let shown = &list().await[0];
    assert_eq!((&shown["status"], &shown["channel"]), (&json!("open"), &json!("email")));
    assert_eq!((&shown["opened"], &shown["opened_at"]), (&json!(2), &json!("2026-11-23T08:01:00.000Z")));
    assert_eq!(shown["delivery"]["state"], "delivered");
    assert!(shown.get("code").is_none() && !shown.to_string().contains(&first));

    let body = json!({"channel": "sms", "devices": 2});
    let invited = fixture.post(&format!("/users/{user}/invite"), body).await.expect(202);
    assert_eq!(invited.body["delivery"]["state"], "queued");
    fixture.bench.drain().await;
    let second = fixture.bench.newest_code().unwrap();
    fixture.bench.advance(Duration::minutes(1));
    let _one = fixture.bench.register(&second, "one").await.expect(201);
    assert_eq!((&list().await[0]["status"], &list().await[0]["used"]), (&json!("open"), &json!(1)));
    fixture.bench.advance(Duration::minutes(1));
    let _two = fixture.bench.register(&second, "two").await.expect(201);
    fixture.bench.advance(Duration::minutes(1));
    let third = fixture.bench.invite(&fixture.tenant, &user, 1).await;
    fixture.bench.advance(Duration::days(8));
    assert_eq!(list().await[0]["status"], "expired", "also before the schedule has run");
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    let fourth = fixture.bench.invite(&fixture.tenant, &user, 1).await;
    let last = text(&list().await[0]["invitation_id"]);
    fixture.bench.advance(Duration::minutes(1));
    let revoked = fixture.bench.delete(&format!("{path}/{last}"), &fixture.tenant.key).await.expect(200);
    assert_eq!(
        (revoked.get("status"), revoked.get("revoked_at")),
        ("revoked".into(), "2026-12-01T08:06:00.000Z".into())
    );
    assert_eq!(
        fixture.bench.delete(&format!("{path}/{last}"), &fixture.tenant.key).await.expect(200).body,
        revoked.body
    );

    let all = list().await;
    let states: Vec<&str> = all.iter().map(|invitation| invitation["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["revoked", "expired", "used", "superseded"], "the newest first");
    assert_eq!(all[1]["expired_at"], "2026-12-01T08:05:00.000Z");
    assert_eq!((&all[2]["used_at"], &all[2]["channel"]), (&json!("2026-11-23T08:04:00.000Z"), &json!("sms")));
    assert_eq!(all[3]["superseded_at"], "2026-11-23T08:02:00.000Z");
    for (code, why) in
        [(first, "code_superseded"), (second, "code_used"), (third, "code_expired"), (fourth, "code_revoked")]
    {
        let refused = fixture.bench.register(&code, "another").await.expect(410);
        assert_eq!(refused.code(), why);
        let _over = fixture.bench.call(Method::GET, &format!("/i/{code}"), None, None).await.expect(410);
    }
    for over in &all[1..] {
        let path = format!("{path}/{}", text(&over["invitation_id"]));
        let refused = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(409);
        assert_eq!((refused.code(), &refused.body["invitation_status"]), ("invitation_over", &over["status"]));
    }
    for (kind, times) in [
        ("user.invited", 4),
        ("invitation.sent", 4),
        ("invitation.delivered", 4),
        ("invitation.opened", 2),
        ("invitation.expired", 1),
        ("invitation.revoked", 1),
    ] {
        assert_eq!(fixture.events(kind).await.len(), times, "{kind}");
    }
    // No code is kept of any of them.
    assert!(rows::all(&fixture.bench, rows::SECRETS).keys().all(|key| !key.starts_with("INVITATION#")));
}

#[tokio::test]
async fn texts_and_subjects_of_e_mails_contain_no_names() {
    let fixture = Fixture::new().await;
    let user = fixture.user("ada.lovelace").await;
    for channel in ["sms", "email"] {
        let body = json!({"channel": channel});
        let _invited = fixture.post(&format!("/users/{user}/invite"), body).await.expect(202);
        fixture.bench.drain().await;
    }
    let (texts, mails) = (fixture.sent(Channel::Sms), fixture.sent(Channel::Email));
    assert_eq!((texts.len(), mails.len()), (1, 1));
    let message = texts[0].text.clone().unwrap();
    let subject = mails[0].subject.clone().unwrap();
    let code = message.split_once("/i/").unwrap().1.to_owned();
    assert!(code.len() >= 22 && code.chars().all(|c| c.is_ascii_alphanumeric()), "{code}");
    for said in [&message.replace(&code, ""), &subject] {
        for personal in ["Ada", "ada", "Adler", "lovelace", "example.com", "4711", "170", &user] {
            assert!(!said.contains(personal), "{said} has {personal}");
        }
    }
    assert_eq!(texts[0].to, "+491701234567");
}

#[tokio::test]
async fn a_workspaces_settings_take_effect_and_null_restores_the_default() {
    let fixture = Fixture::new().await;
    let before = fixture.get("/workspace").await;
    assert_eq!((&before["retention_days"], &before["invitation_days"]), (&json!(30), &json!(7)));
    assert_eq!((&before["pin_limit"], &before["service_levels"]), (&json!(10), &json!([])));
    assert_eq!(before["check_in_minutes"], 15);
    assert_eq!(before["silent_devices"], Value::Null);
    let settings = json!({
        "name": "Acme Ltd", "retention_days": 5, "invitation_days": 2, "service_levels": ["silver", "gold"],
        "check_in_minutes": 60,
    });
    let updated = fixture.update_settings(settings.clone()).await.expect(200);
    assert_eq!((updated.get("name"), &updated.body["service_levels"]), ("Acme Ltd".into(), &json!(["gold", "silver"])));
    let repeated = fixture.update_settings(settings).await.expect(200);
    assert_eq!(repeated.headers["etag"], updated.headers["etag"]);
    let events = fixture.events("workspace.updated").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["changes"]["retention_days"], json!({"before": null, "after": 5}));

    let (user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 1).await;
    let invited = &fixture.all(&format!("/users/{user}/invitations")).await[0];
    assert_eq!(invited["expires_at"], "2026-11-25T08:00:00.000Z");
    let path = format!("/devices/{}", phones[0].0);
    let deleted = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    assert_eq!(deleted.get("purge_after"), "2026-11-28T08:00:00.000Z");
    let deleted = fixture.bench.delete(&format!("/users/{user}"), &fixture.tenant.key).await.expect(200);
    assert_eq!(deleted.get("purge_after"), "2026-11-28T08:00:00.000Z");
    let gold = fixture.create_user(json!({"username": "bob", "service_level": "gold"})).await;
    assert_eq!(fixture.listed(&gold).await["service_level"], "gold");
    let person = json!({"username": "eve", "service_level": "lead"});
    let unknown = fixture.post("/users", person).await.expect(422);
    assert_eq!(unknown.body["errors"][0]["field"], "service_level");

    let restored = json!({
        "retention_days": null, "invitation_days": null, "service_levels": null, "check_in_minutes": null,
    });
    let back = fixture.update_settings(restored).await.expect(200);
    assert_eq!((&back.body["retention_days"], &back.body["invitation_days"]), (&json!(30), &json!(7)));
    assert_eq!((&updated.body["check_in_minutes"], &back.body["check_in_minutes"]), (&json!(60), &json!(15)));
    let request =
        Request::builder().method(Method::PATCH).uri("/workspace").header("if-match", &updated.headers["etag"]);
    let request = request.header("authorization", format!("Bearer {}", fixture.tenant.key));
    let refused = fixture.bench.send(request.body(br#"{"name": "Other"}"#.to_vec()).unwrap()).await;
    assert_eq!(refused.expect(412).code(), "version_mismatch");
}

#[tokio::test]
async fn the_workspaces_rule_for_silent_devices_is_applied_once_a_day() {
    for (action, done) in [("block", "blocked"), ("delete", "deleted")] {
        let fixture = Fixture::new().await;
        let (_user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 3).await;
        let never = fixture.bench.phone(&fixture.tenant, "bob").await.0;
        let status = async |device: &str| fixture.get(&format!("/devices/{device}")).await["device_status"].clone();
        for (_, credential) in &phones[..2] {
            let _check_in = fixture.bench.check_in(credential).await.expect(200);
        }
        fixture.bench.drain().await;
        fixture.bench.advance(Duration::days(20));
        let _check_in = fixture.bench.check_in(&phones[1].1).await.expect(200);
        let _check_in = fixture.bench.check_in(&phones[2].1).await.expect(200);
        fixture.bench.drain().await;
        fixture.bench.advance(Duration::days(20));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(status(&phones[0].0).await, "silent", "there is no rule by default");

        let rule = json!({"after_days": 30, "action": action});
        let before = rows::everything(&fixture.bench);
        let tried = fixture.update_settings(json!({"silent_devices": rule, "dry_run": true})).await.expect(200);
        let preview = tried.body["preview"].clone();
        assert_eq!((preview["devices"].as_array().unwrap().len(), &preview["more"]), (1, &json!(false)));
        assert_eq!(preview["devices"][0]["device_id"], *phones[0].0);
        assert_eq!(rows::everything(&fixture.bench), before, "a preview changes nothing");

        let _updated = fixture.update_settings(json!({"silent_devices": rule})).await.expect(200);
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(status(&phones[0].0).await, done);
        let events = fixture.events(&format!("device.{done}")).await;
        assert_eq!(events.len(), 1);
        let key = &fixture.all("/keys").await[0]["key_id"];
        assert_eq!(events[0]["actor"], json!({"type": "key", "id": key, "name": "First key"}), "who set the rule");
        assert_eq!(events[0]["private"]["reason"], "silent for over 30 days");

        // Ten days later a run finds no silent device. One that becomes silent afterwards waits for the next day's run.
        fixture.bench.advance(Duration::days(10));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        let _check_in = fixture.bench.check_in(&phones[2].1).await.expect(200);
        fixture.bench.advance(Duration::hours(23));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(status(&phones[1].0).await, "silent");
        fixture.bench.advance(Duration::hours(1));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(status(&phones[1].0).await, done);
        assert_eq!((status(&phones[2].0).await, status(&never).await), (json!("in_use"), json!("never_seen")));
        assert_eq!(fixture.events(&format!("device.{done}")).await.len(), 2);

        let off = fixture.update_settings(json!({"silent_devices": null})).await.expect(200);
        assert_eq!(off.body["silent_devices"], Value::Null);
        fixture.bench.advance(Duration::days(60));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(status(&phones[2].0).await, "silent");
    }
}

#[tokio::test]
async fn a_rule_for_silent_devices_needs_the_permission_of_its_action_and_ends_with_it() {
    let fixture = Fixture::new().await;
    let (_user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 2).await;
    for (_, credential) in &phones {
        let _check_in = fixture.bench.check_in(credential).await.expect(200);
    }
    fixture.bench.drain().await;
    fixture.bench.advance(Duration::days(40));
    let key = async |permissions: &[&str]| {
        let body = json!({"name": "settings", "permissions": permissions});
        let created = fixture.post("/keys", body).await.expect(201);
        (created.get("key_id"), created.get("key"))
    };
    let rule = json!({"after_days": 30, "action": "delete"});
    let (rule, preview) = (json!({"silent_devices": rule}), json!({"silent_devices": rule, "dry_run": true}));
    let (_, settles) = key(&["workspace:manage"]).await;
    let (id, manages) = key(&["workspace:manage", "devices:manage"]).await;
    for (key, body, needed) in [
        (&settles, &rule, "devices:manage"),
        (&settles, &preview, "devices:read"),
        (&settles, &json!({"dry_run": true}), "devices:read"),
        (&manages, &preview, "devices:read"),
    ] {
        let refused = fixture.bench.patch("/workspace", key, body.clone()).await.expect(403);
        assert_eq!((refused.code(), refused.body["permission"].as_str()), ("permission_missing", Some(needed)));
    }
    assert!(fixture.events("workspace.updated").await.is_empty());

    let set = fixture.bench.patch("/workspace", &manages, rule.clone()).await.expect(200);
    let by_key = json!({"type": "key", "id": id});
    assert_eq!(set.body["silent_rule"], json!({"set_by": by_key, "paused_at": null}));
    let _revoked = fixture.bench.delete(&format!("/keys/{id}"), &fixture.tenant.key).await.expect(200);
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    let paused = fixture.get("/workspace").await;
    let by_name = json!({"type": "key", "id": id, "name": "settings"});
    assert_eq!(paused["silent_rule"], json!({"set_by": by_name, "paused_at": "2027-01-02T08:00:00.000Z"}));
    assert_eq!(paused["silent_devices"], rule["silent_devices"]);
    let recorded = fixture.events("workspace.updated").await;
    let paused = json!({"silent_rule_paused": {"before": false, "after": true}});
    assert!(
        recorded.iter().any(|event| event["actor"]["type"] == "system" && event["changes"] == paused),
        "{recorded:?}"
    );
    fixture.bench.advance(Duration::days(2));
    assert_eq!(fixture.bench.run_due().await, json!({"done": 0, "failed": 0}));
    assert!(fixture.events("device.deleted").await.is_empty());

    let set = fixture.update_settings(rule).await.expect(200);
    assert_eq!(set.body["silent_rule"]["paused_at"], Value::Null);
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    let deletions = fixture.events("device.deleted").await;
    assert_eq!(deletions.len(), phones.len());
    assert!(
        deletions.iter().all(|event| event["actor"]["id"] == set.body["silent_rule"]["set_by"]["id"]),
        "{deletions:?}"
    );
}
