//! Fault injection at the point where calls leave for AWS: the SDK's HTTP connector.
//!
//! One operation is watched at a time. Each of its calls is recorded, retries included, and a chosen one fails:
//! before it takes effect, after it, or by an error response. Pauses between attempts take no time.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
pub use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
pub use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use local::operations::Adjust;
use serde_json::{Value, json};

use crate::connector::{self, Hook};

/// An AWS service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// DynamoDB.
    Dynamodb,
    /// SNS.
    Sns,
    /// SESv2.
    Sesv2,
}

/// A call to AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Its service.
    pub service: Service,
    /// Its action, as the service names it.
    pub action: String,
    /// For a transaction: its number of items, and the index of the one that a test may make fail: the last
    /// guarded one that is not the event's.
    pub transaction: Option<(usize, Option<usize>)>,
    /// True for a read that may be stale although a consistent one is possible; only index reads may be.
    pub stale: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.service, self.action)
    }
}

impl Call {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let body = request.body().bytes().unwrap_or_default();
        if let Some(target) = request.headers().get("x-amz-target") {
            let action = target.rsplit('.').next().unwrap_or_default().to_owned();
            let transaction = (action == "TransactWriteItems").then(|| parts(body));
            let stale = may_be_stale(&action, body);
            return Self { service: Service::Dynamodb, action, transaction, stale };
        }
        if request.uri().contains("/v2/email/") {
            return Self { service: Service::Sesv2, action: "SendEmail".to_owned(), transaction: None, stale: false };
        }
        let form = String::from_utf8_lossy(body);
        let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
        let action = action.unwrap_or_default().to_owned();
        Self { service: Service::Sns, action, transaction: None, stale: false }
    }

    /// True if it changes nothing, so that only its response can be lost.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self.action.as_str(), "GetItem" | "BatchGetItem" | "Query" | "GetEndpointAttributes")
    }

    /// True if it sends something to a person or a phone, for which no service has idempotency.
    #[must_use]
    pub fn sends(&self) -> bool {
        matches!(self.action.as_str(), "SendEmail" | "Publish")
    }
}

/// True for a read of rows that is not consistent.
fn may_be_stale(action: &str, body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let consistent = |read: &Value| read["ConsistentRead"] == true;
    match action {
        "GetItem" | "Scan" => !consistent(&body),
        "Query" => body["IndexName"].is_null() && !consistent(&body),
        "BatchGetItem" => body["RequestItems"].as_object().into_iter().flatten().any(|(_, read)| !consistent(read)),
        _ => false,
    }
}

/// The number of items of a transaction, and the index of the last guarded one that is not the event's.
fn parts(body: &[u8]) -> (usize, Option<usize>) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = body["TransactItems"].as_array().map(Vec::as_slice).unwrap_or_default();
    let may_lose = |item: &Value| {
        let part = item.as_object().and_then(|item| item.values().next()).unwrap_or(&Value::Null);
        let is_event = part["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("EVENT#"));
        part["ConditionExpression"].is_string() && !is_event
    };
    (items.len(), items.iter().rposition(may_lose))
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection breaks before anything is sent.
    Before,
    /// The call takes effect, and its response is lost.
    After,
    /// The service fails, and nothing happens.
    ServerError,
    /// The service throttles.
    Throttle,
    /// The caller lacks permission. Not in [`Self::ALL`], since it is not transient.
    Denied,
    /// Another transaction is in progress on one of the rows.
    Conflict,
    /// A row other than the event's was changed first.
    OtherRowChanged,
    /// The process ends before the call.
    DropBefore,
    /// The process ends after the call took effect.
    DropAfter,
}

impl Fault {
    /// All transient faults.
    pub const ALL: [Self; 8] = [
        Self::Before,
        Self::After,
        Self::ServerError,
        Self::Throttle,
        Self::Conflict,
        Self::OtherRowChanged,
        Self::DropBefore,
        Self::DropAfter,
    ];

    /// True if the call can have this fault. Losing a read's response is the same as not making the call.
    #[must_use]
    pub fn applies_to(self, call: &Call) -> bool {
        match self {
            Self::Before | Self::ServerError | Self::Throttle | Self::Denied | Self::DropBefore => true,
            Self::After | Self::DropAfter => !call.is_read(),
            Self::Conflict => call.transaction.is_some(),
            Self::OtherRowChanged => call.transaction.is_some_and(|(_, may_lose)| may_lose.is_some()),
        }
    }

    /// In a series of faults: the equivalent for a call that cannot have this one.
    fn equivalent_for(self, call: &Call) -> Option<Self> {
        match self {
            fault if fault.applies_to(call) => Some(fault),
            Self::After => Some(Self::Before),
            Self::DropAfter => Some(Self::DropBefore),
            _ => None,
        }
    }

    /// True if the call takes effect although its caller does not know.
    #[must_use]
    pub fn takes_effect(self) -> bool {
        matches!(self, Self::After | Self::DropAfter)
    }

    /// True if the process ends.
    #[must_use]
    pub fn ends_process(self) -> bool {
        matches!(self, Self::DropBefore | Self::DropAfter)
    }

    /// The connector's response to the call; `None` to forward the call and lose its response.
    #[must_use]
    pub fn answer(self, call: &Call) -> Option<Result<HttpResponse, ConnectorError>> {
        match self {
            Self::Before => Some(Err(ConnectorError::io("the connection was reset".into()))),
            Self::ServerError => Some(Ok(server_error(call.service))),
            Self::Throttle => Some(Ok(throttle(call.service))),
            Self::Denied => Some(Ok(denied(call.service))),
            Self::Conflict => Some(Ok(canceled(call, 0, "TransactionConflict"))),
            Self::OtherRowChanged => {
                let at = call.transaction.and_then(|(_, may_lose)| may_lose).unwrap_or(0);
                Some(Ok(canceled(call, at, "ConditionalCheckFailed")))
            }
            Self::DropBefore => end_of_process(),
            Self::After | Self::DropAfter => None,
        }
    }
}

/// Ends the run: nothing after this call happens. Unwinding drops everything that the run holds, as the end of
/// a process would, and only the outermost frame of a run catches panics.
fn end_of_process() -> ! {
    resume_unwind(Box::new("the process ended"))
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultDuration {
    /// One call.
    Once,
    /// This many consecutive calls; the SDK makes three attempts.
    Calls(usize),
    /// All calls, until the outage is ended.
    Outage,
}

/// An injected fault: which call fails, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedFault {
    /// Action of the call.
    pub action: String,
    /// Number of the call among those of this action, from 1.
    pub nth: usize,
    /// The fault.
    pub fault: Fault,
    /// Its duration.
    pub duration: FaultDuration,
}

/// Every point at which a process can end: before each call, and after each write.
#[must_use]
pub fn process_ends(calls: &[Call]) -> Vec<InjectedFault> {
    let mut ends = Vec::new();
    let mut nth = BTreeMap::<&str, usize>::new();
    for call in calls {
        let nth = nth.entry(&call.action).or_default();
        *nth += 1;
        for fault in [Fault::DropBefore, Fault::DropAfter].into_iter().filter(|fault| fault.applies_to(call)) {
            ends.push(InjectedFault { action: call.action.clone(), nth: *nth, fault, duration: FaultDuration::Once });
        }
    }
    ends
}

#[derive(Default)]
struct Plan {
    operation: String,
    injected: Option<InjectedFault>,
    calls: Vec<Call>,
    failed_calls: Vec<Call>,
    /// Number of calls that are still to fail.
    left: usize,
}

impl Plan {
    /// Records a call and returns its fault, if any.
    fn next(&mut self, call: &Call) -> Option<Fault> {
        self.calls.push(call.clone());
        let injected = self.injected.as_ref()?;
        if self.failed_calls.is_empty() {
            let nth = self.calls.iter().filter(|earlier| earlier.action == call.action).count();
            if call.action != injected.action || nth != injected.nth {
                return None;
            }
            self.left = match injected.duration {
                FaultDuration::Once => 1,
                FaultDuration::Calls(calls) => calls,
                FaultDuration::Outage => usize::MAX,
            };
        }
        let fault = injected.fault.equivalent_for(call)?;
        self.left = self.left.checked_sub(1)?;
        self.failed_calls.push(call.clone());
        Some(fault)
    }
}

/// The faults of a system. Clones share one plan.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults {
    /// No faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the faults to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        let with_hook = connector::adjust(self);
        Arc::new(move |operation, connection| {
            let mut connection = with_hook(operation, connection);
            connection.sleep = SharedAsyncSleep::new(NoWait);
            connection
        })
    }

    /// Starts to record the calls of an operation; one of them fails according to `injected`.
    pub fn watch(&self, operation: &str, injected: Option<InjectedFault>) {
        *self.plan() = Plan { operation: operation.to_owned(), injected, ..Plan::default() };
    }

    /// Ends an outage.
    pub fn end_outage(&self) {
        let mut plan = self.plan();
        plan.injected.take_if(|injected| injected.duration == FaultDuration::Outage);
    }

    /// True if the fault ends the run.
    #[must_use]
    pub fn ends_run(&self) -> bool {
        self.plan().injected.as_ref().is_some_and(|injected| injected.fault.ends_process())
    }

    /// The calls of the watched operation.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.plan().calls.clone()
    }

    /// Those of them that failed.
    #[must_use]
    pub fn failed_calls(&self) -> Vec<Call> {
        self.plan().failed_calls.clone()
    }

    fn next(&self, operation: &str, call: &Call) -> Option<Fault> {
        let mut plan = self.plan();
        if plan.operation == operation { plan.next(call) } else { None }
    }

    /// A panic leaves plain data behind, so a poisoned lock is usable.
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes pauses between attempts take no time. Longer sleeps are call timeouts, which never end, since no call
/// here comes near them.
#[derive(Debug)]
pub struct NoWait;

impl AsyncSleep for NoWait {
    fn sleep(&self, duration: Duration) -> Sleep {
        if duration < Duration::from_secs(2) {
            Sleep::new(tokio::task::yield_now())
        } else {
            Sleep::new(std::future::pending())
        }
    }
}

impl Hook for Faults {
    fn call(&self, operation: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        let call = Call::of(&request);
        let Some(fault) = self.next(operation, &call) else {
            return next.call(request);
        };
        let next = next.clone();
        HttpConnectorFuture::new(async move {
            if let Some(answer) = fault.answer(&call) {
                return answer;
            }
            let _lost = next.call(request).await;
            if fault == Fault::DropAfter {
                end_of_process();
            }
            Err(ConnectorError::timeout("the response was lost".into()))
        })
    }
}

/// A service's response.
///
/// # Panics
/// If the status is invalid.
#[must_use]
pub fn answer(status: u16, content_type: &'static str, body: String) -> HttpResponse {
    let status = StatusCode::try_from(status).expect("the status is valid");
    let mut response = HttpResponse::new(status, body.into());
    response.headers_mut().insert("content-type", content_type);
    response
}

/// An error of DynamoDB, with further fields.
#[must_use]
pub fn dynamodb(status: u16, kind: &str, more: &Value) -> HttpResponse {
    let mut body = json!({"__type": kind, "message": "injected"});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    answer(status, "application/x-amz-json-1.0", body.to_string())
}

fn sns(status: u16, kind: &str, code: &str) -> HttpResponse {
    let body = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{kind}</Type>\
         <Code>{code}</Code><Message>injected</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    );
    answer(status, "text/xml", body)
}

fn ses(status: u16, kind: &'static str) -> HttpResponse {
    let mut response = answer(status, "application/json", json!({"message": "injected"}).to_string());
    response.headers_mut().insert("x-amzn-errortype", kind);
    response
}

fn server_error(service: Service) -> HttpResponse {
    match service {
        Service::Dynamodb => dynamodb(500, "com.amazonaws.dynamodb.v20120810#InternalServerError", &json!({})),
        Service::Sns => sns(500, "Receiver", "InternalError"),
        Service::Sesv2 => ses(500, "InternalServiceErrorException"),
    }
}

fn throttle(service: Service) -> HttpResponse {
    match service {
        Service::Dynamodb => dynamodb(400, "com.amazon.coral.availability#ThrottlingException", &json!({})),
        Service::Sns => sns(400, "Sender", "Throttling"),
        Service::Sesv2 => ses(429, "TooManyRequestsException"),
    }
}

fn denied(service: Service) -> HttpResponse {
    match service {
        Service::Dynamodb => dynamodb(400, "com.amazon.coral.service#AccessDeniedException", &json!({})),
        Service::Sns => sns(403, "Sender", "AuthorizationError"),
        Service::Sesv2 => ses(403, "AccessDeniedException"),
    }
}

/// A transaction that was canceled because of one item.
#[must_use]
pub fn canceled(call: &Call, at: usize, code: &str) -> HttpResponse {
    let (parts, _) = call.transaction.unwrap_or((1, None));
    let reason = |part| if part == at { json!({"Code": code, "Message": "injected"}) } else { json!({"Code": "None"}) };
    let reasons: Vec<Value> = (0..parts).map(reason).collect();
    let more = json!({"Message": "Transaction cancelled", "CancellationReasons": reasons});
    dynamodb(400, "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", &more)
}
