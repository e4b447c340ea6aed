//! Check-in: what is read for it, what it notes, and what it leaves alone.

use std::collections::BTreeMap;

use domain::models::command::CommandKind;
use domain::models::device::Device;
use domain::models::device::DeviceWithCommands;
use domain::models::event::EventType;
use domain::models::usage::{UsageKind, UsageReport};
use domain::models::user::User;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::check_in::{CheckIn, CheckInReads, CheckInReport, CheckInState, CheckInUser, check_in, needs};
use domain::rules::devices::block;
use serde_json::json;

use crate::commands::one_phone;
use crate::common::{at, context, device_of};
use crate::fixture::{Fixture, command_request};

const NOTHING: CheckInReads = CheckInReads { commands: false, user: false, settings: false };

fn pins(pin_failures: u32) -> CheckInReport {
    CheckInReport { pin_failures: Some(pin_failures), ..CheckInReport::default() }
}

fn installed(version: &str) -> CheckInReport {
    CheckInReport { config_version: Some(version.to_owned()), ..CheckInReport::default() }
}

fn used(sequence: u64) -> CheckInReport {
    let counts = BTreeMap::from([(UsageKind::ALL[0], 3)]);
    CheckInReport { usage: Some(UsageReport { sequence, counts }), ..CheckInReport::default() }
}

#[test]
fn a_check_in_reads_no_more_than_its_news_needs() {
    let (fixture, _) = one_phone();
    let device =
        Device { pin_failures: 2, usage_sequence: Some(7), ..fixture.held()[0].clone().with_served_version("v2") };
    let user = CheckInReads { user: true, settings: true, ..NOTHING };
    let cases = [
        (CheckInReport::default(), NOTHING),
        (pins(3), user),
        (pins(2), NOTHING),
        (pins(0), NOTHING),
        (installed("v2"), user),
        (installed("v1"), NOTHING),
        (used(8), NOTHING),
        (used(7), NOTHING),
        (used(6), NOTHING),
        (CheckInReport { usage: used(8).usage, ..pins(3) }, user),
    ];
    let (blocked, _) = device_of(block(&device, None, &context(1)).unwrap().unwrap());
    for (report, expected) in cases {
        assert_eq!(needs(&device, &report, at(2)), expected, "{report:?}");
        assert_eq!(needs(&blocked, &report, at(2)), NOTHING, "what a blocked device says is not noted: {report:?}");
    }
    let installed_already = device.with_installed_version("v2");
    assert_eq!(needs(&installed_already, &installed("v2"), at(2)), NOTHING);
}

#[test]
fn a_check_in_reads_its_commands_while_there_is_one_to_tell_of() {
    let (mut fixture, id) = one_phone();
    let commands =
        |fixture: &Fixture, minutes| needs(&fixture.devices[&id], &CheckInReport::default(), at(minutes)).commands;
    fixture.order(id, &command_request(CommandKind::Lock), 2).unwrap();
    let over = 2 + 30 * 24 * 60;
    assert!(
        commands(&fixture, 2) && commands(&fixture, over - 1) && !commands(&fixture, over),
        "until the run is out of time"
    );
    let (blocked, _) = device_of(block(&fixture.devices[&id], None, &context(2)).unwrap().unwrap());
    assert!(needs(&blocked, &CheckInReport::default(), at(3)).commands, "a blocked device is told all the same");
    fixture.check_in(id, &CheckInReport::default(), 3).unwrap();
    assert!(!commands(&fixture, 4), "told once, it is no news");
}

#[test]
fn the_first_check_in_of_a_day_notes_how_often_the_workspaces_phones_come() {
    const DAY: i64 = 24 * 60;
    let (fixture, _) = one_phone();
    let device = fixture.held()[0].clone();
    let reads_settings = |device: &Device, minutes| {
        let needs = needs(device, &CheckInReport::default(), at(minutes));
        assert_eq!(needs, CheckInReads { settings: needs.settings, ..NOTHING });
        needs.settings
    };
    assert!(!reads_settings(&device, 2) && reads_settings(&device, DAY + 2));
    assert!(reads_settings(&Device { last_login_at: None, ..device.clone() }, 2));
    let (blocked, _) = device_of(block(&device, None, &context(1)).unwrap().unwrap());
    assert!(!reads_settings(&blocked, DAY + 2));

    let found = |check_in_minutes| CheckInState {
        settings: Some(WorkspaceSettings { check_in_minutes, ..WorkspaceSettings::default() }),
        ..CheckInState::default()
    };
    let report = CheckInReport::default();
    let next_day = context(DAY + 2);
    assert_eq!(check_in(&device, &report, &found(None), &next_day), CheckIn::OnlyTime);
    let hourly = changed(&device, &report, &found(Some(60)), DAY + 2);
    let after = Device { check_in_minutes: Some(60), last_login_at: Some(at(DAY + 2)), ..device.clone() };
    let expected = ChangeSet { devices: vec![RowChange::from(device, after.clone())], ..ChangeSet::default() };
    assert_eq!(hourly, expected, "without an event: the workspace's own tells it");
    assert_eq!(check_in(&after, &report, &found(Some(60)), &next_day), CheckIn::OnlyTime);
    let default_again = changed(&after, &report, &found(None), DAY + 2);
    assert_eq!(default_again.devices[0].after.check_in_minutes, None);
}

fn changed(device: &Device, report: &CheckInReport, found: &CheckInState, minutes: i64) -> ChangeSet {
    match check_in(device, report, found, &context(minutes)) {
        CheckIn::Changed { change, token: None } => *change,
        other => panic!("something changed: {other:?}"),
    }
}

#[test]
fn a_configuration_that_was_put_in_place_is_noted_with_its_user_while_they_are_deployed() {
    let (fixture, id) = one_phone();
    let device = fixture.devices[&id].clone().with_served_version("v2");
    let found = |user: &User| CheckInState {
        user: Some(CheckInUser { user: user.clone(), other_devices: Vec::new() }),
        settings: Some(WorkspaceSettings::default()),
        ..CheckInState::default()
    };
    let change = changed(&device, &installed("v2"), &found(&fixture.user), 5);
    let after = Device { config: Some("v2".to_owned()), last_login_at: Some(at(5)), ..device.clone() };
    assert_eq!(change.devices, [RowChange::from(device.clone(), after)]);
    let [event] = &change.events[..] else { panic!("one event: {change:?}") };
    assert_eq!((event.event_type, event.device_id), (EventType::DeviceConfigInstalled, Some(id)));
    assert_eq!(event.changes["config_version"].after, json!("v2"));
    let mut downloaded = fixture.user.clone();
    downloaded.client.downloaded_at = Some(at(5));
    downloaded.last_seen_at = Some(at(5));
    assert_eq!(change.user, Some(RowChange::from(fixture.user.clone(), downloaded)));

    let mut removed = fixture.user.clone();
    removed.client.removed_at = Some(at(4));
    let change = changed(&device, &installed("v2"), &found(&removed), 5);
    assert_eq!((change.user, change.events.len()), (None, 1), "who is no longer deployed has downloaded nothing");
    assert_eq!(
        check_in(&device, &installed("v1"), &found(&fixture.user), &context(5)),
        CheckIn::OnlyTime,
        "not the given one"
    );
}

#[test]
fn one_act_after_another_changes_each_row_once() {
    let fixture = Fixture::with_phones(3);
    let [first, second, third] = [0, 1, 2].map(|n| fixture.held()[n].clone());
    let named = |device: &Device, name: &str| Device { nickname: Some(name.to_owned()), ..device.clone() };
    let user = |name: &str| User { first_name: Some(name.to_owned()), ..fixture.user.clone() };
    let event = |minutes| context(minutes).event(EventType::UserUpdated);
    let before = ChangeSet {
        user: Some(RowChange::from(fixture.user.clone(), user("one"))),
        devices: vec![
            RowChange::from(first.clone(), named(&first, "one")),
            RowChange::from(second.clone(), second.clone()),
        ],
        ..ChangeSet::with_event(event(1))
    };
    let next = ChangeSet {
        user: Some(RowChange::from(user("one"), user("two"))),
        devices: vec![
            RowChange::from(named(&first, "one"), named(&first, "two")),
            RowChange::from(third.clone(), named(&third, "two")),
        ],
        ..ChangeSet::with_event(event(2))
    };
    let both = before.clone().then(next.clone());
    let expected = ChangeSet {
        events: vec![event(1), event(2)],
        user: Some(RowChange::from(fixture.user.clone(), user("two"))),
        devices: vec![
            RowChange::from(first.clone(), named(&first, "two")),
            RowChange::from(second.clone(), second.clone()),
            RowChange::from(third.clone(), named(&third, "two")),
        ],
        ..ChangeSet::default()
    };
    assert_eq!(both, expected);
    assert_eq!(before.clone().then(ChangeSet::default()), before);
    assert_eq!(ChangeSet::default().then(next.clone()), next);
    let phones = [&first, &second, &third]
        .map(|device| DeviceWithCommands { device: device.clone(), open_commands: Vec::new() });
    assert_eq!(both.devices_after(&phones), [named(&first, "two"), second.clone(), named(&third, "two")]);
    assert_eq!(before.devices_after(&phones), [named(&first, "one"), second, third], "what it leaves alone stays");
    assert_eq!((both.user_after(), ChangeSet::default().user_after()), (Some(&user("two")), None));
}
