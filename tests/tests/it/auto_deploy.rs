//! Auto-deploy with a process that ends at any step: each user gets exactly one deployment, and at least one e-mail
//! with its only link. A second e-mail is only sent if the sending call itself was interrupted.

use std::collections::BTreeMap;

use aws::Row;
use chrono::Duration;
use domain::ids::timed_uuid;
use domain::models::user::User;
use domain::{UserId, WorkspaceId};
use http::Method;
use local::messaging::Channel;
use serde_json::{Value, json};
use testkit::faults::{Call, Fault, FaultDuration, InjectedFault, process_ends};
use testkit::{Answer, rows, text};

use crate::fixture::Fixture;

impl Fixture {
    async fn auto_deploy(&self, once: &str, body: &Value) -> Answer {
        self.bench.post_idempotent("/deployments/auto", &self.tenant.key, once, body).await
    }

    /// The number of e-mails to each address with each link.
    fn mailed_links(&self) -> BTreeMap<String, BTreeMap<String, usize>> {
        let mut mailed: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for mail in self.bench.stack.messaging().outbox() {
            if mail.channel == Channel::Email {
                let mail_text = mail.text.unwrap_or_default();
                let link = mail_text.lines().find(|line| line.contains("/r/")).unwrap_or_default().to_owned();
                *mailed.entry(mail.to).or_default().entry(link).or_default() += 1;
            }
        }
        mailed
    }

    /// Asserts that each user was mailed one link, and that a second e-mail was only sent if the
    /// sending call itself failed.
    fn expect_one_link_each(&self, users: usize, copies: usize, what: &str) {
        let mailed = self.mailed_links();
        assert_eq!(mailed.len(), users, "{what}: every user has an e-mail");
        assert!(mailed.values().all(|links| links.len() == 1), "{what}: every user has one link");
        let sent: usize = mailed.values().flat_map(BTreeMap::values).sum();
        assert!((users..=users + copies).contains(&sent), "{what}: {sent} e-mails to {users} users");
    }
}

/// Number of runs that share a system; a system becomes slower with each run.
const RUNS_PER_SYSTEM: usize = 12;
/// Number of the thirty users with a phone that has downloaded.
const SET_UP: usize = 3;

/// Thirty users for repeated auto-deploys, each of which ends at another step.
struct ThirtyUsers {
    fixture: Fixture,
    users: Vec<String>,
    phones: Vec<String>,
    run: usize,
}

impl ThirtyUsers {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let (bench, tenant) = (&fixture.bench, &fixture.tenant);
        let (mut users, mut phones) = (Vec::new(), Vec::new());
        for n in 0..30 {
            let user = bench.user(tenant, &format!("user{n:03}")).await;
            if n < SET_UP {
                let code = bench.invite(tenant, &user, 1).await;
                phones.push(bench.register(&code, &format!("phone{n:03}")).await.expect(201).get("credential"));
                // It may have its configuration, and nothing was sent to its user.
                let path = format!("/users/{user}/force-config");
                let _forced = bench.post(&path, &tenant.key, json!({})).await.expect(200);
            }
            users.push(user);
            bench.advance(Duration::milliseconds(1));
        }
        bench.drain().await;
        let runner = Self { fixture, users, phones, run: 0 };
        runner.download().await;
        runner
    }

    /// Makes the phones download and install their configurations.
    async fn download(&self) {
        for credential in &self.phones {
            let post = async |path: &str, body: Value| {
                self.fixture.bench.call(Method::POST, path, Some(credential), Some(&body)).await.expect(200)
            };
            let version = post("/devices/me/config", json!({})).await.get("config_version");
            let check_in = post("/devices/me/check-in", json!({"config_version": version})).await;
            assert_eq!(check_in.body["download_config"], false);
        }
        self.fixture.bench.drain().await;
    }

    /// The calls of an operation in a run without an end.
    async fn calls_of_clean_run(&mut self, operation: &str) -> Vec<Call> {
        let _none = self.run_with_end(operation, None, None).await;
        self.fixture.faults.calls()
    }

    /// Auto-deploys with an optional end of an operation's process, and continues: by the
    /// schedule if `schedule` has the number of the commit at which that ends as well, otherwise by the
    /// client.
    ///
    /// Returns the number of ends. The stream delivers in batches of varying
    /// size, so a run may make fewer calls than another.
    async fn run_with_end(&mut self, operation: &str, end: Option<&InjectedFault>, schedule: Option<usize>) -> usize {
        let what = format!("{operation}, {end:?}, {schedule:?}");
        let fixture = &self.fixture;
        let once = format!("once-{}", self.run);
        self.run += 1;
        // A recipient gets at most five messages a day.
        fixture.bench.advance(Duration::hours(5));
        fixture.bench.stack.messaging().clear();
        let body = json!({"ids": self.users});
        let struck_here = end.is_some() && operation == "auto-deploy";
        fixture.faults.watch(operation, end.cloned());
        let first = fixture.auto_deploy(&once, &body).await;
        assert_eq!(first.status.is_server_error(), struck_here, "{what}: {}", first.text);
        if let Some(nth) = schedule {
            fixture.bench.advance(Duration::seconds(61));
            let action = "TransactWriteItems".to_owned();
            let repeated_fault = InjectedFault { action, nth, fault: Fault::DropAfter, duration: FaultDuration::Once };
            fixture.faults.watch("run-due", Some(repeated_fault));
            let _run = fixture.bench.stack.run_schedule("run-due").await;
            let _run_on = fixture.bench.run_due().await;
            fixture.faults.watch("none", None);
        }
        if !struck_here {
            fixture.settle().await;
        }
        let failed_calls = fixture.faults.failed_calls().len();
        if operation == "auto-deploy" && schedule.is_none() {
            assert_eq!(failed_calls, usize::from(end.is_some()), "{what}");
        }
        let answer = if struck_here { fixture.auto_deploy(&once, &body).await } else { first };
        let answer = answer.expect(200);
        fixture.settle().await;
        let job = answer.get("job_id");
        assert_eq!(answer.body["progress"], json!({"done": 30, "changed": 30, "unchanged": 0, "failed": 0}), "{what}");
        let once_each = |users: &[String]| users.iter().map(|user| (user.clone(), 1)).collect::<BTreeMap<_, _>>();
        assert_eq!(fixture.done(&job, "user.config_forced").await, once_each(&self.users[..SET_UP]), "{what}");
        assert_eq!(fixture.done(&job, "deployment.started").await, once_each(&self.users[SET_UP..]), "{what}");
        let shown = fixture.all("/deployments").await;
        let open = shown.iter().filter(|user| user["deployment"]["status"] == "open").count();
        assert_eq!(open, 30 - SET_UP, "{what}");
        let sent = shown.iter().filter(|user| user["deployment"]["delivery"]["state"] == "delivered").count();
        assert_eq!(sent, 30 - SET_UP, "{what}");
        let open = rows::all(&fixture.bench, rows::SECRETS).len();
        assert_eq!(open, 30 - SET_UP, "{what}: one code each");
        let copies = end.filter(|end| end.action == "SendEmail" && end.fault.takes_effect());
        fixture.expect_one_link_each(30 - SET_UP, usize::from(copies.is_some()), &what);
        self.download().await;
        failed_calls
    }

    /// Runs once for every `every`-th call of an operation, ending the process there.
    async fn run_killed_at_every(operation: &str, every: usize) {
        let mut runner = Self::new().await;
        let ends = process_ends(&runner.calls_of_clean_run(operation).await);
        let in_sight = if operation == "auto-deploy" { 100 } else { 5 };
        assert!(ends.len() > in_sight, "{operation}: {} ends", ends.len());
        println!("{operation}: {} ends, of which each {every}th is looked at", ends.len());
        // The first and the last steps are always covered.
        let edges = [0, 1, ends.len() - 2, ends.len() - 1];
        let sample = ends.iter().enumerate().filter(|(at, _)| at % every == every / 2 || edges.contains(at));
        let (mut failed_calls, mut runs) = (0, 0);
        for (at, end) in sample {
            if runner.run >= RUNS_PER_SYSTEM {
                runner = Self::new().await;
            }
            let by_schedule = operation == "auto-deploy" && (at / every).is_multiple_of(2) && !edges.contains(&at);
            let schedule = by_schedule.then_some(1 + at % 5);
            failed_calls += runner.run_with_end(operation, Some(end), schedule).await;
            runs += usize::from(schedule.is_none());
        }
        assert!(failed_calls > 0 || runs == 0, "{operation}: no end in {runs} runs");
    }
}

#[tokio::test]
async fn an_auto_deploy_killed_between_steps_gives_each_of_thirty_users_one_deployment_and_link() {
    ThirtyUsers::run_killed_at_every("auto-deploy", 61).await;
}

#[tokio::test]
async fn a_sender_killed_between_steps_sends_each_of_thirty_users_one_link() {
    ThirtyUsers::run_killed_at_every("send-message", 83).await;
    for operation in ["publish-events", "record-feedback", "notify-device"] {
        ThirtyUsers::run_killed_at_every(operation, 71).await;
    }
}

#[tokio::test]
#[ignore = "every step"]
async fn an_auto_deploy_killed_at_any_step_gives_each_of_thirty_users_one_deployment_and_link() {
    ThirtyUsers::run_killed_at_every("auto-deploy", 1).await;
}

#[tokio::test]
#[ignore = "every step"]
async fn a_sender_killed_at_any_step_sends_each_of_thirty_users_one_link() {
    for operation in ["send-message", "publish-events", "record-feedback", "notify-device"] {
        ThirtyUsers::run_killed_at_every(operation, 1).await;
    }
}

/// Stores many users, each with an e-mail address.
async fn populate(fixture: &Fixture, count: usize) {
    let user = fixture.user("template").await;
    fixture.bench.drain().await;
    let key = format!("USER#{}#{user} | USER", fixture.tenant.workspace_id);
    let template = rows::all(&fixture.bench, rows::MAIN).remove(&key).expect("the template's row");
    let workspace = WorkspaceId::parse(&fixture.tenant.workspace_id).unwrap();
    let mut created = Vec::new();
    for number in 1..count {
        let mut user: User = serde_json::from_value(template.clone()).unwrap();
        let mut bytes = [9; 10];
        bytes[2..].copy_from_slice(&number.to_be_bytes());
        user.workspace_id = workspace;
        user.user_id = UserId(timed_uuid(user.created_at, bytes));
        user.username = format!("user{number:05}");
        user.email = Some(format!("user{number:05}@example.com"));
        user.created_at = user.created_at.plus(Duration::milliseconds(i64::try_from(number).unwrap()));
        let mut row = serde_json::to_value(&user).unwrap();
        (row["pk"], row["sk"]) = (user.key().pk.into(), user.key().sk.into());
        for (name, value) in user.indexes() {
            row[name] = value.into();
        }
        created.push(row);
        created.extend(user.index_rows().into_iter().map(|index_row| {
            let mut row = json!(index_row.attributes);
            (row["pk"], row["sk"]) = (index_row.key.pk.into(), index_row.key.sk.into());
            row
        }));
    }
    rows::put_many(&fixture.bench, rows::MAIN, &created, &["device_ids"]);
}

/// Pseudo-random numbers from a seed.
fn pseudo_random(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or_default() % below
    }
}

async fn killed_five_times(users: usize, seed: u64) {
    let fixture = Fixture::new().await;
    populate(&fixture, users).await;
    let mut new_id = pseudo_random(seed);
    let started = fixture.auto_deploy("once", &json!({"filter": {}})).await.expect(202);
    let job = started.get("job_id");
    assert_eq!(text(&started.body["state"]), "running");
    let injected = |action: &str, nth: usize, fault: Fault| {
        Some(InjectedFault { action: action.to_owned(), nth, fault, duration: FaultDuration::Once })
    };
    // Three ends of the schedule's run and two of the sender's: before a call, and after it.
    let mut kills = 0;
    let state =
        async || text(&fixture.bench.get(&format!("/jobs/{job}"), &fixture.tenant.key).await.expect(200).body["state"]);
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::DropAfter] {
        fixture.bench.advance(Duration::minutes(2));
        fixture.faults.watch("run-due", injected("TransactWriteItems", 1 + new_id(users / 4), fault));
        let _run = fixture.bench.stack.run_schedule("run-due").await;
        kills += fixture.faults.failed_calls().len();
    }
    fixture.faults.watch("none", None);
    while state().await == "running" {
        fixture.bench.advance(Duration::minutes(2));
        let _run = fixture.bench.run_due().await;
    }
    for (action, fault) in [("TransactWriteItems", Fault::DropBefore), ("SendEmail", Fault::DropAfter)] {
        fixture.faults.watch("send-message", injected(action, 1 + new_id(users / 4), fault));
        fixture.bench.stack.drain(local::queue::Retry::WhenDue).await.expect("the stream and the queues are processed");
        kills += fixture.faults.failed_calls().len();
    }
    fixture.faults.watch("none", None);
    fixture.settle().await;
    assert!(kills >= 4, "{kills} kills, seed {seed}");
    let finished_job = fixture.bench.get(&format!("/jobs/{job}"), &fixture.tenant.key).await.expect(200).body;
    let progress = json!({"done": users, "changed": users, "unchanged": 0, "failed": 0});
    assert_eq!(
        (text(&finished_job["state"]), &finished_job["progress"]),
        ("finished".into(), &progress),
        "seed {seed}"
    );
    let counts = fixture.done(&job, "deployment.started").await;
    assert!(
        counts.len() == users && counts.values().all(|times| *times == 1),
        "seed {seed}: one deployment for each user"
    );
    let deployments =
        rows::all(&fixture.bench, rows::MAIN).into_keys().filter(|key| key.contains("| INVITATION#")).count();
    assert_eq!((deployments, rows::all(&fixture.bench, rows::SECRETS).len()), (users, users), "seed {seed}");
    fixture.expect_one_link_each(users, 1, &format!("seed {seed}"));
}

#[tokio::test]
async fn an_auto_deploy_killed_at_five_random_points_gives_each_of_150_users_one_deployment_and_link() {
    killed_five_times(150, 11).await;
}

#[tokio::test]
#[ignore = "2,000 users take minutes"]
async fn an_auto_deploy_killed_at_five_random_points_gives_each_of_2000_users_one_deployment_and_link() {
    killed_five_times(2_000, 7).await;
}
