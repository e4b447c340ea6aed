//! The local stack's SNS and SESv2.
//!
//! One port serves both protocols as the AWS SDK uses them: SNS as AWS Query (a form in, XML out) and SESv2 as
//! REST-JSON below `/v2/email`. Nothing leaves this machine: e-mails, text messages and pushes go to the
//! [outbox](Messaging::outbox_router), topic messages to one [receiver](Messaging::topic_messages), which
//! delivers them to subscribers.
//!
//! Invariant: requests that AWS would reject are rejected here with the same code and status, and without side
//! effects. `checks/messaging_cases.py` tests this.

mod fault;
mod feedback;
mod identity;
mod mime;
mod outbox;
mod page;
mod push;
mod query;
mod ses;
mod sns;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use self::feedback::{EventDestination, EventType};
pub use self::outbox::{Attachment, Channel, OUTBOX_LIMIT, OutboxItem};
pub use self::push::ApplicationEvents;

use self::outbox::Outbox;
use self::push::Endpoint;
use crate::logs::LogEntry;

/// The largest request: SES accepts messages of 40 MB, and base64 makes them longer.
const REQUEST_LIMIT: usize = 64 * 1024 * 1024;

/// Source of the time.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The initial state, as in a deployed stack.
#[derive(Clone)]
pub struct MessagingConfig {
    /// The region in ARNs and messages.
    pub region: String,
    /// The account in ARNs.
    pub account: String,
    /// The addresses and domains that may send e-mail.
    pub verified_senders: Vec<String>,
    /// URL of this endpoint, shown by the empty outbox.
    pub base_url: String,
    /// Source of the time.
    pub clock: Now,
    /// The ARNs of the topics that exist.
    pub topics: Vec<String>,
    /// The SES configuration sets, with the destinations of their events.
    pub configuration_sets: BTreeMap<String, Option<EventDestination>>,
    /// The platform applications by ARN, with the destinations of their events.
    pub platform_applications: BTreeMap<String, ApplicationEvents>,
}

/// A message to a topic, by a caller or by this endpoint itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMessage {
    /// The topic.
    pub topic_arn: String,
    /// The message id that the publisher got.
    pub message_id: String,
    /// The subject, if there is one.
    pub subject: Option<String>,
    /// The body; of a `MessageStructure=json` publish, its `default` entry.
    pub message: String,
    /// Type and value by name; a binary value is in base64, as notifications carry it.
    pub attributes: BTreeMap<String, (String, String)>,
    /// Its message group, for queues.
    pub group: Option<String>,
    /// When it was published.
    pub timestamp: DateTime<Utc>,
}

/// The data of a snapshot.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    topics: BTreeSet<String>,
    applications: BTreeMap<String, ApplicationEvents>,
    endpoints: BTreeMap<String, Endpoint>,
    /// Addresses and domains, in lower case, and whether they are verified.
    identities: BTreeMap<String, bool>,
    configuration_sets: BTreeMap<String, Option<EventDestination>>,
    outbox: Outbox,
}

impl State {
    /// Adds the configuration, which takes precedence over a snapshot.
    fn seed(&mut self, config: &MessagingConfig) {
        let senders = config.verified_senders.iter();
        self.identities.extend(senders.map(|sender| (sender.to_lowercase(), true)));
        self.topics.extend(config.topics.iter().cloned());
        self.configuration_sets.extend(config.configuration_sets.clone());
        self.applications.extend(config.platform_applications.clone());
        let of_sets = config.configuration_sets.values().flatten();
        self.topics.extend(of_sets.map(|set| set.topic_arn.clone()));
        let of_applications = config.platform_applications.values();
        self.topics.extend(of_applications.flat_map(ApplicationEvents::topics));
    }
}

/// The channel of topic messages, or of log lines, to their receiver.
struct Feed<T> {
    sender: UnboundedSender<T>,
    /// The receiving end, until somebody takes it.
    receiver: Option<UnboundedReceiver<T>>,
}

impl<T> Feed<T> {
    fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { sender, receiver: Some(receiver) }
    }

    /// Takes the receiving end: the first call gets everything that was sent before, a later one what is sent
    /// from then on.
    fn take(&mut self) -> UnboundedReceiver<T> {
        if let Some(receiver) = self.receiver.take() {
            return receiver;
        }
        let (sender, receiver) = unbounded_channel();
        self.sender = sender;
        receiver
    }
}

struct Inner {
    config: MessagingConfig,
    state: Mutex<State>,
    feed: Mutex<Feed<TopicMessage>>,
    log: Mutex<Feed<LogEntry>>,
}

/// The endpoint. Clones share one state.
#[derive(Clone)]
pub struct Messaging {
    inner: Arc<Inner>,
}

impl Messaging {
    /// An endpoint with the configuration's state, and an empty outbox.
    #[must_use]
    pub fn new(config: MessagingConfig) -> Self {
        Self::with_state(config, State::default())
    }

    /// An endpoint that continues from a snapshot; the configuration takes precedence.
    ///
    /// # Errors
    /// If the snapshot was not made by [`Self::to_json`].
    pub fn from_json(config: MessagingConfig, snapshot: serde_json::Value) -> serde_json::Result<Self> {
        serde_json::from_value(snapshot).map(|state| Self::with_state(config, state))
    }

    /// A snapshot of everything that must outlive the process: platform endpoints, what calls created, the outbox.
    ///
    /// # Errors
    /// Never in practice: the state is plain data.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(&*self.state())
    }

    /// Replaces the state by a snapshot.
    ///
    /// # Errors
    /// If the snapshot was not made by [`Self::to_json`].
    pub fn restore(&self, snapshot: serde_json::Value) -> serde_json::Result<()> {
        *self.state() = serde_json::from_value(snapshot)?;
        Ok(())
    }

    fn with_state(config: MessagingConfig, mut state: State) -> Self {
        state.seed(&config);
        let (feed, log) = (Mutex::new(Feed::new()), Mutex::new(Feed::new()));
        Self { inner: Arc::new(Inner { config, state: Mutex::new(state), feed, log }) }
    }

    /// The routes of both protocols, as the AWS SDKs call them.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(sns::serve))
            .route("/v2/email/outbound-emails", post(ses::send_email))
            .route("/v2/email/identities", post(ses::create_email_identity))
            .route("/v2/email/identities/{identity}", get(ses::get_email_identity))
            .route("/v2/email/configuration-sets", post(ses::create_configuration_set))
            .fallback(ses::unknown_operation)
            .method_not_allowed_fallback(ses::unknown_operation)
            .layer(DefaultBodyLimit::max(REQUEST_LIMIT))
            .with_state(self.clone())
    }

    /// `GET /_local/outbox`: a page for people and, by `Accept: application/json`, `{items: […]}`.
    pub fn outbox_router(&self) -> Router {
        Router::new().route("/_local/outbox", get(outbox::serve)).with_state(self.clone())
    }

    /// Everything that was sent, newest first.
    #[must_use]
    pub fn outbox(&self) -> Vec<OutboxItem> {
        self.state().outbox.items().cloned().collect()
    }

    /// Number of e-mails, text messages and pushes that were ever accepted, including dropped ones.
    #[must_use]
    pub fn sent_count(&self) -> u64 {
        self.state().outbox.sent_count()
    }

    /// Empties the outbox.
    pub fn clear(&self) {
        self.state().outbox.clear();
    }

    /// The messages of all topics, in order.
    ///
    /// There is one receiver at a time: the first gets everything that was published before, a later one what
    /// is published from then on.
    #[must_use]
    pub fn topic_messages(&self) -> UnboundedReceiver<TopicMessage> {
        lock(&self.inner.feed).take()
    }

    /// The lines of SNS's own logs: one per text message. There is one receiver at a time, as for
    /// [`Self::topic_messages`].
    #[must_use]
    pub fn log_entries(&self) -> UnboundedReceiver<LogEntry> {
        lock(&self.inner.log).take()
    }

    fn config(&self) -> &MessagingConfig {
        &self.inner.config
    }

    fn now(&self) -> DateTime<Utc> {
        (self.config().clock)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.inner.state)
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let MessagingConfig { region, account, .. } = self.config();
        format!("arn:aws:{service}:{region}:{account}:{resource}")
    }

    /// Sends the message to the receiver; without one it is lost, as on a topic without subscribers.
    fn publish(&self, message: TopicMessage) {
        if lock(&self.inner.feed).sender.send(message).is_err() {
            tracing::debug!("a topic message had no receiver");
        }
    }

    /// Sends a log line to the receiver; without one it is lost, as without a subscription.
    fn log(&self, entry: LogEntry) {
        if lock(&self.inner.log).sender.send(entry).is_err() {
            tracing::debug!("a log line had no receiver");
        }
    }

    /// Publishes an event of AWS itself.
    fn publish_event(&self, topic_arn: &str, subject: String, event: &serde_json::Value) {
        self.publish(TopicMessage {
            topic_arn: topic_arn.to_owned(),
            message_id: new_id(),
            subject: Some(subject),
            message: event.to_string(),
            attributes: BTreeMap::new(),
            group: None,
            timestamp: self.now(),
        });
    }
}

/// A panic elsewhere leaves plain data behind, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_id() -> String {
    crate::random_id().to_string()
}

/// A time in the format of AWS's events.
fn aws_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
