//! A hook between an operation and AWS in tests: one wrapper around the SDK's HTTP connector.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use local::operations::Adjust;

/// A hook that sees each call, retries included. Clones share their state.
pub trait Hook: Clone + Send + Sync + 'static {
    /// Answers an operation's call, or forwards it to `next`.
    fn call(&self, operation: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture;
}

/// Adds a hook to an operation's HTTP client.
pub fn with_hook(hook: &impl Hook, http: SharedHttpClient, operation: &str) -> SharedHttpClient {
    SharedHttpClient::new(Hooked { next: http, hook: hook.clone(), operation: operation.to_owned() })
}

/// Adds a hook to each operation's HTTP client.
pub fn adjust(hook: &impl Hook) -> Adjust {
    let hook = hook.clone();
    Arc::new(move |operation, mut connection| {
        connection.http = with_hook(&hook, connection.http, operation);
        connection
    })
}

#[derive(Clone)]
struct Hooked<C, H> {
    next: C,
    hook: H,
    operation: String,
}

impl<C, H> fmt::Debug for Hooked<C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

impl<H: Hook> HttpClient for Hooked<SharedHttpClient, H> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let next = self.next.http_connector(settings, components);
        SharedHttpConnector::new(Hooked { next, hook: self.hook.clone(), operation: self.operation.clone() })
    }
}

impl<H: Hook> HttpConnector for Hooked<SharedHttpConnector, H> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.hook.call(&self.operation, request, &self.next)
    }
}
