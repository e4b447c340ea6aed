//! The system in process, with a clock that tests move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Duration, Utc};
use domain::DeviceId;
use domain::models::login_day::login_day;
use futures::FutureExt as _;
use http::{HeaderMap, Method, Request, StatusCode};
use local::Wait;
use local::messaging::{Channel, OutboxItem};
use local::operations::Adjust;
use local::queue::Retry;
use local::stack::{Stack, StackOptions};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::description_check::{self, Exchange};
use crate::oidc;

/// A running system whose clock only moves when a test moves it.
pub struct Bench {
    /// The system.
    pub stack: Stack,
    clock: Arc<watch::Sender<DateTime<Utc>>>,
    open: AtomicBool,
}

/// A snapshot of the system.
pub struct Mark {
    stack: local::stack::Mark,
    now: DateTime<Utc>,
}

/// A workspace and its first key, which has every permission.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The workspace.
    pub workspace_id: String,
    /// Its key.
    pub key: String,
}

/// A string value; empty if it is none.
#[must_use]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The code of a link in a message, which follows the path's beginning: `/i/` of an invitation, `/r/` of a deployment.
#[must_use]
pub fn code_after(path: &str, message: &str) -> Option<String> {
    let (_, rest) = message.split_once(path)?;
    Some(rest.chars().take_while(char::is_ascii_alphanumeric).collect())
}

/// A response of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as text.
    pub text: String,
    /// Its body as JSON; `null` if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The response, after checking its status.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "status of the response with the body {}", self.text);
        self
    }

    /// The problem's stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A string field of the body.
    #[must_use]
    pub fn get(&self, field: &str) -> String {
        text(&self.body[field])
    }
}

/// The initial time of every bench.
pub const START: &str = "2026-11-23T08:00:00Z";

/// The settings of a system: hooks on the way to AWS, and the template's parameters.
#[derive(Default)]
pub struct Setup {
    adjusts: Vec<Adjust>,
    parameters: BTreeMap<String, String>,
}

impl Setup {
    /// No hooks and no parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a hook on each operation's connection; the last one added sees a call first.
    #[must_use]
    pub fn with(mut self, adjust: Adjust) -> Self {
        self.adjusts.push(adjust);
        self
    }

    /// Sets a parameter of the template.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets parameters of the template.
    #[must_use]
    pub fn parameters(self, parameters: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> Self {
        parameters.into_iter().fold(self, |setup, (name, value)| setup.parameter(name.as_ref(), value.as_ref()))
    }

    /// Makes the issuer of [`crate::oidc`] the issuer of admins.
    #[must_use]
    pub fn issuer(self) -> Self {
        self.parameter("OidcIssuer", oidc::ISSUER).parameter("OidcAudience", oidc::AUDIENCE)
    }

    /// Starts the system in memory.
    pub async fn start(self) -> Bench {
        let start = START.parse().expect("START is a date and time");
        let clock = Arc::new(watch::Sender::new(start));
        let reader = Arc::clone(&clock);
        let now = Arc::new(move || *reader.borrow());
        let wait = waiting_by(&clock);
        let adjusts = self.adjusts;
        let adjust: Adjust = Arc::new(move |operation, connection| {
            adjusts.iter().fold(connection, |connection, adjust| adjust(operation, connection))
        });
        let parameters = self.parameters;
        let options = StackOptions { now, wait, adjust: Some(adjust), parameters, ..StackOptions::default() };
        let stack = Stack::start(options).await.expect("the system starts");
        Bench { stack, clock, open: AtomicBool::new(false) }
    }
}

/// The only cacheable pages: they are the same for everybody.
const CACHEABLE: [&str; 4] =
    ["/docs", "/openapi.json", "/.well-known/apple-app-site-association", "/.well-known/assetlinks.json"];

/// A required header that a response lacks; the gateway's own responses have no `x-request-id`.
fn missing_header(path: &str, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let values = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    let lacks = |name: &str, expected: &str| {
        let actual: Vec<&str> = values(name);
        (actual != [expected]).then(|| format!("{name} is {actual:?}, expected {expected:?}"))
    };
    headers.get("x-request-id")?;
    let caching = if CACHEABLE.contains(&path) { None } else { lacks("cache-control", "no-store") };
    // RFC 9110, section 15.5.2.
    let challenge = if status == StatusCode::UNAUTHORIZED { lacks("www-authenticate", "Bearer") } else { None };
    lacks("x-content-type-options", "nosniff").or(caching).or(challenge)
}

/// Waits by the bench's clock, so that a busy machine takes none of an operation's time.
fn waiting_by(clock: &Arc<watch::Sender<DateTime<Utc>>>) -> Wait {
    let clock = Arc::downgrade(clock);
    Arc::new(move |time| {
        let clock = clock.upgrade().map(|clock| clock.subscribe());
        async move {
            if let Some(mut clock) = clock {
                let until = *clock.borrow() + time;
                if clock.wait_for(|now| *now >= until).await.is_ok() {
                    return;
                }
            }
            // Nobody moves the clock any more.
            std::future::pending::<()>().await;
        }
        .boxed()
    })
}

impl Bench {
    /// Starts the system in memory, with the template's default parameters.
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// Accepts fields and values of other releases in responses, as the description allows, for tests with rows
    /// of another release.
    pub fn expect_another_release(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        *self.clock.borrow()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.send_modify(|now| *now += by);
    }

    /// Moves the clock to the next day of a device, so that none begins between the check-ins that follow.
    ///
    /// # Panics
    /// If it is no device's identifier.
    pub fn begin_day_of(&self, device: &str) {
        let device = DeviceId::parse(device).expect("a device's identifier");
        let today = || login_day(device, self.now().into());
        let before = today();
        while today() == before {
            self.advance(Duration::minutes(1));
        }
    }

    /// A function that moves the clock forward, to be called during an operation.
    pub fn clock_advancer(&self, by: Duration) -> impl Fn() + Send + 'static {
        let clock = Arc::clone(&self.clock);
        move || clock.send_modify(|now| *now += by)
    }

    /// Sets the clock.
    pub fn set_clock(&self, to: DateTime<Utc>) {
        self.clock.send_modify(|now| *now = to);
    }

    /// Takes a snapshot to return to. No work may be in progress.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { stack: self.stack.mark().expect("a snapshot of the system is taken"), now: self.now() }
    }

    /// Restores a snapshot, at a later time, so that values cached by operations have expired.
    pub fn restore(&self, mark: &Mark, later: Duration) {
        self.stack.restore(&mark.stack).expect("the snapshot is restored");
        self.set_clock(mark.now + later);
    }

    /// Runs everything that is due, including retries.
    pub async fn drain(&self) {
        self.stack.drain(Retry::Now).await.expect("the stream, queues and schedules run to their end");
    }

    /// Runs everything, with retries at their times.
    pub async fn settle(&self) {
        self.stack.settle(|to| self.set_clock(to)).await.expect("the stream, queues and schedules run to their end");
    }

    /// A new workspace.
    pub async fn tenant(&self, name: &str) -> Tenant {
        let created = self
            .stack
            .invoke("create-workspace", json!({"name": name}))
            .await
            .expect("create-workspace creates a workspace");
        let text = |field: &str| created[field].as_str().unwrap_or_default().to_owned();
        Tenant { workspace_id: text("workspace_id"), key: text("key") }
    }

    /// Sends a request. Both it and the response are checked against the published description.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Answer {
        let (method, path, sent) = (request.method().clone(), request.uri().path().to_owned(), request.body().clone());
        let response = self.stack.http(request.map(Into::into)).await;
        let (parts, body) = response.into_parts();
        let text = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let exchange = Exchange {
            method: method.as_str(),
            path: &path,
            sent: &sent,
            status: parts.status,
            headers: &parts.headers,
            body: &body,
            open: self.open.load(Ordering::Relaxed),
        };
        if let Some(fault) = description_check::violation(&exchange) {
            panic!("the exchange violates the API's description: {fault}");
        }
        if let Some(fault) = missing_header(&path, parts.status, &parts.headers) {
            panic!("{method} {path}: the header {fault}");
        }
        Answer { status: parts.status, headers: parts.headers, text, body }
    }

    /// Sends a request with an optional credential and an optional JSON body.
    pub async fn call(&self, method: Method, path: &str, credential: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(request.body(body.into_bytes()).expect("the request is valid")).await
    }

    /// A POST with an idempotency key.
    pub async fn post_idempotent(&self, path: &str, key: &str, idempotency_key: &str, body: &Value) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path);
        let request =
            request.header("authorization", format!("Bearer {key}")).header("idempotency-key", idempotency_key);
        self.send(request.body(body.to_string().into_bytes()).expect("the request is valid")).await
    }

    /// A GET with a key.
    pub async fn get(&self, path: &str, key: &str) -> Answer {
        self.call(Method::GET, path, Some(key), None).await
    }

    /// A POST with a key.
    pub async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(key), Some(&body)).await
    }

    /// A POST that sends a message: a minute later if the recipient's limit requires it.
    pub async fn post_after_message_limit(&self, path: &str, key: &str, body: Value) -> Answer {
        let answer = self.post(path, key, body.clone()).await;
        if answer.status != StatusCode::TOO_MANY_REQUESTS {
            return answer;
        }
        self.advance(Duration::minutes(1));
        self.post(path, key, body).await
    }

    /// A PATCH with a key.
    pub async fn patch(&self, path: &str, key: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(key), Some(&body)).await
    }

    /// A PUT with a key.
    pub async fn put(&self, path: &str, key: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(key), Some(&body)).await
    }

    /// A PUT of a text with a key.
    pub async fn upload(&self, tenant: &Tenant, path: &str, text: &str) -> Answer {
        let request = Request::builder().method(Method::PUT).uri(path).header("content-type", "text/csv");
        let request = request.header("authorization", format!("Bearer {}", tenant.key));
        self.send(request.body(text.as_bytes().to_vec()).expect("the request is valid")).await
    }

    /// A DELETE with a key.
    pub async fn delete(&self, path: &str, key: &str) -> Answer {
        self.call(Method::DELETE, path, Some(key), None).await
    }

    /// Creates a user with an e-mail address, and returns the identifier.
    pub async fn user(&self, tenant: &Tenant, username: &str) -> String {
        let body = json!({
            "username": username,
            "first_name": "Ada",
            "last_name": "Adler",
            "email": format!("{username}@example.com"),
            "mobile": "+491701234567",
            "number": "4711",
        });
        self.post("/users", &tenant.key, body).await.expect(201).get("user_id")
    }

    /// Creates an invitation for this many devices, and returns the code in its e-mail.
    pub async fn invite(&self, tenant: &Tenant, user: &str, devices: u32) -> String {
        let body = json!({"channel": "email", "devices": devices});
        let path = format!("/users/{user}/invite");
        let _invitation = self.post_after_message_limit(&path, &tenant.key, body).await.expect(202);
        self.drain().await;
        self.newest_code().expect("an e-mail with a code was sent")
    }

    /// Messages of a channel, newest first.
    #[must_use]
    pub fn sent(&self, channel: Channel) -> Vec<OutboxItem> {
        self.stack.messaging().outbox().into_iter().filter(|item| item.channel == channel).collect()
    }

    /// The code in the latest e-mail or text.
    #[must_use]
    pub fn newest_code(&self) -> Option<String> {
        let outbox = self.stack.messaging().outbox();
        let message = outbox.iter().find(|item| item.channel != Channel::Push)?;
        code_after("/i/", message.text.as_deref()?)
    }

    /// The code in the latest e-mail of a deployment.
    #[must_use]
    pub fn newest_deployment_code(&self) -> Option<String> {
        self.sent(Channel::Email).into_iter().find_map(|item| code_after("/r/", &item.text?))
    }

    /// The body of a phone's registration.
    #[must_use]
    pub fn registration_body(code: &str, identifier: &str) -> Value {
        json!({
            "code": code,
            "device_identifier": identifier,
            "platform": "ios",
            "model_name": "iPhone 17",
            "os_version": "26.1",
            "app_version": "4.2.0",
            "push_token": format!("token-of-{identifier}"),
        })
    }

    /// Registers a phone.
    pub async fn register(&self, code: &str, identifier: &str) -> Answer {
        self.call(Method::POST, "/devices", None, Some(&Self::registration_body(code, identifier))).await
    }

    /// Creates a user with a registered phone, and returns the device's identifier and credential.
    pub async fn phone(&self, tenant: &Tenant, username: &str) -> (String, String) {
        let user = self.user(tenant, username).await;
        let code = self.invite(tenant, &user, 1).await;
        let answer = self.register(&code, &format!("{username}-phone")).await.expect(201);
        let device = answer.body["device"]["device_id"].as_str().unwrap_or_default().to_owned();
        (device, answer.get("credential"))
    }

    /// Creates a user with registered phones, and returns the user's identifier and each phone's identifier and
    /// credential.
    pub async fn user_with_phones(
        &self,
        tenant: &Tenant,
        username: &str,
        phones: u32,
    ) -> (String, Vec<(String, String)>) {
        let user = self.user(tenant, username).await;
        let code = self.invite(tenant, &user, phones).await;
        let mut registered = Vec::new();
        for n in 0..phones {
            let answer = self.register(&code, &format!("{username}-{n}")).await.expect(201);
            let device = answer.body["device"]["device_id"].as_str().unwrap_or_default().to_owned();
            registered.push((device, answer.get("credential")));
        }
        (user, registered)
    }

    /// Reports a device's result of a command.
    pub async fn report_command(&self, credential: &str, command: &str, result: &str) -> Answer {
        let path = format!("/devices/me/commands/{command}");
        self.call(Method::POST, &path, Some(credential), Some(&json!({"result": result}))).await
    }

    /// All items of a list, page by page, in order.
    pub async fn list_all(&self, tenant: &Tenant, list: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let separator = if list.contains('?') { '&' } else { '?' };
            let path = format!("{list}{separator}limit=100{cursor}");
            let answer = self.get(&path, &tenant.key).await.expect(200);
            items.extend(answer.body["items"].as_array().into_iter().flatten().cloned());
            match answer.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Runs `run-due`.
    pub async fn run_due(&self) -> Value {
        self.stack.run_schedule("run-due").await.expect("run-due succeeds")
    }

    /// Runs `purge-deleted`.
    pub async fn purge(&self) -> Value {
        self.stack.run_schedule("purge-deleted").await.expect("purge-deleted succeeds")
    }

    /// A check-in without changes.
    pub async fn check_in(&self, credential: &str) -> Answer {
        self.check_in_with(credential, json!({})).await
    }

    /// A check-in with changes.
    pub async fn check_in_with(&self, credential: &str, report: Value) -> Answer {
        self.call(Method::POST, "/devices/me/check-in", Some(credential), Some(&report)).await
    }

    /// Downloads a device's configuration.
    pub async fn download(&self, credential: &str) -> Answer {
        self.call(Method::POST, "/devices/me/config", Some(credential), None).await
    }

    /// Creates a key with these permissions only; the response contains it.
    pub async fn key(&self, tenant: &Tenant, permissions: &[&str]) -> Answer {
        let body = json!({"name": permissions.join(" "), "permissions": permissions});
        self.post("/keys", &tenant.key, body).await.expect(201)
    }

    /// Creates a command for a device, such as `lock`, and returns its identifier.
    pub async fn create_command(&self, tenant: &Tenant, device: &str, what: &str) -> String {
        let path = format!("/devices/{device}/{what}");
        self.post(&path, &tenant.key, json!({})).await.expect(202).get("command_id")
    }

    /// Starts a deployment, sends its e-mail, and returns its identifier and its code.
    pub async fn deploy(&self, tenant: &Tenant, user: &str) -> (String, String) {
        let path = format!("/users/{user}/deploy");
        let deployment = self.post_after_message_limit(&path, &tenant.key, json!({})).await.expect(202);
        self.drain().await;
        (deployment.get("deployment_id"), self.newest_deployment_code().expect("an e-mail with a code was sent"))
    }

    /// Creates a profile without settings, and returns its identifier.
    pub async fn profile(&self, tenant: &Tenant, name: &str) -> String {
        let body = json!({"name": name, "settings": {}});
        self.post("/profiles", &tenant.key, body).await.expect(201).get("profile_id")
    }

    /// The types of a workspace's events, oldest first.
    pub async fn event_types(&self, tenant: &Tenant) -> Vec<String> {
        let answer = self.get("/events?limit=100", &tenant.key).await.expect(200);
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        items.iter().rev().filter_map(|event| event["event_type"].as_str().map(str::to_owned)).collect()
    }
}
