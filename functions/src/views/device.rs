//! Devices.

use std::collections::BTreeMap;

use aws::DeviceDetails;
use domain::models::command::{CommandKind, OpenCommand, UnconfirmedWipe};
use domain::models::credential::{Service, ServiceKind};
use domain::models::device::{self, DeviceAccess, DeviceAttachments, DeviceStatus, Status};
use domain::models::push::{self, PushReason};
use domain::models::user::User;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::cadence::Cadence;
use domain::rules::health::{Issue, health};
use domain::states::{CommandState, Platform};
use domain::{CommandId, CredentialId, DeviceId, Time, UserId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use crate::views::Restriction;

/// A device, without its health and its attachments.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DeviceSummary {
    /// Identifier of the device.
    device_id: DeviceId,
    /// User who holds the device, or held it last.
    user_id: UserId,
    /// Name of that user; `null` once the user is purged.
    user_name: Option<String>,
    /// Identifier that the app gave its installation; it survives restarts.
    device_identifier: String,
    /// Platform of the app.
    platform: Platform,
    /// ARN of the push endpoint, if there is one.
    push_endpoint: Option<String>,
    /// Model of the phone.
    model_name: String,
    /// Name that an administrator gave the device.
    nickname: Option<String>,
    /// The nickname, or else the model.
    display_name: String,
    /// Version of iOS or Android.
    os_version: String,
    /// Version of the app.
    app_version: Option<String>,
    /// Overall status, for people.
    device_status: DeviceStatus,
    /// Whether the device is registered or deleted.
    status: Status,
    /// Time of the registration.
    created_at: Time,
    /// Time of the last check-in with access allowed.
    last_login_at: Option<Time>,
    /// The block, while the device is blocked.
    blocked: Option<Restriction>,
    /// Pending commands.
    commands: Vec<PendingCommand>,
    /// The wipe that was ordered and that the device has not confirmed, if there is one.
    unconfirmed_wipe: Option<PendingWipe>,
    /// Time of the last wipe or factory reset, until the device is enrolled again.
    erased_at: Option<Time>,
    /// Wrong PINs that were entered in a row.
    pin_failures: u32,
    /// Whether push notifications are in use.
    push: Push,
    /// Time of the deletion.
    deleted_at: Option<Time>,
    /// Earliest time at which a deleted device is removed for good.
    purge_after: Option<Time>,
}

/// A device in a list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DeviceListItem {
    #[serde(flatten)]
    device: DeviceSummary,
    /// What keeps the device from working.
    errors: Vec<Issue>,
    /// What somebody should look at.
    warnings: Vec<Issue>,
}

/// A device with everything that belongs to it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Device {
    #[serde(flatten)]
    device: DeviceListItem,
    /// The caller's own keys and values: at most 50 keys, each with a text of at most 500 characters or a boolean.
    #[schemars(schema_with = "metadata")]
    custom_metadata: BTreeMap<String, Value>,
    /// Access credentials that were issued to the device.
    acs_credentials: Vec<AcsCredential>,
    /// What the services that put credentials on phones report of the device.
    #[schemars(schema_with = "services")]
    credential_services: BTreeMap<String, CredentialService>,
}

/// A command that the device still has to carry out.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct PendingCommand {
    /// Identifier of the command.
    command_id: CommandId,
    /// Kind of command.
    kind: CommandKind,
    /// State of the command.
    state: CommandState,
    /// Time of the order.
    queued_at: Time,
    /// Time after which the command is no longer carried out.
    expires_at: Time,
    /// When the device is told again of a wipe that it could not carry out before it was deleted.
    again_at: Option<Time>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct PendingWipe {
    /// Identifier of the command.
    command_id: CommandId,
    /// State of the command.
    state: CommandState,
    /// Start of that state, or the time of the order.
    since: Time,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Push {
    /// Whether push notifications are in use.
    in_use: bool,
    /// Start of this state.
    since: Time,
    /// Why push notifications are in use, or are not.
    #[schemars(schema_with = "push_reasons")]
    reason: PushReason,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct AcsCredential {
    /// Identifier of the credential in the access system.
    acs_credential_id: CredentialId,
    /// Time of the issue.
    issued_at: Time,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct CredentialService {
    /// Whether one of its endpoints is active.
    has_active_endpoint: bool,
    /// All endpoints that the service knows on this device.
    endpoints: Vec<Endpoint>,
    /// Problem that the service reports, if any.
    problem: Option<ServiceProblem>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Endpoint {
    /// Identifier of the endpoint in the service.
    endpoint_id: String,
    /// Whether the endpoint is active.
    is_active: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ServiceProblem {
    /// The problem, in the service's words.
    message: String,
    /// Start of the problem.
    since: Time,
}

/// Answer to a registration.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct RegisteredDevice {
    /// The device.
    pub device: DeviceSummary,
    /// Credential of the device, shown this once.
    pub credential: String,
}

/// Answer to a check-in.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct CheckInResult {
    /// Whether the device may be used.
    access: DeviceAccess,
    /// Commands to carry out now.
    commands: Vec<ServedCommand>,
    /// Whether the app is to download its configuration now.
    download_config: bool,
    /// Seconds until the app checks in again, unless its user or a push wakes it before.
    check_in_after_seconds: u32,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ServedCommand {
    /// Identifier of the command.
    command_id: CommandId,
    /// Kind of command.
    kind: CommandKind,
    /// Time after which the command must not be carried out.
    expires_at: Time,
}

impl DeviceSummary {
    pub fn new(device: &device::Device, user_name: Option<String>, now: Time) -> Self {
        Self {
            device_id: device.device_id,
            user_id: device.user_id,
            user_name,
            device_identifier: device.device_identifier.clone(),
            platform: device.platform,
            push_endpoint: device.push_endpoint.clone(),
            model_name: device.model_name.clone(),
            nickname: device.nickname.clone(),
            display_name: device.display_name().to_owned(),
            os_version: device.os_version.clone(),
            app_version: device.app_version.clone(),
            device_status: device.device_status(now),
            status: device.status(),
            created_at: device.created_at,
            last_login_at: device.last_login_at,
            blocked: device.blocked.as_ref().map(Restriction::from),
            commands: device.pending_commands(now).map(PendingCommand::from).collect(),
            unconfirmed_wipe: device.unconfirmed_wipe().map(PendingWipe::from),
            erased_at: device.erased.as_ref().map(|erased| erased.at),
            pin_failures: device.pin_failures,
            push: push::Push::for_display(device).into(),
            deleted_at: device.deleted.as_ref().map(|deleted| deleted.at),
            purge_after: device.deleted.as_ref().map(|deleted| deleted.purge_after),
        }
    }
}

impl DeviceListItem {
    /// The device with its health, by the settings of its workspace.
    pub fn new(
        device: &device::Device,
        attachments: Option<&DeviceAttachments>,
        user_name: Option<String>,
        settings: &WorkspaceSettings,
        now: Time,
    ) -> Self {
        let health = health(device, attachments, settings, now);
        Self { device: DeviceSummary::new(device, user_name, now), errors: health.errors, warnings: health.warnings }
    }
}

impl Device {
    pub fn of(details: &DeviceDetails, now: Time) -> Self {
        let user_name = details.user.as_ref().map(User::name);
        Self::new(&details.device, details.attachments.as_ref(), user_name, &details.settings(), now)
    }

    /// The device with its attachments, by the settings of its workspace.
    pub fn new(
        device: &device::Device,
        attachments: Option<&DeviceAttachments>,
        user_name: Option<String>,
        settings: &WorkspaceSettings,
        now: Time,
    ) -> Self {
        // The deletion of a device revokes what was issued to it.
        let issued = attachments.filter(|_| device.deleted.is_none());
        let credentials = issued.map(|issued| &issued.credentials).into_iter().flatten();
        let services = issued.map(|issued| &issued.services).into_iter().flatten();
        Self {
            device: DeviceListItem::new(device, attachments, user_name, settings, now),
            custom_metadata: attachments.map(|known| known.metadata.clone()).unwrap_or_default(),
            acs_credentials: credentials
                .map(|(id, at)| AcsCredential { acs_credential_id: *id, issued_at: *at })
                .collect(),
            credential_services: services.map(|(kind, service)| (kind.to_string(), service.into())).collect(),
        }
    }
}

impl CheckInResult {
    /// `pending` is the device as it checked in, `device` as the check-in left it.
    pub fn new(pending: &device::Device, device: &device::Device, cadence: Cadence, now: Time) -> Self {
        let access = device.access();
        let deliverable = pending.commands.iter().filter(|open| open.is_deliverable(now));
        let commands: Vec<_> = deliverable.map(ServedCommand::from).collect();
        let download_config = access == DeviceAccess::Allowed && device.must_download();
        let is_awaited = download_config || !commands.is_empty();
        let check_in_after_seconds = cadence.check_in_after(device, is_awaited);
        Self { access, commands, download_config, check_in_after_seconds }
    }
}

impl From<&OpenCommand> for PendingCommand {
    fn from(open: &OpenCommand) -> Self {
        Self {
            command_id: open.command_id,
            kind: open.kind,
            state: open.state,
            queued_at: open.queued_at,
            expires_at: open.expires_at,
            again_at: open.again_at,
        }
    }
}

impl From<&OpenCommand> for ServedCommand {
    fn from(open: &OpenCommand) -> Self {
        Self { command_id: open.command_id, kind: open.kind, expires_at: open.expires_at }
    }
}

impl From<UnconfirmedWipe> for PendingWipe {
    fn from(wipe: UnconfirmedWipe) -> Self {
        Self { command_id: wipe.command_id, state: wipe.state, since: wipe.at }
    }
}

impl From<push::Push> for Push {
    fn from(push: push::Push) -> Self {
        Self { in_use: push.reason.in_use(), since: push.since, reason: push.reason }
    }
}

impl From<&Service> for CredentialService {
    fn from(service: &Service) -> Self {
        let endpoints = service.endpoints.iter();
        Self {
            has_active_endpoint: service.is_active(),
            endpoints: endpoints.map(|(id, active)| Endpoint { endpoint_id: id.clone(), is_active: *active }).collect(),
            problem: service
                .problem
                .as_ref()
                .map(|problem| ServiceProblem { message: problem.message.clone(), since: problem.since }),
        }
    }
}

fn metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": ["string", "boolean"]}})
}

fn services(generator: &mut SchemaGenerator) -> Schema {
    let mut described = |kind: &ServiceKind| {
        let mut service = generator.subschema_for::<CredentialService>();
        service.insert("description".to_owned(), format!("{}.", kind.name()).into());
        (kind.as_str(), service)
    };
    let services: BTreeMap<&str, Schema> = ServiceKind::ALL.iter().map(&mut described).collect();
    json_schema!({"type": "object", "properties": services})
}

/// Only the reasons that are shown: others are stored.
fn push_reasons(_: &mut SchemaGenerator) -> Schema {
    let reasons: Vec<_> = PushReason::ALL.iter().filter(|reason| reason.displayed() == **reason).collect();
    json_schema!({"type": "string", "x-extensible-enum": reasons})
}
