//! What one workspace does is not felt by another: beside another's flood, what a small workspace sends takes at most twice
//! the time that it takes alone. The whole system runs in simulated time, with the template's numbers of concurrent runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::{join, join_all};
use http::Method;
use local::api::Api;
use local::operations::Adjust;
use local::stack::{Stack, StackOptions};
use serde_json::{Value, json};
use testkit::bench::START;
use testkit::faults::{Call, Service};
use testkit::simulated_time::{Receivers, SimulatedTime, usual_latency};
use testkit::{Bench, code_after, text};

const SLOW: &str = "https://slow.example.com/";
const QUICK: &str = "https://quick.example.com/";

/// How long a webhook's receiver takes for a call.
fn takes(url: &str) -> Duration {
    Duration::from_millis(if url == SLOW { 10_000 } else { 100 })
}

/// A system in simulated time, with two workspaces.
struct Simulation {
    time: SimulatedTime,
    stack: Stack,
    receivers: Receivers,
    /// Keys of the workspaces: the loud one and the small one.
    keys: [String; 2],
}

/// E-mails, and texts. Few, so that a flood is small.
const MESSAGES_PER_SECOND: usize = 4;

/// How a simulation differs from others.
struct Options {
    /// Stream, topics, queues and schedules run by themselves.
    automatic: bool,
    ranges_per_job: usize,
    latency: fn(&Call) -> Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { automatic: true, ranges_per_job: 8, latency: usual_latency }
    }
}

impl Simulation {
    async fn start(options: Options) -> Self {
        let time = SimulatedTime::starting_at(START.parse().unwrap());
        let receivers = Receivers::new(&time, takes);
        let (timed, network) = (time.adjust(options.latency), receivers.adjust());
        let adjust: Adjust = Arc::new(move |operation, connection| network(operation, timed(operation, connection)));
        let rate = MESSAGES_PER_SECOND.to_string();
        let parameters = [
            ("EmailsPerSecond", rate.clone()),
            ("TextsPerSecond", rate),
            ("TextsPerDay", "1000".to_owned()),
            ("RangesPerJob", options.ranges_per_job.to_string()),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let stack = Stack::start(StackOptions {
            automatic: options.automatic,
            now: time.clock(),
            wait: time.wait(),
            adjust: Some(adjust),
            parameters: BTreeMap::from(parameters),
            ..StackOptions::default()
        });
        let stack = stack.await.unwrap();
        let workspace = async |name: &str| {
            let created = stack.invoke("create-workspace", json!({"name": name})).await.unwrap();
            text(&created["key"])
        };
        let keys = time.run(async { [workspace("Loud").await, workspace("Small").await] }).await;
        Self { time, stack, receivers, keys }
    }

    async fn post(&self, key: &str, path: &str, body: Value) -> Value {
        let answer = Api::anonymous(&self.stack).with_credential(key).post(path, &body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        answer.body
    }

    async fn job(&self, key: &str, id: &str) -> Value {
        let api = Api::anonymous(&self.stack).with_credential(key);
        api.send(Method::GET, &format!("/jobs/{id}"), None, &Value::Null).await.body
    }

    /// Runs a schedule's operation once, and returns when it began and what it returned.
    async fn run(&self, operation: &str) -> (DateTime<Utc>, Value) {
        let began = self.time.now();
        let answer = self.stack.run_schedule(operation).await.unwrap();
        assert_eq!(answer["failed"], 0, "{answer}");
        (began, answer)
    }

    async fn user(&self, key: &str, username: &str) -> String {
        let email = format!("{username}@example.com");
        let number: String = username.chars().filter(char::is_ascii_digit).collect();
        let mobile = format!("+49170{}{number:0>6}", u8::from(username.starts_with("small")));
        let user = json!({"username": username, "email": email, "mobile": mobile});
        text(&self.post(key, "/users", user).await["user_id"])
    }

    async fn users(&self, key: &str, name: &str, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|n| format!("{name}{n}")).collect();
        join_all(names.iter().map(|username| self.user(key, username))).await
    }

    async fn invite_all(&self, key: &str, users: &[String], channel: &str) {
        let invite = |user: &String| {
            let path = format!("/users/{user}/invite");
            async move { self.post(key, &path, json!({"channel": channel, "devices": 3})).await }
        };
        let _invited = join_all(users.iter().map(invite)).await;
    }

    /// Creates users with three phones each, and returns the devices.
    async fn phones(&self, key: &str, name: &str, users: usize) -> Vec<String> {
        let users = self.users(key, name, users).await;
        self.invite_all(key, &users, "email").await;
        let mails = || {
            let outbox = self.stack.messaging().outbox().into_iter();
            outbox.filter(|item| item.to.starts_with(name)).map(|item| item.sent_at).collect()
        };
        let _last = self.last_of(users.len(), mails).await;
        let mails = self.stack.messaging().outbox().into_iter().filter(|item| item.to.starts_with(name));
        let phones = mails.flat_map(|mail| {
            let code = code_after("/i/", mail.text.as_deref().unwrap()).unwrap();
            (0..3).map(move |n| Bench::registration_body(&code, &format!("{}-{n}", mail.to)))
        });
        let phones = phones.map(|phone| async move {
            let registered = Api::anonymous(&self.stack).post("/devices", &phone).await;
            text(&registered.body["device"]["device_id"])
        });
        join_all(phones).await
    }

    /// Calls an action without a body for each device.
    async fn act_on_all(&self, key: &str, devices: &[String], action: &str) {
        let act = |device: &String| {
            let path = format!("/devices/{device}/{action}");
            async move { self.post(key, &path, json!({})).await }
        };
        let _done = join_all(devices.iter().map(act)).await;
    }

    async fn seconds(&self, seconds: u64) {
        self.time.sleep(Duration::from_secs(seconds)).await;
    }

    /// Creates users one after the other, 60 ms apart.
    async fn trickle(&self, key: &str, name: &str, count: usize) {
        for n in 0..count {
            let pause = self.time.sleep(Duration::from_millis(60));
            let _user = join(self.user(key, &format!("{name}{n}")), pause).await;
        }
    }

    /// Waits until `times` gives as many times as expected, and returns the last one.
    async fn last_of(&self, expected: usize, times: impl Fn() -> Vec<DateTime<Utc>>) -> DateTime<Utc> {
        loop {
            let times = times();
            if times.len() >= expected {
                return times.into_iter().max().unwrap();
            }
            self.time.sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How long the small workspace's messages of a channel take beside this many of the other's.
async fn messages_take(channel: &str, loud: usize) -> TimeDelta {
    const MESSAGES: usize = 12;
    let simulation = &Simulation::start(Options::default()).await;
    let [loud_key, small_key] = &simulation.keys;
    let scenario = async {
        let many = simulation.users(loud_key, "loud", loud).await;
        let few = simulation.users(small_key, "small", MESSAGES).await;
        simulation.seconds(1).await;
        simulation.invite_all(loud_key, &many, channel).await;
        simulation.seconds(20).await;
        let (start, before) = (simulation.time.now(), simulation.stack.messaging().outbox().len());
        assert!(before >= loud.min(19 * MESSAGES_PER_SECOND), "as fast as AWS allows: {before}");
        assert!(before <= 22 * MESSAGES_PER_SECOND, "not faster: {before}");
        simulation.invite_all(small_key, &few, channel).await;
        let sent = || {
            let outbox = simulation.stack.messaging().outbox().into_iter();
            let of_small = outbox.filter(|item| item.to.starts_with("small") || item.to.starts_with("+491701"));
            of_small.map(|item| item.sent_at).collect()
        };
        simulation.last_of(MESSAGES, sent).await - start
    };
    simulation.time.run(scenario).await
}

#[tokio::test]
async fn the_mails_of_a_small_workspace_beside_a_flood_take_at_most_twice_their_time_alone() {
    let (alone, beside) = (messages_take("email", 0).await, messages_take("email", 160).await);
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
}

#[tokio::test]
async fn the_texts_of_a_small_workspace_beside_a_flood_take_at_most_twice_their_time_alone() {
    let (alone, beside) = (messages_take("sms", 0).await, messages_take("sms", 160).await);
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
}

/// A push takes long, so that a flood of them is small.
fn slow_pushes(call: &Call) -> Duration {
    if call.action == "Publish" { Duration::from_secs(2) } else { usual_latency(call) }
}

/// How long the small workspace's pushes take, alone and beside some hundred of the other's.
async fn pushes_take() -> (TimeDelta, TimeDelta) {
    let simulation = &Simulation::start(Options { latency: slow_pushes, ..Options::default() }).await;
    let [loud_key, small_key] = &simulation.keys;
    let scenario = async {
        let many = simulation.phones(loud_key, "loud", 20).await;
        let few = simulation.phones(small_key, "small", 3).await;
        // Their endpoints are made.
        simulation.seconds(30).await;
        let pushes = |reason: &'static str| {
            let outbox = simulation.stack.messaging().outbox().into_iter();
            let of_reason = outbox.filter(move |item| item.text.as_ref().is_some_and(|text| text.contains(reason)));
            of_reason.map(|item| item.sent_at).collect::<Vec<_>>()
        };
        let order = async |command: &str| {
            let (start, before) = (simulation.time.now(), pushes("command.queued").len());
            simulation.act_on_all(small_key, &few, command).await;
            simulation.last_of(before + few.len(), || pushes("command.queued")).await - start
        };
        let alone = order("lock").await;
        for _ in 0..4 {
            simulation.act_on_all(loud_key, &many, "block").await;
            simulation.act_on_all(loud_key, &many, "unblock").await;
        }
        let waiting = 8 * many.len() - pushes("blocked").len();
        assert!(waiting > 300, "{waiting}: a flood");
        (alone, order("wipe").await)
    };
    simulation.time.run(scenario).await
}

#[tokio::test]
async fn the_pushes_of_a_small_workspace_beside_a_flood_take_at_most_twice_their_time_alone() {
    let (alone, beside) = pushes_take().await;
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
}

/// How long the small workspace's deliveries to its quick webhook take beside the other's to a slow one.
async fn webhooks_take(loud: usize) -> TimeDelta {
    const EVENTS: usize = 5;
    let simulation = &Simulation::start(Options::default()).await;
    let [loud_key, small_key] = &simulation.keys;
    let scenario = async {
        for (key, url) in [(loud_key, SLOW), (small_key, QUICK)] {
            let webhook = json!({"url": url, "event_types": ["user.created"]});
            let _created = simulation.post(key, "/webhooks", webhook).await;
        }
        simulation.seconds(1).await;
        let small = async {
            simulation.seconds(4).await;
            let start = simulation.time.now();
            simulation.trickle(small_key, "small", EVENTS).await;
            simulation.last_of(EVENTS, || simulation.receivers.calls_of(QUICK)).await - start
        };
        let (took, ()) = join(small, simulation.trickle(loud_key, "loud", loud)).await;
        // The slow one gets all of its events too.
        if loud > 0 {
            let _last = simulation.last_of(loud, || simulation.receivers.calls_of(SLOW)).await;
        }
        took
    };
    simulation.time.run(scenario).await
}

#[tokio::test]
async fn webhooks_of_a_small_workspace_beside_anothers_slow_ones_take_at_most_twice_their_time_alone() {
    let (alone, beside) = (webhooks_take(0).await, webhooks_take(100).await);
    assert!(beside <= alone * 2, "{beside} beside them, {alone} alone");
}

/// How long a run takes to end the small workspace's job over sixty users, beside the other's over this many.
async fn job_takes(loud: usize) -> TimeDelta {
    let simulation = &Simulation::start(Options { automatic: false, ..Options::default() }).await;
    let [loud_key, small_key] = &simulation.keys;
    let scenario = async {
        let _many = simulation.users(loud_key, "loud", loud).await;
        let _few = simulation.users(small_key, "small", 60).await;
        let suspend = json!({"action": "suspend", "filter": {}});
        let many = text(&simulation.post(loud_key, "/users/bulk", suspend.clone()).await["job_id"]);
        let few = text(&simulation.post(small_key, "/users/bulk", suspend).await["job_id"]);
        simulation.seconds(61).await;
        let (began, _) = simulation.run("run-due").await;
        let (many, few) = (simulation.job(loud_key, &many).await, simulation.job(small_key, &few).await);
        assert_eq!((&many["state"], &many["progress"]["changed"]), (&json!("finished"), &json!(loud)));
        assert_eq!((&few["state"], &few["progress"]["changed"]), (&json!("finished"), &json!(60)));
        few["ended_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap() - began
    };
    simulation.time.run(scenario).await
}

#[tokio::test]
async fn a_small_job_beside_another_workspaces_large_one_takes_at_most_twice_its_time_alone() {
    let (alone, beside) = (job_takes(0).await, job_takes(250).await);
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
}

/// How long the small workspace's job over this many users takes by the queue, beside the other's over so many.
async fn queued_job_takes(users: usize, loud: usize, options: Options) -> TimeDelta {
    let simulation = &Simulation::start(options).await;
    let [loud_key, small_key] = &simulation.keys;
    let scenario = async {
        let _many = simulation.users(loud_key, "loud", loud).await;
        let _few = simulation.users(small_key, "small", users).await;
        let suspend = json!({"action": "suspend", "filter": {}});
        let _many = simulation.post(loud_key, "/users/bulk", suspend.clone()).await;
        let few = text(&simulation.post(small_key, "/users/bulk", suspend).await["job_id"]);
        loop {
            simulation.seconds(1).await;
            let job = simulation.job(small_key, &few).await;
            if job["state"] == "finished" {
                assert_eq!(job["progress"]["changed"], json!(users));
                let time = |field: &str| job[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
                return time("ended_at") - time("created_at");
            }
        }
    };
    simulation.time.run(scenario).await
}

#[tokio::test]
async fn a_small_job_by_the_queue_beside_another_workspaces_large_one_takes_at_most_twice_its_time_alone() {
    let alone = queued_job_takes(100, 0, Options::default()).await;
    let beside = queued_job_takes(100, 350, Options::default()).await;
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
    assert!(alone < TimeDelta::seconds(20), "{alone}: it does not wait for the schedule");
}

/// The calls of a job's things take most of its time.
fn slow_database(call: &Call) -> Duration {
    if call.service == Service::Dynamodb { Duration::from_millis(40) } else { usual_latency(call) }
}

#[tokio::test]
async fn four_ranges_are_worked_on_side_by_side() {
    let options = |ranges_per_job| Options { ranges_per_job, latency: slow_database, ..Options::default() };
    let (one, four) = (queued_job_takes(250, 0, options(1)).await, queued_job_takes(250, 0, options(4)).await);
    // The call does the first 50 of the 250, and the list is read before the ranges begin.
    assert!(four * 3 <= one * 2, "{four} in four ranges, {one} in one");
}

/// How long a run takes to remove this many deleted users.
async fn purge_takes(users: usize) -> TimeDelta {
    let simulation = &Simulation::start(Options { automatic: false, ..Options::default() }).await;
    let key = &simulation.keys[1];
    let scenario = async {
        for user in simulation.users(key, "gone", users).await {
            let api = Api::anonymous(&simulation.stack).with_credential(key);
            let _deleted = api.send(Method::DELETE, &format!("/users/{user}"), None, &Value::Null).await;
        }
        simulation.seconds(40 * 24 * 60 * 60).await;
        let (began, answer) = simulation.run("purge-deleted").await;
        assert_eq!(answer, json!({"purged": users, "failed": 0, "more": false}));
        simulation.time.now() - began
    };
    simulation.time.run(scenario).await
}

#[tokio::test]
async fn a_purge_removes_many_side_by_side() {
    let (one, many) = (purge_takes(1).await, purge_takes(32).await);
    assert!(many <= one * 4, "{many} for 32, {one} for one");
}
