//! What people have used, counted once.

use domain::models::device::Device;
use domain::models::event::EventType;
use domain::models::usage::{Counts, TOTAL_SHARDS, Usage, UsageKind, UsageReport, UsageScope, add, month};
use domain::rules::change::RowChange;
use domain::rules::check_in::{self, CheckIn, CheckInReport, CheckInState, check_in};
use domain::{Time, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{at, context, device_of, faults, fields};
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

/// The device and the two rows of counts after a report.
fn counted(
    device: &Device,
    found: &CheckInState,
    report: &CheckInReport,
    minutes: i64,
) -> Option<(Device, [Usage; 2])> {
    match check_in(device, report, found, &context(minutes)) {
        CheckIn::AccessDenied | CheckIn::OnlyTime => None,
        CheckIn::Changed { change, .. } => {
            let usage = change.usage.iter().map(|edited: &RowChange<Usage>| edited.after.clone()).collect::<Vec<_>>();
            Some((change.devices[0].after.clone(), usage.try_into().unwrap()))
        }
    }
}

fn with([usage, total]: &[Usage; 2]) -> CheckInState {
    CheckInState { usage: Some(usage.clone()), total: Some(total.clone()), ..CheckInState::default() }
}

#[test]
fn a_report_counts_for_the_user_and_in_the_workspaces_total() {
    let device = device();
    let (after, rows) = counted(&device, &CheckInState::default(), &report(1, 5, 2), 10).unwrap();
    assert_eq!(
        rows.each_ref().map(|row| row.of),
        [UsageScope::User(device.user_id), UsageScope::shard_of(device.user_id)]
    );
    for row in &rows {
        assert_eq!((row.month.as_str(), &row.counts), ("2026-11", &counts(5, 2)));
    }
    let (_, rows) = counted(&after, &with(&rows), &report(2, 1, 0), 11).unwrap();
    assert_eq!(rows[0].counts, counts(6, 2));
}

#[test]
fn a_report_that_comes_twice_or_late_adds_nothing() {
    let (after, rows) = counted(&device(), &CheckInState::default(), &report(7, 5, 2), 10).unwrap();
    for sequence in [7, 6, 1] {
        let again = report(sequence, 5, 2);
        assert!(!check_in::needs(&after, &again, at(11)).usage);
        assert_eq!(counted(&after, &with(&rows), &again, 11), None, "report {sequence}");
    }
    assert!(check_in::needs(&after, &report(8, 5, 2), at(11)).usage);
}

#[test]
fn a_new_enrolment_counts_its_reports_from_the_beginning() {
    let mut fixture = Fixture::with_phones(1);
    let id = fixture.held()[0].device_id;
    let device = Device { usage_sequence: Some(40), ..fixture.devices[&id].clone() };
    fixture.devices.insert(id, device);
    fixture.invite(1, 2);
    let anew = fixture.register("phone-0", 2).unwrap().device.after;
    assert!(counted(&anew, &CheckInState::default(), &report(1, 5, 2), 3).is_some());
}

#[test]
fn what_a_phone_that_may_do_nothing_has_used_is_not_counted() {
    let (blocked, _) = device_of(domain::rules::devices::block(&device(), None, &context(2)).unwrap().unwrap());
    assert!(!check_in::needs(&blocked, &report(1, 5, 2), at(3)).usage);
    assert_eq!(check_in(&blocked, &report(1, 5, 2), &CheckInState::default(), &context(3)), CheckIn::AccessDenied);
}

#[test]
fn the_event_of_a_report_holds_its_counts() {
    let CheckIn::Changed { change, .. } = check_in(&device(), &report(1, 5, 2), &CheckInState::default(), &context(3))
    else {
        panic!("something changed");
    };
    let event = change.events.iter().find(|event| event.event_type == EventType::UserUsageReported).unwrap();
    let told: Vec<_> = event.changes.iter().map(|(kind, change)| (kind.as_str(), change.after.clone())).collect();
    assert_eq!(told, [("calls", json!(2)), ("messages_sent", json!(5))]);
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
    let shards: std::collections::BTreeSet<u8> = (0..100)
        .map(|n| match UsageScope::shard_of(UserId(Uuid::from_u128(n))) {
            UsageScope::Shard(shard) => shard,
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
