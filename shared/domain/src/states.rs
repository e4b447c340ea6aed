//! The states of things, which errors name too.

use crate::string_enum::string_enum;

string_enum! {
    /// Where a command stands.
    stored CommandState {
        /// The device has not come for it.
        Queued = "queued",
        /// The device was told.
        Delivered = "delivered",
        /// The device said: not now.
        Deferred = "deferred",
        /// An admin took it back after the device was told; the device may still be at it.
        CancelRequested = "cancel_requested",
        /// Taken back.
        Canceled = "canceled",
        /// Its time was over before the device had done it.
        TimedOut = "timed_out",
        /// Done.
        Succeeded = "succeeded",
        /// The device tried, and could not.
        Failed = "failed",
        /// The device, or its user, would not.
        Rejected = "rejected",
        /// The app knows no such command.
        NotSupported = "not_supported",
        /// The device was enrolled anew before it had done it.
        Removed = "removed",
    }
}

impl CommandState {
    /// True while the device is told of it at check-in.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Queued | Self::Delivered | Self::Deferred)
    }

    /// True while time alone still changes it.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.is_pending() || self == Self::CancelRequested
    }
}

string_enum! {
    /// What kind of app it is.
    stored Platform {
        /// Our app on an iPhone or iPad.
        Ios = "ios",
        /// Our app on Android.
        Android = "android",
        /// Another maker's app.
        ThirdParty = "third_party",
    }
}

impl Platform {
    /// True if it is our app on a phone.
    #[must_use]
    pub fn is_phone(self) -> bool {
        matches!(self, Self::Ios | Self::Android)
    }
}

string_enum! {
    /// Whether an invitation can be used.
    InvitationStatus {
        /// It can.
        Open = "open",
        /// As many devices as it was good for are registered.
        Used = "used",
        /// Its time is over.
        Expired = "expired",
        /// A newer one has taken its place.
        Superseded = "superseded",
        /// An admin has taken it back.
        Revoked = "revoked",
    }
}

string_enum! {
    /// Where a job stands.
    stored JobState {
        /// At work.
        Running = "running",
        /// Done: every thing has its outcome.
        Finished = "finished",
        /// Stopped by an admin: what was done stays done.
        Canceled = "canceled",
        /// Stopped by what it works on: what was done stays done.
        Failed = "failed",
    }
}

string_enum! {
    /// Where a user stands; of several that hold, the strongest.
    stored UserStatus {
        /// Created or invited, and has never registered a device.
        Inactive = "inactive",
        /// Uses the app.
        Active = "active",
        /// An admin, or what the user comes from, has stopped all of the user's devices.
        Suspended = "suspended",
        /// Too many wrong PINs, or locked from afar.
        Locked = "locked",
        /// Gone for good.
        Deleted = "deleted",
    }
}
