//! What calls of DynamoDB cost by key: the capacity that each partition key of a table or index is charged with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use dynoxide::types::{Item, item_size, read_capacity_units, table_write_capacity_units};
use dynoxide::{AttributeValue, Database};
use local::operations::Adjust;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::connector::{self, Hook};
use crate::faults::Call;

/// Factor of the cost of an item in a transaction. Index entries cost the same as outside of one.
const TRANSACTION: f64 = 2.0;

/// The load of a partition key by one item of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The operation that made the call.
    pub operation: String,
    /// The table.
    pub table: String,
    /// The index; the table itself if not set.
    pub index: Option<String>,
    /// The partition key.
    pub partition: String,
    /// Read capacity units.
    pub reads: f64,
    /// Write capacity units.
    pub writes: f64,
    /// True if a row of the table was changed, so that its stream has a record of it.
    pub record: bool,
}

/// A table's key attributes, and those of its indexes, which must be keys-only.
#[derive(Clone, Debug, Default)]
struct Keys {
    table: Vec<String>,
    indexes: BTreeMap<String, Vec<String>>,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loads {
    /// The loads, in the order of the calls.
    pub loads: Vec<Load>,
    /// Operation and action of each call, also of those to other services than DynamoDB.
    pub calls: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    database: Option<(Database, BTreeMap<String, Keys>)>,
    recorded: Loads,
}

/// Records the loads of every call. Clones share the record. It compares a row before and after each call, so calls
/// that change the same row must not run at the same time.
#[derive(Clone, Default)]
pub struct LoadMeter(Arc<Mutex<State>>);

impl LoadMeter {
    /// A meter without loads, which records nothing until it [watches](Self::watch) a system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the meter to each operation's connection.
    #[must_use]
    pub fn adjust(&self) -> Adjust {
        connector::adjust(self)
    }

    /// Records the calls of this system from now on.
    pub fn watch(&self, bench: &Bench, tables: &[&str]) {
        let database = bench.stack.database().clone();
        let keys = tables.iter().map(|table| ((*table).to_owned(), keys_of(&database, table))).collect();
        self.state().database = Some((database, keys));
    }

    /// What was recorded since the last reading.
    #[must_use]
    pub fn read(&self) -> Loads {
        std::mem::take(&mut self.state().recorded)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(
        &self,
        operation: String,
        call: DynamoCall,
        mut response: HttpResponse,
    ) -> Result<HttpResponse, ConnectorError> {
        let body = std::mem::replace(response.body_mut(), SdkBody::empty());
        let bytes = ByteStream::new(body).collect().await.map_err(|e| ConnectorError::io(e.into()))?.into_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        *response.body_mut() = SdkBody::from(bytes);
        let refused = !response.status().is_success();
        // A refused condition costs what the write would have cost; other errors cost nothing.
        if !refused || answer.to_string().contains("ConditionalCheckFailed") {
            let mut state = self.state();
            let loads = call.loads(&operation, &answer);
            if !refused {
                let sum: f64 = loads.iter().map(|load| load.reads + load.writes).sum();
                let reported = capacity(&answer);
                assert!((sum - reported).abs() < 0.01, "{operation} {}: {sum} units, not {reported}", call.action);
            }
            state.recorded.loads.extend(loads);
        }
        Ok(response)
    }
}

/// The capacity units of all tables that a response reports.
fn capacity(answer: &Value) -> f64 {
    match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum(),
        table => table["CapacityUnits"].as_f64().unwrap_or_default(),
    }
}

/// The key attributes of a table and its indexes.
fn keys_of(database: &Database, table: &str) -> Keys {
    let request = serde_json::from_value(json!({"TableName": table})).expect("the request is valid");
    let description = database.describe_table(request).expect("the table exists");
    let description = serde_json::to_value(description).expect("the description serializes");
    let names = |schema: &Value| {
        let parts = schema.as_array().into_iter().flatten();
        parts.filter_map(|part| part["AttributeName"].as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let table = &description["Table"];
    let indexes = table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
    let indexes = indexes.map(|index| {
        assert_eq!(index["Projection"]["ProjectionType"], "KEYS_ONLY", "the sizes of other entries are not known here");
        (index["IndexName"].as_str().unwrap_or_default().to_owned(), names(&index["KeySchema"]))
    });
    Keys { table: names(&table["KeySchema"]), indexes: indexes.collect() }
}

/// A row that a call reads or writes.
struct Access {
    table: String,
    keys: Keys,
    key: Value,
    /// True if the call can change it.
    write: bool,
    before: Option<Item>,
}

/// A call, with its rows as they were before it.
struct DynamoCall {
    action: String,
    body: Value,
    database: Database,
    rows: Vec<Access>,
}

impl DynamoCall {
    fn new(action: &str, body: &Value, database: &Database, tables: &BTreeMap<String, Keys>) -> Self {
        let mut call =
            Self { action: action.to_owned(), body: body.clone(), database: database.clone(), rows: Vec::new() };
        let mut add = |request: &Value, table: &str, write: bool| {
            let keys = &tables[table];
            let from = if request["Key"].is_object() { &request["Key"] } else { &request["Item"] };
            let key = keys.table.iter().map(|name| (name.clone(), from[name].clone())).collect();
            let key = Value::Object(key);
            let before = row(database, table, &key);
            call.rows.push(Access { table: table.to_owned(), keys: keys.clone(), key, write, before });
        };
        let name = |request: &Value| request["TableName"].as_str().unwrap_or_default().to_owned();
        match action {
            "GetItem" => add(body, &name(body), false),
            "PutItem" | "UpdateItem" | "DeleteItem" => add(body, &name(body), true),
            "BatchGetItem" => {
                for (table, keys) in body["RequestItems"].as_object().into_iter().flatten() {
                    for key in keys["Keys"].as_array().into_iter().flatten() {
                        add(&json!({"Key": key}), table, false);
                    }
                }
            }
            "TransactWriteItems" => {
                for item in body["TransactItems"].as_array().into_iter().flatten() {
                    for request in item.as_object().into_iter().flat_map(serde_json::Map::values) {
                        add(request, &name(request), true);
                    }
                }
            }
            "Query" | "Scan" | "DescribeTable" => {}
            other => panic!("the loads of {other} are not known"),
        }
        call
    }

    /// The loads of the call, after it.
    fn loads(&self, operation: &str, answer: &Value) -> Vec<Load> {
        if matches!(self.action.as_str(), "Query" | "Scan") {
            return vec![self.load_of_query(operation, answer)];
        }
        self.rows.iter().flat_map(|row| self.loads_of_row(operation, row)).collect()
    }

    fn load_of_query(&self, operation: &str, answer: &Value) -> Load {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let partition = text(&self.body["ExpressionAttributeValues"][":partition"]["S"]);
        assert!(self.action == "Scan" || !partition.is_empty(), "a query names its partition as :partition");
        Load {
            operation: operation.to_owned(),
            table: text(&self.body["TableName"]),
            index: self.body["IndexName"].as_str().map(str::to_owned),
            partition: if self.action == "Scan" { "(scan)".to_owned() } else { partition },
            reads: capacity(answer),
            writes: 0.0,
            record: false,
        }
    }

    fn loads_of_row(&self, operation: &str, access: &Access) -> Vec<Load> {
        let load = |index: Option<&str>, partition: &str, reads: f64, writes: f64, record: bool| Load {
            operation: operation.to_owned(),
            table: access.table.clone(),
            index: index.map(str::to_owned),
            partition: partition.to_owned(),
            reads,
            writes,
            record,
        };
        let partition = access.key[&access.keys.table[0]]["S"].as_str().unwrap_or_default();
        let size = access.before.as_ref().map(item_size);
        if !access.write {
            assert!(
                self.body["ConsistentRead"] == true || self.action == "BatchGetItem",
                "reads are strongly consistent"
            );
            return vec![load(None, partition, read_capacity_units(size.unwrap_or(0)), 0.0, false)];
        }
        let after = row(&self.database, &access.table, &access.key);
        let factor = if self.action == "TransactWriteItems" { TRANSACTION } else { 1.0 };
        let units = factor * table_write_capacity_units(size, after.as_ref().map(item_size));
        let mut loads = vec![load(None, partition, 0.0, units, access.before != after)];
        for (index, keys) in &access.keys.indexes {
            let (old, new) = (entry(access.before.as_ref(), keys), entry(after.as_ref(), keys));
            if old != new {
                // An entry that has only keys is below one unit.
                loads.extend([old, new].into_iter().flatten().map(|(at, _)| load(Some(index), &at, 0.0, 1.0, false)));
            }
        }
        loads
    }
}

/// A stored row.
fn row(database: &Database, table: &str, key: &Value) -> Option<Item> {
    let request = json!({"TableName": table, "Key": key, "ConsistentRead": true});
    let request = serde_json::from_value(request).expect("the request is valid");
    database.get_item(request).expect("the row is read").item
}

/// A row's entry in an index.
fn entry(row: Option<&Item>, keys: &[String]) -> Option<(String, String)> {
    let text = |name: &String| match row?.get(name)? {
        AttributeValue::S(text) => Some(text.clone()),
        _ => None,
    };
    Some((text(keys.first()?)?, text(keys.get(1)?)?))
}

impl Hook for LoadMeter {
    fn call(&self, operation: &str, mut request: HttpRequest, next: &SharedHttpConnector) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").map(str::to_owned);
        let watched = self.state().database.clone();
        self.state().recorded.calls.push((operation.to_owned(), Call::of(&request).action));
        let (Some(target), Some((database, tables))) = (target, watched) else {
            return next.call(request);
        };
        let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        body["ReturnConsumedCapacity"] = "TOTAL".into();
        let call = DynamoCall::new(target.rsplit('.').next().unwrap_or_default(), &body, &database, &tables);
        let body = body.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let (next, meter, operation) = (next.clone(), self.clone(), operation.to_owned());
        HttpConnectorFuture::new(async move {
            let response = next.call(request).await?;
            meter.record(operation, call, response).await
        })
    }
}
