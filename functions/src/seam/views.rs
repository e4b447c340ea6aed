//! JSON views in Seam's schema.

use aws::DeviceDetails;
use domain::Time;
use domain::models::credential::{Service, ServiceKind};
use domain::models::device::{Device, DeviceAttachments};
use domain::models::event::Event;
use domain::models::user::User;
use domain::models::webhook::PHONE_DEACTIVATED;
use domain::models::workspace::{Workspace, WorkspaceSettings};
use domain::rules::health::{Issue, health};
use domain::states::Platform;
use serde_json::{Map, Value, json};

/// A phone with the data of its views.
pub(super) struct SeamViewContext<'a> {
    /// The phone.
    pub device: &'a Device,
    /// Its attachments, if any.
    pub attachments: Option<&'a DeviceAttachments>,
    /// Settings of its workspace.
    pub settings: &'a WorkspaceSettings,
    /// Current time.
    pub now: Time,
}

/// A phone as `phones/get` shows it.
pub(super) fn phone_of(details: &DeviceDetails, now: Time) -> Value {
    with_known(details, now, phone)
}

/// A phone as `devices/get` shows it.
pub(super) fn device_of(details: &DeviceDetails, now: Time) -> Value {
    with_known(details, now, device)
}

fn with_known(details: &DeviceDetails, now: Time, view: impl Fn(&SeamViewContext<'_>) -> Value) -> Value {
    let settings = details.settings();
    view(&SeamViewContext {
        device: &details.device,
        attachments: details.attachments.as_ref(),
        settings: &settings,
        now,
    })
}

/// Seam's device type of a platform.
pub(super) fn device_type(platform: Platform) -> &'static str {
    match platform {
        Platform::Ios => "ios_phone",
        // Third-party apps are no phones and are not listed.
        Platform::Android | Platform::ThirdParty | Platform::Unknown(_) => "android_phone",
    }
}

/// A phone.
pub(super) fn phone(known: &SeamViewContext<'_>) -> Value {
    let device = known.device;
    let health = health(device, known.attachments, known.settings, known.now);
    let mut view = json!({
        "device_id": device.device_id,
        "device_type": device_type(device.platform),
        "display_name": device.display_name(),
        "workspace_id": device.workspace_id,
        "created_at": device.created_at,
        "custom_metadata": known.attachments.map_or_else(|| json!({}), |known| json!(known.metadata)),
        "errors": remarks("error_code", &health.errors),
        "warnings": remarks("warning_code", &health.warnings),
        "properties": properties(known),
    });
    if let Some(nickname) = &device.nickname {
        view["nickname"] = nickname.as_str().into();
    }
    view
}

fn remarks(code: &str, remarks: &[Issue]) -> Value {
    let view = |remark: &Issue| json!({code: remark.code, "message": remark.message, "created_at": remark.created_at});
    remarks.iter().map(view).collect()
}

/// Metadata of the credential services that have reported on the phone.
fn properties(known: &SeamViewContext<'_>) -> Map<String, Value> {
    let services = known.attachments.into_iter().flat_map(|known| &known.services);
    services
        .filter_map(|(kind, service)| match kind {
            ServiceKind::AssaAbloy => Some(("assa_abloy_credential_service_metadata".to_owned(), endpoints(service))),
            ServiceKind::SaltoSpace => Some((
                "salto_space_credential_service_metadata".to_owned(),
                json!({"has_active_phone": service.is_active()}),
            )),
            ServiceKind::Unknown(_) => None,
        })
        .collect()
}

fn endpoints(service: &Service) -> Value {
    let endpoint = |(id, active): (&String, &bool)| json!({"endpoint_id": id, "is_active": active});
    json!({
        "endpoints": service.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "has_active_endpoint": service.is_active(),
    })
}

/// A phone as a Seam device: the phone, with the properties of every device.
pub(super) fn device(known: &SeamViewContext<'_>) -> Value {
    let device = known.device;
    let mut view = phone(known);
    view["capabilities_supported"] = json!([]);
    view["is_managed"] = true.into();
    view["space_ids"] = json!([]);
    let properties = &mut view["properties"];
    properties["online"] = device.last_login_at.is_some().into();
    properties["name"] = device.display_name().into();
    properties["appearance"] = json!({"name": device.model_name});
    properties["model"] =
        json!({"display_name": device.model_name, "manufacturer_display_name": creator(device.platform)});
    view
}

fn creator(platform: Platform) -> &'static str {
    match platform {
        Platform::Ios => "Apple",
        Platform::Android => "Android",
        Platform::ThirdParty | Platform::Unknown(_) => "",
    }
}

/// Deactivation of a phone, with its custom metadata if known.
pub(crate) fn phone_deactivated(event: &Event, attachments: Option<&DeviceAttachments>) -> Value {
    let mut view = json!({
        "event_id": event.event_id,
        "event_type": PHONE_DEACTIVATED,
        "event_description": "A phone was deactivated.",
        "workspace_id": event.workspace_id,
        "device_id": event.device_id,
        "created_at": event.created_at,
        "occurred_at": event.created_at,
    });
    if let Some(known) = attachments.filter(|known| !known.metadata.is_empty()) {
        view["device_custom_metadata"] = json!(known.metadata);
    }
    view
}

/// A user.
pub(super) fn user_identity(user: &User) -> Value {
    let full_name = user.full_name();
    let shown = [full_name.as_deref(), user.email.as_deref(), user.mobile.as_deref()];
    json!({
        "user_identity_id": user.user_id,
        "user_identity_key": user.user_identity_key,
        "email_address": user.email,
        "phone_number": user.mobile,
        "display_name": shown.into_iter().flatten().next().unwrap_or(&user.username),
        "full_name": full_name,
        "created_at": user.created_at,
        "workspace_id": user.workspace_id,
        "errors": [],
        "warnings": [],
        "acs_user_ids": [],
        "merged_user_identity_ids": [],
        "merged_user_identity_keys": [],
    })
}

/// A workspace.
pub(super) fn workspace(workspace: &Workspace) -> Value {
    json!({
        "workspace_id": workspace.workspace_id,
        "name": workspace.name,
        "company_name": workspace.name,
        "is_sandbox": workspace.sandbox,
        "is_suspended": false,
        "connect_webview_customization": {},
        "connect_partner_name": null,
        "is_publishable_key_auth_enabled": false,
        "organization_id": null,
    })
}
