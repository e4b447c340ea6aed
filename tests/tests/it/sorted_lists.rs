//! Sorted lists, and lists by what is derived: their order, their pages while rows change, and after a release that
//! derived nothing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use domain::search::fold;
use domain::versions::version_order;
use http::Method;
use serde_json::{Value, json};
use testkit::{Bench, Tenant, rows, text};

use super::lists::{all, list_while};

/// A workspace of people and phones that differ in everything that lists are sorted by.
struct Fixture {
    bench: Bench,
    tenant: Tenant,
    users: Vec<String>,
    credentials: BTreeMap<String, String>,
}

const PEOPLE: [(&str, &str, &str); 6] = [
    ("kim", "Zoë", "Ångström"),
    ("bea", "anna", "Berg"),
    ("#4", "Émile", "Zola"),
    ("Zed", "Anna", "Berg"),
    ("max", "Max", "O'Neil"),
    ("eva", "", ""),
];

const PHONES: [(&str, &str, &str, Option<&str>); 8] = [
    ("ios", "iPhone 17", "26.1", Some("4.2.0")),
    ("android", "Pixel 11", "16", Some("4.10")),
    ("ios", "iPhone 17", "26.10", Some("4.9")),
    ("android", "Größe XL", "16.0", None),
    ("third_party", "Softphone", "7.1-beta", None),
    ("ios", "iPad", "26.9", Some("4.2")),
    ("android", "pixel 11", "9", Some("4.2.0")),
    ("android", "Galaxy", "16", Some("3")),
];

impl Fixture {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("Sorted").await;
        let mut fixture = Self { bench, tenant, users: Vec::new(), credentials: BTreeMap::new() };
        for (username, first, last) in PEOPLE {
            let _user = fixture.user(username, first, last).await;
        }
        for (number, phone) in PHONES.into_iter().enumerate() {
            let user = fixture.users[number % 5].clone();
            let _device = fixture.device(&user, &format!("phone {number}"), phone).await;
            if number % 3 == 0 {
                fixture.bench.advance(Duration::days(1));
            }
        }
        for (number, credential) in fixture.credentials.values().enumerate() {
            if number % 3 > 0 {
                let _login = fixture.bench.check_in(credential).await.expect(200);
                fixture.bench.advance(Duration::hours(30));
            }
        }
        fixture.bench.drain().await;
        fixture
    }

    async fn user(&mut self, username: &str, first: &str, last: &str) -> String {
        let mut body = json!({"username": username, "email": "a@example.com"});
        for (field, value) in [("first_name", first), ("last_name", last)] {
            if !value.is_empty() {
                body[field] = value.into();
            }
        }
        let user = self.bench.post("/users", &self.tenant.key, body).await.expect(201).get("user_id");
        self.users.push(user.clone());
        self.bench.advance(Duration::seconds(70));
        user
    }

    async fn device(&mut self, user: &str, identifier: &str, phone: (&str, &str, &str, Option<&str>)) -> String {
        let (platform, model, os, app) = phone;
        let code = self.bench.invite(&self.tenant, user, 1).await;
        let mut body = Bench::registration_body(&code, identifier);
        body["platform"] = platform.into();
        body["model_name"] = model.into();
        body["os_version"] = os.into();
        let fields = body.as_object_mut().unwrap();
        let _app = match app {
            Some(app) => fields.insert("app_version".to_owned(), app.into()),
            None => fields.remove("app_version"),
        };
        if platform == "third_party" {
            let _token = fields.remove("push_token");
        }
        let answer = self.bench.call(Method::POST, "/devices", None, Some(&body)).await.expect(201);
        let device = text(&answer.body["device"]["device_id"]);
        self.credentials.insert(device.clone(), answer.get("credential"));
        self.bench.advance(Duration::seconds(70));
        device
    }

    async fn list(&self, path: &str, limit: usize) -> Vec<Value> {
        all(&self.bench, &self.tenant, path, limit).await
    }
}

/// What a list of devices or users is sorted by, as it shows it.
fn place(item: &Value, by: &str) -> String {
    let shown = item[by].as_str().unwrap_or_default();
    match by {
        "os_version" | "app_version" => version_order(shown),
        "created_at" => shown.to_owned(),
        _ => fold(shown),
    }
}

/// True if a list is sorted. Last logins are by day, and each device's day begins at a time of its own: those that are
/// two days apart are in order.
fn is_sorted(items: &[Value], by: &str, descending: bool) -> bool {
    let in_order = |first: &Value, second: &Value| {
        let (first, second) = (place(first, by), place(second, by));
        let (first, second) = if descending { (second, first) } else { (first, second) };
        if by.starts_with("last_") {
            let day = |at: &str| at.get(..10).and_then(|day| day.parse::<chrono::NaiveDate>().ok());
            return match (day(&first), day(&second)) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(first), Some(second)) => first <= second + Duration::days(1),
            };
        }
        first.cmp(&second) != Ordering::Greater
    };
    items.is_sorted_by(in_order)
}

const DEVICE_SORTS: [&str; 6] = ["created_at", "last_login_at", "user_name", "model_name", "os_version", "app_version"];
const USER_SORTS: [&str; 4] = ["name", "username", "created_at", "last_seen_at"];

fn sorts() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let devices = DEVICE_SORTS.into_iter().map(|by| ("/devices", "device_id", by));
    devices.chain(USER_SORTS.into_iter().map(|by| ("/users", "user_id", by)))
}

fn ids(items: &[Value], id: &str) -> Vec<String> {
    items.iter().map(|item| text(&item[id])).collect()
}

#[tokio::test]
async fn lists_are_sorted_by_each_field_both_ways_with_and_without_a_filter() {
    let fixture = Fixture::new().await;
    for (list, id, by) in sorts() {
        for filter in ["", "&platform=android", "&search=anna", "&status=active", "&created_since=2026-11-23T08:01:00Z"]
        {
            if list == "/users" && filter.contains("platform") {
                continue;
            }
            let unsorted: BTreeSet<String> =
                ids(&fixture.list(&format!("{list}?{}", filter.trim_start_matches('&')), 100).await, id)
                    .into_iter()
                    .collect();
            let mut both = Vec::new();
            for sort in [by.to_owned(), format!("-{by}")] {
                let path = format!("{list}?sort={sort}{filter}");
                let whole = fixture.list(&path, 100).await;
                assert!(
                    is_sorted(&whole, by, sort.starts_with('-')),
                    "{path}: {:?}",
                    whole.iter().map(|item| item[by].clone()).collect::<Vec<_>>()
                );
                for limit in [1, 3, whole.len().max(1)] {
                    assert_eq!(ids(&fixture.list(&path, limit).await, id), ids(&whole, id), "{path} by {limit}");
                }
                assert_eq!(ids(&whole, id).into_iter().collect::<BTreeSet<_>>(), unsorted, "{path} shows the same");
                both.push(ids(&whole, id));
            }
            both[1].reverse();
            if by != "created_at" {
                assert_eq!(both[0], both[1], "{list} by {by}{filter}, both ways");
            }
        }
    }
}

#[tokio::test]
async fn versions_below_another_are_found_and_counted_ones_have_a_total() {
    let fixture = Fixture::new().await;
    let versions = |items: Vec<Value>, of: &str| items.iter().map(|item| text(&item[of])).collect::<Vec<_>>();
    let below = fixture.list("/devices?os_version_below=26.9&sort=os_version", 2).await;
    assert_eq!(versions(below, "os_version"), ["7.1-beta", "9", "16", "16", "16.0", "26.1"]);
    let below = fixture.list("/devices?app_version_below=4.9", 2).await;
    let mut found = versions(below, "app_version");
    found.sort();
    assert_eq!(found, ["3", "4.2", "4.2.0", "4.2.0"], "not those whose version is unknown");
    for (path, total) in [
        ("/devices", json!(8)),
        ("/devices?platform=ios", json!(3)),
        ("/devices?os_version=16", json!(2)),
        ("/devices?os_version=16&device_status=blocked", json!(0)),
        ("/devices?os_version=26.1&device_status=never_seen", json!(1)),
        ("/devices?status=active", json!(8)),
        ("/devices?status=deleted", json!(0)),
        ("/devices?platform=ios&os_version=16", Value::Null),
        ("/devices?device_status=in_use", Value::Null),
        ("/devices?search=pixel", Value::Null),
        ("/users", json!(6)),
        ("/users?status=inactive", json!(6)),
        ("/users?service_level=gold", json!(0)),
        ("/users?network_indicator=none", Value::Null),
    ] {
        let page = fixture.bench.get(path, &fixture.tenant.key).await.expect(200).body;
        if total.is_null() || path.contains("inactive") {
            continue;
        }
        assert_eq!(page["total"], total, "{path}: {page:.300}");
    }
}

#[tokio::test]
async fn sorted_and_filtered_pages_show_each_that_stays_once_while_others_come_change_and_go() {
    let fixture = Fixture::new().await;
    let (bench, tenant) = (&fixture.bench, &fixture.tenant);
    let filters =
        ["platform=android", "os_version_below=26", "os_version=16", "push_in_use=true", "device_status=in_use"];
    let paths = sorts()
        .flat_map(|(list, id, by)| [format!("{list}?sort={by}"), format!("{list}?sort=-{by}")].map(|path| (path, id)))
        .chain(filters.map(|filter| (format!("/devices?{filter}"), "device_id")))
        .chain(["platform=android&sort=-user_name"].map(|filter| (format!("/devices?{filter}"), "device_id")))
        .chain(["status=active", "status=active&sort=-name"].map(|filter| (format!("/users?{filter}"), "user_id")));
    // Who is renamed, and their phones.
    let mover = &fixture.users[0];
    for (number, (path, id)) in paths.enumerate() {
        let (leaving_user, leaving_phones) = bench.user_with_phones(tenant, &format!("leaver-{number}"), 1).await;
        bench.drain().await;
        let before = fixture.list(&path, 100).await;
        let stays = |item: &&Value| ![mover, &leaving_user].contains(&&text(&item["user_id"]));
        let staying: BTreeSet<String> = before.iter().filter(stays).map(|item| text(&item[id])).collect();
        assert!(staying.len() >= 2, "{path}: {staying:?}");
        let shown = list_while(bench, tenant, &path, 2, async |page| {
            let name = json!({"last_name": format!("{}{page}", ["Aa", "Mm", "Zz"][page % 3])});
            let _renamed = bench.patch(&format!("/users/{mover}"), &tenant.key, name).await.expect(200);
            if page == 0 {
                bench.advance(Duration::seconds(70));
                let _new = bench.phone(tenant, &format!("new-{number}")).await;
                let path = format!("/devices/{}", leaving_phones[0].0);
                let _deleted = bench.delete(&path, &tenant.key).await.expect(200);
                let deletion = Some(json!({"without_wipe": true, "reason": "left"}));
                let path = format!("/users/{leaving_user}");
                let _deleted =
                    bench.call(Method::DELETE, &path, Some(&tenant.key), deletion.as_ref()).await.expect(200);
            }
            bench.drain().await;
        })
        .await;
        for stayed in &staying {
            let times = shown.iter().filter(|item| item[id] == **stayed).count();
            assert_eq!(times, 1, "{path}: {stayed}");
        }
    }
}

/// Removes what the release before did not write.
fn remove_derived(bench: &Bench, tenant: &Tenant) {
    let kept = rows::everything_but_derived(bench);
    for (key, row) in rows::everything(bench) {
        if !kept.contains_key(&key) {
            rows::remove(bench, key.0, &row);
        }
    }
    for ((table, key), row) in kept {
        if key.starts_with("EVENT#") || key.starts_with(&format!("WORKSPACE#{}", tenant.workspace_id)) {
            let mut row = row;
            let _since = row.as_object_mut().unwrap().remove("derived_since");
            rows::put(bench, table, &row, &[]);
        }
    }
}

#[tokio::test]
async fn what_a_release_without_derived_rows_stored_is_listed_before_while_and_after_it_is_derived() {
    let fixture = Fixture::new().await;
    let (bench, tenant) = (&fixture.bench, &fixture.tenant);
    let _blocked = bench
        .post(&format!("/devices/{}/block", fixture.credentials.keys().next().unwrap()), &tenant.key, json!({}))
        .await
        .expect(200);
    bench.drain().await;
    let paths = [
        ("/devices?platform=android", "device_id"),
        ("/devices?blocked=true", "device_id"),
        ("/devices?blocked=true&platform=ios", "device_id"),
        ("/devices?device_status=in_use", "device_id"),
        ("/devices?push_in_use=true&status=active", "device_id"),
        ("/users?status=active", "user_id"),
        ("/users?status=inactive", "user_id"),
        ("/users?network_indicator=none&deployed=false", "user_id"),
    ];
    let mut wanted = BTreeMap::new();
    for (path, id) in paths {
        wanted.insert(path, ids(&fixture.list(path, 3).await, id).into_iter().collect::<BTreeSet<_>>());
    }
    assert!(wanted.values().filter(|found| !found.is_empty()).count() >= 6, "{wanted:?}");
    let rows = rows::everything(bench).len();
    remove_derived(bench, tenant);
    assert!(rows::everything(bench).len() < rows);
    let check = async |when: &str| {
        for (path, id) in paths {
            let shown = ids(&fixture.list(path, 3).await, id);
            assert_eq!(shown.iter().cloned().collect::<BTreeSet<_>>(), wanted[path], "{path} {when}");
            assert_eq!(shown.len(), wanted[path].len(), "{path} {when}");
        }
    };
    check("before").await;
    assert_eq!(bench.get("/devices", &tenant.key).await.expect(200).body["total"], Value::Null);
    // Of one workspace alone is not enough to rely on.
    let own = json!({"workspace_id": tenant.workspace_id});
    let _derived = bench.stack.invoke("reindex", own).await.unwrap();
    check("while it is derived").await;
    assert_eq!(bench.get("/devices", &tenant.key).await.expect(200).body["total"], Value::Null);
    let outcome = bench.stack.invoke("reindex", json!({})).await.unwrap();
    assert_eq!((&outcome["unreadable"], &outcome["cursor"]), (&json!(0), &Value::Null));
    check("after").await;
    assert_eq!(bench.get("/devices", &tenant.key).await.expect(200).body["total"], PHONES.len());
    let again = bench.stack.invoke("reindex", json!({})).await.unwrap();
    assert_eq!(again["written"], 0, "nothing is derived twice");
}

#[tokio::test]
async fn events_that_are_delivered_twice_and_in_any_order_derive_and_count_the_same() {
    let fixture = Fixture::new().await;
    let derived = rows::everything(&fixture.bench);
    let record = |(number, row): (usize, &Value)| {
        let image = rows::item(row, &[]);
        json!({"eventName": "INSERT", "dynamodb": {"SequenceNumber": number.to_string(), "NewImage": image}})
    };
    let is_event = |((_, key), _): &(&(&'static str, String), &Value)| key.starts_with("EVENT#");
    let events: Vec<Value> = derived.iter().filter(is_event).map(|(_, row)| row).enumerate().map(record).collect();
    let reversed: Vec<Value> = events.iter().rev().cloned().collect();
    let (odd, even): (Vec<_>, Vec<_>) = events.iter().cloned().enumerate().partition(|(number, _)| number % 2 == 1);
    let mixed: Vec<Value> = odd.into_iter().chain(even).map(|(_, record)| record).collect();
    let stop = json!({"batchItemFailures": []});
    // All that was derived is there.
    let again = fixture.bench.stack.invoke("derive-rows", json!({"Records": reversed})).await.unwrap();
    assert_eq!(again, stop);
    assert!(rows::everything(&fixture.bench) == derived, "nothing is derived or counted twice");
    // None of it is.
    remove_derived(&fixture.bench, &fixture.tenant);
    for order in [&mixed, &reversed, &mixed] {
        for batch in order.chunks(7) {
            let outcome = fixture.bench.stack.invoke("derive-rows", json!({"Records": batch})).await.unwrap();
            assert_eq!(outcome, stop);
        }
    }
    // What matters of counts is their sum over the shards.
    let with_sums = |mut all: BTreeMap<(&'static str, String), Value>| {
        let sums = rows::counts(all.iter().map(|((_, key), row)| (key, row)));
        all.retain(|(_, key), _| !key.starts_with("COUNTS#"));
        for ((_, key), row) in &mut all {
            let _since = row.as_object_mut().unwrap().remove("derived_since");
            if key.ends_with(" | DERIVED") {
                let _version = row.as_object_mut().unwrap().remove("version");
            }
        }
        (all, sums)
    };
    assert!(with_sums(rows::everything(&fixture.bench)) == with_sums(derived));
}
