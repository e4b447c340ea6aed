//! Things to decide about.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::device::Device;
use domain::event::{Act, Actor};
use domain::ids::timed_uuid;
use domain::invitation::{Channel, Invitation, NewInvitation, invite};
use domain::registration::{Application, Drawn, Found, Registration, register};
use domain::secret::Hash;
use domain::user::{NewUser, User};
use domain::{DeviceId, EventId, InvitationId, KeyId, Time, UserId, WorkspaceId};
use uuid::Uuid;

pub fn at(minutes: i64) -> Time {
    Time::parse("2026-11-23T08:00:00Z").unwrap().plus(Duration::minutes(minutes))
}

pub fn act(minutes: i64) -> Act {
    Act {
        event_id: EventId(timed_uuid(at(minutes), [1; 10])),
        workspace_id: WorkspaceId(Uuid::from_u128(1)),
        at: at(minutes),
        actor: Actor::Key(KeyId(Uuid::from_u128(9))),
        operation: "test",
        request_id: "request".to_owned(),
        address: Some("203.0.113.7".to_owned()),
    }
}

pub fn user() -> User {
    let new = NewUser {
        username: "ada".to_owned(),
        first_name: Some("Ada".to_owned()),
        last_name: Some("Adler".to_owned()),
        email: Some("ada@example.com".to_owned()),
        mobile: Some("+491701234567".to_owned()),
        number: None,
    };
    User::create(new, UserId(Uuid::from_u128(2)), &act(0)).0
}

pub fn invitation(user: &User, devices: u32) -> Invitation {
    let new = NewInvitation {
        invitation_id: InvitationId(Uuid::from_u128(3)),
        code_hash: Hash::of("code"),
        channel: Channel::Email,
        devices,
        life: Duration::days(7),
    };
    invite(user, None, new, &act(0)).unwrap().invitation
}

pub fn application(identifier: &str) -> Application {
    Application {
        code: "code".to_owned(),
        device_identifier: identifier.to_owned(),
        platform: domain::device::Platform::Ios,
        model_name: "iPhone 17".to_owned(),
        os_version: "26.1".to_owned(),
        app_version: Some("4.2.0".to_owned()),
        push_token: Some(format!("token-{identifier}")),
        nickname: None,
    }
}

/// A user with an invitation and nothing else, and what a registration would find.
pub fn found(devices: u32) -> Found {
    let user = user();
    Found { invitation: invitation(&user, devices), user, claim: None, claimed: None, held: Vec::new() }
}

/// A workspace of one user, in memory: registrations are carried out as a store would.
pub struct World {
    pub user: User,
    pub invitation: Invitation,
    pub claims: BTreeMap<String, domain::device::IdentifierClaim>,
    pub devices: BTreeMap<DeviceId, Device>,
    next: u128,
}

impl World {
    pub fn new(devices: u32) -> Self {
        let Found { invitation, user, .. } = found(devices);
        Self { user, invitation, claims: BTreeMap::new(), devices: BTreeMap::new(), next: 100 }
    }

    pub fn invite(&mut self, devices: u32) {
        self.next += 1;
        let id = InvitationId(Uuid::from_u128(self.next));
        self.invitation = Invitation { invitation_id: id, ..invitation(&self.user, devices) };
    }

    pub fn found(&self, identifier: &str) -> Found {
        let claim = self.claims.get(identifier).cloned();
        Found {
            invitation: self.invitation.clone(),
            user: self.user.clone(),
            claimed: claim.as_ref().and_then(|claim| self.devices.get(&claim.device_id).cloned()),
            claim,
            held: self.user.device_ids.iter().map(|id| self.devices[id].clone()).collect(),
        }
    }

    pub fn register(&mut self, identifier: &str, minutes: i64) -> Result<Registration, domain::registration::Refused> {
        self.next += 1;
        let drawn = Drawn { device_id: DeviceId(Uuid::from_u128(self.next)) };
        let registration = register(&self.found(identifier), &application(identifier), &drawn, &act(minutes))?;
        self.user = registration.user.after.clone();
        self.invitation = registration.invitation.after.clone();
        self.claims.insert(identifier.to_owned(), registration.claim.after.clone());
        self.devices.insert(registration.device.after.device_id, registration.device.after.clone());
        if let Some(replaced) = &registration.replaced {
            self.devices.insert(replaced.after.device_id, replaced.after.clone());
        }
        Ok(registration)
    }

    pub fn delete(&mut self, id: DeviceId, minutes: i64) {
        let device = &self.devices[&id];
        let claim = &self.claims[&device.device_identifier];
        let deletion = domain::device::delete(device, &self.user, claim, Duration::days(30), &act(minutes));
        if let Some(deletion) = deletion {
            self.user = deletion.user;
            self.claims.insert(deletion.claim.device_identifier.clone(), deletion.claim);
            self.devices.insert(id, deletion.device);
        }
    }

    pub fn confirm(&mut self, id: DeviceId, minutes: i64) {
        let report = domain::check_in::Report::default();
        if let domain::check_in::CheckIn::Changed { device, .. } =
            domain::check_in::check_in(&self.devices[&id], &report, &act(minutes))
        {
            self.devices.insert(id, *device);
        }
    }
}
