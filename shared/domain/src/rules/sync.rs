//! Keeping users in step with the source that they come from: what each row, and each user without a
//! row, comes to.
//!
//! A row finds its user by the source's key. What an admin set by hand stays until it is released. A
//! user who was made by hand is taken into the source by the first row with their username: what they
//! have already, and the source says otherwise, counts as set by hand, so nothing that somebody typed
//! is overwritten. A user of another source, or of an identity provider, is left alone. One whom
//! somebody has renamed by hand is still known by the name that the source has for them.

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

/// The users whom a row may mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchCandidates {
    /// Who has its username.
    pub by_username: Option<User>,
    /// Whom the source knows by that username, while somebody has given them another one.
    pub by_source_username: Option<User>,
    /// Whom the source calls so.
    pub by_external_id: Option<User>,
    /// The source that holds the user of that username, if it is another one that is still there.
    pub other_source: Option<SourceId>,
    /// True if the source has a row by the name that it knows the user of that username by, too.
    pub has_other_row: bool,
}

/// Whom a row means.
#[derive(Clone, Debug, PartialEq)]
pub enum MatchedUser {
    /// Somebody new.
    New,
    /// A user of the source, or one who was made by hand.
    User(Box<User>),
}

/// Whom a row means. A user whom somebody has renamed by hand is the one of the row by the name that the
/// source knows them by; if there is no such row any more, of that by their own.
///
/// # Errors
/// `HeldByOtherSource`, `UsernameTaken` or `ExternalIdTaken` if its username, or its name in the data
/// set, is somebody else's.
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

/// The user of a row, whatever username it gives them; `None` if only a username can tell.
#[must_use]
pub fn owner<'a>(source: &DataSource, found: &'a MatchCandidates) -> Option<&'a User> {
    let user = match source.key {
        KeyField::ExternalId => found.by_external_id.as_ref(),
        KeyField::Username => found.by_source_username.as_ref(),
        KeyField::Unknown(_) => None,
    };
    user.filter(|user| user.deleted.is_none())
}

/// The user who has the username that a row gives to another, or whom the source knew by it.
#[must_use]
pub fn holder_of_username<'a>(source: &DataSource, found: &'a MatchCandidates) -> Option<&'a User> {
    let own = owner(source, found).map(|user| user.user_id);
    let others = [found.by_username.as_ref(), found.by_source_username.as_ref()];
    others.into_iter().flatten().find(|user| user.deleted.is_none() && Some(user.user_id) != own)
}

/// The users whom a row may mean once somebody has given up its username.
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

/// True if a user's own row takes a username from them.
#[must_use]
pub fn row_takes_username(source: &DataSource, user: &User, row: &Row, username: &str) -> bool {
    let own = user.provenance.source_id == Some(source.source_id) && user.deleted.is_none();
    let other = !same_username(row.username(), username);
    own && other && (!same_username(&user.username, username) || is_renamed(source, user, row))
}

/// True if a source may say what a user is called.
#[must_use]
pub fn may_be_renamed(user: &User) -> bool {
    !user.provenance.by_hand.contains(&Field::Username)
}

/// A user of the source with a name for the time between, while they and others hand on their names to one
/// another, or until they are deleted; `None` if they have it already. It has a space, so that nobody else can
/// have it, and begins as their own does, so that people know who it is. It is nothing that the user's phones need to
/// know, and the row's own change follows.
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
    Some(ChangeSet { user: Some(RowChange::from(user.clone(), after)), ..ChangeSet::recorded(event) })
}

/// The most characters of a username in the one that its user has without it.
const LEFT: usize = 40;

/// What tells a user from others of the same name.
fn end_of_id(user: &User) -> String {
    user.user_id.to_string()[24..].to_owned()
}

/// A user of the source without a row, who loses a username to another user's row: they are called by it, and
/// by what marks that they have left, and the source does not know them by it any more; `None` if nothing
/// changes.
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

/// A user of the source, unless the row gives them a username that is somebody else's.
fn require_own_username(user: &User, by_username: Option<&User>) -> Result<MatchedUser, DomainError> {
    let takes_name = !user.provenance.by_hand.contains(&Field::Username);
    if takes_name && by_username.is_some_and(|other| other.user_id != user.user_id) {
        return Err(DomainError::UsernameTaken);
    }
    Ok(MatchedUser::User(Box::new(user.clone())))
}

/// True if rows find their users by what the source calls them, and it calls this one otherwise.
fn has_other_external_id(source: &DataSource, user: &User, row: &Row) -> bool {
    let name = user.provenance.external_id.as_deref();
    source.key == KeyField::ExternalId && name.is_some() && name != row.external_id()
}

/// What a row says of its user.
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

/// A row's new user.
#[must_use]
pub fn create(source: &DataSource, row: &Row, user_id: crate::ids::UserId, context: &EventContext) -> ChangeSet {
    let (mut user, mut event) = User::created(row.new_user(), user_id, context);
    user.source = source.origin();
    user.provenance.source_id = Some(source.source_id);
    user.provenance.external_id = row.external_id().map(str::to_owned);
    event.source_id = Some(source.source_id);
    ChangeSet { user: Some(RowChange::new(user)), ..ChangeSet::recorded(event) }
}

/// True if the user is not of the source yet.
#[must_use]
pub fn is_adopted(source: &DataSource, user: &User) -> bool {
    user.provenance.source_id != Some(source.source_id)
}

/// True if the row makes the user somebody else to the systems around.
#[must_use]
pub fn is_renamed(source: &DataSource, user: &User, row: &Row) -> bool {
    !is_adopted(source, user) && lifecycle::is_renamed(user, &edit_of(row))
}

/// True if a row changes what a user's phones may do, or what they are to do.
#[must_use]
pub fn concerns_phones(source: &DataSource, user: &User, row: &Row) -> bool {
    is_renamed(source, user, row) || user.suspended_by_source.is_some()
}

/// What a row changes of its user, and what that is called; `None` if nothing. A user who had vanished
/// is back, and a suspension that came of it is lifted.
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

/// True if a user of the source has no row in it, and that is news. `keys` are sorted.
#[must_use]
pub fn has_vanished(source: &DataSource, user: &User, keys: &[KeyHash]) -> bool {
    let of_it = user.provenance.source_id == Some(source.source_id) && user.deleted.is_none();
    of_it && user.provenance.vanished_at.is_none() && !has_row(source, user, keys)
}

/// True if a user of the source has a row in it, even one that cannot be used. `keys` are sorted.
#[must_use]
pub fn has_row(source: &DataSource, user: &User, keys: &[KeyHash]) -> bool {
    let is_there = |name: &KeyHash| keys.binary_search(name).is_ok();
    names_in(source, user).iter().any(is_there)
        || (!is_there(&comparison_marker()) && former_names(user).any(|name| is_there(&name)))
}

/// By what earlier releases have staged the rows of a user.
fn former_names(user: &User) -> impl Iterator<Item = KeyHash> {
    let usernames = [Some(&user.username), user.provenance.source_username.as_ref()];
    usernames.into_iter().flatten().filter_map(|name| former_key_hash(name))
}

/// True if a source has a row of a username. `keys` are sorted.
#[must_use]
pub fn has_row_of(username: &str, keys: &[KeyHash]) -> bool {
    let names = [key_hash(KeyField::Username, username), unnamed_hash(username)];
    names.iter().any(|name| keys.binary_search(name).is_ok())
}

/// By what a user may be known to the rows of their source: by the username, their own or that which
/// the source knows them by, and by what the source calls them; if that is not known yet, by the
/// username of any row.
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

/// True if so many of a source's users would vanish that the source is more likely wrong than they
/// are gone.
#[must_use]
pub fn too_many_vanish(source: &DataSource, vanishing: u64, users: u64) -> bool {
    vanishing >= VANISH_FREELY && vanishing * 100 > users * u64::from(source.vanish_limit_percent)
}

/// The reason that stands on what the policy has done.
pub const VANISHED: &str = "no longer in the source that the user comes from";

/// What becomes of a user who vanished, by a policy that leaves them there; `None` if that is so
/// already. See also [`vanish_with`].
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

/// The deletion of a user who vanished, as [`VanishPolicy::Delete`] has it.
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

/// The names of a user's fields that a change changes.
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
