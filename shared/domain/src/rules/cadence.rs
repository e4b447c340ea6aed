//! When a phone checks in next.

use chrono::Duration;
use sha2::{Digest, Sha256};

use crate::ids::DeviceId;
use crate::models::device::Device;

/// Seconds until the next check-in while something waits for the phone.
const WHILE_AWAITED: u32 = 60;

/// How many times as long the interval is after a throttle.
const THROTTLED_FACTOR: u32 = 4;

/// For how long after a throttle intervals are longer.
pub const THROTTLED_FOR: Duration = Duration::minutes(5);

/// The longest interval after a throttle, in seconds before they are spread: a day, which is also the longest that a
/// workspace can set.
const LONGEST: u32 = 24 * 60 * 60;

/// What the interval until a device's next check-in depends on, besides the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// The operator's default, in minutes.
    pub default_minutes: u32,
    /// True if the database has throttled this process within [`THROTTLED_FOR`].
    pub throttled: bool,
}

impl Cadence {
    /// Seconds until a device checks in next: its workspace's interval, or a minute while something waits for the phone;
    /// four times as long, but at most a day, after a throttle. What waits is never told later than by the workspace's
    /// interval, which is at least five minutes.
    ///
    /// The result is spread evenly by up to a tenth in either direction, always the same for a device, so that phones
    /// that check in at the same time do not stay together: it is between 54 and 95,040.
    #[must_use]
    pub fn check_in_after(&self, device: &Device, awaited: bool) -> u32 {
        let usual = 60 * device.check_in_minutes.unwrap_or(self.default_minutes);
        let interval = if awaited { WHILE_AWAITED } else { usual };
        let interval = if self.throttled { (THROTTLED_FACTOR * interval).min(LONGEST) } else { interval };
        spread(interval, device.device_id)
    }
}

/// A number of seconds within a tenth of this one.
fn spread(seconds: u32, of: DeviceId) -> u32 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(of.0));
    let tenth = seconds / 10;
    seconds - tenth + u32::from_be_bytes([a, b, c, d]) % (2 * tenth + 1)
}
