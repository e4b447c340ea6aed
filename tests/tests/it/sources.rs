//! Sources over HTTP: users are created from them and kept in sync, whatever the sources respond.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use http::{Method, Request};
use serde_json::{Value, json};
use testkit::egress::{Answers, ReceivedRequest};
use testkit::faults::{Call, Fault, FaultDuration, InjectedFault};
use testkit::{Answer, Setup, rows, text};

use crate::fixture::Fixture;

const UPLOAD: &str = "0190f3c4-7b5e-7a11-8c1d-00000000000";

fn mapping() -> Value {
    json!({
        "username": "login",
        "first_name": "first",
        "email": "mail",
        "number": "ext",
        "external_id": "id",
    })
}

impl Fixture {
    async fn source(&self, more: Value) -> String {
        self.post("/sources", more).await.expect(201).get("source_id")
    }

    /// A source that is read from a page, with other settings.
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

    async fn part(&self, source: &str, number: u32, query: &str, bytes: &[u8]) -> Answer {
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/sources/{source}/parts/{number}?{query}"))
            .header("content-type", "text/csv")
            .header("authorization", format!("Bearer {}", self.tenant.key));
        self.bench.send(request.body(bytes.to_vec()).unwrap()).await
    }

    /// Runs the schedule until no job is running.
    async fn run_jobs(&self) {
        for _ in 0..40 {
            let jobs = self.all("/jobs").await;
            if jobs.iter().all(|job| job["state"] != "running") {
                self.bench.drain().await;
                return;
            }
            self.bench.advance(Duration::seconds(61));
            assert_eq!(self.bench.run_due().await["failed"], 0);
        }
        panic!("a job is still at work");
    }

    /// Syncs a source, and returns the finished job.
    async fn sync(&self, source: &str, body: Value) -> Value {
        let job = self.post(&format!("/sources/{source}/sync"), body).await.expect(202).get("job_id");
        self.run_jobs().await;
        self.job(&job).await
    }

    async fn upload_and_sync(&self, source: &str, upload: u8, file: &str) -> Value {
        let query = format!("upload={UPLOAD}{upload}&last=true");
        let job = self.part(source, 1, &query, file.as_bytes()).await.expect(202).get("job_id");
        self.run_jobs().await;
        self.job(&job).await
    }

    async fn user_by_name(&self, username: &str) -> Value {
        let users = self.all(&format!("/users?search={username}")).await;
        users.into_iter().find(|user| user["username"] == username).unwrap_or(Value::Null)
    }

    async fn statuses(&self) -> BTreeMap<String, String> {
        let users = self.all("/users").await;
        users.iter().map(|user| (text(&user["username"]), text(&user["status"]))).collect()
    }

    fn stored_user(&self, username: &str) -> Value {
        let users = rows::all(&self.bench, rows::MAIN).into_iter().filter(|(key, _)| key.starts_with("USER#"));
        users
            .map(|(_, row)| row)
            .find(|row| row["username"] == username && row["deleted"].is_null())
            .unwrap_or_default()
    }

    /// All stored rows except those of jobs.
    fn rows_without_jobs(&self) -> BTreeMap<(&'static str, String), Value> {
        let mut all = rows::everything_but_derived(&self.bench);
        all.retain(|(_, key), row| {
            let of_job =
                row["event_type"].as_str().is_some_and(|kind| kind.starts_with("job.") || kind == "source.failed");
            // The source's own row says which job was its last.
            !key.starts_with("JOB") && !of_job && !key.starts_with("LEASE#") && !key.ends_with(" | SOURCE")
        });
        all
    }

    fn leftover_rows(&self) -> Vec<String> {
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

fn item_outcome(id: &str, outcome: &str, change: &str, code: &str) -> (String, String, String, String) {
    (id.into(), outcome.into(), change.into(), code.into())
}

#[tokio::test]
async fn a_sync_creates_updates_and_flags_users_and_reports_only_changes() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({"token": "s3cret-token"})).await;
    let shown = fixture.get(&format!("/sources/{source}")).await;
    assert_eq!((&shown["token_set"], shown.get("token")), (&json!(true), None));
    fixture.pages.answer_ok(people(1..=3).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(3, 0, 0)), "{job}");
    let created = |n: u8| item_outcome(&format!("{n:06}"), "changed", "created", "");
    assert_eq!(outcomes(&job), [created(1), created(2), created(3)]);
    assert_eq!(job["items"][0]["fields"], json!(["username", "first_name", "email", "number", "external_id"]));
    let asked = ReceivedRequest {
        url: "https://hr.example.com/people".into(),
        authorization: Some("Bearer s3cret-token".into()),
    };
    assert_eq!(fixture.pages.received(), [asked]);
    let user = fixture.user_by_name("user0002").await;
    assert_eq!(
        (&user["number"], &user["source"], &user["email"]),
        (&json!("2"), &json!("http"), &json!("user0002@example.com"))
    );
    // One user changes, one is renamed, one vanishes, one is new.
    let mut rows = people(1..=2);
    rows[0]["first"] = json!("Ada");
    rows[1]["login"] = json!("renamed");
    rows.as_array_mut().unwrap().push(person(4));
    fixture.pages.answer_ok(rows.to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(job["progress"], progress(4, 0, 0), "{job}");
    assert_eq!(
        (&job["items"][0]["fields"], &job["items"][1]["fields"]),
        (&json!(["first_name"]), &json!(["username"]))
    );
    assert_eq!(outcomes(&job)[3].2, "vanished");
    assert_eq!(fixture.user_by_name("renamed").await["user_id"], user["user_id"]);
    let vanished = fixture.stored_user("user0003");
    assert!(vanished["provenance"]["vanished_at"].is_string() && vanished["suspended"].is_null(), "{vanished}");
    assert_eq!(fixture.events("user.vanished").await.len(), 1);
    // They are back.
    rows.as_array_mut().unwrap().push(person(3));
    fixture.pages.answer_ok(rows.to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(job["progress"], progress(1, 3, 0));
    assert_eq!(outcomes(&job), [item_outcome("000004", "changed", "reappeared", "")]);
    assert!(fixture.stored_user("user0003")["provenance"]["vanished_at"].is_null());
    assert_eq!(fixture.leftover_rows(), Vec::<String>::new());
}

/// Syncs this many rows twice, and checks that the second sync only writes rows of jobs.
async fn sync_twice(rows: usize) {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({})).await;
    fixture.pages.answer_ok(people(0..rows).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(rows, 0, 0)));
    let before = fixture.rows_without_jobs();
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(0, rows, 0)));
    assert_eq!(job["items"], json!([]));
    assert!(fixture.rows_without_jobs() == before, "the second sync has written something");
    assert_eq!(fixture.leftover_rows(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_sync_of_seven_hundred_rows_writes_nothing() {
    sync_twice(700).await;
}

#[tokio::test]
#[ignore = "the large set"]
async fn a_second_sync_of_five_thousand_rows_writes_nothing() {
    sync_twice(5_000).await;
}

#[tokio::test]
async fn a_file_can_be_uploaded_in_parts_cut_anywhere_in_any_order_and_repeatedly() {
    let fixture = Fixture::new().await;
    let source = fixture.csv(json!({"delimiter": "semicolon"})).await;
    let file = "\u{feff}login;mail;first;other\r\nzoe;zoe@example.com;\"Zo\u{eb}; \"\"Z\"\"\";x\r\nbob;;Bob;y\r\n";
    // Within the ë, and within a line's end.
    let (one, rest) = file.as_bytes().split_at(file.find('\u{eb}').unwrap() + 1);
    let (two, three) = rest.split_at(rest.len() - 1);
    let query = format!("upload={UPLOAD}1");
    let answer = fixture.part(&source, 3, &format!("{query}&last=true"), three).await.expect(202);
    assert_eq!((&answer.body["missing"], &answer.body["complete"]), (&json!([1, 2]), &json!(false)));
    let _one = fixture.part(&source, 1, &query, b"something else").await.expect(202);
    let answer = fixture.part(&source, 1, &query, one).await.expect(202);
    assert_eq!((&answer.body["parts"], &answer.body["job_id"]), (&json!([1, 3]), &Value::Null));
    let answer = fixture.part(&source, 2, &query, two).await.expect(202);
    assert_eq!(answer.body["complete"], true);
    let job = fixture.job(&answer.get("job_id")).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(2, 0, 0)), "{job}");
    assert_eq!(job["items"][0]["id"], "000002");
    assert_eq!(fixture.user_by_name("zoe").await["first_name"], "Zo\u{eb}; \"Z\"");
    assert_eq!(
        (&fixture.user_by_name("bob").await["email"], &fixture.user_by_name("bob").await["source"]),
        (&Value::Null, &json!("csv"))
    );
    assert_eq!(fixture.leftover_rows(), Vec::<String>::new());
    // A late part changes nothing, and starts no sync.
    let repeated = fixture.part(&source, 2, &query, two).await.expect(202);
    assert_eq!(repeated.body["job_id"], answer.body["job_id"]);
    assert_eq!(fixture.leftover_rows(), Vec::<String>::new());
    assert_eq!(fixture.all("/jobs").await.len(), 1);
    // A file without the mapped header is rejected.
    let job = fixture.upload_and_sync(&source, 2, "login,mail,first\r\nzoe,,\r\n").await;
    let failure = json!({
        "code": "column_missing",
        "detail": "The source cannot be used: the header row lacks these mapped columns: first, login, mail.",
    });
    assert_eq!((&job["state"], &job["failure"]), (&json!("failed"), &failure));
}

#[tokio::test]
async fn the_csv_of_a_sync_has_the_user_the_changes_and_the_errors_of_each_row() {
    let fixture = Fixture::new().await;
    let source = fixture.csv(json!({})).await;
    let _first = fixture.upload_and_sync(&source, 1, "login,mail,first\nada,ada@example.com,Ada\n").await;
    let file = "login,mail,first\nada,ada@example.com,Adela\nbea,nonsense,Bea\n";
    let job = fixture.upload_and_sync(&source, 2, file).await;
    let request = Request::builder().uri(format!("/jobs/{}", job["job_id"].as_str().unwrap()));
    let request =
        request.header("accept", "text/csv").header("authorization", format!("Bearer {}", fixture.tenant.key));
    let csv = fixture.bench.send(request.body(Vec::new()).unwrap()).await.expect(200).text;
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let columns = ["id", "outcome", "code", "detail", "at", "user_id", "change", "fields", "errors"];
    assert_eq!(rows.headers().unwrap(), columns.as_slice());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let ada = fixture.user_by_name("ada").await["user_id"].as_str().unwrap().to_owned();
    assert_eq!(rows[0].iter().skip(5).collect::<Vec<_>>(), [ada.as_str(), "updated", "first_name", ""]);
    assert_eq!((&rows[1][1], &rows[1][5], &rows[1][8]), ("failed", "", "email: invalid_format"), "{csv}");
}

#[tokio::test]
async fn an_upload_can_be_dry_run_before_the_sync() {
    let fixture = Fixture::new().await;
    let source = fixture.csv(json!({})).await;
    let nothing = fixture.post(&format!("/sources/{source}/sync"), json!({})).await.expect(409);
    assert_eq!(nothing.code(), "nothing_uploaded");
    let query = format!("upload={UPLOAD}1&last=true&start=false");
    let waiting = fixture.part(&source, 1, &query, b"login,mail,first\nada,ada@example.com,Ada\n").await.expect(202);
    assert_eq!((&waiting.body["complete"], &waiting.body["job_id"]), (&json!(true), &Value::Null));
    let before = fixture.rows_without_jobs();
    let job = fixture.sync(&source, json!({"dry_run": true})).await;
    assert_eq!((&job["dry_run"], &job["progress"]), (&json!(true), &progress(1, 0, 0)));
    assert_eq!(
        (&job["items"][0]["change"], &job["items"][0]["fields"]),
        (&json!("created"), &json!(["username", "first_name", "email"]))
    );
    assert!(fixture.rows_without_jobs() == before, "a dry run has changed something");
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(1, 0, 0));
    assert_eq!(fixture.user_by_name("ada").await["first_name"], "Ada");
    let nothing = fixture.post(&format!("/sources/{source}/sync"), json!({})).await.expect(409);
    assert_eq!(nothing.code(), "nothing_uploaded");
    assert_eq!(fixture.leftover_rows(), Vec::<String>::new());
}

#[tokio::test]
async fn an_invalid_row_is_reported_with_its_line_and_every_error_and_the_others_are_synced() {
    let fixture = Fixture::new().await;
    let source = fixture
        .csv(json!({"mapping": {"username": "login", "email": "mail", "mobile": "mobile", "service_level": "level"}}))
        .await;
    let file = "login,mail,mobile,level\nada,ada@example.com,+49 170 1234567,\nb b,nonsense,01701234567,\n,x@example.com,,\n\
        eve,eve@example.com,,gold\nDUP,,,\ndup,,,\nzoe,zoe@example.com,,\n";
    let job = fixture.upload_and_sync(&source, 1, file).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(2, 0, 6)), "{job}");
    let codes = |at: usize| -> Vec<(String, String)> {
        let faults = job["items"][at]["errors"].as_array().unwrap();
        faults.iter().map(|fault| (text(&fault["field"]), text(&fault["code"]))).collect()
    };
    let ids: Vec<String> = outcomes(&job).into_iter().map(|outcome| outcome.0).collect();
    assert_eq!(ids, ["000002", "000003", "000004", "000005", "000006", "000007", "000008", "vanished"]);
    let fault = |field: &str, code: &str| (field.to_owned(), code.to_owned());
    let format = |field| fault(field, "invalid_format");
    assert_eq!(codes(1), [format("username"), format("email"), format("mobile")]);
    assert_eq!(codes(2), [fault("username", "missing")]);
    assert_eq!(codes(3), [fault("service_level", "unknown_value")]);
    assert_eq!((codes(4), codes(5)), (vec![fault("username", "repeated")], vec![fault("username", "repeated")]));
    assert_eq!(job["items"][7]["code"], "keys_unreadable");
    // The reports contain nothing of the responses.
    for value in ["b b", "nonsense", "01701234567", "x@example.com", "eve@example.com"] {
        assert!(!job["items"].to_string().contains(value), "{value}");
    }
    assert_eq!(fixture.statuses().await.len(), 2);
}

#[tokio::test]
async fn an_unreadable_truncated_failing_oversized_or_silent_page_fails_the_sync_without_changes() {
    let fixture = Fixture::new().await;
    let json_source = fixture.http(json!({"items": "/people"})).await;
    let csv_source = fixture.http(json!({"format": "csv"})).await;
    let complete = json!({"people": people(0..3)}).to_string();
    fixture.pages.answer_ok(complete.clone());
    assert_eq!(fixture.sync(&json_source, json!({})).await["progress"], progress(3, 0, 0));
    let ok = |body: &str| Answers::With(200, Vec::new(), body.as_bytes().to_vec());
    let header = |name, value: &str, body: &str| Answers::With(200, vec![(name, value.to_owned())], body.into());
    let mut expected = Vec::new();
    for (source, answers, code) in [
        (&json_source, ok("<html>"), "not_json"),
        (&json_source, ok(""), "cut_off"),
        (&json_source, ok(&complete[..complete.len() - 1]), "cut_off"),
        (&json_source, ok(&complete[..complete.len() / 2]), "cut_off"),
        (&json_source, ok("[]"), "items_missing"),
        (&json_source, ok(r#"{"people": []}"#), "empty"),
        (&json_source, ok(r#"{"people": [{}, 7]}"#), "not_objects"),
        (&json_source, Answers::With(200, Vec::new(), b"\"\xff\"".to_vec()), "invalid_encoding"),
        (&json_source, header("content-length", "100000", &complete), "cut_off"),
        (&json_source, header("content-length", "9000000", ""), "too_large"),
        (&json_source, ok(&" ".repeat(8 * 1024 * 1024 + 1)), "too_large"),
        (&json_source, Answers::With(503, Vec::new(), complete.clone().into()), "error_status"),
        (&json_source, Answers::With(404, Vec::new(), complete.clone().into()), "error_status"),
        (&json_source, Answers::With(204, Vec::new(), Vec::new()), "error_status"),
        (&json_source, Answers::With(302, vec![("location", "https://example.com".into())], Vec::new()), "redirected"),
        (&json_source, Answers::Never, "no_answer"),
        (&json_source, Answers::ConnectionClosed, "unreachable"),
        (&csv_source, ok("<html><body>oops</body></html>"), "column_missing"),
        (&csv_source, ok("id,login,first,mail,ext\nE-1,ada,Ada,a@example.com\n"), "uneven_rows"),
        (&csv_source, ok("id,login,first,mail,ext\nE-1,ada,\"Ada,a@example.com,1\n"), "cut_off"),
        (&csv_source, ok("id,login,first,mail,ext,login\nE-1,ada,Ada,a@example.com,1,x\n"), "column_repeated"),
        (&csv_source, ok("id,login,first,mail,ext\n"), "empty"),
        (&csv_source, ok(""), "column_missing"),
    ] {
        fixture.bench.advance(Duration::seconds(1));
        fixture.pages.answer(answers.clone());
        let before = fixture.rows_without_jobs();
        let job = fixture.sync(source, json!({})).await;
        let what = format!("{answers:.200?}");
        assert_eq!((&job["state"], &job["failure"]["code"]), (&json!("failed"), &json!(code)), "{what}");
        assert!(job["failure"]["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{what}");
        assert_eq!((&job["progress"], &job["items"]), (&progress(0, 0, 0), &json!([])), "{what}");
        assert!(fixture.rows_without_jobs() == before, "{what}");
        expected.push(json!(code));
    }
    let mut failed = fixture.events("source.failed").await;
    failed.reverse();
    let codes: Vec<Value> = failed.iter().map(|event| event["changes"]["failure"]["after"].clone()).collect();
    assert_eq!(codes, expected);
    assert!(failed.iter().all(|event| event["source_id"].is_string() && event["job_id"].is_string()));
}

#[tokio::test]
async fn a_field_set_by_hand_is_kept_until_it_is_released() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({})).await;
    fixture.pages.answer_ok(people(1..=1).to_string());
    let _first = fixture.sync(&source, json!({})).await;
    let id = text(&fixture.user_by_name("user0001").await["user_id"]);
    let path = format!("/users/{id}");
    let _by_hand = fixture.patch(&path, json!({"first_name": "By Hand"})).await.expect(200);
    let mut row = people(1..=1);
    row[0]["first"] = json!("By Machine");
    row[0]["mail"] = json!("new@example.com");
    fixture.pages.answer_ok(row.to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(job["items"][0]["fields"], json!(["email"]), "{job}");
    assert_eq!(fixture.get(&path).await["first_name"], "By Hand");
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(0, 1, 0));
    let _released = fixture.patch(&path, json!({"release": ["first_name"]})).await.expect(200);
    assert_eq!(fixture.sync(&source, json!({})).await["items"][0]["fields"], json!(["first_name"]));
    assert_eq!(fixture.get(&path).await["first_name"], "By Machine");
}

#[tokio::test]
async fn a_user_created_by_hand_is_adopted_and_keeps_the_fields_set_by_hand() {
    let fixture = Fixture::new().await;
    let id = fixture.user("user0001").await;
    let source = fixture.http(json!({})).await;
    fixture.pages.answer_ok(people(1..=1).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(outcomes(&job), [item_outcome("000001", "changed", "adopted", "")], "{job}");
    assert_eq!(job["items"][0]["fields"], json!(["external_id"]));
    let user = fixture.get(&format!("/users/{id}")).await;
    assert_eq!(
        (&user["first_name"], &user["number"], &user["source"]),
        (&json!("Ada"), &json!("4711"), &json!("http"))
    );
    let stored = fixture.stored_user("user0001");
    assert_eq!(stored["provenance"]["by_hand"], json!(["first_name", "number"]));
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(0, 1, 0));
    // Another source does not adopt the user unless the first one was deleted.
    let other = fixture.http(json!({"name": "Other"})).await;
    let job = fixture.sync(&other, json!({})).await;
    assert_eq!(outcomes(&job), [item_outcome("000001", "failed", "", "held_by_other_source")]);
    let _deleted = fixture.bench.delete(&format!("/sources/{source}"), &fixture.tenant.key).await.expect(200);
    let job = fixture.sync(&other, json!({})).await;
    assert_eq!(outcomes(&job), [item_outcome("000001", "changed", "adopted", "")]);
}

#[tokio::test]
async fn a_sync_resets_a_renamed_users_phones_only_with_the_permission_to_wipe() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({})).await;
    fixture.pages.answer_ok(people(1..=1).to_string());
    let _first = fixture.sync(&source, json!({})).await;
    let id = text(&fixture.user_by_name("user0001").await["user_id"]);
    let code = fixture.bench.invite(&fixture.tenant, &id, 1).await;
    let phone = fixture.bench.register(&code, "phone").await.expect(201);
    let mut row = people(1..=1);
    row[0]["login"] = json!("else");
    fixture.pages.answer_ok(row.to_string());
    let key = json!({"name": "helper", "permissions": ["users:manage", "users:read"]});
    let helper = fixture.post("/keys", key).await.expect(201).get("key");
    let job =
        fixture.bench.post(&format!("/sources/{source}/sync"), &helper, json!({})).await.expect(202).get("job_id");
    assert_eq!(outcomes(&fixture.job(&job).await), [item_outcome("000001", "failed", "", "permission_missing")]);
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(outcomes(&job), [item_outcome("000001", "changed", "updated", "")]);
    let answer = fixture.bench.check_in(&phone.get("credential")).await.expect(200);
    assert_eq!(answer.body["commands"][0]["kind"], "factory_reset");
}

#[tokio::test]
async fn a_user_renamed_by_hand_stays_with_the_source_and_is_not_created_twice() {
    let fixture = Fixture::new().await;
    let source = fixture.csv(json!({"vanish_policy": "delete"})).await;
    let file = "login,mail,first\nada,ada@example.com,Ada\n";
    assert_eq!(fixture.upload_and_sync(&source, 1, file).await["progress"], progress(1, 0, 0));
    let path = format!("/users/{}", text(&fixture.user_by_name("ada").await["user_id"]));
    let renamed = fixture.patch(&path, json!({"username": "bea"})).await.expect(200);
    assert_eq!((renamed.get("source_username"), &renamed.body["by_hand"]), ("ada".into(), &json!(["username"])));
    assert_eq!(fixture.upload_and_sync(&source, 2, file).await["progress"], progress(0, 1, 0));
    assert_eq!(fixture.statuses().await.into_keys().collect::<Vec<_>>(), ["bea"]);
    // The row's other fields are applied, and the former name is free.
    let other = fixture.user("ada").await;
    let job = fixture.upload_and_sync(&source, 3, "login,mail,first\nAda,ada@example.com,Adele\n").await;
    assert_eq!((&job["progress"], &job["items"][0]["fields"]), (&progress(1, 0, 0), &json!(["first_name"])), "{job}");
    assert_eq!(fixture.get(&path).await["first_name"], "Adele");
    // A row with the new name also matches the user once the old one is gone.
    let both = "login,mail,first\nada,ada@example.com,Adele\nbea,,Bea\n";
    assert_eq!(
        outcomes(&fixture.upload_and_sync(&source, 4, both).await),
        [item_outcome("000003", "failed", "", "username_taken")]
    );
    let job = fixture.upload_and_sync(&source, 5, "login,mail,first\nbea,ada@example.com,Adele\n").await;
    assert_eq!(outcomes(&job), [item_outcome("000002", "changed", "updated", "")]);
    assert_eq!(fixture.get(&path).await["source_username"], Value::Null);
    assert_eq!(fixture.get(&format!("/users/{other}")).await["source"], "api");
    assert_eq!((fixture.statuses().await.len(), fixture.events("user.vanished").await.len()), (2, 0));
}

#[tokio::test]
async fn a_row_matches_the_exact_username_including_accents() {
    let fixture = Fixture::new().await;
    let source = fixture.csv(json!({})).await;
    let by_hand = fixture.post("/users", json!({"username": "jos\u{e9}"})).await.expect(201).get("user_id");
    let job = fixture.upload_and_sync(&source, 1, "login,first,mail,ext,id\njose,Jose,,,1\n\u{ff2d}ax,Max,,,2\n").await;
    assert_eq!((job["state"].as_str(), job["progress"]["changed"].as_u64()), (Some("finished"), Some(2)), "{job}");
    let untouched = fixture.bench.get(&format!("/users/{by_hand}"), &fixture.tenant.key).await.expect(200).body;
    assert_eq!((&untouched["source"], &untouched["first_name"]), (&json!("api"), &Value::Null));
    let job = fixture
        .upload_and_sync(&source, 2, "login,first,mail,ext,id\njose,Jose,,,1\nmax,Maximilian,,,2\nJOS\u{c9},X,,,3\n")
        .await;
    assert_eq!(job["progress"]["changed"], 2, "{job}");
    assert_eq!(fixture.user_by_name("max").await["first_name"], "Maximilian");
    assert_eq!(
        fixture.bench.get(&format!("/users/{by_hand}"), &fixture.tenant.key).await.expect(200).body["source"],
        "csv"
    );
}

#[tokio::test]
async fn a_user_whose_row_is_invalid_after_a_key_change_has_not_vanished() {
    let fixture = Fixture::new().await;
    let mapping = json!({"username": "login", "email": "mail", "external_id": "id"});
    let source =
        fixture.csv(json!({"mapping": {"username": "login", "email": "mail"}, "vanish_policy": "delete"})).await;
    let first = fixture.upload_and_sync(&source, 1, "login,mail\nada,\nbob,\n").await;
    assert_eq!(first["progress"], progress(2, 0, 0));
    let edit = json!({"mapping": mapping, "key_field": "external_id"});
    let _key = fixture.patch(&format!("/sources/{source}"), edit).await.expect(200);
    let job = fixture.upload_and_sync(&source, 2, "login,mail,id\nada,nonsense,E-1\nbob,,E-2\n").await;
    assert_eq!(
        outcomes(&job),
        [item_outcome("000002", "failed", "", "invalid_input"), item_outcome("000003", "changed", "updated", ""),]
    );
    assert!(fixture.events("user.vanished").await.is_empty());
}

#[tokio::test]
async fn a_sync_does_not_change_a_user_of_an_identity_provider() {
    let fixture = Fixture::new().await;
    let id = fixture.user("user0001").await;
    let name = json!({"Operations": [{"op": "add", "path": "externalId", "value": "00u1"}]});
    let path = format!("/scim/v2/Users/{id}");
    let _named = fixture.patch(&path, name).await.expect(200);
    let source = fixture.http(json!({})).await;
    fixture.pages.answer_ok(people(1..=1).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(outcomes(&job), [item_outcome("000001", "failed", "", "held_by_other_source")]);
    let user = fixture.get(&format!("/users/{id}")).await;
    assert_eq!((&user["external_id"], &user["source"]), (&json!("00u1"), &json!("scim")));
}

#[tokio::test]
async fn a_sync_that_is_killed_at_the_same_step_repeatedly_fails() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({})).await;
    fixture.pages.answer(Answers::ProcessEnds);
    let path = format!("/sources/{source}/sync");
    assert!(fixture.post(&path, json!({})).await.status.is_server_error());
    for _ in 0..2 {
        fixture.bench.advance(Duration::minutes(1));
        let _run = fixture.bench.stack.run_schedule("run-due").await;
        assert_eq!(fixture.all("/jobs").await[0]["state"], "running");
    }
    fixture.bench.advance(Duration::minutes(1));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    let job = fixture.all("/jobs").await[0].clone();
    assert_eq!((&job["state"], &job["failure"]["code"]), (&json!("failed"), &json!("given_up")), "{job}");
    assert_eq!((fixture.pages.received().len(), fixture.events("source.failed").await.len()), (3, 1));
    fixture.pages.answer_ok(people(1..=1).to_string());
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(1, 0, 0));
}

#[tokio::test]
async fn a_page_is_only_fetched_with_enough_time_left_and_the_longest_waiting_source_is_first() {
    let fixture = Fixture::new().await;
    fixture.pages.answer_ok(people(1..=1).to_string());
    let mut urls = Vec::new();
    for n in 0..5 {
        fixture.bench.advance(Duration::seconds(1));
        urls.push(format!("https://hr.example.com/{n}"));
        let _source = fixture.http(json!({"name": format!("{n}"), "url": urls[n], "every_hours": 6})).await;
    }
    // Each fetch takes nearly the longest allowed time.
    fixture.pages.meanwhile(fixture.bench.clock_advancer(Duration::seconds(14)));
    let mut asked = Vec::new();
    for read in [3, 5] {
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        asked = fixture.pages.received().into_iter().map(|asked| asked.url).collect();
        assert_eq!(asked.len(), read);
        fixture.bench.advance(Duration::minutes(1));
    }
    assert_eq!(asked[..3], urls[..3]);
    // The last two were created at the same time.
    asked.sort();
    assert_eq!(asked, urls);
    let jobs = fixture.all("/jobs").await;
    assert!(jobs.len() == 5 && jobs.iter().all(|job| job["state"] == "finished"), "{jobs:?}");
}

#[tokio::test]
async fn a_workspace_has_at_most_twenty_sources() {
    let fixture = Fixture::new().await;
    for n in 0..20 {
        let _source = fixture.csv(json!({"name": format!("{n}")})).await;
    }
    let one_more = json!({"name": "One more", "kind": "scim"});
    assert_eq!(fixture.post("/sources", one_more.clone()).await.expect(409).code(), "too_many_sources");
    let first = text(&fixture.get("/sources").await["items"][0]["source_id"]);
    let _deleted = fixture.bench.delete(&format!("/sources/{first}"), &fixture.tenant.key).await.expect(200);
    let _created = fixture.post("/sources", one_more).await.expect(201);
}

#[tokio::test]
async fn a_scheduled_sync_wipes_phones_only_with_an_authorized_setting() {
    let fixture = Fixture::new().await;
    let key = json!({"name": "helper", "permissions": ["users:manage", "users:read"]});
    let helper = fixture.post("/keys", key).await.expect(201).get("key");
    fixture.pages.answer_ok(people(1..=1).to_string());
    let source = fixture.http(json!({"every_hours": 6})).await;
    let path = format!("/sources/{source}");
    assert_eq!(fixture.get(&path).await["renames_may_wipe"], false);
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    let id = text(&fixture.user_by_name("user0001").await["user_id"]);
    let code = fixture.bench.invite(&fixture.tenant, &id, 1).await;
    let phone = fixture.bench.register(&code, "phone").await.expect(201);
    let mut row = people(1..=1);
    row[0]["login"] = json!("else");
    fixture.pages.answer_ok(row.to_string());
    let scheduled = async || {
        fixture.bench.advance(Duration::hours(6));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        let jobs = fixture.all("/jobs").await;
        outcomes(&fixture.job(&text(&jobs[0]["job_id"])).await)
    };
    assert_eq!(scheduled().await, [item_outcome("000001", "failed", "", "permission_missing")]);
    let edit = async |key: &str, body: Value| fixture.bench.patch(&path, key, body).await;
    let may = json!({"renames_may_wipe": true});
    assert_eq!(edit(&helper, may.clone()).await.expect(403).code(), "permission_missing");
    assert_eq!(edit(&fixture.tenant.key, may).await.expect(200).body["renames_may_wipe"], true);
    // Other edits do not change it; changing the URL or the mapping needs the permission to wipe.
    assert_eq!(edit(&helper, json!({"name": "Other"})).await.expect(200).body["renames_may_wipe"], true);
    let elsewhere = json!({"url": "https://hr.example.com/mine"});
    assert_eq!(edit(&helper, elsewhere).await.expect(403).code(), "permission_missing");
    assert_eq!(scheduled().await, [item_outcome("000001", "changed", "updated", "")]);
    let answer = fixture.bench.check_in(&phone.get("credential")).await.expect(200);
    assert_eq!(answer.body["commands"][0]["kind"], "factory_reset");
    assert_eq!(edit(&helper, json!({"renames_may_wipe": false})).await.expect(200).body["renames_may_wipe"], false);
}

#[tokio::test]
async fn a_urls_query_is_never_shown_and_is_kept_by_updates() {
    let fixture = Fixture::new().await;
    let url = "https://hr.example.com/people?token=marker";
    let source = fixture.http(json!({"url": url})).await;
    let path = format!("/sources/{source}");
    let shown = fixture.get(&path).await;
    assert_eq!(shown["url"], "https://hr.example.com/people?\u{2026}");
    assert!(!fixture.get("/sources").await.to_string().contains("marker"));
    let edit = json!({"url": shown["url"], "name": "Other"});
    let edited = fixture.patch(&path, edit).await.expect(200);
    assert_eq!((edited.get("name"), &edited.body["url"]), ("Other".to_owned(), &shown["url"]));
    fixture.pages.answer_ok("[]");
    let _job = fixture.sync(&source, json!({})).await;
    assert_eq!(fixture.pages.received()[0].url, url);
    assert!(!json!(fixture.all("/events").await).to_string().contains("marker"));
}

#[tokio::test]
async fn vanished_users_are_suspended_until_they_reappear_unless_an_admin_suspended_them() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({"vanish_policy": "suspend"})).await;
    fixture.pages.answer_ok(people(1..=3).to_string());
    let _first = fixture.sync(&source, json!({})).await;
    let id = text(&fixture.user_by_name("user0002").await["user_id"]);
    let code = fixture.bench.invite(&fixture.tenant, &id, 1).await;
    let credential = fixture.bench.register(&code, "phone").await.expect(201).get("credential");
    let by_hand = text(&fixture.user_by_name("user0003").await["user_id"]);
    let _suspended = fixture.post(&format!("/users/{by_hand}/suspend"), json!({})).await.expect(200);
    fixture.pages.answer_ok(people(1..=1).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(job["progress"], progress(2, 1, 0), "{job}");
    assert_eq!(fixture.bench.check_in(&credential).await.expect(200).body["access"], "user_suspended");
    assert_eq!(fixture.events("user.suspended").await.len(), 2);
    let both = fixture.get(&format!("/users/{by_hand}")).await;
    assert_eq!((&both["suspended"]["reason"], both["suspended_by_source"].is_object()), (&Value::Null, true));
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(0, 1, 0));
    fixture.pages.answer_ok(people(1..=3).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(job["progress"], progress(2, 1, 0));
    assert_eq!(fixture.bench.check_in(&credential).await.expect(200).body["access"], "allowed");
    let suspended = fixture.statuses().await;
    assert_eq!((suspended["user0002"].as_str(), suspended["user0003"].as_str()), ("active", "suspended"));
    // A user whom an admin suspends meanwhile stays suspended when they reappear.
    fixture.pages.answer_ok(people(1..=1).to_string());
    let _synced = fixture.sync(&source, json!({})).await;
    let _suspended = fixture.post(&format!("/users/{id}/suspend"), json!({"reason": "an audit"})).await.expect(200);
    fixture.pages.answer_ok(people(1..=3).to_string());
    let _synced = fixture.sync(&source, json!({})).await;
    assert_eq!(fixture.bench.check_in(&credential).await.expect(200).body["access"], "user_suspended");
    let user = fixture.get(&format!("/users/{id}")).await;
    assert_eq!((&user["suspended"]["reason"], &user["suspended_by_source"]), (&json!("an audit"), &Value::Null));
    let _activated = fixture.post(&format!("/users/{id}/activate"), json!({})).await.expect(200);
    assert_eq!(fixture.bench.check_in(&credential).await.expect(200).body["access"], "allowed");
}

#[tokio::test]
async fn vanished_users_are_deleted_without_a_wipe_and_this_is_recorded() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({"vanish_policy": "delete"})).await;
    fixture.pages.answer_ok(people(1..=2).to_string());
    let _first = fixture.sync(&source, json!({})).await;
    let id = text(&fixture.user_by_name("user0002").await["user_id"]);
    let code = fixture.bench.invite(&fixture.tenant, &id, 1).await;
    let _phone = fixture.bench.register(&code, "phone").await.expect(201);
    fixture.pages.answer_ok(people(1..=1).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!(outcomes(&job)[0].2, "vanished");
    let deleted = fixture.events("user.deleted").await;
    assert_eq!((deleted.len(), &deleted[0]["changes"]["without_wipe"]["after"]), (1, &json!(true)));
    assert!(text(&deleted[0]["private"]["reason"]).contains("source"));
    assert_eq!(fixture.events("user.vanished").await[0]["user_id"], json!(id));
    // A user who reappears is a new user.
    fixture.pages.answer_ok(people(1..=2).to_string());
    assert_eq!(outcomes(&fixture.sync(&source, json!({})).await), [item_outcome("000002", "changed", "created", "")]);
}

#[tokio::test]
async fn a_sync_stops_when_more_users_vanish_than_the_limit() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({"vanish_policy": "delete"})).await;
    fixture.pages.answer_ok(people(0..30).to_string());
    let _first = fixture.sync(&source, json!({})).await;
    fixture.pages.answer_ok(people(0..20).to_string());
    let job = fixture.sync(&source, json!({})).await;
    assert_eq!((&job["state"], &job["failure"]["code"]), (&json!("failed"), &json!("too_many_vanish")));
    let detail = "10 of 30 users are no longer in the source, more than 30 %. None of them was changed.";
    assert_eq!(job["failure"]["detail"], detail);
    assert!(fixture.events("user.vanished").await.is_empty());
    assert_eq!(fixture.events("source.failed").await.len(), 1);
    let path = format!("/sources/{source}");
    let _raised = fixture.patch(&path, json!({"vanish_limit_percent": 100})).await.expect(200);
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(10, 20, 0));
}

#[tokio::test]
async fn a_sync_of_selected_users_changes_only_them_and_nobody_vanishes() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({})).await;
    fixture.pages.answer_ok(people(1..=3).to_string());
    let _first = fixture.sync(&source, json!({})).await;
    let (one, three) = (fixture.user_by_name("user0001").await, fixture.user_by_name("user0003").await);
    let mut rows = people([1, 2, 4].into_iter());
    rows[0]["first"] = json!("Changed");
    rows[1]["first"] = json!("Changed");
    fixture.pages.answer_ok(rows.to_string());
    let nobody = format!("{UPLOAD}9");
    let job = fixture.sync(&source, json!({"user_ids": [one["user_id"], three["user_id"], nobody]})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(1, 0, 2)), "{job}");
    let job_outcomes: BTreeSet<(String, String)> =
        outcomes(&job).into_iter().map(|(id, _, _, code)| (id, code)).collect();
    let expected = [
        ("000001".into(), String::new()),
        (text(&three["user_id"]), "row_not_found".into()),
        (nobody, "user_not_found".into()),
    ];
    assert_eq!(job_outcomes, expected.into());
    assert_eq!(fixture.user_by_name("user0002").await["first_name"], "Name2");
    assert_eq!(fixture.statuses().await.len(), 3);
    assert!(fixture.events("user.vanished").await.is_empty());
}

#[tokio::test]
async fn a_dry_run_of_a_sync_reports_the_changes_and_makes_none() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({"vanish_policy": "delete"})).await;
    fixture.pages.answer_ok(people(1..=3).to_string());
    let _first = fixture.sync(&source, json!({})).await;
    let mut rows = people([1, 2, 4].into_iter());
    rows[1]["mail"] = json!("other@example.com");
    fixture.pages.answer_ok(rows.to_string());
    let before = fixture.rows_without_jobs();
    let job = fixture.sync(&source, json!({"dry_run": true})).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(3, 1, 0)), "{job}");
    let changes: Vec<String> = outcomes(&job).into_iter().map(|outcome| outcome.2).collect();
    assert_eq!(changes, ["updated", "created", "vanished"]);
    assert_eq!(job["items"][0]["fields"], json!(["email"]));
    assert_eq!(job["items"][1]["user_id"], Value::Null, "no user was created");
    assert!(fixture.rows_without_jobs() == before, "a dry run has changed something");
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(3, 1, 0));
}

#[tokio::test]
async fn a_page_is_synced_by_schedule_one_sync_at_a_time() {
    let fixture = Fixture::new().await;
    fixture.pages.answer_ok(people(1..=2).to_string());
    let source = fixture.http(json!({"every_hours": 6})).await;
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    assert_eq!((fixture.statuses().await.len(), fixture.pages.received().len()), (2, 1));
    let job = fixture.all("/jobs").await[0].clone();
    assert_eq!((&job["state"], &job["created_by"]["type"]), (&json!("finished"), &json!("key")));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    assert_eq!(fixture.pages.received().len(), 1);
    fixture.bench.advance(Duration::hours(6));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    assert_eq!(fixture.pages.received().len(), 2);
    // During a sync no other one starts.
    fixture.pages.answer_ok(people(0..800).to_string());
    let job = fixture.post(&format!("/sources/{source}/sync"), json!({})).await.expect(202);
    assert_eq!(job.body["state"], "running");
    let refused = fixture.post(&format!("/sources/{source}/sync"), json!({})).await.expect(409);
    assert_eq!(refused.code(), "sync_running");
    let path = format!("/jobs/{}", job.get("job_id"));
    let canceled = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    assert_eq!((canceled.get("state"), fixture.leftover_rows()), ("canceled".to_owned(), Vec::<String>::new()));
    fixture.pages.answer_ok(people(0..800).to_string());
    assert_eq!(fixture.sync(&source, json!({})).await["state"], "finished");
    // Without a schedule nothing is synced.
    let path = format!("/sources/{source}");
    let _updated = fixture.patch(&path, json!({"every_hours": null})).await.expect(200);
    let asked = fixture.pages.received().len();
    fixture.bench.advance(Duration::days(8));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    assert_eq!(fixture.pages.received().len(), asked);
}

#[tokio::test]
async fn a_sources_token_is_never_shown_and_only_sent_to_its_own_host() {
    let fixture = Fixture::new().await;
    let source = fixture.http(json!({"token": "marker-token"})).await;
    let path = format!("/sources/{source}");
    let token_of = || {
        let secrets = rows::all(&fixture.bench, rows::SECRETS);
        secrets.into_iter().find(|(key, _)| key.contains(&source)).map(|(_, row)| text(&row["token"]))
    };
    assert_eq!(token_of().as_deref(), Some("marker-token"));
    let same = json!({"url": "https://hr.example.com/other", "name": "HR 2"});
    let answer = fixture.patch(&path, same).await.expect(200);
    assert_eq!(answer.body["token_set"], true);
    let moved = json!({"url": "https://evil.example.com/people"});
    let answer = fixture.patch(&path, moved).await.expect(200);
    assert_eq!((&answer.body["token_set"], token_of()), (&json!(false), None));
    fixture.pages.answer_ok("[]");
    let _job = fixture.sync(&source, json!({})).await;
    assert_eq!(fixture.pages.received()[0].authorization, None);
    let _updated = fixture.patch(&path, json!({"token": "marker-again"})).await.expect(200);
    assert_eq!(token_of().as_deref(), Some("marker-again"));
    assert!(!rows::all(&fixture.bench, rows::MAIN).values().any(|row| row.to_string().contains("marker-")));
    let _deleted = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    assert_eq!(token_of(), None);
    assert_eq!(fixture.bench.get(&path, &fixture.tenant.key).await.expect(404).code(), "source_not_found");
}

#[tokio::test]
async fn sources_only_call_allowed_hosts_and_no_private_address() {
    let fixture = Fixture::of(Setup::new().parameter("SourceHosts", "hr.example.com, *.people.example")).await;
    let _allowed = fixture.http(json!({})).await;
    let _allowed = fixture.http(json!({"url": "https://a.people.example/x"})).await;
    for (url, code) in [
        ("https://example.com/", "host_not_allowed"),
        ("https://127.0.0.1/", "not_public"),
        ("https://[::ffff:169.254.169.254]/", "not_public"),
        ("http://hr.example.com/", "invalid_format"),
        ("https://user:pass@hr.example.com/", "invalid_format"),
        ("https://hr.example.com:22/", "port_not_allowed"),
    ] {
        let body = json!({"name": "HR", "kind": "http", "mapping": {"username": "u"}, "format": "json", "url": url});
        let refused = fixture.post("/sources", body).await.expect(422);
        assert_eq!(
            (&refused.body["errors"][0]["field"], &refused.body["errors"][0]["code"]),
            (&json!("url"), &json!(code))
        );
    }
}

/// External ids and usernames of a file's rows.
type Usernames = [(usize, &'static str)];

/// A file with these external ids and usernames.
fn named(users: &[(usize, String)]) -> String {
    let lines = users.iter().map(|(id, name)| format!("{id},{name}\n"));
    format!("id,login\n{}", lines.collect::<String>())
}

fn names(users: &[(usize, &str)]) -> String {
    named(&users.iter().map(|(id, name)| (*id, (*name).to_owned())).collect::<Vec<_>>())
}

impl Fixture {
    /// A source with `external_id` as its key.
    async fn by_external_id(&self, more: Value) -> String {
        let mut body = json!({"key_field": "external_id", "mapping": {"username": "login", "external_id": "id"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.csv(body).await
    }

    /// The usernames of users who are not deleted, by external id.
    async fn called(&self) -> BTreeMap<String, String> {
        let users = self.all("/users").await;
        let there = users.iter().filter(|user| user["status"] != "deleted");
        there.map(|user| (text(&user["external_id"]), text(&user["username"]))).collect()
    }
}

fn called(users: &[(usize, &str)]) -> BTreeMap<String, String> {
    users.iter().map(|(id, name)| (id.to_string(), (*name).to_owned())).collect()
}

#[tokio::test]
async fn usernames_that_pass_from_user_to_user_are_changed_in_one_sync_in_any_order() {
    let cases: [(&Usernames, &Usernames); 6] = [
        (&[(1, "a"), (2, "b")], &[(1, "b"), (2, "a")]),
        (&[(1, "a"), (2, "b"), (3, "c")], &[(1, "b"), (2, "c"), (3, "a")]),
        (&[(1, "a"), (2, "b"), (3, "c")], &[(3, "b"), (1, "c"), (2, "a")]),
        (&[(1, "a"), (2, "b"), (3, "c")], &[(1, "b"), (2, "c"), (3, "d")]),
        (&[(1, "a"), (2, "b"), (3, "c")], &[(3, "d"), (2, "c"), (1, "b")]),
        // A new user gets the name of a renamed one; two rings at once; a change of case.
        (
            &[(1, "a"), (2, "b"), (5, "e"), (6, "f"), (7, "g")],
            &[(9, "a"), (1, "B"), (2, "c"), (5, "F"), (6, "g"), (7, "e")],
        ),
    ];
    for (before, after) in cases {
        let fixture = Fixture::new().await;
        let source = fixture.by_external_id(json!({"vanish_policy": "delete"})).await;
        let _first = fixture.upload_and_sync(&source, 1, &names(before)).await;
        let job = fixture.upload_and_sync(&source, 2, &names(after)).await;
        assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(after.len(), 0, 0)), "{job}");
        assert_eq!(fixture.called().await, called(after));
        assert_eq!(fixture.upload_and_sync(&source, 3, &names(after)).await["progress"], progress(0, after.len(), 0));
        // Each user is found by their present username only.
        for (id, name) in after {
            assert_eq!(fixture.user_by_name(name).await["external_id"], id.to_string());
            let occupied = json!({"username": name});
            assert_eq!(fixture.post("/users", occupied).await.expect(409).code(), "username_taken");
        }
    }
}

#[tokio::test]
async fn a_chain_of_two_hundred_and_fifty_username_changes_works_in_the_worst_order() {
    let fixture = Fixture::new().await;
    let source = fixture.by_external_id(json!({})).await;
    let users = |by: usize| named(&(0..250).map(|n| (n, format!("user{:03}", (n + by) % 250))).collect::<Vec<_>>());
    let _first = fixture.upload_and_sync(&source, 1, &users(0)).await;
    let job = fixture.upload_and_sync(&source, 2, &users(1)).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(250, 0, 0)));
    let called = fixture.called().await;
    assert!((0..250).all(|n| called[&n.to_string()] == format!("user{:03}", (n + 1) % 250)));
}

#[tokio::test]
async fn a_vanished_users_name_passes_on_in_the_same_sync() {
    for (policy, status) in [("delete", None), ("flag", Some("inactive")), ("suspend", Some("suspended"))] {
        for after in [[(1, "b"), (3, "c"), (4, "x")], [(3, "c"), (1, "x"), (4, "b")], [(3, "b"), (1, "c"), (4, "x")]] {
            let fixture = Fixture::new().await;
            let source = fixture.by_external_id(json!({"vanish_policy": policy})).await;
            let _first = fixture.upload_and_sync(&source, 1, &names(&[(1, "a"), (2, "b"), (3, "c")])).await;
            let job = fixture.upload_and_sync(&source, 2, &names(&after)).await;
            assert_eq!((&job["state"], &job["progress"]["failed"]), (&json!("finished"), &json!(0)), "{policy} {job}");
            let mut now = fixture.called().await;
            let remaining = now.remove("2");
            assert_eq!(now, called(&after), "{policy}");
            assert_eq!(remaining.is_some_and(|name| name.starts_with("b.left-")), status.is_some());
            if let Some(status) = status {
                let users = fixture.all("/users").await;
                let left = users.iter().find(|user| user["external_id"] == "2").unwrap();
                assert_eq!((&left["status"], left["vanished_at"].is_null()), (&json!(status), false));
                // The vanished user reappears with another username.
                let back = [after.to_vec(), vec![(2, "d")]].concat();
                let job = fixture.upload_and_sync(&source, 3, &names(&back)).await;
                assert_eq!((&job["progress"], fixture.called().await), (&progress(1, 3, 0), called(&back)), "{job}");
            }
        }
    }
}

#[tokio::test]
async fn a_chain_of_username_changes_with_one_that_is_impossible_changes_nobody() {
    let fixture = Fixture::new().await;
    let source = fixture.by_external_id(json!({"vanish_policy": "delete", "vanish_limit_percent": 1})).await;
    let before = [(1, "a"), (2, "b"), (3, "c")];
    let _first = fixture.upload_and_sync(&source, 1, &names(&before)).await;
    let _by_hand = fixture.user("outside").await;
    let failed = |job: &Value| {
        let outcomes = outcomes(job).into_iter().filter(|(_, outcome, _, _)| outcome == "failed");
        outcomes.map(|(id, _, _, code)| (id, code)).collect::<Vec<_>>()
    };
    let taken = |id: &str| (id.to_owned(), "username_taken".to_owned());
    // The last one would get the username of a user outside the source.
    let job = fixture.upload_and_sync(&source, 2, &names(&[(1, "b"), (2, "c"), (3, "outside")])).await;
    assert_eq!(failed(&job), [taken("000002"), taken("000003"), taken("000004")]);
    // One of a ring has a name that was set by hand.
    let path = format!("/users/{}", text(&fixture.user_by_name("c").await["user_id"]));
    let _renamed = fixture.patch(&path, json!({"username": "cc"})).await.expect(200);
    let job = fixture.upload_and_sync(&source, 3, &names(&[(1, "b"), (2, "cc"), (3, "a")])).await;
    assert_eq!(failed(&job), [taken("000002"), taken("000003")]);
    let mut now = called(&before);
    now.insert("3".to_owned(), "cc".to_owned());
    now.insert(String::new(), "outside".to_owned());
    assert_eq!(fixture.called().await, now);
    let renamed =
        |event: &Value| !event["job_id"].is_null() && event["changed_fields"].to_string().contains("\"username\"");
    assert!(!fixture.events("user.updated").await.iter().any(renamed), "no user got a temporary name");
    // With too many vanished users nobody vanishes or loses their username.
    let fixture = Fixture::new().await;
    let source = fixture.by_external_id(json!({"vanish_policy": "flag", "vanish_limit_percent": 1})).await;
    let many: Vec<(usize, String)> = (0..12).map(|n| (n, format!("user{n}"))).collect();
    let _first = fixture.upload_and_sync(&source, 1, &named(&many)).await;
    let job = fixture.upload_and_sync(&source, 2, &names(&[(0, "user1"), (20, "user2")])).await;
    assert_eq!((&job["state"], job["failure"]["code"].as_str()), (&json!("failed"), Some("too_many_vanish")));
    assert_eq!(failed(&job), [taken("000002"), taken("000003")]);
    assert_eq!(fixture.called().await.len(), 12);
}

#[tokio::test]
async fn a_chain_of_username_changes_with_phones_needs_the_permission_to_wipe_and_resets_each_once() {
    let fixture = Fixture::new().await;
    let source = fixture.by_external_id(json!({})).await;
    let _first = fixture.upload_and_sync(&source, 1, &names(&[(1, "ann"), (2, "bob")])).await;
    let mut phones = Vec::new();
    for name in ["ann", "bob"] {
        let user = text(&fixture.user_by_name(name).await["user_id"]);
        let email = json!({"email": format!("{name}@example.com")});
        let _addressed = fixture.patch(&format!("/users/{user}"), email).await.expect(200);
        let code = fixture.bench.invite(&fixture.tenant, &user, 1).await;
        phones.push(fixture.bench.register(&code, name).await.expect(201).get("credential"));
    }
    let swapped = names(&[(1, "bob"), (2, "ann")]);
    let key = json!({"name": "helper", "permissions": ["users:manage", "users:read"]});
    let helper = fixture.post("/keys", key).await.expect(201).get("key");
    for (upload, key, code) in [(2, &helper, Some("permission_missing")), (3, &fixture.tenant.key, None)] {
        let query = format!("upload={UPLOAD}{upload}&last=true&start=false");
        let _part = fixture.part(&source, 1, &query, swapped.as_bytes()).await.expect(202);
        let job =
            fixture.bench.post(&format!("/sources/{source}/sync"), key, json!({})).await.expect(202).get("job_id");
        fixture.run_jobs().await;
        let job = fixture.job(&job).await;
        let outcome = if code.is_some() { "failed" } else { "changed" };
        let change = if code.is_some() { "" } else { "updated" };
        let code = code.unwrap_or_default();
        assert_eq!(outcomes(&job), ["000002", "000003"].map(|id| item_outcome(id, outcome, change, code)), "{job}");
        let now = if outcome == "failed" { [(1, "ann"), (2, "bob")] } else { [(1, "bob"), (2, "ann")] };
        assert_eq!(fixture.called().await, called(&now));
    }
    for phone in phones {
        let check_in = fixture.bench.check_in(&phone).await.expect(200).body;
        let kinds: Vec<&str> =
            check_in["commands"].as_array().unwrap().iter().filter_map(|c| c["kind"].as_str()).collect();
        assert_eq!(kinds, ["factory_reset"], "once for each");
    }
}

#[tokio::test]
async fn a_dry_run_reports_a_chain_of_username_changes() {
    let fixture = Fixture::new().await;
    let source = fixture.by_external_id(json!({})).await;
    let _first = fixture.upload_and_sync(&source, 1, &names(&[(1, "a"), (2, "b"), (3, "c")])).await;
    let query = format!("upload={UPLOAD}2&last=true&start=false");
    let _part = fixture.part(&source, 1, &query, names(&[(1, "b"), (2, "a"), (4, "c")]).as_bytes()).await.expect(202);
    let before = fixture.rows_without_jobs();
    let job = fixture.sync(&source, json!({"dry_run": true})).await;
    assert_eq!(job["progress"], progress(4, 0, 0), "{job}");
    assert_eq!(fixture.rows_without_jobs(), before);
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(4, 0, 0));
}

/// Syncs a ring of three usernames, a chain, and a vanished user's name, with an optional end of the process.
async fn run_username_chain(fixture: &Fixture, run: usize, end: Option<&InjectedFault>) -> Vec<Call> {
    let user = |n: usize, name: &str| json!({"id": format!("{run}-{n}"), "login": format!("{name}{run}")});
    let source =
        fixture.http(json!({"vanish_policy": "suspend", "mapping": {"username": "login", "external_id": "id"}})).await;
    let before = [user(1, "a"), user(2, "b"), user(3, "c"), user(4, "d"), user(5, "e"), user(6, "f")];
    fixture.pages.answer_ok(json!(before).to_string());
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(6, 0, 0));
    let after = [user(1, "b"), user(2, "c"), user(3, "a"), user(4, "e"), user(5, "f"), user(7, "d")];
    fixture.pages.answer_ok(json!(after).to_string());
    fixture.bench.advance(Duration::seconds(1));
    fixture.faults.watch("sync-users", end.cloned());
    let _answer = fixture.post(&format!("/sources/{source}/sync"), json!({})).await;
    let calls = fixture.faults.calls();
    fixture.faults.watch("none", None);
    fixture.run_jobs().await;
    let jobs = fixture.all("/jobs").await;
    let of_source = |job: &&Value| job["parameters"]["source_id"] == *source;
    let mut job = jobs.iter().find(of_source).cloned().unwrap();
    if jobs.iter().filter(of_source).count() == 1 {
        // No job was created: the caller repeats the request.
        job = fixture.sync(&source, json!({})).await;
    }
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(7, 0, 0)), "{end:?}");
    let now = fixture.called().await;
    for row in &after {
        assert_eq!(now[row["id"].as_str().unwrap()], row["login"].as_str().unwrap(), "{end:?}");
    }
    assert!(now[&format!("{run}-6")].starts_with(&format!("f{run}.left-")), "{end:?}");
    calls
}

async fn handed_on_and_killed_at_every(step: usize) {
    let mut fixture = Fixture::new().await;
    let ends = process_end_faults(&run_username_chain(&fixture, 0, None).await);
    assert!(ends.len() > 60, "{} ends", ends.len());
    let mut run = 1;
    for end in ends.iter().step_by(step) {
        if run >= 8 {
            (fixture, run) = (Fixture::new().await, 0);
        }
        let _calls = run_username_chain(&fixture, run, Some(end)).await;
        run += 1;
    }
}

#[tokio::test]
async fn a_sync_killed_during_a_chain_of_username_changes_completes_it() {
    handed_on_and_killed_at_every(11).await;
}

#[tokio::test]
#[ignore = "every step"]
async fn a_sync_killed_anywhere_during_a_chain_of_username_changes_completes_it() {
    handed_on_and_killed_at_every(1).await;
}

/// Each point at which the process can end: before each call, and after each write.
fn process_end_faults(calls: &[Call]) -> Vec<InjectedFault> {
    let mut ends = Vec::new();
    let mut nth = BTreeMap::<&str, usize>::new();
    for call in calls {
        let nth = nth.entry(&call.action).or_default();
        *nth += 1;
        for fault in [Fault::DropBefore, Fault::DropAfter].into_iter().filter(|fault| fault.applies_to(call)) {
            ends.push(InjectedFault { action: call.action.clone(), nth: *nth, fault, duration: FaultDuration::Once });
        }
    }
    ends
}

/// Syncs thirty users: nine are new, nine change, six vanish, fifteen are unchanged; with an optional end of the
/// process.
async fn run_killed(fixture: &Fixture, run: usize, end: Option<&InjectedFault>) -> Vec<Call> {
    let first: Vec<usize> = (run * 100..run * 100 + 30).collect();
    let source = fixture.http(json!({"vanish_policy": "suspend", "vanish_limit_percent": 100})).await;
    fixture.pages.answer_ok(people(first.iter().copied()).to_string());
    assert_eq!(fixture.sync(&source, json!({})).await["progress"], progress(30, 0, 0));
    let mut rows = people(first.iter().copied().skip(6).chain(run * 100 + 30..run * 100 + 39));
    for row in rows.as_array_mut().unwrap().iter_mut().take(9) {
        row["first"] = json!("Changed");
    }
    fixture.pages.answer_ok(rows.to_string());
    fixture.bench.advance(Duration::seconds(1));
    fixture.faults.watch("sync-users", end.cloned());
    let answer = fixture.post(&format!("/sources/{source}/sync"), json!({})).await;
    let calls = fixture.faults.calls();
    assert_eq!(answer.status.is_server_error(), end.is_some(), "{end:?}: {}", answer.text);
    fixture.faults.watch("none", None);
    fixture.run_jobs().await;
    let of_source = |job: &&Value| job["parameters"]["source_id"] == *source;
    let jobs = fixture.all("/jobs").await;
    let mut job = jobs.iter().find(of_source).cloned().unwrap();
    if jobs.iter().filter(of_source).count() == 1 {
        // No job was created: the caller repeats the request.
        job = fixture.sync(&source, json!({})).await;
    }
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(24, 15, 0)), "{end:?}");
    let mut counts = BTreeMap::<String, usize>::new();
    for kind in ["user.created", "user.updated", "user.vanished", "user.suspended"] {
        let mine = fixture.events(kind).await.into_iter().filter(|event| event["job_id"] == job["job_id"]);
        let users: Vec<String> = mine.map(|event| text(&event["user_id"])).collect();
        assert_eq!(users.iter().collect::<BTreeSet<_>>().len(), users.len(), "{end:?}: {kind}");
        counts.insert(kind.to_owned(), users.len());
    }
    let expected = [("user.created", 9), ("user.updated", 9), ("user.vanished", 6), ("user.suspended", 6)];
    assert_eq!(counts, expected.map(|(kind, count)| (kind.to_owned(), count)).into(), "{end:?}");
    assert_eq!(fixture.leftover_rows(), Vec::<String>::new(), "{end:?}");
    calls
}

async fn killed_at_every(step: usize) {
    let mut fixture = Fixture::new().await;
    let ends = process_end_faults(&run_killed(&fixture, 0, None).await);
    assert!(ends.len() > 100, "{} ends", ends.len());
    let mut run = 1;
    for end in ends.iter().step_by(step) {
        if run >= 8 {
            (fixture, run) = (Fixture::new().await, 0);
        }
        run_killed(&fixture, run, Some(end)).await;
        run += 1;
    }
}

#[tokio::test]
async fn a_sync_killed_between_steps_handles_each_row_once() {
    killed_at_every(23).await;
}

#[tokio::test]
#[ignore = "every step"]
async fn a_sync_killed_at_any_step_handles_each_row_once() {
    killed_at_every(1).await;
}

#[tokio::test]
async fn a_chain_of_username_changes_that_is_impossible_is_followed_once() {
    const LINKS: usize = 30;
    let fixture = Fixture::new().await;
    let source =
        fixture.csv(json!({"key_field": "external_id", "mapping": {"external_id": "id", "username": "login"}})).await;
    let file = |shift: usize| {
        let rows = (0..LINKS).map(|at| format!("e{at},u{}\n", at + shift));
        format!("id,login\n{}", rows.collect::<String>())
    };
    let upload = async |number: u32, file: String| {
        let query = format!("upload=0190f3c4-7b5e-7a11-8c1d-00000000000{number}&last=true");
        let _uploaded = fixture.part(&source, 1, &query, file.as_bytes()).await.expect(202);
        fixture.run_jobs().await;
    };
    upload(1, file(0)).await;
    let _by_hand = fixture.user(&format!("u{LINKS}")).await;
    fixture.bench.advance(Duration::minutes(1));
    fixture.faults.watch("upload-source-part", None);
    upload(2, file(1)).await;
    let calls = fixture.faults.calls().len();
    assert!(calls < 20 * LINKS, "{calls} calls for {LINKS} rows");
    let job = fixture.all("/jobs").await.remove(0);
    assert_eq!(job["progress"]["failed"], LINKS, "{job}");
}

#[tokio::test]
async fn a_sources_schedule_needs_the_permissions_of_its_creator_and_ends_with_them() {
    let fixture = Fixture::new().await;
    let key = async |permissions: &[&str]| {
        let created = fixture.post("/keys", json!({"name": "HR", "permissions": permissions})).await.expect(201);
        (created.get("key_id"), created.get("key"))
    };
    let (id, manages) = key(&["users:manage", "users:wipe"]).await;
    fixture.pages.answer_ok(people(1..=3).to_string());
    let source = json!({"name": "HR", "kind": "http", "mapping": mapping(), "url": "https://hr.example.com/people",
        "format": "json", "key_field": "external_id", "every_hours": 6, "renames_may_wipe": true});
    let source = fixture.bench.post("/sources", &manages, source).await.expect(201).get("source_id");
    let path = format!("/sources/{source}");
    let due = async || {
        fixture.bench.advance(Duration::hours(6));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        fixture.run_jobs().await;
        fixture.all("/jobs").await
    };
    let by_key = json!({"type": "key", "id": id, "name": "HR"});
    let jobs = due().await;
    assert_eq!((jobs.len(), &jobs[0]["created_by"]), (1, &by_key), "it acts as its creator");
    let _revoked = fixture.bench.delete(&format!("/keys/{id}"), &fixture.tenant.key).await.expect(200);
    assert_eq!(due().await.len(), 1, "no further sync starts");
    let shown = fixture.get(&path).await;
    assert_eq!((&shown["set_by"], &shown["next_sync_at"]), (&by_key, &Value::Null));
    assert!(shown["paused_at"].is_string());
    let paused = json!({"paused": {"before": false, "after": true}});
    let recorded = fixture.events("source.updated").await;
    assert!(
        recorded.iter().any(|event| event["actor"]["type"] == "system" && event["changes"] == paused),
        "{recorded:?}"
    );
    // A manual sync does not resume the schedule; resuming it needs the permissions of the sync.
    let _by_hand = fixture.sync(&source, json!({})).await;
    assert_eq!(due().await.len(), 2);
    let (_, narrow) = key(&["users:manage"]).await;
    let repeated_body = json!({"every_hours": 6});
    assert_eq!(
        fixture.bench.patch(&path, &narrow, repeated_body.clone()).await.expect(403).code(),
        "permission_missing"
    );
    let shown = fixture.patch(&path, repeated_body).await.expect(200).body;
    assert_eq!((&shown["paused_at"], &shown["next_sync_at"]), (&Value::Null, &json!("2026-11-24T02:00:00.000Z")));
    let jobs = due().await;
    assert_eq!((jobs.len(), &jobs[0]["created_by"]["id"]), (3, &shown["set_by"]["id"]));
}

#[tokio::test]
async fn a_rename_by_a_sync_never_deploys_to_a_new_address() {
    let fixture = Fixture::new().await;
    let mapping = json!({"external_id": "id", "username": "login", "email": "mail"});
    let source = fixture.csv(json!({"key_field": "external_id", "mapping": mapping})).await;
    let upload = async |number: u32, row: &str| {
        fixture.bench.advance(Duration::minutes(1));
        let query = format!("upload=0190f3c4-7b5e-7a11-8c1d-00000000000{number}&last=true");
        let _uploaded =
            fixture.part(&source, 1, &query, format!("id,login,mail\n{row}\n").as_bytes()).await.expect(202);
        fixture.run_jobs().await;
    };
    upload(1, "1,ada,ada@example.com").await;
    let user = fixture.all("/users").await[0]["user_id"].as_str().unwrap().to_owned();
    let _deployment = fixture.post(&format!("/users/{user}/deploy"), json!({})).await.expect(202);
    fixture.bench.drain().await;
    assert!(fixture.bench.newest_deployment_code().is_some() && fixture.bench.newest_code().is_none());
    // The uploader may deploy, but a sync has only the permissions that it needs.
    upload(2, "1,eve,mallory@example.org").await;
    assert!(fixture.bench.newest_code().is_some(), "an invitation, which gives no secrets");
    assert_eq!(fixture.get(&format!("/users/{user}")).await["deployment"]["status"], "revoked");
}
