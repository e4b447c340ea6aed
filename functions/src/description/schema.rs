//! Words for the schemas of what replies show (JSON Schema 2020-12, as OpenAPI 3.1 has it).

use domain::input::StringEnum;
use serde_json::{Map, Value, json};

pub use domain::shape::{nullable, timestamp, uuid};

/// An object with these fields, all of which are always there.
#[must_use]
pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let required = json!(names);
    let properties: Map<String, Value> = fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The same object with more fields, which may be there.
#[must_use]
pub fn with<const N: usize>(mut object: Value, fields: [(&str, Value); N]) -> Value {
    for (name, schema) in fields {
        object["properties"][name] = schema;
    }
    object
}

/// The same object with more fields, which are always there.
#[must_use]
pub fn and<const N: usize>(object: Value, fields: [(&str, Value); N]) -> Value {
    let names: Vec<Value> = fields.iter().map(|(name, _)| Value::from(*name)).collect();
    let mut object = with(object, fields);
    if let Some(required) = object["required"].as_array_mut() {
        required.extend(names);
    }
    object
}

/// An object whose keys are somebody's own.
#[must_use]
pub fn map(values: Value) -> Value {
    let mut map = json!({"type": "object"});
    map["additionalProperties"] = values;
    map
}

/// Any JSON object.
#[must_use]
pub fn any_object() -> Value {
    json!({"type": "object", "additionalProperties": true})
}

/// A thing that the document describes by name.
#[must_use]
pub fn thing(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A text.
#[must_use]
pub fn text() -> Value {
    json!({"type": "string"})
}

/// A whole number that is not negative.
#[must_use]
pub fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// `true` or `false`.
#[must_use]
pub fn flag() -> Value {
    json!({"type": "boolean"})
}

/// A word of an enumeration, in a reply. A later release may have others, so these are the known ones: whoever
/// reads replies takes what it does not know.
#[must_use]
pub fn word<W: StringEnum>() -> Value {
    json!({"type": "string", "x-extensible-enum": W::all()})
}

/// An array.
#[must_use]
pub fn array(items: Value) -> Value {
    let mut array = json!({"type": "array"});
    array["items"] = items;
    array
}

/// A page of a list.
#[must_use]
pub fn list_of(item: Value) -> Value {
    object([("items", array(item)), ("next_cursor", nullable(text()))])
}
