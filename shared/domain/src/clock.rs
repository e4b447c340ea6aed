//! Timestamps, always in UTC with millisecond precision.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A timestamp in UTC, to the millisecond. Written as RFC 3339 with exactly three decimals, so that sorting the
/// texts sorts the times and a key can contain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Time(DateTime<Utc>);

/// The last millisecond of the year 9999.
const LAST: DateTime<Utc> = DateTime::from_timestamp_millis(253_402_300_799_999).expect("it is within a calendar");

impl Time {
    /// The Unix epoch, 1970-01-01T00:00:00.000Z.
    pub const EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// The time this many milliseconds after 1970; `None` outside the range of the calendar.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(millis).map(Self)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Seconds since 1970, the unit of DynamoDB's time to live.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// Parses any RFC 3339 date-time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self::from(time.with_timezone(&Utc)))
    }

    /// The day, `YYYY-MM-DD`.
    #[must_use]
    pub fn day(self) -> String {
        self.0.format("%Y-%m-%d").to_string()
    }

    /// The time `duration` later; capped at the last time that RFC 3339 can write, so that texts sort as the
    /// times do.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.checked_add_signed(duration).map_or(LAST, |later| later.min(LAST)))
    }

    /// The time `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.checked_sub_signed(duration).unwrap_or(DateTime::<Utc>::MIN_UTC))
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for Time {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not an RFC 3339 date-time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_sort_as_the_moments_do() {
        let early = Time::parse("2026-01-31T23:59:59.9Z").unwrap();
        let late = Time::parse("2026-02-01T00:00:00Z").unwrap();
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(late.to_string(), "2026-02-01T00:00:00.000Z");
        assert_eq!(early.day(), "2026-01-31");
    }

    #[test]
    fn no_moment_is_later_than_can_be_written() {
        let last = Time::parse("9999-12-31T23:59:59.999Z").unwrap();
        let beyond = last.plus(Duration::days(1));
        assert_eq!((beyond, beyond.day().as_str()), (last, "9999-12-31"));
        assert_eq!(last.plus(Duration::MAX), last);
    }
}
