//! Data sets over HTTP: users come from them and stay in step with them, whatever they answer.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use http::{Method, Request};
use serde_json::{Value, json};
use testkit::faults::{Call, Fault, Faults, Lasting, Strike};
use testkit::outside::{Answers, Asked, Pages};
use testkit::{Answer, Bench, Tenant, rows};
use uuid::Uuid;

const UPLOAD: &str = "0190f3c4-7b5e-7a11-8c1d-00000000000";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn mapping() -> Value {
    json!({
        "username": "login",
        "first_name": "first",
        "email": "mail",
        "number": "ext",
        "external_id": "id",
    })
}

/// A workspace whose users come from pages.
struct House {
    bench: Bench,
    faults: Faults,
    pages: Pages,
    tenant: Tenant,
}

impl House {
    async fn new() -> Self {
        Self::with(BTreeMap::new()).await
    }

    async fn with(parameters: BTreeMap<String, String>) -> Self {
        let (faults, pages) = (Faults::new(), Pages::default());
        let bench = Bench::start_with(Some(pages.adjust(Some(faults.adjust()))), parameters).await;
        let tenant = bench.tenant("House").await;
        Self { bench, faults, pages, tenant }
    }

    async fn source(&self, more: Value) -> String {
        self.post("/sources", more).await.expect(201).get("source_id")
    }

    /// A data set that is read from a page, with other settings.
    async fn http(&self, more: Value) -> String {
        let mut body = json!({"name": "HR", "kind": "http", "mapping": mapping(), "url": "https://hr.example.com/people",
            "format": "json", "key_field": "external_id"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.source(body).await
    }

    async fn csv(&self, more: Value) -> String {
        let mut body = json!({"name": "File", "kind": "csv", "mapping": {"username": "login", "first_name": "first", "email": "mail"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.source(body).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.bench.post(path, &self.tenant.key, body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.bench.get(path, &self.tenant.key).await.expect(200).body
    }

    async fn part(&self, source: &str, number: u32, query: &str, bytes: &[u8]) -> Answer {
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/sources/{source}/parts/{number}?{query}"))
            .header("content-type", "text/csv")
            .header("authorization", format!("Bearer {}", self.tenant.key));
        self.bench.send(request.body(bytes.to_vec()).unwrap()).await
    }

    /// Lets jobs go on until none is at work.
    async fn run_on(&self) {
        for _ in 0..40 {
            let jobs = self.bench.all(&self.tenant, "/jobs").await;
            if jobs.iter().all(|job| job["state"] != "running") {
                self.bench.drain().await;
                return;
            }
            self.bench.advance(Duration::seconds(61));
            assert_eq!(self.bench.run_due().await["failed"], 0);
        }
        panic!("a job is still at work");
    }

    /// The job of a sync, over.
    async fn synced(&self, source: &str, body: Value) -> Value {
        let job = self.post(&format!("/sources/{source}/sync"), body).await.expect(202).get("job_id");
        self.run_on().await;
        self.job(&job).await
    }

    async fn job(&self, id: &str) -> Value {
        let mut job = self.get(&format!("/jobs/{id}?limit=100")).await;
        let mut items = job["items"].as_array().cloned().unwrap();
        while let Some(cursor) = job["next_cursor"].as_str() {
            job = self.get(&format!("/jobs/{id}?limit=100&cursor={cursor}")).await;
            items.extend(job["items"].as_array().cloned().unwrap());
        }
        job["items"] = items.into();
        job
    }

    async fn uploaded(&self, source: &str, upload: u8, file: &str) -> Value {
        let query = format!("upload={UPLOAD}{upload}&last=true");
        let job = self.part(source, 1, &query, file.as_bytes()).await.expect(202).get("job_id");
        self.run_on().await;
        self.job(&job).await
    }

    async fn user(&self, username: &str) -> Value {
        let users = self.bench.all(&self.tenant, &format!("/users?search={username}")).await;
        users.into_iter().find(|user| user["username"] == username).unwrap_or(Value::Null)
    }

    async fn statuses(&self) -> BTreeMap<String, String> {
        let users = self.bench.all(&self.tenant, "/users").await;
        users.iter().map(|user| (text(&user["username"]), text(&user["status"]))).collect()
    }

    fn stored_user(&self, username: &str) -> Value {
        let users = rows::all(&self.bench, rows::MAIN).into_iter().filter(|(key, _)| key.starts_with("USER#"));
        users
            .map(|(_, row)| row)
            .find(|row| row["username"] == username && row["deleted"].is_null())
            .unwrap_or_default()
    }

    async fn events(&self, event_type: &str) -> Vec<Value> {
        self.bench.all(&self.tenant, &format!("/events?event_type={event_type}")).await
    }

    /// What is stored, but for the jobs' own rows.
    fn all_but_jobs(&self) -> BTreeMap<(&'static str, String), Value> {
        let mut all = rows::everything(&self.bench);
        all.retain(|(_, key), row| {
            let of_job =
                row["event_type"].as_str().is_some_and(|kind| kind.starts_with("job.") || kind == "source.failed");
            // The data set's own row says which job was its last.
            !key.starts_with("JOB#") && !of_job && !key.starts_with("LEASE#") && !key.ends_with(" | SOURCE")
        });
        all
    }

    fn leavings(&self) -> Vec<String> {
        let of_sync =
            |key: &String| ["PART#", "STAGED#", "KEYS#"].iter().any(|kind| key.contains(&format!("| {kind}")));
        rows::all(&self.bench, rows::MAIN).into_keys().filter(of_sync).collect()
    }
}

fn progress(changed: usize, unchanged: usize, failed: usize) -> Value {
    json!({"done": changed + unchanged + failed, "changed": changed, "unchanged": unchanged, "failed": failed})
}

fn person(n: usize) -> Value {
    json!({"id": format!("E-{n}"), "login": format!("user{n:04}"), "first": format!("Name{n}"),
        "mail": format!("user{n:04}@example.com"), "ext": n})
}

fn people(range: impl Iterator<Item = usize>) -> Value {
    range.map(person).collect()
}

fn outcomes(job: &Value) -> Vec<(String, String, String, String)> {
    let items = job["items"].as_array().unwrap();
    let of = |item: &Value| (text(&item["id"]), text(&item["outcome"]), text(&item["change"]), text(&item["code"]));
    items.iter().map(of).collect()
}

fn told(id: &str, outcome: &str, change: &str, code: &str) -> (String, String, String, String) {
    (id.into(), outcome.into(), change.into(), code.into())
}

#[tokio::test]
async fn users_are_created_changed_and_flagged_and_the_report_names_what_changed_alone() {
    let house = House::new().await;
    let source = house.http(json!({"token": "s3cret-token"})).await;
    let shown = house.get(&format!("/sources/{source}")).await;
    assert_eq!((&shown["token_set"], shown.get("token")), (&json!(true), None));
    house.pages.show(people(1..=3).to_string());
    let job = house.synced(&source, json!({})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(3, 0, 0)), "{job}");
    let created = |n: u8| told(&format!("{n:06}"), "changed", "created", "");
    assert_eq!(outcomes(&job), [created(1), created(2), created(3)]);
    assert_eq!(job["items"][0]["fields"], json!(["username", "first_name", "email", "number", "external_id"]));
    let asked =
        Asked { url: "https://hr.example.com/people".into(), authorization: Some("Bearer s3cret-token".into()) };
    assert_eq!(house.pages.asked(), [asked]);
    let user = house.user("user0002").await;
    assert_eq!(
        (&user["number"], &user["source"], &user["email"]),
        (&json!("2"), &json!("http"), &json!("user0002@example.com"))
    );
    // One changes, one is renamed, one goes, one comes.
    let mut rows = people(1..=2);
    rows[0]["first"] = json!("Ada");
    rows[1]["login"] = json!("renamed");
    rows.as_array_mut().unwrap().push(person(4));
    house.pages.show(rows.to_string());
    let job = house.synced(&source, json!({})).await;
    assert_eq!(job["progress"], progress(4, 0, 0), "{job}");
    assert_eq!(
        (&job["items"][0]["fields"], &job["items"][1]["fields"]),
        (&json!(["first_name"]), &json!(["username"]))
    );
    assert_eq!(outcomes(&job)[3].2, "vanished");
    assert_eq!(house.user("renamed").await["user_id"], user["user_id"]);
    let gone = house.stored_user("user0003");
    assert!(gone["provenance"]["vanished_at"].is_string() && gone["suspended"].is_null(), "{gone}");
    assert_eq!(house.events("user.vanished").await.len(), 1);
    // They are back.
    rows.as_array_mut().unwrap().push(person(3));
    house.pages.show(rows.to_string());
    let job = house.synced(&source, json!({})).await;
    assert_eq!(job["progress"], progress(1, 3, 0));
    assert_eq!(outcomes(&job), [told("000004", "changed", "reappeared", "")]);
    assert!(house.stored_user("user0003")["provenance"]["vanished_at"].is_null());
    assert_eq!(house.leavings(), Vec::<String>::new());
}

#[tokio::test]
async fn five_thousand_rows_synced_twice_write_nothing_the_second_time() {
    let house = House::new().await;
    let source = house.http(json!({})).await;
    house.pages.show(people(0..5_000).to_string());
    let job = house.synced(&source, json!({})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(5_000, 0, 0)));
    let before = house.all_but_jobs();
    let job = house.synced(&source, json!({})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(0, 5_000, 0)));
    assert_eq!(job["items"], json!([]));
    assert!(house.all_but_jobs() == before, "the second sync has written something");
    assert_eq!(house.leavings(), Vec::<String>::new());
}
