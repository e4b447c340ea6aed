//! A user's lifecycle: active, suspended, locked, deleted, and what each step means for their devices.
//!
//! `inactive` → `active` ⇄ `suspended`; `locked` is independent of these; every state → `deleted`, which is final. An
//! admin and the user's source suspend independently, and each lifts only its own suspension, except that an admin who
//! activates a user lifts both suspensions and the lock. A user's state is also stored on each of their devices' rows
//! and changes there in the same commit. A device's own block is never changed, so lifting a state restores exactly
//! what was before.

use std::collections::BTreeSet;

use chrono::Duration;
use serde_json::json;

use crate::clock::Time;
use crate::error::{DomainError, HeldDevice};
use crate::ids::{CommandId, ProfileId};
use crate::models::command::{CommandKind, CommandRequest};
use crate::models::device::{Device, DeviceWithCommands, find_pending_command};
use crate::models::event::{Event, EventType};
use crate::models::offer::Offer;
use crate::models::provenance::{Field, Holder, Origin};
use crate::models::restriction::{Deleted, Restriction};
use crate::models::user::{User, UserEdit};
use crate::permission::Permission;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::commands::{Enqueued, TransitionResult, enqueue};
use crate::rules::context::EventContext;
use crate::rules::devices;
use crate::rules::devices::DeviceToDelete;
use crate::rules::offers::revoke_open;
use crate::rules::provenance::holder;
use crate::states::UserStatus;
use crate::username::unique_username;

/// Generates the identifier of a command.
pub type NewId<'a> = &'a (dyn Fn() -> CommandId + Sync);

/// Suspends a user: from the commit on, their devices are refused access. `None` if an admin has already suspended
/// them.
///
/// # Errors
/// `UserDeleted`.
pub fn suspend(
    user: &User,
    devices: &[Device],
    reason: Option<String>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    if user.suspended.is_some() {
        return Ok(None);
    }
    let after = User { suspended: Some(Restriction::by(context, reason.clone())), ..user.clone() };
    let mut change = state_changed(user, after, devices, EventType::UserSuspended, context);
    change.events[0].add_change("suspended", false, true);
    change.events[0].private.reason = reason;
    Ok(Some(change))
}

/// Lifts a user's suspensions, an admin's and a source's, and their lock. The user is then as before: inactive, if they
/// have never been active. A user who is neither suspended nor locked and has never been active becomes active. `None`
/// if nothing changes.
///
/// # Errors
/// `UserDeleted`.
pub fn activate(user: &User, devices: &[Device], context: &EventContext) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    let held = user.is_suspended() || user.locked.is_some();
    if !held && user.status() != UserStatus::Inactive {
        return Ok(None);
    }
    let mut after = User { suspended: None, suspended_by_source: None, locked: None, ..user.clone() };
    if !held {
        after.activated_at = Some(context.at);
    }
    let mut change = state_changed(user, after, devices, EventType::UserActivated, context);
    change.events[0].add_change("suspended", user.suspended.is_some(), false);
    change.events[0].add_change("suspended_by_source", user.suspended_by_source.is_some(), false);
    change.events[0].add_change("locked", user.locked.is_some(), false);
    Ok(Some(change))
}

/// Suspends a user on behalf of their source, whether or not an admin has suspended them too. `None` if the source has
/// already suspended them.
///
/// # Errors
/// `UserDeleted`.
pub fn suspend_by_source(
    user: &User,
    devices: &[Device],
    reason: &str,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    if user.suspended_by_source.is_some() {
        return Ok(None);
    }
    let after = User { suspended_by_source: Some(Restriction::by(context, Some(reason.to_owned()))), ..user.clone() };
    let mut change = state_changed(user, after, devices, beside_an_admins(user, EventType::UserSuspended), context);
    change.events[0].add_change("suspended_by_source", false, true);
    change.events[0].private.reason = Some(reason.to_owned());
    Ok(Some(change))
}

/// Lifts the suspension by a user's source; an admin's suspension and a lock stay. `None` if the source has not
/// suspended them.
///
/// # Errors
/// `UserDeleted`.
pub fn resume_by_source(
    user: &User,
    devices: &[Device],
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    if user.suspended_by_source.is_none() {
        return Ok(None);
    }
    let after = User { suspended_by_source: None, ..user.clone() };
    let mut change = state_changed(user, after, devices, beside_an_admins(user, EventType::UserActivated), context);
    change.events[0].add_change("suspended_by_source", true, false);
    Ok(Some(change))
}

/// The event type of a suspension by the source, or its end: while an admin's suspension is in force, neither changes
/// the user's state.
fn beside_an_admins(user: &User, alone: EventType) -> EventType {
    if user.suspended.is_some() { EventType::UserUpdated } else { alone }
}

/// Locks a user whose device has reported too many wrong PINs. `None` if they are already locked or deleted.
#[must_use]
pub fn lock_by_pins(user: &User, devices: &[Device], failures: u32, context: &EventContext) -> Option<ChangeSet> {
    if user.locked.is_some() || user.deleted.is_some() {
        return None;
    }
    let after = User { locked: Some(Restriction::by(context, Some("too many wrong PINs".to_owned()))), ..user.clone() };
    let mut change = state_changed(user, after, devices, EventType::UserLocked, context);
    change.events[0].add_change("locked", false, true);
    change.events[0].add_change("pin_failures", serde_json::Value::Null, failures);
    Some(change)
}

/// Remote Lock & Wipe: locks the user, and queues a wipe for each device that is not erased and has no pending wipe.
/// For a deleted user, queues it for each deleted device with an unconfirmed wipe. `None` if nothing changes.
///
/// # Errors
/// `UserDeleted` if the user is deleted and none of their devices has an unconfirmed wipe.
pub fn lock_and_wipe(
    user: &User,
    phones: &[DeviceWithCommands],
    wanted: &CommandRequest,
    new_id: NewId<'_>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    let mut after = user.clone();
    if user.deleted.is_none() {
        after.locked.get_or_insert_with(|| Restriction::by(context, wanted.reason.clone()));
    } else if !phones.iter().any(|phone| phone.device.unconfirmed_wipe().is_some() && !phone.device.replaced) {
        return Err(DomainError::UserDeleted);
    }
    Ok(ordered(user, after, phones, wanted, EventType::UserLockedAndWiped, new_id, context))
}

/// Queues a PIN reset for each of a user's devices, and lifts a lock. `None` if nothing changes.
///
/// # Errors
/// `UserDeleted`.
pub fn reset_pin(
    user: &User,
    phones: &[DeviceWithCommands],
    wanted: &CommandRequest,
    new_id: NewId<'_>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    let after = User { locked: None, ..user.clone() };
    Ok(ordered(user, after, phones, wanted, EventType::UserPinReset, new_id, context))
}

/// Checks that a rename is allowed: it resets each of the user's devices, so renaming a user with devices requires the
/// permission to wipe.
///
/// # Errors
/// `PermissionMissing`.
pub fn require_rename_allowed(is_renamed: bool, holds_phones: bool, may_wipe: bool) -> Result<(), DomainError> {
    if is_renamed && holds_phones && !may_wipe {
        return Err(DomainError::PermissionMissing(Permission::UsersWipe));
    }
    Ok(())
}

/// Edits a user; `None` if nothing changes. A rename (see [`is_renamed`]) makes the user another identity to external
/// systems: each of their devices gets a factory reset, and a new deployment is due. A source that uses another
/// username for the user still knows them by that one.
///
/// # Errors
/// `UserDeleted`.
pub fn update(
    user: &User,
    phones: &[DeviceWithCommands],
    edit: &UserEdit,
    new_id: NewId<'_>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    let edit = &allowed(user, edit);
    let mut after = user.clone();
    let mut event = context.event(EventType::UserUpdated).with_user(user.user_id);
    if let Some(username) = edit.username.as_ref().filter(|username| **username != user.username) {
        after.username.clone_from(username);
        event.add_changed_field("username");
    }
    for (name, wanted, field) in [
        ("first_name", &edit.first_name, &mut after.first_name),
        ("last_name", &edit.last_name, &mut after.last_name),
        ("email", &edit.email, &mut after.email),
        ("mobile", &edit.mobile, &mut after.mobile),
        ("number", &edit.number, &mut after.number),
        ("user_identity_key", &edit.user_identity_key, &mut after.user_identity_key),
        ("sip_user_name", &edit.sip_user_name, &mut after.client.sip_user_name),
        ("service_account", &edit.service_account, &mut after.client.service_account),
    ] {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != field) {
            field.clone_from(wanted);
            event.add_changed_field(name);
        }
    }
    if after.email != user.email {
        after.email_changed_at = Some(context.at);
    }
    if after.mobile != user.mobile {
        after.mobile_changed_at = Some(context.at);
    }
    if let Some(level) = &edit.service_level {
        event.add_change("service_level", user.service_level.clone(), level.clone());
        after.service_level.clone_from(level);
    }
    if let Some(profile) = edit.profile_id {
        let shown = |id: Option<ProfileId>| id.map(String::from);
        event.add_change("profile_id", shown(user.client.profile_id), shown(profile));
        after.client.profile_id = profile;
    }
    if let Some(overrides) = edit.overrides.as_ref().filter(|overrides| **overrides != user.client.overrides) {
        after.client.overrides.clone_from(overrides);
        event.add_changed_field("overrides");
    }
    let held = held_by_hand(user, edit, &event);
    if held != user.provenance.by_hand {
        event.add_change("by_hand", json!(user.provenance.by_hand), json!(held));
        after.provenance.by_hand = held;
    }
    if after == *user {
        return Ok(None);
    }
    let mut change = ChangeSet::with_event(event);
    if is_renamed(user, edit) {
        after.deployment_due = true;
        if let Holder::Source(_) = holder(user) {
            let known = user.provenance.source_username.as_ref().unwrap_or(&user.username);
            after.provenance.source_username = known_otherwise(known, &after);
        }
        let reset = CommandRequest { kind: CommandKind::FactoryReset, reason: None, expires_in_days: None };
        give(&mut change, &after, phones, &reset, new_id, context);
    }
    change.user = Some(RowChange::from(user.clone(), after));
    Ok(Some(change))
}

/// The username by which a source knows a user, if it differs from the user's own.
pub(crate) fn known_otherwise(known: &str, user: &User) -> Option<String> {
    (unique_username(known) != unique_username(&user.username)).then(|| known.to_owned())
}

/// The edit without the fields that a source may not change, because they were set by hand.
fn allowed(user: &User, edit: &UserEdit) -> UserEdit {
    let mut edit = edit.clone();
    if edit.origin == Origin::Source {
        for field in &user.provenance.by_hand {
            edit.unset(*field);
        }
    }
    edit
}

/// The fields that are set by hand after an edit, for a user who follows a source.
fn held_by_hand(user: &User, edit: &UserEdit, event: &Event) -> BTreeSet<Field> {
    let mut held = user.provenance.by_hand.clone();
    if edit.origin == Origin::Hand && user.source.follows_source() {
        let changed = |field: &Field| {
            let name = field.as_str();
            event.changed_fields.iter().any(|changed| changed == name) || event.changes.contains_key(name)
        };
        held.extend(Field::ALL.iter().copied().filter(changed));
    }
    held.retain(|field| !edit.release.contains(field));
    held
}

/// True if a change replaces or removes its user's e-mail address or mobile number. Their open invitation and
/// deployment must then be revoked in the same commit ([`revoke_open`]), since the code may be at an address that no
/// longer reaches them.
#[must_use]
pub fn is_readdressed(change: &ChangeSet) -> bool {
    let Some(RowChange { before: Some(before), after }) = &change.user else { return false };
    before.email != after.email || before.mobile != after.mobile
}

/// The user for whom a rename has made an offer due (see [`follows_rename`]), if it is due now: with the rename itself,
/// or with the change that restores the user's access. Clears it in the change.
///
/// [`follows_rename`]: crate::rules::deployments::follows_rename
pub fn take_due_offer(change: &mut ChangeSet, may_deploy: bool, context: &EventContext) -> Option<User> {
    set_due_by_deployer(change, may_deploy);
    let after = &mut change.user.as_mut()?.after;
    if !after.is_deployment_due(context.at) {
        return None;
    }
    let due = after.clone();
    after.clear_due_deployment();
    Some(due)
}

/// Postpones the offer that [`take_due_offer`] has returned, so that a message limit does not refuse a rename.
pub fn postpone_due_offer(change: &mut ChangeSet, due: User, until: Time) {
    if let Some(user) = &mut change.user {
        user.after = User { deployment_due_at: Some(until), ..due };
    }
}

/// Records with a rename whether the offer that follows may be a deployment to any address: the offer may be delayed
/// and then be created by another caller, with other permissions. A change of the address by a caller who may not
/// deploy ends that.
pub fn set_due_by_deployer(change: &mut ChangeSet, may_deploy: bool) {
    let readdressed = is_readdressed(change);
    let Some(RowChange { before: Some(before), after }) = &mut change.user else { return };
    if unique_username(&before.username) != unique_username(&after.username) {
        after.due_by_deployer = may_deploy;
    } else if readdressed && !may_deploy {
        after.due_by_deployer = false;
    }
}

/// True if an edit gives a user another username, compared in the form in which usernames are unique (see
/// [`unique_username`]).
#[must_use]
pub fn is_renamed(user: &User, edit: &UserEdit) -> bool {
    let other = |username: &String| unique_username(username) != unique_username(&user.username);
    allowed(user, edit).username.as_ref().is_some_and(other)
}

/// How a user is to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// True to delete a user even if some of their devices are not wiped.
    pub without_wipe: bool,
    /// Reason for the deletion.
    pub reason: Option<String>,
    /// How long the deleted rows are kept before they are purged.
    pub retention: Duration,
}

/// Deletes a user, with their devices, for good. Their open `offers` (invitation and deployment) are revoked, and their
/// secrets are deleted. Pending commands are still delivered. `None` if the user is already deleted.
///
/// # Errors
/// `WipeFirst`, with the devices that are neither erased nor have a pending wipe.
pub fn delete(
    user: &User,
    devices: &[DeviceToDelete],
    offers: &[Offer],
    wanted: &Deletion,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    if user.deleted.is_some() {
        return Ok(None);
    }
    let unwiped = devices.iter().map(|leaving| &leaving.device).filter(|device| !is_wiped(device, context.at));
    let unwiped: Vec<HeldDevice> = unwiped.map(HeldDevice::from).collect();
    if !unwiped.is_empty() && !wanted.without_wipe {
        return Err(DomainError::WipeFirst(unwiped));
    }
    let mut event = context.event(EventType::UserDeleted).with_user(user.user_id);
    event.add_change("status", user.status().as_str(), UserStatus::Deleted.as_str());
    event.add_change("without_wipe", false, !unwiped.is_empty());
    event.private.reason.clone_from(&wanted.reason);
    let mut change = ChangeSet::with_event(event);
    let mut after = user.clone();
    let mut purge_after = context.at.plus(wanted.retention);
    for leaving in devices {
        // Only the user's event has the reason.
        if let Some(mut deleted) = devices::delete(leaving, &after, None, wanted.retention, context) {
            for RowChange { after, .. } in &mut deleted.devices {
                after.user_status = UserStatus::Deleted;
                purge_after = after.deleted.as_ref().map_or(purge_after, |end| end.purge_after.max(purge_after));
            }
            after = deleted.user_after().unwrap_or(&after).clone();
            change = change.then(deleted);
        }
    }
    after.deleted = Some(Deleted { at: context.at, by: context.actor, purge_after });
    after.client.secrets.clear();
    change.user = Some(RowChange::from(user.clone(), after));
    revoke_open(&mut change, offers, context);
    Ok(Some(change))
}

/// True if the device is erased, or has a pending wipe.
fn is_wiped(device: &Device, now: Time) -> bool {
    device.erased.is_some() || find_pending_command(device, CommandKind::Wipe, now).is_some()
}

/// The event of a purge, if the user may be purged now.
#[must_use]
pub fn purge(user: &User, context: &EventContext) -> Option<Event> {
    let deleted = user.deleted.as_ref()?;
    (deleted.purge_after <= context.at).then(|| context.event(EventType::UserPurged).with_user(user.user_id))
}

/// The change of a user's state, on their row and on their devices'.
fn state_changed(
    user: &User,
    after: User,
    devices: &[Device],
    event_type: EventType,
    context: &EventContext,
) -> ChangeSet {
    let mut event = context.event(event_type).with_user(user.user_id);
    event.add_change("status", user.status().as_str(), after.status().as_str());
    let mut change = ChangeSet::with_event(event);
    for device in devices {
        change.devices.push(RowChange::from(device.clone(), with_state_of(device, &after)));
    }
    change.user = Some(RowChange::from(user.clone(), after));
    change
}

fn with_state_of(device: &Device, user: &User) -> Device {
    Device { user_status: user.status(), ..device.clone() }
}

/// Changes a user's state, and queues a command for each of their devices; `None` if neither changes anything.
fn ordered(
    user: &User,
    after: User,
    phones: &[DeviceWithCommands],
    wanted: &CommandRequest,
    event_type: EventType,
    new_id: NewId<'_>,
    context: &EventContext,
) -> Option<ChangeSet> {
    let mut event = context.event(event_type).with_user(user.user_id);
    event.add_change("status", user.status().as_str(), after.status().as_str());
    event.add_change("locked", user.locked.is_some(), after.locked.is_some());
    event.private.reason.clone_from(&wanted.reason);
    let mut change = ChangeSet::with_event(event);
    let mut after = after;
    give(&mut change, &after, phones, wanted, new_id, context);
    if after == *user && change.commands.is_empty() {
        return None;
    }
    for device in change.devices.iter().map(|edited| &edited.after).filter(|device| device.deleted.is_some()) {
        after.leave_behind(device);
    }
    change.user = Some(RowChange::from(user.clone(), after));
    Some(change)
}

/// Queues a command for each device that can execute it, and updates the user's state on all of them.
fn give(
    change: &mut ChangeSet,
    user: &User,
    phones: &[DeviceWithCommands],
    wanted: &CommandRequest,
    new_id: NewId<'_>,
    context: &EventContext,
) {
    for phone in phones {
        let device = with_state_of(&phone.device, user);
        let following = DeviceWithCommands { device: device.clone(), open_commands: phone.open_commands.clone() };
        let commanded = match enqueue(&following, wanted, new_id(), context) {
            Ok(Enqueued::Queued { result, .. }) => *result,
            // A device that is erased, or has this command pending, needs no further command.
            Ok(Enqueued::Pending(_)) | Err(_) => TransitionResult { device, commands: Vec::new(), events: Vec::new() },
        };
        change.add(&phone.device, commanded);
    }
}
