//! Reads and writes stored rows directly.

use std::collections::BTreeMap;

use aws::store::counts::counts_partition;
use aws::store::derived::{Shadow, Thing};
use aws::{Row, RowKey};
use domain::Time;
use domain::WorkspaceId;
use domain::models::message_limits::{DailyQuota, MessageLimits, MessagePolicy};
use domain::models::offer::Channel;
use domain::rules::derived::Derived;
pub use dynoxide::Database;
use dynoxide::ImportOptions;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::scan::ScanRequest;
use serde_json::{Map, Value, json};

use crate::bench::Bench;

/// The table of everything but secrets.
pub const MAIN: &str = "handset";
/// The table of secrets.
pub const SECRETS: &str = "handset-secrets";

/// Every row of a table as plain JSON, by `{pk} | {sk}`; sets are sorted arrays.
#[must_use]
pub fn all(bench: &Bench, table: &str) -> BTreeMap<String, Value> {
    all_in(bench.stack.database(), table)
}

/// As [`all`], without a running system.
#[must_use]
pub fn all_in(database: &Database, table: &str) -> BTreeMap<String, Value> {
    let mut items = Vec::new();
    let mut from = None;
    loop {
        let request = ScanRequest { table_name: table.to_owned(), exclusive_start_key: from, ..ScanRequest::default() };
        let response = database.scan(request).expect("the table is scanned");
        items.extend(response.items.unwrap_or_default());
        from = response.last_evaluated_key;
        if from.is_none() {
            break;
        }
    }
    items
        .into_iter()
        .map(|item| {
            let item = serde_json::to_value(item).expect("the row serializes to JSON");
            let fields = item.as_object().into_iter().flatten();
            let row: Value = fields.map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>().into();
            (key(&row), row)
        })
        .collect()
}

/// The counts among rows, by workspace and what is counted: the sums over their shards, but for those that are zero.
///
/// # Panics
/// If a row of counts has no number.
pub fn counts<'a>(rows: impl IntoIterator<Item = (&'a String, &'a Value)>) -> BTreeMap<(WorkspaceId, String), i64> {
    let mut sums = BTreeMap::new();
    for (key, row) in rows {
        if let Some(counted) = counted(key) {
            *sums.entry(counted).or_default() += row["n"].as_i64().expect("a number");
        }
    }
    sums.retain(|_, n| *n != 0);
    sums
}

/// The workspace of a row of counts, and what is counted.
fn counted(key: &str) -> Option<(WorkspaceId, String)> {
    let (partition, counted) = key.strip_prefix("COUNTS#")?.split_once(" | ")?;
    let (workspace, _shard) = partition.split_once('#')?;
    Some((WorkspaceId::parse(workspace)?, counted.to_owned()))
}

/// A row with the fields that its key contains.
#[must_use]
pub fn with_key_fields(mut row: Value) -> Value {
    let text = |name: &str| row[name].as_str();
    for (name, value) in aws::store::devices::fields_of_key(text("pk"), text("sk"), text("owner")) {
        if row[name].is_null() {
            row[name] = value.into();
        }
    }
    row
}

/// Everything that is stored, by table and key: two results are equal if nothing has changed.
#[must_use]
pub fn everything(bench: &Bench) -> BTreeMap<(&'static str, String), Value> {
    let of = |table: &'static str| all(bench, table).into_iter().map(move |(key, row)| ((table, key), row));
    of(MAIN).chain(of(SECRETS)).collect()
}

/// As [`everything`], without what follows by itself a little later: derived rows, and that events are counted.
#[must_use]
pub fn everything_but_derived(bench: &Bench) -> BTreeMap<(&'static str, String), Value> {
    let mut all = everything(bench);
    let derived = ["FACET#", "ORDER#", "COUNTS#"];
    all.retain(|(_, key), _| !key.ends_with(" | DERIVED") && !derived.iter().any(|kind| key.starts_with(kind)));
    for row in all.values_mut().filter_map(Value::as_object_mut) {
        row.remove("counted");
    }
    all
}

/// Deletes everything that is stored.
pub fn clear(bench: &Bench) {
    for ((table, _), row) in everything(bench) {
        remove(bench, table, &row);
    }
}

/// Deletes a row of a table.
pub fn remove(bench: &Bench, table: &str, row: &Value) {
    let parts = ["pk", "sk"].into_iter().filter(|name| table == MAIN || *name == "pk");
    let key: Map<String, Value> = parts.map(|name| (name.to_owned(), attribute(&row[name]))).collect();
    let request: DeleteItemRequest = serde_json::from_value(json!({"TableName": table, "Key": key}))
        .expect("the row's key is a delete request's key");
    bench.stack.database().delete_item(request).expect("the row is deleted");
}

/// Puts a row of plain JSON into a table, unconditionally. Attributes named in `sets` are stored as string sets.
pub fn put(bench: &Bench, table: &str, row: &Value, sets: &[&str]) {
    put_into(bench.stack.database(), table, row, sets);
}

/// As [`put`], without a running system.
pub fn put_into(database: &Database, table: &str, row: &Value, sets: &[&str]) {
    let request: PutItemRequest = serde_json::from_value(json!({"TableName": table, "Item": item(row, sets)}))
        .expect("the row is an item of DynamoDB");
    database.put_item(request).expect("the row is stored");
}

/// An object's row, its second row if it has one, and its index rows, as plain JSON.
pub fn rows_of<R: Row>(object: &R) -> Vec<Value> {
    let keyed = |mut row: Value, key: RowKey| {
        (row["pk"], row["sk"]) = (key.pk.into(), key.sk.into());
        row
    };
    let (row, second) = aws::to_json(object).expect("the object serializes to a row");
    let index_rows = object.index_rows().into_iter();
    let index_rows = index_rows.map(|index_row| keyed(json!(index_row.attributes), index_row.key));
    [row].into_iter().chain(second).chain(index_rows).collect()
}

/// Puts many rows into a table at once, as [`put`] does, but without stream records.
pub fn put_many(bench: &Bench, table: &str, rows: &[Value], sets: &[&str]) {
    let items =
        rows.iter().map(|row| serde_json::from_value(item(row, sets).into()).expect("the row is an item of DynamoDB"));
    let options = ImportOptions::default();
    let _imported = bench.stack.database().import_items(table, items.collect(), options).expect("the rows are stored");
}

/// Derived rows of things that are stored without events.
#[derive(Debug, Default)]
pub struct DerivedRows {
    rows: Vec<Value>,
    counts: BTreeMap<RowKey, i64>,
}

impl DerivedRows {
    /// Adds those of a thing.
    pub fn add(&mut self, workspace: WorkspaceId, thing: Thing, derived: &Derived) {
        let shadow = Shadow::new(thing.key(workspace).pk, derived, None);
        let keys = shadow.entries(workspace, thing).into_iter();
        self.rows.extend(rows_of(&shadow));
        self.rows.extend(keys.map(|key| json!({"pk": key.pk, "sk": key.sk})));
        for (sk, number) in shadow.counts(thing.kind()) {
            *self.counts.entry(RowKey::new(counts_partition(workspace, 0), sk)).or_default() += number;
        }
    }

    /// Stores them, and adds to the counts that are stored.
    pub fn store(mut self, bench: &Bench) {
        let stored = all(bench, MAIN);
        let counts = self.counts.into_iter().map(|(key, number)| {
            let before = stored.get(&key.to_string()).and_then(|row| row["n"].as_i64()).unwrap_or(0);
            json!({"pk": key.pk, "sk": key.sk, "n": before + number})
        });
        self.rows.extend(counts);
        put_many(bench, MAIN, &self.rows, &[]);
    }
}

/// A row of plain JSON in DynamoDB's format. Attributes named in `sets` are string sets.
#[must_use]
pub fn item(row: &Value, sets: &[&str]) -> Map<String, Value> {
    let fields = row.as_object().into_iter().flatten();
    let stored = |(name, value): (&String, &Value)| {
        let stored = if sets.contains(&name.as_str()) { json!({"SS": value}) } else { attribute(value) };
        (name.clone(), stored)
    };
    fields.map(stored).collect()
}

fn key(row: &Value) -> String {
    let part = |name: &str| row[name].as_str().map(str::to_owned);
    [part("pk"), part("sk")].into_iter().flatten().collect::<Vec<_>>().join(" | ")
}

fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|value| value.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), inner) {
        ("N", Value::String(number)) => number.parse::<i64>().map_or(inner.clone(), Value::from),
        ("NULL", _) => Value::Null,
        ("M", Value::Object(fields)) => {
            fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>().into()
        }
        ("L", Value::Array(items)) => items.iter().map(plain).collect(),
        ("SS", Value::Array(items)) => {
            let mut items = items.clone();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        _ => inner.clone(),
    }
}

fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(truth) => json!({"BOOL": truth}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(items) => json!({"L": items.iter().map(attribute).collect::<Vec<_>>()}),
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
            json!({"M": fields})
        }
    }
}

/// The limits of a message in a workspace that has sent none, to any German number or address.
#[must_use]
pub fn limits_before_any_message(workspace_id: WorkspaceId, channel: Channel, now: Time) -> MessageLimits {
    MessageLimits {
        policy: MessagePolicy { emails_per_day: 100, texts_per_day: 100, calling_codes: vec!["+49".to_owned()] },
        quota: DailyQuota { workspace_id, channel, day: now.day(), per_day: 100 },
        shards: vec![0],
        counts: Vec::new(),
        history: None,
    }
}
