//! Push notifications of a device: their state, its time, and its reason.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::string_enum::string_enum;

string_enum! {
    /// Why push notifications work or not.
    stored PushReason {
        /// The app has sent no push token.
        NoToken = "no_token",
        /// There is a token; its endpoint is being created.
        EndpointPending = "endpoint_pending",
        /// The endpoint exists and is enabled.
        EndpointReady = "endpoint_ready",
        /// No platform application is configured for the device's platform.
        PlatformOff = "platform_off",
        /// The push service rejects the token.
        TokenRefused = "token_refused",
        /// The push service has reported that the token no longer works.
        EndpointDisabled = "endpoint_disabled",
        /// The push service failed to deliver permanently.
        DeliveryFailed = "delivery_failed",
        /// The device is deleted. Shown but never stored, since a pending wipe may still wake the device.
        DeviceDeleted = "device_deleted",
        /// The device was erased and has no app to wake. Shown but never stored.
        DeviceErased = "device_erased",
        // Stored but never shown. They are reasons rather than a separate time, since the device's row has no
        // room for one.
        /// The endpoint, which SNS had disabled, is being enabled again.
        EnablingAgain = "enabling_again",
        /// The endpoint was enabled again.
        EnabledAgain = "enabled_again",
        /// The endpoint was disabled again within [`RE_ENABLE_INTERVAL`].
        DisabledAgain = "disabled_again",
    }
}

impl PushReason {
    /// True if pushes are sent in this state.
    #[must_use]
    pub fn in_use(self) -> bool {
        matches!(self, Self::EndpointReady | Self::EnabledAgain)
    }

    /// How long after reaching this state a check-in of the app enables the endpoint again, as SNS asks at each start
    /// of an app ("Setting up an Amazon SNS platform endpoint for mobile notifications"); `None` if the endpoint is not
    /// disabled.
    #[must_use]
    pub fn re_enable_after(self) -> Option<Duration> {
        match self {
            Self::EndpointDisabled | Self::DeliveryFailed => Some(Duration::zero()),
            // Enabling it again failed.
            Self::DisabledAgain => Some(RE_ENABLE_INTERVAL),
            _ => None,
        }
    }

    /// The reason as it is shown.
    #[must_use]
    pub fn displayed(self) -> Self {
        match self {
            Self::EnablingAgain => Self::EndpointPending,
            Self::EnabledAgain => Self::EndpointReady,
            Self::DisabledAgain => Self::EndpointDisabled,
            other => other,
        }
    }

    /// The reason to store when the endpoint turns out to be in state `next` at a time; `since` is the time of
    /// this one.
    pub(crate) fn followed_by(self, next: Self, since: Time, at: Time) -> Self {
        let again = matches!(self, Self::EnablingAgain | Self::EnabledAgain);
        match next {
            Self::EndpointReady if again => Self::EnabledAgain,
            Self::EndpointDisabled | Self::DeliveryFailed => {
                let soon = again && since.plus(RE_ENABLE_INTERVAL) > at;
                if soon || self == Self::DisabledAgain { Self::DisabledAgain } else { next }
            }
            next => next,
        }
    }
}

/// How often an endpoint is enabled again: a token that no longer works is disabled every time.
pub const RE_ENABLE_INTERVAL: Duration = Duration::days(1);

/// The state of a device's push notifications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// The reason, which also says whether they work.
    pub reason: PushReason,
    /// Time of the last change.
    pub since: Time,
}

impl Push {
    /// The state of a device that registers with a token, or without.
    #[must_use]
    pub fn of_token(present: bool, now: Time) -> Self {
        let reason = if present { PushReason::EndpointPending } else { PushReason::NoToken };
        Self { reason, since: now }
    }
}
