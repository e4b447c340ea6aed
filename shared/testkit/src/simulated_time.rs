//! Simulated time: a clock that moves on, to whatever waits for it next, once nothing else is left to do. Durations come
//! from waiting by it alone, however busy the machine is.
//!
//! Only for a runtime with one thread, where everything that can run has run once a task was scheduled again behind it.
//! Calls to AWS leave the runtime, so the clock stands still during each of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::{Either, select};
use local::operations::Adjust;
use local::{Now, Wait};
use tokio::sync::{Notify, oneshot};

use crate::connector::{self, Hook};
use crate::faults::{Call, Service};

/// How often everything else may run before it is taken to be waiting: more than any task yields in a row.
const ROUNDS: usize = 100;

/// A clock in simulated time. Clones are the same clock.
#[derive(Clone)]
pub struct SimulatedTime(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Calls to AWS in progress.
    calls: AtomicUsize,
    /// Wakes the clock when a call ends.
    call_ended: Notify,
}

struct State {
    now: DateTime<Utc>,
    /// By time, then in the order of their beginning.
    waiting: BTreeMap<(DateTime<Utc>, u64), oneshot::Sender<()>>,
    begun: u64,
}

impl fmt::Debug for SimulatedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedTime")
    }
}

impl SimulatedTime {
    /// A clock that stands at a time until [`Self::run`].
    #[must_use]
    pub fn starting_at(now: DateTime<Utc>) -> Self {
        let state = Mutex::new(State { now, waiting: BTreeMap::new(), begun: 0 });
        Self(Arc::new(Inner { state, calls: AtomicUsize::new(0), call_ended: Notify::new() }))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.state().now
    }

    /// The clock for a stack.
    #[must_use]
    pub fn clock(&self) -> Now {
        let time = self.clone();
        Arc::new(move || time.now())
    }

    /// Waits by this clock, for a stack.
    #[must_use]
    pub fn wait(&self) -> Wait {
        let time = self.clone();
        Arc::new(move |duration| time.sleep(duration).boxed())
    }

    /// Waits by this clock.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + Sync + use<> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        state.begun += 1;
        let until = state.now + duration;
        let place = (until, state.begun);
        let _vacant = state.waiting.insert(place, sender);
        receiver.map(drop)
    }

    /// Makes pauses of each operation, and its calls to AWS, take simulated time. `latency` gives that of a call.
    pub fn adjust(&self, latency: impl Fn(&Call) -> Duration + Clone + Send + Sync + 'static) -> Adjust {
        let hooked = connector::adjust(&TimedCalls { time: self.clone(), latency });
        let time = self.clone();
        Arc::new(move |operation, connection| {
            let mut connection = hooked(operation, connection);
            connection.sleep = SharedAsyncSleep::new(time.clone());
            connection
        })
    }

    /// Moves the clock until a future is done.
    pub async fn run<T>(&self, done: impl Future<Output = T>) -> T {
        let done = std::pin::pin!(done);
        let moving = std::pin::pin!(self.keep_moving());
        match select(done, moving).await {
            Either::Left((output, _)) => output,
            Either::Right(_) => panic!("nothing is left that could end it"),
        }
    }

    /// Returns when nobody waits any more.
    async fn keep_moving(&self) {
        loop {
            self.let_everything_run().await;
            if !self.wake_next() {
                return;
            }
        }
    }

    /// Moves the clock to the next time that is waited for, and ends each wait for it; false if there is none.
    fn wake_next(&self) -> bool {
        let mut state = self.state();
        state.waiting.retain(|_, sleeper| !sleeper.is_closed());
        let Some((until, _)) = state.waiting.keys().next().copied() else { return false };
        state.now = until;
        let later = state.waiting.split_off(&(until, u64::MAX));
        for sleeper in std::mem::replace(&mut state.waiting, later).into_values() {
            let _ended_meanwhile = sleeper.send(());
        }
        true
    }

    async fn let_everything_run(&self) {
        let mut rounds = 0;
        while rounds < ROUNDS {
            if self.0.calls.load(Ordering::Relaxed) > 0 {
                self.0.call_ended.notified().await;
                rounds = 0;
            } else {
                tokio::task::yield_now().await;
                rounds += 1;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncSleep for SimulatedTime {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(SimulatedTime::sleep(self, duration))
    }
}

/// A call to AWS in progress.
struct CallInProgress(SimulatedTime);

impl CallInProgress {
    fn begin(time: &SimulatedTime) -> Self {
        let _before = time.0.calls.fetch_add(1, Ordering::Relaxed);
        Self(time.clone())
    }
}

impl Drop for CallInProgress {
    fn drop(&mut self) {
        let _before = self.0.0.calls.fetch_sub(1, Ordering::Relaxed);
        self.0.0.call_ended.notify_one();
    }
}

#[derive(Clone)]
struct TimedCalls<L> {
    time: SimulatedTime,
    latency: L,
}

impl<L: Fn(&Call) -> Duration + Clone + Send + Sync + 'static> Hook for TimedCalls<L> {
    fn call(&self, _: &str, request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        let (time, next) = (self.time.clone(), next.clone());
        let latency = time.sleep((self.latency)(&Call::of(&request)));
        HttpConnectorFuture::new(async move {
            latency.await;
            let _in_progress = CallInProgress::begin(&time);
            let response = next.call(request).await?;
            complete(response).await
        })
    }
}

/// How long a receiver takes for a call to its URL.
type Takes = dyn Fn(&str) -> Duration + Send + Sync;

/// Calls that were answered: the URL, and when.
type Calls = Vec<(String, DateTime<Utc>)>;

/// Receivers of webhooks that take simulated time for a call, and accept each. Clones share what was received.
#[derive(Clone)]
pub struct Receivers {
    time: SimulatedTime,
    takes: Arc<Takes>,
    calls: Arc<Mutex<Calls>>,
}

impl fmt::Debug for Receivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receivers")
    }
}

impl Receivers {
    /// Receivers that take this long for a call to a URL.
    pub fn new(time: &SimulatedTime, takes: impl Fn(&str) -> Duration + Send + Sync + 'static) -> Self {
        Self { time: time.clone(), takes: Arc::new(takes), calls: Arc::default() }
    }

    /// Replaces the network outside AWS by these receivers.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        let receivers = self.clone();
        Arc::new(move |_, mut connection| {
            connection.egress = Some(SharedHttpConnector::new(receivers.clone()));
            connection
        })
    }

    /// When each call to a URL was answered.
    #[must_use]
    pub fn calls_of(&self, url: &str) -> Vec<DateTime<Utc>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|(called, _)| called == url).map(|(_, at)| *at).collect()
    }
}

impl HttpConnector for Receivers {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (receivers, url) = (self.clone(), request.uri().to_owned());
        let answering = self.time.sleep((self.takes)(&url));
        HttpConnectorFuture::new(async move {
            answering.await;
            let mut calls = receivers.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push((url, receivers.time.now()));
            let status = StatusCode::try_from(204).expect("it is a status");
            Ok(HttpResponse::new(status, SdkBody::empty()))
        })
    }
}

/// The response with its complete body, so that reading it does not leave the runtime.
async fn complete(mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let bytes = ByteStream::new(body).collect().await.map_err(|error| ConnectorError::io(error.into()))?;
    *response.body_mut() = SdkBody::from(bytes.into_bytes());
    Ok(response)
}

/// Latencies as of AWS: some milliseconds for the table, more for sending.
#[must_use]
pub fn usual_latency(call: &Call) -> Duration {
    Duration::from_millis(match call.service {
        Service::Dynamodb => 5,
        Service::Sns => 30,
        Service::Sesv2 => 100,
    })
}
