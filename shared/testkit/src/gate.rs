//! Holds up one call to AWS, so that a test can run something else just before it. Tests of races use it to make the
//! other request come first, in the same order each time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use local::operations::Adjust;
use tokio::sync::oneshot;

use crate::connector::{self, Hook};
use crate::faults::Call;

/// The call that is held up.
struct HeldCall {
    operation: String,
    action: String,
    /// Text that its body contains.
    body_contains: String,
    /// Signals that the call was reached.
    reached: oneshot::Sender<()>,
    /// Signals that it may go on.
    resume: oneshot::Receiver<()>,
}

/// Holds up one call of an operation. Clones share it.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<Option<HeldCall>>>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// An open gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the gate to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        connector::adjust(self)
    }

    /// Runs `run`, and `other` just before the operation's first call of an action whose body contains a text. Returns
    /// both results; `None` for `other` if there was no such call.
    pub async fn meanwhile<T, U>(
        &self,
        (operation, action, body_contains): (&str, &str, &str),
        run: impl Future<Output = T>,
        other: impl Future<Output = U>,
    ) -> (T, Option<U>) {
        let ((reached, is_reached), (resume_sender, resume)) = (oneshot::channel(), oneshot::channel());
        let [operation, action, body_contains] = [operation, action, body_contains].map(str::to_owned);
        *self.held() = Some(HeldCall { operation, action, body_contains, reached, resume });
        let run = async {
            let outcome = run.await;
            // Without such a call, nothing is held up any more.
            *self.held() = None;
            outcome
        };
        let other = async {
            let outcome = match is_reached.await {
                Ok(()) => Some(other.await),
                Err(_) => None,
            };
            let _ = resume_sender.send(());
            outcome
        };
        futures::join!(run, other)
    }

    /// The held-up call, if this is it.
    fn take(&self, operation: &str, request: &HttpRequest) -> Option<HeldCall> {
        let action = Call::of(request).action;
        let body_contains = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
        let matches = |held: &mut HeldCall| {
            held.operation == operation && held.action == action && body_contains.contains(&held.body_contains)
        };
        self.held().take_if(matches)
    }

    fn held(&self) -> MutexGuard<'_, Option<HeldCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook for Gate {
    fn call(&self, operation: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        let Some(held) = self.take(operation, &request) else {
            return next.call(request);
        };
        let next = next.clone();
        HttpConnectorFuture::new(async move {
            if held.reached.send(()).is_ok() {
                let _ = held.resume.await;
            }
            next.call(request).await
        })
    }
}
