//! What a document changes of a user.

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

/// Why a user is suspended whom an identity provider has made inactive.
pub const DEACTIVATED: &str = "made inactive by the identity provider";

/// Why a user is deleted whom an identity provider has deleted.
pub const DELETED: &str = "deleted by the identity provider";

/// A user to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserNew {
    /// What Handset knows.
    pub user: NewUser,
    /// What the provider calls them.
    pub external_id: Option<String>,
    active: bool,
    kept: Map<String, Value>,
}

/// What is to change of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserWrite {
    /// What Handset knows.
    pub edit: UserEdit,
    /// What the provider calls them from then on, if that changes.
    pub external_id: Option<Option<String>>,
    active: Option<bool>,
    kept: Map<String, Value>,
}

/// A user made.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimCreated {
    /// The user, and what is kept of them.
    pub person: ScimUserRecord,
    /// What it makes, but for what is kept.
    pub change: ChangeSet,
}

/// A user changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUpdated {
    /// What changes of the user and their devices.
    pub change: ChangeSet,
    /// What is kept of them from then on.
    pub kept: Option<ScimAttributes>,
}

impl ScimUserNew {
    /// Reads what a new user is made from. Without a word about it, the user is active.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(document: &Document) -> Result<Self, DomainError> {
        let own = document.own();
        let external_id = external_id(own.external_id.as_deref());
        let user = NewUser::read(Fields::from_json(fields_of(&own, |_| true)));
        let (user, external_id) = both(user, and(external_id, document.faults_since(&Document::default())))?;
        Ok(Self { user, external_id, active: own.active != Some(false), kept: document.kept() })
    }
}

impl ScimUserWrite {
    /// Reads what is to change of a user: that in which two documents of theirs differ.
    ///
    /// # Errors
    /// Every fault.
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

/// The names of the fields, as Handset and as SCIM writes them.
const NAMES: [(&str, &str); 6] = [
    ("username", "userName"),
    ("first_name", "name.givenName"),
    ("last_name", "name.familyName"),
    ("email", "emails.value"),
    ("mobile", "phoneNumbers.value"),
    ("number", "phoneNumbers.value"),
];

/// What a document says in Handset's own words, as the fields of a body of Handset's own.
fn fields_of(own: &ScimOwn, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    let values = [&own.username, &own.first_name, &own.last_name, &own.email, &own.mobile, &own.number];
    let fields = NAMES.iter().zip(values).filter(|((name, _), _)| wanted(name));
    fields.map(|((name, _), value)| ((*name).to_owned(), json!(value))).collect()
}

fn external_id(said: Option<&str>) -> Result<Option<String>, Vec<FieldError>> {
    let read = said.map(|text| EXTERNAL_ID.read(text)).transpose();
    read.map_err(|(code, detail)| vec![FieldError::new("externalId", code, detail)])
}

/// What was read, unless there are further faults: then all of them.
fn and<T>(read: Result<T, Vec<FieldError>>, further: Vec<FieldError>) -> Result<T, Vec<FieldError>> {
    match read {
        Ok(read) if further.is_empty() => Ok(read),
        read => Err(read.err().into_iter().flatten().chain(further).collect()),
    }
}

/// Both, or every fault of both, under SCIM's names.
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

/// A new user. One who is not active is made and suspended in one act.
///
/// # Errors
/// None that can be foreseen.
pub fn create(new: ScimUserNew, user_id: UserId, context: &EventContext) -> Result<ScimCreated, DomainError> {
    let (mut user, event) = User::created(new.user, user_id, context);
    user.source = Source::Scim;
    user.provenance.external_id = new.external_id;
    let mut change = ChangeSet { user: Some(RowChange::new(user.clone())), ..ChangeSet::recorded(event) };
    if !new.active
        && let Some(suspended) = lifecycle::suspend_by_source(&user, &[], DEACTIVATED, context)?
    {
        user = suspended.user_after().cloned().unwrap_or(user);
        change = change.then(suspended);
    }
    let kept = kept(&user, None, new.kept);
    Ok(ScimCreated { person: ScimUserRecord { user, kept, updated_at: None }, change })
}

/// A user as the provider's word meets them: one whom it does not hold is taken over.
fn met(user: &User, wanted: &ScimUserWrite) -> User {
    match holder(user) {
        Holder::Provider if user.source == Source::Scim => user.clone(),
        Holder::Provider | Holder::Nobody | Holder::Source(_) => taken_over(user, Source::Scim, None, &wanted.edit),
    }
}

/// True if the provider makes a user somebody else to the systems around.
#[must_use]
pub fn is_renamed(user: &User, wanted: &ScimUserWrite) -> bool {
    lifecycle::is_renamed(&met(user, wanted), &wanted.edit)
}

/// A user changed; `None` if nothing changes. A user who was made by hand is taken over, and what they
/// have, and the provider says otherwise, counts as set by hand. What was set by hand stays, and so does
/// an admin's suspension, and every lock: `active` is about the provider's own word.
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
        edited.unwrap_or_else(|| ChangeSet::recorded(context.event(EventType::UserUpdated).with_user(user.user_id)));
    let mut after = change.user_after().unwrap_or(&base).clone();
    tell_taken_over(&mut change.events[0], user, &after);
    if let Some(external_id) = &wanted.external_id {
        after.provenance.external_id.clone_from(external_id);
        change.events[0].add_changed_field("external_id");
    }
    // A row is made once a provider says something, not for what the user's own row tells.
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

/// The names of the attributes in which two differ.
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
