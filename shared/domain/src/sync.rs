//! Keeping users in step with the data set that they come from: what each row, and each user without a
//! row, comes to.
//!
//! A row finds its user by the data set's key. What an admin set by hand stays until it is released. A
//! user who was made by hand is taken into the data set by the first row with their username: what they
//! have already, and the data set says otherwise, counts as set by hand, so nothing that somebody typed
//! is overwritten. A user of another data set is left alone.

use serde_json::json;

use crate::change::{Change, Edited};
use crate::command::Phone;
use crate::device::Device;
use crate::event::{Act, EventType};
use crate::ids::SourceId;
use crate::job::ItemChange;
use crate::life::{self, Draw};
use crate::provenance::Origin;
use crate::refusal::Refusal;
use crate::source::data::{KeyHash, Row, key_hash};
use crate::source::{DataSource, KeyField, VanishPolicy};
use crate::user::{User, UserEdit};

/// Fewer users than these may vanish at once, whatever their share.
pub const VANISH_FREELY: u64 = 10;

/// The users whom a row may mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Who has its username.
    pub by_username: Option<User>,
    /// Whom the data set calls so.
    pub by_external_id: Option<User>,
    /// The data set that holds the user of that username, if it is another one that is still there.
    pub other_source: Option<SourceId>,
}

/// Whom a row means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meant {
    /// Somebody new.
    New,
    /// A user of the data set, or one who was made by hand.
    User(Box<User>),
}

/// Whom a row means.
///
/// # Errors
/// `HeldByOtherSource`, `UsernameTaken` or `ExternalIdTaken` if its username, or its name in the data
/// set, is somebody else's.
pub fn meant(source: &DataSource, row: &Row, found: &Found) -> Result<Meant, Refusal> {
    let by_external_id = found.by_external_id.as_ref().filter(|user| user.deleted.is_none());
    let by_username = found.by_username.as_ref().filter(|user| user.deleted.is_none());
    if let (KeyField::ExternalId, Some(user)) = (source.key, by_external_id) {
        if by_username.is_some_and(|other| other.user_id != user.user_id) {
            return Err(Refusal::UsernameTaken);
        }
        return Ok(Meant::User(Box::new(user.clone())));
    }
    let Some(user) = by_username else {
        return if by_external_id.is_some() { Err(Refusal::ExternalIdTaken) } else { Ok(Meant::New) };
    };
    if by_external_id.is_some_and(|other| other.user_id != user.user_id) {
        return Err(Refusal::ExternalIdTaken);
    }
    let own = user.provenance.source_id == Some(source.source_id);
    let pushed = user.provenance.source_id.is_none() && user.source.is_followed();
    if !own && (pushed || found.other_source.is_some()) {
        return Err(Refusal::HeldByOtherSource);
    }
    let other_name =
        user.provenance.external_id.is_some() && user.provenance.external_id.as_deref() != row.external_id();
    if own && source.key == KeyField::ExternalId && other_name {
        return Err(Refusal::UsernameTaken);
    }
    Ok(Meant::User(Box::new(user.clone())))
}

/// What a row says of its user.
#[must_use]
pub fn edit_of(row: &Row) -> UserEdit {
    let field = |name: &str| row.values.get(name).cloned();
    UserEdit {
        username: field("username").flatten(),
        first_name: field("first_name"),
        last_name: field("last_name"),
        email: field("email"),
        mobile: field("mobile"),
        number: field("number"),
        service_level: field("service_level"),
        sip_user_name: field("sip_user_name"),
        service_account: field("service_account"),
        origin: Origin::DataSet,
        ..UserEdit::default()
    }
}

/// A row's new user.
#[must_use]
pub fn create(source: &DataSource, row: &Row, user_id: crate::ids::UserId, act: &Act) -> Change {
    let (mut user, mut event) = User::create(row.new_user(), user_id, act);
    user.source = source.origin();
    user.provenance.source_id = Some(source.source_id);
    user.provenance.external_id = row.external_id().map(str::to_owned);
    event.source_id = Some(source.source_id);
    Change { user: Some(Edited::new(user)), ..Change::recorded(event) }
}

/// True if the user is not of the data set yet.
#[must_use]
pub fn is_adopted(source: &DataSource, user: &User) -> bool {
    user.provenance.source_id != Some(source.source_id)
}

/// A user as the data set takes them over: what they have, and the row says otherwise, counts as set by
/// hand.
fn adopted(source: &DataSource, user: &User, row: &Row) -> User {
    let mut after = user.clone();
    after.source = source.origin();
    after.provenance.source_id = Some(source.source_id);
    after.provenance.external_id = None;
    after.provenance.vanished_at = None;
    for (name, has) in [
        ("username", Some(&user.username)),
        ("first_name", user.first_name.as_ref()),
        ("last_name", user.last_name.as_ref()),
        ("email", user.email.as_ref()),
        ("mobile", user.mobile.as_ref()),
        ("number", user.number.as_ref()),
        ("service_level", user.service_level.as_ref()),
        ("sip_user_name", user.client.sip_user_name.as_ref()),
        ("service_account", user.client.service_account.as_ref()),
    ] {
        let says = row.values.get(name);
        if has.is_some() && says.is_some_and(|says| says.as_ref() != has) {
            after.provenance.by_hand.insert(name.to_owned());
        }
    }
    after
}

/// True if the row makes the user somebody else to the systems around.
#[must_use]
pub fn is_renamed(source: &DataSource, user: &User, row: &Row) -> bool {
    !is_adopted(source, user) && life::is_renamed(user, &edit_of(row))
}

/// True if the user was suspended since they had vanished, and by nobody since.
fn suspended_as_vanished(user: &User) -> bool {
    user.suspended.as_ref().is_some_and(|hold| user.provenance.suspended_at == Some(hold.at))
}

/// True if a row changes what a user's phones may do, or what they are to do.
#[must_use]
pub fn concerns_phones(source: &DataSource, user: &User, row: &Row) -> bool {
    is_renamed(source, user, row) || suspended_as_vanished(user)
}

/// What a row changes of its user, and what that is called; `None` if nothing. A user who had vanished
/// is back, and a suspension that came of it is lifted.
///
/// # Errors
/// `UserDeleted`.
pub fn apply(
    source: &DataSource,
    user: &User,
    phones: &[Phone],
    row: &Row,
    draw: Draw<'_>,
    act: &Act,
) -> Result<Option<(Change, ItemChange)>, Refusal> {
    user.require_there()?;
    let base = if is_adopted(source, user) { adopted(source, user, row) } else { user.clone() };
    let updated = life::update(&base, phones, &edit_of(row), draw, act)?;
    let mut change = updated.unwrap_or_default();
    let mut after = change.user.take().map_or_else(|| base.clone(), |edited| edited.after);
    if row.values.contains_key(crate::source::EXTERNAL_ID_FIELD) {
        after.provenance.external_id = row.external_id().map(str::to_owned);
    }
    let back = user.provenance.vanished_at.is_some();
    after.provenance.vanished_at = None;
    after.provenance.suspended_at = None;
    let lifted = suspended_as_vanished(user);
    if lifted {
        after.suspended = None;
    }
    if after == *user {
        return Ok(None);
    }
    let other_name = after.provenance.external_id != user.provenance.external_id;
    let adopted = is_adopted(source, user);
    if change.events.is_empty() && (adopted || other_name) {
        change.events.push(act.event(EventType::UserUpdated).about_user(user.user_id));
    }
    if let Some(event) = change.events.first_mut() {
        if other_name {
            event.change_of(crate::source::EXTERNAL_ID_FIELD);
        }
        if adopted {
            event.change("source", user.source.as_str(), after.source.as_str());
            let shown = |id: Option<SourceId>| id.map(String::from);
            event.change("source_id", shown(user.provenance.source_id), shown(after.provenance.source_id));
            event.change("by_hand", json!(user.provenance.by_hand), json!(after.provenance.by_hand));
        }
    }
    if back {
        change.events.push(act.event(EventType::UserReappeared).about_user(user.user_id));
    }
    if lifted {
        let mut event = act.event(EventType::UserActivated).about_user(user.user_id);
        event.change("status", user.status().as_str(), after.status().as_str());
        event.change("suspended", true, false);
        change.events.push(event);
        tell_phones(&mut change, phones, &after);
    }
    for event in &mut change.events {
        event.source_id = Some(source.source_id);
    }
    let called = match (adopted, back) {
        (true, _) => ItemChange::Adopted,
        (false, true) => ItemChange::Reappeared,
        (false, false) => ItemChange::Updated,
    };
    // What only forgets a mark that counts no more has nothing to tell.
    if change.events.is_empty() {
        return Ok(None);
    }
    change.user = Some(Edited::from(user.clone(), after));
    Ok(Some((change, called)))
}

/// Sets the user's state on each of their devices.
fn tell_phones(change: &mut Change, phones: &[Phone], user: &User) {
    for edited in &mut change.devices {
        edited.after.user_status = user.status();
    }
    for Phone { device, .. } in phones {
        if !change.devices.iter().any(|edited| edited.after.device_id == device.device_id) {
            let after = Device { user_status: user.status(), ..device.clone() };
            change.devices.push(Edited::from(device.clone(), after));
        }
    }
}

/// True if a user of the data set has no row in it, and that is news. `keys` are sorted.
#[must_use]
pub fn has_vanished(source: &DataSource, user: &User, keys: &[KeyHash]) -> bool {
    let of_it = user.provenance.source_id == Some(source.source_id) && user.deleted.is_none();
    of_it && user.provenance.vanished_at.is_none() && !has_row(source, user, keys)
}

/// True if a user of the data set has a row in it. `keys` are sorted.
#[must_use]
pub fn has_row(source: &DataSource, user: &User, keys: &[KeyHash]) -> bool {
    let key = match source.key {
        KeyField::Username => Some(user.username.as_str()),
        KeyField::ExternalId => user.provenance.external_id.as_deref(),
    };
    key.is_some_and(|key| keys.binary_search(&key_hash(source.key, key)).is_ok())
}

/// True if so many of a data set's users would vanish that the data set is more likely wrong than they
/// are gone.
#[must_use]
pub fn too_many_vanish(source: &DataSource, vanishing: u64, users: u64) -> bool {
    vanishing >= VANISH_FREELY && vanishing * 100 > users * u64::from(source.vanish_limit_percent)
}

/// The reason that stands on what the policy has done.
pub const VANISHED: &str = "the data set that the user comes from knows them no more";

/// What becomes of a user who vanished, by a policy that leaves them there; `None` if that is so
/// already. With [`VanishPolicy::Delete`], the deletion stands in the same commit.
///
/// # Errors
/// `UserDeleted`.
pub fn vanish(source: &DataSource, user: &User, devices: &[Device], act: &Act) -> Result<Option<Change>, Refusal> {
    user.require_there()?;
    if user.provenance.vanished_at.is_some() {
        return Ok(None);
    }
    let suspended = match source.policy {
        VanishPolicy::Suspend => life::suspend(user, devices, Some(VANISHED.to_owned()), act)?,
        VanishPolicy::Flag | VanishPolicy::Delete => None,
    };
    let by_policy = suspended.is_some();
    let mut change = suspended.unwrap_or_default();
    let mut after = change.user.take().map_or_else(|| user.clone(), |edited| edited.after);
    after.provenance.vanished_at = Some(act.at);
    after.provenance.suspended_at = by_policy.then_some(act.at);
    let mut event = act.event(EventType::UserVanished).about_user(user.user_id);
    event.change("vanish_policy", serde_json::Value::Null, source.policy.as_str());
    change.events.insert(0, event);
    for event in &mut change.events {
        event.source_id = Some(source.source_id);
    }
    change.user = Some(Edited::from(user.clone(), after));
    Ok(Some(change))
}

/// The names of a user's fields that a change changes.
#[must_use]
pub fn changed_fields(change: &Change) -> Vec<String> {
    let Some(Edited { before, after }) = &change.user else { return Vec::new() };
    let said = |user: Option<&User>| {
        let text = |text: &Option<String>| text.clone();
        user.map(|user| {
            [
                ("username", Some(user.username.clone())),
                ("first_name", text(&user.first_name)),
                ("last_name", text(&user.last_name)),
                ("email", text(&user.email)),
                ("mobile", text(&user.mobile)),
                ("number", text(&user.number)),
                ("service_level", text(&user.service_level)),
                ("sip_user_name", text(&user.client.sip_user_name)),
                ("service_account", text(&user.client.service_account)),
                ("external_id", text(&user.provenance.external_id)),
            ]
        })
    };
    let before = said(before.as_ref());
    let differs = |(at, (name, value)): (usize, &(&str, Option<String>))| {
        let was = before.as_ref().and_then(|before| before[at].1.clone());
        (was != *value).then(|| (*name).to_owned())
    };
    said(Some(after)).iter().flatten().enumerate().filter_map(differs).collect()
}
