//! Clients of the embedded DynamoDB, by the real SDK over HTTP. Requests can be changed on the way, and the capacity
//! that they consume is metered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws::{Clients, Connection, Table, TableNames};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use local::operations::Adjust;
use serde_json::Value;

use crate::bench::{Bench, Setup};
use crate::connector::{self, Hook};
use crate::faults::NoWait;
use crate::request_recorder::RequestRecorder;
use crate::rows;

/// The capacity that a call to DynamoDB consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumed {
    /// The operation that made the call; empty for a test's own table.
    pub operation: String,
    /// Its action.
    pub action: String,
    /// Capacity units of the table and its indexes, as DynamoDB reports them.
    pub units: f64,
}

/// Meters every call to DynamoDB. Clones share the record.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Vec<Consumed>>>);

impl Meter {
    /// A meter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the meter to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        connector::adjust(&Wire { change: ask_for_capacity, meter: self.clone() })
    }

    /// Consumption since the last reading.
    #[must_use]
    pub fn read(&self) -> Vec<Consumed> {
        std::mem::take(&mut *self.consumed())
    }

    fn consumed(&self) -> MutexGuard<'_, Vec<Consumed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the consumption in a response, and passes the response on.
    async fn record_consumption(
        &self,
        operation: String,
        action: &str,
        mut response: HttpResponse,
    ) -> Result<HttpResponse, ConnectorError> {
        let body = std::mem::replace(response.body_mut(), SdkBody::empty());
        let bytes = ByteStream::new(body).collect().await.map_err(|e| ConnectorError::io(e.into()))?.into_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let units = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum(),
            table => table["CapacityUnits"].as_f64().unwrap_or_default(),
        };
        self.consumed().push(Consumed { operation, action: action.to_owned(), units });
        *response.body_mut() = SdkBody::from(bytes);
        Ok(response)
    }
}

/// The system, and its tables through a test's own clients.
pub struct Store {
    /// The system.
    pub bench: Bench,
    /// The tables.
    pub table: Table,
    /// The tables, with a DynamoDB that has forgotten all request tokens, as it does after ten minutes.
    pub forgetful: Table,
    /// Records the calls through `table`.
    pub recorder: RequestRecorder,
}

impl Store {
    /// Starts the system in memory.
    pub async fn start() -> Self {
        let latest: Arc<Mutex<Option<Connection>>> = Arc::default();
        let setter = Arc::clone(&latest);
        let adjust: Adjust = Arc::new(move |_, connection| {
            *setter.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
            connection
        });
        let bench = Setup::new().with(adjust).start().await;
        let latest = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
        let connection = latest.expect("the system has connected at least one operation");
        let mut own = Connection::new(connection.region, connection.credentials);
        own.dynamodb_endpoint = connection.dynamodb_endpoint;
        own.sleep = SharedAsyncSleep::new(NoWait);
        let recorder = RequestRecorder::new();
        let table = table(&Connection { http: recorder.in_front_of(own.http.clone(), ""), ..own.clone() });
        own.http = connector::with_hook(&Wire { change: forget_token, meter: Meter::new() }, own.http, "");
        Self { bench, table, forgetful: self::table(&own), recorder }
    }
}

fn table(connection: &Connection) -> Table {
    let names = TableNames { main: rows::MAIN.to_owned(), secrets: rows::SECRETS.to_owned() };
    Table::new(&Clients::new(connection), names)
}

fn ask_for_capacity(body: &mut Value) {
    body["ReturnConsumedCapacity"] = "TOTAL".into();
}

fn forget_token(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        body.remove("ClientRequestToken");
    }
}

/// Changes each call to DynamoDB on its way, and meters it.
#[derive(Clone)]
struct Wire {
    change: fn(&mut Value),
    meter: Meter,
}

impl Hook for Wire {
    fn call(&self, operation: &str, mut request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").map(str::to_owned);
        let Some(target) = target else {
            return next.call(request);
        };
        let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        (self.change)(&mut body);
        let body = body.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let (next, meter, operation) = (next.clone(), self.meter.clone(), operation.to_owned());
        HttpConnectorFuture::new(async move {
            let response = next.call(request).await?;
            meter.record_consumption(operation, target.rsplit('.').next().unwrap_or_default(), response).await
        })
    }
}
