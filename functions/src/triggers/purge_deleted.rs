//! Each quarter of an hour: removes deleted devices and users whose retention has ended.

use aws::Pusher;
use aws::store::due::purge_shard;
use aws::{Commit, Page, RowKey, Table, retry_on_conflict};
use aws::{DeviceFilter, DueRow, EventFilter};
use chrono::Duration;
use domain::error::Error;
use domain::models::device::Device;
use domain::models::event::Event;
use domain::models::user::User;
use domain::rules::devices::purge;
use domain::rules::lifecycle;
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};

use crate::deadline::Deadline;
use crate::state::AppState;
use crate::triggers::run_due::shards;
use crate::triggers::{Run, Tally, endpoint};

const PAGE: usize = 50;
/// Time left when the last page starts, before Lambda ends the run.
const RESERVE: Duration = Duration::seconds(30);
/// Shards whose devices are removed at once, and users that are.
const AT_ONCE: usize = 8;
/// Rows removed or blanked in one commit.
const ROWS: usize = 40;

/// Returns how many devices and users were removed, how many failed, and whether more are due. Works on several shards
/// side by side, page by page, until shortly before its deadline; the next run continues, since removed rows are no
/// longer due, and starts at another shard. A failure never stops the rest. Users are removed after devices.
///
/// # Errors
/// `Unavailable` if due rows cannot be listed.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let pusher = state.pusher();
    let deadline = run.deadline(RESERVE);
    let each = |shard| Box::pin(purge_devices(table, pusher, &run, shard, &deadline));
    let shards: Vec<_> = stream::iter(shards(run.now())).map(each).buffer_unordered(AT_ONCE).collect().await;
    let (mut purged, mut users) = (Tally::default(), Vec::new());
    for shard in shards {
        let (of_shard, found) = shard?;
        purged.add(&of_shard);
        users.extend(found);
    }
    let (run, deadline) = (&run, &deadline);
    let each = |(key, user): (RowKey, Box<User>)| async move {
        let over = deadline.is_over();
        (key, if over { None } else { Some(Box::pin(purge_user(table, run, &user, deadline)).await) })
    };
    let mut outcomes = stream::iter(users).map(each).buffer_unordered(AT_ONCE);
    while let Some((key, outcome)) = outcomes.next().await {
        if let Some(outcome) = outcome {
            purged.count(run, &key, outcome);
        }
    }
    Ok(answer(&purged, deadline.is_over()))
}

/// Removes the due devices of a shard one after another, and returns its due users.
async fn purge_devices(
    table: &Table,
    pusher: &Pusher,
    run: &Run,
    shard: u8,
    deadline: &Deadline,
) -> Result<(Tally, Vec<(RowKey, Box<User>)>), Error> {
    let (mut purged, mut users, mut start) = (Tally::default(), Vec::new(), None);
    loop {
        let page = table.due(&purge_shard(shard), run.now(), start, PAGE).await?;
        for (key, row) in page.rows {
            if deadline.is_over() {
                return Ok((purged, users));
            }
            match row {
                Ok(Some(DueRow::Device(device))) => {
                    purged.count(run, &key, purge_device(table, pusher, run, &device).await);
                }
                Ok(Some(DueRow::User(user))) => users.push((key, user)),
                Ok(_) => {}
                Err(failure) => purged.count(run, &key, Err(failure)),
            }
        }
        start = page.next;
        if start.is_none() {
            return Ok((purged, users));
        }
    }
}

/// The result of a run.
fn answer(purged: &Tally, more: bool) -> Value {
    json!({"purged": purged.done, "failed": purged.failed, "more": more})
}

/// Removes a device and all its rows; false if its removal is not due.
async fn purge_device(table: &Table, pusher: &Pusher, run: &Run, due: &Device) -> Result<bool, Error> {
    retry_on_conflict(table, || async {
        let Some(details) = table.device_details(due.workspace_id, due.device_id).await? else {
            return Ok(false);
        };
        let Some(event) = purge(&details.device, &run.new_event_context(due.workspace_id)) else {
            return Ok(false);
        };
        forget_commands(table, run, &details.device).await?;
        if let Some(endpoint) = &details.device.push_endpoint {
            endpoint::release(table, pusher, &details.device, endpoint).await?;
        }
        let mut commit = Commit::with_event(&event).delete(&details.device);
        for former in table.former_index_rows(&details.device).await? {
            commit = commit.remove(&former);
        }
        if let Some(attachments) = &details.attachments {
            commit = commit.delete(attachments);
        }
        if let Some(token) = table.push_token(due.workspace_id, due.device_id).await? {
            commit = commit.delete(&token);
        }
        // The claim on a device identifier counts enrolments, so it is removed only with its newest device.
        if let Some(claim) = details.claim.filter(|claim| claim.device_id == details.device.device_id) {
            commit = commit.delete(&claim);
        }
        table.commit(commit).await?;
        Ok(true)
    })
    .await
}

/// An error if the page left out a row: a row that this release cannot read must not survive the purge.
fn whole<R>(page: &Page<R>) -> Result<(), Error> {
    if page.unreadable > 0 { Err(Error::internal("purging", "a row cannot be read")) } else { Ok(()) }
}

/// Removes the rows of a device's commands, provided that the device has not changed; none of them is open any more.
async fn forget_commands(table: &Table, run: &Run, device: &Device) -> Result<(), Error> {
    loop {
        let page = table.list_commands(device.workspace_id, device.device_id, ROWS, None).await?;
        whole(&page)?;
        if page.items.is_empty() {
            return Ok(());
        }
        let commit = Commit::without_event(run.id_source.event_id()).require_unchanged(device);
        table.commit(page.items.iter().fold(commit, Commit::delete)).await?;
    }
}

/// Removes a user and all their rows, and blanks the private parts of their events, provided that the user's row has
/// not changed: a new wipe command may postpone the removal. The user's row is removed last, so that an interrupted
/// removal is continued. False if the removal is not due or not finished.
async fn purge_user(table: &Table, run: &Run, due: &User, deadline: &Deadline) -> Result<bool, Error> {
    retry_on_conflict(table, || async {
        let Some(user) = table.user(due.workspace_id, due.user_id).await? else {
            return Ok(false);
        };
        let Some(event) = lifecycle::purge(&user, &run.new_event_context(user.workspace_id)) else {
            return Ok(false);
        };
        // A device that still exists may produce further events with private parts.
        let own = DeviceFilter { user_id: Some(user.user_id), ..DeviceFilter::default() };
        let kept = table.list_devices(user.workspace_id, &own, 1, None, run.now()).await?;
        if !kept.items.is_empty() || !blank_events(table, run, &user, deadline).await? {
            return Ok(false);
        }
        forget_invitations(table, run, &user).await?;
        forget_usage(table, run, &user).await?;
        let kept = table.scim_attributes(user.workspace_id, user.user_id).await?;
        let mut commit = Commit::with_event(&event).delete(&user).put_scim_attributes(kept.as_ref(), None);
        for former in table.former_index_rows(&user).await? {
            commit = commit.remove(&former);
        }
        table.commit(commit).await?;
        Ok(true)
    })
    .await
}

/// Blanks the private parts of a user's events; false if time ran out.
async fn blank_events(table: &Table, run: &Run, user: &User, deadline: &Deadline) -> Result<bool, Error> {
    let filter = EventFilter {
        device_id: None,
        user_id: Some(user.user_id),
        event_type: None,
        since: user.created_at,
        until: run.now(),
        oldest_first: false,
    };
    let mut start = None;
    loop {
        let page = table.list_events(user.workspace_id, &filter, ROWS, start).await?;
        whole(&page)?;
        let private = page.items.iter().filter(|event| !event.is_private_empty());
        let blank = |commit: Commit, event: &Event| commit.replace(&event.without_private());
        let commit = private.fold(Commit::without_event(run.id_source.event_id()), blank);
        if !commit.is_empty() {
            table.commit(commit.require_unchanged(user)).await?;
        }
        start = page.next;
        if start.is_none() {
            return Ok(true);
        }
        if deadline.is_over() {
            return Ok(false);
        }
    }
}

async fn forget_invitations(table: &Table, run: &Run, user: &User) -> Result<(), Error> {
    loop {
        // Each is deleted together with its code.
        let page = table.list_invitations(user.workspace_id, user.user_id, ROWS / 2, None).await?;
        whole(&page)?;
        if page.items.is_empty() {
            return Ok(());
        }
        let commit = Commit::without_event(run.id_source.event_id()).require_unchanged(user);
        table.commit(page.items.iter().fold(commit, Commit::delete)).await?;
    }
}

async fn forget_usage(table: &Table, run: &Run, user: &User) -> Result<(), Error> {
    loop {
        let rows = table.usage_rows(user.workspace_id, user.user_id, ROWS).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let commit = Commit::without_event(run.id_source.event_id()).require_unchanged(user);
        table.commit(rows.iter().fold(commit, Commit::delete)).await?;
    }
}
