//! Profiles: deployment settings that many users share.
//!
//! As soon as a workspace has profiles, exactly one of them is its default. So the workspace's own
//! row counts them and names it, and is part of every change that makes one, takes one away, or
//! moves the default.

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

/// The most bytes of the form in which a name is unique. See
/// [`unique_username`](crate::username::unique_username).
const UNIQUE_NAME_LIMIT: usize = 1024;

/// The most bytes of a profile's settings, or of its schema, as JSON.
pub const SETTINGS_LIMIT: usize = 64 * 1024;

/// A profile that is given to many users notes so only once in this time.
pub(crate) const GIVEN_NOTED_EVERY: Duration = Duration::minutes(1);

/// How long after it was noted that a profile was given nobody relies on the index of its users: the
/// time in which it is not noted again, and a minute for the index to follow, which takes well below
/// a second as a rule.
pub(crate) const GIVEN_FOLLOWED_AFTER: Duration = Duration::minutes(2);

/// How deep a profile's settings may be nested.
pub const SETTINGS_DEPTH: usize = 32;

/// Settings that many users share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub profile_id: ProfileId,
    /// Its name, unique in the workspace whatever its capitals and accents.
    pub name: String,
    /// What phones are to be set to. Stored as text, since DynamoDB knows neither every number nor
    /// every depth that JSON has.
    #[serde(with = "as_text")]
    pub settings: Map<String, Value>,
    /// The JSON Schema that the settings satisfy. Stored as text.
    #[serde(default, with = "as_optional_text", skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Counts the changes of its settings: what phones are told of.
    pub revision: u64,
    /// Time of its creation.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// That a profile was given to users: beside it, so that whoever changes the profile is not in the way of
/// those who give it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileAssignment {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The profile.
    pub profile_id: ProfileId,
    /// When it was last noted; at most a minute behind.
    pub given_at: Time,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
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

/// A profile that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewProfile {
    /// See [`Profile::name`].
    pub name: String,
    /// See [`Profile::settings`].
    pub settings: Map<String, Value>,
    /// See [`Profile::schema`].
    pub schema: Option<Value>,
    /// True if it is to be the workspace's default; the first one is in any case.
    pub default: bool,
}

impl NewProfile {
    /// Reads a profile, whose settings satisfy its schema.
    ///
    /// # Errors
    /// Every fault of the fields, of the schema, and of the settings by the schema.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let name = fields.required_text("name", NAME);
        check_name(&mut fields, name.as_deref());
        fields.require("settings");
        let settings = read_settings(&mut fields);
        let (schema, usable) = read_schema(&mut fields);
        let default = fields.boolean("default").unwrap_or(false);
        if let (Some(settings), Some(schema), true) = (&settings, &schema, usable) {
            take_over(&mut fields, check(settings, schema));
        }
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(Self { name: name.unwrap_or_default(), settings: settings.unwrap_or_default(), schema, default })
    }
}

/// What an admin changes of a profile. An outer `None` leaves it; an inner one takes it away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileEdit {
    /// See [`Profile::name`].
    pub name: Option<String>,
    /// See [`Profile::settings`]; all of them.
    pub settings: Option<Map<String, Value>>,
    /// See [`Profile::schema`].
    pub schema: Option<Option<Value>>,
    /// Whether it is to be the workspace's default.
    pub default: Option<bool>,
    /// What was wrong with it. It is told once the profile has been read, together with what its
    /// own schema says.
    faults: Vec<FieldError>,
}

impl ProfileEdit {
    /// Reads an edit; `rules::profiles::update` tells what is wrong with it.
    #[must_use]
    pub fn read(mut fields: Fields) -> Self {
        let name = fields.text("name", NAME);
        check_name(&mut fields, name.as_deref());
        for field in ["name", "settings", "default"] {
            if fields.is_null(field) {
                fields.fault(field, "missing", "cannot be removed");
            }
        }
        let settings = read_settings(&mut fields);
        let schema = if fields.is_null("schema") {
            Some(None)
        } else {
            // A schema that is no good is not held against the settings.
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
        fields.fault("name", "too_long", "holds signs that stand for too many letters");
    }
}

fn read_settings(fields: &mut Fields) -> Option<Map<String, Value>> {
    let value = fields.value_like("settings", || json!({"type": "object"}))?;
    if !check_size(fields, "settings", &value, SETTINGS_DEPTH) {
        return None;
    }
    match value {
        Value::Object(settings) => Some(settings),
        _ => {
            fields.fault("settings", "wrong_type", "must be an object");
            None
        }
    }
}

/// The schema that was sent, and whether it is one.
fn read_schema(fields: &mut Fields) -> (Option<Value>, bool) {
    let Some(schema) = fields.value_like("schema", || json!({"type": ["object", "boolean"]})) else {
        return (None, false);
    };
    if !check_size(fields, "schema", &schema, SCHEMA_DEPTH) {
        return (None, false);
    }
    let faults = check_schema(&schema);
    let usable = faults.is_empty();
    take_over(fields, faults);
    (Some(schema), usable)
}

fn check_size(fields: &mut Fields, name: &str, value: &Value, depth: usize) -> bool {
    if value.to_string().len() > SETTINGS_LIMIT {
        fields.fault(name, "too_long", format!("must have at most {SETTINGS_LIMIT} bytes as JSON"));
        return false;
    }
    if depth_of(value) > depth {
        fields.fault(name, "too_deep", format!("must be nested at most {depth} deep"));
        return false;
    }
    true
}

/// How deep a value is nested; JSON that was read is never very deep.
pub(crate) fn depth_of(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(depth_of).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

fn take_over(fields: &mut Fields, faults: Vec<FieldError>) {
    for fault in faults {
        fields.fault(&fault.field, fault.code, fault.detail);
    }
}

/// True if a profile has another name than before; one that differs in capitals or accents alone is
/// still its own.
#[must_use]
pub fn is_renamed(before: &Profile, after: &Profile) -> bool {
    fold(&before.name) != fold(&after.name)
}

pub(crate) fn faults_of(before: &Profile, after: &Profile, edit: &ProfileEdit) -> Vec<FieldError> {
    let mut faults = edit.faults.clone();
    // Of settings or a schema that cannot be read at all, nothing more can be said.
    let readable = !faults.iter().any(|fault| fault.field.starts_with("schema") || fault.field == "settings");
    let changes = after.settings != before.settings || after.schema != before.schema;
    if let (Some(schema), true, true) = (&after.schema, readable, changes) {
        faults.extend(check(&after.settings, schema));
    }
    faults
}
