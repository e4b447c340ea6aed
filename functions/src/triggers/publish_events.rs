//! Triggered by the table's stream: publishes each event row to the topic `events`, and spreads the events of busy
//! workspaces.

use std::collections::BTreeMap;
use std::time::Duration;

use aws::{Table, Topic};
use domain::error::Error;
use domain::models::event::Event;
use domain::rules::event_shards::BUSY;
use domain::{Time, WorkspaceId};
use lambda::logging::Chain;
use serde_json::Value;

use crate::state::AppState;
use crate::triggers::stream_records::{event_of, new_events};
use crate::triggers::{Run, batch_item_failures};

/// Returns the first record to retry; the stream then repeats it and all later ones, so nothing is lost and the order
/// is kept. An unreadable row never blocks the stream: it is skipped and logged, which raises an alarm. Once a release
/// that can read it is deployed, `republish-events` publishes it.
///
/// # Errors
/// None: failures are in the answer.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let answer = publish(state.topic()?, &run).await;
    let most = state.settings.event_shards;
    if most > 1 {
        spread(state.table()?, &run, most).await;
    }
    Ok(answer)
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

/// Gives more shards to the days of which a partition was busy. A failure is logged only: the batches that follow show
/// the same.
async fn spread(table: &Table, run: &Run, most: u8) {
    for ((workspace, _), seen) in busy_days(run) {
        let raised = table.raise_event_shards(workspace, seen, most, (run.now(), run.id_source.event_id())).await;
        match raised {
            Ok(()) | Err(Error::Conflict) => {}
            Err(error) => {
                tracing::warn!(operation = run.operation, error = %Chain(&error), "events were not spread further");
            }
        }
    }
}

/// The days of which a partition was busy, each with the time of an event and the second of the records.
fn busy_days(run: &Run) -> BTreeMap<(WorkspaceId, String), (Time, Time)> {
    let mut records: BTreeMap<(&str, Time), Vec<&Value>> = BTreeMap::new();
    for record in run.records() {
        if let (Some(pk), Some(second)) = (record["dynamodb"]["NewImage"]["pk"]["S"].as_str(), second(record)) {
            records.entry((pk, second)).or_default().push(record);
        }
    }
    let busy = records.into_iter().filter(|(_, records)| records.len() >= BUSY);
    let seen = busy.filter_map(|((_, second), records)| {
        let event = records.into_iter().find_map(|record| event_of(record).ok().flatten())?;
        Some(((event.workspace_id, event.created_at.day()), (event.created_at, second)))
    });
    seen.collect()
}

/// The second in which a record was made.
fn second(record: &Value) -> Option<Time> {
    let seconds = record["dynamodb"]["ApproximateCreationDateTime"].as_f64()?;
    let seconds = Duration::try_from_secs_f64(seconds).ok()?.as_secs();
    Time::from_millis(i64::try_from(seconds).ok()?.checked_mul(1_000)?)
}
