//! A workspace of one user, in memory: what the rules decide is carried out as a store would.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Duration;
use domain::models::command::{Command, CommandKind, CommandReport, CommandRequest, Trigger};
use domain::models::device::DeviceWithCommands;
use domain::models::device::{Device, IdentifierClaim};
use domain::models::event::Event;
use domain::models::offer::Offer;
use domain::models::user::User;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::check_in;
use domain::rules::check_in::{CheckIn, CheckInReport, authenticate, authenticate_report, needs};
use domain::rules::commands::{EnqueueResult, apply, order};
use domain::rules::devices;
use domain::rules::devices::DeviceToDelete;
use domain::rules::lifecycle;
use domain::rules::lifecycle::Deletion;
use domain::rules::registration::{RefusedRegistration, Registration, RegistrationState, register};
use domain::secret::DeviceCredential;
use domain::states::CommandState;
use domain::{CommandId, DeviceId, DomainError, InvitationId};
use uuid::Uuid;

use crate::common::{application, at, context, found, invitation};

/// How long deleted things stay.
pub const RETENTION: Duration = Duration::days(30);

pub struct Fixture {
    pub user: User,
    pub invitation: Offer,
    pub claims: BTreeMap<String, IdentifierClaim>,
    pub devices: BTreeMap<DeviceId, Device>,
    pub commands: BTreeMap<CommandId, Command>,
    /// The newest credential of each enrolment, as its phone keeps it.
    pub credentials: BTreeMap<(DeviceId, u32), DeviceCredential>,
    pub events: Vec<Event>,
    new_id: AtomicU64,
}

impl Fixture {
    pub fn new(devices: u32) -> Self {
        let RegistrationState { offer: invitation, user, .. } = found(devices);
        Self {
            user,
            invitation,
            claims: BTreeMap::new(),
            devices: BTreeMap::new(),
            commands: BTreeMap::new(),
            credentials: BTreeMap::new(),
            events: Vec::new(),
            new_id: AtomicU64::new(100),
        }
    }

    /// A user with so many phones, all of which have come.
    pub fn with_phones(count: u32) -> Self {
        let mut fixture = Self::new(count);
        for n in 0..count {
            let id = fixture.register(&format!("phone-{n}"), 1).unwrap().device.after.device_id;
            fixture.confirm(id, 1);
        }
        fixture
    }

    pub fn new_id(&self) -> Uuid {
        Uuid::from_u128(self.new_id.fetch_add(1, Ordering::Relaxed).into())
    }

    /// The user's devices that are there, in their order.
    pub fn held(&self) -> Vec<Device> {
        self.user.device_ids.iter().map(|id| self.devices[id].clone()).collect()
    }

    pub fn phone(&self, id: DeviceId) -> DeviceWithCommands {
        DeviceWithCommands { device: self.devices[&id].clone(), open_commands: self.open_commands(id) }
    }

    pub fn phones(&self) -> Vec<DeviceWithCommands> {
        self.user.device_ids.iter().map(|id| self.phone(*id)).collect()
    }

    /// The rows of a device's commands that are not over, whatever the device's own row says.
    pub fn open_commands(&self, id: DeviceId) -> Vec<Command> {
        let open = |command: &&Command| command.device_id == id && command.is_open();
        self.commands.values().filter(open).cloned().collect()
    }

    pub fn invite(&mut self, devices: u32, minutes: i64) {
        let fresh = invitation(&self.user, devices);
        let life = Duration::days(7);
        let (created_at, expires_at) = (at(minutes), at(minutes).plus(life));
        self.invitation = Offer { invitation_id: InvitationId(self.new_id()), created_at, expires_at, ..fresh };
        self.user.invitation_id = Some(self.invitation.invitation_id);
    }

    pub fn found(&self, identifier: &str) -> RegistrationState {
        let claim = self.claims.get(identifier).cloned();
        let claimed = claim.as_ref().map(|claim| claim.device_id);
        RegistrationState {
            offer: self.invitation.clone(),
            user: self.user.clone(),
            claimed_device: claimed.and_then(|id| self.devices.get(&id).cloned()),
            claim,
            commands: claimed.map(|id| self.open_commands(id)).unwrap_or_default(),
            held: self.held(),
        }
    }

    pub fn register(&mut self, identifier: &str, minutes: i64) -> Result<Registration, RefusedRegistration> {
        let new_id = DeviceId(self.new_id());
        let registration = register(&self.found(identifier), &application(identifier), new_id, &context(minutes))?;
        let device = &registration.device.after;
        let (id, epoch) = (device.device_id, device.epoch);
        let credential = self.new_credential(device);
        let registration = registration.with_credential(credential.hash());
        self.credentials.insert((id, epoch), credential);
        self.user = registration.user.after.clone();
        self.invitation = registration.offer.after.clone();
        put(&mut self.claims, identifier.to_owned(), &registration.claim);
        put(&mut self.devices, id, &registration.device);
        if let Some(replaced) = &registration.replaced {
            put(&mut self.devices, replaced.after.device_id, replaced);
        }
        for removed in &registration.removed {
            put(&mut self.commands, removed.after.command_id, removed);
        }
        self.events.extend(registration.events.clone());
        Ok(registration)
    }

    fn new_credential(&self, device: &Device) -> DeviceCredential {
        static DRAWN: AtomicU64 = AtomicU64::new(0);
        fn random(bytes: &mut [u8]) {
            let number = DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            bytes[..number.len()].copy_from_slice(&number);
        }
        DeviceCredential::new(random, device.workspace_id, device.device_id, device.epoch)
    }

    /// The credential that a device was given last.
    pub fn credential(&self, id: DeviceId) -> &DeviceCredential {
        &self.credentials[&(id, self.devices[&id].epoch)]
    }

    /// Whether a device's newest credential opens it.
    pub fn authenticated(&self, id: DeviceId) -> Result<Device, DomainError> {
        authenticate(self.devices.get(&id).cloned(), self.credential(id))
    }

    /// Carries out a change, each of whose rows was read as it stands.
    pub fn store(&mut self, change: &ChangeSet) {
        assert!(!change.events.is_empty(), "nothing changes without an event");
        if let Some(user) = &change.user {
            assert_eq!(user.before.as_ref(), Some(&self.user), "the user was read as they stand");
            self.user = user.after.clone();
        }
        for edited in &change.devices {
            put(&mut self.devices, edited.after.device_id, edited);
        }
        for edited in &change.claims {
            put(&mut self.claims, edited.after.device_identifier.clone(), edited);
        }
        for edited in &change.commands {
            put(&mut self.commands, edited.after.command_id, edited);
        }
        for invitation in &change.offers {
            self.invitation = invitation.after.clone();
        }
        self.events.extend(change.events.clone());
    }

    /// Deletes a device; true if it was there.
    pub fn delete(&mut self, id: DeviceId, minutes: i64) -> bool {
        let leaving = self.to_delete(self.devices[&id].clone());
        let Some(change) = devices::delete(&leaving, &self.user, None, RETENTION, &context(minutes)) else {
            return false;
        };
        self.store(&change);
        true
    }

    /// A device with the rows that go with it.
    pub fn to_delete(&self, device: Device) -> DeviceToDelete {
        let (claim, unconfirmed) = (self.claims[&device.device_identifier].clone(), self.unconfirmed(&device));
        DeviceToDelete { device, claim, unconfirmed, attachments: None }
    }

    /// The command that a device names as over and not confirmed.
    fn unconfirmed(&self, device: &Device) -> Option<Command> {
        self.commands.get(&device.unconfirmed?.command_id).cloned()
    }

    pub fn confirm(&mut self, id: DeviceId, minutes: i64) {
        self.check_in(id, &CheckInReport::default(), minutes).unwrap();
    }

    /// A check-in by the newest credential; answers with the commands that the device is told of.
    ///
    /// # Errors
    /// Those of `authenticate`.
    pub fn check_in(
        &mut self,
        id: DeviceId,
        report: &CheckInReport,
        minutes: i64,
    ) -> Result<Vec<CommandId>, DomainError> {
        let device = self.authenticated(id)?;
        let served = device.commands.iter().filter(|open| open.is_deliverable(at(minutes)));
        let served = served.map(|open| open.command_id).collect();
        match self.checked_in(&device, report, minutes) {
            CheckIn::AccessDenied => {}
            CheckIn::OnlyTime => {
                self.devices.insert(id, Device { last_login_at: Some(at(minutes)), ..device });
            }
            CheckIn::Changed { change, .. } => self.store(&change),
        }
        Ok(served)
    }

    /// What a check-in comes to, given what the rule asks for.
    pub fn checked_in(&self, device: &Device, report: &CheckInReport, minutes: i64) -> CheckIn {
        let needs = needs(device, report, at(minutes));
        let mut found = check_in::CheckInState::default();
        if needs.commands {
            found.commands = self.open_commands(device.device_id);
        }
        if needs.user {
            let other_devices = self.held().into_iter().filter(|other| other.device_id != device.device_id).collect();
            found.user = Some(check_in::CheckInUser { user: self.user.clone(), other_devices });
        }
        found.settings = needs.settings.then(WorkspaceSettings::default);
        check_in::check_in(device, report, &found, &context(minutes))
    }

    /// Gives an order to a device; answers with the command that stands for it.
    ///
    /// # Errors
    /// Those of `order`.
    pub fn order(&mut self, id: DeviceId, wanted: &CommandRequest, minutes: i64) -> Result<CommandId, DomainError> {
        let phone = self.phone(id);
        match order(&phone, Some(&self.user), wanted, CommandId(self.new_id()), &context(minutes))? {
            EnqueueResult::Pending(pending) => Ok(pending),
            EnqueueResult::Queued { command, change } => {
                self.store(&change);
                assert_eq!(change.commands.last().unwrap().after, *command);
                Ok(command.command_id)
            }
        }
    }

    /// A device's word on a command, with one of the credentials that it was given; true if
    /// something changed.
    ///
    /// # Errors
    /// Those of `authenticate_report` and of `apply`.
    pub fn say(&mut self, id: CommandId, word: &CommandReport, epoch: u32, minutes: i64) -> Result<bool, DomainError> {
        let device_id = self.commands[&id].device_id;
        let credential = &self.credentials[&(device_id, epoch)];
        authenticate_report(self.devices.get(&device_id), self.commands.get(&id), credential)?;
        self.befall(id, word.trigger(), minutes)
    }

    /// What befalls one command; true if something changed.
    ///
    /// # Errors
    /// Those of `apply`.
    pub fn befall(&mut self, id: CommandId, trigger: Trigger, minutes: i64) -> Result<bool, DomainError> {
        let command = &self.commands[&id];
        let applied = apply(&self.devices[&command.device_id], command, trigger, None, &context(minutes))?;
        let changed = applied.is_some();
        if let Some(applied) = applied {
            self.store(&applied);
        }
        Ok(changed)
    }

    /// Ends each command whose time is over, as the schedule does.
    pub fn run_due(&mut self, minutes: i64) {
        let due = |command: &&Command| command.is_open() && command.expires_at <= at(minutes);
        let due: Vec<CommandId> = self.commands.values().filter(due).map(|command| command.command_id).collect();
        for id in due {
            self.befall(id, Trigger::Expired, minutes).unwrap();
        }
    }

    /// Has a device wiped: the order, and its word.
    pub fn erase(&mut self, id: DeviceId, minutes: i64) -> Result<CommandId, DomainError> {
        let wipe = self.order(id, &command_request(CommandKind::Wipe), minutes)?;
        let succeeded = CommandReport { outcome: Some(domain::models::command::Outcome::Succeeded), detail: None };
        self.say(wipe, &succeeded, self.devices[&id].epoch, minutes)?;
        Ok(wipe)
    }

    /// The user's first device, erased.
    pub fn erased(mut self, minutes: i64) -> Device {
        let id = self.held()[0].device_id;
        let _wipe = self.erase(id, minutes).unwrap();
        self.devices[&id].clone()
    }

    pub fn suspend(&self, minutes: i64) -> Result<Option<ChangeSet>, DomainError> {
        lifecycle::suspend(&self.user, &self.held(), Some("on leave".to_owned()), &context(minutes))
    }

    pub fn activate(&self, minutes: i64) -> Result<Option<ChangeSet>, DomainError> {
        lifecycle::activate(&self.user, &self.held(), &context(minutes))
    }

    pub fn lock_by_pins(&self, minutes: i64) -> Option<ChangeSet> {
        lifecycle::lock_by_pins(&self.user, &self.held(), 10, &context(minutes))
    }

    pub fn lock_and_wipe(&self, minutes: i64) -> Result<Option<ChangeSet>, DomainError> {
        let new_id = || CommandId(self.new_id());
        lifecycle::lock_and_wipe(
            &self.user,
            &self.phones(),
            &command_request(CommandKind::Wipe),
            &new_id,
            &context(minutes),
        )
    }

    pub fn reset_pin(&self, minutes: i64) -> Result<Option<ChangeSet>, DomainError> {
        let new_id = || CommandId(self.new_id());
        lifecycle::reset_pin(
            &self.user,
            &self.phones(),
            &command_request(CommandKind::ResetPin),
            &new_id,
            &context(minutes),
        )
    }

    pub fn delete_user(&self, without_wipe: bool, minutes: i64) -> Result<Option<ChangeSet>, DomainError> {
        let devices: Vec<_> = self.held().into_iter().map(|device| self.to_delete(device)).collect();
        let reason = without_wipe.then(|| "left".to_owned());
        let wanted = Deletion { without_wipe, reason, retention: RETENTION };
        lifecycle::delete(&self.user, &devices, std::slice::from_ref(&self.invitation), &wanted, &context(minutes))
    }

    /// The kinds of event that a command has made, in their order.
    pub fn story(&self, id: CommandId) -> Vec<domain::models::event::EventType> {
        let about = |event: &&Event| event.command_id == Some(id);
        self.events.iter().filter(about).map(|event| event.event_type).collect()
    }
}

/// An order with nothing said.
pub fn command_request(kind: CommandKind) -> CommandRequest {
    CommandRequest { kind, reason: None, expires_in_days: None }
}

/// True for the states that a device's result leads to.
pub fn is_result(state: CommandState) -> bool {
    use CommandState as S;
    matches!(state, S::Succeeded | S::Failed | S::Rejected | S::NotSupported)
}

fn put<K: Ord, T: Clone + PartialEq + Debug>(rows: &mut BTreeMap<K, T>, key: K, edited: &RowChange<T>) {
    assert_eq!(rows.get(&key), edited.before.as_ref(), "a row was read as it stands");
    rows.insert(key, edited.after.clone());
}
