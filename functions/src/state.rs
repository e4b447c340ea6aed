//! The state of an operation's process, built once before its first event.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws::{Clients, EgressClient, JobsTopic, Mailer, Pusher, Table, Texter, TopicPublisher};
use chrono::{DateTime, Utc};
use domain::Time;
use domain::egress::EgressPolicy;
use domain::error::Error;
use lambda::IdSource;
use lambda::logging::Chain;

use crate::callers::{Callers, IssuerKeysCache};
use crate::settings::Settings;
use crate::triggers::send_message::MessageSender;

/// The clock, injected so that tests can set the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The system clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    pub fn system() -> Self {
        Self::from_fn(Arc::new(Utc::now))
    }

    /// A clock that returns what the function returns.
    #[must_use]
    pub fn from_fn(now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>) -> Self {
        Self(now)
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

/// Settings and AWS clients of an operation.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Settings from the environment.
    pub settings: Settings,
    clock: Clock,
    issuer_keys: IssuerKeysCache,
    table: Option<Table>,
    topic: Option<TopicPublisher>,
    jobs: Option<JobsTopic>,
    mailer: Option<Mailer>,
    pusher: Pusher,
    texter: Texter,
    clients: Clients,
    webhooks: Arc<OnceLock<EgressClient>>,
}

impl AppState {
    /// Builds the clients that the settings call for.
    #[must_use]
    pub fn new(settings: Settings, clients: Clients, clock: Clock) -> Self {
        let sender = settings.sender.clone().zip(settings.configuration_set.clone());
        Self {
            clock,
            issuer_keys: IssuerKeysCache::default(),
            table: settings.tables.clone().map(|names| Table::new(&clients, names)),
            topic: settings.events_topic.clone().map(|arn| TopicPublisher::new(&clients, arn)),
            jobs: settings.jobs_topic.clone().map(|arn| JobsTopic::new(&clients, arn)),
            mailer: sender.map(|(sender, set)| Mailer::new(&clients, sender, set)),
            texter: Texter::new(&clients),
            pusher: Pusher::new(&clients, settings.applications.ios.clone(), settings.applications.android.clone()),
            settings,
            clients,
            webhooks: Arc::default(),
        }
    }

    /// Opens the connection to the table with one cheap read, so that the first event need not wait for it. A failure
    /// does not prevent the start; the first event's own read will report it.
    pub async fn warm_up(&self) {
        if let Some(table) = &self.table
            && let Err(error) = table.issuer_keys().await
        {
            tracing::warn!(error = %Chain(&error), "the table did not answer at start");
        }
    }

    /// The clock, for work that checks it repeatedly.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The current time, and a source of identifiers.
    #[must_use]
    pub fn id_source(&self) -> IdSource {
        IdSource::new(self.clock.now(), random)
    }

    /// The tables.
    ///
    /// # Errors
    /// `Internal` if the environment names none.
    pub fn table(&self) -> Result<&Table, Error> {
        needed(self.table.as_ref(), "TABLE")
    }

    /// Looks callers up at a given time.
    ///
    /// # Errors
    /// `Internal` if the environment names no table.
    pub(crate) fn callers(&self, now: Time) -> Result<Callers<'_>, Error> {
        let issuer = self.settings.issuer.as_ref().map(|issuer| issuer.url.as_str());
        Ok(Callers { table: self.table()?, cache: &self.issuer_keys, issuer, now })
    }

    /// The topic `events`.
    ///
    /// # Errors
    /// `Internal` if the environment names none.
    pub fn topic(&self) -> Result<&TopicPublisher, Error> {
        needed(self.topic.as_ref(), "EVENTS_TOPIC_ARN")
    }

    /// The topic `jobs`.
    ///
    /// # Errors
    /// `Internal` if the environment names none.
    pub fn jobs(&self) -> Result<&JobsTopic, Error> {
        needed(self.jobs.as_ref(), "JOBS_TOPIC_ARN")
    }

    /// The client for e-mails.
    ///
    /// # Errors
    /// `Internal` if the environment names no sender.
    pub fn mailer(&self) -> Result<&Mailer, Error> {
        needed(self.mailer.as_ref(), "SENDER")
    }

    /// The sender of messages.
    ///
    /// # Errors
    /// `Internal` if the environment names no e-mail sender or no product URL.
    pub fn message_sender(&self) -> Result<MessageSender<'_>, Error> {
        let (mail, public_url) = (self.mailer()?, self.public_url()?);
        let Settings { app, senders, operator, sending_rates, .. } = &self.settings;
        let (sms, policy, clients) = (&self.texter, &operator.messages, &self.clients);
        Ok(MessageSender { mail, sms, senders, policy, public_url, app, rates: *sending_rates, clients })
    }

    /// The client for pushes. A platform without an application gets none.
    #[must_use]
    pub fn pusher(&self) -> &Pusher {
        &self.pusher
    }

    /// A client for fetching sources.
    ///
    /// # Errors
    /// `Internal` if the system's certificate authorities cannot be loaded.
    pub fn source_client(&self) -> Result<EgressClient, Error> {
        EgressClient::for_workspace_urls(&self.clients)
    }

    /// A client for the pages of the issuer of admins' tokens.
    ///
    /// # Errors
    /// `Internal` if the system's certificate authorities cannot be loaded.
    pub fn issuer_pages(&self) -> Result<EgressClient, Error> {
        EgressClient::for_issuer(&self.clients)
    }

    /// The egress policy of webhooks.
    #[must_use]
    pub fn webhook_policy(&self) -> EgressPolicy {
        self.clients.webhooks()
    }

    /// The client for webhooks, built on first use; it keeps its connections.
    ///
    /// # Errors
    /// `Internal` if the system's certificate authorities cannot be loaded.
    pub fn webhook_client(&self) -> Result<&EgressClient, Error> {
        match self.webhooks.get() {
            Some(client) => Ok(client),
            None => {
                let client = EgressClient::for_webhooks(&self.clients)?;
                Ok(self.webhooks.get_or_init(|| client))
            }
        }
    }

    /// The product's URL.
    ///
    /// # Errors
    /// `Internal` if the environment does not name it.
    pub fn public_url(&self) -> Result<&str, Error> {
        needed(self.settings.public_url.as_deref(), "PUBLIC_URL")
    }
}

fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, Error> {
    value.ok_or_else(|| Error::internal("starting", format!("the environment variable {name} is not set")))
}

fn random(bytes: &mut [u8]) {
    // Without randomness no credential can be created safely, so the run ends.
    getrandom::fill(bytes).expect("the system gives random bytes");
}
