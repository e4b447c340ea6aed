//! A user's life: active, suspended, locked, deleted, and what each step means for their devices.
//!
//! `inactive` → `active` ⇄ `suspended`; `locked` beside it; any → `deleted`, for good. Two may suspend
//! a user, side by side: an admin, and what the user comes from. Each lifts its own alone, but that an
//! admin who activates a user lifts whatever keeps them out. A user's
//! state stands on each of their devices' rows too, and changes there in the same commit; a
//! device's own block is never touched, so lifting a state restores exactly what was.

use std::collections::BTreeSet;

use chrono::Duration;
use serde_json::json;

use crate::clock::Time;
use crate::error::{DomainError, HeldDevice};
use crate::ids::{CommandId, ProfileId};
use crate::models::command::{CommandKind, CommandRequest};
use crate::models::device::{Device, DeviceWithCommands, find_pending_command};
use crate::models::event::{Event, EventType};
use crate::models::invitation::Invitation;
use crate::models::provenance::{Field, Holder, Origin};
use crate::models::restriction::{Deleted, Restriction};
use crate::models::user::{User, UserEdit};
use crate::permission::Permission;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::commands::{Enqueued, TransitionResult, enqueue};
use crate::rules::context::EventContext;
use crate::rules::devices;
use crate::rules::devices::DeviceToDelete;
use crate::rules::invitations::take_back;
use crate::rules::provenance::holder;
use crate::states::UserStatus;
use crate::username::unique_username;

/// Draws the identifier of a command.
pub type NewId<'a> = &'a (dyn Fn() -> CommandId + Sync);

/// Suspends a user: from the commit on, none of their devices may do anything. `None` if an admin has
/// suspended them already.
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

/// Lifts a user's suspensions, whoever made them, and lock, which leaves them as they were before: inactive, if they have
/// never been active. A user whom nothing keeps out and who has never been active becomes active.
/// `None` if there is nothing to do.
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

/// Suspends a user by the word of what they come from, whether or not an admin has as well. `None` if
/// that is so already.
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

/// Lifts the suspension by what a user comes from: an admin's stays, and so does a lock. `None` if
/// there is none.
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

/// What happened to a user: while an admin's suspension holds, another one beside it changes no state.
fn beside_an_admins(user: &User, alone: EventType) -> EventType {
    if user.suspended.is_some() { EventType::UserUpdated } else { alone }
}

/// Locks a user whose device has reported too many wrong PINs. `None` if they are locked already,
/// or deleted.
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

/// Remote Lock & Wipe: locks the user, and orders a wipe of every device that has something to
/// wipe and is not about to be wiped. Of a deleted user of whom a wipe is not confirmed, of each device that was left
/// behind. `None` if all of that is so already.
///
/// # Errors
/// `UserDeleted` if no wipe of a deleted user's devices is to be confirmed.
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

/// Has all of a user's devices ask for a new PIN, and lifts a lock. `None` if that is so already.
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

/// Lets a rename pass. It resets each of the user's phones, so whoever renames a user with phones must be allowed to
/// wipe.
///
/// # Errors
/// `PermissionMissing`.
pub fn require_rename_allowed(is_renamed: bool, holds_phones: bool, may_wipe: bool) -> Result<(), DomainError> {
    if is_renamed && holds_phones && !may_wipe {
        return Err(DomainError::PermissionMissing(Permission::UsersWipe));
    }
    Ok(())
}

/// A user after an edit; `None` if nothing changes. Another username, not only the same in other
/// capitals, is another identity to the systems around: each of the user's devices is ordered to go
/// back to the state before its first enrolment, and a new deployment is due. A user who is called
/// otherwise than their source calls them is still known to it by its own name.
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
    let mut change = ChangeSet::recorded(event);
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

/// The username by which a source knows a user, if it is not the user's own.
pub(crate) fn known_otherwise(known: &str, user: &User) -> Option<String> {
    (unique_username(known) != unique_username(&user.username)).then(|| known.to_owned())
}

/// The edit without what a source may not change: the fields that were set by hand.
fn allowed(user: &User, edit: &UserEdit) -> UserEdit {
    let mut edit = edit.clone();
    if edit.origin == Origin::Source {
        for field in &user.provenance.by_hand {
            edit.unset(*field);
        }
    }
    edit
}

/// The fields that are set by hand once an edit is made, of a user who follows a source.
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

/// True if a change gives its user another e-mail address or mobile number, or takes one away: what is open of
/// their invitation and their deployment is then to be taken back in the same commit ([`take_back`]), since its
/// code may be where they are no longer reached.
#[must_use]
pub fn is_readdressed(change: &ChangeSet) -> bool {
    let Some(RowChange { before: Some(before), after }) = &change.user else { return false };
    before.email != after.email || before.mobile != after.mobile
}

/// The user to whom a rename has made an offer due (see [`follows_rename`]), if it is due now: with the rename itself, or
/// with what lets them in again. The change then leaves nothing due.
///
/// [`follows_rename`]: crate::rules::deployments::follows_rename
pub fn take_due_offer(change: &mut ChangeSet, may_deploy: bool, context: &EventContext) -> Option<User> {
    settle_what_is_due(change, may_deploy);
    let after = &mut change.user.as_mut()?.after;
    if !after.is_deployment_due(context.at) {
        return None;
    }
    let due = after.clone();
    after.clear_due_deployment();
    Some(due)
}

/// Leaves the offer that [`take_due_offer`] has found to be due for a user to be made later: a rename is not refused
/// for a limit of messages.
pub fn postpone_due_offer(change: &mut ChangeSet, due: User, until: Time) {
    if let Some(user) = &mut change.user {
        user.after = User { deployment_due_at: Some(until), ..due };
    }
}

/// Settles with a change that renames its user whether what follows may be a deployment wherever it goes: what
/// follows may have to wait, and is then carried through by somebody else, who may have other rights. Another
/// address by somebody who may not deploy ends that.
pub fn settle_what_is_due(change: &mut ChangeSet, may_deploy: bool) {
    let readdressed = is_readdressed(change);
    let Some(RowChange { before: Some(before), after }) = &mut change.user else { return };
    if unique_username(&before.username) != unique_username(&after.username) {
        after.due_by_deployer = may_deploy;
    } else if readdressed && !may_deploy {
        after.due_by_deployer = false;
    }
}

/// True if an edit makes a user somebody else to the systems around.
#[must_use]
pub fn is_renamed(user: &User, edit: &UserEdit) -> bool {
    let other = |username: &String| unique_username(username) != unique_username(&user.username);
    allowed(user, edit).username.as_ref().is_some_and(other)
}

/// How a user is to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// True to delete a user whose devices were never wiped.
    pub without_wipe: bool,
    /// The reason.
    pub reason: Option<String>,
    /// How long the rows stay.
    pub retention: Duration,
}

/// Deletes a user for good, with their devices; what is open of `offers`, their invitation and
/// their deployment, is taken back, and their secrets go. Commands that are pending are still
/// served. `None` if the user is deleted already.
///
/// # Errors
/// `WipeFirst`, with the devices that are neither wiped nor about to be.
pub fn delete(
    user: &User,
    devices: &[DeviceToDelete],
    offers: &[Invitation],
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
    let mut change = ChangeSet::recorded(event);
    let mut after = user.clone();
    let mut purge_after = context.at.plus(wanted.retention);
    for leaving in devices {
        // The reason stands on the user's event alone.
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
    take_back(&mut change, offers, context);
    Ok(Some(change))
}

/// True if the device's data is gone, or goes as soon as it comes.
fn is_wiped(device: &Device, now: Time) -> bool {
    device.erased.is_some() || find_pending_command(device, CommandKind::Wipe, now).is_some()
}

/// The event of a purge, if the user may be purged now.
#[must_use]
pub fn purge(user: &User, context: &EventContext) -> Option<Event> {
    let deleted = user.deleted.as_ref()?;
    (deleted.purge_after <= context.at).then(|| context.event(EventType::UserPurged).with_user(user.user_id))
}

/// A user's state changed, on their row and on their devices'.
fn state_changed(
    user: &User,
    after: User,
    devices: &[Device],
    event_type: EventType,
    context: &EventContext,
) -> ChangeSet {
    let mut event = context.event(event_type).with_user(user.user_id);
    event.add_change("status", user.status().as_str(), after.status().as_str());
    let mut change = ChangeSet::recorded(event);
    for device in devices {
        change.devices.push(RowChange::from(device.clone(), with_state_of(device, &after)));
    }
    change.user = Some(RowChange::from(user.clone(), after));
    change
}

fn with_state_of(device: &Device, user: &User) -> Device {
    Device { user_status: user.status(), ..device.clone() }
}

/// A user's state changed, and an order given to each of their devices; `None` if neither changes
/// anything.
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
    let mut change = ChangeSet::recorded(event);
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

/// Gives an order to each device that can do it, and sets its user's state.
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
            // What is wiped, or about to be, needs no further order.
            Ok(Enqueued::Pending(_)) | Err(_) => TransitionResult { device, commands: Vec::new(), events: Vec::new() },
        };
        change.add(&phone.device, commanded);
    }
}
