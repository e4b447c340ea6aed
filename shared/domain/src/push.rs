//! Whether push notifications reach a device, since when, and why.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::device::Device;
use crate::event::{Act, Event, EventType};
use crate::words::words;

words! {
    /// Why push notifications are in use, or not.
    PushReason {
        /// The app has given no push token.
        NoToken = "no_token",
        /// The token is there; its endpoint is being made.
        EndpointPending = "endpoint_pending",
        /// The endpoint is there and enabled.
        EndpointReady = "endpoint_ready",
        /// No platform application is set up for the device's platform.
        PlatformOff = "platform_off",
        /// The push service does not take the token.
        TokenRefused = "token_refused",
        /// The push service has reported that the token no longer works.
        EndpointDisabled = "endpoint_disabled",
        /// The push service could not deliver, for good.
        DeliveryFailed = "delivery_failed",
    }
}

impl PushReason {
    /// True if pushes are sent in this state.
    #[must_use]
    pub fn in_use(self) -> bool {
        self == Self::EndpointReady
    }
}

/// Whether push notifications are in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Why, and thereby whether.
    pub reason: PushReason,
    /// Since when.
    pub since: Time,
}

impl Push {
    /// The state of a device that comes with a token, or without.
    #[must_use]
    pub fn of_token(present: bool, now: Time) -> Self {
        let reason = if present { PushReason::EndpointPending } else { PushReason::NoToken };
        Self { reason, since: now }
    }
}

/// The device once its token has an endpoint.
#[must_use]
pub fn endpoint_made(device: &Device, endpoint: String, act: &Act) -> Option<(Device, Event)> {
    let mut made = device.clone();
    made.push_endpoint = Some(endpoint);
    changed(device, made, PushReason::EndpointReady, act)
}

/// The device once its token has turned out to have no use.
#[must_use]
pub fn endpoint_impossible(device: &Device, reason: PushReason, act: &Act) -> Option<(Device, Event)> {
    let mut without = device.clone();
    without.push_endpoint = None;
    changed(device, without, reason, act)
}

/// The device after a report about one of the endpoints. `None` if the report is about an
/// endpoint that is not the device's current one, or is older than what is known.
#[must_use]
pub fn reported(device: &Device, endpoint: &str, at: Time, reason: PushReason, act: &Act) -> Option<(Device, Event)> {
    let current = device.push_endpoint.as_deref() == Some(endpoint);
    if !current || at <= device.push.since {
        return None;
    }
    changed(device, device.clone(), reason, act)
}

fn changed(before: &Device, mut after: Device, reason: PushReason, act: &Act) -> Option<(Device, Event)> {
    if before.push.reason != reason {
        after.push = Push { reason, since: act.at };
    }
    if after == *before {
        return None;
    }
    let mut event = act.event(EventType::DevicePushChanged).about_device(before.device_id, before.user_id);
    event.change("push.in_use", before.push.reason.in_use(), reason.in_use());
    event.change("push.reason", before.push.reason.as_str(), reason.as_str());
    if before.push_endpoint != after.push_endpoint {
        event.change_of("push_endpoint");
    }
    Some((after, event))
}
