//! A user in SCIM: one JSON object, with the names of the schema.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Time;
use crate::ids::{UserId, WorkspaceId};
use crate::input::{FIELD_ERROR_LIMIT, FieldError};
use crate::models::user::{NUMBER, User};
use crate::rules::scim::filter::truth;
use crate::rules::scim::list::Projection;
use crate::rules::scim::path::{Named, Place, Target};
use crate::rules::scim::schema::{
    Attribute, ENTERPRISE, ENTERPRISE_ATTRIBUTES, Kind, Mutability, USER, USER_ATTRIBUTES, find,
};
use crate::stored::Stored;
use crate::text::{MOBILE, TextRule, has_several_numbers, is_blank};

/// The most bytes of a user's kept attributes, as JSON.
pub const KEPT_LIMIT: usize = 32 * 1024;

/// The most values of an attribute.
const VALUES_LIMIT: usize = 100;

/// The most bytes of a string.
const TEXT_LIMIT: usize = 4096;

/// The attributes from an identity provider that are kept beside the user's own row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScimAttributes {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The user.
    pub user_id: UserId,
    /// The attributes, as the provider sent them. At most [`KEPT_LIMIT`].
    pub attributes: Map<String, Value>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// A user, with their kept attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserRecord {
    /// The user.
    pub user: User,
    /// Kept attributes; `None` if no provider has sent more than Handset has itself.
    pub kept: Option<ScimAttributes>,
    /// Time of the last change, when the version increased; `None` if the user never changed, or not since this is
    /// recorded.
    pub updated_at: Option<Time>,
}

/// A user as one JSON object. Names are those of the schema, and each value has the type of its attribute; attributes
/// without a value are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document(pub(super) Map<String, Value>);

/// The fields of a document that Handset has itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ScimOwn {
    pub username: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    pub mobile: Option<String>,
    pub number: Option<String>,
    pub external_id: Option<String>,
    pub active: Option<bool>,
}

/// Detail of the error for a simple value where an object is required.
const OBJECT: &str = "must be an object";

/// The attributes that only the user's own row stores.
const IN_USER: [&str; 3] = ["userName", "externalId", "active"];

impl Document {
    /// The attributes of a user that can change. Handset's own fields override what the provider once sent, since they
    /// may have been set by hand later. `active` is what the provider last set, regardless of an admin's suspension or
    /// a lock. An external id that a source has given is left out.
    #[must_use]
    pub fn of(person: &ScimUserRecord) -> Self {
        let user = &person.user;
        let mut fields = person.kept.as_ref().map(|kept| kept.attributes.clone()).unwrap_or_default();
        fields.insert("userName".to_owned(), json!(user.username));
        fields.insert("active".to_owned(), json!(user.suspended_by_source.is_none()));
        if let (Some(external_id), None) = (&user.provenance.external_id, user.provenance.source_id) {
            fields.insert("externalId".to_owned(), json!(external_id));
        }
        let mut document = Self(fields);
        document.settle();
        document.set_name("givenName", user.first_name.as_deref());
        document.set_name("familyName", user.last_name.as_deref());
        document.set_value("emails", own_email, said, user.email.as_deref(), &json!({"type": "work", "primary": true}));
        document.set_value("phoneNumbers", own_mobile, mobile, user.mobile.as_deref(), &json!({"type": "mobile"}));
        document.set_value("phoneNumbers", own_number, number, user.number.as_deref(), &json!({"type": "work"}));
        document.prune();
        document
    }

    /// A user as returned to clients: `active` is false while the provider or an admin suspends them. `base` is the
    /// base URL of SCIM.
    #[must_use]
    pub fn shown(person: &ScimUserRecord, base: &str) -> Self {
        let user = &person.user;
        let mut document = Self::of(person);
        document.0.insert("active".to_owned(), json!(!user.is_suspended()));
        let mut schemas = vec![USER];
        schemas.extend(document.0.contains_key(ENTERPRISE).then_some(ENTERPRISE));
        document.0.insert("schemas".to_owned(), json!(schemas));
        document.0.insert("id".to_owned(), json!(user.user_id));
        document.0.insert(
            "meta".to_owned(),
            json!({
                "resourceType": "User",
                "created": user.created_at,
                "lastModified": person.updated_at.unwrap_or(user.created_at),
                "location": location(user.user_id, base),
                "version": version_tag(user.version),
            }),
        );
        document
    }

    /// The requested attributes.
    #[must_use]
    pub fn projected(self, projection: &Projection) -> Value {
        Value::Object(projection.of(self.0))
    }

    /// Reads a client's representation of a user. Attributes that the schema does not have, or that are read-only, are
    /// ignored.
    ///
    /// # Errors
    /// Every field error.
    pub fn read(given: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut faults = Faults::default();
        let mut fields = Map::new();
        for (name, value) in given {
            match Named::read(name) {
                Named::Known(Target { place: Place::Core, attribute, part: None }) => {
                    faults.read_into(&mut fields, attribute, value, attribute.name);
                }
                Named::Enterprise => {
                    let mut added = Map::new();
                    faults.read_enterprise(&mut added, value);
                    fields.insert(ENTERPRISE.to_owned(), Value::Object(added));
                }
                Named::Known(_) | Named::Foreign | Named::Unknown => {}
            }
        }
        let mut document = Self(fields);
        document.settle();
        faults.check(&document);
        faults.finish()?;
        Ok(document)
    }

    /// The document as a replacement of `before`: without a value, `active` stays unchanged.
    #[must_use]
    pub fn replacing(mut self, before: &Self) -> Self {
        if let Some(active) = before.0.get("active") {
            self.0.entry("active").or_insert_with(|| active.clone());
        }
        self
    }

    /// Checks a document after a change of some attributes.
    ///
    /// # Errors
    /// Every field error.
    pub(super) fn faults(&self) -> Result<(), Vec<FieldError>> {
        let mut faults = Faults::default();
        faults.check(self);
        faults.finish()
    }

    /// The values of an attribute or sub-attribute.
    #[must_use]
    pub fn values(&self, target: &Target) -> Vec<&Value> {
        let home = match target.place {
            Place::Core => Some(&self.0),
            Place::Enterprise => self.0.get(ENTERPRISE).and_then(Value::as_object),
        };
        let Some(value) = home.and_then(|home| home.get(target.attribute.name)) else {
            return Vec::new();
        };
        let values: Vec<&Value> = match value {
            Value::Array(values) => values.iter().collect(),
            one => vec![one],
        };
        match target.part {
            None => values,
            Some(part) => values.into_iter().filter_map(|value| value.get(part.name)).collect(),
        }
    }

    /// The fields that Handset has itself.
    pub(super) fn own(&self) -> ScimOwn {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str).map(str::to_owned);
        let name = |part: &str| self.0.get("name").and_then(|name| name.get(part)).and_then(said_of);
        let one = |name: &str, choose: fn(&[Value]) -> Option<usize>| {
            let values = self.0.get(name).and_then(Value::as_array)?;
            values.get(choose(values)?)?.get("value").and_then(Value::as_str)
        };
        ScimOwn {
            username: text("userName"),
            first_name: name("givenName"),
            last_name: name("familyName"),
            email: one("emails", own_email).and_then(said),
            mobile: one("phoneNumbers", own_mobile).and_then(mobile),
            number: one("phoneNumbers", own_number).and_then(number),
            external_id: text("externalId"),
            active: self.0.get("active").and_then(Value::as_bool),
        }
    }

    /// Errors in the user's own telephone numbers, as far as they have changed since `before`.
    pub(super) fn faults_since(&self, before: &Self) -> Vec<FieldError> {
        let one = |document: &Self, choose: fn(&[Value]) -> Option<usize>| {
            let values = document.0.get("phoneNumbers")?.as_array()?;
            Some(values.get(choose(values)?)?.get("value")?.as_str()?.to_owned())
        };
        let changed = |choose| one(self, choose).filter(|new| one(before, choose).as_ref() != Some(new));
        let several = [own_mobile, own_number].into_iter().filter_map(changed).any(|text| has_several_numbers(&text));
        let fault = || FieldError::new("phoneNumbers.value", "invalid_format", "must be one number only");
        several.then(fault).into_iter().collect()
    }

    /// The attributes that are kept beside the user's row.
    pub(super) fn kept(&self) -> Map<String, Value> {
        let kept = self.0.iter().filter(|(name, _)| !IN_USER.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Removes attributes without a value, and from multi-valued ones the values that are empty: these count as
    /// unassigned, wherever they are and whatever their other sub-attributes (RFC 7643, 2.4 and 2.5).
    pub(super) fn settle(&mut self) {
        for (name, values) in &mut self.0 {
            if let (Some(attribute), Value::Array(values)) = (find(USER_ATTRIBUTES, name), values) {
                values.retain(|value| is_assigned(attribute, value));
            }
        }
        self.prune();
    }

    /// Removes attributes without a value.
    pub(super) fn prune(&mut self) {
        if let Some(Value::Object(added)) = self.0.get_mut(ENTERPRISE) {
            added.retain(|_, value| !is_empty(value));
        }
        self.0.retain(|_, value| !is_empty(value));
    }

    fn set_name(&mut self, part: &str, held: Option<&str>) {
        let said = self.0.get("name").and_then(|name| name.get(part)).and_then(said_of);
        if said.as_deref() == held {
            return;
        }
        let name = self.0.entry("name").or_insert_with(|| json!({}));
        if let Some(name) = name.as_object_mut() {
            match held {
                Some(held) => name.insert(part.to_owned(), json!(held)),
                None => name.remove(part),
            };
        }
    }

    /// Sets, adds or removes the one value of a multi-valued attribute that represents a field of Handset's own.
    fn set_value(
        &mut self,
        name: &str,
        choose: fn(&[Value]) -> Option<usize>,
        read: fn(&str) -> Option<String>,
        held: Option<&str>,
        fresh: &Value,
    ) {
        let values = self.0.entry(name).or_insert_with(|| json!([]));
        let Some(values) = values.as_array_mut() else { return };
        match (choose(values), held) {
            (Some(at), held) => {
                if values[at].get("value").and_then(Value::as_str).and_then(read).as_deref() == held {
                    return;
                }
                match held {
                    Some(held) => values[at]["value"] = json!(held),
                    None => drop(values.remove(at)),
                }
            }
            (None, Some(held)) => {
                let mut value = fresh.clone();
                value["value"] = json!(held);
                values.push(value);
            }
            (None, None) => {}
        }
    }
}

/// URL of a user.
#[must_use]
pub fn location(user: UserId, base: &str) -> String {
    format!("{base}/Users/{user}")
}

/// A version as an ETag: a weak one, since a response may contain only some attributes.
#[must_use]
pub fn version_tag(version: u64) -> String {
    format!("W/\"{version}\"")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// True if one of several values has content: a `value`, or, if the attribute has no such part, any part other than
/// `type`, `primary` and `display`.
fn is_assigned(attribute: &Attribute, value: &Value) -> bool {
    const ABOUT_IT: [&str; 3] = ["type", "primary", "display"];
    let Some(parts) = value.as_object() else { return true };
    let holds = |value: &Value| match value {
        Value::String(text) => !text.chars().all(is_blank),
        other => !is_empty(other),
    };
    match find(attribute.parts(), "value") {
        Some(part) => parts.get(part.name).is_some_and(holds),
        None => parts.iter().any(|(name, value)| !ABOUT_IT.contains(&name.as_str()) && holds(value)),
    }
}

fn said(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn said_of(value: &Value) -> Option<String> {
    value.as_str().and_then(said)
}

/// A number that can receive texts. A number without its country code is none.
fn mobile(text: &str) -> Option<String> {
    number_by(MOBILE, text)
}

/// A number as the telephone system displays it.
fn number(text: &str) -> Option<String> {
    number_by(NUMBER, text)
}

fn number_by(rule: TextRule, text: &str) -> Option<String> {
    // RFC 3966, as RFC 7643 recommends.
    let text = text.trim();
    let text = match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &text[4..],
        _ => text,
    };
    rule.read(text).ok()
}

fn has_type(value: &Value, wanted: &str) -> bool {
    value.get("type").and_then(Value::as_str).is_some_and(|held| held.eq_ignore_ascii_case(wanted))
}

fn own_email(values: &[Value]) -> Option<usize> {
    let primary = values.iter().position(is_primary);
    let work = || values.iter().position(|value| has_type(value, "work"));
    primary.or_else(work).or_else(|| (!values.is_empty()).then_some(0))
}

fn own_mobile(values: &[Value]) -> Option<usize> {
    values.iter().position(|value| has_type(value, "mobile"))
}

fn own_number(values: &[Value]) -> Option<usize> {
    values.iter().position(|value| has_type(value, "work"))
}

/// True for the primary one of several values.
#[must_use]
pub fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// Applies a function to a nested object, which is created if missing.
pub(super) fn within<T>(
    fields: &mut Map<String, Value>,
    name: &str,
    context: impl FnOnce(&mut Map<String, Value>) -> T,
) -> T {
    let mut object = match fields.remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let done = context(&mut object);
    fields.insert(name.to_owned(), Value::Object(object));
    done
}

/// Sets a field, or removes it (`None`).
pub(super) fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.remove(name),
    };
}

/// Sets the given sub-attributes, or removes them (null); the others stay.
pub(super) fn merge(parts: &mut Map<String, Value>, said: Map<String, Value>) {
    for (name, value) in said {
        put(parts, &name, Some(value).filter(|value| !value.is_null()));
    }
}

/// The field errors found so far, at most [`FIELD_ERROR_LIMIT`].
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    fn note(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        if self.0.len() < FIELD_ERROR_LIMIT {
            self.0.push(FieldError::new(field, code, detail));
        }
    }

    /// Checks that need the whole document: number of values, at most one primary value, total size.
    fn check(&mut self, document: &Document) {
        for (name, value) in &document.0 {
            let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if values.len() > VALUES_LIMIT {
                self.note(name, "too_many", format!("has at most {VALUES_LIMIT} values"));
            }
            let assigned = |value: &&Value| find(USER_ATTRIBUTES, name).is_none_or(|of| is_assigned(of, value));
            if values.iter().filter(assigned).filter(|value| is_primary(value)).count() > 1 {
                self.note(name, "repeated", "has at most one primary value");
            }
        }
        if Value::Object(document.kept()).to_string().len() > KEPT_LIMIT {
            self.note("", "too_long", format!("the attributes of a user have at most {KEPT_LIMIT} bytes as JSON"));
        }
    }

    fn read_into(&mut self, fields: &mut Map<String, Value>, attribute: &Attribute, value: &Value, path: &str) {
        let read = self.value(attribute, value, path);
        if let Some(read) = read.filter(|_| attribute.mutability == Mutability::ReadWrite) {
            fields.insert(attribute.name.to_owned(), read);
        }
    }

    fn read_enterprise(&mut self, fields: &mut Map<String, Value>, value: &Value) {
        for (attribute, value) in self.enterprise(value) {
            self.read_into(fields, attribute, value, &Place::Enterprise.name(attribute));
        }
    }

    /// The known attributes of the enterprise extension in `value`.
    pub fn enterprise<'a>(&mut self, value: &'a Value) -> Vec<(&'static Attribute, &'a Value)> {
        match value {
            Value::Object(given) => {
                let known = |name: &String| find(ENTERPRISE_ATTRIBUTES, name);
                given.iter().filter_map(|(name, value)| Some((known(name)?, value))).collect()
            }
            other => {
                if !other.is_null() {
                    self.note(ENTERPRISE, "wrong_type", OBJECT);
                }
                Vec::new()
            }
        }
    }

    /// Sets an attribute of `home`, or removes it if it has no value. A single complex attribute keeps the
    /// sub-attributes that are not given, unless the value is a plain string.
    pub fn change(&mut self, home: &mut Map<String, Value>, attribute: &Attribute, given: &Value, path: &str) {
        let value = match (attribute.kind, given) {
            (Kind::Complex(parts), Value::Object(given)) if !attribute.multi => {
                let said = self.said(parts, given, path);
                return within(home, attribute.name, |held| merge(held, said));
            }
            _ => self.value(attribute, given, path),
        };
        if attribute.mutability == Mutability::ReadWrite {
            put(home, attribute.name, value);
        }
    }

    /// Reads a value of an attribute; `None` if it has no value or an error.
    pub fn value(&mut self, attribute: &Attribute, value: &Value, path: &str) -> Option<Value> {
        if attribute.mutability == Mutability::ReadOnly || value.is_null() {
            return None;
        }
        if !attribute.multi {
            return self.one(attribute, value, path);
        }
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        let read =
            values.iter().enumerate().filter_map(|(at, value)| self.one(attribute, value, &format!("{path}.{at}")));
        let read: Vec<Value> = read.collect();
        (!read.is_empty()).then_some(Value::Array(read))
    }

    /// Reads a single value of an attribute.
    pub fn one(&mut self, attribute: &Attribute, value: &Value, path: &str) -> Option<Value> {
        match (attribute.kind, value) {
            (_, Value::Null) => None,
            (Kind::Text | Kind::Reference(_), Value::String(text)) => self.text(text, path),
            (Kind::Boolean, Value::Bool(_)) => Some(value.clone()),
            (Kind::Boolean, Value::String(text)) => {
                let read = truth(text.trim());
                if read.is_none() {
                    self.note(path, "wrong_type", "must be true or false");
                }
                read.map(Value::Bool)
            }
            (Kind::Complex(parts), Value::Object(given)) => self.parts(parts, given, path),
            (Kind::Complex(parts), Value::String(_)) => self.alone(parts, value, path),
            (Kind::Integer | Kind::Timestamp, _) => None,
            (kind, _) => {
                let wanted = match kind {
                    Kind::Text | Kind::Reference(_) => "must be a string",
                    Kind::Boolean => "must be true or false",
                    Kind::Complex(_) | Kind::Integer | Kind::Timestamp => OBJECT,
                };
                self.note(path, "wrong_type", wanted);
                None
            }
        }
    }

    /// Reads a plain string as the `value` of a complex attribute, if it has that sub-attribute.
    fn alone(&mut self, parts: &'static [Attribute], text: &Value, path: &str) -> Option<Value> {
        let Some(part) = find(parts, "value") else {
            self.note(path, "wrong_type", OBJECT);
            return None;
        };
        let text = self.one(part, text, &format!("{path}.value"))?;
        Some(json!({"value": text}))
    }

    fn parts(&mut self, parts: &'static [Attribute], given: &Map<String, Value>, path: &str) -> Option<Value> {
        let mut read = self.said(parts, given, path);
        read.retain(|_, value| !value.is_null());
        (!read.is_empty()).then_some(Value::Object(read))
    }

    /// Reads the sub-attributes of an object; null for those without a value.
    pub fn said(&mut self, parts: &'static [Attribute], given: &Map<String, Value>, path: &str) -> Map<String, Value> {
        let mut said = Map::new();
        for (name, value) in given {
            if let Some(part) = find(parts, name) {
                let read = self.value(part, value, &format!("{path}.{}", part.name));
                said.insert(part.name.to_owned(), read.unwrap_or_default());
            }
        }
        said
    }

    fn text(&mut self, text: &str, path: &str) -> Option<Value> {
        if text.len() > TEXT_LIMIT {
            self.note(path, "too_long", format!("must have at most {TEXT_LIMIT} bytes of UTF-8"));
            return None;
        }
        // Postal addresses have several lines.
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.note(path, "control_character", "must not contain control characters");
            return None;
        }
        (!text.is_empty()).then(|| json!(text))
    }
}
