//! What people have used, counted once.

use domain::models::device::Device;
use domain::models::usage::{Counts, TOTAL_SHARDS, Usage, UsageKind, UsageReport, UsageScope, add, month};
use domain::rules::check_in::{CheckIn, CheckInReport, CheckInState, check_in};
use domain::{Time, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{context, device_of, faults, fields};
use crate::fixture::Fixture;

fn counts(sent: u64, calls: u64) -> Counts {
    Counts::from([(UsageKind::MessagesSent, sent), (UsageKind::Calls, calls)])
}

fn report(sequence: u64, sent: u64, calls: u64) -> CheckInReport {
    CheckInReport { usage: Some(UsageReport { sequence, counts: counts(sent, calls) }), ..CheckInReport::default() }
}

fn device() -> Device {
    Fixture::with_phones(1).held()[0].clone()
}

/// The device after a report, and what is added to the counts.
fn counted(device: &Device, report: &CheckInReport, minutes: i64) -> Option<(Device, Vec<Usage>)> {
    match check_in(device, report, &CheckInState::default(), &context(minutes)) {
        CheckIn::AccessDenied | CheckIn::OnlyTime => None,
        CheckIn::Changed { change, .. } => Some((change.devices[0].after.clone(), change.usage)),
    }
}

#[test]
fn a_report_counts_for_the_user_and_in_the_workspaces_total() {
    let device = device();
    let (after, added) = counted(&device, &report(1, 5, 2), 10).unwrap();
    let scopes = [UsageScope::User(device.user_id), UsageScope::shard_of(device.user_id)];
    assert_eq!(added.iter().map(|usage| usage.of).collect::<Vec<_>>(), scopes);
    for usage in &added {
        assert_eq!((usage.month.as_str(), &usage.counts), ("2026-11", &counts(5, 2)));
    }
    let (_, added) = counted(&after, &report(2, 1, 3), 11).unwrap();
    assert_eq!(added[0].counts, counts(1, 3), "only what is new");
}

#[test]
fn a_report_of_usage_alone_is_no_event() {
    let CheckIn::Changed { change, .. } = check_in(&device(), &report(1, 5, 2), &CheckInState::default(), &context(3))
    else {
        panic!("something changed");
    };
    assert_eq!(change.events, [], "usage is its own history");
}

#[test]
fn a_report_that_comes_twice_or_late_adds_nothing() {
    let (after, _) = counted(&device(), &report(7, 5, 2), 10).unwrap();
    for sequence in [7, 6, 1] {
        assert_eq!(counted(&after, &report(sequence, 5, 2), 11), None, "report {sequence}");
    }
}

#[test]
fn a_report_without_usage_is_remembered_and_adds_nothing() {
    let report =
        CheckInReport { usage: Some(UsageReport { sequence: 3, counts: Counts::new() }), ..CheckInReport::default() };
    let (after, added) = counted(&device(), &report, 10).unwrap();
    assert_eq!((after.usage_sequence, added), (Some(3), Vec::new()));
    assert_eq!(counted(&after, &report, 11), None);
}

#[test]
fn a_new_enrolment_counts_its_reports_from_the_beginning() {
    let mut fixture = Fixture::with_phones(1);
    let id = fixture.held()[0].device_id;
    let device = Device { usage_sequence: Some(40), ..fixture.devices[&id].clone() };
    fixture.devices.insert(id, device);
    fixture.invite(1, 2);
    let anew = fixture.register("phone-0", 2).unwrap().device.after;
    assert!(counted(&anew, &report(1, 5, 2), 3).is_some());
}

#[test]
fn what_a_phone_that_may_do_nothing_has_used_is_not_counted() {
    let (blocked, _) = device_of(domain::rules::devices::block(&device(), None, &context(2)).unwrap().unwrap());
    assert_eq!(check_in(&blocked, &report(1, 5, 2), &CheckInState::default(), &context(3)), CheckIn::AccessDenied);
}

#[test]
fn counts_end_at_the_most_that_a_number_holds() {
    let mut total = counts(u64::MAX - 1, 0);
    add(&mut total, &counts(5, 1));
    assert_eq!(total, counts(u64::MAX, 1));
}

#[test]
fn usage_counts_in_the_month_of_its_report_in_utc() {
    let of = |text| month(Time::parse(text).unwrap());
    assert_eq!(of("2026-11-30T23:59:59.999Z"), "2026-11");
    assert_eq!(of("2026-12-01T00:00:00Z"), "2026-12");
    assert_eq!(of("2026-12-01T00:30:00+01:00"), "2026-11");
}

#[test]
fn each_user_counts_in_one_shard_of_the_total_and_all_shards_are_used() {
    let shards: std::collections::BTreeSet<u16> = (0..300)
        .map(|n| match UsageScope::shard_of(UserId(Uuid::from_u128(n))) {
            UsageScope::Shard(shard) => u16::from(shard),
            UsageScope::User(_) => panic!("a shard"),
        })
        .collect();
    assert_eq!(shards, (0..TOTAL_SHARDS).collect());
}

#[test]
fn a_report_of_usage_is_read_with_every_fault_named() {
    let read = |usage: Value| CheckInReport::read(fields(json!({"usage": usage}))).map(|report| report.usage);
    assert_eq!(read(Value::Null), Ok(None));
    let whole = json!({"sequence": 3, "messages_sent": 5, "calls": 0});
    let counts = Counts::from([(UsageKind::MessagesSent, 5)]);
    assert_eq!(read(whole), Ok(Some(UsageReport { sequence: 3, counts })));

    assert_eq!(faults(read(json!(3))), [("usage".to_owned(), "wrong_type")]);
    let bad = json!({"messages_sent": -1, "messages_received": "5", "attachment_bytes": 1_000_000_000_001_u64});
    let expected = [
        ("usage.sequence", "missing"),
        ("usage.messages_sent", "out_of_range"),
        ("usage.messages_received", "wrong_type"),
        ("usage.attachment_bytes", "out_of_range"),
    ];
    assert_eq!(faults(read(bad)), expected.map(|(field, code)| (field.to_owned(), code)));
    assert_eq!(faults(read(json!({"sequence": 0}))), [("usage.sequence".to_owned(), "out_of_range")]);
}
