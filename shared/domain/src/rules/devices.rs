//! Blocking, unblocking, editing, deleting and purging a device.

use chrono::Duration;
use serde_json::Value;

use crate::clock::Time;
use crate::error::DomainError;
use crate::models::command::{Command, OpenCommand};
use crate::models::device::{Device, DeviceAttachments, Edit, IdentifierClaim, METADATA_KEYS, Status};
use crate::models::event::{Event, EventType};
use crate::models::restriction::{Deleted, Restriction};
use crate::models::user::User;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;

impl Device {
    pub(crate) fn event(&self, event_type: EventType, context: &EventContext) -> Event {
        context.event(event_type).with_device(self.device_id, self.user_id)
    }
}

/// Blocks a device; `None` if it is already blocked, even for another reason.
///
/// # Errors
/// `DeviceDeleted`.
pub fn block(
    device: &Device,
    reason: Option<String>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    device.require_not_deleted()?;
    if device.blocked.is_some() {
        return Ok(None);
    }
    let blocked = Some(Restriction::by(context, reason.clone()));
    let mut event = device.event(EventType::DeviceBlocked, context);
    event.add_change("blocked", false, true);
    event.private.reason = reason;
    Ok(Some(changed(device, Device { blocked, ..device.clone() }, event)))
}

/// Unblocks a device; `None` if it is not blocked.
///
/// # Errors
/// `DeviceDeleted`.
pub fn unblock(
    device: &Device,
    reason: Option<String>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    device.require_not_deleted()?;
    if device.blocked.is_none() {
        return Ok(None);
    }
    let mut event = device.event(EventType::DeviceUnblocked, context);
    event.add_change("blocked", true, false);
    event.private.reason = reason;
    Ok(Some(changed(device, Device { blocked: None, ..device.clone() }, event)))
}

/// A change of a device's own row only.
pub(crate) fn changed(before: &Device, after: Device, event: Event) -> ChangeSet {
    ChangeSet { devices: vec![RowChange::from(before.clone(), after)], ..ChangeSet::with_event(event) }
}

/// A device to delete, with the rows that change with it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceToDelete {
    /// The device.
    pub device: Device,
    /// Claim of its identifier, which the deletion releases.
    pub claim: IdentifierClaim,
    /// The command that [`Device::unconfirmed`] names. A failed or rejected wipe is delivered again.
    pub unconfirmed: Option<Command>,
    /// Its attachments, if any: the event names the credentials that end.
    pub attachments: Option<DeviceAttachments>,
}

/// Deletes a device for good; `None` if it is already deleted. Its user can register another one at once. The row is
/// kept until the retention time has passed and its last pending command has expired.
#[must_use]
pub fn delete(
    leaving: &DeviceToDelete,
    user: &User,
    reason: Option<String>,
    retention: Duration,
    context: &EventContext,
) -> Option<ChangeSet> {
    let DeviceToDelete { device, claim, unconfirmed, attachments } = leaving;
    if device.deleted.is_some() {
        return None;
    }
    let (mut deleted, mut user_after) = (device.clone(), user.clone());
    let mut event = device.event(EventType::DeviceDeleted, context);
    let mut commands = Vec::new();
    let again = unconfirmed.as_ref().and_then(|command| Some((command, command.with_redelivery(device, context.at)?)));
    if let Some((command, again)) = again {
        deleted.commands.push(OpenCommand::from(&again));
        // Commands are delivered in the order in which they were queued.
        deleted.commands.sort_by_key(|open| open.command_id);
        deleted.unconfirmed = None;
        commands.push(RowChange::from(command.clone(), again));
    }
    let open = deleted.commands.iter();
    let purge_after = open.map(|open| open.expires_at).fold(context.at.plus(retention), Time::max);
    deleted.deleted = Some(Deleted { at: context.at, by: context.actor, purge_after });
    user_after.device_ids.remove(&device.device_id);
    user_after.last_seen_at = user_after.last_seen_at.max(device.last_login_at);
    if deleted.unconfirmed_wipe().is_some() {
        user_after.leave_behind(&deleted);
    }
    event.add_change("status", Status::Active.as_str(), Status::Deleted.as_str());
    // Whoever reads the event can tell phones from third-party devices although the row is gone.
    event.add_change("platform", device.platform.as_str(), Value::Null);
    if let Some(attachments) = attachments {
        attachments.revoked_in(&mut event);
    }
    event.private.reason = reason;
    Some(ChangeSet {
        user: Some(RowChange::from(user.clone(), user_after)),
        claims: vec![RowChange::from(claim.clone(), IdentifierClaim { held: false, ..claim.clone() })],
        commands,
        ..changed(device, deleted, event)
    })
}

/// The event of a purge, if the device may be purged now: its retention has ended and it has no open command.
#[must_use]
pub fn purge(device: &Device, context: &EventContext) -> Option<Event> {
    let deleted = device.deleted.as_ref()?;
    (deleted.purge_after <= context.at && device.commands.is_empty())
        .then(|| device.event(EventType::DevicePurged, context))
}

/// Edits a device and its attachments; `None` if nothing changes.
///
/// # Errors
/// `DeviceDeleted`; a field error of `custom_metadata` if it would have more than [`METADATA_KEYS`] keys.
pub fn edit(
    device: &Device,
    attachments: Option<&DeviceAttachments>,
    edit: &Edit,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    device.require_not_deleted()?;
    let mut edited = device.clone();
    let before = DeviceAttachments::of(device, attachments);
    let mut after = before.clone();
    let mut event = device.event(EventType::DeviceUpdated, context);
    if let Some(nickname) = &edit.nickname
        && *nickname != device.nickname
    {
        edited.nickname.clone_from(nickname);
        event.add_changed_field("nickname");
    }
    for (key, value) in &edit.metadata {
        let known = after.metadata.get(key).cloned().unwrap_or(Value::Null);
        if known != *value {
            event.private.metadata.insert(key.clone(), value.clone());
        }
        if value.is_null() {
            after.metadata.remove(key);
        } else {
            after.metadata.insert(key.clone(), value.clone());
        }
    }
    if after.metadata.len() > METADATA_KEYS {
        let detail = format!("must have at most {METADATA_KEYS} keys");
        return Err(DomainError::field("custom_metadata", "too_many", detail));
    }
    let attached = after != before;
    if attached {
        event.add_changed_field("custom_metadata");
    }
    if event.changed_fields.is_empty() {
        return Ok(None);
    }
    let mut change = changed(device, edited, event);
    if attached {
        change.attachments.push(RowChange { before: attachments.cloned(), after });
    }
    Ok(Some(change))
}
