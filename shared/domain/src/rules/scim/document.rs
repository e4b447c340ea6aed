//! A user resource as one JSON object, and its relation to Handset's user.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Time;
use crate::ids::{UserId, WorkspaceId};
use crate::input::FieldError;
use crate::models::user::{NUMBER, User};
use crate::rules::scim::list::Projection;
use crate::rules::scim::path::{AttributeName, AttributePath};
use crate::rules::scim::schema::{ENTERPRISE, USER, USER_ATTRIBUTES, UserSchema, find_attribute};
use crate::rules::scim::value::{ValueReader, has_content, is_primary, is_unassigned, set_or_remove};
use crate::stored::Stored;
use crate::text::{MOBILE, TextRule, has_several_numbers};

/// The most bytes of a user's [`ScimAttributes`], as JSON.
pub const ATTRIBUTES_LIMIT: usize = 32 * 1024;

/// The most values of a multi-valued attribute.
const VALUES_LIMIT: usize = 100;

/// The attributes of a user that an identity provider has sent, except for `userName`, `externalId` and `active`, which
/// only the user's own row has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScimAttributes {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The user.
    pub user_id: UserId,
    /// The attributes, by the names of the schema. At most [`ATTRIBUTES_LIMIT`] bytes as JSON.
    pub attributes: Map<String, Value>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// A user, with the attributes from an identity provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserRecord {
    /// Handset's user.
    pub user: User,
    /// Attributes from an identity provider; `None` if no provider has sent more than the user's own row has.
    pub scim_attributes: Option<ScimAttributes>,
    /// Time of the last change, when the version increased; `None` if the user never changed, or not since this is
    /// recorded.
    pub updated_at: Option<Time>,
}

/// A user resource as one JSON object. Names are those of the schema, and each value has the type of its attribute;
/// attributes without a value are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document(pub(super) Map<String, Value>);

/// The attributes of a document that set fields of Handset's user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UserFields {
    pub username: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    pub mobile: Option<String>,
    pub number: Option<String>,
    pub external_id: Option<String>,
    pub active: Option<bool>,
}

/// The attributes that only the user's own row has.
const USER_ROW_ATTRIBUTES: [&str; 3] = ["userName", "externalId", "active"];

/// A field of Handset's user that is one value of a multi-valued attribute.
struct ValueField {
    attribute: &'static str,
    /// The index of the value among those of the attribute.
    find: fn(&[Value]) -> Option<usize>,
    /// The field, from the `value` of that value; `None` if Handset cannot use it.
    parse: fn(&str) -> Option<String>,
    /// `type` of a value that is added for the field.
    new_type: &'static str,
    /// True if a value that is added for the field is primary.
    new_is_primary: bool,
}

const EMAIL: ValueField =
    ValueField { attribute: "emails", find: find_email, parse: trim_to_option, new_type: "work", new_is_primary: true };

const MOBILE_NUMBER: ValueField = ValueField {
    attribute: "phoneNumbers",
    find: |values| find_type(values, "mobile"),
    parse: |text| parse_phone_number(MOBILE, text),
    new_type: "mobile",
    new_is_primary: false,
};

const WORK_NUMBER: ValueField = ValueField {
    attribute: "phoneNumbers",
    find: |values| find_type(values, "work"),
    parse: |text| parse_phone_number(NUMBER, text),
    new_type: "work",
    new_is_primary: false,
};

impl Document {
    /// The attributes of a user that clients can set. The fields of Handset's user override what the provider once
    /// sent, since an administrator may have set them later. `active` is what the provider last set, whatever an
    /// administrator did. The external id of a source is left out.
    #[must_use]
    pub fn from_record(record: &ScimUserRecord) -> Self {
        let user = &record.user;
        let scim_attributes = record.scim_attributes.as_ref();
        let mut attributes = scim_attributes.map(|row| row.attributes.clone()).unwrap_or_default();
        attributes.insert("userName".to_owned(), json!(user.username));
        attributes.insert("active".to_owned(), json!(user.suspended_by_source.is_none()));
        if let (Some(external_id), None) = (&user.provenance.external_id, user.provenance.source_id) {
            attributes.insert("externalId".to_owned(), json!(external_id));
        }
        let mut document = Self(attributes);
        document.remove_unassigned_values();
        document.set_name("givenName", user.first_name.as_deref());
        document.set_name("familyName", user.last_name.as_deref());
        document.set_value(&EMAIL, user.email.as_deref());
        document.set_value(&MOBILE_NUMBER, user.mobile.as_deref());
        document.set_value(&WORK_NUMBER, user.number.as_deref());
        document.remove_unassigned_attributes();
        document
    }

    /// The representation of a user for clients: also with the attributes that Handset sets. `active` is false while
    /// the provider or an administrator suspends the user. `base_url` is that of SCIM, without a slash at its end.
    #[must_use]
    pub fn representation(record: &ScimUserRecord, base_url: &str) -> Self {
        let user = &record.user;
        let mut document = Self::from_record(record);
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
                "lastModified": record.updated_at.unwrap_or(user.created_at),
                "location": location(user.user_id, base_url),
                "version": version_tag(user.version),
            }),
        );
        document
    }

    /// The attributes that a request asks for.
    #[must_use]
    pub fn project(self, projection: &Projection) -> Value {
        Value::Object(projection.apply(self.0))
    }

    /// Reads a client's representation of a user. Attributes that the schemas do not have, or that clients cannot set,
    /// are ignored.
    ///
    /// # Errors
    /// Every field error.
    pub fn read(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut reader = ValueReader::default();
        let mut attributes = Map::new();
        for (name, value) in body {
            match AttributeName::resolve(name) {
                AttributeName::Known(AttributePath { schema: UserSchema::Core, attribute, sub_attribute: None }) => {
                    reader.read_attribute(&mut attributes, attribute, value, attribute.name);
                }
                AttributeName::EnterpriseExtension => {
                    let extension = reader.read_enterprise_extension(value);
                    attributes.insert(ENTERPRISE.to_owned(), Value::Object(extension));
                }
                AttributeName::Known(_) | AttributeName::UnknownSchema | AttributeName::UnknownAttribute => {}
            }
        }
        let mut document = Self(attributes);
        document.remove_unassigned_values();
        document.check_limits(&mut reader);
        reader.finish()?;
        Ok(document)
    }

    /// The document of a PUT request as a replacement of `before`. `active` stays unchanged if it is absent; all other
    /// attributes that are absent are removed.
    #[must_use]
    pub fn replacing(mut self, before: &Self) -> Self {
        if let Some(active) = before.0.get("active") {
            self.0.entry("active").or_insert_with(|| active.clone());
        }
        self
    }

    /// Checks the limits of the whole document, after a change of some attributes.
    ///
    /// # Errors
    /// Every field error.
    pub(super) fn check(&self) -> Result<(), Vec<FieldError>> {
        let mut reader = ValueReader::default();
        self.check_limits(&mut reader);
        reader.finish()
    }

    /// Checks the number of values, that at most one of them is primary, and the total size.
    fn check_limits(&self, reader: &mut ValueReader) {
        for (name, value) in &self.0 {
            let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if values.len() > VALUES_LIMIT {
                reader.add_error(name, "too_many", format!("has at most {VALUES_LIMIT} values"));
            }
            let definition = find_attribute(USER_ATTRIBUTES, name);
            let counts = |value: &&Value| definition.is_none_or(|definition| has_content(definition, value));
            if values.iter().filter(counts).filter(|value| is_primary(value)).count() > 1 {
                reader.add_error(name, "repeated", "has at most one primary value");
            }
        }
        if Value::Object(self.scim_attributes()).to_string().len() > ATTRIBUTES_LIMIT {
            let detail = format!("the attributes of a user have at most {ATTRIBUTES_LIMIT} bytes as JSON");
            reader.add_error("", "too_long", detail);
        }
    }

    /// The values of an attribute or sub-attribute: one for each value of a multi-valued attribute.
    #[must_use]
    pub fn values(&self, path: &AttributePath) -> Vec<&Value> {
        let attributes = match path.schema {
            UserSchema::Core => Some(&self.0),
            UserSchema::Enterprise => self.0.get(ENTERPRISE).and_then(Value::as_object),
        };
        let Some(value) = attributes.and_then(|attributes| attributes.get(path.attribute.name)) else {
            return Vec::new();
        };
        let values: Vec<&Value> = match value {
            Value::Array(values) => values.iter().collect(),
            single => vec![single],
        };
        match path.sub_attribute {
            None => values,
            Some(sub_attribute) => values.into_iter().filter_map(|value| value.get(sub_attribute.name)).collect(),
        }
    }

    /// The fields of Handset's user that the document sets.
    pub(super) fn user_fields(&self) -> UserFields {
        let string = |name: &str| self.0.get(name).and_then(Value::as_str).map(str::to_owned);
        UserFields {
            username: string("userName"),
            first_name: self.name("givenName"),
            last_name: self.name("familyName"),
            email: self.value_string(&EMAIL).and_then(EMAIL.parse),
            mobile: self.value_string(&MOBILE_NUMBER).and_then(MOBILE_NUMBER.parse),
            number: self.value_string(&WORK_NUMBER).and_then(WORK_NUMBER.parse),
            external_id: string("externalId"),
            active: self.0.get("active").and_then(Value::as_bool),
        }
    }

    /// Errors in the telephone numbers that are fields of Handset's user, if they have changed since `before`: each
    /// must be one number.
    pub(super) fn phone_number_errors(&self, before: &Self) -> Vec<FieldError> {
        let is_invalid = |field: &ValueField| {
            let number = self.value_string(field);
            number != before.value_string(field) && number.is_some_and(has_several_numbers)
        };
        let error = || FieldError::new("phoneNumbers.value", "invalid_format", "must be one number only");
        [MOBILE_NUMBER, WORK_NUMBER].iter().any(is_invalid).then(error).into_iter().collect()
    }

    /// The attributes to store as [`ScimAttributes`].
    pub(super) fn scim_attributes(&self) -> Map<String, Value> {
        let attributes = self.0.iter().filter(|(name, _)| !USER_ROW_ATTRIBUTES.contains(&name.as_str()));
        attributes.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Removes the values of multi-valued attributes that have no content, whatever their type and label, and then the
    /// attributes without a value: these count as unassigned (RFC 7643, 2.4 and 2.5).
    pub(super) fn remove_unassigned_values(&mut self) {
        for (name, values) in &mut self.0 {
            if let (Some(attribute), Value::Array(values)) = (find_attribute(USER_ATTRIBUTES, name), values) {
                values.retain(|value| has_content(attribute, value));
            }
        }
        self.remove_unassigned_attributes();
    }

    /// Removes the attributes without a value.
    pub(super) fn remove_unassigned_attributes(&mut self) {
        if let Some(Value::Object(extension)) = self.0.get_mut(ENTERPRISE) {
            extension.retain(|_, value| !is_unassigned(value));
        }
        self.0.retain(|_, value| !is_unassigned(value));
    }

    /// A sub-attribute of `name`.
    fn name(&self, sub_attribute: &str) -> Option<String> {
        self.0.get("name")?.get(sub_attribute)?.as_str().and_then(trim_to_option)
    }

    /// The `value` that represents a field of Handset's user.
    fn value_string(&self, field: &ValueField) -> Option<&str> {
        let values = self.0.get(field.attribute)?.as_array()?;
        values.get((field.find)(values)?)?.get("value")?.as_str()
    }

    fn set_name(&mut self, sub_attribute: &str, user_field: Option<&str>) {
        if self.name(sub_attribute).as_deref() == user_field {
            return;
        }
        let name = self.0.entry("name").or_insert_with(|| json!({}));
        if let Some(name) = name.as_object_mut() {
            set_or_remove(name, sub_attribute, user_field.map(|text| json!(text)));
        }
    }

    /// Sets, adds or removes the value that represents a field of Handset's user. The value stays as the provider sent
    /// it if it stands for the same field.
    fn set_value(&mut self, field: &ValueField, user_field: Option<&str>) {
        let is_same = self.value_string(field).and_then(field.parse).as_deref() == user_field;
        let values = self.0.entry(field.attribute).or_insert_with(|| json!([]));
        let Some(values) = values.as_array_mut() else { return };
        match ((field.find)(values), user_field) {
            (Some(_), _) if is_same => {}
            (Some(index), Some(text)) => values[index]["value"] = json!(text),
            (Some(index), None) => drop(values.remove(index)),
            (None, Some(text)) => {
                let mut value = json!({"type": field.new_type, "value": text});
                if field.new_is_primary {
                    value["primary"] = json!(true);
                }
                values.push(value);
            }
            (None, None) => {}
        }
    }
}

/// URI of a user: `meta.location`, and the `Location` of a new one.
#[must_use]
pub fn location(user: UserId, base_url: &str) -> String {
    format!("{base_url}/Users/{user}")
}

/// A version as an ETag: a weak one, since a response may contain only some attributes.
#[must_use]
pub fn version_tag(version: u64) -> String {
    format!("W/\"{version}\"")
}

fn trim_to_option(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Parses a telephone number, also as a `tel:` URI (RFC 3966), which RFC 7643 recommends. `None` if the rule refuses
/// it: a mobile number without a country code, for example.
fn parse_phone_number(rule: TextRule, text: &str) -> Option<String> {
    let text = text.trim();
    let number = match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &text[4..],
        _ => text,
    };
    rule.read(number).ok()
}

/// The e-mail address to which Handset writes: the primary one, otherwise the first of type `work`, otherwise the
/// first.
fn find_email(values: &[Value]) -> Option<usize> {
    let primary = values.iter().position(is_primary);
    primary.or_else(|| find_type(values, "work")).or_else(|| (!values.is_empty()).then_some(0))
}

/// The first value of a type.
fn find_type(values: &[Value], type_name: &str) -> Option<usize> {
    let has_type = |value: &Value| {
        value.get("type").and_then(Value::as_str).is_some_and(|value| value.eq_ignore_ascii_case(type_name))
    };
    values.iter().position(has_type)
}
