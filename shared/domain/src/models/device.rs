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

/// The open command that a new request of a kind would duplicate: a repeated request gets the pending one, and
/// a device has at most one pending command that destroys its data. A failed wipe does not count, so it can be
/// requested again.
#[must_use]
pub fn find_pending_command(device: &Device, kind: CommandKind, now: Time) -> Option<&OpenCommand> {
    let same = |open: &&OpenCommand| {
        let is_pending = open.state.is_pending() && open.expires_at > now;
        is_pending && (open.kind == kind || (open.kind.is_destructive() && kind.is_destructive()))
    };
    device.commands.iter().find(same)
}

/// A device with its open commands.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceWithCommands {
    /// The device.
    pub device: Device,
    /// The commands of [`Device::commands`].
    pub open_commands: Vec<Command>,
}

impl Device {
    /// The wipe that was requested and not confirmed by the device, if any: pending, or ended. Not one that was
    /// canceled.
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

    /// Whether it is active or deleted.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.deleted.is_some() { Status::Deleted } else { Status::Active }
    }

    /// Its status for people: of several that apply, the one that matters most for what to do next.
    #[must_use]
    pub fn device_status(&self, now: Time) -> DeviceStatus {
        if self.deleted.is_some() {
            return DeviceStatus::Deleted;
        }
        if self.erased.is_some() {
            let has_no_access = self.access() != DeviceAccess::Allowed;
            return if has_no_access { DeviceStatus::Wiped } else { DeviceStatus::NeedsEnrolment };
        }
        if find_pending_command(self, CommandKind::Wipe, now).is_some() {
            return DeviceStatus::Wiping;
        }
        if self.blocked.is_some() {
            return DeviceStatus::Blocked;
        }
        match self.last_login_at {
            None => DeviceStatus::NeverSeen,
            Some(login) if login < silent_before(now) => DeviceStatus::Silent,
            Some(_) => DeviceStatus::InUse,
        }
    }

    /// What it may do. Its own deletion and block come before its user's state. `Table::record_login` in `shared/aws`
    /// repeats this as a condition: change both.
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
            // An unknown state of another release counts as suspended, to be safe.
            UserStatus::Suspended | UserStatus::Unknown(_) => DeviceAccess::UserSuspended,
            UserStatus::Locked => DeviceAccess::UserLocked,
            UserStatus::Deleted => DeviceAccess::Deleted,
        }
    }

    /// Name for people: its nickname, or else its model.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.nickname.as_deref().unwrap_or(&self.model_name)
    }

    /// The words by which a search finds it.
    #[must_use]
    pub fn search_words(&self) -> BTreeSet<String> {
        let nickname = self.nickname.as_deref();
        search::words([self.device_identifier.as_str(), &self.model_name].into_iter().chain(nickname))
    }

    /// Commands that it still has to do. None once it is erased, since it receives nothing until it is enrolled
    /// again, which ends its commands.
    pub fn pending_commands(&self, now: Time) -> impl Iterator<Item = &OpenCommand> {
        self.commands.iter().filter(move |open| self.erased.is_none() && open.is_pending(now))
    }

    /// True while it has a pending command.
    #[must_use]
    pub fn has_pending_command(&self, now: Time) -> bool {
        self.pending_commands(now).next().is_some()
    }

    /// True if it may receive its user's configuration with the secrets in it: it was enrolled by a
    /// deployment's code, or its user was deployed to or told to fetch the configuration since. Enrolment by an
    /// invitation and the user's removal from client deployment end that. A configuration that an earlier
    /// release served counts.
    #[must_use]
    pub fn may_have_config(&self) -> bool {
        self.served.is_some()
    }

    /// The device after a deployment to its user: it may fetch the configuration, but does not have to.
    #[must_use]
    pub fn with_config_offered(self) -> Self {
        Self { served: self.served.or(Some(ServedConfig::Offered)), ..self }
    }

    /// True if it has a configuration to install: it was told to download one, or was given one, and has not
    /// reported it as installed.
    #[must_use]
    pub fn must_download(&self) -> bool {
        self.is_download_ordered()
            || self.last_served_version().is_some_and(|given| self.config.as_deref() != Some(given))
    }

    /// True if it was told to download its configuration and has not installed it since.
    #[must_use]
    pub fn is_download_ordered(&self) -> bool {
        matches!(self.served, Some(ServedConfig::Ordered | ServedConfig::Fetched(_)))
    }

    /// True if it was told to download its configuration and has not fetched it since.
    #[must_use]
    pub fn must_fetch(&self) -> bool {
        self.served == Some(ServedConfig::Ordered)
    }

    /// The device after it was told to download its configuration at its next check-in.
    #[must_use]
    pub fn with_download_ordered(self) -> Self {
        Self { served: Some(ServedConfig::Ordered), ..self }
    }

    /// The version that it was last given, unless it was told to fetch another one since.
    #[must_use]
    pub fn last_served_version(&self) -> Option<&str> {
        match self.served.as_ref()? {
            ServedConfig::Offered | ServedConfig::Ordered => None,
            ServedConfig::Fetched(version) | ServedConfig::Given(version) => Some(version),
        }
    }

    /// The device after it received a version of its configuration.
    #[must_use]
    pub fn with_served_version(self, version: &str) -> Self {
        let served = if self.is_download_ordered() { ServedConfig::Fetched } else { ServedConfig::Given };
        Self { served: Some(served(version.to_owned())), ..self }
    }

    /// True if its report that a version is installed changes something: the version is the one that it was
    /// last given, and it had another one installed or was told to fetch this one.
    #[must_use]
    pub fn is_newly_installed(&self, version: &str) -> bool {
        let other = self.config.as_deref() != Some(version) || self.has_fetched(version);
        other && self.last_served_version() == Some(version)
    }

    /// The device after it installed a version of its configuration.
    #[must_use]
    pub fn with_installed_version(self, version: &str) -> Self {
        let served =
            if self.has_fetched(version) { Some(ServedConfig::Given(version.to_owned())) } else { self.served };
        Self { config: Some(version.to_owned()), served, ..self }
    }

    /// True if it has fetched this version since it was told to, and has not installed it.
    fn has_fetched(&self, version: &str) -> bool {
        matches!(&self.served, Some(ServedConfig::Fetched(fetched)) if fetched == version)
    }

    /// Since when it has a pending command, according to its row.
    #[must_use]
    pub fn pending_since(&self) -> Option<Time> {
        let pending = self.commands.iter().filter(|open| open.state.is_pending() || open.again_at.is_some());
        pending.map(|open| open.queued_at).min()
    }

    /// Checks that the device is not deleted.
    ///
    /// # Errors
    /// `DeviceDeleted`.
    pub fn require_not_deleted(&self) -> Result<(), DomainError> {
        if self.deleted.is_some() { Err(DomainError::DeviceDeleted) } else { Ok(()) }
    }
}

/// A device without a login for this many days counts as silent.
pub const SILENT_AFTER_DAYS: i64 = 30;

/// A device whose last login is before this time is silent.
#[must_use]
pub fn silent_before(now: Time) -> Time {
    now.minus(Duration::days(SILENT_AFTER_DAYS))
}

// These limits keep a device's row within one kilobyte, one write unit of DynamoDB, since a check-in should
// cost one unit. So they count bytes; a test in `tests/` measures the row.
/// The app's identifier of the installation.
pub const IDENTIFIER: TextRule = TextRule::in_bytes(Form::Ascii, 1, 64);

/// The model's name, or the third-party app's.
pub const MODEL_NAME: TextRule = TextRule::in_bytes(Form::Line, 1, 64);

/// A version of the OS or of an app.
pub const VERSION: TextRule = TextRule::in_bytes(Form::Ascii, 1, 32);

/// The name that its user or an admin gives the device.
pub const NICKNAME: TextRule = TextRule::in_bytes(Form::Line, 1, 48);

/// The version of a configuration, as phones report it.
pub const CONFIG_VERSION: TextRule = TextRule::in_bytes(Form::Ascii, 1, 8);

/// A push token. Apple's and Google's are opaque; the limit is Amazon SNS's.
pub const PUSH_TOKEN: TextRule = TextRule::new(Form::Ascii, 1, 4096);

string_enum! {
    /// Whether a device is active or deleted.
    Status {
        /// Not deleted.
        Active = "active",
        /// Deleted for good; the row stays until its retention ends.
        Deleted = "deleted",
    }
}

string_enum! {
    /// A device's status for people, computed.
    DeviceStatus {
        /// Registered, but has never checked in.
        NeverSeen = "never_seen",
        /// Has checked in recently.
        InUse = "in_use",
        /// No check-in for [`SILENT_AFTER_DAYS`] days.
        Silent = "silent",
        /// Blocked by an admin.
        Blocked = "blocked",
        /// Has a pending wipe or factory reset.
        Wiping = "wiping",
        /// Erased, and it or its user has no access.
        Wiped = "wiped",
        /// Erased; a new code for its user enrols it again.
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

/// The erasure that ended an enrolment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Erasure {
    /// Time of the device's report.
    pub at: Time,
    /// The command that did it.
    pub command_id: CommandId,
}

/// How the device was registered, until its first check-in, so that a registration whose response was lost can
/// be repeated within [`REPEAT_WITHIN`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The invitation whose code was used.
    pub invitation_id: InvitationId,
    /// Time of the registration; rows of earlier releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// How long a registration whose response was lost can be repeated.
pub const REPEAT_WITHIN: Duration = Duration::minutes(15);

/// An installation of the app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub device_id: DeviceId,
    /// The user.
    pub user_id: UserId,
    /// The app's identifier of the installation; unique in the workspace among devices that are not deleted.
    pub device_identifier: String,
    /// The platform of the app.
    pub platform: Platform,
    /// The model's name, or the third-party app's.
    pub model_name: String,
    /// The version of the OS, or of the third-party app.
    pub os_version: String,
    /// The version of our app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// Name that its user or an admin gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Time of the registration.
    pub created_at: Time,
    /// Counts its enrolments; credentials of an earlier one are invalid.
    pub epoch: u32,
    /// Hash of its credential.
    pub credential_hash: Hash,
    /// Present until its first check-in after an enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
    /// True once the same installation was registered as another device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// Status of its user, changed in the same commit as the user's.
    pub user_status: UserStatus,
    /// Its open commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<OpenCommand>,
    /// The last command that it failed or rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedCommand>,
    /// The last wipe that ended without confirmation: see [`Device::unconfirmed_wipe`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<UnconfirmedWipe>,
    /// Set once a wipe or a factory reset has ended its enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Erasure>,
    /// The number of wrong PINs in a row in its last report.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pin_failures: u32,
    /// Its workspace's [`WorkspaceSettings::check_in_minutes`](crate::models::workspace::WorkspaceSettings), copied by
    /// check-ins that read them, at the latest by the first one of its day; `None` for the operator's default.
    #[serde(default, rename = "cadence", skip_serializing_if = "Option::is_none")]
    pub check_in_minutes: Option<u32>,
    /// The sequence number of the last usage report that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_sequence: Option<u64>,
    /// The version of the configuration that is installed, as it reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Its progress with its configuration: see [`Device::last_served_version`], [`Device::with_download_ordered`],
    /// [`Device::with_config_offered`]. While absent, the device gets no configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedConfig>,
    /// Time of its last check-in with access allowed; a check-in without access does not change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Time>,
    /// Set while it is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Restriction>,
    /// Set once it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
    /// Whether push notifications reach it.
    pub push: Push,
    /// The SNS endpoint of its push token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_endpoint: Option<String>,
    /// Hash of the push token, to detect a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_token_hash: Option<Hash>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
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

/// How far a device has got with its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServedConfig {
    /// It may fetch one and has not: see [`Device::may_have_config`].
    Offered,
    /// It was told to fetch one, whatever its version, and has not.
    Ordered,
    /// It has fetched this version since it was told to, and has not reported it as installed.
    Fetched(String),
    /// It was given this version.
    Given(String),
}

/// The claim of a device identifier in a workspace.
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
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

impl IdentifierClaim {
    /// A device's first claim.
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

/// Data of a device that its own row has no room for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceAttachments {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The device.
    pub device_id: DeviceId,
    /// Custom metadata by key: texts or booleans.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// Access credentials issued to it, with the time of issue.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<CredentialId, Time>,
    /// State of each credential service on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceKind, Service>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

impl DeviceAttachments {
    /// The attachments as read; empty for a device without such a row.
    pub(crate) fn of(device: &Device, read: Option<&Self>) -> Self {
        read.cloned().unwrap_or_else(|| Self::empty(device))
    }

    /// Empty attachments of a device.
    #[must_use]
    pub fn empty(device: &Device) -> Self {
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

/// Reads a change of custom metadata: a value of `null` or `""` removes the key.
///
/// # Errors
/// Every key and value that is out of bounds.
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
        return Some(("invalid_key", format!("a key must have 1 to {METADATA_KEY_LENGTH} characters")));
    }
    if key.contains('.') || key.chars().any(char::is_control) {
        return Some(("invalid_key", "a key must not contain dots or control characters".into()));
    }
    match value {
        Value::Null | Value::Bool(_) => None,
        Value::String(text) if text.chars().count() > METADATA_VALUE_LENGTH => {
            Some(("too_long", format!("a value must have at most {METADATA_VALUE_LENGTH} characters")))
        }
        Value::String(text) if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => {
            Some(("control_character", "a value must not contain control characters".into()))
        }
        Value::String(_) => None,
        _ => Some(("wrong_type", "a value must be a string, true, false or null".into())),
    }
}

/// An admin's edit of a device. An outer `None` leaves a field as it is, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    /// The nickname.
    pub nickname: Option<Option<String>>,
    /// Custom metadata to set or remove.
    pub metadata: BTreeMap<String, Value>,
}

/// A device's push token, in a row of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushToken {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The device.
    pub device_id: DeviceId,
    /// The token.
    pub token: String,
    /// When its SNS endpoint must be checked again; `None` once it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend_at: Option<Time>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// How long after a new token its endpoint is checked, unless that was settled before.
pub const ENDPOINT_CHECK_AFTER: Duration = Duration::minutes(5);

impl PushToken {
    /// The row of a new token of a device, which replaces `before`.
    #[must_use]
    pub fn new_for(device: &Device, token: String, before: Option<&Self>, now: Time) -> Self {
        Self {
            workspace_id: device.workspace_id,
            device_id: device.device_id,
            token,
            mend_at: Some(now.plus(ENDPOINT_CHECK_AFTER)),
            version: before.map_or(1, |before| before.version),
            stored: Stored::default(),
        }
    }

    /// The row of a token whose endpoint must be checked again.
    #[must_use]
    pub fn with_check_due(self, now: Time) -> Self {
        Self { mend_at: Some(now.plus(ENDPOINT_CHECK_AFTER)), ..self }
    }
}

impl Push {
    /// The push state to show: deleted and erased devices get none.
    #[must_use]
    pub fn for_display(device: &Device) -> Self {
        let (reason, since) = match (&device.deleted, &device.erased) {
            (Some(deleted), _) => (PushReason::DeviceDeleted, deleted.at),
            (None, Some(erased)) => (PushReason::DeviceErased, erased.at),
            (None, None) => (device.push.reason.displayed(), device.push.since),
        };
        Self { reason, since }
    }

    /// The push state of a device whose endpoint SNS has disabled, once its app checks in: the endpoint is to be
    /// enabled again. `None` if the endpoint is not disabled, or must wait: see [`PushReason::re_enable_after`].
    #[must_use]
    pub fn re_enabled(device: &Device, now: Time) -> Option<Self> {
        let Self { reason, since } = device.push;
        let due = reason.re_enable_after().is_some_and(|after| after.is_zero() || since <= now.minus(after));
        let enabling = Self { reason: PushReason::EnablingAgain, since: now };
        (due && device.platform != Platform::ThirdParty).then_some(enabling)
    }
}
