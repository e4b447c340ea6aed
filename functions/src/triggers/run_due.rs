//! Each minute: what is due.

use aws::rows::{DUE_SHARDS, due_shard};
use aws::stores::DueRow;
use aws::stores::Work;
use aws::{Commit, Devices, Endpoints, Invitations, PushTokens};
use domain::invitation::{Invitation, expire};
use domain::refusal::Failure;
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::attempts::attempts;
use crate::triggers::{Run, endpoint};

/// Rows that are taken up in one run of a shard; the rest waits for the next minute.
const PER_SHARD: usize = 100;

/// Answers with how many rows were done and how many failed. What fails stays due, and never
/// stops the rest.
///
/// # Errors
/// `Unavailable` if what is due cannot be listed.
pub async fn handle(
    store: &(impl Work + Devices + PushTokens + Invitations),
    endpoints: &impl Endpoints,
    run: Run,
) -> Result<Value, Failure> {
    let (mut done, mut failed) = (0, 0);
    for shard in 0..DUE_SHARDS {
        let page = store.due(&due_shard(shard), run.moment.now, None, PER_SHARD).await?;
        for (key, row) in page.rows {
            let result = match row {
                Ok(Some(row)) => one(store, endpoints, &run, &row).await,
                Ok(None) => Ok(()),
                Err(failure) => Err(failure),
            };
            match result {
                Ok(()) => done += 1,
                Err(failure) => {
                    tracing::error!(operation = run.operation, row = key.sk, error = %Chain(&failure), "a due row failed");
                    failed += 1;
                }
            }
        }
    }
    Ok(json!({"done": done, "failed": failed}))
}

async fn one(
    store: &(impl Devices + PushTokens + Invitations),
    endpoints: &impl Endpoints,
    run: &Run,
    row: &DueRow,
) -> Result<(), Failure> {
    match row {
        DueRow::Invitation(due) => attempts(store, || end(store, run, due)).await,
        DueRow::PushToken(due) => {
            let (workspace, device) = (due.workspace_id, due.device_id);
            attempts(store, || endpoint::settle(store, endpoints, run, workspace, device)).await
        }
        DueRow::Device(_) => Ok(()),
    }
}

/// Ends an invitation whose time is over: its code goes.
async fn end(store: &impl Invitations, run: &Run, due: &Invitation) -> Result<(), Failure> {
    let Some(before) = store.invitation(due.workspace_id, due.user_id, due.invitation_id).await? else {
        return Ok(());
    };
    match expire(&before, &run.act(before.workspace_id)) {
        Some((after, event)) => store.commit(Commit::of(&event).edit(&before, &after).forget_code(&after)).await,
        None => Ok(()),
    }
}
