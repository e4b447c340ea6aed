//! Races: indexes lag behind the rows, and other requests come in between. Operations therefore read the row itself,
//! and their writes are conditional on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use http::Method;
use local::operations::Adjust;
use serde_json::{Value, json};
use testkit::bench::START;
use testkit::egress::{Answers, Pages};
use testkit::gate::Gate;
use testkit::request_recorder::{RecordedRequest, RequestRecorder};
use testkit::rows::Database;
use testkit::stale_index::StaleIndexes;
use testkit::{Answer, Bench, Setup, Tenant, rows};

/// The schedules that find due rows by an index.
const SCHEDULES: [&str; 3] = ["run-due", "deliver-webhook", "purge-deleted"];

/// A system with a row of every kind that becomes due.
struct SystemWithDueWork {
    bench: Bench,
    stale_indexes: StaleIndexes,
    recorder: RequestRecorder,
    pages: Pages,
    tenant: Tenant,
}

impl SystemWithDueWork {
    async fn new() -> Self {
        let (stale_indexes, recorder, pages) = (StaleIndexes::new(), RequestRecorder::new(), Pages::default());
        let (behind, heard) = (stale_indexes.adjust(), recorder.adjust());
        let both: Adjust = Arc::new(move |operation, connection| heard(operation, behind(operation, connection)));
        let bench = Setup::new().with(both).with(pages.adjust()).start().await;
        let tenant = bench.tenant("Lag").await;
        let fixture = Self { bench, stale_indexes, recorder, pages, tenant };
        fixture.fill().await;
        fixture
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.bench.post(path, &self.tenant.key, body).await
    }

    /// Creates the rows, those that become due last first, so that later steps do not complete them.
    async fn fill(&self) {
        let (bench, tenant) = (&self.bench, &self.tenant);
        let rule = json!({"silent_devices": {"after_days": 30, "action": "delete"}});
        let _rule = bench.patch("/workspace", &tenant.key, rule).await.expect(200);
        // Deleted users, one of them without a device, and a deleted device of another one.
        let bare = bench.user(tenant, "bare").await;
        let _invited = bench.invite(tenant, &bare, 1).await;
        let _deleted = bench.delete(&format!("/users/{bare}"), &tenant.key).await.expect(200);
        let (gone, _) = bench.user_with_phones(tenant, "gone", 1).await;
        let for_good = json!({"without_wipe": true, "reason": "left"});
        let path = format!("/users/{gone}");
        let _deleted = bench.call(Method::DELETE, &path, Some(&tenant.key), Some(&for_good)).await.expect(200);
        let (device, _) = bench.phone(tenant, "ada").await;
        let _deleted = bench.delete(&format!("/devices/{device}"), &tenant.key).await.expect(200);
        // A command, and an invitation that is open.
        let (device, _) = bench.phone(tenant, "bea").await;
        let _locked = self.post(&format!("/devices/{device}/lock"), json!({})).await.expect(202);
        let guest = bench.user(tenant, "guest").await;
        let code = bench.invite(tenant, &guest, 3).await;
        // A deployment that the message limit delays.
        let kim = bench.user(tenant, "kim").await;
        let _deployment = self.post(&format!("/users/{kim}/deploy"), json!({})).await.expect(202);
        bench.drain().await;
        let deployment = bench.newest_deployment_code().unwrap();
        let _registered = bench.register(&deployment, "kim-phone").await.expect(201);
        let renamed = json!({"username": "kimberly"});
        let _renamed = bench.patch(&format!("/users/{kim}"), &tenant.key, renamed).await.expect(200);
        // A job that the message limit delays.
        let repeated_body = json!({"action": "invite", "channel": "email", "filter": {"search": "guest"}});
        let _job = self.post("/users/bulk", repeated_body).await.expect(202);
        // A source with a schedule.
        let page = json!({"name": "HR", "kind": "http", "mapping": {"username": "login"}, "every_hours": 6,
            "url": "https://hr.example.com/people", "format": "json"});
        let _source = self.post("/sources", page).await.expect(201);
        // A webhook with an earlier secret, and a failed delivery.
        let hook = json!({"url": "https://hooks.example.com/", "event_types": ["user.created"]});
        let hook = self.post("/webhooks", hook).await.expect(201).get("webhook_id");
        let _rotated = self.post(&format!("/webhooks/{hook}/rotate-secret"), json!({})).await.expect(200);
        self.pages.answer(Answers::ConnectionClosed);
        bench.drain().await;
        bench.advance(Duration::seconds(1));
        let _created = bench.user(tenant, "told").await;
        bench.drain().await;
        // A push token without an endpoint.
        let _registered = bench.register(&code, "guest-phone").await.expect(201);
    }

    /// The rows that an index lists as due in future, one of each kind.
    fn due(&self) -> Vec<Value> {
        let due: Vec<Value> =
            rows::all(&self.bench, rows::MAIN).into_values().filter(|row| !row["due_shard"].is_null()).collect();
        let kind = |row: &Value| row["sk"].as_str().unwrap().split('#').next().unwrap().to_owned();
        let kinds: BTreeSet<String> = due.iter().map(kind).collect();
        let expected =
            ["COMMAND", "DELIVERY", "DEVICE", "INVITATION", "JOB", "PUSH", "SOURCE", "USER", "WEBHOOK", "WORKSPACE"];
        assert_eq!(kinds, expected.map(str::to_owned).into());
        due
    }

    /// Makes every index answer from the present state from now on.
    fn freeze_indexes(&self) {
        self.stale_indexes.take_snapshot(&self.bench);
        self.stale_indexes.set_behind(true);
    }

    /// Runs the schedules a year later, and returns the rows that this has not changed, and the larger
    /// number of rows before and after.
    async fn run(&self) -> (BTreeMap<(&'static str, String), Value>, usize) {
        self.bench.set_clock(START.parse::<DateTime<Utc>>().unwrap() + Duration::days(400));
        let before = rows::everything(&self.bench);
        let count = before.len();
        for schedule in SCHEDULES {
            let run = self.bench.stack.run_schedule(schedule).await.unwrap();
            assert_eq!(run["failed"], 0, "{schedule}: {run}");
        }
        let after = rows::everything(&self.bench);
        let unchanged: BTreeMap<_, _> = before.into_iter().filter(|(key, row)| after.get(key) == Some(row)).collect();
        (unchanged, count.max(after.len()))
    }

    /// Asserts that the schedules change nothing although an index lists due rows.
    async fn expect_nothing_done(&self) {
        let (asked, sent) = (self.pages.received().len(), self.bench.stack.messaging().outbox().len());
        let (unchanged, rows) = self.run().await;
        assert_eq!(unchanged.len(), rows, "a row that was not due was changed");
        assert_eq!((self.pages.received().len(), self.bench.stack.messaging().outbox().len()), (asked, sent));
    }
}

/// Fields that are stored as sets.
const SETS: [&str; 1] = ["device_ids"];

/// The row with a due time a hundred years later; for a push token, with an endpoint.
fn postponed(row: &Value) -> Value {
    let due = row["due_at"].to_string();
    let later = if row["sk"] == "PUSH" { "null".to_owned() } else { due.replacen("\"20", "\"21", 1) };
    assert_ne!(due, later);
    let mut row: Value = serde_json::from_str(&row.to_string().replace(&due, &later)).unwrap();
    row["version"] = (row["version"].as_u64().unwrap() + 1).into();
    row.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    row
}

#[tokio::test]
async fn due_work_is_done() {
    let fixture = SystemWithDueWork::new().await;
    let due = fixture.due();
    let (unchanged, _) = fixture.run().await;
    for row in due {
        assert!(!unchanged.values().any(|same| *same == row), "{row} was due");
    }
}

#[tokio::test]
async fn finished_work_is_not_repeated_although_a_stale_index_lists_it() {
    let fixture = SystemWithDueWork::new().await;
    fixture.stale_indexes.take_snapshot(&fixture.bench);
    let _done = fixture.run().await;
    fixture.stale_indexes.set_behind(true);
    fixture.expect_nothing_done().await;
}

#[tokio::test]
async fn postponed_work_waits_although_a_stale_index_lists_it() {
    let fixture = SystemWithDueWork::new().await;
    fixture.freeze_indexes();
    for row in fixture.due() {
        rows::put(&fixture.bench, rows::MAIN, &postponed(&row), &SETS);
    }
    fixture.expect_nothing_done().await;
}

#[tokio::test]
async fn deleted_rows_are_skipped_although_a_stale_index_lists_them() {
    let fixture = SystemWithDueWork::new().await;
    fixture.freeze_indexes();
    for row in fixture.due() {
        rows::remove(&fixture.bench, rows::MAIN, &row);
    }
    fixture.expect_nothing_done().await;
}

#[tokio::test]
async fn work_that_is_postponed_just_before_it_is_done_waits() {
    let fixture = SystemWithDueWork::new().await;
    let due = fixture.due();
    let (database, waiting) = (fixture.bench.stack.database().clone(), Mutex::new(due.clone()));
    fixture.recorder.before(move |sent| {
        let written = sent.call.action == "TransactWriteItems";
        let concerned = |row: &mut Value| written && sent.body.contains(row["pk"].as_str().unwrap());
        for row in waiting.lock().unwrap().extract_if(.., concerned) {
            rows::put_into(&database, rows::MAIN, &postponed(&row), &SETS);
        }
    });
    let (unchanged, rows) = fixture.run().await;
    let after = rows::everything(&fixture.bench);
    let changed: Vec<Value> = due.iter().map(postponed).filter(|row| after.values().any(|same| same == row)).collect();
    // A user is purged after their devices.
    assert!(changed.len() + 1 >= due.len(), "{} of {} were reached", changed.len(), due.len());
    assert_eq!(unchanged.len() + changed.len(), rows, "a row that was not due was changed");
}

#[tokio::test]
async fn related_rows_stay_if_their_owners_purge_is_postponed_just_before() {
    for (kept, of) in [("COMMAND#", "DEVICE"), ("INVITATION#", "USER"), ("USAGE#", "USER")] {
        let gate = Gate::new();
        let bench = Setup::new().with(gate.adjust()).start().await;
        let tenant = bench.tenant("Kept").await;
        let (user, phones) = bench.user_with_phones(&tenant, "ada", 1).await;
        let (device, credential) = &phones[0];
        let used = json!({"usage": {"sequence": 1, "calls": 3}});
        let _check_in = bench.check_in_with(credential, used).await.expect(200);
        let path = format!("/devices/{device}");
        let lock = bench.post(&format!("{path}/lock"), &tenant.key, json!({})).await.expect(202).get("command_id");
        let _canceled = bench.delete(&format!("{path}/commands/{lock}"), &tenant.key).await.expect(200);
        let _deleted = bench.delete(&path, &tenant.key).await.expect(200);
        if of == "USER" {
            let _deleted = bench.delete(&format!("/users/{user}"), &tenant.key).await.expect(200);
        }
        bench.drain().await;
        bench.advance(Duration::days(400));
        let is_kept = |row: &Value| row["sk"].as_str().unwrap().starts_with(kept);
        let before = rows::all(&bench, rows::MAIN).into_values().filter(is_kept).count();
        let put_off = async {
            let row = rows::all(&bench, rows::MAIN).into_values().find(|row| row["sk"] == of).unwrap();
            rows::put(&bench, rows::MAIN, &postponed(&row), &SETS);
        };
        let commit = ("purge-deleted", "TransactWriteItems", kept);
        let (done, put_off) = gate.meanwhile(commit, bench.purge(), put_off).await;
        assert!(put_off.is_some() && done["failed"] == 0, "{kept} was about to be deleted: {done}");
        let after = rows::all(&bench, rows::MAIN).into_values().filter(is_kept).count();
        assert!(before > 0 && before == after, "{before} and {after} of {kept}");
    }
}

/// A phone without a check-in for a month, in a workspace with a rule for silent devices.
async fn silent_phone(gate: &Gate, action: &str) -> (Bench, Tenant, String, String) {
    let bench = Setup::new().with(gate.adjust()).start().await;
    let tenant = bench.tenant("Silent").await;
    let (device, credential) = bench.phone(&tenant, "ada").await;
    let _check_in = bench.check_in(&credential).await.expect(200);
    let rule = json!({"silent_devices": {"after_days": 30, "action": action}});
    let _rule = bench.patch("/workspace", &tenant.key, rule).await.expect(200);
    bench.advance(Duration::days(31));
    (bench, tenant, format!("/devices/{device}"), credential)
}

/// The device's status and block.
async fn state(bench: &Bench, tenant: &Tenant, device: &str) -> (String, Value) {
    let shown = bench.get(device, &tenant.key).await.expect(200);
    (shown.get("status"), shown.body["blocked"].clone())
}

#[tokio::test]
async fn a_phone_that_checks_in_just_before_it_is_found_silent_is_left_alone() {
    for (action, event) in [("block", "device.blocked"), ("delete", "device.deleted")] {
        let gate = Gate::new();
        let (bench, tenant, device, credential) = silent_phone(&gate, action).await;
        let check_in = bench.check_in(&credential);
        let commit = ("run-due", "TransactWriteItems", event);
        let (done, came) = gate.meanwhile(commit, bench.run_due(), check_in).await;
        let _check_in = came.expect("the operation reached its commit").expect(200);
        assert_eq!(done["failed"], 0);
        assert_eq!(state(&bench, &tenant, &device).await, ("active".to_owned(), Value::Null), "{action}");
        bench.advance(Duration::days(31));
        let _run = bench.run_due().await;
        assert_ne!(state(&bench, &tenant, &device).await, ("active".to_owned(), Value::Null), "{action}");
    }
}

#[tokio::test]
async fn the_silence_rule_does_not_delete_a_phone_that_is_blocked_even_just_before() {
    for before in [true, false] {
        let gate = Gate::new();
        let (bench, tenant, device, _) = silent_phone(&gate, "delete").await;
        let path = format!("{device}/block");
        let block = bench.post(&path, &tenant.key, json!({}));
        if before {
            let _blocked = block.await.expect(200);
            let tried = json!({"silent_devices": {"after_days": 30, "action": "delete"}, "dry_run": true});
            let tried = bench.patch("/workspace", &tenant.key, tried).await.expect(200);
            assert_eq!(tried.body["preview"], json!({"devices": [], "more": false}));
            assert_eq!(bench.run_due().await["failed"], 0);
        } else {
            let commit = ("run-due", "TransactWriteItems", "device.deleted");
            let (done, blocked) = gate.meanwhile(commit, bench.run_due(), block).await;
            let _blocked = blocked.expect("the operation reached its commit").expect(200);
            assert_eq!(done["failed"], 0);
        }
        let (status, blocked) = state(&bench, &tenant, &device).await;
        assert!(status == "active" && !blocked.is_null(), "{status}, {blocked}");
    }
}

#[tokio::test]
async fn a_rule_for_silent_devices_that_is_changed_just_before_it_is_applied_does_no_more() {
    for rule in [Value::Null, json!({"after_days": 3650, "action": "delete"})] {
        let gate = Gate::new();
        let (bench, tenant, device, _) = silent_phone(&gate, "delete").await;
        let rule = json!({"silent_devices": rule});
        let changed = bench.patch("/workspace", &tenant.key, rule);
        let commit = ("run-due", "TransactWriteItems", "device.deleted");
        let (done, changed) = gate.meanwhile(commit, bench.run_due(), changed).await;
        let _changed = changed.expect("the operation reached its commit").expect(200);
        assert_eq!(done["failed"], 0);
        assert_eq!(state(&bench, &tenant, &device).await, ("active".to_owned(), Value::Null));
        assert_eq!(bench.run_due().await["failed"], 0);
        assert_eq!(state(&bench, &tenant, &device).await, ("active".to_owned(), Value::Null));
    }
}

#[tokio::test]
async fn rows_that_no_longer_match_are_not_listed_although_a_stale_index_lists_them() {
    let stale_indexes = StaleIndexes::new();
    let bench = Setup::new().with(stale_indexes.adjust()).start().await;
    let tenant = bench.tenant("Lists").await;
    let key = &tenant.key;
    let profile = json!({"name": "Office", "settings": {}});
    let profile = bench.post("/profiles", key, profile).await.expect(201).get("profile_id");
    let (ada, phones) = bench.user_with_phones(&tenant, "ada", 2).await;
    let [(phone, credential), (other, _)] = &phones[..] else { panic!("two phones") };
    let _check_in = bench.check_in(credential).await.expect(200);
    let command = bench.post(&format!("/devices/{phone}/lock"), key, json!({})).await.expect(202).get("command_id");
    let _blocked = bench.post(&format!("/devices/{phone}/block"), key, json!({})).await.expect(200);
    let assignment = json!({"profile_id": profile});
    let _updated = bench.patch(&format!("/users/{ada}"), key, assignment).await.expect(200);
    let _deployment = bench.post(&format!("/users/{ada}/deploy"), key, json!({})).await.expect(202);
    let (kim, leaver) = (bench.user(&tenant, "kim").await, bench.user(&tenant, "leaver").await);
    let lists = [
        ("/devices?pending_command=true".to_owned(), phone),
        ("/devices?blocked=true".to_owned(), phone),
        ("/devices?device_status=blocked".to_owned(), phone),
        (format!("/devices?user_id={ada}&blocked=true"), phone),
        ("/devices?last_login_before=2026-12-01T00:00:00Z".to_owned(), phone),
        ("/devices?status=active".to_owned(), other),
        ("/devices/export?status=active".to_owned(), other),
        ("/devices/list".to_owned(), other),
        (format!("/devices/list?device_ids={other}"), other),
        ("/phones/list".to_owned(), other),
        ("/users?pending_command=true".to_owned(), &ada),
        ("/users?last_seen_before=2026-12-01T00:00:00Z".to_owned(), &ada),
        (format!("/users?profile_id={profile}"), &ada),
        ("/users?deployed=true".to_owned(), &ada),
        ("/users?deployed=false".to_owned(), &kim),
        ("/users?status=inactive".to_owned(), &leaver),
        ("/users/export?status=inactive".to_owned(), &leaver),
        ("/scim/v2/Users".to_owned(), &leaver),
        ("/user_identities/list".to_owned(), &leaver),
    ];
    let shows = async |list: &str, id: &str| bench.get(list, key).await.expect(200).text.contains(id);
    bench.drain().await;
    stale_indexes.take_snapshot(&bench);
    for (list, id) in &lists {
        assert!(shows(list, id).await, "{list} shows {id}");
    }
    bench.advance(Duration::days(20));
    let _unblocked = bench.post(&format!("/devices/{phone}/unblock"), key, json!({})).await.expect(200);
    let _canceled = bench.delete(&format!("/devices/{phone}/commands/{command}"), key).await.expect(200);
    let _check_in = bench.check_in(credential).await.expect(200);
    let _deleted = bench.delete(&format!("/devices/{other}"), key).await.expect(200);
    let none = json!({"profile_id": null});
    let _updated = bench.patch(&format!("/users/{ada}"), key, none).await.expect(200);
    let _removed = bench.delete(&format!("/deployments/users/{ada}"), key).await.expect(200);
    let _deployment = bench.post(&format!("/users/{kim}/deploy"), key, json!({})).await.expect(202);
    let _deleted = bench.delete(&format!("/users/{leaver}"), key).await.expect(200);
    stale_indexes.set_behind(true);
    for (list, id) in &lists {
        assert!(!shows(list, id).await, "{list} still shows {id}");
    }
}

/// Each request that creates a job, with a filter that matches everyone.
fn job_requests() -> Vec<(&'static str, Value)> {
    let order = |action: &str, more: Value| {
        let mut body = json!({"action": action, "filter": {}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let invite = json!({"channel": "email"});
    let delete = json!({"without_wipe": true, "reason": "left"});
    vec![
        ("/users/bulk", order("activate", json!({}))),
        ("/users/bulk", order("suspend", json!({}))),
        ("/users/bulk", order("delete", delete)),
        ("/users/bulk", order("lock_and_wipe", json!({}))),
        ("/users/bulk", order("reset_pin", json!({}))),
        ("/users/bulk", order("invite", invite)),
        ("/users/bulk", order("deploy", json!({}))),
        ("/users/bulk", order("force_config", json!({}))),
        ("/devices/bulk", order("block", json!({}))),
        ("/devices/bulk", order("unblock", json!({}))),
        ("/devices/bulk", order("delete", json!({}))),
        ("/devices/bulk", order("wipe", json!({}))),
        ("/devices/bulk", order("lock", json!({}))),
        ("/deployments/auto", json!({"filter": {}})),
    ]
}

/// An item of a transaction.
struct Part {
    key: String,
    /// True if it has a condition.
    is_conditional: bool,
    is_deleted: bool,
}

fn parts(sent: &RecordedRequest) -> Vec<Part> {
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    let items = body["TransactItems"].as_array().unwrap();
    let part = |item: &Value| {
        let (kind, part) = item.as_object().unwrap().iter().next().unwrap();
        let key = if part["Key"].is_null() { &part["Item"] } else { &part["Key"] };
        let text = |name: &str| key[name]["S"].as_str().unwrap_or_default().to_owned();
        let key = format!("{} | {}", text("pk"), text("sk"));
        Part { key, is_conditional: part["ConditionExpression"].is_string(), is_deleted: kind == "Delete" }
    };
    items.iter().map(part).collect()
}

/// True if a transaction has a condition on a job's row.
fn checks_a_job(sent: &RecordedRequest) -> bool {
    let is_job = |part: &Part| part.key.starts_with("JOB#") && part.key.ends_with(" | JOB");
    parts(sent).iter().any(|part| is_job(part) && part.is_conditional)
}

/// Cancels the running jobs, and returns all rows after that.
fn stop_jobs(database: &Database) -> Vec<Value> {
    let jobs: Vec<Value> = rows::all_in(database, rows::MAIN).into_values().filter(|row| row["sk"] == "JOB").collect();
    for mut job in jobs.into_iter().filter(|job| job["state"] == "running") {
        job["version"] = (job["version"].as_u64().unwrap() + 1).into();
        job["state"] = "canceled".into();
        job.as_object_mut().unwrap().retain(|name, _| !["due_shard", "due_at"].contains(&name.as_str()));
        rows::put_into(database, rows::MAIN, &job, &[]);
    }
    rows::all_in(database, rows::MAIN).into_values().collect()
}

#[tokio::test]
async fn a_job_canceled_just_before_one_of_its_changes_does_nothing_more() {
    let recorder = RequestRecorder::new();
    let bench = Setup::new().with(recorder.adjust()).start().await;
    let tenant = bench.tenant("Jobs").await;
    for name in ["ada", "bea"] {
        let _phone = bench.phone(&tenant, name).await;
    }
    bench.advance(Duration::hours(1));
    for (begin, body) in job_requests() {
        let what = format!("{begin} {body}");
        let (database, noted) = (bench.stack.database().clone(), Arc::new(Mutex::new(None)));
        let (note, commits_seen) = (Arc::clone(&noted), Mutex::new(0));
        let _earlier = recorder.take();
        recorder.before(move |sent| {
            let mut commits_seen = commits_seen.lock().unwrap();
            *commits_seen += usize::from(sent.call.transaction.is_some());
            // The first commit creates the job, the second stores its first page, the third makes the first change.
            if *commits_seen == 3 {
                note.lock().unwrap().get_or_insert_with(|| stop_jobs(&database));
            }
        });
        let job = bench.post(begin, &tenant.key, body).await.expect(202);
        assert_eq!(job.get("state"), "canceled", "{what}");
        let noted = noted.lock().unwrap().take().expect("the job reached its first change");
        let pk = format!("JOB#{}#{}", tenant.workspace_id, job.get("job_id"));
        assert_eq!(
            noted.iter().filter(|row| row["pk"] == pk.as_str()).count(),
            1,
            "{what}: something was changed before"
        );
        let after: Vec<Value> = rows::all(&bench, rows::MAIN).into_values().collect();
        assert!(noted == after, "{what}: something was changed");
        let commits: Vec<RecordedRequest> =
            recorder.take().into_iter().filter(|sent| sent.call.transaction.is_some()).collect();
        assert!(commits.len() == 3 && commits.iter().all(checks_a_job), "{what}");
    }
}

#[tokio::test]
async fn every_change_of_a_sync_checks_its_job() {
    let recorder = RequestRecorder::new();
    let bench = Setup::new().with(recorder.adjust()).start().await;
    let tenant = bench.tenant("Sync").await;
    let mapping = json!({"username": "login", "first_name": "first", "external_id": "id"});
    let source = json!({"name": "File", "kind": "csv", "mapping": mapping, "key_field": "external_id",
        "vanish_policy": "suspend", "vanish_limit_percent": 100});
    let source = bench.post("/sources", &tenant.key, source).await.expect(201).get("source_id");
    let (mut stood, mut kinds) = (0, BTreeSet::new());
    // Users are created; then two usernames move on, one user is renamed, a vanished user's name goes to a new one, and
    // one row has no username.
    for (n, file) in
        ["ada,1\nbea,2\ncleo,3\ndora,4\n", "bea,1\nada,2\ncleopatra,3\ndora,5\n,6\n"].into_iter().enumerate()
    {
        let _earlier = recorder.take();
        let rows: String = file.lines().map(|line| format!("{line},{n}\n")).collect();
        let path = format!("/sources/{source}/parts/1?upload=0190f3c4-7b5e-7a11-8c1d-00000000000{n}&last=true");
        let job = bench.upload(&tenant, &path, &format!("login,id,first\n{rows}")).await.expect(202).get("job_id");
        for _ in 0..10 {
            bench.advance(Duration::seconds(61));
            assert_eq!(bench.run_due().await["failed"], 0);
        }
        let job = bench.get(&format!("/jobs/{job}"), &tenant.key).await.expect(200);
        assert_eq!((job.get("state"), &job.body["progress"]["failed"]), ("finished".to_owned(), &json!(n)));
        for sent in recorder.take().iter().filter(|sent| sent.call.transaction.is_some()) {
            let parts = parts(sent);
            // Staged rows are deleted at the end.
            let clears = parts.iter().all(|part| part.key.starts_with("SOURCE#") && part.is_deleted);
            assert!(clears || checks_a_job(sent), "{}: {}", sent.operation, sent.body);
            stood += usize::from(!clears);
            let kind = |part: &Part| part.key.split('#').next().unwrap().to_owned();
            kinds.extend(parts.iter().map(kind));
        }
    }
    assert!(stood > 12, "{stood} commits");
    assert!(kinds.contains("USER") && kinds.contains("USERNAME"), "{kinds:?}");
}

/// A request: its method, path and body, and a credential if it is not the key.
type Request = (Method, String, Value, Option<String>);

async fn send(bench: &Bench, key: &str, (method, path, body, credential): &Request) -> Answer {
    let credential = credential.as_deref().unwrap_or(key);
    bench.call(method.clone(), path, Some(credential), Some(body).filter(|body| !body.is_null())).await
}

#[tokio::test]
async fn a_change_is_rejected_if_its_object_ends_just_before() {
    let gate = Gate::new();
    let bench = Setup::new().with(gate.adjust()).start().await;
    let created = bench.stack.invoke("create-workspace", json!({"name": "Ends", "sandbox": true})).await.unwrap();
    let key = created["key"].as_str().unwrap().to_owned();
    let tenant = Tenant { workspace_id: created["workspace_id"].as_str().unwrap().to_owned(), key: key.clone() };
    let _default = bench.post("/profiles", &key, json!({"name": "First", "settings": {}})).await.expect(201);
    let profile = async |name: &str| {
        let body = json!({"name": name, "settings": {}});
        bench.post("/profiles", &key, body).await.expect(201).get("profile_id")
    };
    let (given, goes) = (profile("Given").await, profile("Goes").await);
    let user = async |name: &str| bench.user(&tenant, name).await;
    let (qr, bea, cleo, dora) = (user("qr").await, user("bea").await, user("cleo").await, user("dora").await);
    let (edda, fay) = (user("edda").await, user("fay").await);
    let deployment = bench.post(&format!("/users/{qr}/deploy"), &key, json!({})).await.expect(202);
    let deployment = deployment.get("deployment_id");
    let (code, other) = (bench.invite(&tenant, &bea, 1).await, bench.invite(&tenant, &cleo, 1).await);
    let invitation = bench.get(&format!("/users/{cleo}"), &key).await.expect(200).body["invitation"].clone();
    let invitation = invitation["invitation_id"].as_str().unwrap().to_owned();
    let (device, _) = bench.phone(&tenant, "gail").await;
    // An existing phone re-enrols, which does not change its user.
    let (hana, _) = bench.user_with_phones(&tenant, "hana", 1).await;
    let again = bench.invite(&tenant, &hana, 1).await;
    let get = |path: String| (Method::GET, path, Value::Null, None);
    let post = |path: String, body: Value| (Method::POST, path, body, None);
    let put = |path: String| (Method::PUT, path, json!({}), None);
    let patch = |path: String, body: Value| (Method::PATCH, path, body, None);
    let delete = |path: String| (Method::DELETE, path, Value::Null, None);
    let register = |code: &str, phone: &str| post("/devices".to_owned(), Bench::registration_body(code, phone));
    let cases: Vec<(&str, Request, Request, u16)> = vec![
        (
            "get-deployment-qr",
            get(format!("/deployments/{deployment}/qr")),
            delete(format!("/deployments/{deployment}")),
            410,
        ),
        ("register-device", register(&code, "beas"), post(format!("/users/{bea}/suspend"), json!({})), 403),
        ("register-device", register(&other, "cleos"), delete(format!("/users/{cleo}/invitations/{invitation}")), 410),
        (
            "invite-user",
            post(format!("/users/{dora}/invite"), json!({"channel": "email"})),
            delete(format!("/users/{dora}")),
            409,
        ),
        (
            "deploy-config",
            post(format!("/users/{edda}/deploy"), json!({"profile_id": goes})),
            delete(format!("/profiles/{goes}")),
            422,
        ),
        (
            "delete-profile",
            delete(format!("/profiles/{given}")),
            patch(format!("/users/{edda}"), json!({"profile_id": given})),
            409,
        ),
        ("register-device", register(&again, "hana-0"), post(format!("/users/{hana}/suspend"), json!({})), 403),
        (
            "seam-phones",
            post("/phones/simulate/create_sandbox_phone".to_owned(), json!({"user_identity_id": fay})),
            delete(format!("/users/{fay}")),
            404,
        ),
        (
            "issue-credential",
            put(format!("/devices/{device}/credentials/{CREDENTIAL}")),
            delete(format!("/devices/{device}")),
            409,
        ),
    ];
    for (operation, request, end, status) in &cases {
        let what = format!("{operation} {}", request.1);
        let commit = (*operation, "TransactWriteItems", "");
        let (answer, ended) = gate.meanwhile(commit, send(&bench, &key, request), send(&bench, &key, end)).await;
        let ended = ended.unwrap_or_else(|| panic!("{what} commits"));
        assert!(ended.status.is_success(), "{what}: {}", ended.text);
        assert_eq!(answer.status.as_u16(), *status, "{what}: {}", answer.text);
    }
}

/// An access system's credential.
const CREDENTIAL: &str = "0190f3c4-7b5e-7a11-8c1d-000000000002";

#[tokio::test]
async fn an_action_on_all_phones_of_a_user_includes_one_that_registers_just_before() {
    let gate = Gate::new();
    let bench = Setup::new().with(gate.adjust()).start().await;
    let tenant = bench.tenant("All").await;
    for (operation, path) in [("reset-pin", "reset-pin"), ("lock-and-wipe-user", "lock-and-wipe")] {
        let user = bench.user(&tenant, path).await;
        let code = bench.invite(&tenant, &user, 2).await;
        let _first = bench.register(&code, &format!("{path}-1")).await.expect(201);
        let path = format!("/users/{user}/{path}");
        let order = bench.post(&path, &tenant.key, json!({}));
        let second_phone = format!("{operation}-2");
        let second = bench.register(&code, &second_phone);
        let (ordered, second) = gate.meanwhile((operation, "TransactWriteItems", ""), order, second).await;
        let _second = second.expect("the operation reached its commit").expect(201);
        let ordered = ordered.expect(200);
        let pending = ordered.body["devices"].as_array().unwrap().iter();
        let counts: Vec<usize> = pending.map(|device| device["commands"].as_array().unwrap().len()).collect();
        assert_eq!(counts, [1, 1], "{operation}");
    }
}

#[tokio::test]
async fn a_create_request_that_a_concurrent_retry_overtakes_returns_the_created_object() {
    let gate = Gate::new();
    let bench = Setup::new().with(gate.adjust()).start().await;
    let tenant = bench.tenant("At once").await;
    let user = bench.user(&tenant, "ada").await;
    let person = json!({"issuer": "https://i.example", "subject": "grace", "role": "viewer"});
    // Each request is held up after it has found no earlier one, and before it checks for conflicts.
    let calls = [
        ("create-user", "/users".to_owned(), json!({"username": "bob"}), ("BatchGetItem", "USERNAME#"), "/user_id"),
        (
            "create-profile",
            "/profiles".to_owned(),
            json!({"name": "Office", "settings": {}}),
            ("GetItem", "PROFILENAME#"),
            "/profile_id",
        ),
        ("add-member", "/members".to_owned(), person, ("GetItem", "MEMBER#"), "/member_id"),
        (
            "invite-user",
            format!("/users/{user}/invite"),
            json!({"channel": "email"}),
            ("BatchGetItem", "SENT#"),
            "/invitation_id",
        ),
        ("deploy-config", format!("/users/{user}/deploy"), json!({}), ("BatchGetItem", "SENT#"), "/deployment_id"),
    ];
    for (operation, path, body, (action, looks_for), id) in calls {
        let request = || {
            let request = http::Request::post(&path).header("authorization", format!("Bearer {}", tenant.key));
            let request = request.header("idempotency-key", format!("once-{operation}"));
            bench.send(request.body(body.to_string().into_bytes()).unwrap())
        };
        let (first, second) = gate.meanwhile((operation, action, looks_for), request(), request()).await;
        let second = second.unwrap_or_else(|| panic!("{operation} was not held up"));
        assert!(first.status.is_success(), "{operation}: {}", first.text);
        assert_eq!(second.body.pointer(id), first.body.pointer(id), "{operation}: expected one");
    }
}
