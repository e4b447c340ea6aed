//! How the events of a busy day are spread.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::models::event_shards::EventShards;
use domain::rules::event_shards::{days_of_raise, raise};
use domain::{Time, WorkspaceId};
use uuid::Uuid;

/// The rows of a workspace's days.
#[derive(Default)]
struct Days(BTreeMap<String, EventShards>);

impl Days {
    /// Raises the shards of `now`'s day, of which a partition was busy at `seen_at`; false if nothing is written.
    fn raise(&mut self, seen_at: Time, most: u8, now: Time) -> bool {
        let days: Vec<String> = days_of_raise(now).collect();
        let known = self.0.iter().filter(|(day, _)| days.contains(day)).map(|(day, row)| (day.clone(), row.clone()));
        let raised = raise(&known.collect(), WorkspaceId(Uuid::nil()), (now, seen_at), most, now);
        for change in &raised {
            assert_eq!(change.before.as_ref(), self.0.get(&change.after.day));
            let _before = self.0.insert(change.after.day.clone(), change.after.clone());
        }
        !raised.is_empty()
    }

    fn from(&self, first: Time, count: i64) -> Vec<u8> {
        let day = |later| first.plus(Duration::days(later)).day();
        (0..count).map(|later| self.0.get(&day(later)).map_or(1, |row| row.shards)).collect()
    }
}

fn noon() -> Time {
    Time::parse("2026-11-23T12:00:00Z").unwrap()
}

#[test]
fn each_raise_doubles_the_shards_of_a_day_up_to_the_most() {
    let (mut days, mut now) = (Days::default(), noon());
    let mut seen = Vec::new();
    for _ in 0..5 {
        let _raised = days.raise(now, 8, now);
        seen.extend(days.from(now, 1));
        now = now.plus(Duration::minutes(1));
    }
    assert_eq!(seen, [2, 4, 8, 8, 8]);
    assert!(!Days::default().raise(now, 1, now), "one shard at most");
}

#[test]
fn writers_follow_a_raise_after_its_readers() {
    let (mut days, now) = (Days::default(), noon());
    assert!(days.raise(now, 64, now));
    let row = &days.0[&now.day()];
    let written = [0, 4, 5, 60].map(|seconds| row.for_writer(now.plus(Duration::seconds(seconds))));
    assert_eq!(written, [1, 1, 2, 2]);
}

#[test]
fn a_day_is_not_raised_again_before_its_writers_have_followed() {
    let (mut days, now) = (Days::default(), noon());
    assert!(days.raise(now, 64, now));
    let later = now.plus(Duration::minutes(5));
    for early in [0, 1, 25] {
        assert!(!days.raise(now.plus(Duration::seconds(early)), 64, later), "seen {early} s after the raise");
    }
    assert!(days.raise(now.plus(Duration::seconds(26)), 64, later));
    assert_eq!(days.from(now, 1), [4]);
}

#[test]
fn the_next_day_begins_with_as_many_and_each_further_one_with_half_as_many() {
    let (mut days, mut now) = (Days::default(), noon());
    for _ in 0..4 {
        assert!(days.raise(now, 64, now));
        now = now.plus(Duration::minutes(1));
    }
    assert_eq!(days.from(noon(), 7), [16, 16, 8, 4, 2, 1, 1]);
    let third = noon().plus(Duration::days(2));
    assert!(days.raise(third, 64, third));
    assert_eq!(days.from(noon(), 8), [16, 16, 16, 16, 8, 4, 2, 1]);
    let fourth = noon().plus(Duration::days(3));
    assert!(days.raise(fourth, 64, fourth));
    assert_eq!(days.from(noon(), 9), [16, 16, 16, 32, 32, 16, 8, 4, 2]);
}

#[test]
fn no_day_ever_loses_shards() {
    let mut days = Days::default();
    let busy = noon().plus(Duration::days(3));
    for minute in 0..4 {
        let now = busy.plus(Duration::minutes(minute));
        assert!(days.raise(now, 64, now));
    }
    assert!(days.raise(noon(), 64, noon()), "an earlier day, of events that are published late");
    assert_eq!(days.from(noon(), 6), [2, 2, 1, 16, 16, 8]);
}
