//! `DELETE /devices/{device_id}`.

use aws::{Commit, Devices};
use chrono::Duration;
use domain::device::delete;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::attempts::attempts;

/// Answers with the device, status `deleted`, and `purge_after`. The user's slot is free at once;
/// nothing undoes it.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(store: &impl Devices, call: Call, retention: Duration) -> Result<Reply, Failure> {
    attempts(store, || attempt(store, &call, retention)).await
}

async fn attempt(store: &impl Devices, call: &Call, retention: Duration) -> Result<Reply, Failure> {
    let mut whole = super::wanted(store, call).await?;
    let (Some(user), Some(claim)) = (&whole.user, &whole.claim) else {
        return Err(Failure::internal("deleting a device", "its user or its claim is not there"));
    };
    if let Some(mut deletion) = delete(&whole.device, user, claim, retention, &call.act()) {
        let commit = Commit::of(&deletion.event)
            .edit(&whole.device, &deletion.device)
            .edit(user, &deletion.user)
            .edit(claim, &deletion.claim);
        store.commit(commit).await?;
        deletion.device.version += 1;
        whole.device = deletion.device;
    }
    Ok(super::shown(&whole, call))
}
