//! Devices: installations of the app.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;
use crate::error::{DomainError, HeldDevice};
use crate::ids::{CommandId, CredentialId, DeviceId, InvitationId, UserId, WorkspaceId};
use crate::input::FieldError;
use crate::models::command::{Command, CommandKind, FailedCommand, OpenCommand, UnconfirmedWipe};
use crate::models::credential::{Service, ServiceKind};
use crate::models::push::{Push, PushReason};
use crate::models::restriction::{Deleted, Restriction};
use crate::search;
use crate::secret::Hash;
use crate::states::{CommandState, Platform, UserStatus};
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// The open command that stands for an order: asking again is answered by the one that is pending,
/// and a device is told to destroy its data by one command at a time. A wipe that has failed stands for none: it can
/// be ordered anew.
#[must_use]
pub fn pending_for(device: &Device, kind: CommandKind, now: Time) -> Option<&OpenCommand> {
    let same = |open: &&OpenCommand| {
        let is_pending = open.state.is_pending() && open.expires_at > now;
        is_pending && (open.kind == kind || (open.kind.is_destructive() && kind.is_destructive()))
    };
    device.commands.iter().find(same)
}

/// A device, with the rows of its open commands.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceWithCommands {
    /// The device.
    pub device: Device,
    /// The commands that [`Device::commands`] names.
    pub open: Vec<Command>,
}

impl Device {
    /// The wipe that was ordered and of which the device has not said that it was done, if there is one: pending, or
    /// over otherwise. None of one that was taken back.
    #[must_use]
    pub fn unconfirmed_wipe(&self) -> Option<UnconfirmedWipe> {
        if self.erased.is_some() {
            return None;
        }
        let deleted = self.deleted.is_some();
        let is_meant = |open: &&OpenCommand| open.kind.is_wipe(deleted) && open.state != CommandState::CancelRequested;
        let failed_at = self.failed.filter(|failed| failed.kind.is_wipe(deleted)).map(|failed| failed.at);
        let wipe = |open: &OpenCommand| UnconfirmedWipe {
            command_id: open.command_id,
            state: open.state,
            at: failed_at.filter(|_| open.again_at.is_some()).unwrap_or(open.queued_at),
        };
        self.commands.iter().find(is_meant).map(wipe).or(self.unconfirmed)
    }

    /// Whether it counts as there.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.deleted.is_some() { Status::Deleted } else { Status::Active }
    }

    /// How it is doing: of several that hold, the one that says most of what may be done next.
    #[must_use]
    pub fn device_status(&self, now: Time) -> DeviceStatus {
        if self.deleted.is_some() {
            return DeviceStatus::Deleted;
        }
        if self.erased.is_some() {
            let kept_out = self.access() != DeviceAccess::Allowed;
            return if kept_out { DeviceStatus::Wiped } else { DeviceStatus::NeedsEnrolment };
        }
        if pending_for(self, CommandKind::Wipe, now).is_some() {
            return DeviceStatus::Wiping;
        }
        if self.blocked.is_some() {
            return DeviceStatus::Blocked;
        }
        match self.last_login_at {
            None => DeviceStatus::NeverSeen,
            Some(login) if login < now.minus(Duration::days(SILENT_AFTER_DAYS)) => DeviceStatus::Silent,
            Some(_) => DeviceStatus::InUse,
        }
    }

    /// What it may do. Its own end and block come before its user's state.
    #[must_use]
    pub fn access(&self) -> DeviceAccess {
        if self.deleted.is_some() {
            return DeviceAccess::Deleted;
        }
        if self.blocked.is_some() {
            return DeviceAccess::DeviceBlocked;
        }
        match self.user_status {
            UserStatus::Inactive | UserStatus::Active => DeviceAccess::Allowed,
            // Where a state of another release keeps a user out, or does not, is not known here.
            UserStatus::Suspended | UserStatus::Unknown(_) => DeviceAccess::UserSuspended,
            UserStatus::Locked => DeviceAccess::UserLocked,
            UserStatus::Deleted => DeviceAccess::Deleted,
        }
    }

    /// What people call it: its nickname, or else its model.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.nickname.as_deref().unwrap_or(&self.model_name)
    }

    /// The words by which it is found.
    #[must_use]
    pub fn search_words(&self) -> BTreeSet<String> {
        let nickname = self.nickname.as_deref();
        search::words([self.device_identifier.as_str(), &self.model_name].into_iter().chain(nickname))
    }

    /// What it still has to do, now or later; nothing once it is erased, since it is told of nothing until it is
    /// enrolled anew, which ends its commands.
    pub fn pending_commands(&self, now: Time) -> impl Iterator<Item = &OpenCommand> {
        self.commands.iter().filter(move |open| self.erased.is_none() && open.is_pending(now))
    }

    /// True while it has something to do.
    #[must_use]
    pub fn has_pending_command(&self, now: Time) -> bool {
        self.pending_commands(now).next().is_some()
    }

    /// True if it may have its user's configuration, with the secrets in it: a deployment's code enrolled it;
    /// or since then its user was deployed to, or told to fetch the configuration. Being enrolled by an
    /// invitation, and the user's removal from client deployment, end that. What an earlier release served
    /// counts.
    #[must_use]
    pub fn may_have_config(&self) -> bool {
        self.served.is_some()
    }

    /// The device once its user was deployed to: it may have the configuration, and need not fetch it.
    #[must_use]
    pub fn offered(self) -> Self {
        Self { served: self.served.or(Some(ServedConfig::Offered)), ..self }
    }

    /// True if it is to download its configuration: it was told to, or was given one, and has not
    /// put it in place.
    #[must_use]
    pub fn must_download(&self) -> bool {
        self.is_forced() || self.given().is_some_and(|given| self.config.as_deref() != Some(given))
    }

    /// True if it was told to download its configuration, and has not put it in place since.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        matches!(self.served, Some(ServedConfig::Ordered | ServedConfig::Fetched(_)))
    }

    /// True if it was told to download its configuration, and has not fetched it since.
    #[must_use]
    pub fn must_fetch(&self) -> bool {
        self.served == Some(ServedConfig::Ordered)
    }

    /// The device told to download its configuration at its next contact.
    #[must_use]
    pub fn forced(self) -> Self {
        Self { served: Some(ServedConfig::Ordered), ..self }
    }

    /// The version that it was last given since it was told to fetch one, if it was.
    #[must_use]
    pub fn given(&self) -> Option<&str> {
        match self.served.as_ref()? {
            ServedConfig::Offered | ServedConfig::Ordered => None,
            ServedConfig::Fetched(version) | ServedConfig::Given(version) => Some(version),
        }
    }

    /// The device once it was given a version of its configuration.
    #[must_use]
    pub fn served_with(self, version: &str) -> Self {
        let served = if self.is_forced() { ServedConfig::Fetched } else { ServedConfig::Given };
        Self { served: Some(served(version.to_owned())), ..self }
    }

    /// True if that it has a version in place, by its own word, is news: it is the one that it was last given,
    /// and it had another, or was told to fetch this one.
    #[must_use]
    pub fn is_newly_in_place(&self, version: &str) -> bool {
        let other = self.config.as_deref() != Some(version) || self.has_fetched(version);
        other && self.given() == Some(version)
    }

    /// The device once it has put a version of its configuration in place.
    #[must_use]
    pub fn with_in_place(self, version: &str) -> Self {
        let served =
            if self.has_fetched(version) { Some(ServedConfig::Given(version.to_owned())) } else { self.served };
        Self { config: Some(version.to_owned()), served, ..self }
    }

    /// True if it has fetched a version since it was told to, and has not put it in place.
    fn has_fetched(&self, version: &str) -> bool {
        matches!(&self.served, Some(ServedConfig::Fetched(fetched)) if fetched == version)
    }

    /// Since when it has something to do, as its row says.
    #[must_use]
    pub fn pending_since(&self) -> Option<Time> {
        let pending = self.commands.iter().filter(|open| open.state.is_pending() || open.again_at.is_some());
        pending.map(|open| open.queued_at).min()
    }

    /// Lets pass a device that is not deleted.
    ///
    /// # Errors
    /// `DeviceDeleted`.
    pub fn require_there(&self) -> Result<(), DomainError> {
        if self.deleted.is_some() { Err(DomainError::DeviceDeleted) } else { Ok(()) }
    }
}

/// After so many days without a login a device counts as silent.
pub const SILENT_AFTER_DAYS: i64 = 30;

// The limits of a device's texts keep its row within one kilobyte, which is one write unit of
// DynamoDB; a check-in is meant to cost one. So they count bytes, and `tests/` counts the row.
/// What the app calls the installation.
pub const IDENTIFIER: TextRule = TextRule::in_bytes(Form::Ascii, 1, 64);

/// The model's name, or the third-party app's.
pub const MODEL_NAME: TextRule = TextRule::in_bytes(Form::Line, 1, 64);

/// A version of the OS or of an app.
pub const VERSION: TextRule = TextRule::in_bytes(Form::Ascii, 1, 32);

/// What its user or an admin calls the device.
pub const NICKNAME: TextRule = TextRule::in_bytes(Form::Line, 1, 48);

/// A version of a configuration, as phones are told it.
pub const CONFIG_VERSION: TextRule = TextRule::in_bytes(Form::Ascii, 1, 8);

/// A push token. Apple's and Google's are opaque; the bound is Amazon SNS's own for a token.
pub const PUSH_TOKEN: TextRule = TextRule::new(Form::Ascii, 1, 4096);

string_enum! {
    /// Whether a device counts as there.
    Status {
        /// It is there.
        Active = "active",
        /// It is deleted, for good; its row stays until its retention is over.
        Deleted = "deleted",
    }
}

string_enum! {
    /// How a device is doing, computed for people.
    DeviceStatus {
        /// Registered, and has never come.
        NeverSeen = "never_seen",
        /// Has come of late.
        InUse = "in_use",
        /// Has not come for [`SILENT_AFTER_DAYS`] days.
        Silent = "silent",
        /// Blocked by an admin.
        Blocked = "blocked",
        /// Told, or to be told, to erase everything.
        Wiping = "wiping",
        /// Erased, and kept out: it, or its user.
        Wiped = "wiped",
        /// Erased; a code of its user brings it back.
        NeedsEnrolment = "needs_enrolment",
        /// Deleted.
        Deleted = "deleted",
    }
}

string_enum! {
    /// What a device may do.
    DeviceAccess {
        /// Everything.
        Allowed = "allowed",
        /// Nothing: it is blocked.
        DeviceBlocked = "device_blocked",
        /// Nothing: its user is suspended.
        UserSuspended = "user_suspended",
        /// Nothing: its user is locked.
        UserLocked = "user_locked",
        /// Nothing: it is deleted.
        Deleted = "deleted",
    }
}

/// The end of what an enrolment has put on the phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Erasure {
    /// When the device said so.
    pub at: Time,
    /// The command that did it.
    pub command_id: CommandId,
}

/// How the device was registered, until it has come for the first time: so that a registration
/// whose answer was lost can be repeated within [`REPEAT_WITHIN`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The invitation whose code was used.
    pub invitation_id: InvitationId,
    /// Time of the registration; rows of earlier releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// How long a registration can be repeated whose answer was lost.
pub const REPEAT_WITHIN: Duration = Duration::minutes(15);

/// An installation of the app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Which.
    pub device_id: DeviceId,
    /// The user.
    pub user_id: UserId,
    /// What the app calls the installation; unique in the workspace among those that are there.
    pub device_identifier: String,
    /// What kind of app it is.
    pub platform: Platform,
    /// The model's name, or the third-party app's.
    pub model_name: String,
    /// The version of the OS, or of the third-party app.
    pub os_version: String,
    /// The version of our app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// When it was registered.
    pub created_at: Time,
    /// Counts its enrolments; a credential of an older one is worth nothing.
    pub epoch: u32,
    /// What is kept of its credential.
    pub credential_hash: Hash,
    /// Present until its first check-in after an enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
    /// True once the same installation was registered as another device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// Its user's access, changed in the commit that changes the user.
    pub user_status: UserStatus,
    /// The commands that are not over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<OpenCommand>,
    /// The last command that it could not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedCommand>,
    /// The last wipe that is over and not confirmed: see [`Device::unconfirmed_wipe`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<UnconfirmedWipe>,
    /// Set once a wipe or a factory reset has ended its enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Erasure>,
    /// The wrong PINs in a row that it has last reported.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pin_failures: u32,
    /// The number of the last report of usage that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_sequence: Option<u64>,
    /// The version of the configuration that it has in place, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The version that it was last given, or that it is to fetch one anew, or may fetch one: see
    /// [`Device::given`], [`Device::forced`], [`Device::offered`]. While it is absent, the device gets no
    /// configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedConfig>,
    /// Its last check-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Time>,
    /// Set while it is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Restriction>,
    /// Set once it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
    /// Whether pushes reach it.
    pub push: Push,
    /// The SNS endpoint of its push token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_endpoint: Option<String>,
    /// What tells a new push token from the old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_token_hash: Option<Hash>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl From<&Device> for HeldDevice {
    fn from(device: &Device) -> Self {
        Self {
            device_id: device.device_id,
            display_name: device.display_name().to_owned(),
            model_name: device.model_name.clone(),
            platform: device.platform,
            created_at: device.created_at,
            last_login_at: device.last_login_at,
        }
    }
}

/// How far a device's configuration has come to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServedConfig {
    /// It may fetch one, and has not: see [`Device::may_have_config`].
    Offered,
    /// It was told to fetch one anew, whatever its version, and has not.
    Ordered,
    /// It has fetched this version since it was told to, and has not said that it is in place.
    Fetched(String),
    /// It was given this version.
    Given(String),
}

/// Who holds a device identifier in a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentifierClaim {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The identifier.
    pub device_identifier: String,
    /// The newest device with this identifier.
    pub device_id: DeviceId,
    /// Its user.
    pub user_id: UserId,
    /// Its epoch.
    pub epoch: u32,
    /// False once that device is deleted.
    pub held: bool,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

impl IdentifierClaim {
    /// The first claim that a device makes.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        Self {
            workspace_id: device.workspace_id,
            device_identifier: device.device_identifier.clone(),
            device_id: device.device_id,
            user_id: device.user_id,
            epoch: device.epoch,
            held: true,
            version: 1,
            stored: Stored::default(),
        }
    }
}

/// The most keys of a device's custom metadata.
pub const METADATA_KEYS: usize = 50;

/// The most characters of a key of custom metadata.
pub const METADATA_KEY_LENGTH: usize = 40;

/// The most characters of a value of custom metadata.
pub const METADATA_VALUE_LENGTH: usize = 500;

/// What belongs to a device beside what its own row has room for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceAttachments {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The device.
    pub device_id: DeviceId,
    /// Its custom metadata, by their keys: texts or booleans.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// The access credentials that were issued to it, each with when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<CredentialId, Time>,
    /// What credential services say of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceKind, Service>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

impl DeviceAttachments {
    /// What was read of a device, which has no such row until something is attached to it.
    pub(crate) fn of(device: &Device, read: Option<&Self>) -> Self {
        read.cloned().unwrap_or_else(|| Self::none(device))
    }

    /// Of a device that nothing belongs to.
    #[must_use]
    pub fn none(device: &Device) -> Self {
        Self {
            workspace_id: device.workspace_id,
            device_id: device.device_id,
            metadata: BTreeMap::new(),
            credentials: BTreeMap::new(),
            services: BTreeMap::new(),
            version: 1,
            stored: Stored::default(),
        }
    }
}

/// Reads a change of custom metadata: a value of `null` or `""` takes the key away.
///
/// # Errors
/// Every fault: keys and values out of their bounds.
pub fn read_metadata(value: &Value) -> Result<BTreeMap<String, Value>, Vec<FieldError>> {
    let Value::Object(entries) = value else {
        return Err(vec![FieldError::new("custom_metadata", "wrong_type", "must be an object")]);
    };
    let mut faults = Vec::new();
    for (key, value) in entries {
        if let Some((code, detail)) = metadata_fault(key, value) {
            let named: String = key.chars().take(METADATA_KEY_LENGTH).collect();
            faults.push(FieldError::new(&format!("custom_metadata.{named}"), code, detail));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let removed = |value: &Value| *value == Value::String(String::new());
    let read =
        |(key, value): (&String, &Value)| (key.clone(), if removed(value) { Value::Null } else { value.clone() });
    Ok(entries.iter().map(read).collect())
}

fn metadata_fault(key: &str, value: &Value) -> Option<(&'static str, String)> {
    if key.is_empty() || key.chars().count() > METADATA_KEY_LENGTH {
        return Some(("invalid_key", format!("a key has 1 to {METADATA_KEY_LENGTH} characters")));
    }
    if key.contains('.') || key.chars().any(char::is_control) {
        return Some(("invalid_key", "a key holds neither dots nor control characters".into()));
    }
    match value {
        Value::Null | Value::Bool(_) => None,
        Value::String(text) if text.chars().count() > METADATA_VALUE_LENGTH => {
            Some(("too_long", format!("a value has at most {METADATA_VALUE_LENGTH} characters")))
        }
        Value::String(text) if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => {
            Some(("control_character", "a value holds no control characters".into()))
        }
        Value::String(_) => None,
        _ => Some(("wrong_type", "a value is a text, true, false, or null".into())),
    }
}

/// What an admin changes of a device. An outer `None` leaves it, an inner one takes it away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    /// The nickname.
    pub nickname: Option<Option<String>>,
    /// Keys of the custom metadata.
    pub metadata: BTreeMap<String, Value>,
}

/// The push token of a device, which only the functions that need it read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushToken {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The device.
    pub device_id: DeviceId,
    /// The token.
    pub token: String,
    /// When its endpoint must be looked at again, until it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend_at: Option<Time>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// How long after a token came its endpoint is looked at again, if nothing has settled it.
pub const MEND_AFTER: Duration = Duration::minutes(5);

impl PushToken {
    /// The row of a token that a device has given, in place of the one `before`.
    #[must_use]
    pub fn given(device: &Device, token: String, before: Option<&Self>, now: Time) -> Self {
        Self {
            workspace_id: device.workspace_id,
            device_id: device.device_id,
            token,
            mend_at: Some(now.plus(MEND_AFTER)),
            version: before.map_or(1, |before| before.version),
            stored: Stored::default(),
        }
    }

    /// The row of a token whose endpoint must be looked at again.
    #[must_use]
    pub fn due(self, now: Time) -> Self {
        Self { mend_at: Some(now.plus(MEND_AFTER)), ..self }
    }
}

impl Push {
    /// Whether pushes reach a device, as it is shown: none that is deleted or erased.
    #[must_use]
    pub fn shown(device: &Device) -> Self {
        let (reason, since) = match (&device.deleted, &device.erased) {
            (Some(deleted), _) => (PushReason::DeviceDeleted, deleted.at),
            (None, Some(erased)) => (PushReason::DeviceErased, erased.at),
            (None, None) => (device.push.reason.shown(), device.push.since),
        };
        Self { reason, since }
    }

    /// The state of a device whose endpoint SNS has disabled, once its app is heard of: the endpoint is to be enabled
    /// again. `None` if there is nothing to enable, or not yet: see [`PushReason::enabled_again_after`].
    #[must_use]
    pub fn enabled_again(device: &Device, now: Time) -> Option<Self> {
        let Self { reason, since } = device.push;
        let due = reason.enabled_again_after().is_some_and(|after| after.is_zero() || since <= now.minus(after));
        let enabling = Self { reason: PushReason::EnablingAgain, since: now };
        (due && device.platform != Platform::ThirdParty).then_some(enabling)
    }
}
