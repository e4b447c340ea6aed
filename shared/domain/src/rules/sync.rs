//! Syncing users with the source that they come from: the change for each row, and for each user without a row.
//!
//! A row finds its user by the source's key. A field that was set by hand keeps its value until it is released. A user
//! who was created by hand is adopted by the first row with their username: each field with a value that differs from
//! the row's counts as set by hand, so that nothing that somebody entered is overwritten. A user of another source, or
//! of an identity provider, is left alone. A user who was renamed by hand is still matched by the username that the
//! source has for them.

use crate::error::DomainError;
use crate::ids::SourceId;
use crate::models::device::{Device, DeviceWithCommands};
use crate::models::event::{Event, EventType};
use crate::models::job::ItemChange;
use crate::models::provenance::{Field, Holder, Origin};
use crate::models::source::data::{KeyHash, Row, comparison_marker, former_key_hash, key_hash, unnamed_hash};
use crate::models::source::{DataSource, EXTERNAL_ID_FIELD, KeyField, VanishPolicy};
use crate::models::user::{User, UserEdit};
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;
use crate::rules::lifecycle;
use crate::rules::lifecycle::NewId;
use crate::rules::provenance::{holder, taken_over, tell_taken_over};
use crate::username::{same_username, unique_username};

/// Fewer users than these may vanish at once, whatever their share.
pub const VANISH_FREELY: u64 = 10;

/// The users whom a row may match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchCandidates {
    /// User with the row's username.
    pub by_username: Option<User>,
    /// User whom the source knows by that username, and who was renamed by hand.
    pub by_source_username: Option<User>,
    /// User with the row's external id.
    pub by_external_id: Option<User>,
    /// Another source that still exists and holds the user with that username.
    pub other_source: Option<SourceId>,
    /// True if the source also has a row by the username that it knows that user by.
    pub has_other_row: bool,
}

/// The user whom a row matches.
#[derive(Clone, Debug, PartialEq)]
pub enum MatchedUser {
    /// None: the row creates a user.
    New,
    /// A user of the source, or one whom the row adopts.
    User(Box<User>),
}

/// The user whom a row matches. A user who was renamed by hand matches the row with the username that the source knows
/// them by; if there is no such row any more, the row with their own.
///
/// # Errors
/// `HeldByOtherSource`; `UsernameTaken` or `ExternalIdTaken` if the row's username or external id is another user's.
pub fn match_user(source: &DataSource, row: &Row, found: &MatchCandidates) -> Result<MatchedUser, DomainError> {
    let there = |user: &&User| user.deleted.is_none();
    let by_external_id = found.by_external_id.as_ref().filter(there);
    let by_username = found.by_username.as_ref().filter(there);
    let by_source_username = found.by_source_username.as_ref().filter(there);
    if let (KeyField::ExternalId, Some(user)) = (source.key, by_external_id) {
        return require_own_username(user, by_username);
    }
    if let Some(user) = by_source_username {
        let other_name = has_other_external_id(source, user, row);
        if other_name || by_external_id.is_some_and(|other| other.user_id != user.user_id) {
            return Err(if other_name { DomainError::UsernameTaken } else { DomainError::ExternalIdTaken });
        }
        return require_own_username(user, by_username);
    }
    let Some(user) = by_username else {
        return if by_external_id.is_some() { Err(DomainError::ExternalIdTaken) } else { Ok(MatchedUser::New) };
    };
    if by_external_id.is_some_and(|other| other.user_id != user.user_id) {
        return Err(DomainError::ExternalIdTaken);
    }
    match holder(user) {
        Holder::Source(id) if id == source.source_id => {
            if found.has_other_row || has_other_external_id(source, user, row) {
                return Err(DomainError::UsernameTaken);
            }
        }
        Holder::Source(_) if found.other_source.is_none() => {}
        Holder::Source(_) | Holder::Provider => return Err(DomainError::HeldByOtherSource),
        Holder::Nobody => {}
    }
    Ok(MatchedUser::User(Box::new(user.clone())))
}

/// The user of a row, whatever username the row has; `None` if only the username can tell.
#[must_use]
pub fn owner<'a>(source: &DataSource, found: &'a MatchCandidates) -> Option<&'a User> {
    let user = match source.key {
        KeyField::ExternalId => found.by_external_id.as_ref(),
        KeyField::Username => found.by_source_username.as_ref(),
        KeyField::Unknown(_) => None,
    };
    user.filter(|user| user.deleted.is_none())
}

/// Another user who has the username of a row, or whom the source knows by it.
#[must_use]
pub fn holder_of_username<'a>(source: &DataSource, found: &'a MatchCandidates) -> Option<&'a User> {
    let own = owner(source, found).map(|user| user.user_id);
    let others = [found.by_username.as_ref(), found.by_source_username.as_ref()];
    others.into_iter().flatten().find(|user| user.deleted.is_none() && Some(user.user_id) != own)
}

/// The candidates of a row once `user` has given up the row's username.
#[must_use]
pub fn without(found: &MatchCandidates, user: &User) -> MatchCandidates {
    let other = |held: &Option<User>| held.clone().filter(|held| held.user_id != user.user_id);
    MatchCandidates {
        by_username: other(&found.by_username),
        by_source_username: other(&found.by_source_username),
        by_external_id: found.by_external_id.clone(),
        other_source: None,
        has_other_row: false,
    }
}

/// True if a user's own row takes `username` from them.
#[must_use]
pub fn row_takes_username(source: &DataSource, user: &User, row: &Row, username: &str) -> bool {
    let own = user.provenance.source_id == Some(source.source_id) && user.deleted.is_none();
    let other = !same_username(row.username(), username);
    own && other && (!same_username(&user.username, username) || is_renamed(source, user, row))
}

/// True if a source may rename the user: the username was not set by hand.
#[must_use]
pub fn may_be_renamed(user: &User) -> bool {
    !user.provenance.by_hand.contains(&Field::Username)
}

/// Gives a user of the source a temporary username, while users exchange their usernames, or until the user is deleted;
/// `None` if they already have one. It contains a space, so that no other user can have it, and starts with their own
/// username, so that people recognize them. Devices are not informed: the row's own change follows.
#[must_use]
pub fn park(source: &DataSource, user: &User, context: &EventContext) -> Option<ChangeSet> {
    let mark = format!(" (renaming {})", end_of_id(user));
    if user.deleted.is_some() || user.username.ends_with(&mark) {
        return None;
    }
    let username = user.username.chars().take(LEFT).collect::<String>() + &mark;
    let mut event = context.event(EventType::UserUpdated).with_user(user.user_id);
    event.source_id = Some(source.source_id);
    event.add_changed_field("username");
    let after = User { username, ..user.clone() };
    Some(ChangeSet { user: Some(RowChange::from(user.clone(), after)), ..ChangeSet::with_event(event) })
}

/// The most characters of the former username in a temporary one, or in one marked as left.
const LEFT: usize = 40;

/// The end of a user's id, which distinguishes users with the same name.
fn end_of_id(user: &User) -> String {
    user.user_id.to_string()[24..].to_owned()
}

/// A user of the source without a row loses a username to another user's row: they get a username that is marked as
/// left, and the source no longer knows them by the old one; `None` if nothing changes.
///
/// # Errors
/// `UserDeleted`.
pub fn release_username(
    source: &DataSource,
    user: &User,
    username: &str,
    phones: &[DeviceWithCommands],
    new_id: NewId<'_>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    let mut edit = UserEdit { origin: Origin::Source, ..UserEdit::default() };
    if same_username(&user.username, username) {
        let kept: String = user.username.chars().filter(|c| !c.is_whitespace()).take(LEFT).collect();
        edit.username = Some(format!("{kept}.left-{}", end_of_id(user)));
    }
    let changed = lifecycle::update(user, phones, &edit, new_id, context)?;
    let is_new = changed.is_none();
    let mut change = changed.unwrap_or_default();
    let mut after = change.user.take().map_or_else(|| user.clone(), |edited| edited.after);
    after.provenance.source_username = None;
    if after == *user {
        return Ok(None);
    }
    if is_new {
        let mut event = context.event(EventType::UserUpdated).with_user(user.user_id);
        event.add_changed_field("source_username");
        change.events.push(event);
    }
    for event in &mut change.events {
        event.source_id = Some(source.source_id);
    }
    change.user = Some(RowChange::from(user.clone(), after));
    Ok(Some(change))
}

/// A user of the source, unless the row gives them a username that another user has.
fn require_own_username(user: &User, by_username: Option<&User>) -> Result<MatchedUser, DomainError> {
    let takes_name = !user.provenance.by_hand.contains(&Field::Username);
    if takes_name && by_username.is_some_and(|other| other.user_id != user.user_id) {
        return Err(DomainError::UsernameTaken);
    }
    Ok(MatchedUser::User(Box::new(user.clone())))
}

/// True if the source matches by external id, and the user's differs from the row's.
fn has_other_external_id(source: &DataSource, user: &User, row: &Row) -> bool {
    let name = user.provenance.external_id.as_deref();
    source.key == KeyField::ExternalId && name.is_some() && name != row.external_id()
}

/// The edit that a row makes to its user.
#[must_use]
pub fn edit_of(row: &Row) -> UserEdit {
    let mut edit = UserEdit { origin: Origin::Source, ..UserEdit::default() };
    for field in Field::ALL {
        if let Some(value) = row.values.get(field.as_str()) {
            edit.set(*field, value.clone());
        }
    }
    edit
}

/// Creates a row's user.
#[must_use]
pub fn create(source: &DataSource, row: &Row, user_id: crate::ids::UserId, context: &EventContext) -> ChangeSet {
    let (mut user, mut event) = User::created(row.new_user(), user_id, context);
    user.source = source.origin();
    user.provenance.source_id = Some(source.source_id);
    user.provenance.external_id = row.external_id().map(str::to_owned);
    event.source_id = Some(source.source_id);
    ChangeSet { user: Some(RowChange::new(user)), ..ChangeSet::with_event(event) }
}

/// True if the user does not belong to the source yet, so that a row adopts them.
#[must_use]
pub fn is_adopted(source: &DataSource, user: &User) -> bool {
    user.provenance.source_id != Some(source.source_id)
}

/// True if the row renames a user of the source: see [`lifecycle::is_renamed`].
#[must_use]
pub fn is_renamed(source: &DataSource, user: &User, row: &Row) -> bool {
    !is_adopted(source, user) && lifecycle::is_renamed(user, &edit_of(row))
}

/// True if a row changes the access of a user's devices, or queues commands for them.
#[must_use]
pub fn concerns_phones(source: &DataSource, user: &User, row: &Row) -> bool {
    is_renamed(source, user, row) || user.suspended_by_source.is_some()
}

/// The change that a row makes to its user, and its kind; `None` if nothing changes. A vanished user reappears, and a
/// suspension by the source is lifted.
///
/// # Errors
/// `UserDeleted`.
pub fn apply(
    source: &DataSource,
    user: &User,
    phones: &[DeviceWithCommands],
    row: &Row,
    new_id: NewId<'_>,
    context: &EventContext,
) -> Result<Option<(ChangeSet, ItemChange)>, DomainError> {
    user.require_not_deleted()?;
    let edit = edit_of(row);
    let adopted = is_adopted(source, user);
    let base = if adopted { taken_over(user, source.origin(), Some(source.source_id), &edit) } else { user.clone() };
    let mut change = lifecycle::update(&base, phones, &edit, new_id, context)?.unwrap_or_default();
    let mut after = change.user.take().map_or(base, |edited| edited.after);
    if row.values.contains_key(EXTERNAL_ID_FIELD) {
        after.provenance.external_id = row.external_id().map(str::to_owned);
    }
    let known = lifecycle::known_otherwise(row.username(), &after);
    if known.as_deref().map(unique_username) != after.provenance.source_username.as_deref().map(unique_username) {
        after.provenance.source_username = known;
    }
    let back = user.provenance.vanished_at.is_some();
    after.provenance.vanished_at = None;
    if after == *user && user.suspended_by_source.is_none() {
        return Ok(None);
    }
    let other_name = after.provenance.external_id != user.provenance.external_id;
    let other_username = after.provenance.source_username != user.provenance.source_username;
    if change.events.is_empty() && (adopted || other_name || other_username) {
        change.events.push(context.event(EventType::UserUpdated).with_user(user.user_id));
    }
    if let Some(event) = change.events.first_mut() {
        for (field, changed) in [(EXTERNAL_ID_FIELD, other_name), ("source_username", other_username)] {
            if changed {
                event.add_changed_field(field);
            }
        }
        if adopted {
            tell_taken_over(event, user, &after);
        }
    }
    if back {
        change.events.push(context.event(EventType::UserReappeared).with_user(user.user_id));
    }
    let devices = change.devices_after(phones);
    let lifted = lifecycle::resume_by_source(&after, &devices, context)?;
    change.user = Some(RowChange::from(user.clone(), after));
    if let Some(lifted) = lifted {
        change = change.then(lifted);
    }
    for event in &mut change.events {
        event.source_id = Some(source.source_id);
    }
    let called = match (adopted, back) {
        (true, _) => ItemChange::Adopted,
        (false, true) => ItemChange::Reappeared,
        (false, false) => ItemChange::Updated,
    };
    Ok(Some((change, called)))
}

/// True if a user of the source has no row in it, and is not marked as vanished yet. `keys` are sorted.
#[must_use]
pub fn has_vanished(source: &DataSource, user: &User, keys: &[KeyHash]) -> bool {
    let of_it = user.provenance.source_id == Some(source.source_id) && user.deleted.is_none();
    of_it && user.provenance.vanished_at.is_none() && !has_row(source, user, keys)
}

/// True if a user of the source has a row in it, even an unusable one. `keys` are sorted.
#[must_use]
pub fn has_row(source: &DataSource, user: &User, keys: &[KeyHash]) -> bool {
    let is_there = |name: &KeyHash| keys.binary_search(name).is_ok();
    names_in(source, user).iter().any(is_there)
        || (!is_there(&comparison_marker()) && former_names(user).any(|name| is_there(&name)))
}

/// Hashes of a user's usernames as earlier releases have staged them.
fn former_names(user: &User) -> impl Iterator<Item = KeyHash> {
    let usernames = [Some(&user.username), user.provenance.source_username.as_ref()];
    usernames.into_iter().flatten().filter_map(|name| former_key_hash(name))
}

/// True if a source has a row with a username. `keys` are sorted.
#[must_use]
pub fn has_row_of(username: &str, keys: &[KeyHash]) -> bool {
    let names = [key_hash(KeyField::Username, username), unnamed_hash(username)];
    names.iter().any(|name| keys.binary_search(name).is_ok())
}

/// Hashes by which rows of the source may mean a user: of the user's own username, of the one that the source knows
/// them by, and of the external id; while that is unknown, of the username of any row.
fn names_in(source: &DataSource, user: &User) -> Vec<KeyHash> {
    let usernames = [Some(&user.username), user.provenance.source_username.as_ref()];
    let usernames = || usernames.into_iter().flatten();
    let external_id = user.provenance.external_id.as_deref();
    let mut names: Vec<KeyHash> = usernames().map(|name| key_hash(KeyField::Username, name)).collect();
    names.extend(external_id.map(|name| key_hash(KeyField::ExternalId, name)));
    if source.key == KeyField::ExternalId && external_id.is_none() {
        names.extend(usernames().map(|name| unnamed_hash(name)));
    }
    names
}

/// True if so many of a source's users would vanish that an error in the source is more likely.
#[must_use]
pub fn too_many_vanish(source: &DataSource, vanishing: u64, users: u64) -> bool {
    vanishing >= VANISH_FREELY && vanishing * 100 > users * u64::from(source.vanish_limit_percent)
}

/// The reason recorded for a suspension or deletion by the policy.
pub const VANISHED: &str = "no longer in the source that the user comes from";

/// Marks a user as vanished, and suspends them if the policy says so; `None` if they are already marked. For the policy
/// that deletes see [`vanish_with`].
///
/// # Errors
/// `UserDeleted`.
pub fn vanish(
    source: &DataSource,
    user: &User,
    devices: &[Device],
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    if user.provenance.vanished_at.is_some() {
        return Ok(None);
    }
    let suspended = match source.policy {
        VanishPolicy::Suspend => lifecycle::suspend_by_source(user, devices, VANISHED, context)?,
        VanishPolicy::Flag | VanishPolicy::Delete | VanishPolicy::Unknown(_) => None,
    };
    let mut change = suspended.unwrap_or_default();
    let mut after = change.user.take().map_or_else(|| user.clone(), |edited| edited.after);
    after.provenance.vanished_at = Some(context.at);
    change.events.insert(0, vanished(source, user, context));
    for event in &mut change.events {
        event.source_id = Some(source.source_id);
    }
    change.user = Some(RowChange::from(user.clone(), after));
    Ok(Some(change))
}

/// Adds the event of the vanishing to a user's deletion by [`VanishPolicy::Delete`].
#[must_use]
pub fn vanish_with(mut deletion: ChangeSet, source: &DataSource, user: &User, context: &EventContext) -> ChangeSet {
    deletion.events.push(vanished(source, user, context));
    deletion
}

fn vanished(source: &DataSource, user: &User, context: &EventContext) -> Event {
    let mut event = context.event(EventType::UserVanished).with_user(user.user_id);
    event.source_id = Some(source.source_id);
    event.add_change("vanish_policy", serde_json::Value::Null, source.policy.as_str());
    event
}

/// The names of the user's fields that a change modifies.
#[must_use]
pub fn changed_fields(change: &ChangeSet) -> Vec<String> {
    let Some(RowChange { before, after }) = &change.user else { return Vec::new() };
    let before = before.as_ref();
    let changed = |field: &Field| before.and_then(|before| before.field(*field)) != after.field(*field);
    let fields = Field::ALL.iter().copied().filter(changed).map(|field| field.as_str().to_owned());
    let named = before.and_then(|before| before.provenance.external_id.as_ref());
    let other_name = named != after.provenance.external_id.as_ref();
    fields.chain(other_name.then(|| EXTERNAL_ID_FIELD.to_owned())).collect()
}
