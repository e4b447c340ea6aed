//! Lists: their filters, order and pages, also while rows change.

use domain::permission::Permission;
use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use domain::ids::timed_uuid;
use domain::models::device::Device;
use domain::models::event::Event;
use domain::models::user::User;
use domain::{DeviceId, EventId, Time, UserId};
use http::Method;
use local::messaging::Channel;
use serde_json::{Value, json};
use testkit::oidc::ISSUER;
use testkit::{Bench, Tenant, rows, text};

/// All items of a list, by pages of a size; `between` runs after each page.
pub(crate) async fn list_while(
    bench: &Bench,
    tenant: &Tenant,
    list: &str,
    limit: usize,
    mut between: impl AsyncFnMut(usize),
) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    for page in 0.. {
        let path = format!("{list}{}limit={limit}{cursor}", if list.contains('?') { "&" } else { "?" });
        let answer = bench.get(&path, &tenant.key).await.expect(200);
        let found = answer.body["items"].as_array().unwrap();
        assert!(found.len() <= limit, "{path}: {} items", found.len());
        items.extend(found.iter().cloned());
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => {
                assert!(answer.body["next_cursor"].is_null());
                return items;
            }
        }
        assert!(page < 500, "{list} does not end");
        between(page).await;
    }
    items
}

pub(crate) async fn all(bench: &Bench, tenant: &Tenant, list: &str, limit: usize) -> Vec<Value> {
    list_while(bench, tenant, list, limit, async |_| {}).await
}

/// A workspace of people and phones in every state.
struct Fleet {
    bench: Bench,
    tenant: Tenant,
    /// The devices by the names given here.
    devices: BTreeMap<&'static str, String>,
    users: BTreeMap<&'static str, String>,
    credentials: BTreeMap<&'static str, String>,
}

impl Fleet {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("Fleet").await;
        let mut fleet =
            Self { bench, tenant, devices: BTreeMap::new(), users: BTreeMap::new(), credentials: BTreeMap::new() };
        fleet.user("zoe", "Zoë", "Ångström").await;
        fleet.user("max", "Max", "O'Neil").await;
        fleet.user("eva", "Eva", "Iphone").await;
        fleet.device("new", "zoe", "ios", "iPhone 17", "ZX-100", true).await;
        fleet.device("silent", "zoe", "android", "Pixel 11", "PX-200", true).await;
        fleet.device("blocked", "zoe", "third_party", "Softphone", "SP-300", false).await;
        fleet.device("used", "max", "ios", "iPhone 17 Pro", "ZX-400", false).await;
        fleet.device("gone", "max", "android", "Galaxy S27", "GX-500", false).await;
        fleet.device("namesake", "eva", "android", "Größe XL", "HX-600", true).await;
        fleet.bench.drain().await;
        fleet.check_in("silent").await;
        fleet.check_in("blocked").await;
        fleet.bench.advance(Duration::days(31));
        fleet.check_in("used").await;
        fleet.bench.advance(Duration::minutes(1));
        fleet.post("blocked", "block", json!({"reason": "lost in Oslo"})).await;
        fleet.bench.advance(Duration::minutes(1));
        let _deleted =
            fleet.bench.delete(&format!("/devices/{}", fleet.devices["gone"]), &fleet.tenant.key).await.expect(200);
        fleet.bench.drain().await;
        fleet.bench.advance(Duration::minutes(1));
        fleet
    }

    async fn user(&mut self, username: &'static str, first: &str, last: &str) {
        let body = json!({"username": username, "first_name": first, "last_name": last, "email": format!("{username}@example.com")});
        let user = self.bench.post("/users", &self.tenant.key, body).await.expect(201).get("user_id");
        self.users.insert(username, user);
        self.bench.advance(Duration::minutes(1));
    }

    async fn device(
        &mut self,
        name: &'static str,
        user: &'static str,
        platform: &str,
        model: &str,
        identifier: &str,
        token: bool,
    ) {
        let code = self.bench.invite(&self.tenant, &self.users[user], 1).await;
        let mut body = Bench::registration_body(&code, identifier);
        body["platform"] = platform.into();
        body["model_name"] = model.into();
        if !token {
            body.as_object_mut().unwrap().remove("push_token");
        }
        let answer = self.bench.call(Method::POST, "/devices", None, Some(&body)).await.expect(201);
        self.devices.insert(name, text(&answer.body["device"]["device_id"]));
        self.credentials.insert(name, answer.get("credential"));
        self.bench.advance(Duration::minutes(1));
    }

    async fn check_in(&self, name: &str) {
        let _login = self.bench.check_in(&self.credentials[name]).await.expect(200);
    }

    async fn post(&self, name: &str, action: &str, body: Value) {
        let path = format!("/devices/{}/{action}", self.devices[name]);
        let _done = self.bench.post(&path, &self.tenant.key, body).await.expect(200);
    }

    /// The devices that a query shows, by their names, in its order.
    async fn shown(&self, query: &str) -> Vec<&'static str> {
        let items = all(&self.bench, &self.tenant, &format!("/devices?{query}"), 2).await;
        let name = |item: &Value| self.devices.iter().find(|(_, id)| item["device_id"] == **id).map(|(name, _)| *name);
        items.iter().map(|item| name(item).expect("the device is registered")).collect()
    }

    async fn expect_shown(&self, query: &str, wanted: &[&str]) {
        let shown = self.shown(query).await;
        assert_eq!(shown.iter().copied().collect::<BTreeSet<_>>(), wanted.iter().copied().collect(), "{query}");
        assert_eq!(shown.len(), wanted.len(), "{query} shows each once: {shown:?}");
    }

    async fn view(&self, name: &str) -> Value {
        let one = self.bench.get(&format!("/devices/{}", self.devices[name]), &self.tenant.key).await.expect(200).body;
        let list = all(&self.bench, &self.tenant, "/devices", 100).await;
        let mut listed = list.into_iter().find(|item| item["device_id"] == *self.devices[name]).unwrap();
        // The list shows the same as a single device, except for long fields.
        for long in ["custom_metadata", "acs_credentials", "credential_services"] {
            assert!(listed.get(long).is_none(), "{name}");
            listed[long] = one[long].clone();
        }
        assert_eq!(listed, one, "{name}");
        one
    }
}

#[tokio::test]
async fn each_device_filter_shows_the_matching_devices() {
    let fleet = Fleet::new().await;
    let (zoe, max) = (&fleet.users["zoe"], &fleet.users["max"]);
    let everything = ["new", "silent", "blocked", "used", "gone", "namesake"];
    fleet.expect_shown("", &everything).await;
    fleet.expect_shown(&format!("user_id={zoe}"), &["new", "silent", "blocked"]).await;
    fleet.expect_shown(&format!("user_id={max}"), &["used", "gone"]).await;
    fleet.expect_shown("status=active", &["new", "silent", "blocked", "used", "namesake"]).await;
    fleet.expect_shown("status=deleted", &["gone"]).await;
    fleet.expect_shown("device_status=never_seen", &["new", "namesake"]).await;
    fleet.expect_shown("device_status=in_use", &["used"]).await;
    fleet.expect_shown("device_status=silent", &["silent"]).await;
    fleet.expect_shown("device_status=blocked", &["blocked"]).await;
    fleet.expect_shown("device_status=deleted", &["gone"]).await;
    fleet.expect_shown("blocked=true", &["blocked"]).await;
    fleet.expect_shown("blocked=false", &["new", "silent", "used", "gone", "namesake"]).await;
    fleet.expect_shown("platform=ios", &["new", "used"]).await;
    fleet.expect_shown("platform=android", &["silent", "gone", "namesake"]).await;
    fleet.expect_shown("platform=third_party", &["blocked"]).await;
    fleet.expect_shown("push_in_use=true", &["new", "silent", "namesake"]).await;
    fleet.expect_shown("push_in_use=false", &["blocked", "used", "gone"]).await;
    fleet.expect_shown("pending_command=true", &[]).await;
    fleet.expect_shown("pending_command=false", &everything).await;
    let login = text(&fleet.view("used").await["last_login_at"]);
    let early = text(&fleet.view("silent").await["last_login_at"]);
    fleet.expect_shown(&format!("last_login_before={early}"), &[]).await;
    fleet.expect_shown(&format!("last_login_before={login}"), &["silent", "blocked"]).await;
    fleet.expect_shown("last_login_before=2027-06-01T00:00:00Z", &["silent", "blocked", "used"]).await;
    let zone = early.replace(".000Z", "%2B02:00");
    fleet.expect_shown(&format!("last_login_before={zone}"), &[]).await;
}

#[tokio::test]
async fn combined_device_filters_show_the_intersection() {
    let fleet = Fleet::new().await;
    let (zoe, max) = (fleet.users["zoe"].clone(), fleet.users["max"].clone());
    let filters = [
        format!("user_id={zoe}"),
        format!("user_id={max}"),
        "status=active".into(),
        "status=deleted".into(),
        "device_status=silent".into(),
        "device_status=never_seen".into(),
        "device_status=blocked".into(),
        "blocked=true".into(),
        "blocked=false".into(),
        "platform=ios".into(),
        "platform=android".into(),
        "push_in_use=true".into(),
        "push_in_use=false".into(),
        "pending_command=false".into(),
        "pending_command=true".into(),
        "last_login_before=2026-12-01T00:00:00Z".into(),
        "search=zx".into(),
        "search=zoe".into(),
    ];
    let mut alone = Vec::new();
    for filter in &filters {
        alone.push(fleet.shown(filter).await.into_iter().collect::<BTreeSet<_>>());
    }
    let name = |filter: &str| filter.split('=').next().unwrap().to_owned();
    let mut pairs = 0;
    for (at, first) in filters.iter().enumerate() {
        for (other, second) in filters.iter().enumerate().skip(at + 1) {
            if name(first) == name(second) {
                continue;
            }
            let both: Vec<&str> = alone[at].intersection(&alone[other]).copied().collect();
            // A user's name finds their devices except deleted ones.
            fleet.expect_shown(&format!("{first}&{second}"), &both).await;
            fleet.expect_shown(&format!("{second}&{first}"), &both).await;
            pairs += 1;
        }
    }
    assert!(pairs > 120, "{pairs} pairs");
    fleet
        .expect_shown(
            &format!("user_id={zoe}&status=active&blocked=false&platform=android&push_in_use=true"),
            &["silent"],
        )
        .await;
}

#[tokio::test]
async fn a_search_finds_by_users_models_and_identifiers_whatever_their_accents() {
    let fleet = Fleet::new().await;
    let of_zoe = ["new", "silent", "blocked"];
    for typed in [
        "zoe",
        "ZOE",
        "zo%C3%AB",
        "angstrom",
        "%C3%85ngstr%C3%B6m",
        "angs",
        "zoe+angstrom",
        "angstrom+zo",
        "A%CC%8Angstro%CC%88m",
    ] {
        fleet.expect_shown(&format!("search={typed}"), &of_zoe).await;
    }
    fleet.expect_shown("search=pixel", &["silent"]).await;
    fleet.expect_shown("search=groesse", &[]).await;
    fleet.expect_shown("search=gro%C3%9Fe", &["namesake"]).await;
    fleet.expect_shown("search=ZX-400", &["used"]).await;
    fleet.expect_shown("search=400", &["used"]).await;
    fleet.expect_shown("search=zx", &["new", "used"]).await;
    fleet.expect_shown("search=o'neil", &["used"]).await;
    fleet.expect_shown("search=neil", &["used"]).await;
    // A word of the phone and a word of the person, in either order.
    fleet.expect_shown("search=iphone+zoe", &["new"]).await;
    fleet.expect_shown("search=zoe+iphone", &["new"]).await;
    fleet.expect_shown("search=pro+max", &["used"]).await;
    fleet.expect_shown("search=pixel+max", &[]).await;
    // A user named like phone models, and the phones: each once.
    fleet.expect_shown("search=iphone", &["new", "used", "namesake"]).await;
    fleet.expect_shown("search=17+iphone", &["new", "used"]).await;
    // The beginning of a word, not its middle.
    fleet.expect_shown("search=xel", &[]).await;
    fleet.expect_shown("search=hone", &[]).await;
    // A deleted phone is found by its own words until it is purged.
    fleet.expect_shown("search=galaxy", &["gone"]).await;
    fleet.expect_shown("search=galaxy&status=active", &[]).await;
    // A nickname is found at once, and no longer after its removal.
    let path = format!("/devices/{}", fleet.devices["silent"]);
    for (nickname, found) in [(json!("Büro"), vec!["silent"]), (Value::Null, vec![])] {
        let edit = json!({"nickname": nickname});
        let _edited = fleet.bench.call(Method::PATCH, &path, Some(&fleet.tenant.key), Some(&edit)).await.expect(200);
        fleet.expect_shown("search=buro", &found).await;
    }
}

#[tokio::test]
async fn users_are_found_by_name_username_number_and_address() {
    let fleet = Fleet::new().await;
    let names = async |query: &str| {
        let items = all(&fleet.bench, &fleet.tenant, &format!("/users?{query}"), 1).await;
        items.iter().map(|item| text(&item["username"])).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["eva", "max", "zoe"], "the newest first");
    for (query, wanted) in [
        ("search=angstrom", vec!["zoe"]),
        ("search=zoe%40example.com", vec!["zoe"]),
        ("search=o+max", vec!["max"]),
        ("search=nobody", vec![]),
    ] {
        assert_eq!(names(query).await, wanted, "{query}");
    }
    let mut all_of_them = names("search=example").await;
    all_of_them.sort();
    assert_eq!(all_of_them, ["eva", "max", "zoe"]);
    assert_eq!(names("status=active").await, ["eva", "max", "zoe"]);
    assert!(names("status=inactive").await.is_empty() && names("status=suspended").await.is_empty());
}

#[tokio::test]
async fn every_column_of_the_device_list_is_right_in_every_state() {
    let fleet = Fleet::new().await;
    let columns = [
        "acs_credentials",
        "app_version",
        "blocked",
        "commands",
        "created_at",
        "credential_services",
        "custom_metadata",
        "deleted_at",
        "device_id",
        "device_identifier",
        "device_status",
        "display_name",
        "erased_at",
        "errors",
        "last_login_at",
        "model_name",
        "nickname",
        "os_version",
        "pin_failures",
        "platform",
        "purge_after",
        "push",
        "push_endpoint",
        "status",
        "unconfirmed_wipe",
        "user_id",
        "user_name",
        "warnings",
    ];
    for name in fleet.devices.keys() {
        let view = fleet.view(name).await;
        let actual: Vec<&str> = view.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(actual, columns, "{name}");
        assert_eq!(view["push"].as_object().unwrap().keys().collect::<Vec<_>>(), ["in_use", "reason", "since"]);
        assert!(text(&view["created_at"]).starts_with("2026-11-23T08:"), "{name}");
    }

    let new = fleet.view("new").await;
    let expected = json!({
        "user_id": fleet.users["zoe"], "user_name": "Zoë Ångström", "device_identifier": "ZX-100", "platform": "ios", "model_name": "iPhone 17", "display_name": "iPhone 17",
        "nickname": null, "os_version": "26.1", "app_version": "4.2.0", "device_status": "never_seen", "status": "active", "last_login_at": null, "blocked": null, "deleted_at": null, "purge_after": null,
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&new[column], value, "{column}");
    }
    assert!(text(&new["push_endpoint"]).starts_with("arn:aws:sns:us-east-1:000000000000:endpoint/APNS/handset/"));
    assert_eq!((&new["push"]["in_use"], &new["push"]["reason"]), (&json!(true), &json!("endpoint_ready")));
    assert!(text(&new["push"]["since"]) >= text(&new["created_at"]));

    let used = fleet.view("used").await;
    assert_eq!((&used["device_status"], &used["status"]), (&json!("in_use"), &json!("active")));
    assert!(text(&used["last_login_at"]).starts_with("2026-12-24T"));
    assert_eq!(used["push"], json!({"in_use": false, "reason": "no_token", "since": used["created_at"]}));
    assert_eq!((&used["push_endpoint"], &used["user_name"]), (&Value::Null, &json!("Max O'Neil")));

    let silent = fleet.view("silent").await;
    assert_eq!(silent["device_status"], "silent", "{}", silent["last_login_at"]);
    assert!(text(&silent["push_endpoint"]).contains("endpoint/GCM/handset/"));

    let blocked = fleet.view("blocked").await;
    assert_eq!((&blocked["device_status"], &blocked["status"]), (&json!("blocked"), &json!("active")));
    let key = fleet.bench.get("/keys", &fleet.tenant.key).await.expect(200).body["items"][0]["key_id"].clone();
    assert_eq!(
        blocked["blocked"],
        json!({"at": "2026-12-24T08:10:00.000Z", "by": {"type": "key", "id": key, "name": "First key"}, "reason": "lost in Oslo"})
    );

    let deleted_device = fleet.view("gone").await;
    assert_eq!((&deleted_device["device_status"], &deleted_device["status"]), (&json!("deleted"), &json!("deleted")));
    assert_eq!(deleted_device["deleted_at"], "2026-12-24T08:11:00.000Z");
    assert_eq!(deleted_device["purge_after"], "2027-01-23T08:11:00.000Z", "30 days are kept");

    // An unblocked device has its earlier status.
    fleet.post("blocked", "unblock", json!({})).await;
    let unblocked = fleet.view("blocked").await;
    assert_eq!((&unblocked["device_status"], &unblocked["blocked"]), (&json!("silent"), &Value::Null));
}

#[tokio::test]
async fn a_device_is_silent_after_more_than_thirty_days_without_a_check_in() {
    let fleet = Fleet::new().await;
    fleet.check_in("new").await;
    let status = async || text(&fleet.view("new").await["device_status"]);
    fleet.bench.advance(Duration::days(30));
    assert_eq!(status().await, "in_use");
    fleet.bench.advance(Duration::milliseconds(1));
    assert_eq!(status().await, "silent");
    fleet.check_in("new").await;
    assert_eq!(status().await, "in_use");
}

#[tokio::test]
async fn a_device_shows_since_when_and_why_push_is_not_in_use() {
    let fleet = Fleet::new().await;
    let before = fleet.view("new").await;
    let endpoint = text(&before["push_endpoint"]);
    // The push service reports that the token no longer works.
    let report = json!({
        "EventType": "DeliveryFailure", "FailureType": "InvalidPlatformToken", "EndpointArn": endpoint, "Time": fleet.bench.now().to_rfc3339(),
    });
    let event = json!({"Records": [{"Sns": {"Message": report.to_string()}}]});
    let _recorded = fleet.bench.stack.invoke("record-feedback", event).await.unwrap();
    let after = fleet.view("new").await;
    let now = fleet.bench.now().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    assert_eq!(after["push"], json!({"in_use": false, "reason": "delivery_failed", "since": now}));
    fleet.expect_shown("push_in_use=true", &["silent", "namesake"]).await;
    // A new token enables push again.
    fleet.bench.advance(Duration::minutes(1));
    let report = json!({"push_token": "another-token"});
    let _login = fleet.bench.check_in_with(&fleet.credentials["new"], report).await.expect(200);
    assert_eq!(fleet.view("new").await["push"]["reason"], "endpoint_pending");
    fleet.bench.drain().await;
    let new_device = fleet.view("new").await;
    assert_eq!(
        (&new_device["push"]["in_use"], &new_device["push"]["reason"]),
        (&json!(true), &json!("endpoint_ready"))
    );
    assert_ne!(new_device["push_endpoint"], before["push_endpoint"], "a new token has an endpoint of its own");
    fleet.post("new", "block", json!({})).await;
    fleet.bench.drain().await;
    let pushed = fleet.bench.stack.messaging().outbox();
    assert!(pushed.iter().any(|item| item.channel == Channel::Push), "the phone was woken");
}

/// Identifiers of items, in a list's order.
fn ids(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| text(&item[name])).collect()
}

#[tokio::test]
async fn every_list_returns_each_item_once_newest_first_for_any_page_size() {
    let fleet = Fleet::new().await;
    let (bench, tenant) = (&fleet.bench, &fleet.tenant);
    for at in 0..5 {
        bench.advance(Duration::minutes(1));
        let key = json!({"name": format!("k{at}"), "permissions": ["devices:read"]});
        let _key = bench.post("/keys", &tenant.key, key).await.expect(201);
        let member = json!({"issuer": ISSUER, "subject": format!("s{at}"), "role": "viewer"});
        let _member = bench.post("/members", &tenant.key, member).await.expect(201);
    }
    // Several created at the same time.
    for at in 0..4 {
        let _user = bench.user(tenant, &format!("same-{at}")).await;
    }
    for (list, id, count) in [
        ("/devices", "device_id", 6),
        ("/users", "user_id", 7),
        ("/keys", "key_id", 6),
        ("/members", "member_id", 5),
        ("/events", "event_id", 0),
    ] {
        let full_list = all(bench, tenant, list, 100).await;
        if count > 0 {
            assert_eq!(full_list.len(), count, "{list}");
        }
        let times = ids(&full_list, "created_at");
        assert!(times.is_sorted_by(|earlier, later| earlier >= later), "{list}: the newest first");
        let unique: BTreeSet<String> = ids(&full_list, id).into_iter().collect();
        assert_eq!(unique.len(), full_list.len(), "{list}: each once");
        for limit in [1, 2, 3, 5, full_list.len() - 1, full_list.len(), full_list.len() + 1] {
            assert_eq!(
                ids(&all(bench, tenant, list, limit.min(100)).await, id),
                ids(&full_list, id),
                "{list} by {limit}"
            );
        }
    }
    let fifty = bench.get("/events", &tenant.key).await.expect(200);
    assert!(fifty.body["items"].as_array().unwrap().len() <= 50, "50 items by default");
    let _empty = bench.tenant("Empty").await;
    for list in ["/devices", "/users", "/members"] {
        assert_eq!(
            bench.get(list, &_empty.key).await.expect(200).body,
            if list == "/members" {
                json!({"items": [], "next_cursor": null})
            } else {
                json!({"items": [], "next_cursor": null, "total": 0})
            }
        );
    }
}

#[tokio::test]
async fn a_list_of_users_is_stable_while_users_are_added() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Growing").await;
    let mut before = BTreeSet::new();
    for at in 0..7 {
        before.insert(bench.user(&tenant, &format!("before-{at}")).await);
        bench.advance(Duration::seconds(1));
    }
    for limit in [1, 2, 3] {
        let items = list_while(&bench, &tenant, "/users", limit, async |page| {
            bench.advance(Duration::seconds(1));
            let _added = bench.user(&tenant, &format!("added-{limit}-{page}")).await;
        })
        .await;
        let seen: Vec<String> = ids(&items, "user_id");
        let unique: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(unique.len(), seen.len(), "by {limit}: each once");
        assert!(before.is_subset(&unique), "by {limit}: all existing ones");
    }
}

#[tokio::test]
async fn lists_of_keys_members_and_events_are_stable_while_items_are_added_and_removed() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Moving").await;
    for at in 0..6 {
        let key = json!({"name": format!("k{at}"), "permissions": ["devices:read"]});
        let _key = bench.post("/keys", &tenant.key, key).await.expect(201);
        let member = json!({"issuer": ISSUER, "subject": format!("s{at}"), "role": "viewer"});
        let _member = bench.post("/members", &tenant.key, member).await.expect(201);
        bench.advance(Duration::seconds(1));
    }
    for (list, id) in [("/keys", "key_id"), ("/members", "member_id"), ("/events", "event_id")] {
        let before = ids(&all(&bench, &tenant, list, 100).await, id);
        // An item of the last page is removed, and a new one is added.
        let items = list_while(&bench, &tenant, list, 2, async |page| {
            bench.advance(Duration::seconds(1));
            if list == "/members" {
                let _deleted =
                    bench.delete(&format!("/members/{}", before[2 * page + 1]), &tenant.key).await.expect(200);
            } else {
                let _revoked = bench
                    .post("/keys", &tenant.key, json!({"name": "new", "permissions": ["devices:read"]}))
                    .await
                    .expect(201);
            }
        })
        .await;
        assert_eq!(ids(&items, id), before, "{list}");
    }
}

#[tokio::test]
async fn actors_are_shown_with_their_names() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Names").await;
    let (device, credential) = bench.phone(&tenant, "ada").await;
    let nightly = json!({"name": "Nightly sync", "permissions": ["devices:manage", "users:manage"]});
    let nightly = bench.post("/keys", &tenant.key, nightly).await.expect(201).get("key");
    let _locked = bench.post(&format!("/devices/{device}/lock"), &nightly, json!({})).await.expect(202);
    let _check_in = bench.check_in(&credential).await.expect(200);
    let job = json!({"action": "unblock", "ids": [device]});
    let job = bench.post("/devices/bulk", &nightly, job).await.expect(200).get("job_id");
    let named = |holder: &Value| holder["name"].as_str().unwrap_or_default().to_owned();
    let events = bench.list_all(&tenant, &format!("/events?device_id={device}")).await;
    let by: BTreeSet<(String, String)> = events
        .iter()
        .map(|event| (event["actor"]["type"].as_str().unwrap().to_owned(), named(&event["actor"])))
        .collect();
    let expected = [("device", "iPhone 17"), ("invitation", ""), ("key", "Nightly sync")];
    assert!(expected.iter().all(|(kind, name)| by.contains(&((*kind).to_owned(), (*name).to_owned()))), "{by:?}");
    let commands = bench.get(&format!("/devices/{device}/commands"), &tenant.key).await.expect(200).body;
    assert_eq!(named(&commands["items"][0]["queued_by"]), "Nightly sync");
    assert_eq!(named(&commands["items"][0]["history"][0]["by"]), "Nightly sync");
    let shown = bench.get(&format!("/jobs/{job}"), &tenant.key).await.expect(200).body;
    assert_eq!(named(&shown["created_by"]), "Nightly sync");
    assert_eq!(named(&bench.list_all(&tenant, "/jobs").await[0]["created_by"]), "Nightly sync");
    let csv = bench.get("/events/export?columns=actor_type,actor_name", &tenant.key).await.expect(200).text;
    assert!(csv.contains("key,Nightly sync\r\n") && csv.contains("device,iPhone 17\r\n"), "{csv}");
}

#[tokio::test]
async fn the_actor_of_a_block_suspension_creation_or_revocation_is_named_everywhere() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Holders").await;
    let (device, _) = bench.phone(&tenant, "ada").await;
    let user = bench.get(&format!("/devices/{device}"), &tenant.key).await.expect(200).get("user_id");
    let everything: Vec<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    let created =
        bench.post("/keys", &tenant.key, json!({"name": "Helpdesk", "permissions": everything})).await.expect(201);
    let helpdesk = created.get("key");
    // A caller's own data is not shown as an actor.
    let sent = json!({"custom_metadata": {"by": "nobody"}});
    let _noted = bench.patch(&format!("/devices/{device}"), &helpdesk, sent).await.expect(200);
    for path in [format!("/devices/{device}/block"), format!("/users/{user}/suspend")] {
        let _held = bench.post(&path, &helpdesk, json!({"reason": "lost"})).await.expect(200);
    }
    bench.advance(Duration::seconds(1));
    let second = json!({"name": "Second", "permissions": ["users:read"]});
    let second = bench.post("/keys", &helpdesk, second).await.expect(201).get("key_id");
    let _revoked = bench.delete(&format!("/keys/{second}"), &helpdesk).await.expect(200);
    let member = json!({"issuer": "https://people.example", "subject": "grace", "role": "viewer"});
    let _member = bench.post("/members", &helpdesk, member).await.expect(201);
    let webhook = json!({"url": "https://hooks.example/in", "event_types": ["device.blocked"]});
    let webhook = bench.post("/webhooks", &helpdesk, webhook).await.expect(201).get("webhook_id");
    let rule = json!({"silent_devices": {"after_days": 90, "action": "block"}});
    let _rule = bench.patch("/workspace", &helpdesk, rule).await.expect(200);
    let shown = [
        (format!("/devices/{device}"), "/blocked/by"),
        ("/devices".to_owned(), "/items/0/blocked/by"),
        (format!("/users/{user}"), "/suspended/by"),
        (format!("/users/{user}"), "/devices/0/blocked/by"),
        ("/users".to_owned(), "/items/0/suspended/by"),
        ("/keys".to_owned(), "/items/0/created_by"),
        ("/keys".to_owned(), "/items/0/revoked_by"),
        ("/members".to_owned(), "/items/0/created_by"),
        (format!("/webhooks/{webhook}"), "/created_by"),
        ("/webhooks".to_owned(), "/items/0/created_by"),
        ("/workspace".to_owned(), "/silent_rule/set_by"),
    ];
    for (path, holder) in shown {
        let body = bench.get(&path, &tenant.key).await.expect(200).body;
        let expected = json!({"type": "key", "id": created.get("key_id"), "name": "Helpdesk"});
        assert_eq!(body.pointer(holder), Some(&expected), "{path} {holder}: {body}");
    }
    for (path, column) in [("/devices/export", "blocked_by"), ("/users/export", "suspended_by")] {
        let path = format!("{path}?columns={column}_type,{column}_id,{column}_name");
        let csv = bench.get(&path, &tenant.key).await.expect(200).text;
        assert!(csv.ends_with(&format!("key,{},Helpdesk\r\n", created.get("key_id"))), "{csv}");
    }
}

/// Registers phones of one user each, and returns their devices, oldest first.
async fn phones(bench: &Bench, tenant: &Tenant, prefix: &str, count: usize) -> Vec<String> {
    let mut devices = Vec::new();
    for at in 0..count {
        let (device, _) = bench.phone(tenant, &format!("{prefix}{at}")).await;
        bench.advance(Duration::seconds(1));
        devices.push(device);
    }
    devices
}

#[tokio::test]
async fn a_list_of_devices_is_stable_while_devices_are_added_blocked_and_deleted() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Changing").await;
    let devices = phones(&bench, &tenant, "p", 8).await;
    let mut expected = devices.clone();
    expected.reverse();
    let items = list_while(&bench, &tenant, "/devices", 2, async |page| {
        // The last listed device is deleted, a later one is blocked, and a new one is added.
        let seen = &expected[2 * page + 1];
        let _deleted = bench.delete(&format!("/devices/{seen}"), &tenant.key).await.expect(200);
        if let Some(next) = expected.get(2 * page + 3) {
            let _blocked = bench.post(&format!("/devices/{next}/block"), &tenant.key, json!({})).await.expect(200);
        }
        bench.advance(Duration::seconds(1));
        let _new = bench.phone(&tenant, &format!("new{page}")).await;
    })
    .await;
    assert_eq!(ids(&items, "device_id"), expected);
}

#[tokio::test]
async fn a_filtered_device_list_returns_each_device_once_while_fewer_match() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Narrow").await;
    let devices = phones(&bench, &tenant, "p", 6).await;
    for device in &devices {
        let _blocked = bench.post(&format!("/devices/{device}/block"), &tenant.key, json!({})).await.expect(200);
        bench.advance(Duration::seconds(1));
    }
    let mut expected = devices.clone();
    expected.reverse();
    let items = list_while(&bench, &tenant, "/devices?blocked=true", 1, async |page| {
        // The cursor's own row leaves the list.
        let _unblocked =
            bench.post(&format!("/devices/{}/unblock", expected[page]), &tenant.key, json!({})).await.expect(200);
    })
    .await;
    assert_eq!(ids(&items, "device_id"), expected);
    for device in &devices {
        let _deleted = bench.delete(&format!("/devices/{device}"), &tenant.key).await.expect(200);
        bench.advance(Duration::seconds(1));
    }
    assert_eq!(
        ids(&all(&bench, &tenant, "/devices?status=deleted", 1).await, "device_id"),
        expected,
        "the newest first"
    );
}

#[tokio::test]
async fn a_search_returns_each_device_once_for_any_page_size() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Searching").await;
    let user = bench.user(&tenant, "iphone").await;
    let code = bench.invite(&tenant, &user, 3).await;
    for at in 0..3 {
        let _device = bench.register(&code, &format!("own-{at}")).await.expect(201);
    }
    let _others = phones(&bench, &tenant, "p", 4).await;
    for query in ["iphone", "ada", "p", "own"] {
        let list = format!("/devices?search={query}");
        let full_list: BTreeSet<String> =
            ids(&all(&bench, &tenant, &list, 100).await, "device_id").into_iter().collect();
        assert!(!full_list.is_empty());
        for limit in 1..=8 {
            let found = ids(&all(&bench, &tenant, &list, limit).await, "device_id");
            assert_eq!(found.len(), full_list.len(), "{query} by {limit}: each once");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), full_list, "{query} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_search_by_username_skips_no_device_while_another_one_of_the_user_is_deleted() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Searching").await;
    let user = bench.user(&tenant, "zelda").await;
    let code = bench.invite(&tenant, &user, 3).await;
    for at in 0..3 {
        let _device = bench.register(&code, &format!("own-{at}")).await.expect(201);
    }
    let expected = ids(&all(&bench, &tenant, "/devices?search=zelda", 100).await, "device_id");
    let items = list_while(&bench, &tenant, "/devices?search=zelda", 1, async |page| {
        let _deleted = bench.delete(&format!("/devices/{}", expected[page]), &tenant.key).await.expect(200);
    })
    .await;
    assert_eq!(ids(&items, "device_id"), expected);
}

#[tokio::test]
async fn events_are_found_by_device_user_type_and_time() {
    let fleet = Fleet::new().await;
    let (bench, tenant) = (&fleet.bench, &fleet.tenant);
    let everything = all(bench, tenant, "/events", 100).await;
    let (device, user) = (&fleet.devices["blocked"], &fleet.users["zoe"]);
    let select = |wanted: &dyn Fn(&Value) -> bool| {
        ids(&everything.iter().filter(|event| wanted(event)).cloned().collect::<Vec<_>>(), "event_id")
    };
    let blocked = everything.iter().find(|event| event["event_type"] == "device.blocked").unwrap();
    let at = text(&blocked["created_at"]);
    type Wanted<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let cases: Vec<(String, Wanted<'_>)> = vec![
        (format!("device_id={device}"), Box::new(|event| event["device_id"] == **device)),
        (format!("user_id={user}"), Box::new(|event| event["user_id"] == **user)),
        ("event_type=device.registered".into(), Box::new(|event| event["event_type"] == "device.registered")),
        (
            format!("device_id={device}&event_type=device.blocked"),
            Box::new(|event| event["event_id"] == blocked["event_id"]),
        ),
        (
            format!("user_id={user}&event_type=device.registered"),
            Box::new(|event| event["user_id"] == **user && event["event_type"] == "device.registered"),
        ),
        (format!("device_id={device}&user_id={}", fleet.users["max"]), Box::new(|_| false)),
        (format!("since={at}"), Box::new(|event| text(&event["created_at"]) >= at)),
        (format!("since={at}&until={at}"), Box::new(|event| text(&event["created_at"]) == at)),
        (format!("until={at}"), Box::new(|event| text(&event["created_at"]) <= at)),
        (format!("until={at}&event_type=device.blocked"), Box::new(|event| event["event_id"] == blocked["event_id"])),
        (
            format!("device_id={device}&until=2026-12-01T00:00:00Z"),
            Box::new(|event| event["device_id"] == **device && text(&event["created_at"]).starts_with("2026-11")),
        ),
        ("since=2026-11-24T00:00:00Z&until=2026-12-20T00:00:00Z".into(), Box::new(|_| false)),
        ("until=2026-11-23T00:00:00Z".into(), Box::new(|_| false)),
    ];
    for (query, wanted) in cases {
        for limit in [1, 3, 100] {
            let found = all(bench, tenant, &format!("/events?{query}"), limit).await;
            assert_eq!(ids(&found, "event_id"), select(&wanted), "{query} by {limit}");
        }
    }
    // Actor, address and request; the reason is private.
    assert_eq!(blocked["actor"]["type"], "key");
    assert_eq!(blocked["operation"], "block-device");
    assert_eq!(blocked["private"], json!({"address": "127.0.0.1", "reason": "lost in Oslo"}));
    assert!(!text(&blocked["request_id"]).is_empty());
    assert_eq!(blocked["changes"]["blocked"], json!({"before": false, "after": true}));
}

#[tokio::test]
async fn events_older_than_ninety_days_are_listed_on_request() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Old").await;
    let _user = bench.user(&tenant, "ada").await;
    bench.advance(Duration::days(91));
    assert!(all(&bench, &tenant, "/events", 10).await.is_empty());
    let old = all(&bench, &tenant, "/events?since=2026-11-01T00:00:00Z", 1).await;
    assert_eq!(old.len(), 2);
    let types: BTreeSet<String> = ids(&old, "event_type").into_iter().collect();
    assert_eq!(types, ["user.created".to_owned(), "workspace.created".to_owned()].into());
}

/// A fleet with users in every state.
struct Staff(Fleet);

impl Staff {
    async fn new() -> Self {
        let mut fleet = Fleet::new().await;
        for (username, first, last) in
            [("ian", "Ian", "Quist"), ("sue", "Sue", "Quist"), ("lou", "Lou", "Quist"), ("del", "Del", "Quist")]
        {
            fleet.user(username, first, last).await;
        }
        let staff = Self(fleet);
        let key = staff.0.tenant.key.clone();
        let bench = &staff.0.bench;
        let levels = json!({"service_levels": ["gold", "plain silver"]});
        let _levels = bench.patch("/workspace", &key, levels).await.expect(200);
        for (username, level) in [("max", "gold"), ("sue", "gold"), ("eva", "plain silver")] {
            let body = json!({"service_level": level});
            let _level = bench.patch(&staff.path(username, ""), &key, body).await.expect(200);
        }
        let quiet = bench.now() - Duration::days(31);
        for (username, provider, report) in [
            ("eva", "verizon", json!({"status": "enabled", "mdn_provisioning": "pending"})),
            ("eva", "att", json!({"status": "enabled", "mdn_provisioning": "enabled"})),
            ("max", "verizon", json!({"status": "enabled", "mdn_provisioning": "enabled"})),
            ("zoe", "att", json!({"status": "enabled", "mdn_provisioning": "enabled", "last_seen_at": quiet})),
            ("ian", "att", json!({"status": "disabled", "mdn_provisioning": "enabled"})),
        ] {
            let path = staff.path(username, &format!("/networks/{provider}"));
            let _network = bench.put(&path, &key, report).await.expect(200);
        }
        for (username, action) in [("sue", "suspend"), ("lou", "suspend"), ("lou", "lock-and-wipe")] {
            let _held = bench.post(&staff.path(username, &format!("/{action}")), &key, json!({})).await.expect(200);
        }
        let _deleted = bench.delete(&staff.path("del", ""), &key).await.expect(200);
        for (device, order) in [("new", "lock"), ("silent", "lock"), ("silent", "wipe"), ("namesake", "lock")] {
            let path = format!("/devices/{}/{order}", staff.0.devices[device]);
            let _queued = bench.post(&path, &key, json!({})).await.expect(202);
            bench.advance(Duration::minutes(1));
        }
        staff.0.bench.drain().await;
        staff.deployed().await;
        staff
    }

    /// Gives Ian a deployment, and Max and Sue a profile; Max's phone must download its configuration.
    async fn deployed(&self) {
        let (bench, key) = (&self.0.bench, &self.0.tenant.key);
        let _first = bench.post("/profiles", key, json!({"name": "Office", "settings": {}})).await.expect(201);
        let profile = json!({"name": "Field", "settings": {}});
        let profile = bench.post("/profiles", key, profile).await.expect(201).get("profile_id");
        for username in ["max", "sue"] {
            let _updated = bench.patch(&self.path(username, ""), key, json!({"profile_id": profile})).await.expect(200);
        }
        let _deployment = bench.post(&self.path("ian", "/deploy"), key, json!({})).await.expect(202);
        let _forced = bench.post(&self.path("max", "/force-config"), key, json!({})).await.expect(200);
    }

    /// The filter by the profile of Max and Sue.
    async fn by_profile(&self) -> String {
        let profiles = all(&self.0.bench, &self.0.tenant, "/profiles", 100).await;
        let profile =
            profiles.iter().find(|profile| profile["name"] == "Field").expect("the row has the index attribute");
        format!("profile_id={}", text(&profile["profile_id"]))
    }

    fn path(&self, username: &str, more: &str) -> String {
        format!("/users/{}{more}", self.0.users[username])
    }

    /// The users that a query shows, by their usernames, in its order and by pages of a size.
    async fn shown(&self, query: &str, limit: usize) -> Vec<String> {
        let items = all(&self.0.bench, &self.0.tenant, &format!("/users?{query}"), limit).await;
        ids(&items, "username")
    }

    async fn expect_shown(&self, query: &str, wanted: &[&str]) {
        for limit in [1, 2, 100] {
            let shown = self.shown(query, limit).await;
            let unique: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
            assert_eq!(unique, wanted.iter().copied().collect(), "{query} by {limit}");
            assert_eq!(shown.len(), wanted.len(), "{query} by {limit} shows each once: {shown:?}");
        }
    }
}

#[tokio::test]
async fn each_user_filter_shows_the_matching_users() {
    let staff = Staff::new().await;
    let everyone = ["zoe", "max", "eva", "ian", "sue", "lou", "del"];
    staff.expect_shown("", &everyone).await;
    staff.expect_shown("status=active", &["zoe", "max", "eva"]).await;
    staff.expect_shown("status=inactive", &["ian"]).await;
    staff.expect_shown("status=suspended", &["sue"]).await;
    staff.expect_shown("status=locked", &["lou"]).await;
    staff.expect_shown("status=deleted", &["del"]).await;
    staff.expect_shown("service_level=gold", &["max", "sue"]).await;
    staff.expect_shown("service_level=plain+silver", &["eva"]).await;
    staff.expect_shown("service_level=bronze", &[]).await;
    staff.expect_shown("network_indicator=red", &["eva"]).await;
    staff.expect_shown("network_indicator=orange", &["zoe"]).await;
    staff.expect_shown("network_indicator=green", &["max"]).await;
    staff.expect_shown("network_indicator=none", &["ian", "sue", "lou", "del"]).await;
    staff.expect_shown("pending_command=true", &["zoe", "eva"]).await;
    staff.expect_shown("pending_command=false", &["max", "ian", "sue", "lou", "del"]).await;
    // deployments
    staff.expect_shown("deployed=true", &["ian"]).await;
    staff.expect_shown("deployed=false", &["zoe", "max", "eva", "sue", "lou"]).await;
    staff.expect_shown(&staff.by_profile().await, &["max", "sue"]).await;
    staff.expect_shown("force_pending=true", &["max"]).await;
    staff.expect_shown("force_pending=false", &["zoe", "eva", "ian", "sue", "lou", "del"]).await;
    staff.expect_shown("search=quist&deployed=true", &["ian"]).await;
    let items = all(&staff.0.bench, &staff.0.tenant, "/users", 100).await;
    let seen = |username: &str| {
        text(&items.iter().find(|user| user["username"] == username).expect("the list succeeds")["last_seen_at"])
    };
    let (zoe, max) = (seen("zoe"), seen("max"));
    staff.expect_shown(&format!("last_seen_before={zoe}"), &[]).await;
    staff.expect_shown(&format!("last_seen_before={max}"), &["zoe"]).await;
    staff.expect_shown("last_seen_before=2027-06-01T00:00:00Z", &["zoe", "max"]).await;
    // Fields with their own filter are also searched.
    staff.expect_shown("search=quist", &["ian", "sue", "lou", "del"]).await;
    staff.expect_shown("search=quist&status=deleted", &["del"]).await;
    staff.expect_shown("search=zoe&pending_command=true&network_indicator=orange&status=active", &["zoe"]).await;
}

#[tokio::test]
async fn combined_user_filters_show_the_intersection() {
    let staff = Staff::new().await;
    let filters = [
        "status=active",
        "status=inactive",
        "status=deleted",
        "status=locked",
        "service_level=gold",
        "network_indicator=red",
        "network_indicator=none",
        "last_seen_before=2026-12-01T00:00:00Z",
        "last_seen_before=2027-06-01T00:00:00Z",
        "pending_command=true",
        "pending_command=false",
        "search=quist",
        "search=zoe",
        "deployed=true",
        "deployed=false",
        "force_pending=true",
        "force_pending=false",
        &staff.by_profile().await,
    ];
    let mut alone = Vec::new();
    for filter in filters {
        alone.push(staff.shown(filter, 100).await.into_iter().collect::<BTreeSet<_>>());
    }
    let name = |filter: &str| filter.split('=').next().unwrap().to_owned();
    let mut pairs = 0;
    for (at, first) in filters.iter().enumerate() {
        let others = filters.iter().enumerate().skip(at + 1);
        for (other, second) in others.filter(|(_, second)| name(first) != name(second)) {
            let both: BTreeSet<String> = alone[at].intersection(&alone[other]).cloned().collect();
            let shown = staff.shown(&format!("{first}&{second}"), 1).await;
            assert_eq!(shown.len(), both.len(), "{first}&{second}: {shown:?}");
            assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), both, "{first}&{second}");
            pairs += 1;
        }
    }
    assert!(pairs > 120, "{pairs} pairs");
}

#[tokio::test]
async fn every_column_of_the_user_list_is_also_shown_for_a_single_user() {
    let staff = Staff::new().await;
    let (bench, tenant) = (&staff.0.bench, &staff.0.tenant);
    let columns = [
        "app_version",
        "by_hand",
        "created_at",
        "deleted_at",
        "device_count",
        "email",
        "external_id",
        "first_name",
        "last_name",
        "last_seen_at",
        "locked",
        "mobile",
        "name",
        "network_indicator",
        "networks",
        "number",
        "pending_command",
        "profile",
        "profile_id",
        "purge_after",
        "registered_at",
        "service_account",
        "service_level",
        "sip_user_name",
        "source",
        "source_id",
        "source_username",
        "status",
        "suspended",
        "suspended_by_source",
        "unconfirmed_wipe",
        "usage",
        "user_id",
        "user_identity_key",
        "username",
        "vanished_at",
    ];
    for listed in all(bench, tenant, "/users", 100).await {
        let actual: Vec<&str> = listed.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(actual, columns, "{}", listed["username"]);
        let path = format!("/users/{}", text(&listed["user_id"]));
        let mut one = bench.get(&path, &tenant.key).await.expect(200).body;
        for more in ["devices", "invitation", "deployment", "overrides", "secrets"] {
            assert!(one.as_object_mut().unwrap().remove(more).is_some(), "{more}");
        }
        assert_eq!(one, listed, "the list and the user show the same");
    }
    let eva = bench.get(&staff.path("eva", ""), &tenant.key).await.expect(200).body;
    let networks = eva["networks"].as_array().unwrap();
    let values_of = |name: &str| networks.iter().map(|network| text(&network[name])).collect::<Vec<_>>();
    assert_eq!(values_of("provider"), ["att", "verizon"]);
    assert_eq!(values_of("indicator"), ["green", "red"], "and the most pressing of them is the user's: {eva}");
    assert_eq!(eva["network_indicator"], "red");
    let del = bench.get(&staff.path("del", ""), &tenant.key).await.expect(200).body;
    assert!(del["deleted_at"].is_string() && del["purge_after"].is_string(), "{del}");
}

#[tokio::test]
async fn the_client_deployment_list_shows_every_column_and_has_the_user_filters() {
    let staff = Staff::new().await;
    let (bench, tenant) = (&staff.0.bench, &staff.0.tenant);
    let max = json!({"sip_user_name": "sip-max", "service_account": "Max at work"});
    let _edited = bench.patch(&staff.path("max", ""), &tenant.key, max).await.expect(200);
    let secrets = json!({"voicemail_pin": "4711"});
    let _secrets = bench.put(&staff.path("max", "/secrets"), &tenant.key, secrets).await.expect(200);
    let columns = [
        "deployed_at",
        "deployment",
        "downloaded_at",
        "email",
        "first_name",
        "force_pending",
        "last_name",
        "number",
        "profile",
        "profile_id",
        "removed_at",
        "secrets",
        "served_at",
        "service_account",
        "sip_user_name",
        "user_id",
        "username",
    ];
    let listed = all(bench, tenant, "/deployments", 100).await;
    for user in &listed {
        let actual: Vec<&str> = user.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(actual, columns, "{}", user["username"]);
    }
    let of = |username: &str| listed.iter().find(|user| user["username"] == username).expect("the list succeeds");
    let max = of("max");
    let shown_values = ["profile", "sip_user_name", "service_account"].map(|name| text(&max[name]));
    assert_eq!(shown_values, ["Field", "sip-max", "Max at work"]);
    assert_eq!(
        (&max["force_pending"], &max["deployment"], &max["deployed_at"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    let set: Vec<&String> = max["secrets"].as_object().unwrap().keys().collect();
    assert_eq!(set, ["voicemail_pin"], "the response names the secrets that are set");
    let ian = of("ian");
    assert_eq!(
        (&ian["deployment"]["status"], &ian["deployment"]["delivery"]["state"]),
        (&json!("open"), &json!("queued"))
    );
    assert_eq!(
        (&ian["force_pending"], &ian["profile"], &ian["profile_id"], &ian["deployed_at"]),
        (&json!(false), &json!("Office"), &Value::Null, &Value::Null),
        "the default profile applies to users without one"
    );
    bench.drain().await;
    let sent = all(bench, tenant, "/deployments?search=ian", 100).await;
    assert!(
        sent[0]["deployed_at"].is_string() && sent[0]["deployment"]["delivery"]["state"] == "delivered",
        "{}",
        sent[0]
    );
    // Deleted users are never listed.
    let everyone: BTreeSet<String> = ids(&listed, "username").into_iter().collect();
    assert_eq!(everyone, ["zoe", "max", "eva", "ian", "sue", "lou"].map(str::to_owned).into());
    for query in
        ["", "status=active", "status=deleted", "deployed=true", "deployed=false", "force_pending=true", "search=quist"]
    {
        let mut expected = staff.shown(query, 100).await;
        expected.retain(|username| username != "del");
        for limit in [1, 3, 100] {
            let shown = all(bench, tenant, &format!("/deployments?{query}"), limit).await;
            assert_eq!(ids(&shown, "username"), expected, "{query} by {limit}");
        }
    }
    let profile = staff.by_profile().await;
    let shown = all(bench, tenant, &format!("/deployments?{profile}"), 100).await;
    assert_eq!(ids(&shown, "username"), ["sue", "max"]);
}

#[tokio::test]
async fn a_user_with_several_pending_phones_is_listed_once_until_the_last_one_is_done() {
    let staff = Staff::new().await;
    let (bench, key) = (&staff.0.bench, &staff.0.tenant.key);
    staff.expect_shown("pending_command=true", &["zoe", "eva"]).await;
    for (device, left) in [("new", vec!["zoe", "eva"]), ("namesake", vec!["zoe"]), ("silent", vec![])] {
        let path = format!("/devices/{}/commands", staff.0.devices[device]);
        for command in all(bench, &staff.0.tenant, &path, 100).await {
            let _canceled = bench.delete(&format!("{path}/{}", text(&command["command_id"])), key).await.expect(200);
        }
        staff.expect_shown("pending_command=true", &left).await;
    }
}

#[tokio::test]
async fn a_user_with_only_expired_commands_is_not_pending() {
    let staff = Staff::new().await;
    staff.0.bench.advance(Duration::days(31));
    staff.expect_shown("pending_command=true", &["zoe"]).await;
    staff.0.expect_shown("pending_command=true", &["silent"]).await;
    staff.0.bench.advance(Duration::days(60));
    staff.expect_shown("pending_command=true", &[]).await;
    staff.0.expect_shown("pending_command=true", &[]).await;
    let _run = staff.0.bench.run_due().await;
    staff.expect_shown("pending_command=true", &[]).await;
}

#[tokio::test]
async fn lists_of_commands_invitations_and_jobs_are_stable_while_items_are_added_and_ended() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Moving").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 1).await;
    let device = phones[0].0.clone();
    let (commands, invitations) = (format!("/devices/{device}/commands"), format!("/users/{user}/invitations"));
    // One more of each.
    let more = async || {
        // A recipient gets at most five texts a day.
        bench.advance(Duration::hours(5));
        let lock = bench.post(&format!("/devices/{device}/lock"), &tenant.key, json!({})).await.expect(202);
        let canceled = format!("{commands}/{}", lock.get("command_id"));
        let _canceled = bench.delete(&canceled, &tenant.key).await.expect(200);
        let invite = json!({"channel": "sms"});
        let _invited = bench.post(&format!("/users/{user}/invite"), &tenant.key, invite).await.expect(202);
        let job = json!({"action": "activate", "ids": [user]});
        let _job = bench.post("/users/bulk", &tenant.key, job).await.expect(200);
    };
    for _ in 0..5 {
        more().await;
    }
    // Different page sizes: every page makes the lists longer.
    for (list, id, limit) in
        [(commands.as_str(), "command_id", 2), (&invitations, "invitation_id", 3), ("/jobs", "job_id", 5)]
    {
        let full_list = all(&bench, &tenant, list, 100).await;
        assert!(full_list.len() >= 5, "{list}");
        let times = ids(&full_list, if id == "command_id" { "queued_at" } else { "created_at" });
        assert!(times.is_sorted_by(|earlier, later| earlier >= later), "{list}: the newest first");
        // Listed invitations change as well: each new one supersedes the last.
        let items = list_while(&bench, &tenant, list, limit, async |_| more().await).await;
        assert_eq!(ids(&items, id), ids(&full_list, id), "{list} by {limit}");
        let by_one = all(&bench, &tenant, list, 1).await;
        assert_eq!(ids(&by_one, id), ids(&all(&bench, &tenant, list, 100).await, id), "{list}");
    }
    let states = ids(&all(&bench, &tenant, &commands, 100).await, "state");
    assert!(states.iter().all(|state| state == "canceled"), "{states:?}");
    let states = ids(&all(&bench, &tenant, &invitations, 100).await, "status");
    assert_eq!((states[0].as_str(), states.last().map(String::as_str)), ("open", Some("used")));
    assert!(states[1..states.len() - 1].iter().all(|state| state == "superseded"), "{states:?}");
    let other = bench.tenant("Other").await;
    assert_eq!(bench.get("/jobs", &other.key).await.expect(200).body, json!({"items": [], "next_cursor": null}));
}

#[tokio::test]
async fn a_running_jobs_outcomes_are_listed_page_by_page() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Many").await;
    for number in 0..110 {
        let body = json!({"username": format!("n{number:03}"), "first_name": "Nora"});
        let _user = bench.post("/users", &tenant.key, body).await.expect(201);
    }
    let body = json!({"action": "activate", "filter": {"search": "nora"}});
    let job = bench.post("/users/bulk", &tenant.key, body).await.expect(202);
    let path = format!("/jobs/{}", job.get("job_id"));
    let first = all(&bench, &tenant, &path, 7).await;
    assert!((50..110).contains(&first.len()), "{} are done within the call", first.len());
    // The schedule handles the others between the pages: the earlier outcomes are listed once each.
    let items = list_while(&bench, &tenant, &path, 10, async |page| {
        if page == 1 {
            bench.advance(Duration::minutes(1));
            let _run = bench.run_due().await;
        }
    })
    .await;
    let seen = ids(&items, "id");
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "each once");
    assert!(ids(&first, "id").iter().all(|id| unique.contains(id)), "all earlier outcomes");
    let full_list = bench.get(&format!("{path}?limit=100"), &tenant.key).await.expect(200);
    assert_eq!((&full_list.body["state"], &full_list.body["progress"]["changed"]), (&json!("finished"), &json!(110)));
    for limit in [7, 100] {
        let items = all(&bench, &tenant, &path, limit).await;
        let unique: BTreeSet<String> = ids(&items, "id").into_iter().collect();
        assert_eq!((items.len(), unique.len()), (110, 110), "by {limit}");
    }
}

/// More rows than a page reads.
const MANY: usize = 450;

impl Staff {
    /// Adds many users with a phone each whom no filter matches, newer than all others, and as many events of another
    /// phone.
    fn add_unmatched(&self, user: &str, device: &str) {
        let Fleet { bench, tenant, .. } = &self.0;
        let stored = rows::all(bench, rows::MAIN);
        let row = |key: &str| stored[key].clone();
        let workspace = &tenant.workspace_id;
        let user: User = aws::from_json(row(&format!("USER#{workspace}#{user} | USER"))).unwrap();
        let device: Device = aws::from_json(row(&format!("DEVICE#{workspace}#{device} | DEVICE"))).unwrap();
        let event = stored
            .values()
            .find(|row| row["event_type"] == "device.confirmed" && row["device_id"] == *self.0.devices["used"]);
        let event: Event = aws::from_json(event.unwrap().clone()).unwrap();
        let mut created = Vec::new();
        for number in 0..MANY {
            let at = Time::from(bench.now()).plus(Duration::milliseconds(i64::try_from(number).unwrap()));
            let id = |kind| timed_uuid(at, [kind; 10]);
            let device_id = DeviceId(id(1));
            let user = User {
                user_id: UserId(id(2)),
                username: format!("other{number}"),
                created_at: at,
                device_ids: [device_id].into(),
                ..user.clone()
            };
            created.extend(rows::rows_of(&Device {
                device_id,
                user_id: user.user_id,
                device_identifier: format!("other{number}"),
                created_at: at,
                ..device.clone()
            }));
            created.extend(rows::rows_of(&user));
            created.extend(rows::rows_of(&Event { event_id: EventId(id(3)), created_at: at, ..event.clone() }));
        }
        rows::put_many(bench, rows::MAIN, &created, &["device_ids"]);
        bench.advance(Duration::minutes(1));
    }

    /// Values of a filter: all that the description names, or those that match something here.
    async fn values(&self, parameter: &Value) -> Vec<String> {
        let schema = &parameter["schema"];
        match parameter["name"].as_str().unwrap() {
            "event_type" => vec!["device.registered".to_owned()],
            _ if schema["enum"].is_array() => schema["enum"].as_array().into_iter().flatten().map(text).collect(),
            _ if schema["type"] == "boolean" => vec!["true".to_owned(), "false".to_owned()],
            "user_id" => vec![self.0.users["max"].clone()],
            "device_id" => vec![self.0.devices["used"].clone()],
            "profile_id" => vec![self.by_profile().await.replace("profile_id=", "")],
            "service_level" => vec!["gold".to_owned()],
            "search" => vec!["quist".to_owned(), "zx".to_owned()],
            "last_seen_before" | "last_login_before" | "created_before" | "until" => {
                vec!["2026-12-01T00:00:00Z".to_owned()]
            }
            "last_seen_since" | "last_login_since" | "created_since" => vec!["2026-11-01T00:00:00Z".to_owned()],
            "model_name" => vec!["iPhone+17".to_owned()],
            "os_version" | "os_version_below" => vec!["26.1".to_owned()],
            "app_version" | "app_version_below" => vec!["4.2.0".to_owned()],
            // No user belongs to a source.
            "source_id" | "since" | "columns" | "ids" => Vec::new(),
            other => panic!("how is a list filtered by {other}?"),
        }
    }

    /// Each list with each of its filters, one at a time, and events with two of them.
    async fn filtered(&self) -> Vec<String> {
        let described = self.0.bench.get("/openapi.json", &self.0.tenant.key).await.expect(200).body;
        let mut lists = Vec::new();
        for (path, operations) in described["paths"].as_object().unwrap() {
            let parameters: Vec<&Value> = operations["get"]["parameters"].as_array().into_iter().flatten().collect();
            if !parameters.iter().any(|parameter| parameter["name"] == "cursor") {
                continue;
            }
            let is_filter = |name: &str| !["limit", "cursor"].contains(&name);
            for parameter in parameters.into_iter().filter(|parameter| parameter["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                for value in if is_filter(name) { self.values(parameter).await } else { Vec::new() } {
                    lists.push(format!("{path}?{name}={value}"));
                }
            }
        }
        let (device, user) = (&self.0.devices["used"], &self.0.users["max"]);
        lists.push(format!("/events?device_id={device}&event_type=device.registered"));
        lists.push(format!("/events?user_id={user}&event_type=user.invited"));
        lists.push("/users?service_level=gold&status=suspended".to_owned());
        lists.push("/devices?push_in_use=true&device_status=silent".to_owned());
        lists
    }

    /// The identifiers of a list's items, or an export's rows without the header.
    async fn items(&self, list: &str) -> Vec<String> {
        let (bench, tenant) = (&self.0.bench, &self.0.tenant);
        let Some((kind, _)) = list.split_once("s/export?") else {
            let name = if list.starts_with("/events") {
                "event_id"
            } else if list.starts_with("/devices") {
                "device_id"
            } else {
                "user_id"
            };
            return ids(&all(bench, tenant, list, 100).await, name);
        };
        let (mut rows, mut next) = (Vec::new(), Some(format!("{list}&columns={}_id", &kind[1..])));
        while let Some(path) = next {
            let part = bench.get(&path, &tenant.key).await.expect(200);
            rows.extend(part.text.lines().map(str::to_owned));
            let link = part.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
            next = link.map(|link| link.trim_start_matches('<').split('>').next().unwrap().to_owned());
        }
        rows.split_off(1)
    }
}

#[tokio::test]
async fn a_filtered_list_finds_its_items_however_many_others_come_first() {
    let mut staff = Staff::new().await;
    staff.0.user("other", "Otto", "Other").await;
    staff.0.device("other", "other", "android", "Pixel 11", "other", true).await;
    staff.0.check_in("other").await;
    staff.0.bench.drain().await;
    let (user, device) = (staff.0.users["other"].clone(), staff.0.devices["other"].clone());
    let is_other = |item: &String| [&user, &device].contains(&item);
    let mut before = Vec::new();
    for list in staff.filtered().await {
        let items = staff.items(&list).await;
        // A filter that matches the added rows has nothing to skip.
        if !items.is_empty() && !items.iter().any(is_other) {
            before.push((list, items));
        }
    }
    assert!(before.len() > 40, "{} lists", before.len());
    staff.add_unmatched(&user, &device);
    for (list, items) in before {
        let mut found = staff.items(&list).await;
        found.retain(|item| items.contains(item));
        assert_eq!(found, items, "{list}");
    }
    // Searches list the oldest first, as do Seam's events.
    let Fleet { bench, tenant, .. } = &staff.0;
    let newest = bench.get("/devices?limit=1", &tenant.key).await.expect(200).body["items"][0].clone();
    let (device, user) = (text(&newest["device_id"]), text(&newest["user_id"]));
    let _blocked = bench.post(&format!("/devices/{device}/block"), &tenant.key, json!({})).await.expect(200);
    let _suspended = bench.post(&format!("/users/{user}/suspend"), &tenant.key, json!({})).await.expect(200);
    for list in ["/devices?search=pixel&blocked=true", "/devices?search=otto&blocked=true"] {
        assert_eq!(staff.items(list).await, std::slice::from_ref(&device), "{list}");
    }
    for list in ["/users?search=otto&status=suspended", "/deployments?search=otto&status=suspended"] {
        assert_eq!(staff.items(list).await, std::slice::from_ref(&user), "{list}");
    }
    let used = &staff.0.devices["used"];
    let _deleted = bench.delete(&format!("/devices/{used}"), &tenant.key).await.expect(200);
    let list = format!("/events/list?device_id={used}&since=2026-01-01T00:00:00Z");
    let listed = bench.get(&list, &tenant.key).await.expect(200).body;
    assert_eq!(listed["events"][0]["device_id"], **used, "{listed}");
}
