//! Consistency checks over everything that is stored, recorded and sent, for a system without pending work.

mod commands;
mod deployments;
mod derived;
mod jobs;
mod lifecycle;
mod sources;
mod webhooks;

use aws::store::leases::Lease;
use aws::store::tokens::token_place_key;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};

use aws::{Read, Row};
use domain::models::command::Command;
use domain::models::device::{Device, DeviceAttachments, IdentifierClaim, PushToken};
use domain::models::event::{Event, EventType};
use domain::models::job::{Job, JobItem};
use domain::models::key::ApiKey;
use domain::models::member::Member;
use domain::models::message_limits::{DailyCount, RecipientHistory};
use domain::models::offer::{Channel as MessageChannel, DeliveryState, Offer, Purpose};
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

/// Objects outside the tables that exist before a test case, which the audit ignores.
#[derive(Clone, Debug)]
pub struct Baseline {
    endpoints: BTreeSet<String>,
    dead_letters: usize,
}

impl Baseline {
    /// Those of the present.
    #[must_use]
    pub fn of(bench: &Bench) -> Self {
        Self { endpoints: endpoints(bench), dead_letters: bench.stack.driver().dead_letters().len() }
    }
}

/// The data of a system, and the rules that it breaks.
pub struct Audit {
    main: BTreeMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    events: Vec<Event>,
    devices: Vec<Device>,
    users: Vec<User>,
    invitations: Vec<Offer>,
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
    findings: Vec<String>,
}

impl Audit {
    /// Reads everything except the baseline.
    #[must_use]
    pub fn read(bench: &Bench, baseline: &Baseline) -> Self {
        let main = rows::all(bench, rows::MAIN);
        let outbox = bench.stack.messaging().outbox();
        let sent_by = |channel| outbox.iter().filter(move |item| item.channel == channel);
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
            mailed_codes: codes(sent_by(Channel::Email)),
            texted_codes: codes(sent_by(Channel::Sms)),
            pushed_to: sent_by(Channel::Push).map(|push| push.to.clone()).collect(),
            endpoints: endpoints(bench).difference(&baseline.endpoints).cloned().collect(),
            dead_letters: bench.stack.driver().dead_letters().len() - baseline.dead_letters,
            secrets: rows::all(bench, rows::SECRETS),
            main,
            findings: Vec::new(),
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
            // The number of shards of a day's quota depends on chance; events show the number of messages. A run that was
            // interrupted leaves its call slot, which is free again after its lease. A count that has fallen to zero
            // keeps its row. A sync has ranges only if its call did not finish it.
            if ["QUOTA", "CALLSLOT", "COUNTS", "JOBRANGE"].contains(&kind) {
                continue;
            }
            *outline.rows.entry(kind.to_owned()).or_default() += 1;
        }
        outline
    }

    /// All broken rules, each with its row, what was expected and what was found.
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
        self.push_tokens();
        self.index_rows();
        self.derived_rows();
        self.access_tokens();
        self.consumers();
        self.findings
    }

    /// Checks a rule about a row or a kind of rows; a finding shows the row, the rule and what was found.
    fn check(&mut self, at: impl Display, rule: impl Display, holds: bool, found: impl Display) {
        if !holds {
            self.findings.push(format!("{at}: {rule}, found {found}"));
        }
    }

    /// Checks that a value is the expected one.
    #[expect(clippy::needless_pass_by_value, reason = "most values are computed for the check")]
    fn check_equal<T: PartialEq + Debug>(&mut self, at: impl Display, rule: impl Display, found: T, expected: T) {
        self.check(at, format!("{rule}: expected {expected:?}"), found == expected, format!("{found:?}"));
    }

    /// Checks that a row's field is what the events' changes of it lead to.
    fn check_changes(
        &mut self,
        at: impl Display,
        field: &str,
        (first, last): (&Value, &Value),
        changes: &[(Value, Value)],
    ) {
        let rule = format!("the events' changes of `{field}` lead from {first} to the stored {last}");
        self.check(at, rule, is_chain(first, changes, last), json!(changes));
    }

    fn count(&self, event_type: EventType, about: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| event.event_type == event_type && about(event)).count()
    }

    /// Each message was counted once for its workspace and for its recipient.
    fn messages(&mut self) {
        let sends = |event: &Event| matches!(event.event_type, EventType::UserInvited | EventType::DeploymentStarted);
        let messages = self.events.iter().filter(|event| sends(event)).count();
        let days: Vec<DailyCount> = read_all(&self.main, |pk, _| pk.starts_with("QUOTA#"));
        let counted: u32 = days.iter().map(|day| day.count).sum();
        self.check(
            "QUOTA# rows",
            format!("the daily counts add up to the {messages} messages that events started"),
            usize::try_from(counted) == Ok(messages),
            counted,
        );
        let recipients: Vec<RecipientHistory> = read_all(&self.main, |pk, _| pk.starts_with("SENT#"));
        let versions: u64 = recipients.iter().map(|recipient| recipient.version).sum();
        self.check(
            "SENT# rows",
            format!("the recipients' versions add up to the {messages} messages that events started"),
            usize::try_from(versions) == Ok(messages),
            versions,
        );
    }

    fn workspaces(&mut self) {
        let workspaces: Vec<Workspace> = read_all(&self.main, |pk, _| pk.starts_with("WORKSPACE#"));
        let created = self.count(EventType::WorkspaceCreated, |_| true);
        self.check_equal("WORKSPACE# rows", "one per event workspace.created", workspaces.len(), created);
        let members: Vec<Member> = read_all(&self.main, |pk, _| pk.starts_with("MEMBER#"));
        for workspace in workspaces {
            let id = workspace.workspace_id;
            self.settings(&workspace);
            let accepted = members.iter().filter(|member| member.workspace_id == id && !member.pending);
            let admins = accepted.filter(|member| member.role.as_str() == "admin").count();
            self.profiles(&workspace);
            let counted = workspace.admin_count;
            self.check(
                workspace.key(),
                format!("`admin_count` is the number of accepted admins, {admins}"),
                usize::try_from(counted) == Ok(admins),
                counted,
            );
        }
    }

    /// A workspace with profiles has one default; each profile has one event of its creation.
    fn profiles(&mut self, workspace: &Workspace) {
        let profiles: Vec<Profile> = read_all(&self.main, |pk, sk| pk.starts_with("PROFILE#") && sk == "PROFILE");
        let profiles = profiles.iter().filter(|profile| profile.workspace_id == workspace.workspace_id);
        let ids: BTreeSet<_> = profiles.map(|profile| profile.profile_id).collect();
        let counted = workspace.profile_count;
        self.check(
            workspace.key(),
            format!("`profile_count` is the number of profiles, {}", ids.len()),
            usize::try_from(counted) == Ok(ids.len()),
            counted,
        );
        let default = workspace.default_profile_id;
        self.check(
            workspace.key(),
            format!("`default_profile_id` is one of {ids:?}, and unset only without profiles"),
            default.map_or(ids.is_empty(), |id| ids.contains(&id)),
            format!("{default:?}"),
        );
        let about = |event: &Event| event.workspace_id == workspace.workspace_id;
        let created = self.count(EventType::ProfileCreated, about);
        let deleted = self.count(EventType::ProfileDeleted, about);
        self.check(
            workspace.key(),
            format!("its profiles are the {created} of profile.created without the {deleted} of profile.deleted"),
            created == ids.len() + deleted,
            ids.len(),
        );
    }

    /// A workspace's settings match its events, and its rule for silent devices is due as long as there is one.
    fn settings(&mut self, workspace: &Workspace) {
        let (due, rule) = (workspace.silent_rule_at, &workspace.settings.silent_devices);
        let is_active = rule.is_some() && workspace.silent_rule_paused_at.is_none();
        self.check(
            workspace.key(),
            format!("`silent_rule_at` is set exactly while a rule is active: {is_active}"),
            due.is_some() == is_active,
            format!("{due:?}"),
        );
        let set_by = workspace.silent_rule_by;
        self.check(
            workspace.key(),
            format!("`silent_rule_by` is set exactly if there is a rule: {}", rule.is_some()),
            set_by.is_some() == rule.is_some(),
            format!("{set_by:?}"),
        );
        let about = |event: &Event| {
            event.workspace_id == workspace.workspace_id && event.event_type == EventType::WorkspaceUpdated
        };
        let settings = json!(workspace.settings);
        // Events contain only that addresses and numbers were changed.
        for name in
            ["retention_days", "invitation_days", "check_in_minutes", "silent_devices", "pin_limit", "service_levels"]
        {
            let changes = self.changes(name, about);
            self.check_changes(workspace.key(), name, (&Value::Null, &settings[name]), &changes);
        }
        for name in ["sender", "sms_sender"] {
            let recorded =
                self.events.iter().any(|event| about(event) && event.changed_fields.iter().any(|f| f == name));
            self.check(
                workspace.key(),
                format!("a workspace.updated names `{name}` if it is set"),
                settings[name].is_null() || recorded,
                "none",
            );
        }
    }

    fn keys_and_members(&mut self) {
        let keys: Vec<ApiKey> = read_all(&self.main, |pk, _| pk.starts_with("KEY#"));
        for key in &keys {
            let about = |event: &Event| event.key_id == Some(key.key_id);
            let created = self.count(EventType::KeyCreated, about) + self.count(EventType::WorkspaceCreated, about);
            let revoked = self.count(EventType::KeyRevoked, about);
            self.check_equal(key.key(), "one key.created or workspace.created", created, 1);
            self.check_equal(
                key.key(),
                "one key.revoked if it is revoked",
                revoked,
                usize::from(key.revoked.is_some()),
            );
        }
        let created = self.count(EventType::KeyCreated, |_| true) + self.count(EventType::WorkspaceCreated, |_| true);
        self.check_equal("KEY# rows", "one per key.created and workspace.created", keys.len(), created);
        let members: Vec<Member> = read_all(&self.main, |pk, _| pk.starts_with("MEMBER#"));
        let ids: BTreeSet<_> = self.events.iter().filter_map(|event| event.member_id).collect();
        for id in ids {
            let added = self.count(EventType::MemberAdded, |event| event.member_id == Some(id));
            let removed = self.count(EventType::MemberRemoved, |event| event.member_id == Some(id));
            let present = members.iter().filter(|member| member.member_id == id).count();
            self.check(
                format!("member {id}"),
                "one member.added, and either a row or one member.removed",
                added == 1 && removed + present == 1,
                format!("{added} member.added, {removed} member.removed, {present} rows"),
            );
        }
        let added = self.count(EventType::MemberAdded, |_| true);
        let stored = members.len();
        self.check("MEMBER# rows", format!("at most the {added} of member.added"), stored <= added, stored);
    }

    fn users(&mut self) {
        let created = self.count(EventType::UserCreated, |_| true);
        let (present, purged) = (self.users.len(), self.purged.len());
        self.check(
            "USER rows",
            format!("one for each of {created} user.created, without {purged} purged users"),
            created == present + purged,
            present,
        );
        for user in self.users.clone() {
            let id = user.user_id;
            let created = self.count(EventType::UserCreated, |event| event.user_id == Some(id));
            self.check_equal(user.key(), "one user.created", created, 1);
            let present = self.devices.iter().filter(|device| device.user_id == id && device.deleted.is_none());
            let present: BTreeSet<_> = present.map(|device| device.device_id).collect();
            self.check_equal(
                user.key(),
                "`device_ids` are the user's devices that are not deleted",
                &user.device_ids,
                &present,
            );
            for purpose in Purpose::ALL {
                self.latest_invitation(&user, *purpose);
            }
        }
    }

    /// The user's latest invitation for a purpose is the recorded one, and only that one may be open.
    fn latest_invitation(&mut self, user: &User, purpose: Purpose) {
        let (recorded, may_be_cleared) = match purpose {
            Purpose::Invite | Purpose::Unknown(_) => (user.invitation_id, false),
            // A user who was removed from client deployment has none.
            Purpose::Deploy => (user.client.deployment_id, user.client.removed_at.is_some()),
        };
        let is_theirs = |offer: &&Offer| offer.user_id == user.user_id && offer.purpose == purpose;
        let invitations: Vec<Offer> = self.invitations.iter().filter(is_theirs).cloned().collect();
        let latest = invitations.iter().find(|offer| Some(offer.invitation_id) == recorded);
        self.check(
            user.key(),
            format!("the latest of {} invitations of the purpose {purpose} is recorded", invitations.len()),
            recorded.is_none() == invitations.is_empty() || (may_be_cleared && recorded.is_none()),
            format!("{recorded:?}"),
        );
        self.check(
            user.key(),
            format!(
                "the recorded invitation of the purpose {purpose}, {recorded:?}, exists and has no `superseded_at`"
            ),
            recorded.is_none() || latest.is_some_and(|latest| latest.superseded_at.is_none()),
            format!("{:?}", latest.map(|latest| latest.superseded_at)),
        );
        let open = invitations.iter().filter(|offer| offer.needs_code()).count();
        self.check(user.key(), format!("at most one open invitation of the purpose {purpose}"), open <= 1, open);
    }

    /// SCIM attributes are stored for existing users only.
    fn scim_attributes(&mut self) {
        let rows: Vec<ScimAttributes> = read_all(&self.main, |pk, sk| pk.starts_with("USER#") && sk == "SCIM");
        for row in rows {
            let has_user = self.users.iter().any(|user| user.user_id == row.user_id);
            self.check(row.key(), "SCIM attributes have a user", has_user, "none");
        }
    }

    fn invitations(&mut self) {
        let of_purged = |event: &Event, purged: &BTreeSet<UserId>| event.user_id.is_some_and(|id| purged.contains(&id));
        for purpose in Purpose::ALL {
            let creation = creation_event(*purpose);
            let created = self.count(creation, |_| true);
            let purged = self.count(creation, |event| of_purged(event, &self.purged));
            let present = self.invitations.iter().filter(|offer| offer.purpose == *purpose).count();
            self.check(
                format!("INVITATION# rows of the purpose {purpose}"),
                format!("one for each of {created} {creation}, without {purged} of purged users"),
                created == present + purged,
                present,
            );
        }
        let creations = Purpose::ALL.iter().map(|purpose| creation_event(*purpose));
        let purged: usize = creations.map(|kind| self.count(kind, |event| of_purged(event, &self.purged))).sum();
        for channel in MessageChannel::ALL {
            let invitations = self.invitations.iter().filter(|invitation| invitation.channel == *channel);
            let codes: BTreeSet<Hash> = invitations.map(|invitation| invitation.code_hash.clone()).collect();
            let sent: BTreeSet<&String> = self.sent_codes(*channel).iter().collect();
            let unmatched = sent.into_iter().filter(|code| !codes.contains(&Hash::of(code))).count();
            // Codes of purged rows cannot be matched any more.
            self.check(
                format!("messages by {channel}"),
                format!("each code is that of an invitation, except for at most {purged} of purged users"),
                unmatched <= purged,
                unmatched,
            );
        }
        for invitation in self.invitations.clone() {
            self.invitation(&invitation);
        }
        let codes = self.secrets.keys().filter(|key| key.starts_with("INVITATION#")).count();
        let open = self.invitations.iter().filter(|invitation| invitation.needs_code()).count();
        self.check_equal("INVITATION# secrets", "one for each invitation that needs its code", codes, open);
    }

    /// The codes that were sent by a channel.
    fn sent_codes(&self, channel: MessageChannel) -> &[String] {
        match channel {
            MessageChannel::Email => &self.mailed_codes,
            MessageChannel::Sms => &self.texted_codes,
            MessageChannel::Unknown(_) => &[],
        }
    }

    fn invitation(&mut self, invitation: &Offer) {
        let id = invitation.invitation_id;
        let purpose = invitation.purpose;
        let at = invitation.key();
        let about = |event: &Event| match purpose {
            Purpose::Invite | Purpose::Unknown(_) => event.invitation_id == Some(id),
            Purpose::Deploy => event.deployment_id == Some(id),
        };
        let [sent_event, delivered_event, expired_event, revoked_event] = outcome_events(purpose);
        for (event_type, expected) in [
            (creation_event(purpose), 1),
            (EventType::InvitationOpened, invitation.opened as usize),
            (expired_event, usize::from(invitation.expired_at.is_some())),
            (revoked_event, usize::from(invitation.revoked_at.is_some())),
        ] {
            let found = self.count(event_type, about);
            self.check_equal(&at, format!("number of events {event_type}"), found, expected);
        }
        for event_type in [sent_event, delivered_event] {
            let found = self.count(event_type, about);
            self.check(&at, format!("at most one {event_type}"), found <= 1, found);
        }
        let registered =
            self.count(EventType::DeviceRegistered, about) + self.count(EventType::DeviceReEnrolled, about);
        self.check_equal(&at, "`used` is the number of registrations", invitation.used as usize, registered);
        let has_code = self.secrets.contains_key(&aws::store::offers::invitation_secret_pk(id));
        self.check_equal(&at, "its code is stored exactly while it is needed", has_code, invitation.needs_code());
        let sent = self.sent_codes(invitation.channel);
        let messages = sent.iter().filter(|code| Hash::of(code) == invitation.code_hash).count();
        let state = invitation.delivery.state;
        let failed = state == DeliveryState::Failed;
        self.check(&at, "`sent_at` is set unless the message failed", invitation.sent_at.is_some() || failed, "none");
        self.check(&at, "a message contains its code unless the message failed", messages > 0 || failed, "none");
        self.check(&at, "its message is no longer queued", state != DeliveryState::Queued, state);
        let changes = self.changes("delivery", about);
        self.check_changes(&at, "delivery", (&json!("queued"), &json!(state)), &changes);
    }

    fn devices(&mut self) {
        let registered = self.events.iter().filter(|event| event.event_type == EventType::DeviceRegistered);
        let ids: BTreeSet<_> = registered.filter_map(|event| event.device_id).collect();
        let present: BTreeSet<_> = self.devices.iter().map(|device| device.device_id).collect();
        for id in ids.difference(&present) {
            let purged = self.count(EventType::DevicePurged, |event| event.device_id == Some(*id));
            self.check_equal(
                format!("device {id}"),
                "a registered device without a row has one device.purged",
                purged,
                1,
            );
        }
        for device in self.devices.clone() {
            self.device(&device);
        }
    }

    fn device(&mut self, device: &Device) {
        let id = device.device_id;
        let at = device.key();
        let about = |event: &Event| event.device_id == Some(id);
        for (event_type, expected) in [
            (EventType::DeviceRegistered, 1),
            (EventType::DevicePurged, 0),
            (EventType::DeviceDeleted, usize::from(device.deleted.is_some())),
        ] {
            let found = self.count(event_type, about);
            self.check_equal(&at, format!("number of events {event_type}"), found, expected);
        }
        let status = self.changes("status", |event| about(event) && event.event_type == EventType::DeviceDeleted);
        self.check_changes(&at, "status", (&json!("active"), &json!(device.status())), &status);
        let blocked = self.changes("blocked", about);
        self.check_changes(&at, "blocked", (&json!(false), &json!(device.blocked.is_some())), &blocked);
        let enrolled = self.count(EventType::DeviceRegistered, about) + self.count(EventType::DeviceReEnrolled, about);
        let confirmed = self.count(EventType::DeviceConfirmed, about);
        self.check(
            &at,
            format!("at most one device.confirmed for each of {enrolled} enrolments"),
            confirmed <= enrolled,
            confirmed,
        );
        // A device that was barred from the start may have been wiped nevertheless.
        self.check(
            &at,
            "a device that is neither enrolling nor erased has a device.confirmed",
            device.enrolment.is_some() || device.erased.is_some() || confirmed >= 1,
            confirmed,
        );
        self.check(
            &at,
            "a device with `last_login_at` has a device.confirmed",
            device.last_login_at.is_none() || confirmed >= 1,
            confirmed,
        );
        self.check(
            &at,
            "pushes are only in use with an endpoint",
            device.push.reason.in_use() <= device.push_endpoint.is_some(),
            "none",
        );
    }

    fn identifiers(&mut self) {
        let claims: Vec<IdentifierClaim> = read_all(&self.main, |pk, _| pk.starts_with("IDENTIFIER#"));
        for device in self.devices.clone() {
            let at = device.key();
            let claim = claims.iter().find(|claim| claim.device_identifier == device.device_identifier);
            let is_holder = claim.is_some_and(|claim| claim.device_id == device.device_id);
            self.check(
                &at,
                format!("its identifier has a claim of at least the epoch {}", device.epoch),
                claim.is_some_and(|claim| claim.epoch >= device.epoch),
                format!("{claim:?}"),
            );
            if let Some(claim) = claim.filter(|_| is_holder) {
                self.check_equal(
                    &at,
                    "the claim that names the device has its (held, epoch, user)",
                    (claim.held, claim.epoch, claim.user_id),
                    (device.deleted.is_none(), device.epoch, device.user_id),
                );
            }
            self.check(
                &at,
                "a device that is not deleted holds its identifier",
                is_holder || device.deleted.is_some(),
                format!("{claim:?}"),
            );
            self.check(
                &at,
                "a device whose identifier another one holds has `replaced`",
                is_holder || device.replaced,
                device.replaced,
            );
        }
        for claim in claims {
            let present = self.devices.iter().any(|device| device.device_id == claim.device_id);
            self.check(claim.key(), "the device of an identifier's claim has a row", present, claim.device_id);
        }
    }

    fn push_tokens(&mut self) {
        let tokens: Vec<PushToken> = read_all(&self.main, |pk, sk| pk.starts_with("DEVICE#") && sk == "PUSH");
        for device in self.devices.clone() {
            let token = tokens.iter().find(|token| token.device_id == device.device_id);
            let hash = token.map(|token| Hash::of(&token.token));
            self.check_equal(
                device.key(),
                "`push_token_hash` is that of the stored token",
                device.push_token_hash.as_ref(),
                hash.as_ref(),
            );
            let repair = token.and_then(|token| token.mend_at);
            self.check_equal(device.key(), "no repair of its push endpoint is due", repair, None);
        }
        let attachments: Vec<DeviceAttachments> =
            read_all(&self.main, |pk, sk| pk.starts_with("DEVICE#") && sk == "BELONGINGS");
        let rows = tokens.iter().map(|token| (token.key(), token.device_id));
        let rows = rows.chain(attachments.iter().map(|attachment| (attachment.key(), attachment.device_id)));
        for (key, id) in rows {
            let has_device = self.devices.iter().any(|device| device.device_id == id);
            self.check(key, "the row's device has a row", has_device, "none");
        }
        let held: BTreeSet<String> = self.devices.iter().filter_map(|device| device.push_endpoint.clone()).collect();
        self.check_equal("SNS endpoints", "those that devices record", self.endpoints.clone(), held);
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
        let is_index_row = |key: &&String| key.ends_with(" | SEEN") || kinds.iter().any(|kind| key.starts_with(kind));
        let present: Vec<String> = self.main.keys().filter(is_index_row).cloned().collect();
        for key in present.iter().filter(|key| !expected.index_rows.contains_key(*key)) {
            self.check(key, "an index row belongs to a stored object", false, "none that derives it");
        }
        for (key, attributes) in &expected.index_rows {
            let row = self.main.get(key).cloned().unwrap_or_default();
            let is_derived = attributes.iter().all(|(name, value)| row[*name].as_str() == Some(value));
            self.check(key, "an index row of a stored object exists", row.is_object() && is_derived, row);
        }
        for (key, indexes) in expected.indexes {
            let row = self.main.get(&key).cloned().unwrap_or_default();
            for name in INDEXES.iter().filter(|name| **name != "created_at") {
                let (found, derived) = (row[*name].as_str(), indexes.get(*name).map(String::as_str));
                self.check_equal(&key, format!("the index attribute `{name}` is the derived one"), found, derived);
            }
        }
    }

    /// A personal access token has its list entry, and each workspace has the events of its start and its end.
    fn access_tokens(&mut self) {
        let tokens: Vec<Token> = read_all(&self.main, |pk, sk| pk.starts_with("TOKEN#") && sk == "TOKEN");
        let entries = self.main.keys().filter(|key| key.starts_with("TOKENS#")).count();
        self.check_equal("TOKENS# rows", "one list entry for each personal access token", entries, tokens.len());
        for token in tokens {
            let entry = token_place_key(&token.issuer, &token.subject, token.token_id).to_string();
            let has_entry = self.main.contains_key(&entry);
            self.check(token.key(), format!("its list entry is {entry}"), has_entry, "none");
            for workspace in &token.workspace_ids {
                let is_of_token =
                    |event: &Event| event.token_id == Some(token.token_id) && event.workspace_id == *workspace;
                let ended = token.revoked_at.is_some() || !token.gives_access_to(*workspace);
                let created = self.count(EventType::TokenCreated, is_of_token);
                let revoked = self.count(EventType::TokenRevoked, is_of_token);
                self.check_equal(
                    token.key(),
                    format!("number of (token.created, token.revoked) in the workspace {workspace}"),
                    (created, revoked),
                    (1, usize::from(ended)),
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
            let lease = leases.iter().find(|lease| lease.consumer == consumer && lease.event_id == event.event_id);
            self.check(
                event.key(),
                format!("the consumer {consumer} has handled the {}", event.event_type),
                lease.is_some_and(|lease| lease.done_at.is_some()),
                lease.map_or("no lease", |_| "a lease without `done_at`"),
            );
        }
        let events: BTreeSet<_> = self.events.iter().map(|event| event.event_id).collect();
        for lease in leases {
            let is_stored = events.contains(&lease.event_id);
            self.check(lease.key(), "the event of a consumer's lease is stored", is_stored, "none");
        }
        self.check_equal("dead-letter queues", "no message", self.dead_letters, 0);
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
    index_rows: BTreeMap<String, BTreeMap<&'static str, String>>,
    indexes: BTreeMap<String, BTreeMap<&'static str, String>>,
}

impl Expected {
    fn add<R: Row>(&mut self, rows: &[R]) {
        let key = |key: &aws::RowKey| format!("{} | {}", key.pk, key.sk);
        for row in rows {
            let index_rows = row.index_rows().into_iter();
            self.index_rows.extend(index_rows.map(|index_row| (key(&index_row.key), index_row.attributes)));
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
    let state = bench.stack.messaging().to_json().expect("the state of messaging is JSON");
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

/// A row with the fields of its second row, if it has one.
fn with_second_row(rows: &BTreeMap<String, Value>, row: &Value) -> Value {
    let second = rows.get(&format!("{} | DETAILS", row["pk"].as_str().unwrap_or_default()));
    let fields = second.and_then(Value::as_object).filter(|_| row["sk"] == "DEVICE").into_iter().flatten();
    let mut row = row.clone();
    for (name, value) in fields {
        if row.get(name).is_none() {
            row[name] = value.clone();
        }
    }
    row
}

/// The rows whose keys match, by key, as objects.
fn read_all<R: Read>(rows: &BTreeMap<String, Value>, matches: impl Fn(&str, &str) -> bool) -> Vec<R> {
    let matching = rows.iter().filter(|(key, _)| key.split_once(" | ").is_some_and(|(pk, sk)| matches(pk, sk)));
    let read = |(key, row): (&String, &Value)| {
        aws::from_json(with_second_row(rows, row))
            .unwrap_or_else(|error| panic!("{key}: the row cannot be read: {error}"))
    };
    matching.map(read).collect()
}
