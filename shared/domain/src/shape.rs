//! JSON Schema (2020-12) of an input, derived by running the reader that parses it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::input::Fields;
use crate::text::{Form, TextRule};

/// The fields that a reader asked for, and whether it refuses others. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    fields: Arc<Mutex<BTreeMap<String, Property>>>,
    closed: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default)]
struct Property {
    schema: Value,
    within: Option<Shape>,
    required: bool,
    /// The field on which this one depends, and the values of that field with which it is read.
    with: Option<(String, Vec<String>)>,
}

impl Shape {
    /// The shape of a reader's input.
    #[must_use]
    pub fn of(read: impl FnOnce(Fields)) -> Self {
        let shape = Self::default();
        read(Fields::recording(&shape, Map::new()));
        shape
    }

    /// The shape of a reader's input that depends on one field: the reader is run for each value of that field.
    /// A field is required if it is required for every value; one that is read for some values only says so in
    /// `x-with`.
    #[must_use]
    pub fn of_each(field: &str, words: &[&str], read: impl Fn(Fields)) -> Self {
        let all = Self::default();
        let mut required: Option<Vec<String>> = None;
        for word in words {
            let one = Self::default();
            let sent = Map::from_iter([(field.to_owned(), Value::from(*word))]);
            read(Fields::recording(&one, sent));
            if one.is_closed() {
                all.close();
            }
            let needed = one.required();
            required = Some(match required {
                None => needed,
                Some(before) => before.into_iter().filter(|name| needed.contains(name)).collect(),
            });
            for (name, property) in one.properties() {
                let mut fields = all.lock();
                let known = fields.entry(name).or_insert(Property { required: false, ..property });
                let (_, with) = known.with.get_or_insert_with(|| (field.to_owned(), Vec::new()));
                with.push((*word).to_owned());
            }
        }
        let always = |property: &mut Property| property.with.take_if(|(_, with)| with.len() == words.len());
        all.lock().values_mut().for_each(|property| drop(always(property)));
        required.unwrap_or_default().iter().for_each(|name| all.require(name));
        all
    }

    /// Records a field; an existing record stays.
    pub fn record_field(&self, name: &str, schema: Value) {
        let mut fields = self.lock();
        let property = fields.entry(name.to_owned()).or_default();
        if property.schema.as_object().is_none_or(Map::is_empty) {
            property.schema = schema;
        }
    }

    /// Records that a field is required.
    pub fn require(&self, name: &str) {
        self.lock().entry(name.to_owned()).or_default().required = true;
    }

    /// Records that other fields are refused.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Records that other fields are refused, in nested objects too.
    pub fn close_all(&self) {
        self.close();
        self.lock().values().filter_map(|property| property.within.as_ref()).for_each(Self::close_all);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The shape of a nested object.
    #[must_use]
    pub fn nested(&self, name: &str) -> Self {
        self.lock().entry(name.to_owned()).or_default().within.get_or_insert_default().clone()
    }

    /// Names of the required fields.
    #[must_use]
    pub fn required(&self) -> Vec<String> {
        self.lock().iter().filter(|(_, property)| property.required).map(|(name, _)| name.clone()).collect()
    }

    /// The fields with their schemas, by name.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, Value)> {
        self.properties().into_iter().map(|(name, property)| (name, property.schema())).collect()
    }

    /// The schema of a JSON object of this shape. `null` counts as absent, or removes the value.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schema = json!({"type": "object"});
        let field = |(name, property): (String, Property)| {
            let schema = if property.required { property.schema() } else { nullable(property.schema()) };
            (name, schema)
        };
        schema["properties"] = self.properties().into_iter().map(field).collect::<Map<_, _>>().into();
        let required = self.required();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if self.is_closed() {
            schema["additionalProperties"] = false.into();
        }
        schema
    }

    fn properties(&self) -> BTreeMap<String, Property> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Property>> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Property {
    fn schema(&self) -> Value {
        let mut schema = self.within.as_ref().map_or_else(|| self.schema.clone(), Shape::schema);
        if let Some((field, words)) = &self.with {
            schema["x-with"] = json!({field.as_str(): words});
        }
        schema
    }
}

/// The schema of a value that may also be `null`.
#[must_use]
pub fn nullable(mut schema: Value) -> Value {
    let Some(fields) = schema.as_object_mut() else { return schema };
    match fields.get("type").cloned() {
        Some(kinds) => {
            let mut kinds = match kinds {
                Value::Array(kinds) => kinds,
                only => vec![only],
            };
            kinds.push("null".into());
            fields.insert("type".to_owned(), kinds.into());
            if let Some(Value::Array(words)) = fields.get_mut("enum") {
                words.push(Value::Null);
            }
            schema
        }
        None if fields.is_empty() => schema,
        None => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// The schema of a text by a rule. Lengths are those of the trimmed text.
#[must_use]
pub fn text(rule: TextRule) -> Value {
    let mut schema = json!({"type": "string", "maxLength": rule.max});
    if rule.min > 0 {
        schema["minLength"] = rule.min.into();
    }
    match rule.form {
        Form::Email => schema["format"] = "email".into(),
        // Spacing is removed before it is stored.
        Form::Mobile => schema = json!({"type": "string", "pattern": r"^[ ]*\+[0-9 ().\/-]{7,}$"}),
        Form::Number => schema["pattern"] = r"^[0-9 +*#().\/-]*$".into(),
        Form::Ascii => schema["pattern"] = "^[ -~]*$".into(),
        Form::Line | Form::Name | Form::Word => {}
    }
    schema
}

/// The schema of an identifier.
#[must_use]
pub fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

/// The schema of a timestamp (RFC 3339).
#[must_use]
pub fn timestamp() -> Value {
    json!({"type": "string", "format": "date-time"})
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: TextRule = TextRule::new(Form::Line, 1, 5);

    #[test]
    fn a_reader_shows_what_it_takes() {
        let shape = Shape::of(|mut fields| {
            let _name = fields.required_text("name", NAME);
            let _count = fields.integer("count", 1, 3);
            if let Some(mut rule) = fields.object("rule") {
                let _on = rule.boolean("on");
                rule.deny_unknown();
                fields.take_errors_of("rule", rule);
            }
            // A second read adds nothing.
            let _again = fields.value("name");
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "count": {"type": ["integer", "null"], "minimum": 1, "maximum": 3},
                "name": {"type": "string", "minLength": 1, "maxLength": 5},
                "rule": {
                    "type": ["object", "null"],
                    "properties": {"on": {"type": ["boolean", "null"]}},
                    "additionalProperties": false,
                },
            },
            "required": ["name"],
        });
        assert_eq!(shape.schema(), expected);
    }

    #[test]
    fn what_depends_on_a_word_is_shown_for_each() {
        const KINDS: &[(&str, bool)] = &[("a", true), ("b", false)];
        let shape = Shape::of_each("kind", &["a", "b"], |mut fields| {
            if fields.required_choice("kind", KINDS).is_some_and(|(_, is_a)| is_a) {
                let _only_of_a = fields.required_text("x", NAME);
            }
        });
        assert_eq!(shape.required(), ["kind"]);
        let names: Vec<_> = shape.fields().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["kind", "x"]);
        assert_eq!(shape.fields()[0].1, json!({"type": "string", "enum": ["a", "b"]}));
        assert_eq!(shape.fields()[1].1["x-with"], json!({"kind": ["a"]}));
    }

    #[test]
    fn what_may_be_left_out_may_be_null_too() {
        for (schema, expected) in [
            (json!({}), json!({})),
            (json!({"type": "string"}), json!({"type": ["string", "null"]})),
            (json!({"type": ["object", "boolean"]}), json!({"type": ["object", "boolean", "null"]})),
            (json!({"type": "string", "enum": ["a"]}), json!({"type": ["string", "null"], "enum": ["a", null]})),
            (json!({"$ref": "#/x"}), json!({"anyOf": [{"$ref": "#/x"}, {"type": "null"}]})),
            (json!(true), json!(true)),
        ] {
            assert_eq!(nullable(schema), expected);
        }
    }

    #[test]
    fn each_kind_of_field_shows_what_it_takes() {
        let shape = Shape::of(|mut fields| {
            let _id = fields.id("id", crate::UserId::parse);
            let _time = fields.time("at");
            let _line = fields.text("line", TextRule::new(Form::Line, 0, 5));
            let _email = fields.text("email", TextRule::new(Form::Email, 3, 5));
            let _ascii = fields.text("ascii", TextRule::new(Form::Ascii, 1, 5));
            let _number = fields.text("number", TextRule::new(Form::Number, 1, 5));
            let _mobile = fields.text("mobile", TextRule::new(Form::Mobile, 8, 16));
        });
        let fields: Map<String, Value> = shape.fields().into_iter().collect();
        let expected = json!({
            "id": {"type": "string", "format": "uuid"},
            "at": {"type": "string", "format": "date-time"},
            "line": {"type": "string", "maxLength": 5},
            "email": {"type": "string", "minLength": 3, "maxLength": 5, "format": "email"},
            "ascii": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[ -~]*$"},
            "number": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": r"^[0-9 +*#().\/-]*$"},
            "mobile": {"type": "string", "pattern": r"^[ ]*\+[0-9 ().\/-]{7,}$"},
        });
        assert_eq!(Value::from(fields), expected);
    }

    #[test]
    fn a_shape_is_closed_with_all_that_is_within_it() {
        let shape = Shape::of(|mut fields| {
            if let Some(mut rule) = fields.object("rule") {
                let _on = rule.boolean("on");
            }
        });
        assert_eq!(shape.schema().get("additionalProperties"), None);
        shape.close_all();
        assert_eq!(shape.schema()["additionalProperties"], false);
        assert_eq!(shape.schema()["properties"]["rule"]["additionalProperties"], false);
    }
}
