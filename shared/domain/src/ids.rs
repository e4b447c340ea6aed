//! Identifiers. Each kind of object has its own type, so that they cannot be mixed up.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Time;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(pub Uuid);

        impl $name {
            /// Parses the hyphenated lower-case form. Any other spelling of the same UUID is rejected.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let id = Self(Uuid::try_parse(text).ok()?);
                (id.to_string() == text).then_some(id)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                Uuid::json_schema(generator)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text).ok_or("not a UUID")
            }
        }
    };
}

id!(
    /// A tenant. Every other object belongs to exactly one.
    WorkspaceId
);

id!(
    /// A person who uses the app.
    UserId
);

id!(
    /// An installation of the app on a phone, or a third-party app.
    DeviceId
);

id!(
    /// An invitation or a deployment, with its code.
    InvitationId
);

id!(
    /// Settings that many users share.
    ProfileId
);

id!(
    /// A source of users.
    SourceId
);

id!(
    /// An access credential, by the identifier that the access system gave it.
    CredentialId
);

id!(
    /// A command to one device.
    CommandId
);

id!(
    /// A job: one action on many objects.
    JobId
);

id!(
    /// An API credential.
    KeyId
);

id!(
    /// A personal access token.
    TokenId
);

id!(
    /// A membership of a person who uses the console, in one workspace.
    MemberId
);

id!(
    /// A webhook.
    WebhookId
);

id!(
    /// An event. A UUID of version 7 (RFC 9562), so that it contains its time.
    EventId
);

impl EventId {
    /// The identifier of the n-th event after this one in the same request. Identifiers sort in the order of
    /// the events.
    #[must_use]
    pub fn nth(self, n: usize) -> Self {
        /// Mask of the free bits in the second half of a UUID of version 7.
        const FREE: u64 = u64::MAX >> 2;
        let (high, low) = self.0.as_u64_pair();
        let free = (low & FREE).wrapping_add(n as u64) & FREE;
        Self(Uuid::from_u64_pair(high, (low & !FREE) | free))
    }

    /// Time of the event; `None` for a UUID of another version.
    #[must_use]
    pub fn time(self) -> Option<Time> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Time::from_millis(i64::try_from(seconds).ok()? * 1000 + i64::from(nanos / 1_000_000))
    }
}

/// A UUID of version 7 (RFC 9562) from a time and ten random bytes; the texts sort by time.
#[must_use]
pub fn timed_uuid(time: Time, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(time.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_tells_its_time() {
        let time = Time::parse("2026-11-21T22:20:16.123Z").unwrap();
        assert_eq!(EventId(timed_uuid(time, [7; 10])).time(), Some(time));
        assert_eq!(EventId(Uuid::nil()).time(), None);
    }

    #[test]
    fn the_events_of_an_act_are_told_apart_and_keep_its_time() {
        let time = Time::parse("2026-11-21T22:20:16.123Z").unwrap();
        let first = EventId(timed_uuid(time, [7; 10]));
        assert_eq!(first.nth(0), first);
        assert!(first.nth(1) > first && first.nth(2) > first.nth(1));
        let last = EventId(timed_uuid(time, [0xff; 10])).nth(3);
        assert_eq!((last.time(), last.0.get_version_num()), (Some(time), 7));
    }

    #[test]
    fn only_our_own_spelling_is_an_id() {
        let text = "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e";
        assert!(DeviceId::parse(text).is_some());
        assert!(DeviceId::parse(&text.to_uppercase()).is_none());
        assert!(DeviceId::parse(&text.replace('-', "")).is_none());
    }
}
