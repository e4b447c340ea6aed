//! Records the requests that operations send to AWS. A test reads them afterwards, runs something just before each
//! one, or answers some of them in place of AWS.

use aws_credential_types::Credentials;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws::{Clients, Connection};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use local::operations::Adjust;

use crate::connector::{self, Hook};
use crate::faults::{Call, NoWait, Service};

/// A request to AWS.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The operation that sent it; empty for a test's own client.
    pub operation: String,
    /// Its service and action.
    pub call: Call,
    /// Its body: JSON, or for SNS one `name=value` line per field.
    pub body: String,
}

/// A test's response in place of AWS's; `None` to forward the request.
type Responder = dyn Fn(&RecordedRequest) -> Option<Result<HttpResponse, ConnectorError>> + Send + Sync;
/// Runs just before a request.
type Before = Box<dyn Fn(&RecordedRequest) + Send>;

#[derive(Default)]
struct RecorderState {
    sent: Vec<RecordedRequest>,
    before: Option<Before>,
}

/// Records every request. Clones share the record.
#[derive(Clone, Default)]
pub struct RequestRecorder {
    state: Arc<Mutex<RecorderState>>,
    responder: Option<Arc<Responder>>,
}

impl fmt::Debug for RequestRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestRecorder")
    }
}

impl RequestRecorder {
    /// A recorder that only records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A recorder that answers some calls itself.
    pub fn answering(
        respond: impl Fn(&RecordedRequest) -> Option<Result<HttpResponse, ConnectorError>> + Send + Sync + 'static,
    ) -> Self {
        Self { responder: Some(Arc::new(respond)), ..Self::default() }
    }

    /// Clients without AWS behind the recorder: requests that it does not answer fail.
    #[must_use]
    pub fn clients_without_aws(&self) -> Clients {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let mut connection = Connection::new("eu-central-1".to_owned(), credentials);
        connection.sleep = SharedAsyncSleep::new(NoWait);
        connection.http = self.in_front_of(SharedHttpClient::new(NoAws), "");
        Clients::new(&connection)
    }

    /// Adds the recorder to an operation's HTTP client.
    #[must_use]
    pub fn in_front_of(&self, http: SharedHttpClient, operation: &str) -> SharedHttpClient {
        connector::with_hook(self, http, operation)
    }

    /// Adds the recorder to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        connector::adjust(self)
    }

    /// The requests since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<RecordedRequest> {
        std::mem::take(&mut self.state().sent)
    }

    /// Sets a function that runs just before each request.
    pub fn before(&self, run: impl Fn(&RecordedRequest) + Send + 'static) {
        self.state().before = Some(Box::new(run));
    }

    fn record(&self, sent: RecordedRequest) {
        let mut state = self.state();
        if let Some(before) = &state.before {
            before(&sent);
        }
        state.sent.push(sent);
    }

    fn state(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook for RequestRecorder {
    fn call(&self, operation: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        let call = Call::of(&request);
        let bytes = request.body().bytes().unwrap_or_default();
        let body = match call.service {
            Service::Sns => form_urlencoded::parse(bytes).map(|(name, value)| format!("{name}={value}\n")).collect(),
            Service::Dynamodb | Service::Sesv2 => String::from_utf8_lossy(bytes).into_owned(),
        };
        let recorded = RecordedRequest { operation: operation.to_owned(), call, body };
        let response = self.responder.as_ref().and_then(|respond| respond(&recorded));
        self.record(recorded);
        match response {
            Some(response) => HttpConnectorFuture::ready(response),
            None => next.call(request),
        }
    }
}

/// An HTTP client without AWS.
#[derive(Clone, Debug)]
struct NoAws;

impl HttpClient for NoAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self)
    }
}

impl HttpConnector for NoAws {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(ConnectorError::io("there is no AWS behind the recorder".into())))
    }
}
