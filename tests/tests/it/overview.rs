//! The overview of a workspace, and finding anything in it.

use std::collections::BTreeSet;

use chrono::Duration;
use http::Method;
use serde_json::{Value, json};
use testkit::{Bench, Tenant, text};

/// A workspace with a bit of everything.
struct Fixture {
    bench: Bench,
    tenant: Tenant,
    ada: String,
    bob: String,
    phone: String,
}

impl Fixture {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("Overview").await;
        let body = json!({
            "username": "ada", "first_name": "Ada", "last_name": "Adler", "email": "ada@mail.example.com",
            "mobile": "+491701234567", "number": "4711",
        });
        let ada = bench.post("/users", &tenant.key, body).await.expect(201).get("user_id");
        let body = json!({"username": "bob", "email": "bob@example.org", "mobile": "+14254147167"});
        let bob = bench.post("/users", &tenant.key, body).await.expect(201).get("user_id");
        let code = bench.invite(&tenant, &ada, 1).await;
        let phone = bench.register(&code, "ada-phone").await.expect(201);
        let fixture = Self { phone: text(&phone.body["device"]["device_id"]), bench, tenant, ada, bob };
        fixture.bench.drain().await;
        fixture
    }

    async fn get(&self, path: &str) -> Value {
        self.bench.get(path, &self.tenant.key).await.expect(200).body
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.bench.post(path, &self.tenant.key, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.body
    }

    /// What a search finds: kinds and identifiers.
    async fn found(&self, q: &str) -> BTreeSet<(String, String)> {
        let found = self.get(&format!("/search?q={q}")).await;
        let hits = found["items"].as_array().unwrap();
        let set: BTreeSet<_> = hits.iter().map(|hit| (text(&hit["kind"]), text(&hit["id"]))).collect();
        assert_eq!(set.len(), hits.len(), "{q} finds each once: {found}");
        set
    }

    async fn expect_found(&self, q: &str, wanted: &[(&str, &str)]) {
        let wanted = wanted.iter().map(|(kind, id)| ((*kind).to_owned(), (*id).to_owned())).collect();
        assert_eq!(self.found(q).await, wanted, "{q}");
    }
}

#[tokio::test]
async fn the_overview_counts_what_the_workspace_has() {
    let fixture = Fixture::new().await;
    let overview = fixture.get("/overview").await;
    assert_eq!(overview["users"]["status"]["inactive"], 1, "{overview}");
    assert_eq!(overview["users"]["status"]["active"], 1);
    let devices = &overview["devices"];
    assert_eq!(
        (&devices["status"], &devices["device_status"]["never_seen"]),
        (&json!({"active": 1, "deleted": 0}), &json!(1))
    );
    assert_eq!(devices["platform"], json!({"ios": 1}));
    assert_eq!(devices["push_in_use"], json!({"true": 1}));
    let none = json!({"count": 0, "oldest_at": null});
    for open in ["commands", "invitations", "deployments", "jobs"] {
        assert_eq!(overview["open"][open], none, "{open}");
    }
    let events = overview["events"].as_array().unwrap();
    let listed = fixture.bench.list_all(&fixture.tenant, "/events").await.len();
    assert_eq!(
        (events.len(), &events[0]["day"], events[0]["count"].as_u64()),
        (30, &json!("2026-11-23"), Some(listed as u64))
    );

    // What is open, since when, and what became of it.
    let since = fixture.bench.now();
    let invited = fixture.post(&format!("/users/{}/invite", fixture.bob), json!({"channel": "email"})).await;
    let _ordered = fixture.post(&format!("/devices/{}/lock", fixture.phone), json!({})).await;
    let _deployed = fixture.post(&format!("/users/{}/deploy", fixture.ada), json!({})).await;
    fixture.bench.advance(Duration::minutes(1));
    let _later = fixture.post(&format!("/devices/{}/wipe", fixture.phone), json!({})).await;
    fixture.bench.drain().await;
    let open = fixture.get("/overview").await["open"].clone();
    let (one, two) = (json!({"count": 1, "oldest_at": since}), json!({"count": 2, "oldest_at": since}));
    let at = |open: &Value, name: &str| (open[name]["count"].clone(), text(&open[name]["oldest_at"])[..19].to_owned());
    for (name, wanted) in [("commands", &two), ("invitations", &one), ("deployments", &one)] {
        assert_eq!(
            at(&open, name),
            (wanted["count"].clone(), text(&wanted["oldest_at"])[..19].to_owned()),
            "{name}: {open}"
        );
    }
    let path = format!("/users/{}/invitations/{}", fixture.bob, text(&invited["invitation_id"]));
    let _revoked = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    let _blocked = fixture.post(&format!("/devices/{}/block", fixture.phone), json!({})).await;
    fixture.bench.drain().await;
    let overview = fixture.get("/overview").await;
    assert_eq!(overview["open"]["invitations"], none);
    assert_eq!(overview["devices"]["device_status"]["wiping"], 1, "{overview}");
}

#[tokio::test]
async fn the_overview_and_a_search_show_what_the_caller_may_see() {
    let fixture = Fixture::new().await;
    let key = json!({"name": "devices only", "permissions": ["devices:read"]});
    let key = text(&fixture.post("/keys", key).await["key"]);
    let overview = fixture.bench.get("/overview", &key).await.expect(200).body;
    let parts: Vec<&String> = overview.as_object().unwrap().keys().collect();
    assert_eq!(parts, ["devices", "open"], "{overview}");
    let open: Vec<&String> = overview["open"].as_object().unwrap().keys().collect();
    assert_eq!(open, ["commands"]);
    for q in ["ada", &fixture.ada, &fixture.phone, "devices"] {
        let found = fixture.bench.get(&format!("/search?q={q}"), &key).await.expect(200).body;
        let kinds: BTreeSet<&str> =
            found["items"].as_array().unwrap().iter().map(|hit| hit["kind"].as_str().unwrap()).collect();
        assert!(kinds.is_subset(&["device"].into()), "{q}: {found}");
    }
    let none = json!({"name": "none", "permissions": ["networks:report"]});
    let none = text(&fixture.post("/keys", none).await["key"]);
    for path in ["/overview", "/search?q=ada"] {
        let _refused = fixture.bench.get(path, &none).await.expect(403);
    }
}

#[tokio::test]
async fn a_search_finds_anything_by_its_identifier_and_people_by_numbers_and_hosts() {
    let fixture = Fixture::new().await;
    let (ada, bob, phone) = (fixture.ada.as_str(), fixture.bob.as_str(), fixture.phone.as_str());
    let invitation = fixture.post(&format!("/users/{bob}/invite"), json!({"channel": "email"})).await;
    let invitation = text(&invitation["invitation_id"]);
    let deployment = text(&fixture.post(&format!("/users/{ada}/deploy"), json!({})).await["deployment_id"]);
    let profile = text(&fixture.post("/profiles", json!({"name": "Field staff", "settings": {}})).await["profile_id"]);
    let source = json!({"name": "Directory", "kind": "csv", "mapping": {"username": "login"}});
    let source = text(&fixture.post("/sources", source).await["source_id"]);
    let key = json!({"name": "Night shift", "permissions": ["devices:read"]});
    let key = text(&fixture.post("/keys", key).await["key_id"]);
    let job = json!({"action": "suspend", "ids": [bob]});
    let job = text(&fixture.post("/users/bulk", job).await["job_id"]);
    fixture.bench.drain().await;
    for (kind, id) in [
        ("user", ada),
        ("device", phone),
        ("invitation", &invitation),
        ("deployment", &deployment),
        ("job", &job),
        ("profile", &profile),
        ("source", &source),
        ("key", &key),
    ] {
        fixture.expect_found(id, &[(kind, id)]).await;
    }
    fixture.expect_found("01a00000-0000-7000-8000-000000000000", &[]).await;
    let both = [("user", ada), ("device", phone)];
    for q in ["ada+adler", "0170+1234567", "%2B49+170+123", "4567", "34567", "711", "mail.example.com"] {
        let found = fixture.found(q).await;
        assert!(found.contains(&("user".to_owned(), ada.to_owned())), "{q}: {found:?}");
        assert!(!found.contains(&("user".to_owned(), bob.to_owned())), "{q}: {found:?}");
    }
    fixture.expect_found("adler", &both).await;
    fixture.expect_found("7167", &[("user", bob)]).await;
    fixture.expect_found("example.org", &[("user", bob)]).await;
    fixture.expect_found("field", &[("profile", &profile)]).await;
    fixture.expect_found("direct", &[("source", &source)]).await;
    fixture.expect_found("night+shi", &[("key", &key)]).await;
    fixture.expect_found("nobody", &[]).await;
    // Whoever is gone is not found any more.
    let _deleted =
        fixture.bench.call(Method::DELETE, &format!("/users/{bob}"), Some(&fixture.tenant.key), None).await.expect(200);
    fixture.bench.advance(Duration::days(60));
    let _purged = fixture.bench.purge().await;
    fixture.bench.drain().await;
    fixture.expect_found("7167", &[]).await;
    let other = fixture.bench.tenant("Other").await;
    for q in [ada, "adler", "4567"] {
        let found = fixture.bench.get(&format!("/search?q={q}"), &other.key).await.expect(200).body;
        assert_eq!(found["items"], json!([]), "{q}");
    }
}
