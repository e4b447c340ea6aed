//! The complete system in one process: the services, the operations that use them, the gateway in front and the
//! driver behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws::Connection;
use aws::EgressPolicy;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use chrono::{DateTime, Utc};
use dynoxide::Database;
use futures::FutureExt;
use http::{Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::driver::{Driver, DriverOptions, StreamBlocked};
use crate::gateway::{Gateway, MAX_BODY, Routes};
use crate::lines::Lines;
use crate::messaging::{ApplicationEvents, EventDestination, EventType, Messaging, MessagingConfig};
use crate::operations::{Adjust, operations};
use crate::queue::Retry;
use crate::template::{StackLocation, Template};
use crate::tokens::{self, Operator};
use crate::{Invoke, Now, Wait};

/// Why the stack did not start.
#[derive(Debug)]
pub struct StackError(String);

impl std::fmt::Display for StackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StackError {}

fn start_error(what: &str) -> impl Fn(&dyn std::fmt::Display) -> StackError + '_ {
    move |error| StackError(format!("{what}: {error}"))
}

/// Options of the stack.
pub struct StackOptions {
    /// The folder for all data; `None` for in memory.
    pub data: Option<PathBuf>,
    /// The HTTP port of the API, 0 for any free one; `None` for [`Stack::http`] only.
    pub port: Option<u16>,
    /// True if stream, topics, queues and schedules run by themselves; otherwise by [`Stack::drain`] and
    /// [`Stack::run_schedule`].
    pub automatic: bool,
    /// The time.
    pub now: Now,
    /// Waits for timeouts, by the same clock.
    pub wait: Wait,
    /// The template's text.
    pub template: String,
    /// Values of the template's parameters, besides the local ones. With `EmailsPerSecond`, messages are sent at that
    /// rate, as on AWS; else without pauses.
    pub parameters: BTreeMap<String, String>,
    /// Changes each operation's connection to the services.
    pub adjust: Option<Adjust>,
    /// Which addresses webhooks may have.
    pub webhooks: EgressPolicy,
    /// Output for a line about each HTTP request.
    pub request_log: Option<Lines>,
}

impl Default for StackOptions {
    /// In memory, without a socket, driven by hand, on the system's clock: for tests.
    fn default() -> Self {
        Self {
            data: None,
            port: None,
            automatic: false,
            now: Arc::new(system_time),
            wait: Arc::new(|time| tokio::time::sleep(time).boxed()),
            template: crate::TEMPLATE.to_owned(),
            parameters: BTreeMap::new(),
            adjust: None,
            webhooks: EgressPolicy::Public,
            request_log: None,
        }
    }
}

/// The time of this machine's clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the boundary: everything else is given the time")]
pub fn system_time() -> DateTime<Utc> {
    Utc::now()
}

/// A snapshot of the stack.
pub struct Mark {
    file: PathBuf,
    messages: Value,
    waiting: crate::driver::Mark,
}

impl Drop for Mark {
    fn drop(&mut self) {
        crate::database::remove(&self.file);
    }
}

/// The running system. It stops when this is dropped.
pub struct Stack {
    url: String,
    template: Arc<Template>,
    database: Database,
    messaging: Messaging,
    gateway: Arc<Gateway>,
    driver: Arc<Driver>,
    invoke: Invoke,
    operator: Operator,
    now: Now,
    data: Option<PathBuf>,
    tasks: Vec<AbortHandle>,
}

impl Stack {
    /// Starts the system.
    ///
    /// # Errors
    /// What could not be started, and why.
    pub async fn start(options: StackOptions) -> Result<Self, StackError> {
        let location = StackLocation::default();
        let listener = match options.port {
            Some(port) => Some(listen(port).await?),
            None => None,
        };
        let url = match &listener {
            Some(listener) => local_url(listener)?,
            None => "http://127.0.0.1".to_owned(),
        };
        let paced = options.parameters.contains_key("EmailsPerSecond");
        let parameters = local_parameters(&url, &location, options.parameters);
        let template = Template::read(&options.template, &location, &parameters);
        let mut template = template.map_err(|error| StackError(error.to_string()))?;
        if parameters.get("OidcIssuer").is_some_and(|issuer| issuer == tokens::ISSUER) {
            // The local issuer has no keys to fetch.
            let asking = template.functions.iter_mut().filter(|function| function.operation == "refresh-issuer-keys");
            asking.for_each(|function| {
                function.schedules.clear();
                function.runs_when_deployed = false;
            });
        }
        if !paced {
            // The local SES and SNS have no rate.
            let sending = template.functions.iter_mut().filter(|function| function.operation == "send-message");
            sending.for_each(|function| {
                function
                    .variables
                    .retain(|name, _| !["EMAILS_PER_SECOND", "TEXTS_PER_SECOND"].contains(&name.as_str()));
            });
        }
        let template = Arc::new(template);

        let mut tasks = Vec::new();
        let database = database(options.data.as_deref(), &template)?;
        let (dynamodb_url, task) = serve_database(&database).await?;
        tasks.push(task);
        let (messaging, messaging_url, task) =
            serve_messaging(&template, &location, &parameters, &options.now, options.data.as_deref()).await?;
        tasks.push(task);

        let mut connection = connection(&location, &dynamodb_url, &messaging_url);
        connection.webhooks = options.webhooks;
        let invoke =
            operations(&template, &location, &connection, options.adjust.as_ref(), &options.now, &options.wait);
        let used = Arc::new(AtomicBool::new(false));
        let invoke = recording_use(invoke.map_err(StackError)?, Arc::clone(&used));

        let operator = Operator::new(&template, &location, &connection, &options.now).map_err(StackError)?;

        let driver = Arc::new(Driver::new(DriverOptions {
            template: Arc::clone(&template),
            location: location.clone(),
            database: database.clone(),
            invoke: Arc::clone(&invoke),
            published: messaging.topic_messages(),
            logged: messaging.log_entries(),
            now: Arc::clone(&options.now),
            wait: Arc::clone(&options.wait),
            positions_file: options.data.as_ref().map(|folder| folder.join("streams.json")),
        }));
        let routes = Routes::new(&template.functions).map_err(StackError)?;
        let by_https = parameters.get("PublicUrl").is_some_and(|url| url.starts_with("https://"));
        let gateway = Gateway::new(routes, location, Arc::clone(&invoke), Arc::clone(&options.now), options.wait);
        let gateway = Arc::new(gateway.behind_https(by_https));

        let (now, data) = (options.now, options.data);
        let mut stack =
            Self { url, template, database, messaging, gateway, driver, invoke, operator, now, data, tasks };
        if let Some(listener) = listener {
            stack.serve(listener, options.request_log);
        }
        if options.automatic {
            stack.start_driver();
        }
        if let Some(folder) = stack.data.clone() {
            stack.save_messages_regularly(folder, used);
        }
        Ok(stack)
    }

    /// The address of the API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.now)()
    }

    /// The resolved template.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The tables.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The e-mails, texts and pushes that were sent.
    #[must_use]
    pub fn messaging(&self) -> &Messaging {
        &self.messaging
    }

    /// The driver of the stream, topics, queues and schedules.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// A request to the API, without a socket.
    pub async fn http(&self, request: Request<Bytes>) -> Response<Bytes> {
        let response = self.gateway.handle(request, "127.0.0.1").await;
        self.driver.wake();
        response
    }

    /// Runs an operation with an event, as a caller with IAM permission can.
    ///
    /// # Errors
    /// The operation's error.
    pub async fn invoke(&self, operation: &str, event: Value) -> Result<Value, String> {
        let reply = (self.invoke)(operation, event).await;
        self.driver.wake();
        reply
    }

    /// Processes everything until nothing is left.
    ///
    /// # Errors
    /// If the table's stream is blocked.
    pub async fn drain(&self, retry: Retry) -> Result<(), StreamBlocked> {
        self.driver.drain(retry).await
    }

    /// Processes everything, setting the clock to each next attempt, until nothing is left or waits: all
    /// retries happen at their times, without the waiting.
    ///
    /// # Errors
    /// If the table's stream is blocked.
    pub async fn settle(&self, set_clock: impl Fn(DateTime<Utc>)) -> Result<(), StreamBlocked> {
        self.drain(Retry::WhenDue).await?;
        while let Some(due) = self.driver.next_due() {
            set_clock(due);
            self.drain(Retry::WhenDue).await?;
        }
        Ok(())
    }

    /// Takes a snapshot to return to. No work may be in progress.
    ///
    /// # Errors
    /// If the tables cannot be copied.
    pub fn mark(&self) -> Result<Mark, StackError> {
        let file = std::env::temp_dir().join(format!("handset-{}.sqlite", crate::random_id()));
        let mark = Mark {
            messages: self.messaging.to_json().map_err(|error| start_error("marking messages")(&error))?,
            waiting: self.driver.mark(),
            file,
        };
        self.database
            .vacuum_into(&mark.file.to_string_lossy())
            .map_err(|error| start_error("marking tables")(&error))?;
        Ok(mark)
    }

    /// Restores a snapshot: tables, messages and pending work. The caller sets the clock, and values cached by
    /// operations stay.
    ///
    /// # Errors
    /// If the tables cannot be copied.
    pub fn restore(&self, mark: &Mark) -> Result<(), StackError> {
        let restored = self.database.restore_from(&mark.file.to_string_lossy());
        restored.map_err(|error| start_error("going back")(&error))?;
        self.driver.restore(&mark.waiting);
        self.messaging.restore(mark.messages.clone()).map_err(|error| start_error("going back")(&error))
    }

    /// Runs a scheduled operation once.
    ///
    /// # Errors
    /// The operation's error.
    pub async fn run_schedule(&self, operation: &str) -> Result<Value, String> {
        self.driver.run_schedule(operation).await
    }

    /// Runs the operations that run after a deployment. Nothing on this machine needs them, since the local
    /// issuer has no keys.
    ///
    /// # Errors
    /// An operation's error.
    pub async fn run_after_deployment(&self) -> Result<(), String> {
        self.driver.run_after_deployment().await
    }

    /// Saves everything that is not yet in the folder. Must be called before the process ends.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self) -> Result<(), StackError> {
        match &self.data {
            Some(folder) => save_messages(&self.messaging, folder),
            None => Ok(()),
        }
    }

    fn serve(&mut self, listener: TcpListener, request_log: Option<Lines>) {
        let shared = SocketState { gateway: Arc::clone(&self.gateway), driver: Arc::clone(&self.driver), request_log };
        let router = Router::new().fallback(answer).with_state(shared).merge(self.messaging.outbox_router());
        let router = router.merge(crate::workspaces::router(Arc::clone(&self.invoke)));
        let router = router.merge(self.operator.clone().router());
        self.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the API stopped: {error}");
            }
        });
    }

    fn start_driver(&mut self) {
        let driver = Arc::clone(&self.driver);
        self.spawn(async move { driver.run().await });
    }

    /// Saves messages and push endpoints soon after each run of an operation.
    fn save_messages_regularly(&mut self, folder: PathBuf, used: Arc<AtomicBool>) {
        let messaging = self.messaging.clone();
        self.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(2)).await;
                if used.swap(false, Ordering::Relaxed)
                    && let Err(error) = save_messages(&messaging, &folder)
                {
                    eprintln!("{error}");
                }
            }
        });
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task).abort_handle());
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The state for requests on the socket.
#[derive(Clone)]
struct SocketState {
    gateway: Arc<Gateway>,
    driver: Arc<Driver>,
    request_log: Option<Lines>,
}

/// Passes a request from the socket to the gateway.
async fn answer(State(served): State<SocketState>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    // One byte more than the gateway accepts, so that the gateway rejects it; what is far larger is cut off.
    let body = axum::body::to_bytes(body, MAX_BODY + 1).await;
    let body = body.unwrap_or_else(|_| Bytes::from(vec![0; MAX_BODY + 1]));
    let (response, line) = served.gateway.handle_with_line(Request::from_parts(head, body), "127.0.0.1").await;
    if let Some(lines) = &served.request_log {
        lines.line(&line);
    }
    served.driver.wake();
    response.map(Body::from)
}

async fn listen(port: u16) -> Result<TcpListener, StackError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| start_error(&format!("port {port}"))(&error))
}

fn local_url(listener: &TcpListener) -> Result<String, StackError> {
    let address = listener.local_addr().map_err(|error| start_error("the API's address")(&error))?;
    Ok(format!("http://{address}"))
}

/// The template's parameters for this machine, except those that are given.
fn local_parameters(url: &str, location: &StackLocation, given: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let application = |platform: &str| location.arn("sns", &format!("app/{platform}/handset"));
    let local = [
        ("PublicUrl", url.to_owned()),
        ("SenderAddress", "phones@handset.example".into()),
        ("Senders", "it@handset.example,help@handset.example".into()),
        ("SmsSenders", "Handset".into()),
        ("SmsLogGroups", "new".into()),
        ("EmailsPerDay", "1000000".into()),
        ("TextsPerDay", "10000".into()),
        ("TextCallingCodes", "+1,+33,+41,+43,+44,+49".into()),
        ("OidcIssuer", tokens::ISSUER.to_owned()),
        ("OidcAudience", "handset".into()),
        ("IosPlatformApplicationArn", application("APNS")),
        ("AndroidPlatformApplicationArn", application("GCM")),
        ("IosAppId", "ABCDE12345.com.example.handset".into()),
        ("IosStoreUrl", "https://apps.apple.com/app/id0000000000".into()),
        ("AndroidPackage", "com.example.handset".into()),
        ("AndroidCertFingerprints", vec!["00"; 32].join(":")),
        ("AndroidStoreUrl", "https://play.google.com/store/apps/details?id=com.example.handset".into()),
    ];
    let mut parameters: BTreeMap<String, String> = local.map(|(name, value)| (name.to_owned(), value)).into();
    parameters.extend(given);
    parameters
}

/// The database, in the folder if there is one.
fn database(folder: Option<&Path>, template: &Template) -> Result<Database, StackError> {
    if let Some(folder) = folder {
        make_private(folder).map_err(|error| start_error(&folder.display().to_string())(&error))?;
    }
    crate::database::open(folder, template).map_err(|error| start_error("the database")(&error))
}

async fn serve_database(database: &Database) -> Result<(String, AbortHandle), StackError> {
    let listener = listen(0).await?;
    let url = local_url(&listener)?;
    let serving = dynoxide::server::serve_with_shutdown(listener, database.clone(), std::future::pending());
    let task = tokio::spawn(async move {
        if let Err(error) = serving.await {
            eprintln!("the database stopped: {error}");
        }
    });
    Ok((url, task.abort_handle()))
}

async fn serve_messaging(
    template: &Template,
    location: &StackLocation,
    parameters: &BTreeMap<String, String>,
    now: &Now,
    folder: Option<&Path>,
) -> Result<(Messaging, String, AbortHandle), StackError> {
    let listener = listen(0).await?;
    let url = local_url(&listener)?;
    let config = messaging_config(template, location, parameters, now, &url)?;
    let saved = folder.and_then(|folder| fs::read(folder.join("messages.json")).ok());
    let messaging = match saved {
        Some(bytes) => serde_json::from_slice(&bytes).and_then(|snapshot| Messaging::from_json(config, snapshot)),
        None => Ok(Messaging::new(config)),
    };
    let messaging = messaging.map_err(|error| start_error("messages.json")(&error))?;
    let router = messaging.router();
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("SNS and SES stopped: {error}");
        }
    });
    Ok((messaging, url, task.abort_handle()))
}

/// The initial state of SNS and SES in the deployed stack.
fn messaging_config(
    template: &Template,
    location: &StackLocation,
    parameters: &BTreeMap<String, String>,
    now: &Now,
    url: &str,
) -> Result<MessagingConfig, StackError> {
    let mut configuration_sets: BTreeMap<String, Option<EventDestination>> =
        template.configuration_sets.iter().map(|name| (name.clone(), None)).collect();
    for destination in &template.event_destinations {
        let event_types = destination.events.iter().map(|name| event_type(name)).collect::<Result<_, _>>()?;
        let topic_arn = destination.topic_arn.clone();
        let set = destination.configuration_set.clone();
        configuration_sets.insert(set, Some(EventDestination { topic_arn, event_types }));
    }
    let events = template.outputs.get("PlatformEventsTopicArn");
    let events = events.map(|arn| ApplicationEvents::to_topic(arn)).unwrap_or_default();
    let applications = ["IosPlatformApplicationArn", "AndroidPlatformApplicationArn"];
    let applications = applications.iter().filter_map(|name| parameters.get(*name)).filter(|arn| !arn.is_empty());
    Ok(MessagingConfig {
        region: location.region.clone(),
        account: location.account.clone(),
        // From the template: the senders, by their addresses and their domains.
        verified_senders: ["SenderAddress", "Senders"]
            .iter()
            .filter_map(|name| parameters.get(*name))
            .flat_map(|senders| senders.split(','))
            .flat_map(|sender| [sender].into_iter().chain(sender.rsplit_once('@').map(|(_, domain)| domain)))
            .map(str::to_owned)
            .collect(),
        base_url: url.to_owned(),
        clock: Arc::clone(now),
        topics: template.topics.clone(),
        configuration_sets,
        platform_applications: applications.map(|arn| (arn.clone(), events.clone())).collect(),
    })
}

fn event_type(name: &str) -> Result<EventType, StackError> {
    match name {
        "SEND" => Ok(EventType::Send),
        "DELIVERY" => Ok(EventType::Delivery),
        "BOUNCE" => Ok(EventType::Bounce),
        "COMPLAINT" => Ok(EventType::Complaint),
        "REJECT" => Ok(EventType::Reject),
        other => Err(StackError(format!("template.yaml: the SES event {other} is not supported"))),
    }
}

/// A connection to the local services, which accept any credentials.
fn connection(location: &StackLocation, dynamodb_url: &str, messaging_url: &str) -> Connection {
    let credentials = aws_credential_types::Credentials::new("local", "local", None, None, "local");
    let mut connection = Connection::new(location.region.clone(), credentials);
    connection.dynamodb_endpoint = Some(dynamodb_url.to_owned());
    connection.sns_endpoint = Some(messaging_url.to_owned());
    connection.sesv2_endpoint = Some(messaging_url.to_owned());
    connection
}

/// Records that an operation was run.
fn recording_use(invoke: Invoke, used: Arc<AtomicBool>) -> Invoke {
    Arc::new(move |operation, event| {
        let used = Arc::clone(&used);
        let run = invoke(operation, event);
        async move {
            let reply = run.await;
            used.store(true, Ordering::Relaxed);
            reply
        }
        .boxed()
    })
}

fn save_messages(messaging: &Messaging, folder: &Path) -> Result<(), StackError> {
    let path = folder.join("messages.json");
    let snapshot = messaging.to_json().map_err(|error| start_error("messages.json")(&error))?;
    save_private(&path, snapshot.to_string().as_bytes())
        .map_err(|error| start_error(&path.display().to_string())(&error))
}

/// Makes a folder accessible to this user only.
fn make_private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// Writes a file that only this user can read, through a temporary file and a rename, so that a crash leaves
/// the old or the new one.
///
/// # Errors
/// Those of the file system.
pub fn save_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&temporary)?.write_all(content)?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests;
