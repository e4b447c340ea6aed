//! Users and their devices: what each state means for each phone, and what undoes what.

use std::collections::BTreeMap;

use domain::models::command::{CommandKind, CommandReport, CommandRequest, Outcome};
use domain::models::device::{Device, DeviceAccess, Status};
use domain::models::event::EventType;
use domain::models::user::{User, UserEdit};
use domain::rules::change::ChangeSet;
use domain::rules::check_in::{CheckIn, CheckInReport};
use domain::rules::devices::{block, unblock};
use domain::rules::lifecycle::{NewId, is_readdressed, purge, update};
use domain::states::CommandState;
use domain::states::UserStatus;
use domain::{CommandId, DeviceId, DomainError};
use proptest::prelude::*;
use serde_json::json;

use crate::common::{at, context, device_of, faults, fields, published, user};
use crate::fixture::{Fixture, RETENTION, command_request};

const DAY: i64 = 24 * 60;

fn types(change: &ChangeSet) -> Vec<EventType> {
    change.events.iter().map(|event| event.event_type).collect()
}

#[test]
fn suspending_stops_every_phone_in_one_change_and_activating_restores_exactly_what_was() {
    let mut fixture = Fixture::with_phones(3);
    let id = fixture.held()[1].device_id;
    let (blocked, _) = device_of(block(&fixture.devices[&id], Some("lost".to_owned()), &context(2)).unwrap().unwrap());
    fixture.devices.insert(id, blocked);
    let (user, devices) = (fixture.user.clone(), fixture.devices.clone());

    let change = fixture.suspend(3).unwrap().unwrap();
    assert_eq!((types(&change), change.devices.len()), (vec![EventType::UserSuspended], 3));
    assert_eq!(change.events[0].private.reason.as_deref(), Some("on leave"));
    assert!(!published(&change.events[0]).contains("on leave"));
    fixture.store(&change);
    let access: Vec<DeviceAccess> = fixture.held().iter().map(Device::access).collect();
    assert_eq!(access, [DeviceAccess::UserSuspended, DeviceAccess::DeviceBlocked, DeviceAccess::UserSuspended]);
    assert_eq!(fixture.suspend(4), Ok(None));

    fixture.store(&fixture.activate(5).unwrap().unwrap());
    assert_eq!((&fixture.user, &fixture.devices), (&user, &devices));
    assert_eq!(fixture.activate(6), Ok(None));
}

#[test]
fn a_user_who_was_never_active_is_made_active_once_and_a_suspension_gives_back_no_more_than_it_took() {
    let mut fixture = Fixture::new(1);
    assert_eq!(fixture.user.status(), UserStatus::Inactive);
    fixture.store(&fixture.suspend(1).unwrap().unwrap());
    fixture.store(&fixture.activate(2).unwrap().unwrap());
    assert_eq!(fixture.user.status(), UserStatus::Inactive, "as it was");
    fixture.store(&fixture.activate(3).unwrap().unwrap());
    assert_eq!((fixture.user.status(), fixture.user.activated_at), (UserStatus::Active, Some(at(3))));
    assert_eq!(fixture.activate(4), Ok(None));
}

#[test]
fn too_many_wrong_pins_lock_the_user_on_every_phone_in_the_check_in_that_reports_them() {
    let mut fixture = Fixture::with_phones(2);
    let [first, second] = [0, 1].map(|n| fixture.held()[n].device_id);
    let wrong = |failures| CheckInReport { pin_failures: Some(failures), ..CheckInReport::default() };
    fixture.check_in(first, &wrong(9), 2).unwrap();
    assert_eq!(fixture.user.status(), UserStatus::Active);
    let CheckIn::Changed { change, .. } = fixture.checked_in(&fixture.devices[&first], &wrong(10), 3) else {
        panic!("it locks");
    };
    assert_eq!(types(&change), [EventType::DeviceUpdated, EventType::UserLocked]);
    assert_eq!(change.events[1].changes["pin_failures"].after, 10);
    fixture.store(&change);
    for id in [first, second] {
        assert_eq!(fixture.devices[&id].access(), DeviceAccess::UserLocked);
    }
    assert_eq!(fixture.checked_in(&fixture.devices[&first], &wrong(11), 4), CheckIn::AccessDenied, "locked is locked");

    fixture.store(&fixture.reset_pin(5).unwrap().unwrap());
    assert_eq!(fixture.user.status(), UserStatus::Active);
    fixture.check_in(first, &wrong(10), 6).unwrap();
    assert_eq!(fixture.user.status(), UserStatus::Active, "the same wrong PINs do not lock again");
    fixture.check_in(first, &wrong(11), 7).unwrap();
    assert_eq!(fixture.user.status(), UserStatus::Locked);
}

#[test]
fn lock_and_wipe_locks_and_orders_a_wipe_of_each_phone_that_has_something_to_wipe() {
    let mut fixture = Fixture::with_phones(3);
    let ids: Vec<DeviceId> = fixture.user.device_ids.iter().copied().collect();
    fixture.erase(ids[0], 2).unwrap();
    let pending = fixture.order(ids[1], &command_request(CommandKind::FactoryReset), 2).unwrap();
    let change = fixture.lock_and_wipe(3).unwrap().unwrap();
    assert_eq!(types(&change), [EventType::UserLockedAndWiped, EventType::CommandQueued]);
    assert_eq!((change.commands.len(), change.commands[0].after.device_id), (1, ids[2]));
    fixture.store(&change);
    assert_eq!(fixture.user.status(), UserStatus::Locked);
    assert_eq!(fixture.lock_and_wipe(4), Ok(None));
    let served = fixture.check_in(ids[1], &CheckInReport::default(), 5).unwrap();
    assert_eq!(served, [pending], "a locked phone is told to destroy its data");
    assert_eq!(fixture.lock_and_wipe(90 * DAY), Ok(None), "until the last minute");
    let again = fixture.lock_and_wipe(90 * DAY + 3).unwrap().unwrap();
    assert_eq!(again.commands.iter().filter(|edited| edited.before.is_none()).count(), 2, "once the orders are over");
}

#[test]
fn resetting_the_pin_lifts_a_lock_and_nothing_else() {
    let mut fixture = Fixture::with_phones(2);
    fixture.store(&fixture.suspend(2).unwrap().unwrap());
    fixture.store(&fixture.lock_by_pins(3).unwrap());
    assert_eq!(fixture.lock_by_pins(4), None);
    assert_eq!(fixture.user.status(), UserStatus::Locked, "the stronger shows");
    let change = fixture.reset_pin(5).unwrap().unwrap();
    fixture.store(&change);
    assert_eq!(change.events[0].changes["locked"].after, false);
    assert_eq!((fixture.user.status(), change.commands.len()), (UserStatus::Suspended, 2));
    assert_eq!(fixture.reset_pin(6), Ok(None));
}

/// What a phone has been through before its user is deleted, and whether it counts as wiped.
type Before = (&'static str, fn(&mut Fixture, DeviceId), bool);

const CASES: [Before; 8] = [
    ("never wiped", |_, _| (), false),
    ("locked only", |fixture, id| drop(fixture.order(id, &command_request(CommandKind::Lock), 2)), false),
    ("wiped", |fixture, id| drop(fixture.erase(id, 2)), true),
    ("wipe pending", |fixture, id| drop(fixture.order(id, &command_request(CommandKind::Wipe), 2)), true),
    (
        "factory reset pending",
        |fixture, id| drop(fixture.order(id, &command_request(CommandKind::FactoryReset), 2)),
        true,
    ),
    ("wipe expired", |fixture, id| drop(fixture.order(id, &brief(), 2)), false),
    ("wipe taken back", |fixture, id| taken_back(fixture, id), false),
    ("wipe failed", |fixture, id| failed(fixture, id), false),
];

fn brief() -> CommandRequest {
    CommandRequest { expires_in_days: Some(1), ..command_request(CommandKind::Wipe) }
}

fn taken_back(fixture: &mut Fixture, id: DeviceId) {
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    fixture.confirm(id, 3);
    fixture.befall(wipe, domain::models::command::Trigger::Cancel, 4).unwrap();
}

fn failed(fixture: &mut Fixture, id: DeviceId) {
    let wipe = fixture.order(id, &command_request(CommandKind::Wipe), 2).unwrap();
    fixture.say(wipe, &CommandReport { outcome: Some(Outcome::Failed), detail: None }, 1, 3).unwrap();
}

#[test]
fn a_user_is_deleted_only_once_each_phone_is_wiped_or_about_to_be_or_else_on_demand() {
    for (case, prepare, wiped) in CASES {
        let mut fixture = Fixture::with_phones(2);
        let [plain, other] = [0, 1].map(|n| fixture.held()[n].device_id);
        fixture.erase(other, 2).unwrap();
        prepare(&mut fixture, plain);
        let now = 2 * DAY;
        let named = match fixture.delete_user(false, now) {
            Ok(_) => Vec::new(),
            Err(DomainError::WipeFirst(devices)) => devices.iter().map(|device| device.device_id).collect(),
            Err(other) => panic!("{case}: {other}"),
        };
        assert_eq!(named, if wiped { vec![] } else { vec![plain] }, "{case}");
        let change = fixture.delete_user(true, now).unwrap().unwrap();
        let unwiped = change.events[0].changes.contains_key("without_wipe");
        assert_eq!(unwiped, !wiped, "{case}: the record tells what was not wiped");
        assert_eq!(change.events[0].private.reason.as_deref(), Some("left"), "{case}");
    }
}

#[test]
fn deleting_a_user_takes_their_phones_and_their_open_invitation_with_them_for_good() {
    let mut fixture = Fixture::with_phones(2);
    fixture.invite(1, 2);
    let change = fixture.delete_user(true, 3).unwrap().unwrap();
    let expected =
        [EventType::UserDeleted, EventType::DeviceDeleted, EventType::DeviceDeleted, EventType::InvitationRevoked];
    assert_eq!(types(&change), expected);
    fixture.store(&change);
    assert!(fixture.user.device_ids.is_empty() && fixture.claims.values().all(|claim| !claim.held));
    assert_eq!(fixture.delete_user(true, 4), Ok(None));
    assert_eq!(fixture.user.deleted.as_ref().unwrap().purge_after, at(3).plus(RETENTION));
    let retained = RETENTION.num_minutes() + 3;
    assert!(purge(&fixture.user, &context(retained - 1)).is_none());
    assert_eq!(purge(&fixture.user, &context(retained)).unwrap().event_type, EventType::UserPurged);
}

#[test]
fn a_phone_that_comes_back_after_its_user_was_deleted_is_still_wiped_and_the_audit_has_both() {
    let mut fixture = Fixture::with_phones(1);
    let id = fixture.held()[0].device_id;
    fixture.store(&fixture.lock_and_wipe(2).unwrap().unwrap());
    fixture.store(&fixture.delete_user(false, 3).unwrap().unwrap());
    let wipe = *fixture.commands.keys().next().unwrap();
    let now = 31 * DAY;
    assert!(purge(&fixture.user, &context(now)).is_none(), "the user stays as long as the wipe counts");
    assert_eq!(fixture.check_in(id, &CheckInReport::default(), now), Ok(vec![wipe]));
    let succeeded = CommandReport { outcome: Some(Outcome::Succeeded), detail: None };
    assert_eq!(fixture.say(wipe, &succeeded, 1, now), Ok(true));
    assert_eq!((fixture.commands[&wipe].state, fixture.commands[&wipe].late), (CommandState::Succeeded, false));
    let told: Vec<EventType> = fixture.events.iter().map(|event| event.event_type).collect();
    for fact in [EventType::UserDeleted, EventType::CommandDelivered, EventType::CommandSucceeded] {
        assert!(told.contains(&fact), "{fact}");
    }
    assert_eq!(fixture.check_in(id, &CheckInReport::default(), now + 1), Err(DomainError::ReEnrol));
}

fn updated(fixture: &Fixture, edit: &UserEdit, minutes: i64) -> Result<Option<ChangeSet>, DomainError> {
    let new_id = || CommandId(fixture.new_id());
    let new_id: NewId<'_> = &new_id;
    update(&fixture.user, &fixture.phones(), edit, new_id, &context(minutes))
}

#[test]
fn another_username_sends_each_phone_back_to_its_beginning_and_no_event_holds_who_it_is() {
    let mut fixture = Fixture::with_phones(3);
    let ids: Vec<DeviceId> = fixture.user.device_ids.iter().copied().collect();
    fixture.erase(ids[0], 2).unwrap();
    fixture.order(ids[1], &command_request(CommandKind::Wipe), 2).unwrap();
    let edit = UserEdit {
        username: Some("zelda".to_owned()),
        first_name: Some(Some("Zelda".to_owned())),
        last_name: Some(None),
        email: Some(Some("zelda@example.com".to_owned())),
        mobile: Some(Some("+491709999999".to_owned())),
        number: Some(Some("4711".to_owned())),
        service_level: Some(Some("gold".to_owned())),
        ..UserEdit::default()
    };
    let change = updated(&fixture, &edit, 3).unwrap().unwrap();
    let event = &change.events[0];
    assert_eq!(event.changed_fields, ["username", "first_name", "last_name", "email", "mobile", "number"]);
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["service_level"]);
    for value in ["zelda", "Zelda", "ada", "Ada", "Adler", "example.com", "+49170", "4711"] {
        let told = serde_json::to_string(&change.events).unwrap();
        assert!(!told.contains(value), "{value} stands in {told}");
    }
    let resets: Vec<_> = change.commands.iter().map(|edited| (edited.after.device_id, edited.after.kind)).collect();
    assert_eq!(resets, [(ids[2], CommandKind::FactoryReset)], "one is erased, and one is about to be");
    fixture.store(&change);
    assert_eq!((fixture.user.name().as_str(), fixture.user.last_name.as_deref()), ("Zelda", None));
    assert_eq!(updated(&fixture, &edit, 4), Ok(None));
}

#[test]
fn any_other_edit_of_a_user_leaves_their_phones_alone() {
    let fixture = Fixture::with_phones(2);
    let edit =
        UserEdit { number: Some(Some("12".to_owned())), username: Some("ada".to_owned()), ..UserEdit::default() };
    let change = updated(&fixture, &edit, 2).unwrap().unwrap();
    assert!(change.devices.is_empty() && change.commands.is_empty());
    assert_eq!(change.events[0].changed_fields, ["number"]);
    let capitals = UserEdit { username: Some("ADA".to_owned()), ..UserEdit::default() };
    let change = updated(&fixture, &capitals, 2).unwrap().unwrap();
    assert!(change.commands.is_empty(), "other capitals are no other identity");
    assert_eq!(change.events[0].changed_fields, ["username"]);
    assert_eq!(updated(&fixture, &UserEdit::default(), 2), Ok(None));
}

#[test]
fn an_edit_of_a_user_is_read_with_every_fault_named() {
    let read = |body| UserEdit::read(fields(body));
    let edit = UserEdit { email: Some(None), number: Some(Some("12".to_owned())), ..UserEdit::default() };
    assert_eq!(read(json!({"email": null, "number": "12"})), Ok(edit));
    let bad = json!({
        "username": null,
        "first_name": "a\u{202E}b",
        "last_name": "x".repeat(65),
        "email": "ada@localhost",
        "mobile": "0170 1234567",
        "number": "x",
        "service_level": 1,
    });
    let expected = [
        ("username", "missing"),
        ("first_name", "invalid_format"),
        ("last_name", "too_long"),
        ("email", "invalid_format"),
        ("mobile", "invalid_format"),
        ("number", "invalid_format"),
        ("service_level", "wrong_type"),
    ];
    assert_eq!(faults(read(bad)), expected.map(|(field, code)| (field.to_owned(), code)));
    assert_eq!(faults(read(json!({"username": "\u{FDFA}".repeat(64)}))), [("username".to_owned(), "too_long")]);
}

/// What is done next to a user, or to one of their phones.
#[derive(Clone, Copy, Debug)]
enum Next {
    Suspend,
    Activate,
    LockByPins,
    LockAndWipe,
    ResetPin,
    DeleteUser(bool),
    Block(usize),
    Unblock(usize),
    Delete(usize),
    Erase(usize),
    Register(usize),
    Pass(i64),
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        6 => Just(Next::Suspend),
        6 => Just(Next::Activate),
        3 => Just(Next::LockByPins),
        3 => Just(Next::LockAndWipe),
        3 => Just(Next::ResetPin),
        1 => any::<bool>().prop_map(Next::DeleteUser),
        4 => (0..6usize).prop_map(Next::Block),
        4 => (0..6usize).prop_map(Next::Unblock),
        1 => (0..6usize).prop_map(Next::Delete),
        2 => (0..6usize).prop_map(Next::Erase),
        5 => (0..4usize).prop_map(Next::Register),
        3 => prop_oneof![1..60i64, DAY..60 * DAY].prop_map(Next::Pass),
    ]
}

/// What the rules say of a device, kept apart from the rows.
#[derive(Clone, Copy, Default)]
struct Phone {
    blocked: bool,
    deleted: bool,
    erased: bool,
    /// Until when it is about to be erased.
    erasing_until: Option<i64>,
}

/// A world, and beside it what its states should be.
struct Course {
    fixture: Fixture,
    now: i64,
    active: bool,
    suspended: bool,
    locked: bool,
    deleted: bool,
    phones: BTreeMap<DeviceId, Phone>,
}

impl Course {
    fn new() -> Self {
        let (active, suspended, locked, deleted) = (false, false, false, false);
        Self { fixture: Fixture::new(3), now: 1, active, suspended, locked, deleted, phones: BTreeMap::new() }
    }

    fn kept_out(&self) -> bool {
        self.suspended || self.locked || self.deleted
    }

    fn take(&mut self, next: Next) {
        match next {
            Next::Suspend => self.suspend(),
            Next::Activate => self.activate(),
            Next::LockByPins => self.lock_by_pins(),
            Next::LockAndWipe => self.lock_and_wipe(),
            Next::ResetPin => self.reset_pin(),
            Next::DeleteUser(without_wipe) => self.delete_user(without_wipe),
            Next::Block(n) => self.block(n),
            Next::Unblock(n) => self.unblock(n),
            Next::Delete(n) => self.delete(n),
            Next::Erase(n) => self.erase(n),
            Next::Register(n) => self.register(n),
            Next::Pass(minutes) => self.now += minutes,
        }
    }

    /// Does something to the user: it is refused once they are deleted, and done twice it is done
    /// once.
    fn done(&mut self, expected: bool, ask: impl Fn(&Fixture, i64) -> Result<Option<ChangeSet>, DomainError>) {
        self.asked(expected, &ask);
        self.asked(false, &ask);
    }

    fn asked(&mut self, expected: bool, ask: &impl Fn(&Fixture, i64) -> Result<Option<ChangeSet>, DomainError>) {
        match ask(&self.fixture, self.now) {
            Err(error) => assert!(self.deleted && error == DomainError::UserDeleted, "{error}"),
            Ok(change) => {
                assert!(!self.deleted && change.is_some() == expected, "{change:?}");
                change.into_iter().for_each(|change| self.fixture.store(&change));
            }
        }
    }

    fn suspend(&mut self) {
        if !self.kept_out() {
            self.suspending_is_undone_by_activating();
        }
        self.done(!self.suspended, Fixture::suspend);
        self.suspended |= !self.deleted;
    }

    fn suspending_is_undone_by_activating(&mut self) {
        let (user, devices) = (self.fixture.user.clone(), self.fixture.devices.clone());
        self.fixture.store(&self.fixture.suspend(self.now).unwrap().unwrap());
        self.fixture.store(&self.fixture.activate(self.now).unwrap().unwrap());
        assert_eq!((&self.fixture.user, &self.fixture.devices), (&user, &devices));
    }

    /// What holds a user who was never active is lifted first: they are inactive again, as they
    /// were, until somebody makes them active.
    fn activate(&mut self) {
        if self.suspended || self.locked {
            self.asked(true, &Fixture::activate);
            (self.suspended, self.locked) = (false, false);
            self.holds();
        }
        self.done(!self.active, Fixture::activate);
        self.active |= !self.deleted;
    }

    fn lock_by_pins(&mut self) {
        let change = self.fixture.lock_by_pins(self.now);
        assert_eq!(change.is_some(), !self.locked && !self.deleted);
        change.into_iter().for_each(|change| self.fixture.store(&change));
        self.locked |= !self.deleted;
        assert_eq!(self.fixture.lock_by_pins(self.now), None);
    }

    fn lock_and_wipe(&mut self) {
        let now = self.now;
        let to_wipe =
            |phone: &&mut Phone| !phone.deleted && !phone.erased && phone.erasing_until.is_none_or(|at| at <= now);
        let to_wipe = self.phones.values_mut().filter(to_wipe).map(|phone| phone.erasing_until = Some(now + 90 * DAY));
        let wipes = to_wipe.count();
        self.done(wipes > 0 || !self.locked, Fixture::lock_and_wipe);
        self.locked |= !self.deleted;
    }

    fn reset_pin(&mut self) {
        let pending = |id: &DeviceId| {
            let open = &self.fixture.devices[id].commands;
            open.iter().any(|open| open.kind == CommandKind::ResetPin && open.expires_at > at(self.now))
        };
        let there = |(_, phone): &(&DeviceId, &Phone)| !phone.deleted && !phone.erased;
        let orders = self.phones.iter().filter(there).any(|(id, _)| !pending(id));
        self.done(orders || self.locked, Fixture::reset_pin);
        self.locked = false;
    }

    fn delete_user(&mut self, without_wipe: bool) {
        let wiped =
            |phone: &Phone| phone.deleted || phone.erased || phone.erasing_until.is_some_and(|at| at > self.now);
        let refused = !self.deleted && !without_wipe && !self.phones.values().all(wiped);
        match self.fixture.delete_user(without_wipe, self.now) {
            Err(DomainError::WipeFirst(_)) => assert!(refused),
            Err(other) => panic!("{other}"),
            Ok(change) => {
                assert!(!refused && change.is_none() == self.deleted);
                change.into_iter().for_each(|change| self.fixture.store(&change));
                self.deleted = true;
                (self.suspended, self.locked) = (false, false);
                self.phones.values_mut().for_each(|phone| phone.deleted = true);
                assert_eq!(self.fixture.delete_user(!without_wipe, self.now), Ok(None));
            }
        }
    }

    fn phone(&self, n: usize) -> Option<DeviceId> {
        self.phones.keys().nth(n % self.phones.len().max(1)).copied()
    }

    fn block(&mut self, n: usize) {
        let Some(id) = self.phone(n) else { return };
        let blocked = block(&self.fixture.devices[&id], None, &context(self.now));
        let phone = self.phones.get_mut(&id).unwrap();
        match blocked {
            Err(error) => assert!(phone.deleted && error == DomainError::DeviceDeleted),
            Ok(done) => {
                assert_eq!(done.is_some(), !phone.blocked);
                done.into_iter().for_each(|change| drop(self.fixture.devices.insert(id, device_of(change).0)));
                phone.blocked = true;
            }
        }
    }

    fn unblock(&mut self, n: usize) {
        let Some(id) = self.phone(n) else { return };
        let unblocked = unblock(&self.fixture.devices[&id], None, &context(self.now));
        let phone = self.phones.get_mut(&id).unwrap();
        match unblocked {
            Err(error) => assert!(phone.deleted && error == DomainError::DeviceDeleted),
            Ok(done) => {
                assert_eq!(done.is_some(), phone.blocked);
                done.into_iter().for_each(|change| drop(self.fixture.devices.insert(id, device_of(change).0)));
                phone.blocked = false;
            }
        }
    }

    fn delete(&mut self, n: usize) {
        let Some(id) = self.phone(n) else { return };
        let phone = self.phones.get_mut(&id).unwrap();
        assert_eq!(self.fixture.delete(id, self.now), !phone.deleted);
        phone.deleted = true;
        assert!(!self.fixture.delete(id, self.now), "twice is once");
    }

    fn erase(&mut self, n: usize) {
        let Some(id) = self.phone(n) else { return };
        // A wipe of one that is deleted can be ordered anew, until it is another device.
        let device = &self.fixture.devices[&id];
        let anew = device.unconfirmed_wipe().is_some() && !device.replaced;
        let erased = self.fixture.erase(id, self.now).map(drop);
        let phone = self.phones.get_mut(&id).unwrap();
        let expected = match phone {
            Phone { deleted: true, .. } if !anew => Err(DomainError::DeviceDeleted),
            Phone { erased: true, .. } => Err(DomainError::DeviceErased),
            _ => Ok(()),
        };
        assert_eq!(erased, expected);
        if expected.is_ok() {
            (phone.erased, phone.erasing_until) = (true, None);
        }
    }

    /// A phone comes with a fresh code, and is let in if its user, its block and the limit allow.
    fn register(&mut self, n: usize) {
        if self.kept_out() {
            assert!(self.fixture.register(&format!("phone-{n}"), self.now).is_err());
            return;
        }
        self.fixture.invite(1, self.now);
        if let Ok(registered) = self.fixture.register(&format!("phone-{n}"), self.now) {
            self.active = true;
            let phone = self.phones.entry(registered.device.after.device_id).or_default();
            assert!(!phone.blocked && !phone.deleted);
            *phone = Phone::default();
        }
    }

    /// What each device may do is what the rules say, from its own state and its user's.
    fn holds(&self) {
        let status = match (self.deleted, self.locked, self.suspended, self.active) {
            (true, ..) => UserStatus::Deleted,
            (_, true, ..) => UserStatus::Locked,
            (_, _, true, _) => UserStatus::Suspended,
            (.., true) => UserStatus::Active,
            _ => UserStatus::Inactive,
        };
        assert_eq!(self.fixture.user.status(), status);
        assert_eq!(self.phones.len(), self.fixture.devices.len());
        for (id, phone) in &self.phones {
            let access = match (phone.deleted, phone.blocked, status) {
                (true, ..) | (.., UserStatus::Deleted) => DeviceAccess::Deleted,
                (_, true, _) => DeviceAccess::DeviceBlocked,
                (.., UserStatus::Locked) => DeviceAccess::UserLocked,
                (.., UserStatus::Suspended | UserStatus::Unknown(_)) => DeviceAccess::UserSuspended,
                (.., UserStatus::Active | UserStatus::Inactive) => DeviceAccess::Allowed,
            };
            assert_eq!(self.fixture.devices[id].access(), access, "{id}");
            assert_eq!(self.fixture.user.device_ids.contains(id), !phone.deleted);
            assert_eq!(self.fixture.devices[id].erased.is_some(), phone.erased);
        }
        self.lets_in_whom_it_should();
    }

    /// Of a phone that may do nothing, nothing that it says is noted.
    fn lets_in_whom_it_should(&self) {
        let report = CheckInReport { os_version: Some("99".to_owned()), ..CheckInReport::default() };
        for device in self.fixture.devices.values() {
            let noted = match self.fixture.checked_in(device, &report, self.now) {
                CheckIn::AccessDenied => false,
                CheckIn::OnlyTime => panic!("a new version is news"),
                CheckIn::Changed { change, .. } => change.devices[0].after.os_version == "99",
            };
            assert_eq!(noted, device.access() == DeviceAccess::Allowed);
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_done_in_whatever_order_each_phone_may_do_what_its_own_state_and_its_users_say(
        steps in prop::collection::vec(next(), 1..60)
    ) {
        let mut course = Course::new();
        for next in steps {
            course.take(next);
            course.holds();
        }
    }
}

#[test]
fn nothing_is_done_to_a_deleted_user() {
    let mut fixture = Fixture::with_phones(1);
    fixture.store(&fixture.delete_user(true, 2).unwrap().unwrap());
    let refused = Err(DomainError::UserDeleted);
    let edit = UserEdit { number: Some(None), ..UserEdit::default() };
    for answer in [
        fixture.suspend(3),
        fixture.activate(3),
        fixture.lock_and_wipe(3),
        fixture.reset_pin(3),
        updated(&fixture, &edit, 3),
    ] {
        assert_eq!(answer, refused);
    }
    assert_eq!(fixture.lock_by_pins(3), None);
    assert_eq!(User::require_not_deleted(&fixture.user), Err(DomainError::UserDeleted));
    assert_eq!(fixture.register("phone-1", 3).unwrap_err().error, DomainError::UserDeleted);
}

#[test]
fn another_address_or_number_is_noted_with_its_time_and_makes_a_change_one_that_ends_what_is_open() {
    let user = user();
    let no_draw = || -> CommandId { unreachable!("nothing is ordered") };
    let edited = |edit: UserEdit| update(&user, &[], &edit, &no_draw, &context(5)).unwrap().unwrap();
    let text = |text: &str| Some(Some(text.to_owned()));
    let email = edited(UserEdit { email: text("new@example.com"), ..UserEdit::default() });
    let after = email.user_after().unwrap();
    assert_eq!((after.email_changed_at, after.mobile_changed_at), (Some(at(5)), None));
    let mobile = edited(UserEdit { mobile: Some(None), ..UserEdit::default() });
    let after = mobile.user_after().unwrap();
    assert_eq!((after.email_changed_at, after.mobile_changed_at), (None, Some(at(5))));
    let name = edited(UserEdit { first_name: text("Eda"), email: text("ada@example.com"), ..UserEdit::default() });
    assert_eq!(name.user_after().unwrap().email_changed_at, None, "it is the same");
    assert_eq!([&email, &mobile, &name].map(is_readdressed), [true, true, false]);
    assert!(!is_readdressed(&ChangeSet::default()));
}

#[test]
fn the_devices_of_a_deleted_user_say_so() {
    let fixture = Fixture::with_phones(2);
    let change = fixture.delete_user(true, 5).unwrap().unwrap();
    let ends: Vec<_> = change.devices.iter().map(|edited| (edited.after.user_status, edited.after.status())).collect();
    assert_eq!(ends, [(UserStatus::Deleted, Status::Deleted); 2]);
}

#[test]
fn an_edit_of_a_users_own_settings_names_them_and_tells_none() {
    let settings = |theme: &str| json!({"theme": theme}).as_object().cloned();
    let edit = |user: &User, theme: &str| {
        let edit = UserEdit { overrides: settings(theme), ..UserEdit::default() };
        update(user, &[], &edit, &|| CommandId(uuid::Uuid::from_u128(5)), &context(1)).unwrap()
    };
    let change = edit(&user(), "dark").unwrap();
    assert_eq!(change.events[0].changed_fields, ["overrides"]);
    assert!(!published(&change.events[0]).contains("dark"));
    let after = change.user_after().unwrap().clone();
    assert_eq!(Some(after.client.overrides.clone()), settings("dark"));
    assert_eq!(edit(&after, "dark"), None);
}
