//! Access credentials issued to devices, and the reports of credential services.

use serde_json::Value;

use crate::error::DomainError;
use crate::ids::CredentialId;
use crate::models::credential::{CREDENTIAL_LIMIT, Problem, Report, Service, ServiceKind};
use crate::models::device::{Device, DeviceAttachments};
use crate::models::event::{Event, EventType};
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;

/// A change of a device's attachments; of its own row, only the version changes.
fn attached(device: &Device, before: Option<&DeviceAttachments>, after: DeviceAttachments, event: Event) -> ChangeSet {
    ChangeSet {
        devices: vec![RowChange::from(device.clone(), device.clone())],
        attachments: vec![RowChange { before: before.cloned(), after }],
        ..ChangeSet::with_event(event)
    }
}

impl DeviceAttachments {
    /// Adds the credentials that end with the device to the event of its deletion.
    pub fn revoked_in(&self, event: &mut Event) {
        let ids: Vec<String> = self.credentials.keys().map(ToString::to_string).collect();
        if !ids.is_empty() {
            event.add_change("acs_credential_ids", ids, Vec::<String>::new());
        }
    }
}

/// Records a credential issued to a device; `None` if it is already recorded.
///
/// # Errors
/// `DeviceDeleted`; a field error of `acs_credential_id` if the device already has [`CREDENTIAL_LIMIT`].
pub fn issue(
    device: &Device,
    attachments: Option<&DeviceAttachments>,
    id: CredentialId,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    device.require_not_deleted()?;
    let mut after = DeviceAttachments::of(device, attachments);
    if after.credentials.contains_key(&id) {
        return Ok(None);
    }
    if after.credentials.len() >= CREDENTIAL_LIMIT {
        let detail = format!("the device already has {CREDENTIAL_LIMIT} credentials, the most allowed");
        return Err(DomainError::field("acs_credential_id", "too_many", detail));
    }
    after.credentials.insert(id, context.at);
    let event = credential_event(device, EventType::DeviceCredentialIssued, id, context);
    Ok(Some(attached(device, attachments, after, event)))
}

/// Records that a credential was revoked; `None` if the device does not have it.
///
/// # Errors
/// `DeviceDeleted`.
pub fn revoke(
    device: &Device,
    attachments: Option<&DeviceAttachments>,
    id: CredentialId,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    device.require_not_deleted()?;
    let mut after = DeviceAttachments::of(device, attachments);
    if after.credentials.remove(&id).is_none() {
        return Ok(None);
    }
    let event = credential_event(device, EventType::DeviceCredentialRevoked, id, context);
    Ok(Some(attached(device, attachments, after, event)))
}

fn credential_event(device: &Device, event_type: EventType, id: CredentialId, context: &EventContext) -> Event {
    let mut event = device.event(event_type, context);
    let id = id.to_string();
    match event_type {
        EventType::DeviceCredentialIssued => event.add_change("acs_credential_id", None::<String>, id),
        _ => event.add_change("acs_credential_id", id, None::<String>),
    }
    event
}

/// Records a credential service's report on a device; `None` if nothing changes.
///
/// # Errors
/// `DeviceDeleted`.
pub fn report(
    device: &Device,
    attachments: Option<&DeviceAttachments>,
    kind: ServiceKind,
    report: &Report,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    device.require_not_deleted()?;
    let mut after = DeviceAttachments::of(device, attachments);
    let known = after.services.get(&kind).cloned();
    let before = known.clone().unwrap_or_default();
    let same = |problem: &&Problem| Some(&problem.message) == report.problem.as_ref();
    let problem = match before.problem.as_ref().filter(same) {
        Some(known) => Some(known.clone()),
        None => report.problem.clone().map(|message| Problem { message, since: context.at }),
    };
    let service = Service { endpoints: report.endpoints.clone(), problem };
    if known.as_ref() == Some(&service) {
        return Ok(None);
    }
    let mut event = device.event(EventType::DeviceServiceReported, context);
    event.add_change("service", Value::Null, kind.as_str());
    event.add_change("has_active_endpoint", before.is_active(), service.is_active());
    event.add_change("problem", before.problem.is_some(), service.problem.is_some());
    after.services.insert(kind, service);
    Ok(Some(attached(device, attachments, after, event)))
}
