//! The workspace and its settings.

use domain::models::offer::Channel;
use domain::models::workspace::{self, DEFAULT_PIN_LIMIT, SilentAction};
use domain::{Time, WorkspaceId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::settings::OperatorSettings;
use crate::views::{Creator, DeviceSummary};

/// A tenant and its settings; a setting that it does not have is the deployment's.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Workspace {
    /// Identifier of the workspace.
    workspace_id: WorkspaceId,
    /// Name of the workspace.
    name: String,
    /// Whether it is a workspace for trying things out.
    sandbox: bool,
    /// Time of the creation.
    created_at: Time,
    /// Days for which deleted devices and users are kept.
    #[schemars(range(min = 0))]
    retention_days: i64,
    /// Days for which an invitation is valid.
    #[schemars(range(min = 0))]
    invitation_days: i64,
    /// Minutes between two check-ins of a phone.
    check_in_minutes: u32,
    /// Sender address of its e-mails, one that the operator allows.
    sender: Option<String>,
    /// Sender of its text messages: a name of at most 11 letters and digits, or a number, that the operator allows.
    sms_sender: Option<String>,
    /// Most e-mails a day (UTC).
    emails_per_day: u32,
    /// Most text messages a day (UTC).
    texts_per_day: u32,
    /// What happens to devices without a check-in for long; `null` for nothing.
    silent_devices: Option<SilentRule>,
    /// State of that rule; `null` if there is none.
    silent_rule: Option<SilentRuleState>,
    /// Wrong PINs in a row that lock a user; 0 for never.
    pin_limit: u32,
    /// Service levels that a user may have.
    service_levels: Vec<String>,
    /// Oldest versions that cause no warning.
    minimum_versions: MinimumVersions,
}

/// A workspace, as a change would leave it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WorkspacePreview {
    #[serde(flatten)]
    pub workspace: Workspace,
    /// What the rule for silent devices would do now.
    pub preview: SilentDevices,
}

/// Devices that the rule for silent devices applies to.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct SilentDevices {
    /// The first of these devices.
    pub devices: Vec<DeviceSummary>,
    /// Whether there are more than are shown.
    pub more: bool,
}

/// Answer to a change of the workspace.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum ChangedWorkspace {
    Changed(Workspace),
    Preview(WorkspacePreview),
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct SilentRule {
    /// Days without a check-in after which the rule applies.
    #[schemars(range(min = 0))]
    after_days: i64,
    /// What happens to these devices.
    action: SilentAction,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct SilentRuleState {
    /// Who set the rule, which acts in their name; `null` for one of an earlier release, which is paused until it is
    /// set again.
    set_by: Option<Creator>,
    /// Time at which the rule was paused because whoever set it no longer has the permissions that it needs. It goes on
    /// once somebody sets it again.
    paused_at: Option<Time>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct MinimumVersions {
    /// Oldest version of the app.
    app: Option<String>,
    /// Oldest version of iOS.
    ios: Option<String>,
    /// Oldest version of Android.
    android: Option<String>,
}

impl Workspace {
    pub fn new(workspace: &workspace::Workspace, operator: &OperatorSettings) -> Self {
        let settings = &workspace.settings;
        Self {
            workspace_id: workspace.workspace_id,
            name: workspace.name.clone(),
            sandbox: workspace.sandbox,
            created_at: workspace.created_at,
            retention_days: settings.retention(operator.retention).num_days(),
            invitation_days: settings.invitation_lifetime(operator.invitation_lifetime).num_days(),
            check_in_minutes: settings.check_in_minutes.unwrap_or(operator.check_in_minutes),
            sender: settings.sender.clone().or_else(|| operator.sender.clone()),
            sms_sender: settings.sms_sender.clone(),
            emails_per_day: operator.messages.per_day(Channel::Email, settings),
            texts_per_day: operator.messages.per_day(Channel::Sms, settings),
            silent_devices: settings
                .silent_devices
                .as_ref()
                .map(|rule| SilentRule { after_days: rule.after_days, action: rule.action }),
            silent_rule: settings.silent_devices.as_ref().map(|_| SilentRuleState {
                set_by: workspace.silent_rule_by.map(Creator::from),
                paused_at: workspace.silent_rule_paused_at,
            }),
            pin_limit: settings.pin_limit.unwrap_or(DEFAULT_PIN_LIMIT),
            service_levels: settings.service_levels.iter().cloned().collect(),
            minimum_versions: (&settings.minimum_versions).into(),
        }
    }
}

impl From<&workspace::MinimumVersions> for MinimumVersions {
    fn from(versions: &workspace::MinimumVersions) -> Self {
        Self { app: versions.app.clone(), ios: versions.ios.clone(), android: versions.android.clone() }
    }
}
