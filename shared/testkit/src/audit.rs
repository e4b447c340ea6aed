//! Consistency checks over everything that is stored, recorded and sent, for a system without pending work.

mod commands;
mod deployments;
mod jobs;
mod lifecycle;
mod sources;
mod webhooks;

use aws::store::leases::Lease;
use aws::store::tokens::token_place_key;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use aws::{Read, Row};
use domain::models::command::Command;
use domain::models::device::{Device, DeviceAttachments, IdentifierClaim, PushToken};
use domain::models::event::{Event, EventType};
use domain::models::invitation::{Channel as By, DeliveryState, Invitation, Purpose};
use domain::models::job::{Job, JobItem};
use domain::models::key::ApiKey;
use domain::models::member::Member;
use domain::models::message::{DailyCount, RecipientHistory};
use domain::models::profile::Profile;
use domain::models::token::Token;
use domain::models::usage::Usage;
use domain::models::user::User;
use domain::models::workspace::Workspace;
use domain::rules::scim::document::ScimAttributes;
use domain::secret::Hash;
use domain::{Time, UserId};
use local::messaging::{Channel, OutboxItem};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::rows;

/// Counts by kind, to compare one run with another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Events by type.
    pub events: BTreeMap<String, usize>,
    /// Rows by the prefix of their partition key.
    pub rows: BTreeMap<String, usize>,
    /// E-mails sent.
    pub mails: usize,
    /// Texts sent.
    pub texts: usize,
    /// Pushes sent.
    pub pushes: usize,
}

/// Objects outside the tables that an earlier test case left behind.
#[derive(Clone, Debug)]
pub struct Known {
    endpoints: BTreeSet<String>,
    dead_letters: usize,
}

impl Known {
    /// The present ones.
    #[must_use]
    pub fn of(bench: &Bench) -> Self {
        Self { endpoints: endpoints(bench), dead_letters: bench.stack.driver().dead_letters().len() }
    }
}

/// The data of a system.
pub struct Audit {
    main: BTreeMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    events: Vec<Event>,
    devices: Vec<Device>,
    users: Vec<User>,
    invitations: Vec<Invitation>,
    commands: Vec<Command>,
    jobs: Vec<Job>,
    items: Vec<JobItem>,
    usage: Vec<Usage>,
    /// Users who were purged.
    purged: BTreeSet<UserId>,
    now: Time,
    mailed_codes: Vec<String>,
    texted_codes: Vec<String>,
    pushed_to: Vec<String>,
    endpoints: BTreeSet<String>,
    dead_letters: usize,
    wrong: Vec<String>,
}

impl Audit {
    /// Reads everything except what was known before.
    #[must_use]
    pub fn read(bench: &Bench, known: &Known) -> Self {
        let main = rows::all(bench, rows::MAIN);
        let outbox = bench.stack.messaging().outbox();
        let of = |channel| outbox.iter().filter(move |item| item.channel == channel);
        let events: Vec<Event> = read_all(&main, |pk, _| pk.starts_with("EVENT#"));
        let purged = events.iter().filter(|event| event.event_type == EventType::UserPurged);
        Self {
            purged: purged.filter_map(|event| event.user_id).collect(),
            events,
            commands: read_all(&main, |pk, sk| pk.starts_with("DEVICE#") && sk.starts_with("COMMAND#")),
            jobs: read_all(&main, |pk, sk| pk.starts_with("JOB#") && sk == "JOB"),
            items: read_all(&main, |pk, sk| pk.starts_with("JOB#") && sk.starts_with("ITEM#")),
            usage: read_all(&main, |pk, sk| pk.starts_with("USAGE#") || sk.starts_with("USAGE#")),
            now: bench.now().into(),
            devices: read_all(&main, |pk, sk| pk.starts_with("DEVICE#") && sk == "DEVICE"),
            users: read_all(&main, |pk, sk| pk.starts_with("USER#") && sk == "USER"),
            invitations: read_all(&main, |pk, sk| pk.starts_with("USER#") && sk.starts_with("INVITATION#")),
            mailed_codes: codes(of(Channel::Email)),
            texted_codes: codes(of(Channel::Sms)),
            pushed_to: of(Channel::Push).map(|push| push.to.clone()).collect(),
            endpoints: endpoints(bench).difference(&known.endpoints).cloned().collect(),
            dead_letters: bench.stack.driver().dead_letters().len() - known.dead_letters,
            secrets: rows::all(bench, rows::SECRETS),
            main,
            wrong: Vec::new(),
        }
    }

    /// Counts by kind.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let mut outline = Outline {
            mails: self.mailed_codes.len(),
            texts: self.texted_codes.len(),
            pushes: self.pushed_to.len(),
            ..Outline::default()
        };
        for event in &self.events {
            *outline.events.entry(event.event_type.to_string()).or_default() += 1;
        }
        let keys = self.main.keys().filter(|key| !key.starts_with("EVENT#"));
        for key in keys.chain(self.secrets.keys()) {
            let (kind, _) = key.split_once('#').unwrap_or((key, ""));
            // The number of shards of a day's quota depends on chance; events show the number of messages.
            if kind == "QUOTA" {
                continue;
            }
            *outline.rows.entry(kind.to_owned()).or_default() += 1;
        }
        outline
    }

    /// All inconsistencies.
    #[must_use]
    pub fn inconsistencies(mut self) -> Vec<String> {
        self.workspaces();
        self.keys_and_members();
        self.users();
        self.scim_attributes();
        self.invitations();
        self.devices();
        self.lifecycles();
        self.deployments();
        self.commands();
        self.usage();
        self.messages();
        self.jobs();
        self.sources();
        self.webhooks();
        self.identifiers();
        self.tokens();
        self.index_rows();
        self.access_tokens();
        self.consumers();
        self.wrong
    }

    fn check(&mut self, holds: bool, what: impl Display) {
        if !holds {
            self.wrong.push(what.to_string());
        }
    }

    fn count(&self, event_type: EventType, about: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| event.event_type == event_type && about(event)).count()
    }

    /// Each message was counted once for its workspace and for its recipient.
    fn messages(&mut self) {
        let made = |kind: &Event| matches!(kind.event_type, EventType::UserInvited | EventType::DeploymentStarted);
        let made = self.events.iter().filter(|event| made(event)).count();
        let days: Vec<DailyCount> = read_all(&self.main, |pk, _| pk.starts_with("QUOTA#"));
        let counted: u32 = days.iter().map(|day| day.count).sum();
        self.check(usize::try_from(counted) == Ok(made), format!("{counted} messages were counted, {made} made"));
        let recipients: Vec<RecipientHistory> = read_all(&self.main, |pk, _| pk.starts_with("SENT#"));
        let changes: u64 = recipients.iter().map(|recipient| recipient.version).sum();
        self.check(usize::try_from(changes) == Ok(made), format!("{changes} were counted for recipients, {made} made"));
    }

    fn workspaces(&mut self) {
        let workspaces: Vec<Workspace> = read_all(&self.main, |pk, _| pk.starts_with("WORKSPACE#"));
        let made = self.count(EventType::WorkspaceCreated, |_| true);
        self.check(made == workspaces.len(), format!("{made} workspace.created of {} workspaces", workspaces.len()));
        let members: Vec<Member> = read_all(&self.main, |pk, _| pk.starts_with("MEMBER#"));
        for workspace in workspaces {
            let id = workspace.workspace_id;
            self.settings(&workspace);
            let here = members.iter().filter(|member| member.workspace_id == id && !member.pending);
            let admins = here.filter(|member| member.role.as_str() == "admin").count();
            self.profiles(&workspace);
            let counted = workspace.admin_count;
            self.check(
                usize::try_from(counted) == Ok(admins),
                format!("{counted} admins are counted, {admins} are there"),
            );
        }
    }

    /// A workspace with profiles has one default; each profile has one event of its creation.
    fn profiles(&mut self, workspace: &Workspace) {
        let all: Vec<Profile> = read_all(&self.main, |pk, sk| pk.starts_with("PROFILE#") && sk == "PROFILE");
        let ids: BTreeSet<_> =
            all.iter().filter(|of| of.workspace_id == workspace.workspace_id).map(|of| of.profile_id).collect();
        let counted = workspace.profile_count;
        self.check(
            usize::try_from(counted) == Ok(ids.len()),
            format!("{counted} profiles are counted of {}", ids.len()),
        );
        let default = workspace.default_profile_id;
        let right = default.map_or(ids.is_empty(), |id| ids.contains(&id));
        self.check(right, "the default profile is not there");
        let about = |event: &Event| event.workspace_id == workspace.workspace_id;
        let (made, gone) = (self.count(EventType::ProfileCreated, about), self.count(EventType::ProfileDeleted, about));
        self.check(
            made == ids.len() + gone,
            format!("{made} profiles were made, {} are there, {gone} gone", ids.len()),
        );
    }

    /// A workspace's settings match its events, and its rule for silent devices is due as long as there is one.
    fn settings(&mut self, workspace: &Workspace) {
        let (at, rule) = (workspace.silent_rule_at, &workspace.settings.silent_devices);
        let goes_on = rule.is_some() && workspace.silent_rule_paused_at.is_none();
        self.check(at.is_some() == goes_on, format!("the rule {rule:?} is due at {at:?}"));
        let by = workspace.silent_rule_by;
        self.check(by.is_some() == rule.is_some(), format!("the rule {rule:?} was set by {by:?}"));
        let about = |event: &Event| {
            event.workspace_id == workspace.workspace_id && event.event_type == EventType::WorkspaceUpdated
        };
        let settled = json!(workspace.settings);
        // Events contain only that addresses and numbers were changed.
        for name in ["retention_days", "invitation_days", "silent_devices", "pin_limit", "service_levels"] {
            let changes = self.changes(name, about);
            let is = &settled[name];
            self.check(is_chain(&Value::Null, &changes, is), format!("{name} is {is}, its events say {changes:?}"));
        }
        for name in ["sender", "sms_sender"] {
            let recorded =
                self.events.iter().any(|event| about(event) && event.changed_fields.iter().any(|f| f == name));
            self.check(settled[name].is_null() || recorded, format!("{name} was changed without its event"));
        }
    }

    fn keys_and_members(&mut self) {
        let keys: Vec<ApiKey> = read_all(&self.main, |pk, _| pk.starts_with("KEY#"));
        for key in &keys {
            let about = |event: &Event| event.key_id == Some(key.key_id);
            let made = self.count(EventType::KeyCreated, about) + self.count(EventType::WorkspaceCreated, about);
            let revoked = self.count(EventType::KeyRevoked, about);
            self.check(made == 1, format!("a key was made by {made} events"));
            self.check(revoked == usize::from(key.revoked.is_some()), format!("a key has {revoked} key.revoked"));
        }
        let made = self.count(EventType::KeyCreated, |_| true) + self.count(EventType::WorkspaceCreated, |_| true);
        self.check(made == keys.len(), format!("{made} keys were made, {} are there", keys.len()));
        let members: Vec<Member> = read_all(&self.main, |pk, _| pk.starts_with("MEMBER#"));
        let ids: BTreeSet<_> = self.events.iter().filter_map(|event| event.member_id).collect();
        for id in ids {
            let added = self.count(EventType::MemberAdded, |event| event.member_id == Some(id));
            let removed = self.count(EventType::MemberRemoved, |event| event.member_id == Some(id));
            let present = members.iter().filter(|member| member.member_id == id).count();
            self.check(
                added == 1 && removed + present == 1,
                format!("a member: {added} added, {removed} removed, {present} there"),
            );
        }
        let added = self.count(EventType::MemberAdded, |_| true);
        self.check(members.len() <= added, "a member is there that nobody added");
    }

    fn users(&mut self) {
        let created = self.count(EventType::UserCreated, |_| true);
        let (present, purged) = (self.users.len(), self.purged.len());
        self.check(
            created == present + purged,
            format!("{created} users were created, {present} are there, {purged} gone"),
        );
        for user in self.users.clone() {
            let id = user.user_id;
            let created = self.count(EventType::UserCreated, |event| event.user_id == Some(id));
            self.check(created == 1, format!("a user has {created} user.created"));
            let present = self.devices.iter().filter(|device| device.user_id == id && device.deleted.is_none());
            let present: BTreeSet<_> = present.map(|device| device.device_id).collect();
            self.check(
                present == user.device_ids,
                format!("a user holds {:?}, and there are {present:?}", user.device_ids),
            );
            for purpose in Purpose::ALL {
                self.newest(&user, *purpose);
            }
        }
    }

    /// The user's latest invitation for a purpose is the recorded one, and only that one may be open.
    fn newest(&mut self, user: &User, purpose: Purpose) {
        let offered =
            || self.invitations.iter().filter(|offer| offer.user_id == user.user_id && offer.purpose == purpose);
        let (known, forgotten) = match purpose {
            Purpose::Invite | Purpose::Unknown(_) => (user.invitation_id, false),
            // A user who was removed from client deployment has none.
            Purpose::Deploy => (user.client.deployment_id, user.client.removed_at.is_some()),
        };
        let newest = offered().find(|offer| Some(offer.invitation_id) == known);
        let present = known.is_none() == (offered().count() == 0) || (forgotten && known.is_none());
        let superseded = known.is_some() && newest.is_none_or(|newest| newest.superseded_at.is_some());
        let open = offered().filter(|offer| offer.needs_code()).count();
        let checks = [
            (present, format!("a user's newest {purpose} is not there")),
            (!superseded, format!("a user's newest {purpose} is superseded")),
            (open <= 1, format!("{open} of a user's {purpose} are open at once")),
        ];
        for (holds, what) in checks {
            self.check(holds, what);
        }
    }

    /// SCIM attributes are stored for existing users only.
    fn scim_attributes(&mut self) {
        let scim_attributes: Vec<ScimAttributes> =
            read_all(&self.main, |pk, sk| pk.starts_with("USER#") && sk == "SCIM");
        let nobodys =
            scim_attributes.iter().filter(|row| !self.users.iter().any(|user| user.user_id == row.user_id)).count();
        self.check(nobodys == 0, format!("attributes are kept of {nobodys} users who are not there"));
    }

    fn invitations(&mut self) {
        for purpose in Purpose::ALL {
            let made = creation_event(*purpose);
            let of_gone = |event: &Event| event.user_id.is_some_and(|id| self.purged.contains(&id));
            let (offered, gone) = (self.count(made, |_| true), self.count(made, of_gone));
            let present = self.invitations.iter().filter(|offer| offer.purpose == *purpose).count();
            self.check(offered == present + gone, format!("{offered} {made}, {present} there, {gone} gone"));
        }
        let of_gone = |event: &Event| event.user_id.is_some_and(|id| self.purged.contains(&id));
        let gone: usize = Purpose::ALL.iter().map(|purpose| self.count(creation_event(*purpose), of_gone)).sum();
        for channel in By::ALL {
            let invitations = self.invitations.iter().filter(|invitation| invitation.channel == *channel);
            let codes: BTreeSet<Hash> = invitations.map(|invitation| invitation.code_hash.clone()).collect();
            let sent: BTreeSet<&String> = self.sent_codes(*channel).iter().collect();
            let foreign = sent.into_iter().filter(|code| !codes.contains(&Hash::of(code))).count();
            // Codes of purged rows cannot be matched any more.
            self.check(
                foreign <= gone,
                format!("{foreign} codes sent by {channel} are of no invitation that was made"),
            );
        }
        for invitation in self.invitations.clone() {
            self.invitation(&invitation);
        }
        let codes = self.secrets.keys().filter(|key| key.starts_with("INVITATION#")).count();
        self.check(
            codes == self.invitations.iter().filter(|invitation| invitation.needs_code()).count(),
            "a code is kept of an invitation that is not there",
        );
    }

    /// The codes that were sent by a channel.
    fn sent_codes(&self, by: By) -> &[String] {
        match by {
            By::Email => &self.mailed_codes,
            By::Sms => &self.texted_codes,
            By::Unknown(_) => &[],
        }
    }

    fn invitation(&mut self, invitation: &Invitation) {
        let id = invitation.invitation_id;
        let purpose = invitation.purpose;
        let about = |event: &Event| match purpose {
            Purpose::Invite | Purpose::Unknown(_) => event.invitation_id == Some(id),
            Purpose::Deploy => event.deployment_id == Some(id),
        };
        let [sent_event, delivered_event, expired_event, revoked_event] = outcome_events(purpose);
        let is =
            |found: usize, expected: usize, what: &str| (found == expected, format!("{what}: {found}, not {expected}"));
        let registered =
            self.count(EventType::DeviceRegistered, about) + self.count(EventType::DeviceReEnrolled, about);
        let has_code = self.secrets.contains_key(&aws::store::invitations::invitation_secret_pk(id));
        let sent = self.sent_codes(invitation.channel);
        let codes = sent.iter().filter(|code| Hash::of(code) == invitation.code_hash).count();
        let changes = self.changes("delivery", about);
        let delivery = is_chain(&json!("queued"), &changes, &json!(invitation.delivery.state));
        let expired = usize::from(invitation.expired_at.is_some());
        let revoked = usize::from(invitation.revoked_at.is_some());
        let failed = invitation.delivery.state == DeliveryState::Failed;
        let checks = [
            is(self.count(creation_event(purpose), about), 1, "made"),
            is(self.count(EventType::InvitationOpened, about), invitation.opened as usize, "invitation.opened"),
            is(self.count(expired_event, about), expired, "expired"),
            is(self.count(revoked_event, about), revoked, "revoked"),
            is(self.count(sent_event, about).max(1), 1, "sent"),
            is(self.count(delivered_event, about).max(1), 1, "delivered"),
            is(registered, invitation.used as usize, "registrations with an invitation"),
            (
                has_code == invitation.needs_code(),
                format!("code stored: {has_code}, needed: {}", invitation.needs_code()),
            ),
            (invitation.sent_at.is_some() || failed, "a message went out at no time".to_owned()),
            (codes > 0 || failed, "an invitation's message was never sent".to_owned()),
            (invitation.delivery.state != DeliveryState::Queued, "a sent invitation is still queued".to_owned()),
            (delivery, format!("delivery is {:?}, its events say {changes:?}", invitation.delivery.state)),
        ];
        for (holds, what) in checks {
            self.check(holds, what);
        }
    }

    fn devices(&mut self) {
        let registered = self.events.iter().filter(|event| event.event_type == EventType::DeviceRegistered);
        let ids: BTreeSet<_> = registered.filter_map(|event| event.device_id).collect();
        let present: BTreeSet<_> = self.devices.iter().map(|device| device.device_id).collect();
        for id in ids.difference(&present) {
            let purged = self.count(EventType::DevicePurged, |event| event.device_id == Some(*id));
            self.check(purged == 1, format!("a device is gone, with {purged} device.purged"));
        }
        for device in self.devices.clone() {
            self.device(&device);
        }
    }

    fn device(&mut self, device: &Device) {
        let id = device.device_id;
        let about = |event: &Event| event.device_id == Some(id);
        let count = |event_type| self.count(event_type, about);
        let enrolled = count(EventType::DeviceRegistered) + count(EventType::DeviceReEnrolled);
        let confirmed = count(EventType::DeviceConfirmed);
        let blocked = self.changes("blocked", about);
        let status = self.changes("status", |event| about(event) && event.event_type == EventType::DeviceDeleted);
        let is_blocked = is_chain(&json!(false), &blocked, &json!(device.blocked.is_some()));
        let checks = [
            (count(EventType::DeviceRegistered) == 1, "a device has not one device.registered".to_owned()),
            (count(EventType::DevicePurged) == 0, "a purged device is there".to_owned()),
            (is_chain(&json!("active"), &status, &json!(device.status())), format!("status: {status:?}")),
            (count(EventType::DeviceDeleted) == usize::from(device.deleted.is_some()), "device.deleted".to_owned()),
            (is_blocked, format!("blocked: {:?}, its events say {blocked:?}", device.blocked)),
            (confirmed <= enrolled, format!("{confirmed} confirmations of {enrolled} enrolments")),
            // A device that was barred from the start may have been wiped nevertheless.
            (
                device.enrolment.is_some() || device.erased.is_some() || confirmed >= 1,
                "a device is confirmed without its event".to_owned(),
            ),
            (device.last_login_at.is_none() || confirmed >= 1, "a device has come, unconfirmed".to_owned()),
            (
                device.push.reason.in_use() <= device.push_endpoint.is_some(),
                "pushes are in use without an endpoint".to_owned(),
            ),
        ];
        for (holds, what) in checks {
            self.check(holds, what);
        }
    }

    fn identifiers(&mut self) {
        let claims: Vec<IdentifierClaim> = read_all(&self.main, |pk, _| pk.starts_with("IDENTIFIER#"));
        for device in self.devices.clone() {
            let mut same = claims.iter().filter(|claim| claim.device_identifier == device.device_identifier);
            let claim = same.next();
            let newest = claim.is_some_and(|claim| claim.device_id == device.device_id);
            let right = claim.is_some_and(|claim| {
                claim.epoch >= device.epoch
                    && (!newest
                        || (claim.held == device.deleted.is_none()
                            && claim.epoch == device.epoch
                            && claim.user_id == device.user_id))
            });
            self.check(right, format!("the claim of a device's identifier: {claim:?}"));
            self.check(newest || device.deleted.is_some(), "a device that is there does not hold its identifier");
            self.check(newest || device.replaced, "a replaced device does not know it");
        }
        for claim in claims {
            let present = self.devices.iter().any(|device| device.device_id == claim.device_id);
            self.check(present, "an identifier is claimed by a device that is gone");
        }
    }

    fn tokens(&mut self) {
        let tokens: Vec<PushToken> = read_all(&self.main, |pk, sk| pk.starts_with("DEVICE#") && sk == "PUSH");
        for device in self.devices.clone() {
            let token = tokens.iter().find(|token| token.device_id == device.device_id);
            let hash = token.map(|token| Hash::of(&token.token));
            self.check(hash == device.push_token_hash, "a device's token is not the one that its row knows");
            let settled = token.is_none_or(|token| token.mend_at.is_none());
            self.check(settled, "a token's endpoint is not settled");
        }
        let of_devices = |id| self.devices.iter().any(|device| device.device_id == id);
        let metadata: Vec<DeviceAttachments> =
            read_all(&self.main, |pk, sk| pk.starts_with("DEVICE#") && sk == "BELONGINGS");
        let lost = tokens.iter().filter(|token| !of_devices(token.device_id)).count()
            + metadata.iter().filter(|metadata| !of_devices(metadata.device_id)).count();
        self.check(lost == 0, format!("{lost} rows are of devices that are gone"));
        let held: BTreeSet<String> = self.devices.iter().filter_map(|device| device.push_endpoint.clone()).collect();
        let alone: Vec<_> = self.endpoints.difference(&held).cloned().collect();
        self.check(alone.is_empty(), format!("endpoints that nobody holds: {alone:?}"));
        let gone: Vec<_> = held.difference(&self.endpoints).cloned().collect();
        self.check(gone.is_empty(), format!("endpoints that are held and not there: {gone:?}"));
    }

    /// Index rows and index attributes are exactly those that are derived from the main rows.
    fn index_rows(&mut self) {
        let mut expected = Expected::default();
        expected.add(&self.users);
        expected.add(&self.devices);
        expected.add(&self.invitations);
        expected.add(&self.events);
        expected.add(&self.commands);
        expected.add(&self.jobs);
        expected.add::<Workspace>(&read_all(&self.main, |pk, _| pk.starts_with("WORKSPACE#")));
        expected.add::<ApiKey>(&read_all(&self.main, |pk, _| pk.starts_with("KEY#")));
        expected.add::<Member>(&read_all(&self.main, |pk, _| pk.starts_with("MEMBER#")));
        expected.add::<PushToken>(&read_all(&self.main, |pk, sk| pk.starts_with("DEVICE#") && sk == "PUSH"));
        expected
            .add::<DeviceAttachments>(&read_all(&self.main, |pk, sk| pk.starts_with("DEVICE#") && sk == "BELONGINGS"));
        expected.add::<Profile>(&read_all(&self.main, |pk, sk| pk.starts_with("PROFILE#") && sk == "PROFILE"));
        let kinds = [
            "USERNAME#",
            "PROFILENAME#",
            "CALLED#",
            "EXTERNALID#",
            "SOURCENAME#",
            "IDENTITYKEY#",
            "CREDENTIAL#",
            "WORD#",
            "CODE#",
            "MESSAGE#",
            "ENDPOINT#",
            "POINTER#",
        ];
        let present: BTreeSet<String> =
            self.main.keys().filter(|key| kinds.iter().any(|kind| key.starts_with(kind))).cloned().collect();
        let missing: Vec<_> = expected.index_rows.difference(&present).cloned().collect();
        let surplus: Vec<_> = present.difference(&expected.index_rows).cloned().collect();
        self.check(missing.is_empty(), format!("missing: {missing:?}"));
        self.check(surplus.is_empty(), format!("of nobody: {surplus:?}"));
        for (key, indexes) in expected.indexes {
            let row = self.main.get(&key).cloned().unwrap_or_default();
            for name in INDEXES {
                let (is, should) = (row[*name].as_str(), indexes.get(*name).map(String::as_str));
                self.check(*name == "created_at" || is == should, format!("{key}: {name} is {is:?}, not {should:?}"));
            }
        }
    }

    /// A personal access token has its list entry, and each workspace has the events of its start and its end.
    fn access_tokens(&mut self) {
        let tokens: Vec<Token> = read_all(&self.main, |pk, sk| pk.starts_with("TOKEN#") && sk == "TOKEN");
        let places = self.main.keys().filter(|key| key.starts_with("TOKENS#")).count();
        self.check(places == tokens.len(), format!("{places} places of {} tokens", tokens.len()));
        for token in tokens {
            let key = token_place_key(&token.issuer, &token.subject, token.token_id);
            self.check(self.main.contains_key(&format!("{} | {}", key.pk, key.sk)), "a token has no place");
            for workspace in &token.workspace_ids {
                let of = |event: &&Event| event.token_id == Some(token.token_id) && event.workspace_id == *workspace;
                let types: Vec<EventType> = self.events.iter().filter(of).map(|event| event.event_type).collect();
                let count = |kind| types.iter().filter(|found| **found == kind).count();
                let ended = token.revoked_at.is_some() || !token.gives_access_to(*workspace);
                let recorded = (count(EventType::TokenCreated), count(EventType::TokenRevoked));
                self.check(
                    recorded == (1, usize::from(ended)),
                    format!("a token was made and ended {recorded:?} times"),
                );
            }
        }
    }

    /// Each published event was handled by its consumers.
    fn consumers(&mut self) {
        let leases: Vec<Lease> = read_all(&self.main, |pk, _| pk.starts_with("LEASE#"));
        for event in self.events.clone() {
            let consumer = match event.event_type {
                EventType::UserInvited | EventType::DeploymentStarted => "send-message",
                EventType::DeviceBlocked
                | EventType::DeviceUnblocked
                | EventType::DeviceDeleted
                | EventType::CommandQueued
                | EventType::UserSuspended
                | EventType::UserActivated
                | EventType::UserLocked
                | EventType::UserConfigForced => "notify-device",
                _ => continue,
            };
            let done = leases
                .iter()
                .any(|lease| lease.consumer == consumer && lease.event_id == event.event_id && lease.done_at.is_some());
            self.check(done, format!("{consumer} has not done a {}", event.event_type));
        }
        let events: BTreeSet<_> = self.events.iter().map(|event| event.event_id).collect();
        let foreign = leases.iter().filter(|lease| !events.contains(&lease.event_id)).count();
        self.check(foreign == 0, format!("{foreign} events were published that were never committed"));
        self.check(self.dead_letters == 0, format!("{} dead letters", self.dead_letters));
    }

    /// The old and new values of a field in the events.
    fn changes(&self, field: &str, about: impl Fn(&Event) -> bool) -> Vec<(Value, Value)> {
        let changes = self.events.iter().filter(|event| about(event)).filter_map(|event| event.changes.get(field));
        changes.map(|change| (change.before.clone(), change.after.clone())).collect()
    }
}

/// The index key attributes.
const INDEXES: &[&str] = &[
    "list",
    "created_at",
    "blocked_at",
    "deleted_at",
    "pending_since",
    "login_day",
    "owner",
    "due_shard",
    "due_at",
    "deployed",
    "not_deployed",
    "of_profile",
    "of_source",
    "of_device",
    "of_user",
    "of_type",
];

/// The type of the event that creates an invitation of a purpose.
fn creation_event(purpose: Purpose) -> EventType {
    match purpose {
        Purpose::Invite | Purpose::Unknown(_) => EventType::UserInvited,
        Purpose::Deploy => EventType::DeploymentStarted,
    }
}

/// The types of the events for sent, delivered, expired and revoked.
fn outcome_events(purpose: Purpose) -> [EventType; 4] {
    use EventType as E;
    match purpose {
        Purpose::Invite | Purpose::Unknown(_) => {
            [E::InvitationSent, E::InvitationDelivered, E::InvitationExpired, E::InvitationRevoked]
        }
        Purpose::Deploy => [E::DeploymentSent, E::DeploymentDelivered, E::DeploymentExpired, E::DeploymentRevoked],
    }
}

#[derive(Default)]
struct Expected {
    index_rows: BTreeSet<String>,
    indexes: BTreeMap<String, BTreeMap<&'static str, String>>,
}

impl Expected {
    fn add<R: Row>(&mut self, rows: &[R]) {
        let key = |key: &aws::RowKey| format!("{} | {}", key.pk, key.sk);
        for row in rows {
            self.index_rows.extend(row.index_rows().iter().map(|index_row| key(&index_row.key)));
            self.indexes.insert(key(&row.key()), row.indexes().into_iter().collect());
        }
    }
}

/// True if the changes lead from one value to another in some order: each begins where another ended. Changes
/// with the same time have no order.
fn is_chain(first: &Value, changes: &[(Value, Value)], last: &Value) -> bool {
    let mut begins: Vec<String> =
        changes.iter().map(|(before, _)| before.to_string()).chain([last.to_string()]).collect();
    let mut ends: Vec<String> = changes.iter().map(|(_, after)| after.to_string()).chain([first.to_string()]).collect();
    begins.sort();
    ends.sort();
    begins == ends
}

/// SNS's push endpoints.
fn endpoints(bench: &Bench) -> BTreeSet<String> {
    let state = bench.stack.messaging().to_json().expect("the state is plain data");
    state["endpoints"].as_object().into_iter().flatten().map(|(arn, _)| arn.clone()).collect()
}

/// The codes in messages.
fn codes<'a>(messages: impl Iterator<Item = &'a OutboxItem>) -> Vec<String> {
    messages.map(|message| code(message.text.as_deref().unwrap_or_default())).collect()
}

/// The code in a message: an invitation's or a deployment's.
fn code(text: &str) -> String {
    let (_, rest) = text.split_once("/i/").or_else(|| text.split_once("/r/")).unwrap_or_default();
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn read_all<R: Read>(rows: &BTreeMap<String, Value>, is: impl Fn(&str, &str) -> bool) -> Vec<R> {
    let wanted = rows.iter().filter(|(key, _)| key.split_once(" | ").is_some_and(|(pk, sk)| is(pk, sk)));
    wanted.map(|(key, row)| aws::from_json(row.clone()).unwrap_or_else(|e| panic!("{key}: {e}"))).collect()
}
