//! Triggered by the table's stream: brings derived rows up to date with the things that events are about.

use std::collections::{BTreeMap, BTreeSet};

use aws::Table;
use aws::store::counts::EventRow;
use aws::store::derived::Thing;
use domain::WorkspaceId;
use domain::error::Error;
use domain::models::event::{Event, EventType};
use lambda::logging::Chain;
use serde_json::Value;

use crate::state::AppState;
use crate::triggers::stream_records::{StreamEvent, new_events};
use crate::triggers::{Run, batch_item_failures};

/// Returns the first record to retry; the stream then repeats it and all later ones. What is derived depends on the
/// things alone, so that a repetition changes nothing.
///
/// # Errors
/// `Unavailable` if it cannot be read which things the events are about.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let (table, run) = (state.table()?, &run);
    let events = new_events(run);
    let first_records = first_records(table, &events).await?;
    let outcomes = table.derive_all(first_records.keys().copied().collect(), || run.id_source.event_id()).await;
    let mut failed = BTreeSet::<String>::new();
    for (thing, error) in outcomes.into_iter().filter_map(|(thing, outcome)| Some((thing, outcome.err()?))) {
        tracing::warn!(operation = run.operation, error = %Chain(&error), "derived rows were not written");
        failed.extend(first_records.get(&thing).cloned());
    }
    if !count(table, run, &events).await {
        failed.extend(events.first().map(|first| first.sequence.clone()));
    }
    let first = events.iter().find(|event| failed.contains(&event.sequence));
    Ok(batch_item_failures(first.map(|event| event.sequence.clone())))
}

/// The things that events are about, each with the first record that names it.
async fn first_records(table: &Table, events: &[StreamEvent]) -> Result<BTreeMap<(WorkspaceId, Thing), String>, Error> {
    let mut records = BTreeMap::new();
    for StreamEvent { sequence, event, .. } in events {
        for thing in things_of(table, event).await? {
            records.entry((event.workspace_id, thing)).or_insert_with(|| sequence.clone());
        }
    }
    Ok(records)
}

/// The things that an event may have changed. What is derived from a device depends on its user's name and access.
async fn things_of(table: &Table, event: &Event) -> Result<BTreeSet<Thing>, Error> {
    let is_about = |kind: &str| event.event_type.as_str().starts_with(kind);
    let mut things = BTreeSet::new();
    things.extend(event.device_id.map(Thing::Device));
    things.extend(event.job_id.filter(|_| is_about("job.")).map(Thing::Job));
    things.extend(event.user_id.map(Thing::User));
    if let Some(user) = event.user_id.filter(|_| event.device_id.is_none() && changes_devices(event.event_type)) {
        let devices = table.device_ids_of_user(event.workspace_id, user).await?;
        things.extend(devices.into_iter().map(Thing::Device));
    }
    Ok(things)
}

/// True for events of a user that may change what is derived from their devices.
fn changes_devices(event_type: EventType) -> bool {
    event_type.as_str().starts_with("user.") && event_type != EventType::UserInvited
}

/// False if it failed.
async fn count(table: &Table, run: &Run, events: &[StreamEvent]) -> bool {
    let rows: Vec<EventRow> = events.iter().map(row_of).collect();
    let outcome = table.count_events(&rows, || run.id_source.event_id()).await;
    if let Err(error) = &outcome {
        tracing::warn!(operation = run.operation, error = %Chain(error), "events were not counted");
    }
    outcome.is_ok()
}

fn row_of(StreamEvent { key, event, .. }: &StreamEvent) -> EventRow {
    let (workspace_id, event_id, day) = (event.workspace_id, event.event_id, event.created_at.day());
    EventRow { key: key.clone(), workspace_id, event_id, day }
}
