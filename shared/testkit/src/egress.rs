//! Hosts outside AWS, for sources and webhooks, with responses that tests set.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use local::operations::Adjust;
use serde_json::Value;

/// The response of a page.
#[derive(Clone, Debug)]
pub enum Answers {
    /// With a status, headers and a body.
    With(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Never.
    Never,
    /// By closing the connection.
    ConnectionClosed,
    /// The process ends while the page is read.
    ProcessEnds,
}

/// A request that a page received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// Its URL.
    pub url: String,
    /// The header `authorization`.
    pub authorization: Option<String>,
}

/// A call to a URL outside AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

impl Sent {
    /// Its body as JSON; `null` if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// All pages.
#[derive(Clone)]
pub struct Pages(Arc<Mutex<State>>);

struct State {
    answers: Answers,
    answers_at: BTreeMap<String, Answers>,
    received: Vec<ReceivedRequest>,
    sent: Vec<Sent>,
    meanwhile: Box<dyn Fn() + Send>,
}

impl Default for Pages {
    fn default() -> Self {
        let do_nothing = Box::new(|| ());
        Self(Arc::new(Mutex::new(State {
            answers: Answers::Never,
            answers_at: BTreeMap::new(),
            received: Vec::new(),
            sent: Vec::new(),
            meanwhile: do_nothing,
        })))
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

impl Pages {
    /// Sets the answer of every page.
    pub fn answer(&self, answers: Answers) {
        self.state().answers = answers;
    }

    /// Sets the answer of one page, whatever the others do.
    pub fn answer_at(&self, url: &str, answers: Answers) {
        self.state().answers_at.insert(url.to_owned(), answers);
    }

    /// All calls so far.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    /// Makes every page answer with 200 and a body.
    pub fn answer_ok(&self, body: impl Into<Vec<u8>>) {
        self.answer(Answers::With(200, Vec::new(), body.into()));
    }

    /// Sets a function that runs while a page is read.
    pub fn meanwhile(&self, run: impl Fn() + Send + 'static) {
        self.state().meanwhile = Box::new(run);
    }

    /// All requests so far.
    #[must_use]
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.state().received.clone()
    }

    /// Replaces the network outside AWS by these pages, for every operation. Pauses take no time.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        let pages = self.clone();
        Arc::new(move |_, mut connection| {
            connection.egress = Some(SharedHttpConnector::new(pages.clone()));
            connection.sleep = SharedAsyncSleep::new(NoPauses);
            connection
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnector for Pages {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let authorization = request.headers().get("authorization").map(str::to_owned);
        let mut state = self.state();
        state.received.push(ReceivedRequest { url: request.uri().to_owned(), authorization });
        let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        state.sent.push(Sent {
            method: request.method().to_owned(),
            url: request.uri().to_owned(),
            headers,
            body: String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned(),
        });
        (state.meanwhile)();
        match state.answers_at.get(request.uri()).unwrap_or(&state.answers).clone() {
            Answers::Never => HttpConnectorFuture::new(std::future::pending()),
            Answers::ProcessEnds => resume_unwind(Box::new("the process ended")),
            Answers::ConnectionClosed => {
                HttpConnectorFuture::ready(Err(ConnectorError::io("the connection was closed".into())))
            }
            Answers::With(status, headers, body) => {
                let status = StatusCode::try_from(status).expect("the test's status is valid");
                let mut response = HttpResponse::new(status, body.into());
                for (name, value) in headers {
                    response.headers_mut().insert(name, value);
                }
                HttpConnectorFuture::ready(Ok(response))
            }
        }
    }
}

/// Makes pauses between attempts and page timeouts take no time; AWS timeouts never end, since no call here
/// comes near them.
#[derive(Debug)]
struct NoPauses;

impl AsyncSleep for NoPauses {
    fn sleep(&self, duration: Duration) -> Sleep {
        if duration < Duration::from_secs(2) || duration == aws::FETCH_TIMEOUT {
            Sleep::new(tokio::task::yield_now())
        } else {
            Sleep::new(std::future::pending())
        }
    }
}
