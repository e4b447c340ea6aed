//! The change of a user from a change of their SCIM document.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::DomainError;
use crate::ids::UserId;
use crate::input::{FieldError, Fields};
use crate::models::device::DeviceWithCommands;
use crate::models::event::EventType;
use crate::models::provenance::{EXTERNAL_ID, Holder, Origin};
use crate::models::user::{NewUser, Source, User, UserEdit};
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;
use crate::rules::lifecycle;
use crate::rules::lifecycle::NewId;
use crate::rules::provenance::{holder, taken_over, tell_taken_over};
use crate::rules::scim::document::{Document, ScimAttributes, ScimOwn, ScimUserRecord};
use crate::rules::scim::schema::ENTERPRISE;
use crate::stored::Stored;

/// Reason for a suspension by an identity provider.
pub const DEACTIVATED: &str = "made inactive by the identity provider";

/// Reason for a deletion by an identity provider.
pub const DELETED: &str = "deleted by the identity provider";

/// A user to create.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserNew {
    /// The user's own fields.
    pub user: NewUser,
    /// External id, from the provider.
    pub external_id: Option<String>,
    active: bool,
    kept: Map<String, Value>,
}

/// A change of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserWrite {
    /// Changes of the user's own fields.
    pub edit: UserEdit,
    /// New external id from the provider, if it changes.
    pub external_id: Option<Option<String>>,
    active: Option<bool>,
    kept: Map<String, Value>,
}

/// A created user.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimCreated {
    /// The user, with their kept attributes.
    pub person: ScimUserRecord,
    /// The change to commit, without the kept attributes.
    pub change: ChangeSet,
}

/// An updated user.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUpdated {
    /// The change of the user and their devices.
    pub change: ChangeSet,
    /// The kept attributes after the change.
    pub kept: Option<ScimAttributes>,
}

impl ScimUserNew {
    /// Reads a new user. Without `active`, the user is active.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(document: &Document) -> Result<Self, DomainError> {
        let own = document.own();
        let external_id = external_id(own.external_id.as_deref());
        let user = NewUser::read(Fields::from_json(fields_of(&own, |_| true)));
        let (user, external_id) = both(user, and(external_id, document.faults_since(&Document::default())))?;
        Ok(Self { user, external_id, active: own.active != Some(false), kept: document.kept() })
    }
}

impl ScimUserWrite {
    /// Reads the change of a user from their document before and after it.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(before: &Document, after: &Document) -> Result<Self, DomainError> {
        let (old, new) = (before.own(), after.own());
        let external_id = external_id(new.external_id.as_deref());
        let old_fields = fields_of(&old, |_| true);
        let new_fields = fields_of(&new, |_| true);
        let changed = fields_of(&new, |name| old_fields.get(name) != new_fields.get(name));
        let external_id = and(external_id, after.faults_since(before));
        let (edit, external_id) = both(UserEdit::read(Fields::from_json(changed)), external_id)?;
        Ok(Self {
            edit: UserEdit { origin: Origin::Source, ..edit },
            external_id: (old.external_id != external_id).then_some(external_id),
            active: new.active.filter(|_| new.active != old.active),
            kept: after.kept(),
        })
    }
}

/// Names of the fields in Handset and in SCIM.
const NAMES: [(&str, &str); 6] = [
    ("username", "userName"),
    ("first_name", "name.givenName"),
    ("last_name", "name.familyName"),
    ("email", "emails.value"),
    ("mobile", "phoneNumbers.value"),
    ("number", "phoneNumbers.value"),
];

/// The document's fields in the form of a request body of Handset's own API.
fn fields_of(own: &ScimOwn, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    let values = [&own.username, &own.first_name, &own.last_name, &own.email, &own.mobile, &own.number];
    let fields = NAMES.iter().zip(values).filter(|((name, _), _)| wanted(name));
    fields.map(|((name, _), value)| ((*name).to_owned(), json!(value))).collect()
}

fn external_id(said: Option<&str>) -> Result<Option<String>, Vec<FieldError>> {
    let read = said.map(|text| EXTERNAL_ID.read(text)).transpose();
    read.map_err(|(code, detail)| vec![FieldError::new("externalId", code, detail)])
}

/// The result, or all errors if there are any.
fn and<T>(read: Result<T, Vec<FieldError>>, further: Vec<FieldError>) -> Result<T, Vec<FieldError>> {
    match read {
        Ok(read) if further.is_empty() => Ok(read),
        read => Err(read.err().into_iter().flatten().chain(further).collect()),
    }
}

/// Both results, or all errors of both, with the SCIM names of the fields.
fn both<A, B>(first: Result<A, DomainError>, second: Result<B, Vec<FieldError>>) -> Result<(A, B), DomainError> {
    let (first, mut faults) = match first {
        Ok(first) => (Some(first), Vec::new()),
        Err(DomainError::Invalid(faults)) => (None, faults.into_iter().map(renamed).collect()),
        Err(other) => return Err(other),
    };
    match (first, second) {
        (Some(first), Ok(second)) => Ok((first, second)),
        (_, second) => {
            faults.extend(second.err().into_iter().flatten());
            Err(DomainError::Invalid(faults))
        }
    }
}

fn renamed(fault: FieldError) -> FieldError {
    let name = NAMES.iter().find(|(name, _)| *name == fault.field).map(|(_, name)| (*name).to_owned());
    FieldError { field: name.unwrap_or(fault.field), ..fault }
}

/// Creates a user. One who is not active is created and suspended in one change.
///
/// # Errors
/// None is expected.
pub fn create(new: ScimUserNew, user_id: UserId, context: &EventContext) -> Result<ScimCreated, DomainError> {
    let (mut user, event) = User::created(new.user, user_id, context);
    user.source = Source::Scim;
    user.provenance.external_id = new.external_id;
    let mut change = ChangeSet { user: Some(RowChange::new(user.clone())), ..ChangeSet::with_event(event) };
    if !new.active
        && let Some(suspended) = lifecycle::suspend_by_source(&user, &[], DEACTIVATED, context)?
    {
        user = suspended.user_after().cloned().unwrap_or(user);
        change = change.then(suspended);
    }
    let kept = kept(&user, None, new.kept);
    Ok(ScimCreated { person: ScimUserRecord { user, kept, updated_at: None }, change })
}

/// The user that the provider's change applies to: one that the provider does not hold is taken over.
fn met(user: &User, wanted: &ScimUserWrite) -> User {
    match holder(user) {
        Holder::Provider if user.source == Source::Scim => user.clone(),
        Holder::Provider | Holder::Nobody | Holder::Source(_) => taken_over(user, Source::Scim, None, &wanted.edit),
    }
}

/// True if the change renames the user: see [`lifecycle::is_renamed`].
#[must_use]
pub fn is_renamed(user: &User, wanted: &ScimUserWrite) -> bool {
    lifecycle::is_renamed(&met(user, wanted), &wanted.edit)
}

/// Updates a user; `None` if nothing changes. A user that the provider does not hold is taken over: each field with a
/// value that differs from the provider's counts as set by hand. Fields set by hand stay, and so do an admin's
/// suspension and a lock: `active` only sets and lifts the provider's own suspension.
///
/// # Errors
/// `UserDeleted`.
pub fn update(
    person: &ScimUserRecord,
    phones: &[DeviceWithCommands],
    wanted: &ScimUserWrite,
    new_id: NewId<'_>,
    context: &EventContext,
) -> Result<Option<ScimUpdated>, DomainError> {
    let user = &person.user;
    let base = met(user, wanted);
    let edited = lifecycle::update(&base, phones, &wanted.edit, new_id, context)?;
    let mut change =
        edited.unwrap_or_else(|| ChangeSet::with_event(context.event(EventType::UserUpdated).with_user(user.user_id)));
    let mut after = change.user_after().unwrap_or(&base).clone();
    tell_taken_over(&mut change.events[0], user, &after);
    if let Some(external_id) = &wanted.external_id {
        after.provenance.external_id.clone_from(external_id);
        change.events[0].add_changed_field("external_id");
    }
    // A row is created once a provider sends more than the user's own row has.
    let before = Document::of(person).kept();
    let is_new = wanted.kept != before;
    let kept_after = if is_new { kept(user, person.kept.as_ref(), wanted.kept.clone()) } else { person.kept.clone() };
    if is_new {
        for name in differing(&before, &wanted.kept) {
            change.events[0].add_changed_field(&format!("scim.{name}"));
        }
    }
    change.user = Some(RowChange::from(user.clone(), after.clone()));
    let is_edited = !change.events[0].changes.is_empty() || !change.events[0].changed_fields.is_empty();
    let devices = change.devices_after(phones);
    let state = match wanted.active {
        Some(false) => lifecycle::suspend_by_source(&after, &devices, DEACTIVATED, context)?,
        Some(true) => lifecycle::resume_by_source(&after, &devices, context)?,
        None => None,
    };
    let change = match (is_edited, state) {
        (true, Some(state)) => change.then(state),
        (true, None) => change,
        (false, Some(state)) => state,
        (false, None) => return Ok(None),
    };
    Ok(Some(ScimUpdated { change, kept: kept_after }))
}

fn kept(user: &User, before: Option<&ScimAttributes>, attributes: Map<String, Value>) -> Option<ScimAttributes> {
    let version = before.map_or(1, |kept| kept.version);
    let kept = ScimAttributes {
        workspace_id: user.workspace_id,
        user_id: user.user_id,
        attributes,
        version,
        stored: Stored::default(),
    };
    (!kept.attributes.is_empty()).then_some(kept)
}

/// The names of the attributes that differ.
fn differing(before: &Map<String, Value>, after: &Map<String, Value>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for name in before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)) {
        if name == ENTERPRISE {
            let added = |fields: &Map<String, Value>| {
                fields.get(ENTERPRISE).and_then(Value::as_object).cloned().unwrap_or_default()
            };
            names.extend(differing(&added(before), &added(after)));
        } else {
            names.insert(name.clone());
        }
    }
    names
}
