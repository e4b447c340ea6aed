//! The changes of a user that follow from a new or changed SCIM document.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::DomainError;
use crate::ids::UserId;
use crate::input::{FieldError, Fields};
use crate::models::device::{Device, DeviceWithCommands};
use crate::models::event::EventType;
use crate::models::provenance::{EXTERNAL_ID, Holder, Origin};
use crate::models::user::{NewUser, Source, User, UserEdit};
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;
use crate::rules::lifecycle;
use crate::rules::lifecycle::NewId;
use crate::rules::provenance::{holder, taken_over, tell_taken_over};
use crate::rules::scim::document::{Document, ScimAttributes, ScimUserRecord, UserFields};
use crate::rules::scim::schema::ENTERPRISE;
use crate::stored::Stored;

/// Reason in the record for a suspension by an identity provider.
pub const DEACTIVATION_REASON: &str = "made inactive by the identity provider";

/// Reason in the record for a deletion by an identity provider.
pub const DELETION_REASON: &str = "deleted by the identity provider";

/// A user to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewScimUser {
    /// The fields of Handset's user.
    pub user: NewUser,
    /// `externalId`.
    pub external_id: Option<String>,
    active: bool,
    scim_attributes: Map<String, Value>,
}

/// A change of a user by a PUT or PATCH request.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserEdit {
    /// The changed fields of Handset's user.
    pub user: UserEdit,
    /// `externalId` after the change, if it changes.
    pub external_id: Option<Option<String>>,
    /// `active` after the change, if it changes.
    active: Option<bool>,
    /// The attributes to store as [`ScimAttributes`], changed or not.
    scim_attributes: Map<String, Value>,
}

/// A created user.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedScimUser {
    /// The user, with the SCIM attributes to store.
    pub record: ScimUserRecord,
    /// The change to commit, without the SCIM attributes.
    pub change: ChangeSet,
}

/// An updated user.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdatedScimUser {
    /// The change of the user and their devices, without the SCIM attributes.
    pub change: ChangeSet,
    /// The SCIM attributes after the change.
    pub scim_attributes: Option<ScimAttributes>,
}

impl NewScimUser {
    /// Reads a new user. Without `active`, the user is active.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(document: &Document) -> Result<Self, DomainError> {
        let fields = document.user_fields();
        let user = NewUser::read(Fields::from_json(user_input(&fields, |_| true)));
        let phone_number_errors = document.phone_number_errors(&Document::default());
        let external_id = with_errors(read_external_id(fields.external_id.as_deref()), phone_number_errors);
        let (user, external_id) = combine(user, external_id)?;
        Ok(Self {
            user,
            external_id,
            active: fields.active != Some(false),
            scim_attributes: document.scim_attributes(),
        })
    }
}

impl ScimUserEdit {
    /// Reads the change of a user from their document before and after it.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(before: &Document, after: &Document) -> Result<Self, DomainError> {
        let (old, new) = (before.user_fields(), after.user_fields());
        let old_input = user_input(&old, |_| true);
        let new_input = user_input(&new, |_| true);
        let changed_input = user_input(&new, |name| old_input.get(name) != new_input.get(name));
        let user = UserEdit::read(Fields::from_json(changed_input));
        let external_id = with_errors(read_external_id(new.external_id.as_deref()), after.phone_number_errors(before));
        let (user, external_id) = combine(user, external_id)?;
        Ok(Self {
            user: UserEdit { origin: Origin::Source, ..user },
            external_id: (old.external_id != external_id).then_some(external_id),
            active: new.active.filter(|_| new.active != old.active),
            scim_attributes: after.scim_attributes(),
        })
    }
}

/// Names of fields of Handset's user, and of the SCIM attributes that set them, as in field errors.
const FIELD_NAMES: [(&str, &str); 6] = [
    ("username", "userName"),
    ("first_name", "name.givenName"),
    ("last_name", "name.familyName"),
    ("email", "emails.value"),
    ("mobile", "phoneNumbers.value"),
    ("number", "phoneNumbers.value"),
];

/// The chosen fields in the form of a request body of Handset's own API; null for those without a value.
fn user_input(fields: &UserFields, is_chosen: impl Fn(&str) -> bool) -> Map<String, Value> {
    let UserFields { username, first_name, last_name, email, mobile, number, external_id: _, active: _ } = fields;
    let values = [username, first_name, last_name, email, mobile, number];
    let chosen = FIELD_NAMES.iter().zip(values).filter(|((name, _), _)| is_chosen(name));
    chosen.map(|((name, _), value)| ((*name).to_owned(), json!(value))).collect()
}

fn read_external_id(external_id: Option<&str>) -> Result<Option<String>, Vec<FieldError>> {
    let external_id = external_id.map(|text| EXTERNAL_ID.read(text)).transpose();
    external_id.map_err(|(code, detail)| vec![FieldError::new("externalId", code, detail)])
}

/// The result, or all errors if there are any.
fn with_errors<T>(result: Result<T, Vec<FieldError>>, further: Vec<FieldError>) -> Result<T, Vec<FieldError>> {
    match result {
        Ok(value) if further.is_empty() => Ok(value),
        result => Err(result.err().into_iter().flatten().chain(further).collect()),
    }
}

/// Both results, or the errors of both. Field errors of the user get the names of the SCIM attributes.
fn combine<U, E>(user: Result<U, DomainError>, external_id: Result<E, Vec<FieldError>>) -> Result<(U, E), DomainError> {
    let (user, mut errors) = match user {
        Ok(user) => (Some(user), Vec::new()),
        Err(DomainError::Invalid(errors)) => (None, errors.into_iter().map(with_scim_name).collect()),
        Err(other) => return Err(other),
    };
    match (user, external_id) {
        (Some(user), Ok(external_id)) => Ok((user, external_id)),
        (_, external_id) => {
            errors.extend(external_id.err().into_iter().flatten());
            Err(DomainError::Invalid(errors))
        }
    }
}

fn with_scim_name(error: FieldError) -> FieldError {
    let name = FIELD_NAMES.iter().find(|(name, _)| *name == error.field).map(|(_, name)| (*name).to_owned());
    FieldError { field: name.unwrap_or(error.field), ..error }
}

/// Creates a user. An inactive user is created and suspended in one change.
///
/// # Errors
/// None is expected.
pub fn create(new: NewScimUser, user_id: UserId, context: &EventContext) -> Result<CreatedScimUser, DomainError> {
    let (mut user, event) = User::created(new.user, user_id, context);
    user.source = Source::Scim;
    user.provenance.external_id = new.external_id;
    let mut change = ChangeSet { user: Some(RowChange::new(user.clone())), ..ChangeSet::with_event(event) };
    if !new.active
        && let Some(suspension) = lifecycle::suspend_by_source(&user, &[], DEACTIVATION_REASON, context)?
    {
        user = suspension.user_after().cloned().unwrap_or(user);
        change = change.then(suspension);
    }
    let scim_attributes = attributes_row(&user, None, new.scim_attributes);
    Ok(CreatedScimUser { record: ScimUserRecord { user, scim_attributes, updated_at: None }, change })
}

/// The user as managed by the identity provider: taken over, if another source or nobody manages them so far.
fn managed_by_provider(user: &User, edit: &ScimUserEdit) -> User {
    match holder(user) {
        Holder::Provider if user.source == Source::Scim => user.clone(),
        Holder::Provider | Holder::Nobody | Holder::Source(_) => taken_over(user, Source::Scim, None, &edit.user),
    }
}

/// True if the change renames the user: see [`lifecycle::is_renamed`].
#[must_use]
pub fn is_renamed(user: &User, edit: &ScimUserEdit) -> bool {
    lifecycle::is_renamed(&managed_by_provider(user, edit), &edit.user)
}

/// Updates a user; `None` if nothing changes. A user whom the provider does not manage yet is taken over: each field
/// with a value that differs from the provider's counts as set by hand. Fields set by hand stay, and so do an admin's
/// suspension and a lock: `active` only sets and lifts the provider's own suspension.
///
/// # Errors
/// `UserDeleted`.
pub fn update(
    record: &ScimUserRecord,
    devices: &[DeviceWithCommands],
    edit: &ScimUserEdit,
    new_id: NewId<'_>,
    context: &EventContext,
) -> Result<Option<UpdatedScimUser>, DomainError> {
    let user = &record.user;
    let managed = managed_by_provider(user, edit);
    let change = lifecycle::update(&managed, devices, &edit.user, new_id, context)?;
    let mut change =
        change.unwrap_or_else(|| ChangeSet::with_event(context.event(EventType::UserUpdated).with_user(user.user_id)));
    let mut after = change.user_after().unwrap_or(&managed).clone();
    let event = &mut change.events[0];
    tell_taken_over(event, user, &after);
    if let Some(external_id) = &edit.external_id {
        after.provenance.external_id.clone_from(external_id);
        event.add_changed_field("external_id");
    }
    let attributes_before = Document::from_record(record).scim_attributes();
    let changed_attributes = changed_attribute_names(&attributes_before, &edit.scim_attributes);
    for name in &changed_attributes {
        event.add_changed_field(&format!("scim.{name}"));
    }
    let has_changed = !event.changes.is_empty() || !event.changed_fields.is_empty();
    // Created only once an attribute changes: for a user created by hand, the user's own row has everything.
    let scim_attributes = if edit.scim_attributes == attributes_before {
        record.scim_attributes.clone()
    } else {
        attributes_row(user, record.scim_attributes.as_ref(), edit.scim_attributes.clone())
    };
    change.user = Some(RowChange::from(user.clone(), after.clone()));
    let devices = change.devices_after(devices);
    let change = match (has_changed, change_active(&after, &devices, edit.active, context)?) {
        (true, Some(active_change)) => change.then(active_change),
        (true, None) => change,
        (false, Some(active_change)) => active_change,
        (false, None) => return Ok(None),
    };
    Ok(Some(UpdatedScimUser { change, scim_attributes }))
}

/// Sets or lifts the provider's suspension; `None` if nothing changes.
fn change_active(
    user: &User,
    devices: &[Device],
    active: Option<bool>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    match active {
        Some(false) => lifecycle::suspend_by_source(user, devices, DEACTIVATION_REASON, context),
        Some(true) => lifecycle::resume_by_source(user, devices, context),
        None => Ok(None),
    }
}

/// The row of a user's SCIM attributes; `None` if there are none.
fn attributes_row(
    user: &User,
    before: Option<&ScimAttributes>,
    attributes: Map<String, Value>,
) -> Option<ScimAttributes> {
    let row = ScimAttributes {
        workspace_id: user.workspace_id,
        user_id: user.user_id,
        attributes,
        version: before.map_or(1, |row| row.version),
        stored: Stored::default(),
    };
    (!row.attributes.is_empty()).then_some(row)
}

/// The names of the attributes that differ; of the enterprise extension, those of its attributes.
fn changed_attribute_names(before: &Map<String, Value>, after: &Map<String, Value>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for name in before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)) {
        if name == ENTERPRISE {
            let extension = |attributes: &Map<String, Value>| {
                attributes.get(ENTERPRISE).and_then(Value::as_object).cloned().unwrap_or_default()
            };
            names.extend(changed_attribute_names(&extension(before), &extension(after)));
        } else {
            names.insert(name.clone());
        }
    }
    names
}
