//! What each operation that grows with traffic costs, by key: the figures of `infra/local/checks/scale.py`.
//! `UPDATE_RECORDING=1 cargo test --workspace --test it capacity_record::` writes them again, and the commit shows the
//! difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::Duration;
use domain::models::device::Device;
use domain::models::user::User;
use domain::{DeviceId, UserId, WorkspaceId};
use http::Method;
use serde_json::{Map, Value, json};
use testkit::egress::Pages;
use testkit::loads::{Load, LoadMeter, Loads};
use testkit::oidc::{self, Oidc};
use testkit::{Answer, Bench, Setup, Tenant, rows};
use uuid::Uuid;

use crate::stored_shapes::{has_form, kinds};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/checks/scale/operations.json")
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test says so by the environment")]
fn updating() -> bool {
    std::env::var("UPDATE_RECORDING").is_ok_and(|value| value == "1")
}

/// What an id in an index's partition key identifies, where it is not of a workspace.
const INDEXED_BY: [(&str, &str); 5] = [
    ("owned", "{user}"),
    ("user-events", "{user}"),
    ("device-events", "{device}"),
    ("profile", "{profile}"),
    ("source", "{source}"),
];

/// Names in the documented forms of keys that have few values, each of which is a partition of its own.
const KEPT: [&str; 5] = ["{kind}", "{channel}", "{consumer}", "{facet}", "{order}"];

/// A partition key with names instead of ids.
fn pattern(load: &Load, workspaces: &BTreeSet<String>) -> String {
    let parts: Vec<&str> = load.partition.split('#').collect();
    let form = kinds().into_iter().find(|kind| load.index.is_none() && has_form(&kind.pk, &load.partition));
    if let Some(kind) = form {
        let named = kind.pk.split('#').zip(&parts);
        return named.map(|(name, part)| if KEPT.contains(&name) { part } else { name }).collect::<Vec<_>>().join("#");
    }
    let id =
        INDEXED_BY.iter().find(|(index, _)| load.index.as_deref() == Some(*index)).map_or("{id}", |(_, name)| name);
    let named = |part: &&str| match *part {
        part if workspaces.contains(part) => "{workspace}".to_owned(),
        part if Uuid::parse_str(part).is_ok() => id.to_owned(),
        part if part.parse::<u32>().is_ok() => "{shard}".to_owned(),
        part if part.len() == 10 && part.split('-').count() == 3 => "{day}".to_owned(),
        part => part.to_owned(),
    };
    parts.iter().map(named).collect::<Vec<_>>().join("#")
}

/// The sum of the loads of a pattern.
#[derive(Default)]
struct Sum {
    partitions: BTreeSet<String>,
    reads: f64,
    writes: f64,
}

struct Recorder {
    bench: Bench,
    pages: Pages,
    meter: LoadMeter,
    tenant: Tenant,
    workspaces: BTreeSet<String>,
    operations: Map<String, Value>,
}

impl Recorder {
    async fn start() -> Self {
        let (meter, pages, oidc) = (LoadMeter::new(), Pages::default(), Oidc::new());
        pages.answer_ok("thank you");
        let setup = Setup::new().parameter("TextCallingCodes", "+49").issuer();
        let bench = setup.with(meter.adjust()).with(pages.adjust()).start().await;
        oidc.publish_keys_to(&bench);
        meter.watch(&bench, &[rows::MAIN, rows::SECRETS]);
        let tenant = bench.tenant("Scale").await;
        let workspaces = BTreeSet::from([tenant.workspace_id.clone()]);
        bench.drain().await;
        let mut recorder = Self { bench, pages, meter, tenant, workspaces, operations: Map::new() };
        recorder.record_tokens(&oidc).await;
        recorder
    }

    /// Forgets the loads so far.
    fn start_recording(&self) {
        let _earlier = self.meter.read();
    }

    /// Keeps the loads since the start of the recording, for some of the operations that had any. They handled this
    /// many things.
    fn keep(&mut self, name: &str, operations: &[&str], things: usize) {
        let Loads { loads, calls } = self.meter.read();
        for operation in operations {
            let of_it: Vec<&Load> = loads.iter().filter(|load| load.operation == *operation).collect();
            assert!(!of_it.is_empty(), "{operation} has loads in {name}, as have {:?}", operations_of(&loads));
            let title = format!("{operation}: {name}");
            let mut summary = self.summary(operation, &of_it, things);
            let mut actions = BTreeMap::<&str, usize>::new();
            for (_, action) in calls.iter().filter(|(of, _)| of == operation) {
                *actions.entry(action).or_default() += 1;
            }
            summary["calls"] = json!(actions);
            let kept = self.operations.insert(title, summary);
            assert!(kept.is_none(), "{operation}: {name} is recorded twice");
        }
    }

    fn summary(&self, operation: &str, loads: &[&Load], things: usize) -> Value {
        let mut sums = BTreeMap::<(String, String), Sum>::new();
        let mut events = BTreeMap::<String, usize>::new();
        for load in loads {
            let place = match &load.index {
                Some(index) => index.clone(),
                None if load.table == rows::MAIN => "table".to_owned(),
                None => "secrets".to_owned(),
            };
            // A run reads many due entries at once, so one of them costs next to nothing.
            if place == "due" && load.reads > 0.0 && things > 0 {
                continue;
            }
            if place == "type-events" && load.writes > 0.0 {
                let (_, event_type) = load.partition.split_once('#').expect("a workspace and a type");
                let event_type = event_type.split('#').next().unwrap_or_default();
                *events.entry(event_type.to_owned()).or_default() += 1;
            }
            let sum = sums.entry((place, pattern(load, &self.workspaces))).or_default();
            sum.partitions.insert(load.partition.clone());
            sum.reads += load.reads;
            sum.writes += load.writes;
        }
        let loads_by_key = sums.into_iter().map(|((place, key), sum)| {
            // Which of the shards ids fall into is random.
            let partitions = if key.contains("{shard}") { 1 } else { sum.partitions.len() };
            json!({"where": place, "key": key, "partitions": partitions, "reads": sum.reads, "writes": sum.writes})
        });
        let loads_by_key: Vec<Value> = loads_by_key.collect();
        let records = loads.iter().filter(|load| load.record && load.table == rows::MAIN).count();
        json!({"operation": operation, "things": things.max(1), "records": records, "events": events, "loads": loads_by_key})
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.bench.post(path, &self.tenant.key, body).await
    }

    /// Records a call.
    async fn call(&mut self, operation: &str, name: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.start_recording();
        let answer = self.bench.call(method, path, Some(&self.tenant.key), body.as_ref()).await;
        assert!(answer.status.is_success(), "{operation}: {name}: {}", answer.text);
        self.keep(name, &[operation], 1);
        answer
    }

    /// Records the work of some consumers on the events since the last drain.
    async fn drain(&mut self, name: &str, consumers: &[&str]) {
        self.start_recording();
        self.bench.drain().await;
        self.keep(name, consumers, 1);
    }

    async fn check_in(&mut self, name: &str, credential: &str, report: Value) -> Answer {
        self.start_recording();
        let answer = self.bench.check_in_with(credential, report).await.expect(200);
        self.keep(name, &["check-in-device"], 1);
        self.bench.drain().await;
        answer
    }

    /// Records a schedule's run, in which it handles this many things.
    async fn run(&mut self, operation: &str, name: &str, things: usize) {
        self.start_recording();
        let _run = self.bench.stack.run_schedule(operation).await.expect("the run succeeds");
        self.keep(name, &[operation], things);
    }
}

fn operations_of(loads: &[Load]) -> BTreeSet<&str> {
    loads.iter().map(|load| load.operation.as_str()).collect()
}

/// Users of the jobs: three pages.
const USERS: usize = 150;
/// Phones of the jobs.
const PHONES: usize = 150;

/// Users without devices, in a source's file.
fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("sync{n:04},Nora,sync{n:04}@example.com\n")).collect()
}

impl Recorder {
    async fn record_tokens(&mut self, oidc: &Oidc) {
        let _member = oidc::add_accepted_member(&self.bench, &self.tenant, "anna", "admin").await;
        let signed_in = oidc.token("anna", self.bench.now());
        let token = oidc::new_token(&self.bench, &signed_in, &[&self.tenant.workspace_id], None).await.get("token");
        self.bench.drain().await;
        for (name, credential) in [("by a token", token), ("by a member", signed_in)] {
            self.start_recording();
            let _shown = self.bench.get("/workspace", &credential).await;
            self.keep(name, &["get-workspace"], 1);
        }
    }

    /// A user's beginning: created, invited, registered.
    async fn record_enrolment(&mut self) -> (String, String, String) {
        let body = json!({
            "username": "ada", "first_name": "Ada", "last_name": "Adler", "email": "ada@example.com",
            "mobile": "+491701234567", "number": "4711",
        });
        let user = self.call("create-user", "one", Method::POST, "/users", Some(body)).await.get("user_id");
        self.drain("an event without a webhook", &["deliver-webhook"]).await;
        let path = format!("/users/{user}/invite");
        let by_mail = json!({"channel": "email", "devices": 2});
        let _invited = self.call("invite-user", "by e-mail", Method::POST, &path, Some(by_mail)).await;
        self.drain("an e-mail", &["send-message", "record-feedback"]).await;
        let code = self.bench.newest_code().expect("an e-mail with a code was sent");
        self.bench.advance(Duration::minutes(2));
        let by_text = json!({"channel": "sms"});
        let other = self.bench.user(&self.tenant, "bea").await;
        self.drain("a new user", &["derive-rows"]).await;
        let path = format!("/users/{other}/invite");
        let _invited = self.call("invite-user", "by text", Method::POST, &path, Some(by_text)).await;
        self.drain("a text", &["send-message"]).await;
        self.start_recording();
        let _page = self.bench.call(Method::GET, &format!("/i/{code}"), None, None).await.expect(200);
        self.keep("shown", &["open-invitation"], 1);
        let _opened = self.bench.call(Method::POST, &format!("/i/{code}"), None, None).await.expect(303);
        self.keep("opened", &["open-invitation"], 1);
        self.bench.drain().await;
        self.start_recording();
        let phone = self.bench.register(&code, "ada-phone").await.expect(201);
        self.keep("one", &["register-device"], 1);
        self.drain("a new phone", &["notify-device", "derive-rows"]).await;
        let device = phone.body["device"]["device_id"].as_str().unwrap().to_owned();
        (user, device, phone.get("credential"))
    }

    async fn record_check_ins(&mut self, user: &str, device: &str, credential: &str) {
        let minutes = Duration::minutes;
        self.bench.begin_day_of(device);
        let _first = self.check_in("the first of a phone", credential, json!({})).await;
        self.bench.advance(minutes(1));
        let _plain = self.check_in("plain", credential, json!({})).await;
        self.bench.advance(minutes(16));
        let _seen = self.check_in("with the user's last seen", credential, json!({})).await;
        self.bench.advance(minutes(1));
        let _version = self.check_in("with another app version", credential, json!({"app_version": "5.0.0"})).await;
        self.keep("another app version", &["derive-rows"], 1);
        self.bench.advance(minutes(1));
        let first_usage = json!({"usage": {"sequence": 1, "calls": 1}});
        let _first = self.bench.check_in_with(credential, first_usage).await.expect(200);
        self.bench.advance(minutes(1));
        let usage = json!({"usage": {"sequence": 2, "calls": 1}});
        let _usage = self.check_in("with usage", credential, usage).await;
        self.bench.advance(Duration::days(1));
        let _day = self.check_in("the first of a day", credential, json!({})).await;
        self.bench.advance(Duration::days(1));
        let usage = json!({"usage": {"sequence": 3, "calls": 1}});
        let _day = self.check_in("the first of a day, with usage", credential, usage).await;
        self.bench.advance(minutes(1));
        let path = format!("/devices/{device}/lock");
        let lock = self.call("lock-device", "one", Method::POST, &path, Some(json!({}))).await.get("command_id");
        self.drain("a command", &["notify-device", "derive-rows"]).await;
        let _delivered = self.check_in("that delivers a command", credential, json!({})).await;
        let _again = self.check_in("that delivers a command again", credential, json!({})).await;
        self.start_recording();
        let _reported = self.bench.report_command(credential, &lock, "succeeded").await.expect(200);
        self.keep("one", &["report-command"], 1);
        self.bench.drain().await;
        let block = format!("/devices/{device}/block");
        let _blocked = self.call("block-device", "one", Method::POST, &block, Some(json!({}))).await;
        self.bench.drain().await;
        let _refused = self.check_in("of a blocked phone", credential, json!({})).await;
        let unblock = format!("/devices/{device}/unblock");
        let _unblocked = self.call("unblock-device", "one", Method::POST, &unblock, Some(json!({}))).await;
        self.bench.drain().await;
        let path = format!("/users/{user}/deploy");
        self.bench.advance(minutes(2));
        let _deployed = self.call("deploy-config", "one", Method::POST, &path, Some(json!({}))).await;
        self.drain("a deployment", &["send-message"]).await;
        self.start_recording();
        let _config = self.bench.download(credential).await.expect(200);
        self.keep("one", &["download-config"], 1);
        self.bench.drain().await;
        let body = json!({"name": "large", "settings": {"text": "x".repeat(60_000)}, "default": true});
        let profile = self.post("/profiles", body).await.expect(201).get("profile_id");
        let assigned = json!({"profile_id": profile});
        let _assigned = self.bench.patch(&format!("/users/{user}"), &self.tenant.key, assigned).await.expect(200);
        self.bench.drain().await;
        self.start_recording();
        let config = self.bench.download(credential).await.expect(200).get("config_version");
        self.keep("with a profile of 60 KB", &["download-config"], 1);
        self.bench.drain().await;
        let installed = json!({"config_version": config});
        let _installed = self.check_in("that reports an installed configuration", credential, installed).await;
    }

    async fn record_pages(&mut self, user: &str, device: &str) {
        for (operation, path) in [
            ("list-devices", "/devices?limit=50".to_owned()),
            ("list-users", "/users?limit=50".to_owned()),
            ("list-events", "/events?limit=50".to_owned()),
            ("get-device", format!("/devices/{device}")),
            ("get-user", format!("/users/{user}")),
        ] {
            let _shown = self.call(operation, "one", Method::GET, &path, None).await;
        }
        let _found = self.call("list-users", "a search", Method::GET, "/users?search=ada", None).await;
        self.start_recording();
        let body = json!({"username": "once"});
        let _created = self.bench.post_idempotent("/users", &self.tenant.key, "once", &body).await.expect(201);
        self.keep("with an idempotency key", &["create-user"], 1);
        self.bench.drain().await;
        let edit = json!({"nickname": "Ada's"});
        let path = format!("/devices/{device}");
        let _edited = self.call("update-device", "one", Method::PATCH, &path, Some(edit)).await;
        self.bench.drain().await;
        let path = format!("/users/{user}");
        let edit = json!({"first_name": "Adelheid"});
        let _edited = self.call("update-user", "another name", Method::PATCH, &path, Some(edit)).await;
        self.bench.drain().await;
    }

    async fn record_lifecycle(&mut self, user: &str) {
        for (operation, action) in
            [("suspend-user", "suspend"), ("activate-user", "activate"), ("lock-and-wipe-user", "lock-and-wipe")]
        {
            let path = format!("/users/{user}/{action}");
            let _done = self.call(operation, "one", Method::POST, &path, Some(json!({}))).await;
            self.bench.drain().await;
        }
        let (device, _) = self.bench.phone(&self.tenant, "cleo").await;
        self.bench.drain().await;
        let _deleted = self.call("delete-device", "one", Method::DELETE, &format!("/devices/{device}"), None).await;
        self.bench.drain().await;
        self.bench.advance(Duration::days(31));
        let _earlier = self.bench.run_due().await;
        self.bench.drain().await;
        self.run("purge-deleted", "a device", 1).await;
        self.bench.drain().await;
        // The devices are purged a day before their user, so that each run has one thing to read.
        let (user, devices) = self.bench.user_with_phones(&self.tenant, "dora", 2).await;
        for (device, _) in devices {
            let _deleted = self.bench.delete(&format!("/devices/{device}"), &self.tenant.key).await.expect(200);
        }
        let (other, _) = self.bench.user_with_phones(&self.tenant, "emil", 2).await;
        self.bench.drain().await;
        let path = format!("/users/{other}?without_wipe=true&reason=left");
        let _deleted = self.call("delete-user", "with two devices", Method::DELETE, &path, None).await;
        self.bench.advance(Duration::days(1));
        let _deleted = self.bench.delete(&format!("/users/{user}"), &self.tenant.key).await.expect(200);
        self.bench.drain().await;
        self.bench.advance(Duration::days(30));
        let _earlier = self.bench.run_due().await;
        let _devices = self.bench.purge().await;
        self.bench.drain().await;
        self.bench.advance(Duration::days(1));
        self.run("purge-deleted", "a user without devices", 1).await;
        self.bench.drain().await;
    }

    async fn record_due_work(&mut self) {
        let _earlier = self.bench.run_due().await;
        self.run("run-due", "nothing", 0).await;
        self.run("purge-deleted", "nothing", 0).await;
        let user = self.bench.user(&self.tenant, "erin").await;
        let _code = self.bench.invite(&self.tenant, &user, 1).await;
        self.bench.advance(Duration::days(8));
        self.run("run-due", "an expired invitation", 1).await;
        self.bench.drain().await;
    }

    async fn record_webhook(&mut self) {
        let body = json!({"url": "https://hooks.example.com/", "event_types": ["*"]});
        self.bench.advance(Duration::seconds(1));
        let _webhook = self.post("/webhooks", body).await.expect(201);
        self.bench.drain().await;
        self.bench.advance(Duration::seconds(1));
        let _user = self.post("/users", json!({"username": "told"})).await.expect(201);
        self.drain("an event with a webhook", &["deliver-webhook"]).await;
    }

    /// Jobs over users without devices in another workspace.
    async fn record_jobs(&mut self) {
        let tenant = self.bench.tenant("Jobs").await;
        self.workspaces.insert(tenant.workspace_id.clone());
        let mapping = json!({"username": "a", "first_name": "b", "email": "c"});
        let body = json!({"name": "Page", "kind": "http", "url": "https://hr.example.com/", "format": "csv",
            "every_hours": 24, "mapping": mapping});
        self.pages.answer_ok(format!("a,b,c\n{}", lines(0..USERS)));
        let source = self.bench.post("/sources", &tenant.key, body).await.expect(201).get("source_id");
        self.bench.drain().await;
        self.run("run-due", "a sync that creates users", USERS).await;
        self.finish_job(&tenant).await;
        self.bench.drain().await;
        let limit = json!({"vanish_policy": "suspend", "vanish_limit_percent": 100});
        let _limit = self.bench.patch(&format!("/sources/{source}"), &tenant.key, limit).await.expect(200);
        self.pages.answer_ok("a,b,c\nsomebody-else,New,new@fleet.example");
        self.bench.advance(Duration::days(1));
        self.run("run-due", "a sync without whom it created", USERS).await;
        self.finish_job(&tenant).await;
        // They come back.
        self.pages.answer_ok(format!("a,b,c\n{}", lines(0..USERS)));
        self.bench.advance(Duration::days(1));
        let _begun = self.bench.run_due().await;
        self.finish_job(&tenant).await;
        let _deleted = self.bench.delete(&format!("/sources/{source}"), &tenant.key).await.expect(200);
        self.bench.drain().await;
        for action in ["suspend", "activate"] {
            let body = json!({"action": action, "filter": {}});
            let _started = self.bench.post("/users/bulk", &tenant.key, body).await.expect(202);
            self.run_job(&format!("a job that is to {action} users"), &tenant).await;
        }
        let body = json!({"action": "invite", "channel": "email", "filter": {}});
        let _started = self.bench.post("/users/bulk", &tenant.key, body).await.expect(202);
        self.run_job("a job that invites users", &tenant).await;
        let body = json!({"filter": {}});
        self.bench.advance(Duration::minutes(2));
        let _started = self.bench.post("/deployments/auto", &tenant.key, body).await.expect(202);
        self.run_job("auto-deploy", &tenant).await;
        self.add_phones(&tenant);
        let body = json!({"action": "lock", "filter": {}});
        let _started = self.bench.post("/devices/bulk", &tenant.key, body).await.expect(202);
        self.run_job("a job that locks devices", &tenant).await;
        let rule = json!({"silent_devices": {"after_days": 30, "action": "block"}});
        let _rule = self.bench.patch("/workspace", &tenant.key, rule).await.expect(200);
        self.bench.advance(Duration::days(2));
        self.start_recording();
        let _begun = self.bench.run_due().await;
        let _done = self.finish_job(&tenant).await;
        self.keep("the rule for silent devices", &["run-due"], PHONES);
        let blocked = self.bench.list_all(&tenant, "/devices?blocked=true").await.len();
        assert_eq!(blocked, PHONES);
        self.bench.drain().await;
    }

    /// Stores copies of a registered phone and its user in a workspace.
    fn add_phones(&self, tenant: &Tenant) {
        let all = rows::all(&self.bench, rows::MAIN);
        let stored = |sk: &str| {
            let is_it = |row: &&Value| row["sk"] == sk && row["deleted"].is_null() && row["device_ids"] != json!([]);
            all.values().find(is_it).map(|row| rows::with_key_fields(row.clone())).expect("a phone is registered")
        };
        let (user, device): (User, Device) =
            (aws::from_json(stored("USER")).unwrap(), aws::from_json(stored("DEVICE")).unwrap());
        let workspace_id = WorkspaceId::parse(&tenant.workspace_id).unwrap();
        let copies = (0..PHONES).flat_map(|n| {
            let id = |kind: u128| Uuid::from_u128((kind << 64) + u128::try_from(n).unwrap());
            let user_id = UserId(id(0x0190_f3c4_7b5e_7a11));
            let device_id = DeviceId(id(0x0190_f3c4_7b5e_7a12));
            let device = Device {
                workspace_id,
                user_id,
                device_id,
                device_identifier: format!("copy-{n}"),
                push_endpoint: None,
                blocked: None,
                commands: Vec::new(),
                ..device.clone()
            };
            let username = format!("copy{n:04}");
            let device_ids = BTreeSet::from([device_id]);
            let user = User { workspace_id, user_id, username, device_ids, suspended: None, ..user.clone() };
            [rows::rows_of(&user), rows::rows_of(&device)].concat()
        });
        rows::put_many(&self.bench, rows::MAIN, &copies.collect::<Vec<_>>(), &["device_ids"]);
    }

    /// Records the part of a workspace's newest job that `run-due` does, after the part that its own call did.
    async fn run_job(&mut self, name: &str, tenant: &Tenant) {
        let done = |job: &Value| usize::try_from(job["progress"]["done"].as_u64().unwrap()).unwrap();
        let before = done(&self.newest_job(tenant).await);
        self.start_recording();
        let after = self.finish_job(tenant).await;
        self.keep(name, &["run-due"], done(&after) - before);
        self.bench.drain().await;
    }

    async fn newest_job(&self, tenant: &Tenant) -> Value {
        self.bench.list_all(tenant, "/jobs").await.swap_remove(0)
    }

    /// Runs the newest job to its end.
    async fn finish_job(&self, tenant: &Tenant) -> Value {
        let mut job = self.newest_job(tenant).await;
        while job["state"] == "running" {
            self.bench.advance(Duration::seconds(61));
            let _run = self.bench.run_due().await;
            job = self.newest_job(tenant).await;
        }
        // The next job is the newest then.
        self.bench.advance(Duration::seconds(1));
        assert_eq!((&job["state"], &job["progress"]["failed"]), (&json!("finished"), &json!(0)), "{job}");
        job
    }
}

#[tokio::test]
async fn the_recorded_capacity_of_each_operation_is_what_it_consumes() {
    let mut recorder = Recorder::start().await;
    let (user, device, credential) = recorder.record_enrolment().await;
    recorder.record_check_ins(&user, &device, &credential).await;
    recorder.record_pages(&user, &device).await;
    recorder.record_lifecycle(&user).await;
    recorder.record_due_work().await;
    recorder.record_webhook().await;
    recorder.record_jobs().await;
    let recorded = serde_json::to_string_pretty(&recorder.operations).unwrap() + "\n";
    if updating() {
        fs::create_dir_all(file().parent().unwrap()).unwrap();
        fs::write(file(), recorded).unwrap();
        return;
    }
    let kept: Map<String, Value> = serde_json::from_str(&fs::read_to_string(file()).unwrap()).unwrap();
    for (name, operation) in &recorder.operations {
        assert_eq!(Some(operation), kept.get(name), "{name}");
    }
    assert_eq!(kept.len(), recorder.operations.len(), "the recorded operations");
}
