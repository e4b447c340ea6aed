//! The fixture of tests over HTTP: a system with one workspace. Test files add methods to it for their own areas.

use std::collections::BTreeMap;

use local::messaging::{Channel, OutboxItem};
use serde_json::Value;
use testkit::egress::Pages;
use testkit::faults::Faults;
use testkit::{Answer, Bench, Setup, Tenant, text};

/// A text, percent-encoded for a URL.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A system with one workspace. Requests use the workspace's first key unless another credential is given.
pub(crate) struct Fixture {
    pub(crate) bench: Bench,
    /// Faults on the way to AWS; none until a test sets one.
    pub(crate) faults: Faults,
    /// Hosts outside AWS; they do not answer until a test sets a response.
    pub(crate) pages: Pages,
    pub(crate) tenant: Tenant,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::of(Setup::new()).await
    }

    /// A fixture with other settings.
    pub(crate) async fn of(setup: Setup) -> Self {
        let (faults, pages) = (Faults::new(), Pages::default());
        let bench = setup.with(faults.adjust()).with(pages.adjust()).start().await;
        let tenant = bench.tenant("House").await;
        Self { bench, faults, pages, tenant }
    }

    /// The JSON at a path.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.bench.get(path, &self.tenant.key).await.expect(200).body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.bench.post(path, &self.tenant.key, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.bench.patch(path, &self.tenant.key, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.bench.put(path, &self.tenant.key, body).await
    }

    /// All items of a list.
    pub(crate) async fn all(&self, list: &str) -> Vec<Value> {
        self.bench.list_all(&self.tenant, list).await
    }

    /// Changes settings of the workspace.
    pub(crate) async fn update_settings(&self, settings: Value) -> Answer {
        self.patch("/workspace", settings).await
    }

    /// Creates a user with an e-mail address and a number, and returns the identifier.
    pub(crate) async fn user(&self, username: &str) -> String {
        self.bench.user(&self.tenant, username).await
    }

    /// The events of a type, newest first, however old.
    pub(crate) async fn events(&self, event_type: &str) -> Vec<Value> {
        self.all(&format!("/events?event_type={event_type}&since=2026-11-01T00:00:00Z")).await
    }

    /// A job with all its outcomes.
    pub(crate) async fn job(&self, id: &str) -> Value {
        let mut job = self.get(&format!("/jobs/{id}?limit=100")).await;
        let mut items = job["items"].as_array().cloned().unwrap();
        while let Some(cursor) = job["next_cursor"].as_str() {
            job = self.get(&format!("/jobs/{id}?limit=100&cursor={cursor}")).await;
            items.extend(job["items"].as_array().cloned().unwrap());
        }
        job["items"] = items.into();
        job
    }

    /// How often a job has changed each user, by the events of a type.
    pub(crate) async fn done(&self, job: &str, event_type: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.events(event_type).await {
            if event["job_id"] == *job {
                *counts.entry(text(&event["user_id"])).or_default() += 1;
            }
        }
        counts
    }

    /// Runs everything that is due, retries at their times.
    pub(crate) async fn settle(&self) {
        self.bench.settle().await;
    }

    /// Sent messages, newest first.
    pub(crate) fn sent(&self, channel: Channel) -> Vec<OutboxItem> {
        self.bench.sent(channel)
    }
}
