//! Workspaces (tenants) and their settings.

use std::collections::BTreeSet;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{JobId, ProfileId, WorkspaceId};
use crate::input::Fields;
use crate::models::actor::Creator;
use crate::permission::Permission;
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{EMAIL, Form, MOBILE, SERVICE_LEVEL, TextRule};

/// The largest daily message quota that an operator or a workspace can set.
pub const QUOTA_MAX: u32 = 10_000_000;

/// A workspace's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// The most service levels.
pub const SERVICE_LEVEL_LIMIT: usize = 20;

/// The fewest and the most days that deleted objects are kept.
pub const RETENTION_DAYS: (i64, i64) = (1, 3650);

/// The fewest and the most days that an invitation is valid.
pub const INVITATION_DAYS: (i64, i64) = (1, 365);

/// The fewest and the most minutes between two check-ins of a phone.
pub const CHECK_IN_MINUTES: (u32, u32) = (5, 1440);

/// The fewest and the most wrong PINs before a lock.
pub const PIN_FAILURES: (i64, i64) = (3, 100);

/// The fewest and the most days of silence for the rule for silent devices.
pub const SILENT_DAYS: (i64, i64) = (7, 3650);

/// The number of wrong PINs in a row that lock a user, unless the workspace sets another one.
pub const DEFAULT_PIN_LIMIT: u32 = 10;

/// How often the rule for silent devices is applied.
pub const SILENT_RULE_EVERY: Duration = Duration::hours(24);

string_enum! {
    /// What the rule does to silent devices.
    stored SilentAction {
        /// They are blocked.
        Block = "block",
        /// They are deleted.
        Delete = "delete",
    }
}

/// The rule for devices that have not checked in for long. Off unless a workspace sets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilentRule {
    /// Days without a login.
    pub after_days: i64,
    /// What is done to the devices.
    pub action: SilentAction,
}

impl SilentRule {
    /// The permission that setting the rule requires; the rule stops when its author loses it.
    pub const PERMISSION: Permission = Permission::DevicesManage;

    /// A device whose last login is before this time is silent.
    #[must_use]
    pub fn silent_before(&self, now: Time) -> Time {
        now.minus(Duration::days(self.after_days))
    }

    /// The reason recorded on what the rule has done.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("silent for over {} days", self.after_days)
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its identifier.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// True for a sandbox workspace.
    pub sandbox: bool,
    /// Creation time.
    pub created_at: Time,
    /// How many members have the role `admin`.
    pub admin_count: u32,
    /// How many profiles it has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub profile_count: u32,
    /// The profile of users without their own; one of its profiles as soon as it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_profile_id: Option<ProfileId>,
    /// Its settings.
    #[serde(default)]
    pub settings: WorkspaceSettings,
    /// When the rule for silent devices is next applied, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_rule_at: Option<Time>,
    /// The last job that applied the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_rule_job_id: Option<JobId>,
    /// Who set the rule for silent devices: it acts in their name, and only while they have the permission.
    /// Unknown for rules of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_rule_by: Option<Creator>,
    /// Since when the rule pauses until it is set again, because its author no longer has the permission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_rule_paused_at: Option<Time>,
    /// Since when everything is derived from its things: its creation. Absent for workspaces that were created by a
    /// release without derived rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_since: Option<Time>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

impl Workspace {
    /// A new workspace: no members, no profiles, and every setting the deployment's default.
    #[must_use]
    pub fn new(workspace_id: WorkspaceId, name: String, sandbox: bool, created_at: Time) -> Self {
        Self {
            workspace_id,
            name,
            sandbox,
            created_at,
            admin_count: 0,
            profile_count: 0,
            default_profile_id: None,
            settings: WorkspaceSettings::default(),
            silent_rule_at: None,
            silent_rule_job_id: None,
            silent_rule_by: None,
            silent_rule_paused_at: None,
            derived_since: Some(created_at),
            version: 1,
            stored: Stored::default(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A workspace's settings; the deployment's defaults apply to the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceSettings {
    /// Days for which deleted devices and users are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<i64>,
    /// Days for which an invitation is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_days: Option<i64>,
    /// Minutes between two check-ins of a phone. Each device's row has a copy: see
    /// [`Device::check_in_minutes`](crate::models::device::Device::check_in_minutes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in_minutes: Option<u32>,
    /// Sender address of its e-mails; one that the operator allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Sender of its texts, a name of at most 11 letters and digits or a number; one that the operator allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms_sender: Option<String>,
    /// Daily e-mail quota, below the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emails_per_day: Option<u32>,
    /// Daily text quota, below the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts_per_day: Option<u32>,
    /// The rule for silent devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_devices: Option<SilentRule>,
    /// How many wrong PINs in a row lock a user; 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_limit: Option<u32>,
    /// The service levels that a user can have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub service_levels: BTreeSet<String>,
    /// The oldest app and OS versions without a warning.
    #[serde(default, skip_serializing_if = "MinimumVersions::is_empty")]
    pub minimum_versions: MinimumVersions,
}

/// The oldest versions without a warning; `None` for any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MinimumVersions {
    /// Of our app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Of iOS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ios: Option<String>,
    /// Of Android.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub android: Option<String>,
}

impl MinimumVersions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl WorkspaceSettings {
    /// How long deleted objects are kept.
    #[must_use]
    pub fn retention(&self, deployed: Duration) -> Duration {
        self.retention_days.map_or(deployed, Duration::days)
    }

    /// How long an invitation is valid.
    #[must_use]
    pub fn invitation_lifetime(&self, deployed: Duration) -> Duration {
        self.invitation_days.map_or(deployed, Duration::days)
    }

    /// True if this many wrong PINs in a row lock a user.
    #[must_use]
    pub fn locks_at(&self, failures: u32) -> bool {
        let limit = self.pin_limit.unwrap_or(DEFAULT_PIN_LIMIT);
        limit > 0 && failures >= limit
    }

    /// Checks that a service level is one of the workspace's.
    ///
    /// # Errors
    /// An invalid `service_level`.
    pub fn require_service_level(&self, level: &str) -> Result<(), DomainError> {
        if self.service_levels.contains(level) {
            return Ok(());
        }
        let known: Vec<&str> = self.service_levels.iter().map(String::as_str).collect();
        let detail = if known.is_empty() {
            "the workspace has no service levels".to_owned()
        } else {
            format!("must be one of {}", known.join(", "))
        };
        Err(DomainError::field("service_level", "unknown_value", detail))
    }
}

/// An admin's edit of a workspace. An outer `None` leaves a setting as it is; an inner one returns to the
/// deployment's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkspaceEdit {
    /// See [`Workspace::name`].
    pub name: Option<String>,
    /// See [`WorkspaceSettings::retention_days`].
    pub retention_days: Option<Option<i64>>,
    /// See [`WorkspaceSettings::invitation_days`].
    pub invitation_days: Option<Option<i64>>,
    /// See [`WorkspaceSettings::check_in_minutes`].
    pub check_in_minutes: Option<Option<u32>>,
    /// See [`WorkspaceSettings::sender`].
    pub sender: Option<Option<String>>,
    /// See [`WorkspaceSettings::sms_sender`].
    pub sms_sender: Option<Option<String>>,
    /// See [`WorkspaceSettings::emails_per_day`].
    pub emails_per_day: Option<Option<u32>>,
    /// See [`WorkspaceSettings::texts_per_day`].
    pub texts_per_day: Option<Option<u32>>,
    /// See [`WorkspaceSettings::silent_devices`].
    pub silent_devices: Option<Option<SilentRule>>,
    /// See [`WorkspaceSettings::pin_limit`].
    pub pin_limit: Option<Option<u32>>,
    /// See [`WorkspaceSettings::service_levels`].
    pub service_levels: Option<BTreeSet<String>>,
    /// See [`WorkspaceSettings::minimum_versions`].
    pub minimum_versions: Option<MinimumVersions>,
}

impl WorkspaceEdit {
    /// Reads the fields of an edit. The caller collects the errors from `fields`.
    pub fn read(fields: &mut Fields) -> Self {
        let name = fields.text("name", NAME);
        if fields.is_null("name") {
            fields.add_error("name", "missing", "cannot be removed");
        }
        Self {
            name,
            retention_days: fields.integer_edit("retention_days", RETENTION_DAYS.0, RETENTION_DAYS.1),
            invitation_days: fields.integer_edit("invitation_days", INVITATION_DAYS.0, INVITATION_DAYS.1),
            check_in_minutes: read_number(fields, "check_in_minutes", CHECK_IN_MINUTES),
            sender: fields.text_edit("sender", EMAIL),
            sms_sender: read_sms_sender(fields),
            emails_per_day: read_number(fields, "emails_per_day", (0, QUOTA_MAX)),
            texts_per_day: read_number(fields, "texts_per_day", (0, QUOTA_MAX)),
            silent_devices: read_silent_rule(fields),
            pin_limit: read_pin_limit(fields),
            service_levels: read_service_levels(fields),
            minimum_versions: read_minimum_versions(fields),
        }
    }
}

/// The senders that the operator allows workspaces to use: tenants share the account, so nobody may send in
/// another's name. Never shown to workspaces, since an entry may be another tenant's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSenders {
    /// Addresses that e-mails may come from.
    pub email: Vec<String>,
    /// Names and numbers that texts may come from.
    pub sms: Vec<String>,
}

/// A sender that the operator does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderNotAllowed;

impl SenderNotAllowed {
    /// Stable code, of a field and of a message that was not sent.
    pub const CODE: &'static str = "sender_not_allowed";
}

impl AllowedSenders {
    /// The sender address of a workspace's e-mails, as the operator writes it; `None` for the deployment's own.
    ///
    /// # Errors
    /// The operator does not allow it, or no longer does.
    pub fn email<'a>(&'a self, settings: &WorkspaceSettings) -> Result<Option<&'a str>, SenderNotAllowed> {
        find_allowed(&self.email, settings.sender.as_deref())
    }

    /// The sender of a workspace's texts, as the operator writes it; `None` to let the network choose.
    ///
    /// # Errors
    /// The operator does not allow it, or no longer does.
    pub fn sms<'a>(&'a self, settings: &WorkspaceSettings) -> Result<Option<&'a str>, SenderNotAllowed> {
        find_allowed(&self.sms, settings.sms_sender.as_deref())
    }

    /// Records an error for each sender of an edit that the operator does not allow.
    pub fn check(&self, edit: &WorkspaceEdit, fields: &mut Fields) {
        let requested = [("sender", &self.email, &edit.sender), ("sms_sender", &self.sms, &edit.sms_sender)];
        for (field, list, sender) in requested {
            let sender = sender.as_ref().and_then(Option::as_deref);
            if find_allowed(list, sender).is_err() {
                fields.add_error(field, SenderNotAllowed::CODE, "must be one of the senders that the operator allows");
            }
        }
    }
}

fn find_allowed<'a>(list: &'a [String], requested: Option<&str>) -> Result<Option<&'a str>, SenderNotAllowed> {
    let Some(requested) = requested else {
        return Ok(None);
    };
    let same = |find_allowed: &&String| find_allowed.eq_ignore_ascii_case(requested);
    list.iter().find(same).map(|find_allowed| Some(find_allowed.as_str())).ok_or(SenderNotAllowed)
}

/// A sender of texts: an alphanumeric name as GSM allows (3GPP TS 23.040, 9.1.2.5: 11 characters), with a
/// letter as Amazon SNS requires, or an own number.
const SMS_SENDER: TextRule = TextRule::new(Form::Ascii, 1, 16);

fn read_sms_sender(fields: &mut Fields) -> Option<Option<String>> {
    let sender = fields.text_edit("sms_sender", SMS_SENDER)?;
    let is_name = |text: &str| {
        text.len() <= 11
            && text.chars().all(|c| c.is_ascii_alphanumeric())
            && text.chars().any(|c| c.is_ascii_alphabetic())
    };
    match sender {
        Some(text) if !is_name(&text) && MOBILE.read(&text).is_err() => {
            let detail = "must be a name of at most 11 letters and digits, or a number such as +49 170 1234567";
            fields.add_error("sms_sender", "invalid_format", detail);
            None
        }
        Some(text) => Some(Some(MOBILE.read(&text).unwrap_or(text))),
        None => Some(None),
    }
}

fn read_number(fields: &mut Fields, name: &str, (min, max): (u32, u32)) -> Option<Option<u32>> {
    let number = fields.integer_edit(name, min.into(), max.into())?;
    Some(number.and_then(|number| u32::try_from(number).ok()))
}

fn read_silent_rule(fields: &mut Fields) -> Option<Option<SilentRule>> {
    if fields.is_null("silent_devices") {
        return Some(None);
    }
    let mut inner = fields.object("silent_devices")?;
    let after_days = inner.integer("after_days", SILENT_DAYS.0, SILENT_DAYS.1);
    inner.require("after_days");
    let action = inner.required_enum("action");
    fields.take_errors_of("silent_devices", inner);
    Some(Some(SilentRule { after_days: after_days?, action: action? }))
}

fn read_pin_limit(fields: &mut Fields) -> Option<Option<u32>> {
    let limit = fields.integer_edit("pin_limit", 0, PIN_FAILURES.1)?;
    if limit.is_some_and(|limit| (1..PIN_FAILURES.0).contains(&limit)) {
        let detail = format!("must be 0 for never, or from {} to {}", PIN_FAILURES.0, PIN_FAILURES.1);
        fields.add_error("pin_limit", "out_of_range", detail);
        return None;
    }
    Some(limit.and_then(|limit| u32::try_from(limit).ok()))
}

fn read_service_levels(fields: &mut Fields) -> Option<BTreeSet<String>> {
    if fields.is_null("service_levels") {
        return Some(BTreeSet::new());
    }
    let levels: BTreeSet<String> = fields.texts("service_levels", SERVICE_LEVEL)?.into_iter().collect();
    if levels.len() > SERVICE_LEVEL_LIMIT {
        fields.add_error("service_levels", "too_many", format!("must be at most {SERVICE_LEVEL_LIMIT}"));
        return None;
    }
    Some(levels)
}

/// A version that begins with a number, such as `17.5`.
const MINIMUM_VERSION: TextRule = TextRule::new(Form::Ascii, 1, 32);

fn read_minimum_versions(fields: &mut Fields) -> Option<MinimumVersions> {
    if fields.is_null("minimum_versions") {
        return Some(MinimumVersions::default());
    }
    let mut inner = fields.object("minimum_versions")?;
    let versions = MinimumVersions {
        app: read_minimum(&mut inner, "app"),
        ios: read_minimum(&mut inner, "ios"),
        android: read_minimum(&mut inner, "android"),
    };
    inner.deny_unknown();
    fields.take_errors_of("minimum_versions", inner);
    Some(versions)
}

fn read_minimum(fields: &mut Fields, name: &str) -> Option<String> {
    let version = fields.text(name, MINIMUM_VERSION)?;
    let is_version = version.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if !is_version {
        fields.add_error(name, "invalid_format", "must be a version number such as 17.5");
        return None;
    }
    Some(version)
}
