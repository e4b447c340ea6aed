//! Each hour: removes deleted devices whose retention is over.

use aws::rows::{DUE_SHARDS, purge_shard};
use aws::stores::{DueRow, Work};
use aws::{Commit, Devices, Endpoints, PushTokens};
use chrono::Duration;
use domain::device::{Device, purge};
use domain::refusal::Failure;
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::attempts::attempts;
use crate::triggers::{Run, endpoint};

const PAGE: usize = 50;
/// Time left when the last page begins, before Lambda ends the run.
const RESERVE: Duration = Duration::seconds(30);
/// More than a device takes to remove, in milliseconds.
const DEVICE_MILLIS: i64 = 100;

/// Answers with how many devices were removed, how many failed, and whether more are due. Goes on
/// page by page until shortly before its time is over; the next run goes on from there, since what
/// was removed is no longer due. What fails never stops the rest.
///
/// # Errors
/// `Unavailable` if what is due cannot be listed.
pub async fn handle(
    store: &(impl Work + Devices + PushTokens),
    endpoints: &impl Endpoints,
    run: Run,
) -> Result<Value, Failure> {
    let time = run.deadline.minus(RESERVE).millis() - run.moment.now.millis();
    let most = usize::try_from(time / DEVICE_MILLIS).unwrap_or(0).max(PAGE);
    let mut purged = Purged::default();
    for shard in 0..DUE_SHARDS {
        let mut start = None;
        loop {
            if purged.looked >= most {
                return Ok(purged.answer(true));
            }
            let page = store.due(&purge_shard(shard), run.moment.now, start, PAGE).await?;
            for (key, row) in page.rows {
                purged.looked += 1;
                let result = match row {
                    Ok(Some(DueRow::Device(device))) => one(store, endpoints, &run, &device).await,
                    Ok(_) => Ok(()),
                    Err(failure) => Err(failure),
                };
                match result {
                    Ok(()) => purged.done += 1,
                    Err(failure) => {
                        tracing::error!(operation = run.operation, row = key.pk, error = %Chain(&failure), "a device was not removed");
                        purged.failed += 1;
                    }
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    Ok(purged.answer(false))
}

#[derive(Default)]
struct Purged {
    looked: usize,
    done: usize,
    failed: usize,
}

impl Purged {
    fn answer(&self, more: bool) -> Value {
        json!({"purged": self.done, "failed": self.failed, "more": more})
    }
}

async fn one(
    store: &(impl Devices + PushTokens),
    endpoints: &impl Endpoints,
    run: &Run,
    due: &Device,
) -> Result<(), Failure> {
    attempts(store, || async {
        let Some(whole) = store.device_whole(due.workspace_id, due.device_id).await? else {
            return Ok(());
        };
        let Some(event) = purge(&whole.device, &run.act(due.workspace_id)) else {
            return Ok(());
        };
        if let Some(endpoint) = &whole.device.push_endpoint {
            endpoint::release(store, endpoints, &whole.device, endpoint).await?;
        }
        let mut commit = Commit::of(&event).delete(&whole.device);
        if let Some(metadata) = &whole.metadata {
            commit = commit.delete(metadata);
        }
        if let Some(token) = &whole.token {
            commit = commit.delete(token);
        }
        // The identifier's claim goes with its newest device only: it counts the enrolments.
        if let Some(claim) = whole.claim.filter(|claim| claim.device_id == whole.device.device_id) {
            commit = commit.delete(&claim);
        }
        store.commit(commit).await
    })
    .await
}
