//! Check-in: the app's login.

use crate::clock::Time;
use crate::error::DomainError;
use crate::input::Fields;
use crate::models::command::{Command, Trigger};
use crate::models::device::{CONFIG_VERSION, Device, DeviceAccess, PUSH_TOKEN, PushToken, VERSION};
use crate::models::event::EventType;
use crate::models::login_day::is_first_of_day;
use crate::models::push::Push;
use crate::models::usage::{Usage, UsageReport, UsageScope};
use crate::models::user::User;
use crate::models::workspace::WorkspaceSettings;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::commands::apply_to_all;
use crate::rules::context::EventContext;
use crate::rules::lifecycle::lock_by_pins;
use crate::secret::{DeviceCredential, Hash};
use crate::states::Platform;

/// The report of an app at check-in; fields left out are unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckInReport {
    /// See [`Device::os_version`].
    pub os_version: Option<String>,
    /// See [`Device::app_version`].
    pub app_version: Option<String>,
    /// The platform's push token.
    pub push_token: Option<String>,
    /// Number of wrong PINs in a row.
    pub pin_failures: Option<u32>,
    /// Usage since the previous report.
    pub usage: Option<UsageReport>,
    /// Version of the installed configuration.
    pub config_version: Option<String>,
}

/// The highest number of wrong PINs that a report may have.
const PIN_FAILURES_MOST: i64 = 1_000_000;

impl CheckInReport {
    /// Reads a report.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let os_version = fields.text("os_version", VERSION);
        let app_version = fields.text("app_version", VERSION);
        let push_token = fields.text("push_token", PUSH_TOKEN);
        let pin_failures = fields.integer("pin_failures", 0, PIN_FAILURES_MOST);
        let usage = UsageReport::read(&mut fields);
        let config_version = fields.text("config_version", CONFIG_VERSION);
        fields.finish().map_err(DomainError::Invalid)?;
        let pin_failures = pin_failures.and_then(|failures| u32::try_from(failures).ok());
        Ok(Self { os_version, app_version, push_token, pin_failures, usage, config_version })
    }
}

/// The result of a check-in.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckIn {
    /// Nothing to write, not even the time: the device has no access, and no command changes.
    AccessDenied,
    /// Only the time changes, but the conditional write did not see that: for example, a command is pending that was
    /// delivered before.
    OnlyTime,
    /// More than the time changes.
    Changed {
        /// The change to commit.
        change: Box<ChangeSet>,
        /// Change of the device's push token.
        token: Option<TokenChange>,
    },
}

/// The change of a device's push token by a check-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenChange {
    /// The app has sent another token.
    New(String),
    /// The token is unchanged; its endpoint must be enabled again.
    EnableAgain,
}

impl TokenChange {
    /// The change of the row with the token of `device`, given as it will be written; `None` if there is no token to
    /// enable again.
    #[must_use]
    pub fn of_row(self, before: Option<PushToken>, device: &Device, now: Time) -> Option<RowChange<PushToken>> {
        let after = match self {
            Self::New(token) => PushToken::new_for(device, token, before.as_ref(), now),
            Self::EnableAgain => before.clone()?.with_check_due(now),
        };
        Some(RowChange { before, after })
    }
}

/// The rows that a check-in must read, besides the device's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckInReads {
    /// Open commands of the device: at least one changes when it is delivered.
    pub commands: bool,
    /// User and the user's devices: more wrong PINs were entered, or a configuration was installed.
    pub user: bool,
    /// Settings of the workspace: for the user, and at the first check-in of the device's day.
    pub settings: bool,
}

/// The rows that a device's check-in needs.
#[must_use]
pub fn needs(device: &Device, report: &CheckInReport, now: Time) -> CheckInReads {
    let allowed = device.access() == DeviceAccess::Allowed;
    let user = allowed
        && (report.pin_failures.is_some_and(|failures| failures > device.pin_failures)
            || new_config(device, report).is_some());
    CheckInReads {
        commands: device.commands.iter().any(|open| open.changes_when_delivered(now)),
        user,
        settings: user || allowed && is_first_of_day(device.device_id, device.last_login_at, now),
    }
}

fn new_usage<'a>(device: &Device, report: &'a CheckInReport) -> Option<&'a UsageReport> {
    report.usage.as_ref().filter(|usage| usage.sequence > device.usage_sequence.unwrap_or(0))
}

fn new_config<'a>(device: &Device, report: &'a CheckInReport) -> Option<&'a String> {
    report.config_version.as_ref().filter(|version| device.is_newly_installed(version))
}

/// The rows read for a check-in, as [`needs`] requires.
#[derive(Clone, Debug, Default)]
pub struct CheckInState {
    /// Open commands of the device.
    pub commands: Vec<Command>,
    /// The user of the device.
    pub user: Option<CheckInUser>,
    /// Settings of the workspace.
    pub settings: Option<WorkspaceSettings>,
}

/// The user of a device that checks in.
#[derive(Clone, Debug)]
pub struct CheckInUser {
    /// The user.
    pub user: User,
    /// Their other devices.
    pub other_devices: Vec<Device>,
}

/// Authenticates a device by the row that its credential names.
///
/// # Errors
/// `ReEnrol` for the credential of an earlier enrolment, or of one that has ended; `CredentialInvalid` for any other
/// that does not match the row.
pub fn authenticate(device: Option<Device>, credential: &DeviceCredential) -> Result<Device, DomainError> {
    let device = device.ok_or(DomainError::CredentialInvalid)?;
    if credential.epoch < device.epoch {
        return Err(DomainError::ReEnrol);
    }
    if credential.epoch != device.epoch || device.credential_hash != credential.hash() {
        return Err(DomainError::CredentialInvalid);
    }
    if device.replaced || device.erased.is_some() {
        return Err(DomainError::ReEnrol);
    }
    Ok(device)
}

/// Authenticates a device that reports on a command: by its own row, or, after a re-enrolment, by the credential hash
/// kept with the command. An ended enrolment is accepted: a wiped device reports with the credential that the wipe has
/// ended.
///
/// # Errors
/// `ReEnrol`, `CredentialInvalid`.
pub fn authenticate_report(
    device: Option<&Device>,
    command: Option<&Command>,
    credential: &DeviceCredential,
) -> Result<(), DomainError> {
    let device = device.ok_or(DomainError::CredentialInvalid)?;
    let hash = Some(credential.hash());
    let own = credential.epoch == device.epoch && hash.as_ref() == Some(&device.credential_hash);
    let of_command =
        command.is_some_and(|command| command.epoch == credential.epoch && command.credential_hash == hash);
    match own || of_command {
        true => Ok(()),
        false if credential.epoch < device.epoch => Err(DomainError::ReEnrol),
        false => Err(DomainError::CredentialInvalid),
    }
}

/// Decides on a check-in that may change more than the time.
///
/// A device without access still receives its commands, but nothing of its report is stored.
#[must_use]
pub fn check_in(device: &Device, report: &CheckInReport, found: &CheckInState, context: &EventContext) -> CheckIn {
    let allowed = device.access() == DeviceAccess::Allowed;
    let mut change = ChangeSet::default();
    let mut after = device.clone();
    let mut token = None;
    if allowed {
        if let Some(settings) = &found.settings {
            after.check_in_minutes = settings.check_in_minutes;
        }
        token = noted(&mut after, report, &mut change, context);
        count(&mut after, report, &mut change, context.at);
        install(&mut after, report, found, &mut change, context);
    }
    let served = found.commands.iter().filter(|command| command.is_deliverable(context.at));
    let delivered = apply_to_all(&after, served, Trigger::Delivered, context);
    after = delivered.device;
    change.commands = delivered.commands;
    change.events.extend(delivered.events);
    if allowed {
        lock(&mut after, report, found, device.pin_failures, &mut change, context);
    }
    let is_counted = after.usage_sequence != device.usage_sequence;
    if change.events.is_empty() && !is_counted && after.check_in_minutes == device.check_in_minutes {
        return if allowed { CheckIn::OnlyTime } else { CheckIn::AccessDenied };
    }
    if allowed {
        after.last_login_at = Some(context.at);
        if let Some(user) = &mut change.user {
            user.after.last_seen_at = Some(context.at);
        }
    }
    change.devices.insert(0, RowChange::from(device.clone(), after));
    CheckIn::Changed { change: Box::new(change), token }
}

/// Stores the report's fields in the device; returns the change of its push token.
fn noted(
    after: &mut Device,
    report: &CheckInReport,
    change: &mut ChangeSet,
    context: &EventContext,
) -> Option<TokenChange> {
    let confirmed = after.enrolment.take().is_some();
    let kind = if confirmed { EventType::DeviceConfirmed } else { EventType::DeviceUpdated };
    let mut event = context.event(kind).with_device(after.device_id, after.user_id);
    if let Some(version) = &report.os_version {
        event.add_change("os_version", after.os_version.as_str(), version.as_str());
        after.os_version.clone_from(version);
    }
    if let Some(version) = &report.app_version {
        event.add_change("app_version", after.app_version.clone(), version.as_str());
        after.app_version = Some(version.clone());
    }
    if let Some(failures) = report.pin_failures {
        event.add_change("pin_failures", after.pin_failures, failures);
        after.pin_failures = failures;
    }
    let token = match (new_token(after, report), Push::re_enabled(after, context.at)) {
        (Some(token), _) => {
            event.add_changed_field("push_token");
            after.push_token_hash = Some(Hash::of(&token));
            after.push = Push::of_token(true, context.at);
            Some(TokenChange::New(token))
        }
        (None, Some(push)) => {
            event.add_change("push.reason", after.push.reason.as_str(), push.reason.as_str());
            after.push = push;
            Some(TokenChange::EnableAgain)
        }
        (None, None) => None,
    };
    if confirmed || !event.changes.is_empty() || !event.changed_fields.is_empty() {
        change.events.push(event);
    }
    token
}

/// Counts the reported usage, unless it was counted before: the device's row, which is written in the same commit, has
/// the sequence of the last report. Usage is its own history, so it makes no event.
fn count(after: &mut Device, report: &CheckInReport, change: &mut ChangeSet, now: Time) {
    let Some(usage) = new_usage(after, report) else {
        return;
    };
    let scopes = [UsageScope::User(after.user_id), UsageScope::shard_of(after.user_id)];
    let counted = scopes.into_iter().filter(|_| !usage.counts.is_empty());
    change.usage.extend(counted.map(|of| Usage::of_report(after.workspace_id, of, now, usage)));
    after.usage_sequence = Some(usage.sequence);
}

/// Records an installed configuration, new or installed again, on the user's row as well.
fn install(
    after: &mut Device,
    report: &CheckInReport,
    found: &CheckInState,
    change: &mut ChangeSet,
    context: &EventContext,
) {
    let Some(version) = new_config(after, report) else {
        return;
    };
    let mut event = context.event(EventType::DeviceConfigInstalled).with_device(after.device_id, after.user_id);
    event.add_change("config_version", after.config.clone(), version.as_str());
    *after = after.clone().with_installed_version(version);
    change.events.push(event);
    let user = found.user.as_ref().map(|found| &found.user);
    if let Some(user) = user.filter(|user| user.client.removed_at.is_none()) {
        let mut downloaded = user.clone();
        downloaded.client.downloaded_at = Some(context.at);
        change.user = Some(RowChange::from(user.clone(), downloaded));
    }
}

/// Locks the user if more wrong PINs were entered than the workspace allows.
fn lock(
    after: &mut Device,
    report: &CheckInReport,
    found: &CheckInState,
    before: u32,
    change: &mut ChangeSet,
    context: &EventContext,
) {
    let (Some(failures), Some(CheckInUser { user, other_devices }), Some(settings)) =
        (report.pin_failures, &found.user, &found.settings)
    else {
        return;
    };
    if failures <= before || !settings.locks_at(failures) {
        return;
    }
    let so_far = change.user_after().unwrap_or(user);
    let Some(locked) = lock_by_pins(so_far, other_devices, failures, context) else {
        return;
    };
    after.user_status = locked.user_after().map_or(after.user_status, User::status);
    change.user = locked.user.map(|locked| RowChange::from(user.clone(), locked.after));
    change.devices.extend(locked.devices);
    change.events.extend(locked.events);
}

fn new_token(device: &Device, report: &CheckInReport) -> Option<String> {
    let token = report.push_token.as_ref().filter(|_| device.platform != Platform::ThirdParty)?;
    (device.push_token_hash.as_ref() != Some(&Hash::of(token))).then(|| token.clone())
}
