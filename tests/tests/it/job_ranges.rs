//! Ranges of a job: what follows the first page of a list, done side by side by runs that a queue starts. Each thing is
//! done once wherever a run ends, and nothing is done once the job was stopped.

use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::Duration;
use serde_json::{Value, json};
use testkit::faults::{Call, Fault, FaultDuration, InjectedFault};
use testkit::gate::Gate;
use testkit::{Setup, rows, text};

use crate::fixture::Fixture;

/// A workspace with users, and jobs of four ranges.
struct RangesFixture {
    fixture: Fixture,
    users: Vec<String>,
}

impl Deref for RangesFixture {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl RangesFixture {
    async fn new(users: usize) -> Self {
        Self::of(users, Setup::new()).await
    }

    async fn of(users: usize, setup: Setup) -> Self {
        let fixture = Fixture::of(setup.parameter("RangesPerJob", "4")).await;
        let mut all = Vec::new();
        for n in 0..users {
            all.push(fixture.user(&format!("user{n:03}")).await);
            fixture.bench.advance(Duration::milliseconds(1));
        }
        fixture.bench.drain().await;
        Self { fixture, users: all }
    }

    /// Starts a job over all users, of whom the call does fifty.
    async fn activate(&self) -> String {
        self.activate_by(&self.tenant.key).await
    }

    async fn activate_by(&self, key: &str) -> String {
        let body = json!({"action": "activate", "filter": {}});
        let started = self.bench.post("/users/bulk", key, body).await.expect(202);
        assert_eq!((started.get("state").as_str(), &started.body["progress"]["done"]), ("running", &json!(50)));
        started.get("job_id")
    }

    /// The state and the numbers of a job.
    async fn state_of(&self, job: &str) -> (String, Value) {
        let job = self.get(&format!("/jobs/{job}")).await;
        (text(&job["state"]), job["progress"].clone())
    }

    async fn active(&self) -> usize {
        self.all("/users?status=active").await.len()
    }

    /// Asserts that the job has done each user exactly once.
    async fn expect_done_once(&self, job: &str, what: &str) {
        let all = self.users.len();
        let progress = json!({"done": all, "changed": all, "unchanged": 0, "failed": 0});
        assert_eq!(self.state_of(job).await, ("finished".to_owned(), progress), "{what}");
        let once: BTreeMap<String, usize> = self.users.iter().map(|user| (user.clone(), 1)).collect();
        assert_eq!(self.done(job, "user.activated").await, once, "{what}");
        let ends = self.all("/events?event_type=job.finished").await;
        assert_eq!(ends.iter().filter(|event| event["job_id"] == *job).count(), 1, "{what}");
        assert_eq!(self.all(&format!("/jobs/{job}")).await.len(), all, "{what}");
    }

    /// Lets the clock pass the time that a range belongs to a run, and the schedule go on.
    async fn go_on(&self) {
        self.bench.advance(Duration::seconds(61));
        let _run = self.bench.stack.run_schedule("run-due").await;
        self.bench.drain().await;
    }
}

/// The ends of a process at the steps of the job itself: before and after each commit and each message that is not about
/// one user alone. The commits for users are those of the most common size.
fn ends_of_bookkeeping(calls: &[Call]) -> Vec<InjectedFault> {
    let size = |call: &Call| call.transaction.map(|(size, _)| size);
    let mut sizes = BTreeMap::<usize, usize>::new();
    calls.iter().filter_map(size).for_each(|size| *sizes.entry(size).or_default() += 1);
    let common = sizes.into_iter().max_by_key(|(_, count)| *count).map(|(size, _)| size);
    let mut nth = BTreeMap::<&str, usize>::new();
    let mut ends = Vec::new();
    for call in calls {
        let nth = nth.entry(&call.action).or_default();
        *nth += 1;
        if call.action == "PublishBatch" || size(call).is_some_and(|size| Some(size) != common) {
            for fault in [Fault::DropBefore, Fault::DropAfter] {
                let (action, nth, duration) = (call.action.clone(), *nth, FaultDuration::Once);
                ends.push(InjectedFault { action, nth, fault, duration });
            }
        }
    }
    ends
}

/// Runs a job over 300 users once for every `every`-th end of a run, and goes on with it.
async fn run_killed_at_every(every: usize) {
    let fixture = RangesFixture::new(300).await;
    let begun = fixture.bench.mark();
    fixture.faults.watch("run-due", None);
    let job = fixture.activate().await;
    fixture.bench.drain().await;
    let ends = ends_of_bookkeeping(&fixture.faults.calls());
    fixture.expect_done_once(&job, "without an end").await;
    assert!((20..100).contains(&ends.len()), "{} ends", ends.len());
    for (at, end) in ends.iter().enumerate().skip(every / 2).step_by(every) {
        let what = format!("{at}: {end:?}");
        fixture.bench.restore(&begun, Duration::hours(1 + at as i64));
        let job = fixture.activate().await;
        fixture.faults.watch("run-due", Some(end.clone()));
        fixture.bench.drain().await;
        assert_eq!(fixture.faults.failed_calls().len(), 1, "{what}");
        fixture.faults.watch("none", None);
        fixture.go_on().await;
        fixture.go_on().await;
        fixture.expect_done_once(&job, &what).await;
    }
}

#[tokio::test]
async fn a_job_over_300_users_in_four_ranges_is_done_once_wherever_a_run_ends() {
    run_killed_at_every(11).await;
}

#[tokio::test]
#[ignore = "every step"]
async fn a_job_over_300_users_in_four_ranges_is_done_once_at_whichever_step_a_run_ends() {
    run_killed_at_every(1).await;
}

#[tokio::test]
async fn the_pages_of_a_list_go_to_the_ranges_in_turn_and_each_is_a_row_of_its_own() {
    let fixture = RangesFixture::new(280).await;
    let job = fixture.activate().await;
    let _first = fixture.bench.run_due().await;
    assert_eq!(fixture.state_of(&job).await.1["done"], 50, "the call has a minute for itself");
    fixture.bench.drain().await;
    fixture.expect_done_once(&job, "by the queue").await;
    let all = rows::all(&fixture.bench, rows::MAIN);
    let of_range = |range: usize| -> usize {
        let key = format!("JOBRANGE#{}#{job}#{range:02} | PAGE#", fixture.tenant.workspace_id);
        let pages = all.iter().filter(|(at, _)| at.starts_with(&key));
        pages.map(|(_, page)| page["ids"].as_array().unwrap().len()).sum()
    };
    assert_eq!([0, 1, 2, 3].map(of_range), [80, 50, 50, 50], "230 users in pages of 50");
    let operations = fixture.events("user.activated").await;
    let by_runs = operations.iter().filter(|event| event["operation"] == "run-due").count();
    assert_eq!((operations.len(), by_runs), (280, 230));
}

#[tokio::test]
async fn nothing_is_done_after_the_answer_that_a_job_is_canceled() {
    let gate = Gate::new();
    let fixture = RangesFixture::of(260, Setup::new().with(gate.adjust())).await;
    let job = fixture.activate().await;
    let path = format!("/jobs/{job}");
    // Just before a user of a range is committed.
    let commit = ("run-due", "TransactWriteItems", "user.activated");
    let cancel = async {
        let canceled = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
        (canceled, fixture.active().await)
    };
    let ((), canceled) = gate.meanwhile(commit, fixture.bench.drain(), cancel).await;
    let (canceled, active) = canceled.expect("a range was at work");
    assert_eq!(canceled.get("state"), "canceled");
    assert_eq!(canceled.body["progress"]["changed"], active);
    assert!((50..260).contains(&active), "{active}");
    fixture.go_on().await;
    assert_eq!(fixture.active().await, active);
    let after = fixture.job(&job).await;
    assert_eq!((&after["state"], &after["progress"]), (&json!("canceled"), &canceled.body["progress"]));
    assert_eq!(after["items"].as_array().unwrap().len(), active);
    assert_eq!(fixture.all("/events?event_type=job.canceled").await.len(), 1);
}

#[tokio::test]
async fn a_cancellation_that_is_interrupted_is_completed_by_the_schedule() {
    let fixture = RangesFixture::new(160).await;
    let job = fixture.activate().await;
    let path = format!("/jobs/{job}");
    // After it is canceled and one range was stopped.
    let end = |nth| InjectedFault {
        action: "TransactWriteItems".to_owned(),
        nth,
        fault: Fault::DropAfter,
        duration: FaultDuration::Once,
    };
    fixture.bench.advance(Duration::seconds(61));
    // The schedule's run ends when the pages are listed, and one user of a range is done.
    fixture.faults.watch("run-due", Some(end(4)));
    let _run = fixture.bench.stack.run_schedule("run-due").await;
    assert_eq!(fixture.faults.failed_calls().len(), 1);
    fixture.faults.watch("cancel-job", Some(end(2)));
    let interrupted = fixture.bench.delete(&path, &fixture.tenant.key).await;
    assert!(interrupted.status.is_server_error());
    fixture.faults.watch("none", None);
    fixture.go_on().await;
    let (state, progress) = fixture.state_of(&job).await;
    let active = fixture.active().await;
    assert_eq!((state.as_str(), &progress["changed"]), ("canceled", &json!(active)));
    let again = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    assert_eq!(again.body["progress"], progress);
    assert_eq!(fixture.all("/events?event_type=job.canceled").await.len(), 1);
}

#[tokio::test]
async fn ranges_stop_when_the_jobs_creator_loses_the_permission() {
    let gate = Gate::new();
    let fixture = RangesFixture::of(260, Setup::new().with(gate.adjust())).await;
    let body = json!({"name": "batch", "permissions": ["users:manage", "users:read"]});
    let key = fixture.post("/keys", body).await.expect(201);
    let job = fixture.activate_by(&key.get("key")).await;
    let path = format!("/keys/{}", key.get("key_id"));
    let commit = ("run-due", "TransactWriteItems", "user.activated");
    let revoke = fixture.bench.delete(&path, &fixture.tenant.key);
    let ((), revoked) = gate.meanwhile(commit, fixture.bench.drain(), revoke).await;
    let _revoked = revoked.expect("a range was at work").expect(200);
    fixture.go_on().await;
    let active = fixture.active().await;
    assert!((51..260).contains(&active), "{active}: the page at work is done, and no other");
    let (state, progress) = fixture.state_of(&job).await;
    assert_eq!((state.as_str(), &progress["changed"]), ("canceled", &json!(active)));
}

#[tokio::test]
async fn a_rule_for_silent_devices_stops_in_all_ranges_when_it_is_changed() {
    let gate = Gate::new();
    let fixture = RangesFixture::of(0, Setup::new().with(gate.adjust())).await;
    for n in 0..40 {
        let (_user, phones) = fixture.bench.user_with_phones(&fixture.tenant, &format!("user{n}"), 3).await;
        for (_, credential) in &phones {
            let _check_in = fixture.bench.check_in(credential).await.expect(200);
        }
    }
    let rule = |after_days: u32| json!({"silent_devices": {"after_days": after_days, "action": "block"}});
    let _rule = fixture.update_settings(rule(30)).await.expect(200);
    fixture.bench.drain().await;
    fixture.bench.advance(Duration::days(31));
    let (action, duration) = ("TransactWriteItems".to_owned(), FaultDuration::Once);
    // The job was begun, its pages are listed, and the first range has done a page of fifty phones.
    fixture.faults.watch("run-due", Some(InjectedFault { action, nth: 54, fault: Fault::DropAfter, duration }));
    let _run = fixture.bench.stack.run_schedule("run-due").await;
    assert_eq!(fixture.faults.failed_calls().len(), 1);
    fixture.faults.watch("none", None);
    let blocked = async || fixture.all("/devices?blocked=true").await.len();
    assert_eq!(blocked().await, 50);
    let job = fixture.all("/jobs").await.remove(0);
    let described = json!({"rule": {"after_days": 30, "action": "block"}});
    assert_eq!((&job["action"], &job["parameters"]), (&json!("apply_silent_rule"), &described));
    assert_eq!(job["filter"]["blocked"], json!(false));
    let author = fixture.get("/workspace").await["silent_rule"]["set_by"].clone();
    assert_eq!(job["created_by"], author);

    let commit = ("run-due", "TransactWriteItems", "device.blocked");
    let change = async {
        // The first try ends when the rule and the job are committed, before the ranges are stopped.
        let (action, duration) = ("TransactWriteItems".to_owned(), FaultDuration::Once);
        let end = InjectedFault { action, nth: 1, fault: Fault::DropAfter, duration };
        fixture.faults.watch("update-workspace", Some(end));
        let interrupted = fixture.update_settings(rule(3650)).await;
        assert!(interrupted.status.is_server_error());
        fixture.faults.watch("none", None);
        let _changed = fixture.update_settings(rule(3650)).await.expect(200);
        blocked().await
    };
    let ((), at_change) = gate.meanwhile(commit, fixture.go_on(), change).await;
    assert_eq!(at_change.expect("a range was at work"), 50);
    fixture.go_on().await;
    assert_eq!(blocked().await, 50, "nothing is done after the answer");
    let (state, progress) = fixture.state_of(&text(&job["job_id"])).await;
    assert_eq!((state.as_str(), &progress["changed"]), ("canceled", &json!(50)));
    let canceled = fixture.events("job.canceled").await;
    assert_eq!(canceled[0]["private"]["reason"], "the rule for silent devices was changed");
    assert_eq!(fixture.all("/jobs").await.len(), 1, "no device is silent for ten years");

    let _rule = fixture.update_settings(rule(30)).await.expect(200);
    fixture.go_on().await;
    assert_eq!(blocked().await, 120);
    assert_eq!(fixture.events("device.blocked").await.len(), 120, "each once");
}

#[tokio::test]
async fn what_a_message_limit_delays_in_the_ranges_is_done_when_the_limit_has_ended() {
    let fixture = RangesFixture::new(120).await;
    let limit = json!({"emails_per_day": 100});
    let _limited = fixture.bench.patch("/workspace", &fixture.tenant.key, limit).await.expect(200);
    let body = json!({"action": "invite", "channel": "email", "filter": {}});
    let job = fixture.post("/users/bulk", body).await.expect(202).get("job_id");
    fixture.bench.drain().await;
    fixture.go_on().await;
    let shown = fixture.get(&format!("/jobs/{job}")).await;
    assert_eq!((&shown["state"], &shown["progress"]["changed"]), (&json!("running"), &json!(100)));
    assert_eq!(shown["waiting"]["code"], "daily_quota_reached");
    fixture.bench.advance(Duration::days(1));
    fixture.go_on().await;
    let (state, progress) = fixture.state_of(&job).await;
    assert_eq!((state.as_str(), &progress["changed"]), ("finished", &json!(120)));
}
