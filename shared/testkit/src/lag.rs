//! Indexes that lag behind, as DynamoDB's do for a while after each write: they answer from an earlier state,
//! while rows are read as they are.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use dynoxide::Database;
use local::operations::Adjust;
use serde_json::Value;

use crate::bench::Bench;
use crate::connector::{self, Hook};

/// Counts snapshots in this process, for file names.
static SNAPSHOTS: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct State {
    /// The rows at the snapshot.
    before: Option<Database>,
    is_behind: bool,
}

/// Whether the indexes of a system lag behind. Clones share it.
#[derive(Clone, Default)]
pub struct Lag(Arc<Mutex<State>>);

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lag")
    }
}

impl Lag {
    /// Indexes that are up to date.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the lag to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        connector::adjust(self)
    }

    /// Takes a snapshot of the indexes.
    pub fn take_snapshot(&self, bench: &Bench) {
        let name = format!("handset-lag-{}-{}.sqlite", std::process::id(), SNAPSHOTS.fetch_add(1, Ordering::Relaxed));
        let file = std::env::temp_dir().join(name);
        let path = file.to_string_lossy();
        let before = Database::memory().expect("a database in memory opens");
        bench.stack.database().vacuum_into(&path).expect("the database is written to the file");
        before.restore_from(&path).expect("the database is restored from the file");
        for suffix in ["", "-wal", "-shm"] {
            // A missing file need not be removed.
            let _ = std::fs::remove_file(format!("{path}{suffix}"));
        }
        self.state().before = Some(before);
    }

    /// Makes every index answer from the snapshot, or from the present state.
    pub fn set_behind(&self, is_behind: bool) {
        self.state().is_behind = is_behind;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The response of a lagging index; `None` for other requests.
    fn answer(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let state = self.state();
        let before = state.before.as_ref().filter(|_| state.is_behind)?;
        let target = request.headers().get("x-amz-target")?;
        let body: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
        if !target.ends_with(".Query") || body["IndexName"].is_null() {
            return None;
        }
        let query = serde_json::from_value(body).expect("the body is a query");
        let found = before.query(query).expect("the snapshot answers the query");
        let found = serde_json::to_string(&found).expect("the response serializes to JSON");
        let ok = StatusCode::try_from(200).expect("200 is a valid status");
        let mut response = HttpResponse::new(ok, found.into());
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        Some(response)
    }
}

impl Hook for Lag {
    fn call(&self, _: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        match self.answer(&request) {
            Some(answer) => HttpConnectorFuture::ready(Ok(answer)),
            None => next.call(request),
        }
    }
}
