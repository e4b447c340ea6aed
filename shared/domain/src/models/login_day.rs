//! The days by which lists are ordered by last login.
//!
//! Each device has a day of its own, which begins at some time of the day in UTC, the same every day. So the first
//! check-ins of a day, which cost more than the others, are spread over the day, instead of all coming at midnight.

use chrono::Duration;

use crate::clock::Time;
use crate::ids::DeviceId;

const DAY_MILLIS: i64 = 86_400_000;

/// How long after midnight UTC the device's day begins.
fn offset(device: DeviceId) -> i64 {
    // The last half of an identifier is random.
    let random = u64::from_be_bytes(*device.0.as_bytes().last_chunk().unwrap_or(&[0; 8]));
    i64::try_from(random % DAY_MILLIS.unsigned_abs()).unwrap_or(0)
}

/// The start of the device's day that contains a time.
#[must_use]
pub fn login_day_start(device: DeviceId, at: Time) -> Time {
    at.minus(Duration::milliseconds((at.millis() - offset(device)).rem_euclid(DAY_MILLIS)))
}

/// The device's day that contains a time: the date (UTC) of its start, `YYYY-MM-DD`, so either the time's own date or
/// the one before.
#[must_use]
pub fn login_day(device: DeviceId, at: Time) -> String {
    login_day_start(device, at).day()
}

/// True if a login is the first of the device's day; `before` is the previous one.
#[must_use]
pub fn is_first_of_day(device: DeviceId, before: Option<Time>, now: Time) -> bool {
    before.is_none_or(|before| before < login_day_start(device, now))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::timed_uuid;

    fn device(number: u64) -> DeviceId {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        DeviceId(timed_uuid(Time::EPOCH, random))
    }

    #[test]
    fn a_device_s_day_is_24_hours_and_begins_at_the_same_time_every_day() {
        let now = Time::parse("2026-12-01T08:30:00Z").unwrap();
        for device in (0..50).map(device).chain([DeviceId(Uuid::nil()), DeviceId(Uuid::max())]) {
            let start = login_day_start(device, now);
            assert!(start <= now && now.millis() - start.millis() < DAY_MILLIS, "{device}");
            let (last, next) = (start.plus(Duration::milliseconds(DAY_MILLIS - 1)), start.plus(Duration::days(1)));
            assert_eq!((login_day_start(device, start), login_day_start(device, last)), (start, start), "{device}");
            assert_eq!(login_day_start(device, next), next, "{device}");
            assert_eq!(login_day(device, start), start.day());
            assert!(is_first_of_day(device, None, now));
            assert!(is_first_of_day(device, Some(start.minus(Duration::milliseconds(1))), now));
            assert!(!is_first_of_day(device, Some(start), now));
        }
    }

    #[test]
    fn days_begin_evenly_over_the_day() {
        let now = Time::parse("2026-12-01T08:30:00Z").unwrap();
        let mut hours = [0; 24];
        for number in 0..24_000 {
            let since = now.millis() - login_day_start(device(number), now).millis();
            hours[usize::try_from(since / 3_600_000).unwrap()] += 1;
        }
        assert!(hours.iter().all(|devices| (850..1150).contains(devices)), "{hours:?}");
    }
}
