//! When a phone checks in next.

use std::collections::BTreeSet;

use domain::DeviceId;
use domain::models::device::Device;
use domain::models::workspace::CHECK_IN_MINUTES;
use domain::rules::cadence::Cadence;
use uuid::Uuid;

use crate::commands::one_phone;

const CALM: Cadence = Cadence { default_minutes: 15, throttled: false };
const THROTTLED: Cadence = Cadence { throttled: true, ..CALM };

/// Devices of one workspace setting.
fn devices(check_in_minutes: Option<u32>) -> Vec<Device> {
    let (fixture, id) = one_phone();
    let device =
        |n| Device { device_id: DeviceId(Uuid::from_u128(n)), check_in_minutes, ..fixture.devices[&id].clone() };
    (0..4_000).map(device).collect()
}

/// The shortest and the longest interval of many devices.
fn range(cadence: Cadence, check_in_minutes: Option<u32>, awaited: bool) -> (u32, u32) {
    let devices = devices(check_in_minutes);
    let intervals = devices.iter().map(|device| cadence.check_in_after(device, awaited));
    intervals.fold((u32::MAX, 0), |(low, high), interval| (low.min(interval), high.max(interval)))
}

#[test]
fn a_phone_comes_by_its_workspaces_interval_or_the_operators_within_a_tenth() {
    assert_eq!(range(CALM, None, false), (810, 990));
    assert_eq!(range(Cadence { default_minutes: 30, ..CALM }, None, false), (1620, 1980));
    assert_eq!(range(CALM, Some(5), false), (270, 330));
}

#[test]
fn a_phone_for_which_something_waits_comes_in_a_minute() {
    for minutes in [None, Some(CHECK_IN_MINUTES.0), Some(CHECK_IN_MINUTES.1)] {
        assert_eq!(range(CALM, minutes, true), (54, 66));
    }
}

#[test]
fn after_a_throttle_it_takes_four_times_as_long_but_at_most_a_day_and_what_waits_no_longer_than_the_interval() {
    assert_eq!(range(THROTTLED, None, false), (3240, 3960));
    assert_eq!(range(THROTTLED, None, true), (216, 264));
    assert!(range(THROTTLED, Some(CHECK_IN_MINUTES.0), true).1 <= range(CALM, Some(CHECK_IN_MINUTES.0), false).0);
    let (shortest, longest) = range(THROTTLED, Some(CHECK_IN_MINUTES.1), false);
    assert!(shortest >= 77_760 && longest <= 95_040, "{shortest}, {longest}");
    assert_eq!(range(THROTTLED, Some(6 * 60), false), range(CALM, Some(24 * 60), false), "the same device, a day");
}

#[test]
fn phones_that_came_together_part_and_each_keeps_its_place() {
    let devices = devices(None);
    let intervals = || devices.iter().map(|device| CALM.check_in_after(device, false)).collect::<Vec<_>>();
    assert_eq!(intervals(), intervals());
    // In each tenth of the range is about a tenth of the devices.
    for tenth in 0..10 {
        let span = 810 + 18 * tenth..810 + 18 * (tenth + 1);
        let count = intervals().iter().filter(|interval| span.contains(*interval)).count();
        assert!((300..500).contains(&count), "{count} of {} come after {span:?} s", devices.len());
    }
    assert!(intervals().into_iter().collect::<BTreeSet<_>>().len() > 170);
}
