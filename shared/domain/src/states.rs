//! States of objects, which errors name too.

use crate::string_enum::string_enum;

string_enum! {
    /// A command's state.
    stored CommandState {
        /// The device has not checked in since.
        Queued = "queued",
        /// Delivered to the device.
        Delivered = "delivered",
        /// Deferred by the device.
        Deferred = "deferred",
        /// Canceled by an admin after its delivery; the device may still carry it out.
        CancelRequested = "cancel_requested",
        /// Canceled.
        Canceled = "canceled",
        /// Expired before the device had done it.
        TimedOut = "timed_out",
        /// Done.
        Succeeded = "succeeded",
        /// The device tried and failed.
        Failed = "failed",
        /// The device or its user refused.
        Rejected = "rejected",
        /// The app does not know the command.
        NotSupported = "not_supported",
        /// The device was enrolled again before it had done it.
        Removed = "removed",
    }
}

impl CommandState {
    /// True while the device receives it at check-in.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Queued | Self::Delivered | Self::Deferred)
    }

    /// True while it can still change by itself, by expiring.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.is_pending() || self == Self::CancelRequested
    }
}

string_enum! {
    /// The platform of an app.
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
    /// An invitation's status.
    InvitationStatus {
        /// Can be used.
        Open = "open",
        /// Used for as many devices as it allows.
        Used = "used",
        /// Expired.
        Expired = "expired",
        /// Replaced by a newer one.
        Superseded = "superseded",
        /// Revoked by an admin.
        Revoked = "revoked",
    }
}

string_enum! {
    /// A job's state.
    stored JobState {
        /// In progress.
        Running = "running",
        /// Done: every object has an outcome.
        Finished = "finished",
        /// Canceled by an admin; changes so far stay.
        Canceled = "canceled",
        /// Failed; changes so far stay.
        Failed = "failed",
    }
}

string_enum! {
    /// A user's status; of several that apply, the strongest.
    stored UserStatus {
        /// Created or invited, but has never registered a device.
        Inactive = "inactive",
        /// Can use the app.
        Active = "active",
        /// All of the user's devices have no access, by an admin or by the user's source.
        Suspended = "suspended",
        /// Too many wrong PINs, or locked by an admin.
        Locked = "locked",
        /// Deleted for good.
        Deleted = "deleted",
    }
}
