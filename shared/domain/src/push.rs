//! Whether push notifications reach a device, since when, and why.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::device::{Device, Platform};
use crate::event::{Event, EventContext, EventType};
use crate::string_enum::string_enum;

string_enum! {
    /// Why push notifications are in use, or not.
    stored PushReason {
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
        /// The device is deleted. Shown, and never stored: a pending wipe may still wake it.
        DeviceDeleted = "device_deleted",
        /// The device was erased, and has no app that could be woken. Shown, and never stored.
        DeviceErased = "device_erased",
        // Stored, and never shown. They are words rather than a time beside the reason, since the device's row has no
        // room for that.
        /// The endpoint, which SNS had disabled, is being enabled again.
        EnablingAgain = "enabling_again",
        /// It was enabled again.
        EnabledAgain = "enabled_again",
        /// It was disabled again within [`ENABLED_AGAIN_AFTER`].
        DisabledAgain = "disabled_again",
    }
}

impl PushReason {
    /// True if pushes are sent in this state.
    #[must_use]
    pub fn in_use(self) -> bool {
        matches!(self, Self::EndpointReady | Self::EnabledAgain)
    }

    /// As it is shown.
    #[must_use]
    pub fn shown(self) -> Self {
        match self {
            Self::EnablingAgain => Self::EndpointPending,
            Self::EnabledAgain => Self::EndpointReady,
            Self::DisabledAgain => Self::EndpointDisabled,
            other => other,
        }
    }

    /// The reason after this one, once the endpoint has turned out to be so at a time; `since` is that of this one.
    fn then(self, next: Self, since: Time, at: Time) -> Self {
        let again = matches!(self, Self::EnablingAgain | Self::EnabledAgain);
        match next {
            Self::EndpointReady if again => Self::EnabledAgain,
            Self::EndpointDisabled | Self::DeliveryFailed => {
                let soon = again && since.plus(ENABLED_AGAIN_AFTER) > at;
                if soon || self == Self::DisabledAgain { Self::DisabledAgain } else { next }
            }
            next => next,
        }
    }
}

/// An endpoint is enabled again at most so often: a token that no longer works is disabled again and again.
pub const ENABLED_AGAIN_AFTER: Duration = Duration::days(1);

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

    /// Whether pushes reach a device, as it is shown: none that is deleted or erased.
    #[must_use]
    pub fn shown(device: &Device) -> Self {
        let (reason, since) = match (&device.deleted, &device.erased) {
            (Some(deleted), _) => (PushReason::DeviceDeleted, deleted.at),
            (None, Some(erased)) => (PushReason::DeviceErased, erased.at),
            (None, None) => (device.push.reason.shown(), device.push.since),
        };
        Self { reason, since }
    }

    /// The state of a device whose endpoint SNS has disabled, once its app is heard of: the endpoint is to be enabled
    /// again, as SNS asks at each start of an app ("Setting up an Amazon SNS platform endpoint for mobile
    /// notifications"). `None` if there is nothing to enable, or if that was in vain less than
    /// [`ENABLED_AGAIN_AFTER`] ago.
    #[must_use]
    pub fn enabled_again(device: &Device, now: Time) -> Option<Self> {
        let due = match device.push.reason {
            PushReason::EndpointDisabled | PushReason::DeliveryFailed => true,
            PushReason::DisabledAgain => device.push.since <= now.minus(ENABLED_AGAIN_AFTER),
            _ => false,
        };
        let enabling = Self { reason: PushReason::EnablingAgain, since: now };
        (due && device.platform != Platform::ThirdParty).then_some(enabling)
    }
}

/// The device once its token has an endpoint.
#[must_use]
pub fn endpoint_made(device: &Device, endpoint: String, context: &EventContext) -> Option<(Device, Event)> {
    let mut made = device.clone();
    made.push_endpoint = Some(endpoint);
    changed(device, made, PushReason::EndpointReady, context)
}

/// The device once its token has turned out to have no use.
#[must_use]
pub fn endpoint_impossible(device: &Device, reason: PushReason, context: &EventContext) -> Option<(Device, Event)> {
    let mut without = device.clone();
    without.push_endpoint = None;
    changed(device, without, reason, context)
}

/// The device after a report about one of the endpoints. `None` if the report is about an
/// endpoint that is not the device's current one, or is older than what is known.
#[must_use]
pub fn reported(
    device: &Device,
    endpoint: &str,
    at: Time,
    reason: PushReason,
    context: &EventContext,
) -> Option<(Device, Event)> {
    let current = device.push_endpoint.as_deref() == Some(endpoint);
    if !current || at <= device.push.since {
        return None;
    }
    changed(device, device.clone(), reason, context)
}

fn changed(before: &Device, mut after: Device, reason: PushReason, context: &EventContext) -> Option<(Device, Event)> {
    let reason = before.push.reason.then(reason, before.push.since, context.at);
    if before.push.reason != reason {
        after.push = Push { reason, since: context.at };
    }
    if after == *before {
        return None;
    }
    let mut event = context.event(EventType::DevicePushChanged).about_device(before.device_id, before.user_id);
    event.change("push.in_use", before.push.reason.in_use(), reason.in_use());
    event.change("push.reason", before.push.reason.as_str(), reason.as_str());
    if before.push_endpoint != after.push_endpoint {
        event.change_of("push_endpoint");
    }
    Some((after, event))
}
