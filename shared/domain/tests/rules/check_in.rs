//! Check-in: what is read for it, what it notes, and what it leaves alone.

use std::collections::BTreeMap;

use domain::change::{Change, Edited};
use domain::check_in::{CheckIn, Found, Needs, Report, check_in, needs};
use domain::command::{CommandKind, Phone};
use domain::device::{Device, block};
use domain::event::EventType;
use domain::usage::{UsageKind, UsageReport};
use domain::user::User;
use domain::workspace::Settings;
use serde_json::json;

use crate::commands::one_phone;
use crate::common::{act, at};
use crate::world::{World, wanted};

const NOTHING: Needs = Needs { commands: false, user: false, usage: false };

fn pins(pin_failures: u32) -> Report {
    Report { pin_failures: Some(pin_failures), ..Report::default() }
}

fn installed(version: &str) -> Report {
    Report { config_version: Some(version.to_owned()), ..Report::default() }
}

fn used(sequence: u64) -> Report {
    let counts = BTreeMap::from([(UsageKind::ALL[0], 3)]);
    Report { usage: Some(UsageReport { sequence, counts }), ..Report::default() }
}

#[test]
fn a_check_in_reads_no_more_than_its_news_needs() {
    let (world, _) = one_phone();
    let device = Device { pin_failures: 2, usage_sequence: Some(7), ..world.held()[0].clone().served_with("v2") };
    let user = Needs { user: true, ..NOTHING };
    let usage = Needs { usage: true, ..NOTHING };
    let cases = [
        (Report::default(), NOTHING),
        (pins(3), user),
        (pins(2), NOTHING),
        (pins(0), NOTHING),
        (installed("v2"), user),
        (installed("v1"), NOTHING),
        (used(8), usage),
        (used(7), NOTHING),
        (used(6), NOTHING),
        (Report { usage: used(8).usage, ..pins(3) }, Needs { usage: true, ..user }),
    ];
    let (blocked, _) = block(&device, None, &act(1)).unwrap().unwrap();
    for (report, expected) in cases {
        assert_eq!(needs(&device, &report, at(2)), expected, "{report:?}");
        assert_eq!(needs(&blocked, &report, at(2)), NOTHING, "what a blocked device says is not noted: {report:?}");
    }
    let installed_already = device.with_in_place("v2");
    assert_eq!(needs(&installed_already, &installed("v2"), at(2)), NOTHING);
    let never_counted = Device { usage_sequence: None, ..installed_already };
    assert_eq!(needs(&never_counted, &used(1), at(2)), usage);
}

#[test]
fn a_check_in_reads_its_commands_while_there_is_one_to_tell_of() {
    let (mut world, id) = one_phone();
    let commands = |world: &World, minutes| needs(&world.devices[&id], &Report::default(), at(minutes)).commands;
    world.order(id, &wanted(CommandKind::Lock), 2).unwrap();
    let over = 2 + 30 * 24 * 60;
    assert!(commands(&world, 2) && commands(&world, over - 1) && !commands(&world, over), "until its time is over");
    let (blocked, _) = block(&world.devices[&id], None, &act(2)).unwrap().unwrap();
    assert!(needs(&blocked, &Report::default(), at(3)).commands, "a blocked device is told all the same");
    world.check_in(id, &Report::default(), 3).unwrap();
    assert!(!commands(&world, 4), "told once, it is no news");
}

fn changed(device: &Device, report: &Report, found: &Found, minutes: i64) -> Change {
    match check_in(device, report, found, &act(minutes)) {
        CheckIn::Changed { change, token: None } => *change,
        other => panic!("something changed: {other:?}"),
    }
}

#[test]
fn a_configuration_that_was_put_in_place_is_noted_with_its_user_while_they_are_deployed() {
    let (world, id) = one_phone();
    let device = world.devices[&id].clone().served_with("v2");
    let found = |user: &User| Found { user: Some((user.clone(), Vec::new(), Settings::default())), ..Found::default() };
    let change = changed(&device, &installed("v2"), &found(&world.user), 5);
    let after = Device { config: Some("v2".to_owned()), last_login_at: Some(at(5)), ..device.clone() };
    assert_eq!(change.devices, [Edited::from(device.clone(), after)]);
    let [event] = &change.events[..] else { panic!("one event: {change:?}") };
    assert_eq!((event.event_type, event.device_id), (EventType::DeviceConfigInstalled, Some(id)));
    assert_eq!(event.changes["config_version"].after, json!("v2"));
    let mut downloaded = world.user.clone();
    downloaded.client.downloaded_at = Some(at(5));
    assert_eq!(change.user, Some(Edited::from(world.user.clone(), downloaded)));

    let mut removed = world.user.clone();
    removed.client.removed_at = Some(at(4));
    let change = changed(&device, &installed("v2"), &found(&removed), 5);
    assert_eq!((change.user, change.events.len()), (None, 1), "who is no longer deployed has downloaded nothing");
    assert_eq!(
        check_in(&device, &installed("v1"), &found(&world.user), &act(5)),
        CheckIn::OnlyTime,
        "not the given one"
    );
}

#[test]
fn one_act_after_another_changes_each_row_once() {
    let world = World::with_phones(3);
    let [first, second, third] = [0, 1, 2].map(|n| world.held()[n].clone());
    let named = |device: &Device, name: &str| Device { nickname: Some(name.to_owned()), ..device.clone() };
    let user = |name: &str| User { first_name: Some(name.to_owned()), ..world.user.clone() };
    let event = |minutes| act(minutes).event(EventType::UserUpdated);
    let before = Change {
        user: Some(Edited::from(world.user.clone(), user("one"))),
        devices: vec![Edited::from(first.clone(), named(&first, "one")), Edited::from(second.clone(), second.clone())],
        ..Change::recorded(event(1))
    };
    let next = Change {
        user: Some(Edited::from(user("one"), user("two"))),
        devices: vec![
            Edited::from(named(&first, "one"), named(&first, "two")),
            Edited::from(third.clone(), named(&third, "two")),
        ],
        ..Change::recorded(event(2))
    };
    let both = before.clone().then(next.clone());
    let expected = Change {
        events: vec![event(1), event(2)],
        user: Some(Edited::from(world.user.clone(), user("two"))),
        devices: vec![
            Edited::from(first.clone(), named(&first, "two")),
            Edited::from(second.clone(), second.clone()),
            Edited::from(third.clone(), named(&third, "two")),
        ],
        ..Change::default()
    };
    assert_eq!(both, expected);
    assert_eq!(before.clone().then(Change::default()), before);
    assert_eq!(Change::default().then(next.clone()), next);
    let phones = [&first, &second, &third].map(|device| Phone { device: device.clone(), open: Vec::new() });
    assert_eq!(both.devices_after(&phones), [named(&first, "two"), second.clone(), named(&third, "two")]);
    assert_eq!(before.devices_after(&phones), [named(&first, "one"), second, third], "what it leaves alone stays");
    assert_eq!((both.user_after(), Change::default().user_after()), (Some(&user("two")), None));
}
