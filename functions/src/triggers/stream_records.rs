//! The records of the table's stream.

use aws::RowKey;
use domain::error::Error;
use domain::models::event::Event;
use lambda::logging::Chain;
use serde_json::Value;

use crate::triggers::Run;

/// A new event in the stream.
#[derive(Debug)]
pub struct StreamEvent {
    /// The record's sequence number.
    pub sequence: String,
    /// The key of the event's row.
    pub key: RowKey,
    /// The event.
    pub event: Event,
}

/// The new events of a run's records, in their order. An unreadable row never blocks the stream: it is skipped and
/// logged, which raises an alarm.
pub fn new_events(run: &Run) -> Vec<StreamEvent> {
    let read = |record: &Value| match event_of(record) {
        Ok(event) => Some(StreamEvent { sequence: sequence(record), key: key(record), event: event? }),
        Err(error) => {
            tracing::error!(operation = run.operation, row = %key(record), error = %Chain(&error), "a row cannot be read");
            None
        }
    };
    run.records().filter_map(read).collect()
}

fn key(record: &Value) -> RowKey {
    let part = |name: &str| record["dynamodb"]["NewImage"][name]["S"].as_str().unwrap_or_default();
    RowKey::new(part("pk"), part("sk"))
}

fn sequence(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default().to_owned()
}

/// The event of a record; `None` if the record is not about a new event row.
pub fn event_of(record: &Value) -> Result<Option<Event>, Error> {
    let image = &record["dynamodb"]["NewImage"];
    let is_event = image["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("EVENT#"));
    if record["eventName"] != "INSERT" || !is_event {
        return Ok(None);
    }
    aws::store::events::event_of_image(image.clone()).map(Some)
}
