//! Triggered by the table's stream: publishes each event row to the topic `events`.

use aws::Topic;
use domain::error::Error;
use domain::models::event::Event;
use lambda::logging::Chain;
use serde_json::Value;

use crate::state::AppState;
use crate::triggers::stream_records::new_events;
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
    let (sequences, events): (Vec<String>, Vec<Event>) =
        new_events(run).into_iter().map(|new| (new.sequence, new.event)).unzip();
    let failed = match topic.publish(&events).await {
        Ok(not_taken) => not_taken.into_iter().min().and_then(|first| sequences.get(first).cloned()),
        Err(error) => {
            tracing::warn!(operation = run.operation, error = %Chain(&error), "events were not published");
            sequences.first().cloned()
        }
    };
    batch_item_failures(failed)
}
