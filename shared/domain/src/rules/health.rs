//! Errors and warnings about a device, computed from its data, each with its start.

use chrono::Duration;
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Time;
use crate::models::command::CommandKind;
use crate::models::device::{Device, DeviceAttachments, SILENT_AFTER_DAYS};
use crate::models::push::{Push, PushReason};
use crate::models::workspace::WorkspaceSettings;
use crate::states::Platform;
use crate::versions::is_older;

/// Something that is wrong with a device, or that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Issue {
    /// Stable code for programs.
    pub code: &'static str,
    /// What it is, for people. Holds nothing personal.
    pub message: String,
    /// Start of it, as far as it is known.
    pub created_at: Time,
}

/// Errors and warnings of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Problems that keep the device from working.
    pub errors: Vec<Issue>,
    /// Problems that somebody should look at; the device still works.
    pub warnings: Vec<Issue>,
}

/// Health of a device, from its own row, the reports of credential services and the settings of its workspace. A
/// deleted device has at most one error: that it could not be wiped.
#[must_use]
pub fn health(
    device: &Device,
    attachments: Option<&DeviceAttachments>,
    settings: &WorkspaceSettings,
    now: Time,
) -> Health {
    if device.deleted.is_some() {
        let not_wiped = device.unconfirmed_wipe().and(failed_command(device));
        let not_wiped = not_wiped.filter(|_| device.failed.is_some_and(|failed| failed.kind.is_wipe(true)));
        return Health { errors: not_wiped.into_iter().collect(), warnings: Vec::new() };
    }
    let errors = [failed_command(device)];
    let warnings = [
        push(device),
        app_version(device, settings),
        os_version(device, settings),
        silent(device, settings, now),
        configuration(device),
    ];
    let problems = attachments.into_iter().flat_map(|known| known.services.iter()).filter_map(|(kind, service)| {
        let problem = service.problem.as_ref()?;
        let message = format!("{kind}: {}", problem.message);
        Some(Issue { code: "unknown_issue_with_phone", message, created_at: problem.since })
    });
    Health {
        errors: errors.into_iter().flatten().collect(),
        warnings: warnings.into_iter().flatten().chain(problems).collect(),
    }
}

fn failed_command(device: &Device) -> Option<Issue> {
    let failed = device.failed?;
    let message = format!("{} failed.", spoken(failed.kind));
    Some(Issue { code: "command_failed", message, created_at: failed.at })
}

/// A kind of command for display, such as "Factory reset".
fn spoken(kind: CommandKind) -> String {
    let words = kind.as_str().replace('_', " ");
    let (first, rest) = words.split_at(words.len().min(1));
    format!("{}{rest}", first.to_uppercase())
}

/// Only iOS and Android devices have push.
fn push(device: &Device) -> Option<Issue> {
    if !device.platform.is_phone() {
        return None;
    }
    let push = Push::for_display(device);
    let why = match push.reason {
        PushReason::EndpointReady | PushReason::EnabledAgain => return None,
        PushReason::NoToken => "the app has sent no push token",
        PushReason::EndpointPending | PushReason::EnablingAgain => "they are being set up",
        PushReason::PlatformOff => "they are not set up for this platform",
        PushReason::TokenRefused => "the push service rejected the app's token",
        PushReason::EndpointDisabled | PushReason::DisabledAgain => {
            "the push service says that the app's token no longer works"
        }
        PushReason::DeliveryFailed => "the push service could not deliver",
        PushReason::DeviceDeleted => "the device is deleted",
        PushReason::DeviceErased => "the device was erased",
        PushReason::Unknown(reason) => reason.as_str(),
    };
    let message = format!("Push notifications are not in use: {why}.");
    Some(Issue { code: "push_not_in_use", message, created_at: push.since })
}

fn app_version(device: &Device, settings: &WorkspaceSettings) -> Option<Issue> {
    let least = settings.minimum_versions.app.as_deref()?;
    let version = device.app_version.as_deref()?;
    let message = format!("The app is version {version}; the workspace requires {least} or newer.");
    is_older(version, least).then(|| remark_of_version(device, "app_version_too_old", message))
}

fn os_version(device: &Device, settings: &WorkspaceSettings) -> Option<Issue> {
    let minimum = &settings.minimum_versions;
    let least = match device.platform {
        Platform::Ios => minimum.ios.as_deref()?,
        Platform::Android => minimum.android.as_deref()?,
        Platform::ThirdParty | Platform::Unknown(_) => return None,
    };
    let version = device.os_version.as_str();
    let message = format!("The operating system is version {version}; the workspace requires {least} or newer.");
    is_older(version, least).then(|| remark_of_version(device, "os_version_too_old", message))
}

/// The time of a version's first report is not stored, so the issue starts with the device's creation.
fn remark_of_version(device: &Device, code: &'static str, message: String) -> Issue {
    Issue { code, message, created_at: device.created_at }
}

fn silent(device: &Device, settings: &WorkspaceSettings, now: Time) -> Option<Issue> {
    let days = settings.silent_devices.as_ref().map_or(SILENT_AFTER_DAYS, |rule| rule.after_days);
    // A device without any check-in is not silent.
    let since = device.last_login_at?.plus(Duration::days(days));
    let message = format!("No check-in for more than {days} days.");
    (since < now).then_some(Issue { code: "silent", message, created_at: since })
}

fn configuration(device: &Device) -> Option<Issue> {
    let message = "Latest configuration not installed.".to_owned();
    let since = device.last_login_at.unwrap_or(device.created_at);
    device.must_download().then_some(Issue { code: "configuration_not_downloaded", message, created_at: since })
}
