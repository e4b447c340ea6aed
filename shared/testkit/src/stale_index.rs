//! Indexes that lag behind the table, as DynamoDB's do for a while after each write. Once a test has taken a
//! snapshot, queries of an index are answered from it, while rows are read from the present table.

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
    snapshot: Option<Database>,
    is_behind: bool,
}

/// Makes the indexes of a system answer from a snapshot. Clones share the snapshot.
#[derive(Clone, Default)]
pub struct StaleIndexes(Arc<Mutex<State>>);

impl fmt::Debug for StaleIndexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaleIndexes")
    }
}

impl StaleIndexes {
    /// Indexes that are up to date.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the hook to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        connector::adjust(self)
    }

    /// Takes a snapshot of the indexes.
    pub fn take_snapshot(&self, bench: &Bench) {
        let file_name =
            format!("handset-stale-index-{}-{}.sqlite", std::process::id(), SNAPSHOTS.fetch_add(1, Ordering::Relaxed));
        let file = std::env::temp_dir().join(file_name);
        let path = file.to_string_lossy();
        let snapshot = Database::memory().expect("a database in memory opens");
        bench.stack.database().vacuum_into(&path).expect("the database is written to the file");
        snapshot.restore_from(&path).expect("the database is restored from the file");
        for suffix in ["", "-wal", "-shm"] {
            // A missing file need not be removed.
            let _ = std::fs::remove_file(format!("{path}{suffix}"));
        }
        self.state().snapshot = Some(snapshot);
    }

    /// Makes every index answer from the snapshot, or from the present state.
    pub fn set_behind(&self, is_behind: bool) {
        self.state().is_behind = is_behind;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The response of a stale index; `None` for other requests.
    fn answer(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let state = self.state();
        let snapshot = state.snapshot.as_ref().filter(|_| state.is_behind)?;
        let target = request.headers().get("x-amz-target")?;
        let body: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
        if !target.ends_with(".Query") || body["IndexName"].is_null() {
            return None;
        }
        let query = serde_json::from_value(body).expect("the body is a query");
        let found = snapshot.query(query).expect("the snapshot answers the query");
        let found = serde_json::to_string(&found).expect("the response serializes to JSON");
        let ok = StatusCode::try_from(200).expect("200 is a valid status");
        let mut response = HttpResponse::new(ok, found.into());
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        Some(response)
    }
}

impl Hook for StaleIndexes {
    fn call(&self, _: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        match self.answer(&request) {
            Some(answer) => HttpConnectorFuture::ready(Ok(answer)),
            None => next.call(request),
        }
    }
}
