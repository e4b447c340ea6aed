//! Triggered by the queue on the topic `events`: keeps the device's endpoint in step with its push token, and wakes the
//! app.

use std::collections::BTreeSet;

use aws::LeaseOutcome;
use aws::Pusher;
use aws::{Commit, PushError, Table, Wake, retry_on_conflict};
use chrono::Duration;
use domain::error::Error;
use domain::models::event::{Event, EventType};
use domain::rules::push::{may_change_token, wakes};
use domain::{DeviceId, WorkspaceId};
use futures::StreamExt as _;
use futures::stream;
use lambda::logging::Chain;
use serde_json::Value;

use crate::state::AppState;
use crate::triggers::{Run, batch_item_failures, endpoint, event_of_record};

/// Duration of the lease: shorter than the queue's visibility timeout, after which a message is redelivered.
const HOLD: Duration = Duration::seconds(50);
/// Events handled at once: a batch, so that none of its workspaces waits for another.
const AT_ONCE: usize = 10;

/// What an event requires.
enum Task {
    /// The device has a new push token, or its endpoint must be enabled again.
    Settle,
    /// The device, or each device of the user, should check in soon.
    Wake,
}

/// Returns the messages to retry. After the last retry, `run-due` still settles the token.
///
/// # Errors
/// Of an event with which SNS invoked the function, as before it had a queue: Lambda retries it.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let (table, pusher, run) = (state.table()?, state.pusher(), &run);
    let each = |record: Value| async move {
        let outcome = process_record(table, pusher, run, &record).await;
        (record, outcome)
    };
    let outcomes: Vec<_> = stream::iter(run.records().cloned()).map(each).buffer_unordered(AT_ONCE).collect().await;
    let mut failed = Vec::new();
    for (record, outcome) in outcomes {
        let Err(error) = outcome else { continue };
        let Some(id) = record["messageId"].as_str() else { return Err(error) };
        tracing::warn!(operation = run.operation, queue_record.id = id, error = %Chain(&error), "an event was not processed");
        failed.push(id.to_owned());
    }
    Ok(batch_item_failures(failed))
}

async fn process_record(table: &Table, pusher: &Pusher, run: &Run, record: &Value) -> Result<(), Error> {
    let event = event_of_record(record)?;
    match task(&event) {
        Some(task) => perform(table, pusher, run, &event, &task).await,
        None => Ok(()),
    }
}

fn task(event: &Event) -> Option<Task> {
    if wakes(&event.event_type) {
        return Some(Task::Wake);
    }
    let is_new_installation = matches!(event.event_type, EventType::DeviceRegistered | EventType::DeviceReEnrolled);
    let is_new_token = event.changed_fields.iter().any(|field| field == "push_token");
    let push_changed = event.changes.contains_key("push.reason");
    let settle = may_change_token(&event.event_type) && (is_new_installation || is_new_token || push_changed);
    settle.then_some(Task::Settle)
}

async fn perform(table: &Table, pusher: &Pusher, run: &Run, event: &Event, task: &Task) -> Result<(), Error> {
    let workspace = event.workspace_id;
    match task {
        // The token's own row shows whether anything is left to do.
        Task::Settle => match event.device_id {
            Some(device) => retry_on_conflict(table, || endpoint::settle(table, pusher, run, workspace, device)).await,
            None => Ok(()),
        },
        Task::Wake => {
            let take = || table.take_lease(run.operation, event.event_id, HOLD, run.now(), run.id_source.event_id());
            let lease = match retry_on_conflict(table, take).await? {
                LeaseOutcome::Acquired(lease) => lease,
                LeaseOutcome::Done => return Ok(()),
                // If the other run fails, the retry of this one wakes the device.
                LeaseOutcome::Busy => {
                    return Err(Error::unavailable("the lease", "another run is processing this event"));
                }
            };
            for device in devices_of(table, event).await? {
                wake(table, pusher, workspace, device, event).await?;
            }
            let done = || Commit::without_event(run.id_source.event_id()).complete_lease(&lease, run.now());
            retry_on_conflict(table, || table.commit(done())).await.map(drop)
        }
    }
}

/// The event's device, or the devices that its user holds.
async fn devices_of(table: &Table, event: &Event) -> Result<BTreeSet<DeviceId>, Error> {
    if let Some(device) = event.device_id {
        return Ok(BTreeSet::from([device]));
    }
    let user = match event.user_id {
        Some(id) => table.user(event.workspace_id, id).await?,
        None => None,
    };
    Ok(user.map(|user| user.device_ids).unwrap_or_default())
}

/// Wakes a device if pushes reach it. A deleted one is woken too, for its wipe: so this asks for the stored reason. SNS
/// reports separately if they no longer do.
async fn wake(
    table: &Table,
    pusher: &Pusher,
    workspace: WorkspaceId,
    id: DeviceId,
    event: &Event,
) -> Result<(), Error> {
    let device = table.device(workspace, id).await?.filter(|device| device.push.reason.in_use());
    let Some(endpoint) = device.and_then(|device| device.push_endpoint) else {
        return Ok(());
    };
    match pusher.wake(&endpoint, &Wake { event_type: event.event_type.as_str() }).await {
        Ok(()) | Err(PushError::Disabled | PushError::Gone | PushError::Refused(_)) => Ok(()),
        Err(error) => Err(Error::unavailable("SNS", error)),
    }
}
