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
use crate::rules::change::RowChange;
use crate::rules::context::EventContext;

impl Device {
    pub(crate) fn event(&self, event_type: EventType, context: &EventContext) -> Event {
        context.event(event_type).with_device(self.device_id, self.user_id)
    }
}

/// The device blocked, with the event; `None` if it is blocked already, whatever the reason.
///
/// # Errors
/// `DeviceDeleted`.
pub fn block(
    device: &Device,
    reason: Option<String>,
    context: &EventContext,
) -> Result<Option<(Device, Event)>, DomainError> {
    device.require_not_deleted()?;
    if device.blocked.is_some() {
        return Ok(None);
    }
    let mut blocked = device.clone();
    blocked.blocked = Some(Restriction::by(context, reason.clone()));
    let mut event = device.event(EventType::DeviceBlocked, context);
    event.add_change("blocked", false, true);
    event.private.reason = reason;
    Ok(Some((blocked, event)))
}

/// The device unblocked, with the event; `None` if it is not blocked.
///
/// # Errors
/// `DeviceDeleted`.
pub fn unblock(
    device: &Device,
    reason: Option<String>,
    context: &EventContext,
) -> Result<Option<(Device, Event)>, DomainError> {
    device.require_not_deleted()?;
    if device.blocked.is_none() {
        return Ok(None);
    }
    let mut unblocked = device.clone();
    unblocked.blocked = None;
    let mut event = device.event(EventType::DeviceUnblocked, context);
    event.add_change("blocked", true, false);
    event.private.reason = reason;
    Ok(Some((unblocked, event)))
}

/// Everything that a delete changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// The device, deleted.
    pub device: Device,
    /// Its user, with the slot free.
    pub user: User,
    /// Its identifier, no longer held.
    pub claim: IdentifierClaim,
    /// The wipe that it could not do, or would not, which it is told of again.
    pub wipe: Option<RowChange<Command>>,
    /// The event.
    pub event: Event,
}

/// The device deleted, for good; `None` if it is deleted already. Its row stays until the later
/// of the retention time and the end of its last pending command. `unconfirmed` is the command that
/// [`Device::unconfirmed`] names: one that the device could not do, or would not, is told of again.
#[must_use]
pub fn delete(
    device: &Device,
    user: &User,
    claim: &IdentifierClaim,
    unconfirmed: Option<&Command>,
    retention: Duration,
    context: &EventContext,
) -> Option<Deletion> {
    if device.deleted.is_some() {
        return None;
    }
    let mut deletion = Deletion {
        device: device.clone(),
        user: user.clone(),
        claim: claim.clone(),
        wipe: None,
        event: device.event(EventType::DeviceDeleted, context),
    };
    let again = unconfirmed.and_then(|command| Some((command, command.told_again(device, context.at)?)));
    if let Some((command, again)) = again {
        deletion.device.commands.push(OpenCommand::from(&again));
        // They are told in the order in which they were given.
        deletion.device.commands.sort_by_key(|open| open.command_id);
        deletion.device.unconfirmed = None;
        deletion.wipe = Some(RowChange::from(command.clone(), again));
    }
    let open = deletion.device.commands.iter();
    let purge_after = open.map(|open| open.expires_at).fold(context.at.plus(retention), Time::max);
    deletion.device.deleted = Some(Deleted { at: context.at, by: context.actor, purge_after });
    deletion.user.device_ids.remove(&device.device_id);
    if deletion.device.unconfirmed_wipe().is_some() {
        deletion.user.leave_behind(&deletion.device);
    }
    deletion.claim.held = false;
    deletion.event.add_change("status", Status::Active.as_str(), Status::Deleted.as_str());
    // What the record says of a device that is gone, for whoever cares for phones alone.
    deletion.event.add_change("platform", device.platform.as_str(), Value::Null);
    Some(deletion)
}

/// The event of a purge, if the device may be purged now: not before the last of its commands is
/// over.
#[must_use]
pub fn purge(device: &Device, context: &EventContext) -> Option<Event> {
    let deleted = device.deleted.as_ref()?;
    (deleted.purge_after <= context.at && device.commands.is_empty())
        .then(|| device.event(EventType::DevicePurged, context))
}

/// The device and what belongs to it after an edit, with the event; `None` if nothing changes.
///
/// # Errors
/// `DeviceDeleted`; a fault of `custom_metadata` if it would have more than [`METADATA_KEYS`] keys.
pub fn edit(
    device: &Device,
    attachments: &DeviceAttachments,
    edit: &Edit,
    context: &EventContext,
) -> Result<Option<(Device, DeviceAttachments, Event)>, DomainError> {
    device.require_not_deleted()?;
    let mut edited = device.clone();
    let mut after = attachments.clone();
    let mut event = device.event(EventType::DeviceUpdated, context);
    if let Some(nickname) = &edit.nickname
        && *nickname != device.nickname
    {
        edited.nickname.clone_from(nickname);
        event.add_changed_field("nickname");
    }
    for (key, value) in &edit.metadata {
        let before = after.metadata.get(key).cloned().unwrap_or(Value::Null);
        if before != *value {
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
    if after != *attachments {
        event.add_changed_field("custom_metadata");
    }
    let changed = !event.changed_fields.is_empty();
    Ok(changed.then_some((edited, after, event)))
}
