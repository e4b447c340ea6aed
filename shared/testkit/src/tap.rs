//! Every call that leaves for AWS, kept to be looked at.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use local::operations::Adjust;

use crate::faults::{Call, Service};

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The operation that made it.
    pub operation: String,
    /// What was called.
    pub call: Call,
    /// What was said: JSON, or of SNS each field in a line of its own, `name=value`.
    pub body: String,
}

/// Listens to every call. Clones share what they have heard.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Vec<Sent>>>);

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

impl Tap {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the tap between each operation and AWS.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        let tap = self.clone();
        Arc::new(move |operation, mut connection| {
            let tapped = Tapped { inner: connection.http, tap: tap.clone(), operation: operation.to_owned() };
            connection.http = SharedHttpClient::new(tapped);
            connection
        })
    }

    /// What was heard since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.sent())
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug)]
struct Tapped<C> {
    inner: C,
    tap: Tap,
    operation: String,
}

impl HttpClient for Tapped<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Tapped { inner, tap: self.tap.clone(), operation: self.operation.clone() })
    }
}

impl HttpConnector for Tapped<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = Call::of(&request);
        let bytes = request.body().bytes().unwrap_or_default();
        let body = match call.service {
            Service::Sns => form_urlencoded::parse(bytes).map(|(name, value)| format!("{name}={value}\n")).collect(),
            Service::Dynamodb | Service::Sesv2 => String::from_utf8_lossy(bytes).into_owned(),
        };
        self.tap.sent().push(Sent { operation: self.operation.clone(), call, body });
        self.inner.call(request)
    }
}
