//! Triggered by the table's stream: publishes each event row to the topic `events`.

use aws::Topic;
use domain::error::Error;
use domain::models::event::Event;
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::state::AppState;
use crate::triggers::{Run, batch_item_failures};

/// Returns the first record to retry; the stream then repeats it and all later ones, so nothing is lost and the order
/// is kept. An unreadable row never blocks the stream: it is skipped and logged, which raises an alarm. Once a release
/// that can read it is deployed, `republish-events` publishes it.
///
/// # Errors
/// None: failures are in the answer.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    Ok(publish(state.topic()?, &run).await)
}

/// Publishes the events of a run's records to a topic, and returns the first record to retry.
pub async fn publish(topic: &impl Topic, run: &Run) -> Value {
    let records: Vec<&Value> = run.records().collect();
    let mut events = Vec::new();
    let mut failed = None;
    for record in &records {
        match event_of(record) {
            Ok(Some(event)) => events.push((sequence(record), event)),
            Ok(None) => {}
            Err(error) => {
                let row = key(record);
                tracing::error!(operation = run.operation, row, error = %Chain(&error), "a row cannot be read");
            }
        }
    }
    let (sequences, events): (Vec<String>, Vec<Event>) = events.into_iter().unzip();
    match topic.publish(&events).await {
        Ok(not_taken) => {
            if let Some(first) = not_taken.into_iter().min() {
                failed = sequences.get(first).cloned();
            }
        }
        Err(error) => {
            tracing::warn!(operation = run.operation, error = %Chain(&error), "events were not published");
            failed = sequences.first().cloned();
        }
    }
    failed.map_or_else(|| json!({"batchItemFailures": []}), |sequence| batch_item_failures([sequence]))
}

/// The key of a record's row, for the log.
fn key(record: &Value) -> String {
    let part = |name: &str| record["dynamodb"]["NewImage"][name]["S"].as_str().unwrap_or_default();
    format!("{} | {}", part("pk"), part("sk"))
}

fn sequence(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default().to_owned()
}

/// The event of a record; `None` if the record is not about a new event row.
fn event_of(record: &Value) -> Result<Option<Event>, Error> {
    let image = &record["dynamodb"]["NewImage"];
    let is_event = image["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("EVENT#"));
    if record["eventName"] != "INSERT" || !is_event {
        return Ok(None);
    }
    aws::store::events::event_of_image(image.clone()).map(Some)
}
