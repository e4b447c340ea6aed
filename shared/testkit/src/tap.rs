//! Records every call that leaves for AWS, and lets a test answer calls.

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

/// A recorded call.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The operation that made it.
    pub operation: String,
    /// The call.
    pub call: Call,
    /// The body: JSON, or for SNS one `name=value` line per field.
    pub body: String,
}

/// A test's response in place of AWS's; `None` to forward the call.
type Answerer = dyn Fn(&Sent) -> Option<Result<HttpResponse, ConnectorError>> + Send + Sync;
/// Runs just before a call.
type Before = Box<dyn Fn(&Sent) + Send>;

#[derive(Default)]
struct TapState {
    sent: Vec<Sent>,
    before: Option<Before>,
}

/// Records every call. Clones share the record.
#[derive(Clone, Default)]
pub struct Tap {
    state: Arc<Mutex<TapState>>,
    instead: Option<Arc<Answerer>>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

impl Tap {
    /// A tap that only records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tap that answers some calls itself.
    pub fn answering(
        instead: impl Fn(&Sent) -> Option<Result<HttpResponse, ConnectorError>> + Send + Sync + 'static,
    ) -> Self {
        Self { instead: Some(Arc::new(instead)), ..Self::default() }
    }

    /// Clients without AWS behind the tap: calls that it does not answer fail.
    #[must_use]
    pub fn clients_without_aws(&self) -> Clients {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let mut connection = Connection::new("eu-central-1".to_owned(), credentials);
        connection.sleep = SharedAsyncSleep::new(NoWait);
        connection.http = self.in_front_of(SharedHttpClient::new(NoAws), "");
        Clients::new(&connection)
    }

    /// Adds the tap to an operation's HTTP client.
    #[must_use]
    pub fn in_front_of(&self, http: SharedHttpClient, operation: &str) -> SharedHttpClient {
        connector::with_hook(self, http, operation)
    }

    /// Adds the tap to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        connector::adjust(self)
    }

    /// The calls since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.state().sent)
    }

    /// Sets a function that runs just before each call.
    pub fn before(&self, happens: impl Fn(&Sent) + Send + 'static) {
        self.state().before = Some(Box::new(happens));
    }

    fn record(&self, sent: Sent) {
        let mut state = self.state();
        if let Some(before) = &state.before {
            before(&sent);
        }
        state.sent.push(sent);
    }

    fn state(&self) -> MutexGuard<'_, TapState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook for Tap {
    fn call(&self, operation: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        let call = Call::of(&request);
        let bytes = request.body().bytes().unwrap_or_default();
        let body = match call.service {
            Service::Sns => form_urlencoded::parse(bytes).map(|(name, value)| format!("{name}={value}\n")).collect(),
            Service::Dynamodb | Service::Sesv2 => String::from_utf8_lossy(bytes).into_owned(),
        };
        let sent = Sent { operation: operation.to_owned(), call, body };
        let instead = self.instead.as_ref().and_then(|instead| instead(&sent));
        self.record(sent);
        match instead {
            Some(answer) => HttpConnectorFuture::ready(answer),
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
