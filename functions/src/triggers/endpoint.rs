//! Keeps a device's SNS endpoint in step with its push token.

use aws::Pusher;
use aws::{PushError, Table};
use domain::error::Error;
use domain::models::device::{Device, PushToken};
use domain::models::push::PushReason;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::push::{endpoint_impossible, endpoint_made};
use domain::{DeviceId, WorkspaceId};
use lambda::logging::Chain;

use crate::commits::commit_change;
use crate::triggers::Run;

/// Creates or re-enables the endpoint of a device's push token, and records the result on the device. A new token gets
/// its own endpoint; the old endpoint is removed once no device holds it.
///
/// # Errors
/// `Unavailable` if SNS does not answer; the token stays due.
pub(crate) async fn settle(
    table: &Table,
    pusher: &Pusher,
    run: &Run,
    workspace: WorkspaceId,
    id: DeviceId,
) -> Result<(), Error> {
    let (device, token) = (table.device(workspace, id).await?, table.push_token(workspace, id).await?);
    let (Some(device), Some(token)) = (device, token) else {
        return Ok(());
    };
    if token.mend_at.is_none() {
        return Ok(());
    }
    let event_context = run.new_event_context(workspace);
    let change = match found(pusher, &device, &token).await? {
        EndpointLookup::Endpoint(endpoint) => {
            if let Some(old) = device.push_endpoint.as_deref().filter(|old| *old != endpoint) {
                release(table, pusher, &device, old).await?;
            }
            endpoint_made(&device, endpoint, &event_context)
        }
        EndpointLookup::Nothing(reason) => endpoint_impossible(&device, reason, &event_context),
    };
    let settled = PushToken { mend_at: None, ..token.clone() };
    let change = ChangeSet { push_token: Some(RowChange::from(token, settled)), ..change.unwrap_or_default() };
    commit_change(table, Some(&change), &event_context).await.map(drop)
}

enum EndpointLookup {
    Endpoint(String),
    Nothing(PushReason),
}

async fn found(pusher: &Pusher, device: &Device, token: &PushToken) -> Result<EndpointLookup, Error> {
    let Some(application) = pusher.application(device.platform) else {
        return Ok(EndpointLookup::Nothing(PushReason::PlatformOff));
    };
    match pusher.endpoint(application, &token.token).await {
        Ok(endpoint) => Ok(EndpointLookup::Endpoint(endpoint)),
        Err(PushError::Refused(_)) => Ok(EndpointLookup::Nothing(PushReason::TokenRefused)),
        Err(PushError::Gone) => Ok(EndpointLookup::Nothing(PushReason::PlatformOff)),
        Err(error) => Err(Error::unavailable("SNS", error)),
    }
}

/// Removes an endpoint unless another device holds it. It is removed before the row that names it, so that a run that
/// ends in between leaves no endpoint that no row names.
///
/// # Errors
/// `Unavailable` if SNS does not answer.
pub(crate) async fn release(table: &Table, pusher: &Pusher, device: &Device, endpoint: &str) -> Result<(), Error> {
    let holders = table.endpoint_holders(endpoint).await?;
    let own = (device.workspace_id, device.device_id);
    if holders.iter().any(|holder| *holder != own) {
        return Ok(());
    }
    match pusher.remove(endpoint).await {
        // The endpoint's platform application is no longer ours, so SNS will never allow it.
        Err(error @ PushError::Refused(_)) => {
            tracing::warn!(device.id = %device.device_id, error = %Chain(&error), "an endpoint was left behind");
            Ok(())
        }
        outcome => outcome.map_err(|e| Error::unavailable("SNS", e)),
    }
}
