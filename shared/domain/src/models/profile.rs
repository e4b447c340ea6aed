//! Profiles: deployment settings that many users share.
//!
//! A workspace with profiles has exactly one default. So the workspace's row counts its profiles and names the
//! default, and is part of every change that creates or deletes a profile or moves the default.

pub mod schema;

use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{ProfileId, WorkspaceId};
use crate::input::{FieldError, Fields};
use crate::models::profile::schema::{SCHEMA_DEPTH, check, check_schema};
use crate::search::fold;
use crate::stored::Stored;
use crate::text::{Form, TextRule};

/// A profile's name.
pub const NAME: TextRule = TextRule::new(Form::Name, 1, 64);

/// The most bytes of the form in which a name is unique; see [`unique_username`](crate::username::unique_username).
const UNIQUE_NAME_LIMIT: usize = 1024;

/// The most bytes of a profile's settings, or of its schema, as JSON.
pub const SETTINGS_LIMIT: usize = 64 * 1024;

/// How often the assignment of a profile is recorded while it is given to many users.
pub(crate) const ASSIGNMENT_RECORD_INTERVAL: Duration = Duration::minutes(1);

/// How long after a recorded assignment the index of a profile's users is not relied on: the time in which
/// assignments are not recorded again, plus a minute for the index to catch up, which usually takes well under
/// a second.
pub(crate) const ASSIGNMENT_INDEX_DELAY: Duration = Duration::minutes(2);

/// The deepest nesting of a profile's settings.
pub const SETTINGS_DEPTH: usize = 32;

/// A profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub profile_id: ProfileId,
    /// Its name, unique in the workspace whatever its case and accents.
    pub name: String,
    /// Settings for phones. Stored as text, since DynamoDB supports neither every number nor every depth of JSON.
    #[serde(with = "as_text")]
    pub settings: Map<String, Value>,
    /// JSON Schema that the settings satisfy. Stored as text.
    #[serde(default, with = "as_optional_text", skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Counts changes of its settings; phones get it as a version.
    pub revision: u64,
    /// Creation time.
    pub created_at: Time,
    /// Time of the last change.
    pub updated_at: Time,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// When a profile was last assigned to users, in a row of its own so that changes of the profile do not
/// conflict with assignments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileAssignment {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The profile.
    pub profile_id: ProfileId,
    /// Time of the last recorded assignment, at most a minute behind.
    pub given_at: Time,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

pub(crate) mod as_text {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&serde_json::to_string(value).map_err(S::Error::custom)?)
    }

    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

mod as_optional_text {
    use serde::de::DeserializeOwned;
    use serde::{Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::as_text::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        super::as_text::deserialize(from).map(Some)
    }
}

/// The data of a new profile.
#[derive(Clone, Debug, PartialEq)]
pub struct NewProfile {
    /// See [`Profile::name`].
    pub name: String,
    /// See [`Profile::settings`].
    pub settings: Map<String, Value>,
    /// See [`Profile::schema`].
    pub schema: Option<Value>,
    /// True to make it the workspace's default; the first profile is the default in any case.
    pub default: bool,
}

impl NewProfile {
    /// Reads a new profile and checks its settings against its schema.
    ///
    /// # Errors
    /// Every invalid field, and every error of the schema and of the settings by the schema.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let name = fields.required_text("name", NAME);
        check_name(&mut fields, name.as_deref());
        fields.require("settings");
        let settings = read_settings(&mut fields);
        let (schema, usable) = read_schema(&mut fields);
        let default = fields.boolean("default").unwrap_or(false);
        if let (Some(settings), Some(schema), true) = (&settings, &schema, usable) {
            add_errors(&mut fields, check(settings, schema));
        }
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(Self { name: name.unwrap_or_default(), settings: settings.unwrap_or_default(), schema, default })
    }
}

/// An admin's edit of a profile. An outer `None` leaves a field as it is; an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileEdit {
    /// See [`Profile::name`].
    pub name: Option<String>,
    /// See [`Profile::settings`]; replaces all of them.
    pub settings: Option<Map<String, Value>>,
    /// See [`Profile::schema`].
    pub schema: Option<Option<Value>>,
    /// Whether to make it the workspace's default.
    pub default: Option<bool>,
    /// Errors of the fields, reported together with those of the profile's schema once the profile is read.
    faults: Vec<FieldError>,
}

impl ProfileEdit {
    /// Reads an edit; `rules::profiles::update` reports its errors.
    #[must_use]
    pub fn read(mut fields: Fields) -> Self {
        let name = fields.text("name", NAME);
        check_name(&mut fields, name.as_deref());
        for field in ["name", "settings", "default"] {
            if fields.is_null(field) {
                fields.add_error(field, "missing", "cannot be removed");
            }
        }
        let settings = read_settings(&mut fields);
        let schema = if fields.is_null("schema") {
            Some(None)
        } else {
            // Settings are not checked against an invalid schema.
            let (schema, usable) = read_schema(&mut fields);
            schema.filter(|_| usable).map(Some)
        };
        let default = fields.boolean("default");
        let faults = fields.finish().err().unwrap_or_default();
        Self { name, settings, schema, default, faults }
    }
}

fn check_name(fields: &mut Fields, name: Option<&str>) {
    if name.is_some_and(|name| fold(name).len() > UNIQUE_NAME_LIMIT) {
        fields.add_error("name", "too_long", "contains characters that expand to too many letters");
    }
}

fn read_settings(fields: &mut Fields) -> Option<Map<String, Value>> {
    let value = fields.value_with_schema("settings", || json!({"type": "object"}))?;
    if !check_size(fields, "settings", &value, SETTINGS_DEPTH) {
        return None;
    }
    match value {
        Value::Object(settings) => Some(settings),
        _ => {
            fields.add_error("settings", "wrong_type", "must be an object");
            None
        }
    }
}

/// The schema that was sent, and whether it is valid.
fn read_schema(fields: &mut Fields) -> (Option<Value>, bool) {
    let Some(schema) = fields.value_with_schema("schema", || json!({"type": ["object", "boolean"]})) else {
        return (None, false);
    };
    if !check_size(fields, "schema", &schema, SCHEMA_DEPTH) {
        return (None, false);
    }
    let faults = check_schema(&schema);
    let usable = faults.is_empty();
    add_errors(fields, faults);
    (Some(schema), usable)
}

fn check_size(fields: &mut Fields, name: &str, value: &Value, depth: usize) -> bool {
    if value.to_string().len() > SETTINGS_LIMIT {
        fields.add_error(name, "too_long", format!("must have at most {SETTINGS_LIMIT} bytes as JSON"));
        return false;
    }
    if depth_of(value) > depth {
        fields.add_error(name, "too_deep", format!("must be nested at most {depth} deep"));
        return false;
    }
    true
}

/// Depth of a value. The recursion is safe, since parsed JSON has a bounded depth.
pub(crate) fn depth_of(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(depth_of).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

fn add_errors(fields: &mut Fields, faults: Vec<FieldError>) {
    for fault in faults {
        fields.add_error(&fault.field, fault.code, fault.detail);
    }
}

/// True if a profile's name changed to one that is a different unique name; a change of case or accents alone is not.
#[must_use]
pub fn is_renamed(before: &Profile, after: &Profile) -> bool {
    fold(&before.name) != fold(&after.name)
}

pub(crate) fn edit_errors(before: &Profile, after: &Profile, edit: &ProfileEdit) -> Vec<FieldError> {
    let mut faults = edit.faults.clone();
    // Unreadable settings, or an unreadable schema, cannot be checked any further.
    let readable = !faults.iter().any(|fault| fault.field.starts_with("schema") || fault.field == "settings");
    let changes = after.settings != before.settings || after.schema != before.schema;
    if let (Some(schema), true, true) = (&after.schema, readable, changes) {
        faults.extend(check(&after.settings, schema));
    }
    faults
}
