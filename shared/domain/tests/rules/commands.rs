//! The command machine: its table, and what holds whatever comes in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use domain::models::command::{
    Command, CommandKind, CommandReport, CommandRequest, FailedCommand, HISTORY_LIMIT, HistoryEntry, OpenCommand,
    Outcome, Transition as To, Trigger, UnconfirmedWipe, transition,
};
use domain::models::device::find_pending_command;
use domain::models::device::{Device, DeviceStatus, Erasure};
use domain::models::event::EventType;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::check_in::{CheckIn, CheckInReport, authenticate_report};
use domain::rules::commands::apply;
use domain::rules::devices::{DeviceToDelete, block, delete, purge, unblock};
use domain::rules::health::health;
use domain::rules::lifecycle::lock_and_wipe;
use domain::secret::DeviceCredential;
use domain::states::CommandState;
use domain::{CommandId, DeviceId, DomainError};
use proptest::prelude::*;
use serde_json::json;

use crate::common::{at, context, device_of, faults, fields, named};
use crate::fixture::{Fixture, command_request, is_result};

const DAY: i64 = 24 * 60;

/// What the table has a column for, a device's result by its four values.
const STIMULI: [Trigger; 9] = [
    Trigger::Delivered,
    Trigger::Reported(Outcome::Succeeded),
    Trigger::Reported(Outcome::Failed),
    Trigger::Reported(Outcome::Rejected),
    Trigger::Reported(Outcome::NotSupported),
    Trigger::Deferred,
    Trigger::Cancel,
    Trigger::Expired,
    Trigger::Replaced,
];

/// What one word of the table below means.
fn meant(word: &str) -> To {
    match word.split_once(' ') {
        Some(("late", state)) => To::LateTo(CommandState::parse(state).unwrap()),
        _ => match word {
            "same" => To::Unchanged,
            "no" => To::Refused,
            "count" => To::CountDeferral,
            "again" => To::Redeliver,
            state => To::To(CommandState::parse(state).unwrap()),
        },
    }
}

#[test]
fn the_machine_does_what_the_table_of_the_design_says() {
    const PENDING: [&str; 4] = ["succeeded", "failed", "rejected", "not_supported"];
    const LATE: [&str; 4] = ["late succeeded", "late failed", "late rejected", "late not_supported"];
    // State, served at check-in, the four results, not now, canceled, time is up, replaced.
    let table = [
        ("queued", "delivered", PENDING, "no", "canceled", "timed_out", "removed"),
        ("delivered", "same", PENDING, "deferred", "cancel_requested", "timed_out", "removed"),
        ("deferred", "delivered", PENDING, "count", "cancel_requested", "timed_out", "removed"),
        ("cancel_requested", "same", LATE, "canceled", "same", "canceled", "removed"),
        ("canceled", "same", LATE, "no", "no", "same", "same"),
        ("timed_out", "same", LATE, "no", "no", "same", "same"),
        ("succeeded", "same", ["same", "no", "no", "no"], "no", "no", "same", "same"),
        ("failed", "same", ["no", "same", "no", "no"], "no", "no", "same", "same"),
        ("rejected", "same", ["no", "no", "same", "no"], "no", "no", "same", "same"),
        ("not_supported", "same", ["no", "no", "no", "same"], "no", "no", "same", "same"),
        ("removed", "same", ["no", "no", "no", "no"], "no", "no", "same", "same"),
    ];
    // A wipe of a deleted device that has failed.
    let failed =
        ["again", "late succeeded", "failed", "rejected", "not_supported", "count", "no", "timed_out", "removed"];
    let listed: BTreeSet<_> = table.iter().map(|row| CommandState::parse(row.0).unwrap()).collect();
    assert_eq!(listed, CommandState::ALL.iter().copied().collect(), "every state has its row");
    for (kind, deleted) in CommandKind::ALL.iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        for (state, served, results, not_now, cancel, time_is_up, replaced) in table {
            let mut row = vec![served];
            row.extend(results);
            row.extend([not_now, cancel, time_is_up, replaced]);
            let is_wipe = *kind == CommandKind::Wipe || deleted && *kind == CommandKind::FactoryReset;
            if state == "removed" && is_wipe {
                row[1] = "late succeeded";
            }
            if deleted && is_wipe && ["failed", "rejected"].contains(&state) {
                row = failed.to_vec();
            }
            let state = CommandState::parse(state).unwrap();
            for (trigger, word) in STIMULI.into_iter().zip(row) {
                assert_eq!(
                    transition(*kind, state, deleted, trigger),
                    meant(word),
                    "{kind} {state} {deleted} {trigger:?}"
                );
            }
        }
    }
}

fn said(outcome: Outcome) -> CommandReport {
    CommandReport { outcome: Some(outcome), detail: None }
}

const NOT_NOW: CommandReport = CommandReport { outcome: None, detail: None };

/// A user with one phone that has come.
pub fn one_phone() -> (Fixture, DeviceId) {
    let fixture = Fixture::with_phones(1);
    let id = fixture.held()[0].device_id;
    (fixture, id)
}

fn checked_in(fixture: &mut Fixture, id: DeviceId, minutes: i64) -> Result<Vec<CommandId>, DomainError> {
    fixture.check_in(id, &CheckInReport::default(), minutes)
}

#[test]
fn asking_again_is_answered_by_the_command_that_is_pending() {
    let (mut fixture, id) = one_phone();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    for kind in [CommandKind::Wipe, CommandKind::FactoryReset] {
        assert_eq!(fixture.order(id, &command_request(kind), 3), Ok(wipe), "one command destroys the data");
    }
    let lock = fixture.order(id, &command_request(CommandKind::Lock), 3).unwrap();
    assert_eq!(checked_in(&mut fixture, id, 4), Ok(vec![wipe, lock]));
    assert_eq!(fixture.order(id, &command_request(CommandKind::Lock), 5), Ok(lock));
    assert_eq!(fixture.commands.len(), 2);
}

#[test]
fn a_command_counts_as_long_as_its_order_says_or_else_as_long_as_its_kind() {
    let (mut fixture, id) = one_phone();
    let life = |order: CommandRequest, days: i64, fixture: &mut Fixture| {
        let command = fixture.order(id, &order, 0).unwrap();
        assert_eq!(fixture.commands[&command].expires_at, at(days * DAY), "{}", order.kind);
    };
    life(command_request(CommandKind::Wipe), 90, &mut fixture);
    life(command_request(CommandKind::ResetPin), 30, &mut fixture);
    life(CommandRequest { expires_in_days: Some(2), ..command_request(CommandKind::Lock) }, 2, &mut fixture);
    fixture.run_due(2 * DAY - 1);
    assert_eq!(fixture.open_commands(id).len(), 3);
    fixture.run_due(2 * DAY);
    assert_eq!(fixture.open_commands(id).len(), 2);
}

#[test]
fn a_wipe_that_was_taken_back_and_ran_anyway_is_told_as_run_and_the_audit_has_both() {
    let (mut fixture, id) = one_phone();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    assert_eq!(checked_in(&mut fixture, id, 3), Ok(vec![wipe]));
    assert_eq!(fixture.befall(wipe, Trigger::Cancel, 4), Ok(true));
    assert_eq!(checked_in(&mut fixture, id, 5), Ok(vec![]));
    assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, 6), Ok(true));
    let ran = &fixture.commands[&wipe];
    assert_eq!((ran.state, ran.late), (CommandState::Succeeded, true));
    assert_eq!(fixture.devices[&id].device_status(at(6)), DeviceStatus::NeedsEnrolment);
    let story = [
        EventType::CommandQueued,
        EventType::CommandDelivered,
        EventType::CommandCancelRequested,
        EventType::CommandSucceeded,
    ];
    assert_eq!(fixture.story(wipe), story);
    assert_eq!(fixture.events.last().unwrap().changes["late"].after, true);
}

/// A world whose only phone is deleted, with a wipe of which it has said that it failed, before or after.
fn failed_wipe(deleted_first: bool) -> (Fixture, DeviceId, CommandId) {
    let (mut fixture, id) = one_phone();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    assert_eq!(checked_in(&mut fixture, id, 3), Ok(vec![wipe]));
    if deleted_first {
        fixture.delete(id, 4);
    }
    assert_eq!(fixture.say(wipe, &said(Outcome::Failed), 1, 5), Ok(true));
    if !deleted_first {
        fixture.delete(id, 6);
    }
    (fixture, id, wipe)
}

#[test]
fn a_wipe_of_a_deleted_phone_that_fails_is_told_again_once_a_day_until_it_is_done() {
    for deleted_first in [true, false] {
        let (mut fixture, id, wipe) = failed_wipe(deleted_first);
        let shows = |fixture: &Fixture, minute| {
            let device = &fixture.devices[&id];
            let unconfirmed = device.unconfirmed_wipe().map(|wipe| (wipe.command_id, wipe.state, wipe.at));
            assert_eq!(unconfirmed, Some((wipe, CommandState::Failed, at(minute))));
            assert!(device.has_pending_command(at(minute)) && device.pending_since() == Some(at(2)));
            assert!(health(device, None, &WorkspaceSettings::default(), at(minute)).errors[0].message.contains("Wipe"));
            assert!(fixture.user.left_device_ids.contains(&id));
        };
        shows(&fixture, 5);
        assert_eq!(checked_in(&mut fixture, id, 4 + DAY), Ok(vec![]), "it failed less than a day ago");
        assert_eq!(checked_in(&mut fixture, id, 5 + DAY), Ok(vec![wipe]));
        assert_eq!(checked_in(&mut fixture, id, 6 + DAY), Ok(vec![]), "once a day");
        assert_eq!(fixture.say(wipe, &said(Outcome::Failed), 1, 7 + DAY), Ok(true));
        assert_eq!(fixture.say(wipe, &said(Outcome::Failed), 1, 8 + DAY), Ok(false), "its answer was lost");
        shows(&fixture, 7 + DAY);
        assert_eq!(checked_in(&mut fixture, id, 6 + 2 * DAY), Ok(vec![]));
        assert_eq!(checked_in(&mut fixture, id, 7 + 2 * DAY), Ok(vec![wipe]));
        assert_eq!(fixture.say(wipe, &NOT_NOW, 1, 8 + 2 * DAY), Ok(true));
        assert_eq!(fixture.commands[&wipe].deferrals, 1);
        assert_eq!(
            fixture.befall(wipe, Trigger::Cancel, 9 + 2 * DAY),
            Err(DomainError::CommandOver(CommandState::Failed))
        );

        assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, 10 + 2 * DAY), Ok(true), "a success is kept");
        let (done, device) = (&fixture.commands[&wipe], &fixture.devices[&id]);
        assert_eq!((done.state, done.late, done.is_open()), (CommandState::Succeeded, true, false));
        assert!(device.erased.is_some() && device.unconfirmed_wipe().is_none() && device.commands.is_empty());
        assert!(!device.has_pending_command(at(10 + 2 * DAY)));
        let told = fixture.story(wipe);
        let told: Vec<&str> = told.iter().map(|kind| kind.as_str().trim_start_matches("command.")).collect();
        let again = ["delivered", "failed", "delivered", "deferred", "succeeded"];
        assert_eq!(told, [&["queued", "delivered", "failed"][..], &again].concat());
    }
}

#[test]
fn a_factory_reset_that_stands_for_the_wipe_of_a_deleted_phone_is_told_until_it_is_done_as_well() {
    let (mut fixture, id) = one_phone();
    let reset = fixture.order(id, &command_request(CommandKind::FactoryReset), 2).unwrap();
    assert_eq!(
        fixture.order(id, &command_request(CommandKind::Wipe), 2),
        Ok(reset),
        "one order to destroy the data is enough"
    );
    assert_eq!(fixture.devices[&id].unconfirmed_wipe(), None, "somebody whose name changed is no leaver");
    assert_eq!(checked_in(&mut fixture, id, 3), Ok(vec![reset]));
    fixture.delete(id, 4);
    let unconfirmed =
        |fixture: &Fixture| fixture.devices[&id].unconfirmed_wipe().map(|wipe| (wipe.command_id, wipe.state));
    assert_eq!(unconfirmed(&fixture), Some((reset, CommandState::Delivered)));
    assert!(fixture.user.left_device_ids.contains(&id));
    assert_eq!(fixture.say(reset, &said(Outcome::Failed), 1, 5), Ok(true));
    assert_eq!(unconfirmed(&fixture), Some((reset, CommandState::Failed)));
    assert!(!health(&fixture.devices[&id], None, &WorkspaceSettings::default(), at(5)).errors.is_empty());
    assert_eq!(checked_in(&mut fixture, id, 5 + DAY), Ok(vec![reset]), "it is told again once a day");
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 6 + DAY).unwrap();
    assert_ne!(wipe, reset);
    assert_eq!(checked_in(&mut fixture, id, 8 + 2 * DAY), Ok(vec![wipe]), "one at a time");
    assert_eq!(fixture.say(reset, &said(Outcome::Succeeded), 1, 9 + 2 * DAY), Ok(true), "a late success is kept");
    assert!(fixture.devices[&id].erased.is_some() && unconfirmed(&fixture).is_none());
}

#[test]
fn a_user_keeps_in_mind_a_deleted_phone_whose_wipe_is_ordered_anew() {
    let (mut fixture, id, _) = failed_wipe(true);
    fixture.user.left_device_ids.clear();
    fixture.order(id, &command_request(CommandKind::Wipe), 29 * DAY).unwrap();
    assert_eq!(fixture.user.left_device_ids, BTreeSet::from([id]));
}

#[test]
fn a_wipe_of_a_deleted_phone_can_be_ordered_anew_until_the_purge_which_waits_for_it() {
    let (mut fixture, id, failed) = failed_wipe(true);
    assert_eq!(fixture.order(id, &command_request(CommandKind::Lock), 10), Err(DomainError::DeviceDeleted));
    let anew = fixture.order(id, &command_request(CommandKind::Wipe), 29 * DAY).unwrap();
    assert_ne!(anew, failed);
    assert_eq!(
        fixture.order(id, &command_request(CommandKind::Wipe), 29 * DAY),
        Ok(anew),
        "asked again, it is the pending one"
    );
    assert_eq!(checked_in(&mut fixture, id, 29 * DAY), Ok(vec![anew]), "one at a time");
    let left = &fixture.commands[&failed];
    assert_eq!((left.state, left.again_at, left.is_open()), (CommandState::Failed, None, false));
    let until = 119 * DAY;
    assert_eq!(fixture.devices[&id].deleted.as_ref().unwrap().purge_after, at(until));
    fixture.run_due(until - 1);
    assert!(purge(&fixture.devices[&id], &context(until - 1)).is_none());
    fixture.run_due(until);
    assert_eq!(fixture.commands[&anew].state, CommandState::TimedOut);
    assert_eq!(fixture.devices[&id].unconfirmed_wipe().map(|wipe| wipe.state), Some(CommandState::TimedOut));
    assert!(!fixture.devices[&id].has_pending_command(at(until)));
    assert_eq!(fixture.say(failed, &said(Outcome::Succeeded), 1, until), Ok(true), "whichever was done is kept");
    assert!(fixture.devices[&id].unconfirmed_wipe().is_none());
    assert_eq!(
        fixture.order(id, &command_request(CommandKind::Wipe), until),
        Err(DomainError::DeviceDeleted),
        "it is done"
    );
    assert!(purge(&fixture.devices[&id], &context(until)).is_some());
}

#[test]
fn a_failed_wipe_of_a_deleted_phone_ends_with_its_time_or_with_the_phones_next_enrolment() {
    let (mut fixture, id, wipe) = failed_wipe(true);
    fixture.run_due(89 * DAY);
    assert_eq!(fixture.commands[&wipe].state, CommandState::Failed);
    fixture.run_due(91 * DAY);
    assert_eq!(fixture.commands[&wipe].state, CommandState::TimedOut);
    assert_eq!(checked_in(&mut fixture, id, 91 * DAY), Ok(vec![]));

    let (mut fixture, id, wipe) = failed_wipe(true);
    fixture.invite(1, DAY);
    fixture.register("phone-0", DAY).unwrap();
    assert_eq!(fixture.commands[&wipe].state, CommandState::Removed);
    assert!(!fixture.devices[&id].has_pending_command(at(DAY)));
    assert_eq!(
        fixture.order(id, &command_request(CommandKind::Wipe), DAY),
        Err(DomainError::DeviceDeleted),
        "it is another one now"
    );
    assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, DAY), Ok(true));
}

#[test]
fn a_wipe_that_was_taken_back_is_not_told_again_whatever_comes_of_it() {
    let (mut fixture, id) = one_phone();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    assert_eq!(checked_in(&mut fixture, id, 3), Ok(vec![wipe]));
    fixture.delete(id, 4);
    fixture.befall(wipe, Trigger::Cancel, 5).unwrap();
    assert_eq!(fixture.devices[&id].unconfirmed_wipe(), None);
    assert_eq!(fixture.say(wipe, &said(Outcome::Failed), 1, 6), Ok(true));
    assert_eq!(checked_in(&mut fixture, id, 10 * DAY), Ok(vec![]));
    assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, 10 * DAY), Ok(true), "a success is kept all the same");
}

#[test]
fn a_phone_that_is_there_is_not_told_again_of_a_wipe_that_failed_and_it_shows_as_not_confirmed() {
    let (mut fixture, id) = one_phone();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    assert_eq!(checked_in(&mut fixture, id, 3), Ok(vec![wipe]));
    let state = |fixture: &Fixture| fixture.devices[&id].unconfirmed_wipe().map(|wipe| wipe.state);
    assert_eq!(state(&fixture), Some(CommandState::Delivered));
    assert_eq!(fixture.say(wipe, &said(Outcome::Rejected), 1, 5), Ok(true));
    assert_eq!(state(&fixture), Some(CommandState::Rejected));
    let lock = fixture.order(id, &command_request(CommandKind::Lock), 6).unwrap();
    assert_eq!(fixture.say(lock, &said(Outcome::Failed), 1, 6), Ok(true));
    assert_eq!(state(&fixture), Some(CommandState::Rejected), "a lock says nothing of it");
    assert_eq!(checked_in(&mut fixture, id, 10 * DAY), Ok(vec![]));
    assert!(!fixture.devices[&id].has_pending_command(at(10 * DAY)));
    assert_eq!(
        fixture.say(wipe, &said(Outcome::Succeeded), 1, 5),
        Err(DomainError::CommandOver(CommandState::Rejected))
    );
    let reset = fixture.order(id, &command_request(CommandKind::FactoryReset), 10 * DAY).unwrap();
    assert_eq!(state(&fixture), None, "another order stands in its place");
    assert_eq!(fixture.say(reset, &said(Outcome::Succeeded), 1, 10 * DAY), Ok(true));
    assert_eq!(state(&fixture), None);
}

#[test]
fn a_deleted_users_phones_can_be_wiped_until_none_is_left() {
    let mut fixture = Fixture::with_phones(2);
    let [first, second] = [0, 1].map(|n| fixture.held()[n].device_id);
    let mut never = Fixture::with_phones(2);
    never.store(&never.delete_user(true, 5).unwrap().unwrap());
    let phones = never.user.left_device_ids.iter().map(|id| never.phone(*id)).collect::<Vec<_>>();
    let new_id = || CommandId(never.new_id());
    let refused = lock_and_wipe(&never.user, &phones, &command_request(CommandKind::Wipe), &new_id, &context(6));
    assert_eq!(refused, Err(DomainError::UserDeleted), "no wipe was ordered that could be ordered anew");

    let failed = fixture.order(first, &command_request(CommandKind::Wipe), 2).unwrap();
    let pending = fixture.order(second, &command_request(CommandKind::Wipe), 2).unwrap();
    fixture.store(&fixture.delete_user(false, 5).unwrap().unwrap());
    assert_eq!(fixture.say(failed, &said(Outcome::Failed), 1, 6), Ok(true));
    assert_eq!(fixture.user.left_device_ids, [first, second].into());
    let left = |fixture: &Fixture| [first, second].map(|id| fixture.phone(id));
    let new_id = || CommandId(fixture.new_id());
    let again = |fixture: &Fixture, minute| {
        lock_and_wipe(&fixture.user, &left(fixture), &command_request(CommandKind::Wipe), &new_id, &context(minute))
    };
    let change = again(&fixture, DAY).unwrap().unwrap();
    let wipes: Vec<CommandId> =
        change.commands.iter().filter(|edited| edited.before.is_none()).map(|edited| edited.after.command_id).collect();
    assert_eq!((wipes.len(), change.commands.len()), (1, 2), "the one that failed is told no more");
    let after = change.user_after().unwrap();
    assert!(after.locked.is_none(), "who is deleted is kept out already");
    assert_eq!(after.deleted.as_ref().unwrap().purge_after, at(91 * DAY), "the user stays as long as their phones");
    fixture.store(&change);
    let new_id = || CommandId(uuid::Uuid::from_u128(9));
    let order = |fixture: &Fixture| {
        let phones = [first, second].map(|id| fixture.phone(id));
        lock_and_wipe(&fixture.user, &phones, &command_request(CommandKind::Wipe), &new_id, &context(2 * DAY))
    };
    assert_eq!(order(&fixture), Ok(None), "both are pending");
    for wipe in wipes.into_iter().chain([pending]) {
        assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, 2 * DAY), Ok(true));
    }
    assert_eq!(order(&fixture), Err(DomainError::UserDeleted), "nothing is left to wipe");
}

/// A command of a device, in a state since the third minute.
fn command(device: &Device, kind: CommandKind, state: CommandState) -> Command {
    let happened = |state, minutes| HistoryEntry { state, at: at(minutes), by: context(0).actor, late: false };
    Command {
        workspace_id: device.workspace_id,
        device_id: device.device_id,
        user_id: device.user_id,
        command_id: CommandId(uuid::Uuid::from_u128(70)),
        kind,
        epoch: device.epoch,
        state,
        late: false,
        queued_at: at(2),
        queued_by: context(0).actor,
        reason: None,
        expires_at: at(60),
        deferrals: 0,
        again_at: None,
        detail: None,
        history: vec![happened(CommandState::Queued, 2), happened(state, 3)],
        credential_hash: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

#[test]
fn a_device_is_told_of_what_it_has_to_do_until_its_time_is_over() {
    let (fixture, id) = one_phone();
    let device = &fixture.devices[&id];
    let open = |kind, state, again_at| Command { again_at, ..command(device, kind, state) };
    let [wipe, lock] = [CommandKind::Wipe, CommandKind::Lock];
    // A command; what is pending, served and news of it at a minute.
    let cases = [
        (open(lock, CommandState::Queued, None), 59, [true, true, true]),
        (open(lock, CommandState::Queued, None), 60, [false, false, false]),
        (open(lock, CommandState::Deferred, None), 59, [true, true, true]),
        (open(lock, CommandState::Delivered, None), 59, [true, true, false]),
        (open(lock, CommandState::Delivered, None), 60, [false, false, false]),
        (open(lock, CommandState::CancelRequested, None), 5, [false, false, false]),
        (open(wipe, CommandState::Failed, None), 5, [false, false, false]),
        (open(wipe, CommandState::Failed, Some(at(10))), 9, [true, false, false]),
        (open(wipe, CommandState::Failed, Some(at(10))), 10, [true, true, true]),
        (open(wipe, CommandState::Failed, Some(at(10))), 60, [false, false, false]),
    ];
    for (command, minutes, expected) in cases {
        let row = OpenCommand::from(&command);
        let told =
            [row.is_pending(at(minutes)), row.is_deliverable(at(minutes)), row.changes_when_delivered(at(minutes))];
        assert_eq!(told, expected, "{command:?} at {minutes}");
        assert_eq!(command.is_deliverable(at(minutes)), expected[1]);
        let listed = Device { commands: vec![row.clone()], ..device.clone() };
        assert_eq!(listed.pending_commands(at(minutes)).count(), usize::from(expected[0]));
        let erased = Device { erased: Some(Erasure { at: at(1), command_id: row.command_id }), ..listed };
        assert!(!erased.has_pending_command(at(minutes)), "what is erased is told of nothing");
    }
}

#[test]
fn a_delete_has_a_wipe_told_again_that_the_phone_could_not_do_and_nothing_else() {
    let (fixture, id) = one_phone();
    let device = &fixture.devices[&id];
    let wipe = |state| command(device, CommandKind::Wipe, state);
    let failed = wipe(CommandState::Failed);
    let again = |device: &Device, command: &Command, minutes| {
        let leaving = DeviceToDelete { unconfirmed: Some(command.clone()), ..fixture.to_delete(device.clone()) };
        let change = delete(&leaving, &fixture.user, None, chrono::Duration::days(1), &context(minutes)).unwrap();
        assert!(change.commands.len() < 2, "no other command");
        change.commands.into_iter().next()
    };
    for state in [CommandState::Failed, CommandState::Rejected] {
        let told = Command { again_at: Some(at(3 + DAY)), ..wipe(state) };
        assert_eq!(again(device, &wipe(state), 59), Some(RowChange::from(wipe(state), told)), "a day after it failed");
    }
    let erased = Device { erased: Some(Erasure { at: at(1), command_id: failed.command_id }), ..device.clone() };
    let others = [
        (device, wipe(CommandState::TimedOut), 5),
        (device, wipe(CommandState::NotSupported), 5),
        (device, command(device, CommandKind::FactoryReset, CommandState::Failed), 5),
        (device, Command { late: true, ..failed.clone() }, 5),
        (device, Command { epoch: device.epoch + 1, ..failed.clone() }, 5),
        (device, failed.clone(), 60),
        (&erased, failed, 5),
    ];
    for (device, command, minutes) in others {
        assert_eq!(again(device, &command, minutes), None, "{command:?}");
    }
}

#[test]
fn a_device_remembers_the_last_that_it_could_not_do_until_it_can() {
    let (mut fixture, id) = one_phone();
    let mut ended = |kind, outcome, minutes| {
        let order = fixture.order(id, &command_request(kind), minutes).unwrap();
        assert_eq!(fixture.say(order, &said(outcome), 1, minutes), Ok(true));
        fixture.devices[&id].failed
    };
    let failed = |kind, minutes| Some(FailedCommand { kind, at: at(minutes) });
    let [lock, pin] = [CommandKind::Lock, CommandKind::ResetPin];
    assert_eq!(ended(lock, Outcome::NotSupported, 2), failed(lock, 2));
    assert_eq!(ended(pin, Outcome::Succeeded, 3), failed(lock, 2), "another command says nothing of it");
    assert_eq!(ended(pin, Outcome::Rejected, 4), failed(pin, 4));
    assert_eq!(ended(lock, Outcome::Succeeded, 5), failed(pin, 4));
    assert_eq!(ended(pin, Outcome::Succeeded, 6), None);

    let device = &fixture.devices[&id];
    let unknown = CommandKind::Unknown(domain::string_enum::UnknownValue::new("locate").unwrap());
    let later = command(device, unknown, CommandState::Delivered);
    let change = apply(device, &later, Trigger::Reported(Outcome::Failed), None, &context(7)).unwrap().unwrap();
    let (after, ended) = (change.device_after(device).clone(), change.command_after(&later).clone());
    assert_eq!(after.failed, None, "a device's row has no room for a word of another release");
    assert_eq!(ended.state, CommandState::Failed);
    assert_eq!(change.devices, [RowChange::from(device.clone(), after)]);
    assert_eq!(change.commands, [RowChange::from(later, ended)]);
    assert_eq!(change.events.len(), 1);
}

#[test]
fn a_wipe_that_failed_stays_unconfirmed_whatever_else_is_open_or_done_until_one_is_done() {
    let (mut fixture, id) = one_phone();
    let lock = fixture.order(id, &command_request(CommandKind::Lock), 2).unwrap();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    assert_eq!(fixture.say(wipe, &said(Outcome::Failed), 1, 3), Ok(true));
    let unconfirmed = Some(UnconfirmedWipe { command_id: wipe, state: CommandState::Failed, at: at(3) });
    assert_eq!(fixture.devices[&id].unconfirmed, unconfirmed, "a lock stands open");
    assert_eq!(fixture.say(lock, &said(Outcome::Succeeded), 1, 4), Ok(true));
    assert_eq!(fixture.devices[&id].unconfirmed, unconfirmed, "a lock is done");
    let row = fixture.devices[&id].clone();
    assert_eq!(serde_json::from_value::<Device>(json!(row)).unwrap(), row, "its row holds it");
    let anew = fixture.order(id, &command_request(CommandKind::Wipe), 5).unwrap();
    fixture.befall(anew, Trigger::Expired, 6).unwrap();
    let unconfirmed = Some(UnconfirmedWipe { command_id: anew, state: CommandState::TimedOut, at: at(6) });
    assert_eq!(fixture.devices[&id].unconfirmed, unconfirmed);
    assert_eq!(fixture.say(anew, &said(Outcome::Succeeded), 1, 7), Ok(true));
    assert_eq!(fixture.devices[&id].unconfirmed, None);
}

#[test]
fn a_history_keeps_its_beginning_and_its_newest_steps() {
    let (mut fixture, id) = one_phone();
    let lock = fixture.order(id, &command_request(CommandKind::Lock), 0).unwrap();
    for minute in 1..=60 {
        assert_eq!(checked_in(&mut fixture, id, minute), Ok(vec![lock]));
        assert_eq!(fixture.say(lock, &NOT_NOW, 1, minute), Ok(true));
    }
    let command = &fixture.commands[&lock];
    assert_eq!((command.deferrals, command.history.len()), (60, HISTORY_LIMIT));
    let [first, second] = [&command.history[0], &command.history[1]];
    assert_eq!((first.state, first.at), (CommandState::Queued, at(0)));
    assert_eq!((second.state, second.at), (CommandState::Deferred, at(41)), "the oldest but the first went");
    assert_eq!(command.history.last().unwrap().at, at(60));
}

#[test]
fn a_phone_that_came_back_by_a_code_can_still_say_that_it_was_wiped_however_its_wipe_had_ended() {
    let ends: [fn(&mut Fixture, CommandId); 3] = [
        |_, _| (),
        |fixture, wipe| drop(fixture.befall(wipe, Trigger::Cancel, 4)),
        |fixture, wipe| {
            fixture.run_due(90 * DAY);
            assert_eq!(fixture.commands[&wipe].state, CommandState::TimedOut);
        },
    ];
    for (case, end) in ends.into_iter().enumerate() {
        let (mut fixture, id) = one_phone();
        let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 0).unwrap();
        assert_eq!(checked_in(&mut fixture, id, 3), Ok(vec![wipe]));
        end(&mut fixture, wipe);
        fixture.invite(1, 91 * DAY);
        fixture.register("phone-0", 91 * DAY).unwrap();
        assert_eq!(fixture.devices[&id].epoch, 2);
        assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, 92 * DAY), Ok(true), "case {case}");
        assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, 92 * DAY), Ok(false), "case {case}, said twice");
        let told = &fixture.commands[&wipe];
        assert_eq!((told.state, told.late), (CommandState::Succeeded, true), "case {case}");
        assert!(
            fixture.devices[&id].erased.is_none() && fixture.authenticated(id).is_ok(),
            "it is the new enrolment's"
        );
    }
}

#[test]
fn the_credential_of_an_earlier_enrolment_speaks_of_its_own_commands_alone() {
    let (mut fixture, id) = one_phone();
    fixture.erase(id, 2).unwrap();
    fixture.invite(1, 3);
    fixture.register("phone-0", 3).unwrap();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 4).unwrap();
    assert_eq!(fixture.say(wipe, &said(Outcome::Succeeded), 1, 5), Err(DomainError::ReEnrol));
    assert_eq!(fixture.commands[&wipe].state, CommandState::Queued);
}

#[test]
fn a_made_up_credential_says_nothing_of_a_command() {
    let (mut fixture, id) = one_phone();
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    let told = |fixture: &Fixture, credential: &DeviceCredential| {
        authenticate_report(fixture.devices.get(&id), fixture.commands.get(&wipe), credential)
    };
    let own = fixture.credential(id).clone();
    let made_up = |epoch| DeviceCredential::new(|bytes| bytes.fill(7), own.workspace_id, id, epoch);
    assert_eq!(told(&fixture, &own), Ok(()));
    assert_eq!(told(&fixture, &made_up(1)), Err(DomainError::CredentialInvalid));
    let mut of_another_epoch = own.clone();
    of_another_epoch.epoch = 2;
    assert_eq!(told(&fixture, &of_another_epoch), Err(DomainError::CredentialInvalid));
    assert_eq!(authenticate_report(None, fixture.commands.get(&wipe), &own), Err(DomainError::CredentialInvalid));

    checked_in(&mut fixture, id, 3).unwrap();
    fixture.befall(wipe, Trigger::Cancel, 3).unwrap();
    fixture.invite(1, 3);
    fixture.register("phone-0", 3).unwrap();
    assert_eq!(fixture.commands[&wipe].state, CommandState::Removed);
    assert_eq!(told(&fixture, &own), Ok(()), "its own command has kept it");
    assert_eq!(told(&fixture, &made_up(1)), Err(DomainError::ReEnrol));
    assert_eq!(told(&fixture, &made_up(2)), Err(DomainError::CredentialInvalid));
    assert_eq!(authenticate_report(fixture.devices.get(&id), None, &own), Err(DomainError::ReEnrol));
}

#[test]
fn a_phone_that_was_erased_before_it_first_came_needs_a_fresh_code() {
    let mut fixture = Fixture::new(1);
    let id = fixture.register("phone", 1).unwrap().device.after.device_id;
    fixture.erase(id, 2).unwrap();
    assert_eq!(fixture.register("phone", 3).unwrap_err().error, DomainError::CodeUsed);
    fixture.invite(1, 4);
    fixture.register("phone", 4).unwrap();
    assert!(fixture.authenticated(id).is_ok());
}

#[test]
fn what_a_device_says_is_read_with_every_fault_named() {
    let read = |body| CommandReport::read(fields(body));
    assert_eq!(read(json!({"result": "deferred"})), Ok(NOT_NOW));
    let failed = CommandReport { outcome: Some(Outcome::Failed), detail: Some("no room".to_owned()) };
    assert_eq!(read(json!({"result": "failed", "detail": " no room "})), Ok(failed));
    for outcome in Outcome::ALL {
        assert_eq!(read(json!({"result": outcome.as_str()})), Ok(said(*outcome)));
    }
    let expected = [("result".to_owned(), "unknown_value"), ("detail".to_owned(), "too_long")];
    assert_eq!(faults(read(json!({"result": "done", "detail": "x".repeat(257)}))), expected);
    assert_eq!(faults(read(json!({}))), [("result".to_owned(), "missing")]);
}

#[test]
fn an_order_is_read_with_every_fault_named() {
    let mut body = fields(json!({"reason": "lost", "expires_in_days": 365}));
    let order = CommandRequest { kind: CommandKind::Lock, reason: Some("lost".to_owned()), expires_in_days: Some(365) };
    assert_eq!(CommandRequest::read(CommandKind::Lock, &mut body), order);
    for days in [0, 366] {
        let mut body = fields(json!({"reason": 1, "expires_in_days": days}));
        CommandRequest::read(CommandKind::Lock, &mut body);
        let expected = [("reason".to_owned(), "wrong_type"), ("expires_in_days".to_owned(), "out_of_range")];
        assert_eq!(named(&body.finish().unwrap_err()), expected);
    }
}

/// What happens next to one of the phones, by whoever does it.
#[derive(Clone, Debug)]
enum Next {
    Order(usize, CommandKind, Option<i64>),
    Cancel(usize),
    CheckIn(usize),
    /// A word on a command: a result or not now, by the command's own enrolment or the newest.
    Say(usize, Option<Outcome>, bool),
    Pass(i64),
    RunDue,
    Block(usize),
    Unblock(usize),
    Delete(usize),
    Register(usize),
}

fn next() -> impl Strategy<Value = Next> {
    use CommandKind as K;
    let kind = prop::sample::select(vec![K::Wipe, K::Wipe, K::Lock, K::ResetPin, K::FactoryReset, K::RefreshConfig]);
    let word = prop_oneof![
        2 => Just(None),
        3 => Just(Some(Outcome::Succeeded)),
        2 => prop::sample::select(Outcome::ALL).prop_map(Some)
    ];
    let minutes = prop_oneof![1..60i64, DAY..40 * DAY];
    prop_oneof![
        6 => (0..6usize, kind, prop::option::of(1..5i64)).prop_map(|(n, kind, days)| Next::Order(n, kind, days)),
        4 => (0..6usize).prop_map(Next::Cancel),
        6 => (0..6usize).prop_map(Next::CheckIn),
        8 => (0..8usize, word, any::<bool>()).prop_map(|(n, word, own)| Next::Say(n, word, own)),
        3 => minutes.prop_map(Next::Pass),
        2 => Just(Next::RunDue),
        1 => (0..6usize).prop_map(Next::Block),
        1 => (0..6usize).prop_map(Next::Unblock),
        1 => (0..6usize).prop_map(Next::Delete),
        2 => (0..2usize).prop_map(Next::Register),
    ]
}

/// A world, and what has been said in it.
struct Course {
    fixture: Fixture,
    now: i64,
    /// The wipes of which their device has said first that they were done.
    wiped: BTreeSet<CommandId>,
}

impl Course {
    fn new() -> Self {
        Self { fixture: Fixture::with_phones(2), now: 2, wiped: BTreeSet::new() }
    }

    fn device(&self, n: usize) -> DeviceId {
        *self.fixture.devices.keys().nth(n % self.fixture.devices.len()).unwrap()
    }

    /// One of the commands, the newest first.
    fn command(&self, n: usize) -> Option<CommandId> {
        self.fixture.commands.keys().rev().nth(n % self.fixture.commands.len().max(1)).copied()
    }

    fn take(&mut self, next: &Next) {
        match *next {
            Next::Order(n, kind, days) => self.order(self.device(n), kind, days),
            Next::Cancel(n) => self.command(n).into_iter().for_each(|id| self.cancel(id)),
            Next::CheckIn(n) => self.check_in(self.device(n)),
            Next::Say(n, outcome, own) => self.command(n).into_iter().for_each(|id| self.say(id, outcome, own)),
            Next::Pass(minutes) => self.now += minutes,
            Next::RunDue => self.fixture.run_due(self.now),
            Next::Block(n) => self.set(self.device(n), |device, at| block(device, None, &context(at))),
            Next::Unblock(n) => self.set(self.device(n), |device, at| unblock(device, None, &context(at))),
            Next::Delete(n) => {
                self.fixture.delete(self.device(n), self.now);
            }
            Next::Register(n) => self.register(n),
        }
    }

    fn set(&mut self, id: DeviceId, to: impl Fn(&Device, i64) -> Result<Option<ChangeSet>, DomainError>) {
        if let Ok(Some(change)) = to(&self.fixture.devices[&id], self.now) {
            let (after, _) = device_of(change);
            self.fixture.devices.insert(id, after);
        }
    }

    /// An order is answered by what is pending, or by a new command of its own.
    fn order(&mut self, id: DeviceId, kind: CommandKind, days: Option<i64>) {
        let stands = |command: &&Command| {
            let alike = command.kind == kind || command.kind.is_destructive() && kind.is_destructive();
            command.device_id == id && command.state.is_pending() && command.expires_at > at(self.now) && alike
        };
        let pending = self.fixture.commands.values().find(stands).map(|command| command.command_id);
        let known = self.fixture.commands.len();
        let device = self.fixture.devices[&id].clone();
        let ordered =
            self.fixture.order(id, &CommandRequest { expires_in_days: days, ..command_request(kind) }, self.now);
        let anew = kind == CommandKind::Wipe && device.unconfirmed_wipe().is_some() && !device.replaced;
        let expected = if device.deleted.is_some() && !anew {
            Err(DomainError::DeviceDeleted)
        } else if device.erased.is_some() {
            Err(DomainError::DeviceErased)
        } else {
            Ok(pending.unwrap_or_else(|| *self.fixture.commands.keys().next_back().unwrap()))
        };
        assert_eq!(ordered, expected);
        let made = ordered.is_ok() && pending.is_none();
        assert_eq!(self.fixture.commands.len(), known + usize::from(made));
    }

    fn cancel(&mut self, id: CommandId) {
        let state = self.fixture.commands[&id].state;
        let expected = match state {
            CommandState::Queued | CommandState::Delivered | CommandState::Deferred => Ok(true),
            CommandState::CancelRequested => Ok(false),
            over => Err(DomainError::CommandOver(over)),
        };
        assert_eq!(self.fixture.befall(id, Trigger::Cancel, self.now), expected);
    }

    /// A check-in tells of everything that is pending, and of nothing else; a second one has no
    /// news.
    fn check_in(&mut self, id: DeviceId) {
        let pending = |command: &&Command| {
            let again = command.again_at.is_some_and(|again| again <= at(self.now));
            command.device_id == id && (command.state.is_pending() || again) && command.expires_at > at(self.now)
        };
        let expected: Vec<CommandId> =
            self.fixture.commands.values().filter(pending).map(|command| command.command_id).collect();
        let device = self.fixture.devices[&id].clone();
        let before = self.fixture.commands.clone();
        let served = checked_in(&mut self.fixture, id, self.now);
        if device.erased.is_some() || device.replaced {
            assert_eq!(served, Err(DomainError::ReEnrol));
            return;
        }
        assert_eq!(served.as_ref(), Ok(&expected));
        for (id, command) in &self.fixture.commands {
            let before = &before[id];
            let delivered = expected.contains(id) && before.again_at.is_none();
            let state = if delivered { CommandState::Delivered } else { before.state };
            assert_eq!(command.state, state, "what is not served stays");
            let with_redelivery = expected.contains(id) && before.again_at.is_some();
            let again_at = if with_redelivery { Some(at(self.now + DAY)) } else { before.again_at };
            assert_eq!(command.again_at, again_at, "once a day");
        }
        let again = self.fixture.checked_in(&self.fixture.devices[&id], &CheckInReport::default(), self.now);
        assert!(matches!(again, CheckIn::AccessDenied | CheckIn::OnlyTime), "{again:?}");
    }

    /// A device's word is taken as the table says, whichever of its credentials it has; a result
    /// that comes twice is the same answer.
    fn say(&mut self, id: CommandId, outcome: Option<Outcome>, own: bool) {
        let before = self.fixture.commands[&id].clone();
        let epoch = if own { before.epoch } else { self.fixture.devices[&before.device_id].epoch };
        let word = CommandReport { outcome, detail: None };
        let told = self.fixture.say(id, &word, epoch, self.now);
        let deleted = self.fixture.devices[&before.device_id].deleted.is_some();
        let last = before.history.last().unwrap().state.as_str();
        let repeated = outcome.is_some_and(|outcome| outcome.as_str() == last && last == before.state.as_str());
        let expected = match transition(before.kind, before.state, deleted, word.trigger()) {
            _ if repeated => Ok(false),
            To::Unchanged => Ok(false),
            To::Refused => Err(DomainError::CommandOver(before.state)),
            To::To(_) | To::LateTo(_) | To::CountDeferral | To::Redeliver => Ok(true),
        };
        assert_eq!(told, expected, "{before:?}");
        if outcome.is_some() && told.is_ok() {
            assert_eq!(self.fixture.say(id, &word, epoch, self.now), Ok(false));
        }
        self.note(&before, outcome);
    }

    fn note(&mut self, before: &Command, outcome: Option<Outcome>) {
        let after = &self.fixture.commands[&before.command_id];
        if before.kind == CommandKind::Wipe && after.state == CommandState::Succeeded {
            self.wiped.insert(before.command_id);
        }
        let taken_back = matches!(before.state, CommandState::CancelRequested | CommandState::Canceled);
        if let Some(outcome) = outcome.filter(|_| taken_back) {
            assert_eq!((after.state.as_str(), after.late), (outcome.as_str(), true), "it is told as run");
            let story = self.fixture.story(before.command_id);
            let canceled = [EventType::CommandCancelRequested, EventType::CommandCanceled];
            assert!(canceled.iter().any(|kind| story.contains(kind)), "the audit keeps the cancel: {story:?}");
            let ran = story.last().unwrap().as_str();
            assert_eq!(ran, format!("command.{outcome}"), "the audit keeps the result");
        }
    }

    /// A phone comes with a fresh code: in its own place, or as a new device once it was deleted.
    fn register(&mut self, n: usize) {
        self.fixture.invite(1, self.now);
        match self.fixture.register(&format!("phone-{n}"), self.now) {
            Ok(registered) => {
                let id = registered.device.after.device_id;
                assert!(self.fixture.authenticated(id).is_ok() && self.fixture.open_commands(id).is_empty());
                let replaced = registered.replaced.map(|old| old.after.device_id);
                assert!(
                    replaced.is_none_or(|old| self.fixture.open_commands(old).is_empty()),
                    "nobody is left to do it"
                );
            }
            Err(refused) if refused.error == DomainError::ErasurePending => {
                let known = self.fixture.found(&format!("phone-{n}")).claimed.unwrap();
                let pending = find_pending_command(&known, CommandKind::Wipe, at(self.now));
                assert!(pending.is_some(), "it is told to erase itself");
            }
            Err(refused) => assert_eq!(refused.error, DomainError::DeviceBlocked),
        }
    }

    /// What holds after every step.
    fn holds(&self, next: &Next, before: &BTreeMap<CommandId, Command>) {
        for (id, command) in before {
            let deleted = self.fixture.devices[&command.device_id].deleted.is_some();
            only_what_may_change(command, &self.fixture.commands[id], next, deleted);
        }
        for command in self.fixture.commands.values() {
            assert!(command.history.len() <= HISTORY_LIMIT);
            let last = command.history.last().unwrap().state;
            let with_redelivery = matches!(last, CommandState::Delivered | CommandState::Deferred);
            assert!(last == command.state || with_redelivery && is_failed_wipe(command, true), "{command:?}");
        }
        for wipe in &self.wiped {
            assert_eq!(self.fixture.commands[wipe].state, CommandState::Succeeded, "no success of a wipe is lost");
        }
        for device in self.fixture.devices.values() {
            self.device_holds(device);
        }
    }

    fn device_holds(&self, device: &Device) {
        let open = self.fixture.open_commands(device.device_id);
        let rows: BTreeMap<CommandId, OpenCommand> =
            open.iter().map(|row| (row.command_id, OpenCommand::from(row))).collect();
        let listed = device.commands.iter().map(|row| (row.command_id, row.clone())).collect();
        assert_eq!(rows, listed, "the device's row lists what is open");
        assert!(device.deleted.is_some() || open.iter().all(|row| row.again_at.is_none()), "it can be told by hand");
        assert_eq!(device.commands.len(), open.len());

        let kinds: BTreeSet<CommandKind> = open.iter().map(|row| row.kind).collect();
        assert_eq!(kinds.len(), open.len(), "one of a kind is open");
        let pending = |row: &&Command| row.kind.is_destructive() && (row.state.is_pending() || row.again_at.is_some());
        let destructive = open.iter().filter(pending).filter(|row| row.expires_at > at(self.now));
        assert!(destructive.count() <= 1, "one command at a time destroys the data");

        let erasing = |row: &&Command| {
            row.device_id == device.device_id
                && row.epoch == device.epoch
                && row.kind.is_destructive()
                && row.state == CommandState::Succeeded
                && !self.fixture.story(row.command_id).contains(&EventType::CommandRemoved)
        };
        let erased = self.fixture.commands.values().any(|row| erasing(&row));
        assert_eq!(device.erased.is_some(), erased, "what erases ends the enrolment, and nothing else does");
        let opened = self.fixture.authenticated(device.device_id).map(drop);
        let ended = erased || device.replaced;
        assert_eq!(opened, if ended { Err(DomainError::ReEnrol) } else { Ok(()) });
    }

    /// Once every time is over nothing is open, and what is deleted can be purged.
    fn comes_to_an_end(mut self) {
        self.now += 400 * DAY;
        self.fixture.run_due(self.now);
        assert!(self.fixture.commands.values().all(|command| !command.is_open()));
        for device in self.fixture.devices.values() {
            assert!(device.commands.is_empty());
            assert_eq!(purge(device, &context(self.now)).is_some(), device.deleted.is_some());
        }
    }
}

fn is_failed_wipe(command: &Command, deleted: bool) -> bool {
    command.kind.is_wipe(deleted) && matches!(command.state, CommandState::Failed | CommandState::Rejected)
}

/// What was said of a command by its device stays, but for a wipe of a deleted one that has failed; what ended
/// otherwise changes by the device's late word alone; and what a command is never changes.
fn only_what_may_change(before: &Command, after: &Command, next: &Next, deleted: bool) {
    if before == after {
        return;
    }
    let may_be_told_again = deleted && is_failed_wipe(before, deleted);
    assert!(may_be_told_again || !is_result(before.state), "{before:?} became {after:?}");
    if !before.state.is_open() && !may_be_told_again {
        assert!(matches!(next, Next::Say(_, Some(_), _)) && is_result(after.state) && after.late, "{after:?}");
    }
    if before.state == CommandState::Removed {
        assert!(after.kind.is_wipe(deleted) && after.state == CommandState::Succeeded, "{after:?}");
    }
    let same = Command {
        state: after.state,
        late: after.late,
        deferrals: after.deferrals,
        again_at: after.again_at,
        history: after.history.clone(),
        credential_hash: after.credential_hash.clone(),
        ..before.clone()
    };
    assert_eq!(&same, after);
}

proptest! {
    #[test]
    fn whatever_befalls_commands_in_whatever_order_nothing_is_lost_stuck_or_overwritten(
        steps in prop::collection::vec(next(), 1..80)
    ) {
        let mut course = Course::new();
        for next in steps {
            let before = course.fixture.commands.clone();
            course.take(&next);
            course.holds(&next, &before);
        }
        course.comes_to_an_end();
    }
}
