//! Values of attributes: reading them by the schema, and changing the objects that hold them.

use serde_json::{Map, Value, json};

use crate::input::{FIELD_ERROR_LIMIT, FieldError};
use crate::rules::scim::schema::{
    Attribute, DataType, ENTERPRISE, ENTERPRISE_ATTRIBUTES, Mutability, UserSchema, find_attribute,
};
use crate::text::is_blank;

/// The most bytes of a string.
const STRING_LIMIT: usize = 4096;

/// Detail of the error for a simple value where an object is required.
const NOT_AN_OBJECT: &str = "must be an object";

/// Parses `true` or `false` as a string, in any case, as some providers send booleans.
pub(super) fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// True for a value that counts as absent: null, an empty string, or an empty array or object (RFC 7643, 2.5).
pub(super) fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// True if a value of a multi-valued attribute has content: a `value`, or, if the attribute has no such sub-attribute,
/// any other than `type`, `primary` and `display`. Blank strings are no content.
pub(super) fn has_content(attribute: &Attribute, value: &Value) -> bool {
    const LABELS: [&str; 3] = ["type", "primary", "display"];
    let Some(sub_attributes) = value.as_object() else { return true };
    let is_content = |value: &Value| match value {
        Value::String(text) => !text.chars().all(is_blank),
        other => !is_unassigned(other),
    };
    match find_attribute(attribute.sub_attributes(), "value") {
        Some(definition) => sub_attributes.get(definition.name).is_some_and(is_content),
        None => sub_attributes.iter().any(|(name, value)| !LABELS.contains(&name.as_str()) && is_content(value)),
    }
}

/// True for the primary value of a multi-valued attribute.
pub(super) fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// Applies a function to a nested object, which is created if missing.
pub(super) fn edit_object<T>(
    fields: &mut Map<String, Value>,
    name: &str,
    edit: impl FnOnce(&mut Map<String, Value>) -> T,
) -> T {
    let mut object = match fields.remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let result = edit(&mut object);
    fields.insert(name.to_owned(), Value::Object(object));
    result
}

/// Sets a field, or removes it (`None`).
pub(super) fn set_or_remove(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.remove(name),
    };
}

/// Sets sub-attributes, or removes them (null); those that `changes` does not name stay.
pub(super) fn merge_sub_attributes(sub_attributes: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, value) in changes {
        set_or_remove(sub_attributes, &name, Some(value).filter(|value| !value.is_null()));
    }
}

/// Reads values from a client by the definitions of their attributes, and collects the field errors: at most
/// [`FIELD_ERROR_LIMIT`].
///
/// Its methods take `field`, the name of the value in field errors, such as `emails.0.value`.
#[derive(Debug, Default)]
pub(super) struct ValueReader {
    errors: Vec<FieldError>,
}

impl ValueReader {
    /// # Errors
    /// Every field error, if there are any.
    pub fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }

    pub fn add_error(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        if self.errors.len() < FIELD_ERROR_LIMIT {
            self.errors.push(FieldError::new(field, code, detail));
        }
    }

    /// Reads an attribute of a new or replacing resource. Attributes that clients cannot set are left out, and so are
    /// write-only ones, once their value is checked.
    pub fn read_attribute(
        &mut self,
        fields: &mut Map<String, Value>,
        attribute: &Attribute,
        value: &Value,
        field: &str,
    ) {
        let value = self.read_value(attribute, value, field);
        if let Some(value) = value.filter(|_| attribute.mutability == Mutability::ReadWrite) {
            fields.insert(attribute.name.to_owned(), value);
        }
    }

    /// Reads the enterprise extension of a new or replacing resource.
    pub fn read_enterprise_extension(&mut self, value: &Value) -> Map<String, Value> {
        let mut extension = Map::new();
        for (attribute, value) in self.enterprise_attributes(value) {
            self.read_attribute(&mut extension, attribute, value, &UserSchema::Enterprise.qualified_name(attribute));
        }
        extension
    }

    /// The known attributes in an object of the enterprise extension, with their unread values.
    pub fn enterprise_attributes<'a>(&mut self, extension: &'a Value) -> Vec<(&'static Attribute, &'a Value)> {
        match extension {
            Value::Object(fields) => {
                let known = |name: &String| find_attribute(ENTERPRISE_ATTRIBUTES, name);
                fields.iter().filter_map(|(name, value)| Some((known(name)?, value))).collect()
            }
            other => {
                if !other.is_null() {
                    self.add_error(ENTERPRISE, "wrong_type", NOT_AN_OBJECT);
                }
                Vec::new()
            }
        }
    }

    /// Applies a new value to an attribute, or removes the attribute if the value is unassigned. An object changes only
    /// the sub-attributes that it names, if the attribute is complex and not multi-valued.
    pub fn change_attribute(
        &mut self,
        fields: &mut Map<String, Value>,
        attribute: &Attribute,
        value: &Value,
        field: &str,
    ) {
        let value = match (attribute.data_type, value) {
            (DataType::Complex(definitions), Value::Object(value)) if !attribute.multi_valued => {
                let changes = self.read_sub_attributes(definitions, value, field);
                return edit_object(fields, attribute.name, |object| merge_sub_attributes(object, changes));
            }
            _ => self.read_value(attribute, value, field),
        };
        if attribute.mutability == Mutability::ReadWrite {
            set_or_remove(fields, attribute.name, value);
        }
    }

    /// Reads the value of an attribute: of a multi-valued one, an array or a single value. `None` if the attribute is
    /// read-only, or the value is unassigned or invalid.
    pub fn read_value(&mut self, attribute: &Attribute, value: &Value, field: &str) -> Option<Value> {
        if attribute.mutability == Mutability::ReadOnly || value.is_null() {
            return None;
        }
        if !attribute.multi_valued {
            return self.read_single_value(attribute, value, field);
        }
        let values = match value {
            Value::Array(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        let values: Vec<Value> = values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| self.read_single_value(attribute, value, &format!("{field}.{index}")))
            .collect();
        (!values.is_empty()).then_some(Value::Array(values))
    }

    /// Reads one value of an attribute, whether or not the attribute is multi-valued. `None` if it is unassigned or
    /// invalid.
    pub fn read_single_value(&mut self, attribute: &Attribute, value: &Value, field: &str) -> Option<Value> {
        match (attribute.data_type, value) {
            // No attribute that clients can set has one of these types.
            (DataType::Integer | DataType::DateTime, _) | (_, Value::Null) => None,
            (DataType::String | DataType::Reference(_), Value::String(text)) => self.read_string(text, field),
            (DataType::Boolean, Value::Bool(_)) => Some(value.clone()),
            (DataType::Boolean, Value::String(text)) if parse_boolean(text.trim()).is_some() => {
                parse_boolean(text.trim()).map(Value::Bool)
            }
            (DataType::Complex(definitions), Value::Object(value)) => self.read_object(definitions, value, field),
            (DataType::Complex(definitions), Value::String(_)) => self.read_simple_value(definitions, value, field),
            (data_type, _) => {
                let detail = match data_type {
                    DataType::String | DataType::Reference(_) => "must be a string",
                    DataType::Boolean => "must be true or false",
                    DataType::Complex(_) | DataType::Integer | DataType::DateTime => NOT_AN_OBJECT,
                };
                self.add_error(field, "wrong_type", detail);
                None
            }
        }
    }

    /// Reads a plain string as the `value` of a complex attribute, if it has that sub-attribute.
    fn read_simple_value(&mut self, definitions: &'static [Attribute], text: &Value, field: &str) -> Option<Value> {
        let Some(definition) = find_attribute(definitions, "value") else {
            self.add_error(field, "wrong_type", NOT_AN_OBJECT);
            return None;
        };
        let value = self.read_single_value(definition, text, &format!("{field}.value"))?;
        Some(json!({"value": value}))
    }

    fn read_object(
        &mut self,
        definitions: &'static [Attribute],
        value: &Map<String, Value>,
        field: &str,
    ) -> Option<Value> {
        let mut sub_attributes = self.read_sub_attributes(definitions, value, field);
        sub_attributes.retain(|_, value| !value.is_null());
        (!sub_attributes.is_empty()).then_some(Value::Object(sub_attributes))
    }

    /// Reads the known sub-attributes of an object; null for those that are unassigned or invalid.
    pub fn read_sub_attributes(
        &mut self,
        definitions: &'static [Attribute],
        value: &Map<String, Value>,
        field: &str,
    ) -> Map<String, Value> {
        let mut sub_attributes = Map::new();
        for (name, value) in value {
            if let Some(definition) = find_attribute(definitions, name) {
                let value = self.read_value(definition, value, &format!("{field}.{}", definition.name));
                sub_attributes.insert(definition.name.to_owned(), value.unwrap_or_default());
            }
        }
        sub_attributes
    }

    fn read_string(&mut self, text: &str, field: &str) -> Option<Value> {
        if text.len() > STRING_LIMIT {
            self.add_error(field, "too_long", format!("must have at most {STRING_LIMIT} bytes of UTF-8"));
            return None;
        }
        // Postal addresses have several lines.
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.add_error(field, "control_character", "must not contain control characters");
            return None;
        }
        (!text.is_empty()).then(|| json!(text))
    }
}
