//! Changes of a device's push state.

use crate::clock::Time;
use crate::models::device::Device;
use crate::models::event::EventType;
use crate::models::push::{Push, PushReason};
use crate::rules::change::ChangeSet;
use crate::rules::context::EventContext;
use crate::rules::devices;

/// True if an event of this kind wakes the app, which then learns by checking in what has changed. An order that comes
/// with its own commands, such as lock-and-wipe, wakes by the `command.queued` of each.
#[must_use]
pub fn wakes(event_type: &EventType) -> bool {
    matches!(
        event_type,
        EventType::DeviceBlocked
            | EventType::DeviceUnblocked
            | EventType::DeviceDeleted
            | EventType::CommandQueued
            | EventType::UserSuspended
            | EventType::UserActivated
            | EventType::UserLocked
            | EventType::UserConfigForced
    )
}

/// True if an event of this kind may change the push token of a device, or whether pushes reach it.
#[must_use]
pub fn may_change_token(event_type: &EventType) -> bool {
    matches!(
        event_type,
        EventType::DeviceRegistered
            | EventType::DeviceReEnrolled
            | EventType::DeviceUpdated
            | EventType::DeviceConfirmed
    )
}

/// Records the endpoint of a device's push token; `None` if it is already known.
#[must_use]
pub fn endpoint_made(device: &Device, endpoint: String, context: &EventContext) -> Option<ChangeSet> {
    let mut after = device.clone();
    after.push_endpoint = Some(endpoint);
    changed(device, after, PushReason::EndpointReady, context)
}

/// Records that a device's push token cannot be used; `None` if that is already known.
#[must_use]
pub fn endpoint_impossible(device: &Device, reason: PushReason, context: &EventContext) -> Option<ChangeSet> {
    let mut without = device.clone();
    without.push_endpoint = None;
    changed(device, without, reason, context)
}

/// Records a report about a push endpoint. `None` if the endpoint is not the device's current one, or the report is
/// older than the known state, or nothing changes.
#[must_use]
pub fn reported(
    device: &Device,
    endpoint: &str,
    at: Time,
    reason: PushReason,
    context: &EventContext,
) -> Option<ChangeSet> {
    let current = device.push_endpoint.as_deref() == Some(endpoint);
    if !current || at <= device.push.since {
        return None;
    }
    changed(device, device.clone(), reason, context)
}

fn changed(before: &Device, mut after: Device, reason: PushReason, context: &EventContext) -> Option<ChangeSet> {
    let reason = before.push.reason.followed_by(reason, before.push.since, context.at);
    if before.push.reason != reason {
        after.push = Push { reason, since: context.at };
    }
    if after == *before {
        return None;
    }
    let mut event = context.event(EventType::DevicePushChanged).with_device(before.device_id, before.user_id);
    event.add_change("push.in_use", before.push.reason.in_use(), reason.in_use());
    event.add_change("push.reason", before.push.reason.as_str(), reason.as_str());
    if before.push_endpoint != after.push_endpoint {
        event.add_changed_field("push_endpoint");
    }
    Some(devices::changed(before, after, event))
}
