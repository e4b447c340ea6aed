//! Jobs over HTTP: one action on many objects, each changed once, wherever a process ends.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use chrono::Duration;
use http::Request;
use local::messaging::Channel;
use serde_json::{Value, json};
use testkit::faults::{Call, Fault, FaultDuration, InjectedFault, process_ends};
use testkit::{Answer, Bench, rows, text};

use crate::fixture::Fixture;

/// A workspace with this many users.
struct UserFixture {
    fixture: Fixture,
    users: Vec<String>,
}

impl Deref for UserFixture {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl UserFixture {
    async fn new(users: usize) -> Self {
        let mut fixture = Self { fixture: Fixture::new().await, users: Vec::new() };
        for n in 0..users {
            let user = fixture.user(&format!("user{n:03}")).await;
            fixture.users.push(user);
            fixture.bench.advance(Duration::milliseconds(1));
        }
        fixture.bench.drain().await;
        fixture
    }

    /// A bulk call over users, with an idempotency key.
    async fn bulk(&self, once: &str, body: &Value) -> Answer {
        self.bench.post_idempotent("/users/bulk", &self.tenant.key, once, body).await
    }

    async fn jobs(&self) -> Vec<Value> {
        self.all("/jobs").await
    }

    fn once_per_user(&self) -> BTreeMap<String, usize> {
        self.users.iter().map(|user| (user.clone(), 1)).collect()
    }

    async fn statuses(&self) -> BTreeMap<String, usize> {
        let mut statuses = BTreeMap::new();
        for user in self.all("/users").await {
            *statuses.entry(text(&user["status"])).or_default() += 1;
        }
        statuses
    }

    fn mails(&self) -> BTreeMap<String, usize> {
        let mut mails = BTreeMap::new();
        for item in self.bench.stack.messaging().outbox() {
            if item.channel == Channel::Email {
                *mails.entry(item.to).or_default() += 1;
            }
        }
        mails
    }

    fn one_mail_each(&self) -> BTreeMap<String, usize> {
        (0..self.users.len()).map(|n| (format!("user{n:03}@example.com"), 1)).collect()
    }
}

fn progress(done: usize, changed: usize, unchanged: usize, failed: usize) -> Value {
    json!({"done": done, "changed": changed, "unchanged": unchanged, "failed": failed})
}

/// An action on thirty users.
#[derive(Clone, Copy, PartialEq)]
enum Action {
    Suspend,
    Activate,
    Invite,
}

impl Action {
    fn body(self, users: &[String]) -> Value {
        match self {
            Self::Suspend => json!({"action": "suspend", "ids": users, "reason": "strike"}),
            Self::Activate => json!({"action": "activate", "ids": users}),
            Self::Invite => json!({"action": "invite", "ids": users, "channel": "email"}),
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Suspend => "user.suspended",
            Self::Activate => "user.activated",
            Self::Invite => "user.invited",
        }
    }
}

/// Number of runs that share a system; a system becomes slower with each run.
const RUNS_PER_SYSTEM: usize = 15;

/// Thirty users for repeated runs, each of which ends at another step.
struct ThirtyUsers {
    fixture: UserFixture,
    run: usize,
}

impl ThirtyUsers {
    async fn new() -> Self {
        Self { fixture: UserFixture::new(30).await, run: 0 }
    }

    /// The next action: suspending and activating alternate, so that each changes something.
    fn next_action(&self, invite: bool) -> Action {
        match (invite, self.run.is_multiple_of(2)) {
            (true, _) => Action::Invite,
            (false, true) => Action::Suspend,
            (false, false) => Action::Activate,
        }
    }

    /// The calls of a run without an end.
    async fn calls_of_clean_run(&mut self, invite: bool) -> Vec<Call> {
        self.run_with_end(invite, None, None).await;
        self.fixture.faults.calls()
    }

    /// Creates a job whose process may end before it is finished, and continues it: by the schedule if
    /// `schedule` has the number of the commit at which that ends as well, otherwise by the client.
    async fn run_with_end(&mut self, invite: bool, end: Option<&InjectedFault>, schedule: Option<usize>) {
        let fixture = &self.fixture;
        let (action, once) = (self.next_action(invite), format!("once-{}", self.run));
        self.run += 1;
        // A recipient gets at most five messages a day.
        fixture.bench.advance(Duration::hours(5));
        fixture.bench.stack.messaging().clear();
        let (body, before) = (action.body(&fixture.users), fixture.jobs().await.len());
        fixture.faults.watch("bulk-users", end.cloned());
        let first = fixture.bulk(&once, &body).await;
        assert_eq!(first.status.is_server_error(), end.is_some(), "{end:?}: {}", first.text);
        assert_eq!(fixture.faults.failed_calls().len(), usize::from(end.is_some()), "{end:?}");
        if let Some(nth) = schedule {
            fixture.bench.advance(Duration::seconds(61));
            let action = "TransactWriteItems".to_owned();
            let repeated_fault = InjectedFault { action, nth, fault: Fault::DropAfter, duration: FaultDuration::Once };
            fixture.faults.watch("run-due", Some(repeated_fault));
            let _run = fixture.bench.stack.run_schedule("run-due").await;
            let _run_on = fixture.bench.run_due().await;
            let jobs = fixture.jobs().await;
            assert!(jobs.len() == before || jobs[0]["state"] == "finished", "{end:?}: {}", jobs[0]);
            fixture.faults.watch("none", None);
        }
        let answer = if end.is_some() { fixture.bulk(&once, &body).await } else { first };
        let answer = answer.expect(200);
        fixture.bench.drain().await;
        let job = answer.get("job_id");
        assert_eq!(fixture.jobs().await.len(), before + 1, "{end:?}");
        assert_eq!(answer.body["progress"], progress(30, 30, 0, 0), "{end:?}");
        assert_eq!(fixture.job(&job).await["state"], "finished", "{end:?}");
        assert_eq!(fixture.done(&job, action.event()).await, fixture.once_per_user(), "{end:?}");
        let mails = if invite { fixture.one_mail_each() } else { BTreeMap::new() };
        assert_eq!(fixture.mails(), mails, "{end:?}");
        let finished_events = fixture.all("/events?event_type=job.finished").await;
        assert_eq!(finished_events.iter().filter(|event| event["job_id"] == *job).count(), 1, "{end:?}");
        if action == Action::Suspend {
            assert_eq!(fixture.statuses().await, BTreeMap::from([("suspended".to_owned(), 30)]), "{end:?}");
        }
    }

    /// Runs once for every `every`-th call, ending the process there.
    async fn run_killed_at_every(every: usize, invite: bool) {
        let mut runner = Self::new().await;
        let ends = process_ends(&runner.calls_of_clean_run(invite).await);
        assert!(ends.len() > 90, "{} ends", ends.len());
        for (at, end) in ends.iter().enumerate().skip(every / 2).step_by(every) {
            if runner.run >= RUNS_PER_SYSTEM {
                runner = Self::new().await;
            }
            let schedule = (at / every).is_multiple_of(2).then_some(1 + at % 5);
            runner.run_with_end(invite, Some(end), schedule).await;
        }
        // The first and the last steps are always covered.
        for end in [&ends[0], &ends[1], &ends[ends.len() - 2], &ends[ends.len() - 1]] {
            runner.run_with_end(invite, Some(end), None).await;
        }
    }
}

#[tokio::test]
async fn a_job_killed_between_steps_changes_each_of_thirty_users_once() {
    ThirtyUsers::run_killed_at_every(43, false).await;
}

#[tokio::test]
async fn a_job_killed_between_steps_invites_each_of_thirty_users_once() {
    ThirtyUsers::run_killed_at_every(67, true).await;
}

#[tokio::test]
#[ignore = "every step"]
async fn a_job_killed_at_any_step_changes_each_of_thirty_users_once() {
    ThirtyUsers::run_killed_at_every(1, false).await;
}

#[tokio::test]
#[ignore = "every step"]
async fn a_job_killed_at_any_step_invites_each_of_thirty_users_once() {
    ThirtyUsers::run_killed_at_every(1, true).await;
}

#[tokio::test]
async fn a_repeated_request_returns_the_same_job_and_another_body_is_rejected() {
    let fixture = UserFixture::new(3).await;
    let body = json!({"action": "suspend", "ids": fixture.users});
    let first = fixture.bulk("once", &body).await.expect(200);
    assert_eq!(fixture.bulk("once", &body).await.expect(200).body, first.body);
    let other = fixture.bulk("once", &json!({"action": "activate", "ids": fixture.users})).await.expect(422);
    assert_eq!(other.code(), "idempotency_mismatch");
    assert_eq!(fixture.jobs().await.len(), 1);
    assert_eq!(fixture.statuses().await, BTreeMap::from([("suspended".to_owned(), 3)]));
    let repeated = fixture.bulk("twice", &body).await.expect(200);
    assert_eq!(repeated.body["progress"], progress(3, 0, 3, 0), "nothing is left to do");
}

#[tokio::test]
async fn each_item_has_its_outcome_and_a_failed_one_does_not_stop_the_others() {
    let fixture = UserFixture::new(2).await;
    let code = fixture.bench.invite(&fixture.tenant, &fixture.users[0], 1).await;
    let phone = fixture.bench.register(&code, "phone").await.expect(201);
    let nobody = "0190f3c4-7b5e-7a11-8c1d-000000000001".to_owned();
    let ids = [nobody.clone(), fixture.users[0].clone(), fixture.users[1].clone()];
    let answer = fixture.bulk("once", &json!({"action": "delete", "ids": ids})).await.expect(207);
    assert_eq!(answer.body["progress"], progress(3, 1, 0, 2));
    let items = answer.body["items"].as_array().unwrap();
    let outcome = |at: usize| (text(&items[at]["id"]), text(&items[at]["outcome"]), text(&items[at]["code"]));
    assert_eq!(outcome(0), (nobody, "failed".into(), "user_not_found".into()));
    assert_eq!(outcome(1), (fixture.users[0].clone(), "failed".into(), "wipe_first".into()));
    assert_eq!(outcome(2), (fixture.users[1].clone(), "changed".into(), String::new()));
    assert!(items[1]["detail"].as_str().unwrap().contains("Wipe"));
    assert_eq!(items[1]["devices"], json!([phone.body["device"]["device_id"]]));
    let job = fixture.job(&answer.get("job_id")).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &answer.body["progress"]));
    assert_eq!(job["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_bulk_dry_run_reports_the_outcomes_and_changes_nothing() {
    let fixture = UserFixture::new(3).await;
    let path = format!("/users/{}/suspend", fixture.users[0]);
    let _suspended = fixture.post(&path, json!({})).await.expect(200);
    let before = rows::everything_but_derived(&fixture.bench);
    let body = json!({"action": "suspend", "ids": fixture.users, "dry_run": true});
    let answer = fixture.bulk("once", &body).await.expect(200);
    assert_eq!(answer.body["progress"], progress(3, 2, 1, 0));
    assert_eq!((&answer.body["job_id"], &answer.body["dry_run"]), (&Value::Null, &json!(true)));
    assert_eq!(rows::everything_but_derived(&fixture.bench), before);
    // A filter needs a job, which only stores outcomes.
    let body = json!({"action": "suspend", "filter": {}, "dry_run": true});
    let job = fixture.bulk("twice", &body).await.expect(202).get("job_id");
    let shown = fixture.job(&job).await;
    assert_eq!((&shown["state"], &shown["progress"]), (&json!("finished"), &progress(3, 2, 1, 0)));
    let after = rows::everything_but_derived(&fixture.bench);
    let changed = after.iter().filter(|(key, row)| before.get(*key) != Some(*row));
    let kinds: BTreeSet<&str> = changed.map(|((_, key), _)| key.split('#').next().unwrap()).collect();
    assert_eq!(kinds, ["EVENT", "IDEMPOTENCY", "JOB"].into());
    assert_eq!(fixture.statuses().await, BTreeMap::from([("inactive".to_owned(), 2), ("suspended".to_owned(), 1)]));
    assert!(fixture.done(&job, "user.suspended").await.is_empty());
}

#[tokio::test]
async fn a_job_handles_each_user_of_its_filter_once_although_its_action_changes_who_matches() {
    let fixture = UserFixture::new(65).await;
    let actor = json!({"type": "key", "id": fixture.all("/keys").await[0]["key_id"], "name": "First key"});
    for (action, from, to, event) in
        [("activate", "inactive", "active", "user.activated"), ("suspend", "active", "suspended", "user.suspended")]
    {
        let body = json!({"action": action, "filter": {"status": from}});
        let started = fixture.bulk(action, &body).await.expect(202);
        assert_eq!((started.get("state"), &started.body["progress"]), ("running".into(), &progress(50, 50, 0, 0)));
        assert_eq!(started.body["created_by"]["id"], actor["id"]);
        let job = started.get("job_id");
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(fixture.job(&job).await["state"], "running", "the call has a minute for itself");
        fixture.bench.advance(Duration::seconds(61));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        let finished_job = fixture.job(&job).await;
        assert_eq!((&finished_job["state"], &finished_job["progress"]), (&json!("finished"), &progress(65, 65, 0, 0)));
        assert_eq!(fixture.statuses().await, BTreeMap::from([(to.to_owned(), 65)]));
        assert_eq!(fixture.done(&job, event).await, fixture.once_per_user());
        assert_eq!(fixture.all(&format!("/jobs/{job}")).await.len(), 65);
        // The schedule acts as the job's creator.
        let events = fixture.all(&format!("/events?event_type={event}")).await;
        assert!(events.iter().all(|event| event["actor"] == actor), "{event}");
        let operations: BTreeSet<String> = events.iter().map(|event| text(&event["operation"])).collect();
        assert_eq!(operations, ["bulk-users".to_owned(), "run-due".to_owned()].into());
    }
}

#[tokio::test]
async fn a_killed_job_with_a_filter_continues_where_it_stopped() {
    let fixture = UserFixture::new(55).await;
    let body = json!({"action": "activate", "filter": {}});
    // Ends in the first page, while the next one is stored, and in the schedule.
    let end = |nth, fault| InjectedFault {
        action: "TransactWriteItems".to_owned(),
        nth,
        fault,
        duration: FaultDuration::Once,
    };
    fixture.faults.watch("bulk-users", Some(end(20, Fault::DropAfter)));
    assert!(fixture.bulk("once", &body).await.status.is_server_error());
    for (nth, fault) in [(10, Fault::DropBefore), (25, Fault::DropBefore), (3, Fault::DropAfter)] {
        fixture.bench.advance(Duration::seconds(61));
        fixture.faults.watch("run-due", Some(end(nth, fault)));
        let _run = fixture.bench.stack.run_schedule("run-due").await;
        assert_eq!(fixture.faults.failed_calls().len(), 1);
    }
    fixture.faults.watch("none", None);
    // A range belongs to the run that was killed for a minute.
    fixture.bench.advance(Duration::seconds(61));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    let job = &fixture.jobs().await[0];
    assert_eq!((&job["state"], &job["progress"]), (&json!("finished"), &progress(55, 55, 0, 0)));
    assert_eq!(fixture.done(&text(&job["job_id"]), "user.activated").await, fixture.once_per_user());
    assert_eq!(fixture.bulk("once", &body).await.expect(202).body["progress"], job["progress"]);
}

#[tokio::test]
async fn a_canceled_job_keeps_its_outcomes_and_does_nothing_more() {
    let fixture = UserFixture::new(53).await;
    let started = fixture.bulk("once", &json!({"action": "activate", "filter": {}})).await.expect(202);
    let path = format!("/jobs/{}", started.get("job_id"));
    let stopped = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    assert_eq!((stopped.get("state"), &stopped.body["progress"]), ("canceled".into(), &progress(50, 50, 0, 0)));
    assert_eq!(
        fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200).get("ended_at"),
        stopped.get("ended_at")
    );
    fixture.bench.advance(Duration::minutes(5));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    assert_eq!(fixture.statuses().await, BTreeMap::from([("active".to_owned(), 50), ("inactive".to_owned(), 3)]));
    let types = fixture.all("/events?event_type=job.canceled").await;
    assert_eq!(types.len(), 1);
    let done = fixture.bulk("twice", &json!({"action": "activate", "ids": fixture.users})).await.expect(200);
    let refused = fixture.bench.delete(&format!("/jobs/{}", done.get("job_id")), &fixture.tenant.key).await.expect(409);
    assert_eq!((refused.code(), refused.get("state").as_str()), ("job_over", "finished"));
}

#[tokio::test]
async fn a_job_ends_when_its_creator_loses_the_permissions() {
    let fixture = UserFixture::new(53).await;
    let body = json!({"name": "batch", "permissions": ["users:manage", "users:read"]});
    let key = fixture.post("/keys", body).await.expect(201);
    let body = json!({"action": "activate", "filter": {}});
    let started = fixture.bench.post("/users/bulk", &key.get("key"), body).await.expect(202);
    assert_eq!(started.get("state"), "running");
    let path = format!("/keys/{}", key.get("key_id"));
    let _revoked = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    fixture.bench.advance(Duration::minutes(5));
    assert_eq!(fixture.bench.run_due().await["failed"], 0);
    let job = fixture.job(&started.get("job_id")).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("canceled"), &progress(50, 50, 0, 0)));
    assert_eq!(fixture.statuses().await, BTreeMap::from([("active".to_owned(), 50), ("inactive".to_owned(), 3)]));
}

#[tokio::test]
async fn a_misspelled_filter_is_rejected_instead_of_matching_everything() {
    let fixture = UserFixture::new(1).await;
    let body = json!({"action": "suspend", "filter": {"statsu": "active"}});
    let refused = fixture.bulk("once", &body).await.expect(422);
    assert_eq!(refused.body["errors"][0]["field"], "filter.statsu");
    assert!(fixture.jobs().await.is_empty());
}

#[tokio::test]
async fn jobs_are_listed_newest_first_with_their_action_and_creator() {
    let fixture = UserFixture::new(2).await;
    let mut ids = Vec::new();
    for (n, action) in ["suspend", "activate", "reset_pin"].into_iter().enumerate() {
        let body = json!({"action": action, "ids": fixture.users});
        ids.insert(0, fixture.bulk(&format!("once-{n}"), &body).await.expect(200).get("job_id"));
        fixture.bench.advance(Duration::minutes(1));
    }
    let jobs = fixture.jobs().await;
    assert_eq!(jobs.iter().map(|job| text(&job["job_id"])).collect::<Vec<_>>(), ids);
    let key = fixture.all("/keys").await[0]["key_id"].clone();
    for (job, action) in jobs.iter().zip(["reset_pin", "activate", "suspend"]) {
        assert_eq!((&job["action"], &job["kind"]), (&json!(action), &json!("users")));
        assert_eq!(job["created_by"], json!({"type": "key", "id": key, "name": "First key"}));
    }
    let page = fixture.get("/jobs?limit=2").await;
    let cursor = text(&page["next_cursor"]);
    let rest = fixture.get(&format!("/jobs?limit=2&cursor={cursor}")).await;
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (2, 1));
    let foreign = fixture.bench.tenant("Foreign").await;
    let _none = fixture.bench.get(&format!("/jobs/{}", ids[0]), &foreign.key).await.expect(404);
    assert!(fixture.bench.list_all(&foreign, "/jobs").await.is_empty());
}

#[tokio::test]
async fn a_bulk_action_needs_its_own_permission() {
    let fixture = UserFixture::new(1).await;
    let body = json!({"name": "helpdesk", "permissions": ["users:manage", "devices:manage"]});
    let key = fixture.post("/keys", body).await.expect(201).get("key");
    for (path, action) in [
        ("/users/bulk", "lock_and_wipe"),
        ("/users/bulk", "deploy"),
        ("/users/bulk", "force_config"),
        ("/devices/bulk", "wipe"),
    ] {
        for dry_run in [false, true] {
            let body = json!({"action": action, "filter": {}, "dry_run": dry_run});
            assert_eq!(fixture.bench.post(path, &key, body).await.expect(403).code(), "permission_missing");
        }
    }
    assert!(fixture.jobs().await.is_empty());
}

#[tokio::test]
async fn outcomes_are_exported_as_csv_in_parts_with_one_header_row() {
    let fixture = UserFixture::new(2).await;
    let nobody = "0190f3c4-7b5e-7a11-8c1d-000000000001";
    let ids = json!([fixture.users[0], fixture.users[1], nobody]);
    let job = fixture.bulk("once", &json!({"action": "suspend", "ids": ids})).await.expect(207).get("job_id");
    let csv = async |path: &str| {
        let request = Request::builder().uri(path).header("accept", "text/csv");
        let request = request.header("authorization", format!("Bearer {}", fixture.tenant.key));
        fixture.bench.send(request.body(Vec::new()).unwrap()).await.expect(200)
    };
    let full_list = csv(&format!("/jobs/{job}")).await;
    assert_eq!(full_list.headers["content-type"], "text/csv; charset=utf-8");
    assert!(!full_list.headers.contains_key("link"));
    let mut lines: Vec<&str> = full_list.text.split_terminator("\r\n").collect();
    assert_eq!(lines.remove(0), "id,outcome,code,detail,at");
    let at = "2026-11-23T08:00:00.002Z";
    assert_eq!(lines[0], format!("{nobody},failed,user_not_found,User not found.,{at}"));
    assert!(lines.contains(&format!("{},changed,,,{at}", fixture.users[0]).as_str()), "{lines:?}");

    // More than a part holds.
    let stored = rows::all(&fixture.bench, rows::MAIN);
    let (_, row) = stored.iter().find(|(key, _)| key.contains("| ITEM#")).unwrap();
    for n in 0..1_000 {
        let id = format!("0190f3c4-7b5e-7a11-8c1e-{n:012}");
        let mut more = row.clone();
        (more["id"], more["sk"]) = (id.clone().into(), format!("ITEM#{id}").into());
        rows::put(&fixture.bench, rows::MAIN, &more, &[]);
    }
    let first = csv(&format!("/jobs/{job}")).await;
    let link = first.headers["link"].to_str().unwrap().to_owned();
    let (next, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(rest, "; rel=\"next\"");
    let second = csv(next).await;
    assert!(!second.headers.contains_key("link") && !second.text.contains("outcome"));
    let lines = first.text.split_terminator("\r\n").skip(1).chain(second.text.split_terminator("\r\n"));
    let ids: BTreeSet<&str> = lines.clone().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!((ids.len(), lines.count()), (1_003, 1_003));
}

#[tokio::test]
async fn bulk_jobs_work_for_devices_as_for_users() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 3).await;
    let nothing = "0190f3c4-7b5e-7a11-8c1d-000000000001";
    let body = json!({"action": "block", "ids": [phones[0].0, nothing], "reason": "lost"});
    let blocked = bench.post("/devices/bulk", &tenant.key, body).await.expect(207);
    assert_eq!(blocked.body["progress"], progress(2, 1, 0, 1));
    assert_eq!(blocked.body["items"][1]["code"], "device_not_found");
    assert_eq!(bench.check_in(&phones[0].1).await.expect(200).get("access"), "device_blocked");
    // The remaining ones: blocked devices no longer match the filter.
    let body = json!({"action": "block", "filter": {"blocked": false, "user_id": user}});
    let job = bench.post("/devices/bulk", &tenant.key, body).await.expect(202);
    assert_eq!((job.get("state"), &job.body["progress"]), ("finished".into(), &progress(2, 2, 0, 0)));
    let body = json!({"action": "wipe", "filter": {"blocked": true}, "expires_in_days": 9});
    let job = bench.post("/devices/bulk", &tenant.key, body).await.expect(202);
    assert_eq!(job.body["progress"], progress(3, 3, 0, 0));
    for (device, credential) in &phones {
        let check_in = bench.check_in(credential).await.expect(200);
        assert_eq!(check_in.body["commands"][0]["kind"], "wipe");
        assert_eq!(check_in.body["commands"][0]["expires_at"], "2026-12-02T08:00:00.000Z");
        let events = bench.list_all(&tenant, &format!("/events?device_id={device}&event_type=device.blocked")).await;
        assert_eq!(events.len(), 1);
    }
}
