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
use testkit::simulated_time::{Receivers, SimulatedTime, usual_latency};
use testkit::text;

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

/// Few, so that a flood is small.
const EMAILS_PER_SECOND: u32 = 4;

impl Simulation {
    /// Stream, topics, queues and schedules run by themselves.
    async fn start() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(automatic: bool) -> Self {
        Self::start_with_ranges(automatic, 8).await
    }

    async fn start_with_ranges(automatic: bool, ranges: usize) -> Self {
        let time = SimulatedTime::starting_at(START.parse().unwrap());
        let receivers = Receivers::new(&time, takes);
        let (timed, network) = (time.adjust(usual_latency), receivers.adjust());
        let adjust: Adjust = Arc::new(move |operation, connection| network(operation, timed(operation, connection)));
        let parameters = [("EmailsPerSecond", EMAILS_PER_SECOND.to_string()), ("RangesPerJob", ranges.to_string())];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let stack = Stack::start(StackOptions {
            automatic,
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
        text(&self.post(key, "/users", json!({"username": username, "email": email})).await["user_id"])
    }

    async fn users(&self, key: &str, name: &str, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|n| format!("{name}{n}")).collect();
        join_all(names.iter().map(|username| self.user(key, username))).await
    }

    async fn invite_all(&self, key: &str, users: &[String]) {
        let invite = |user: &String| {
            let path = format!("/users/{user}/invite");
            async move { self.post(key, &path, json!({"channel": "email"})).await }
        };
        let _invited = join_all(users.iter().map(invite)).await;
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
            self.time.sleep(Duration::from_millis(20)).await;
        }
    }
}

/// How long the small workspace's e-mails take beside this many of the other's.
async fn mail_takes(loud: usize) -> TimeDelta {
    const MAILS: usize = 12;
    let simulation = &Simulation::start().await;
    let [loud_key, small_key] = &simulation.keys;
    let scenario = async {
        let many = simulation.users(loud_key, "loud", loud).await;
        let few = simulation.users(small_key, "small", MAILS).await;
        simulation.seconds(1).await;
        simulation.invite_all(loud_key, &many).await;
        simulation.seconds(40).await;
        let (start, before) = (simulation.time.now(), simulation.stack.messaging().outbox().len());
        assert!(before >= loud.min(39 * EMAILS_PER_SECOND as usize), "as fast as SES allows: {before}");
        assert!(before <= 42 * EMAILS_PER_SECOND as usize, "not faster: {before}");
        simulation.invite_all(small_key, &few).await;
        let sent = || {
            let outbox = simulation.stack.messaging().outbox().into_iter();
            outbox.filter(|item| item.to.starts_with("small")).map(|item| item.sent_at).collect()
        };
        simulation.last_of(MAILS, sent).await - start
    };
    simulation.time.run(scenario).await
}

#[tokio::test]
async fn the_mails_of_a_small_workspace_beside_a_flood_take_at_most_twice_their_time_alone() {
    let (alone, beside) = (mail_takes(0).await, mail_takes(240).await);
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
}

/// How long the small workspace's deliveries to its quick webhook take beside the other's to a slow one.
async fn webhooks_take(loud: usize) -> TimeDelta {
    const EVENTS: usize = 5;
    let simulation = &Simulation::start().await;
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
    let simulation = &Simulation::start_with(false).await;
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
    let (alone, beside) = (job_takes(0).await, job_takes(400).await);
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
}

/// How long the small workspace's job over this many users takes by the queue, beside the other's over so many.
async fn queued_job_takes(users: usize, loud: usize, ranges: usize) -> TimeDelta {
    let simulation = &Simulation::start_with_ranges(true, ranges).await;
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
    let (alone, beside) = (queued_job_takes(100, 0, 8).await, queued_job_takes(100, 600, 8).await);
    assert!(beside <= alone * 2, "{beside} beside it, {alone} alone");
    assert!(alone < TimeDelta::seconds(20), "{alone}: it does not wait for the schedule");
}

#[tokio::test]
async fn eight_ranges_are_worked_on_side_by_side() {
    let (one, eight) = (queued_job_takes(450, 0, 1).await, queued_job_takes(450, 0, 8).await);
    assert!(eight * 2 <= one, "{eight} in eight ranges, {one} in one");
}

/// How long a run takes to remove this many deleted users.
async fn purge_takes(users: usize) -> TimeDelta {
    let simulation = &Simulation::start_with(false).await;
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
