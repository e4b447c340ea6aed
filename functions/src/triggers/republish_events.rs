//! Publishes the events of a time range again. It has no route: IAM decides who may invoke it.

use aws::EventFilter;
use aws::{Position, Table, Topic};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::{Time, WorkspaceId};
use serde_json::{Value, json};

use crate::state::AppState;
use crate::triggers::Run;

/// Time left when the last page starts, before Lambda ends the run.
const RESERVE: Duration = Duration::seconds(10);
const PAGE: usize = 100;

/// Takes `{workspace_id, since, until}` and returns `{published, unreadable, until}`. Publishes newest first: if
/// `until` is not null, time ran out and another run must publish the events before it. Consumers recognize events that
/// they have handled, so publishing again is safe.
///
/// # Errors
/// Every invalid field of the event; `Unavailable`.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let topic = state.topic()?;
    let mut fields = run.fields()?;
    let workspace = fields.id("workspace_id", WorkspaceId::parse);
    let since = fields.time("since");
    let until = fields.time("until");
    for name in ["workspace_id", "since", "until"] {
        fields.require(name);
    }
    fields.finish().map_err(DomainError::Invalid)?;
    let (Some(workspace), Some(since), Some(until)) = (workspace, since, until) else {
        return Err(DomainError::Invalid(Vec::new()).into());
    };
    let filter = EventFilter { device_id: None, user_id: None, event_type: None, since, until, oldest_first: false };
    publish(table, topic, &run, workspace, &filter).await
}

async fn publish(
    table: &Table,
    topic: &impl Topic,
    run: &Run,
    workspace: WorkspaceId,
    filter: &EventFilter,
) -> Result<Value, Error> {
    let mut start: Option<Position> = None;
    let mut published = 0;
    let mut unreadable = 0;
    let mut oldest: Option<Time> = None;
    let deadline = run.deadline(RESERVE);
    loop {
        let page = table.list_events(workspace, filter, PAGE, start).await?;
        if !topic.publish(&page.items).await?.is_empty() {
            return Err(Error::unavailable("SNS", "some events were not taken"));
        }
        published += page.items.len();
        unreadable += page.unreadable;
        oldest = page.items.last().map(|event| event.created_at).or(oldest);
        start = page.next;
        if start.is_none() {
            return Ok(json!({"published": published, "unreadable": unreadable, "until": null}));
        }
        // Until an event was published, there is no time from which another run could continue.
        if deadline.is_over() && oldest.is_some() {
            return Ok(json!({"published": published, "unreadable": unreadable, "until": oldest}));
        }
    }
}
