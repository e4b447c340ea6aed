//! Whether push notifications reach a device, since when, and why.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
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

    /// How long an endpoint must have been in this state before the next contact of its app enables it again, as SNS
    /// asks at each start of an app ("Setting up an Amazon SNS platform endpoint for mobile notifications"); `None`
    /// where there is nothing to enable.
    #[must_use]
    pub fn enabled_again_after(self) -> Option<Duration> {
        match self {
            Self::EndpointDisabled | Self::DeliveryFailed => Some(Duration::zero()),
            // It was in vain.
            Self::DisabledAgain => Some(ENABLED_AGAIN_AFTER),
            _ => None,
        }
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
    pub(crate) fn then(self, next: Self, since: Time, at: Time) -> Self {
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
    /// Time of the change to it.
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
