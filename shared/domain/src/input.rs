//! Parses a caller's input and collects every invalid field, not only the first.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::Time;
use crate::ids::UserId;
use crate::shape::{Shape, text, timestamp, uuid};
use crate::text::TextRule;

/// The most field errors that one response lists: more than any honest input has, and few enough that the
/// response stays far below Lambda's 6 MB.
pub const FIELD_ERROR_LIMIT: usize = 200;

/// An invalid field of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// Name of the field, with dots for nested ones; empty for the input as a whole.
    pub field: String,
    /// Stable code for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

impl FieldError {
    /// An error for one field.
    #[must_use]
    pub fn new(field: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self { field: field.to_owned(), code, detail: detail.into() }
    }
}

/// An enumeration that is parsed from a fixed string.
pub trait StringEnum: Sized {
    /// Every value's string.
    fn all() -> Vec<&'static str>;
    /// Parses a value.
    fn read(word: &str) -> Option<Self>;
}

/// The fields of an input: a JSON object or the parameters of a query. Each read gives a valid value, or
/// records an error and gives `None`; [`Fields::finish`] returns the errors. Unknown fields are ignored, so
/// that newer apps can talk to an older back end; in [strict](Fields::strict) mode and by
/// [`Fields::deny_unknown`] they are errors.
#[derive(Debug)]
pub struct Fields {
    values: Map<String, Value>,
    read: BTreeSet<String>,
    faults: Vec<FieldError>,
    textual: bool,
    strict: bool,
    /// Where the reads are recorded when the fields only describe a reader.
    shape: Option<Shape>,
}

impl Fields {
    /// The fields of a JSON object.
    #[must_use]
    pub fn from_json(values: Map<String, Value>) -> Self {
        Self { values, read: BTreeSet::new(), faults: Vec::new(), textual: false, strict: false, shape: None }
    }

    /// Empty fields that record in `shape` what a reader asks for. `values` are the fields that the reader's
    /// further reads depend on.
    #[must_use]
    pub fn recording(shape: &Shape, values: Map<String, Value>) -> Self {
        Self { shape: Some(shape.clone()), ..Self::from_json(values) }
    }

    /// The decoded parameters of a query, in order. A repeated one is an error; an empty one counts as absent.
    #[must_use]
    pub fn from_query(parameters: Vec<(String, String)>) -> Self {
        let mut fields = Self { textual: true, ..Self::from_json(Map::new()) };
        for (name, value) in parameters {
            if fields.values.contains_key(&name) {
                fields.add_error(&name, "repeated", "must be given only once");
            } else {
                fields.values.insert(name, if value.is_empty() { Value::Null } else { Value::String(value) });
            }
        }
        fields
    }

    /// Parameters from a query or a JSON body: numbers and booleans may be strings, and a list of one string
    /// may be that string.
    #[must_use]
    pub fn from_parameters(values: Map<String, Value>) -> Self {
        Self { textual: true, ..Self::from_json(values) }
    }

    /// The same fields, with unknown ones as errors.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Records an error that the caller found, up to [`FIELD_ERROR_LIMIT`] of them.
    pub fn add_error(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        if self.faults.len() < FIELD_ERROR_LIMIT {
            self.faults.push(FieldError::new(field, code, detail));
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All errors of the reads so far; of strict fields, also each unknown field.
    pub fn finish(mut self) -> Result<(), Vec<FieldError>> {
        self.deny_unknown_if_strict();
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    /// The raw fields, for readers that handle names themselves.
    ///
    /// # Errors
    /// All errors found so far.
    pub fn into_values(self) -> Result<Map<String, Value>, Vec<FieldError>> {
        if self.faults.is_empty() { Ok(self.values) } else { Err(self.faults) }
    }

    fn deny_unknown_if_strict(&mut self) {
        if self.strict {
            self.deny_unknown();
        }
    }

    /// Records an error for each unknown field, with the closest known name as a suggestion.
    pub fn deny_unknown(&mut self) {
        if let Some(shape) = &self.shape {
            shape.close();
        }
        let unknown = self.values.keys().filter(|name| !self.read.contains(*name));
        let unknown: Vec<String> = unknown.take(FIELD_ERROR_LIMIT).cloned().collect();
        for name in unknown {
            let detail = match nearest(&name, &self.read) {
                Some(known) => format!("unknown field (did you mean `{known}`?)"),
                None => "unknown field".to_owned(),
            };
            self.add_error(&name, "unknown_field", detail);
            self.read.insert(name);
        }
    }

    /// The names of the fields that were sent and read so far, sorted.
    #[must_use]
    pub fn read_names(&self) -> Vec<String> {
        self.read.iter().filter(|name| self.values.get(*name).is_some_and(|value| !value.is_null())).cloned().collect()
    }

    /// The raw value; `null` counts as absent.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.value_with_schema(name, || json!({}))
    }

    /// The raw value, for a reader that parses it; `schema` describes what that reader accepts.
    pub fn value_with_schema(&mut self, name: &str, schema: impl FnOnce() -> Value) -> Option<Value> {
        self.read.insert(name.to_owned());
        if let Some(shape) = &self.shape {
            shape.record_field(name, schema());
        }
        self.values.get(name).filter(|value| !value.is_null()).cloned()
    }

    /// True if the field was sent as `null`, which removes a value.
    #[must_use]
    pub fn is_null(&mut self, name: &str) -> bool {
        self.read.insert(name.to_owned());
        self.values.get(name).is_some_and(Value::is_null)
    }

    /// An optional nested object. Its errors are taken over by [`Fields::take_errors_of`].
    pub fn object(&mut self, name: &str) -> Option<Self> {
        if let Some(within) = self.shape.as_ref().map(|shape| shape.nested(name)) {
            return Some(Self::recording(&within, Map::new()));
        }
        match self.value(name)? {
            Value::Object(values) => Some(Self { strict: self.strict, ..Self::from_json(values) }),
            _ => {
                self.add_error(name, "wrong_type", "must be an object");
                None
            }
        }
    }

    /// Takes over the errors of a nested object.
    pub fn take_errors_of(&mut self, name: &str, mut inner: Self) {
        inner.deny_unknown_if_strict();
        for fault in inner.faults {
            let field = if fault.field.is_empty() { name.to_owned() } else { format!("{name}.{}", fault.field) };
            self.add_error(&field, fault.code, fault.detail);
        }
    }

    /// A required text.
    pub fn required_text(&mut self, name: &str, rule: TextRule) -> Option<String> {
        self.required(name, || text(rule))?;
        self.text(name, rule)
    }

    /// An optional text.
    pub fn text(&mut self, name: &str, rule: TextRule) -> Option<String> {
        let raw = self.string(name, || text(rule))?;
        rule.read(&raw).map_err(|(code, detail)| self.add_error(name, code, detail)).ok()
    }

    /// A text that may be changed: `None` if it was not sent, an inner `None` if it was sent as `null`, which
    /// removes it.
    pub fn text_edit(&mut self, name: &str, rule: TextRule) -> Option<Option<String>> {
        if self.is_null(name) { Some(None) } else { self.text(name, rule).map(Some) }
    }

    /// A required value of an enumeration.
    pub fn required_enum<W: StringEnum>(&mut self, name: &str) -> Option<W> {
        self.required(name, || words(&W::all()))?;
        self.enum_value(name)
    }

    /// A required choice among named values.
    pub fn required_choice<T: Copy>(
        &mut self,
        name: &str,
        known: &'static [(&'static str, T)],
    ) -> Option<(&'static str, T)> {
        self.required(name, || words(&names(known)))?;
        self.choice(name, known)
    }

    /// An optional choice among named values.
    pub fn choice<T: Copy>(&mut self, name: &str, known: &'static [(&'static str, T)]) -> Option<(&'static str, T)> {
        let raw = self.string(name, || words(&names(known)))?;
        let found = known.iter().find(|(word, _)| *word == raw).copied();
        if found.is_none() {
            self.add_error(name, "unknown_value", format!("must be one of {}", names(known).join(", ")));
        }
        found
    }

    /// An optional value of an enumeration.
    pub fn enum_value<W: StringEnum>(&mut self, name: &str) -> Option<W> {
        let raw = self.string(name, || words(&W::all()))?;
        let word = W::read(&raw);
        if word.is_none() {
            self.add_error(name, "unknown_value", format!("must be one of {}", W::all().join(", ")));
        }
        word
    }

    /// An optional integer within bounds.
    pub fn integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let value = self.value_with_schema(name, || json!({"type": "integer", "minimum": least, "maximum": most}))?;
        let number = match &value {
            Value::String(text) if self.textual => text.parse().ok(),
            other => other.as_i64(),
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(_) => {
                self.add_error(name, "out_of_range", format!("must be from {least} to {most}"));
                None
            }
            None => {
                self.add_error(name, "wrong_type", "must be a whole number");
                None
            }
        }
    }

    /// An integer that may be changed: `None` if it was not sent, an inner `None` if it was sent as `null`,
    /// which removes it.
    pub fn integer_edit(&mut self, name: &str, least: i64, most: i64) -> Option<Option<i64>> {
        if self.is_null(name) { Some(None) } else { self.integer(name, least, most).map(Some) }
    }

    /// An optional boolean.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.value_with_schema(name, || json!({"type": "boolean"}))?;
        let answer = match (&value, self.textual) {
            (Value::Bool(answer), _) => Some(*answer),
            (Value::String(text), true) => text.parse().ok(),
            _ => None,
        };
        if answer.is_none() {
            self.add_error(name, "wrong_type", "must be true or false");
        }
        answer
    }

    /// An optional timestamp.
    pub fn time(&mut self, name: &str) -> Option<Time> {
        let raw = self.string(name, timestamp)?;
        let time = Time::parse(&raw);
        if time.is_none() {
            self.add_error(name, "invalid_format", "must be a date and time such as 2026-01-31T08:00:00Z");
        }
        time
    }

    /// An optional identifier.
    pub fn id<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let raw = self.string(name, uuid)?;
        let id = parse(&raw);
        if id.is_none() {
            self.add_error(name, "invalid_format", "must be a UUID in lower case with hyphens");
        }
        id
    }

    /// An optional list of texts.
    pub fn texts(&mut self, name: &str, rule: TextRule) -> Option<Vec<String>> {
        let items = match self.value_with_schema(name, || json!({"type": "array", "items": text(rule)}))? {
            Value::Array(items) => items,
            only @ Value::String(_) if self.textual => vec![only],
            _ => {
                self.add_error(name, "wrong_type", "must be an array of strings");
                return None;
            }
        };
        let mut texts = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let read =
                item.as_str().ok_or(("wrong_type", "must be a string".to_owned())).and_then(|text| rule.read(text));
            match read {
                Ok(text) => texts.push(text),
                Err((code, detail)) => self.add_error(&format!("{name}.{at}"), code, detail),
            }
        }
        Some(texts)
    }

    /// A list of texts; empty if it was not sent.
    pub fn texts_or_empty(&mut self, name: &str, rule: TextRule) -> Vec<String> {
        if self.is_sent(name) || self.shape.is_some() { self.texts(name, rule).unwrap_or_default() } else { Vec::new() }
    }

    /// A required list of values of an enumeration, without duplicates.
    pub fn required_enum_list<W: StringEnum + Ord>(&mut self, name: &str) -> Option<Vec<W>> {
        self.require(name);
        self.enum_list(name)
    }

    /// An optional list of values of an enumeration, without duplicates.
    pub fn enum_list<W: StringEnum + Ord>(&mut self, name: &str) -> Option<Vec<W>> {
        let array = || json!({"type": "array", "minItems": 1, "items": words(&W::all())});
        let value = self.value_with_schema(name, array)?;
        let Value::Array(items) = value else {
            self.add_error(name, "wrong_type", "must be an array of strings");
            return None;
        };
        let mut words = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match item.as_str().and_then(W::read) {
                Some(word) => words.push(word),
                None => self.add_error(
                    &format!("{name}.{at}"),
                    "unknown_value",
                    format!("must be one of {}", W::all().join(", ")),
                ),
            }
        }
        if items.is_empty() {
            self.add_error(name, "too_short", "must have at least one entry");
        }
        words.sort();
        words.dedup();
        Some(words)
    }

    /// Records an error if a field was not sent.
    pub fn require(&mut self, name: &str) {
        let _sent = self.required(name, || json!({}));
    }

    /// True if a field was sent; its value is not read.
    #[must_use]
    pub fn is_sent(&mut self, name: &str) -> bool {
        self.read.insert(name.to_owned());
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// An optional list of identifiers without duplicates, at most `most`; `instead` tells the caller what to
    /// do for more.
    pub fn ids(&mut self, name: &str, most: usize, instead: &str) -> Option<Vec<String>> {
        let schema = json!({"type": "array", "minItems": 1, "maxItems": most, "uniqueItems": true, "items": uuid()});
        let value = self.value_with_schema(name, || schema)?;
        let ids: Option<Vec<String>> =
            value.as_array().and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_owned)).collect());
        let Some(ids) = ids else {
            self.add_error(name, "wrong_type", "must be an array of strings");
            return None;
        };
        if ids.is_empty() {
            self.add_error(name, "too_short", "must have at least one entry");
        }
        if ids.len() > most {
            self.add_error(name, "too_many", format!("must be at most {most}; {instead} for more"));
        }
        if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
            self.add_error(name, "repeated", "must not contain duplicates");
        }
        for (at, _) in ids.iter().enumerate().filter(|(_, id)| UserId::parse(id).is_none()) {
            self.add_error(&format!("{name}.{at}"), "invalid_format", "must be a UUID in lower case with hyphens");
        }
        Some(ids)
    }

    fn required(&mut self, name: &str, schema: impl FnOnce() -> Value) -> Option<Value> {
        let value = self.value_with_schema(name, schema);
        if let Some(shape) = &self.shape {
            shape.require(name);
        }
        if value.is_none() {
            self.add_error(name, "missing", "is required");
        }
        value
    }

    fn string(&mut self, name: &str, schema: impl FnOnce() -> Value) -> Option<String> {
        match self.value_with_schema(name, schema)? {
            Value::String(text) => Some(text),
            _ => {
                self.add_error(name, "wrong_type", "must be a string");
                None
            }
        }
    }
}

/// The known name that is closest to a misspelled one, at most two edits (transposed, wrong, missing or extra
/// letters) away.
fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    let length = name.chars().count();
    let most = (length / 3).min(3);
    // Names whose length differs by more are at least that far away, which bounds the work by the number of
    // known names.
    let candidates = known.iter().filter(|known| known.chars().count().abs_diff(length) <= most);
    let distances = candidates.map(|known| (strsim::osa_distance(name, known), known.as_str()));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}

fn names<T>(known: &'static [(&'static str, T)]) -> Vec<&'static str> {
    known.iter().map(|(word, _)| *word).collect()
}

fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Form;

    const NAME: TextRule = TextRule::new(Form::Line, 1, 5);

    fn faults(fields: Fields) -> Vec<(String, &'static str)> {
        fields.finish().unwrap_err().into_iter().map(|fault| (fault.field, fault.code)).collect()
    }

    #[test]
    fn every_fault_is_named() {
        let Value::Object(body) = serde_json::json!({"a": 1, "b": "too long", "d": "x", "n": null}) else {
            unreachable!()
        };
        let mut fields = Fields::from_json(body);
        assert_eq!(fields.required_text("a", NAME), None);
        assert_eq!(fields.required_text("b", NAME), None);
        assert_eq!(fields.required_text("c", NAME), None);
        assert_eq!(fields.integer("d", 1, 3), None);
        assert_eq!(fields.text("n", NAME), None);
        let expected = [("a", "wrong_type"), ("b", "too_long"), ("c", "missing"), ("d", "wrong_type")];
        assert_eq!(faults(fields), expected.map(|(field, code)| (field.to_owned(), code)));
    }

    #[test]
    fn fields_that_nobody_has_read_are_faults_only_where_that_is_wanted() {
        let Value::Object(body) = serde_json::json!({"a": "x", "typo": "x"}) else { unreachable!() };
        let mut fields = Fields::from_json(body);
        let _read = (fields.text("a", NAME), fields.text("b", NAME));
        assert!(fields.faults.is_empty());
        fields.deny_unknown();
        assert_eq!(faults(fields), [("typo".to_owned(), "unknown_field")]);
    }

    #[test]
    fn of_strict_fields_none_is_left_unread_within_others_too() {
        let Value::Object(body) = serde_json::json!({"frist_name": "x", "rule": {"onn": true}, "zzz": null}) else {
            unreachable!()
        };
        let read = |mut fields: Fields| {
            let _name = fields.text("first_name", NAME);
            if let Some(mut rule) = fields.object("rule") {
                let _on = rule.boolean("on");
                fields.take_errors_of("rule", rule);
            }
            fields.finish()
        };
        assert_eq!(read(Fields::from_json(body.clone())), Ok(()));
        let found = read(Fields::from_json(body).strict()).unwrap_err();
        let found: Vec<_> = found.iter().map(|fault| (fault.field.as_str(), fault.detail.as_str())).collect();
        let expected = [
            ("rule.onn", "unknown field (did you mean `on`?)"),
            ("frist_name", "unknown field (did you mean `first_name`?)"),
            ("zzz", "unknown field"),
        ];
        assert_eq!(found, expected);
        let query = Fields::from_query(vec![("blcoked".to_owned(), String::new())]).strict();
        assert_eq!(faults(query), [("blcoked".to_owned(), "unknown_field")]);
    }

    #[test]
    fn the_name_that_was_meant_is_a_mistake_or_two_away() {
        let known = ["blocked", "first_name", "status", "id"].map(str::to_owned).into();
        for (sent, meant) in [
            ("blcoked", Some("blocked")),
            ("frist_name", Some("first_name")),
            ("firstname", Some("first_name")),
            ("firstName", Some("first_name")),
            ("satus", Some("status")),
            ("colour", None),
            ("ix", None),
        ] {
            assert_eq!(nearest(sent, &known), meant, "{sent}");
        }
    }

    #[test]
    fn a_field_that_is_taken_away_by_null_is_known() {
        let Value::Object(body) = serde_json::json!({"a": null, "b": null}) else { unreachable!() };
        let mut fields = Fields::from_json(body);
        assert_eq!((fields.text_edit("a", NAME), fields.text_edit("c", NAME)), (Some(None), None));
        fields.deny_unknown();
        assert_eq!(faults(fields), [("b".to_owned(), "unknown_field")]);
    }

    #[test]
    fn a_query_gives_numbers_and_booleans_as_text() {
        let pairs = [("limit", "50"), ("blocked", "true"), ("empty", ""), ("x", "1"), ("x", "2")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let mut fields = Fields::from_query(pairs);
        assert_eq!(fields.integer("limit", 1, 100), Some(50));
        assert_eq!(fields.boolean("blocked"), Some(true));
        assert_eq!(fields.value("empty"), None);
        assert_eq!(faults(fields), [("x".to_owned(), "repeated")]);
    }

    fn of(body: Value) -> Fields {
        let Value::Object(body) = body else { unreachable!() };
        Fields::from_json(body)
    }

    #[test]
    fn the_fields_that_were_sent_and_read_are_named_and_null_is_not_sent() {
        let mut fields = of(json!({"b": "x", "a": 1, "n": null, "unread": 1}));
        let _read = (fields.text("b", NAME), fields.integer("a", 0, 3), fields.text("n", NAME), fields.text("c", NAME));
        assert_eq!(fields.read_names(), ["a", "b"]);
        assert_eq!(["a", "n", "c"].map(|name| fields.is_sent(name)), [true, false, false]);
        assert_eq!(Value::from(fields.into_values().unwrap()), json!({"b": "x", "a": 1, "n": null, "unread": 1}));
        let mut faulty = of(json!({"a": "x"}));
        faulty.add_error("a", "taken", "is taken");
        assert_eq!(faulty.into_values(), Err(vec![FieldError::new("a", "taken", "is taken")]));
    }

    #[test]
    fn identifiers_are_named_each_once_and_so_many_at_most() {
        let id = |n: u128| UserId(uuid::Uuid::from_u128(n)).to_string();
        let read = |sent: Value| {
            let mut fields = of(json!({"ids": sent}));
            let ids = fields.ids("ids", 2, "use a filter");
            (ids, fields.finish().err().unwrap_or_default().iter().map(|fault| fault.code).collect::<Vec<_>>())
        };
        let two = vec![id(1), id(2)];
        assert_eq!(read(json!(two)), (Some(two), vec![]));
        assert_eq!(read(json!([id(1)])), (Some(vec![id(1)]), vec![]));
        assert_eq!(read(Value::Null), (None, vec![]));
        for (sent, code) in [
            (json!([]), "too_short"),
            (json!([id(1), id(2), id(3)]), "too_many"),
            (json!([id(1), id(1)]), "repeated"),
            (json!([id(0xab).to_uppercase()]), "invalid_format"),
            (json!([1]), "wrong_type"),
            (json!(id(1)), "wrong_type"),
        ] {
            assert_eq!(read(sent.clone()).1, [code], "{sent}");
        }
        let mut fields = of(json!({"ids": [id(1), "x"]}));
        let _ids = fields.ids("ids", 2, "use a filter");
        assert_eq!(faults(fields), [("ids.1".to_owned(), "invalid_format")]);
    }

    #[test]
    fn words_are_each_known_and_come_once_in_their_order() {
        use crate::permission::Permission as P;
        let read = |sent: Value| {
            let mut fields = of(json!({"words": sent}));
            let words = fields.required_enum_list::<P>("words");
            (
                words,
                fields.finish().err().unwrap_or_default().into_iter().map(|f| (f.field, f.code)).collect::<Vec<_>>(),
            )
        };
        let several = json!(["users:manage", "devices:read", "users:manage"]);
        assert_eq!(read(several), (Some(vec![P::DevicesRead, P::UsersManage]), vec![]));
        for (sent, field, code) in [
            (Value::Null, "words", "missing"),
            (json!([]), "words", "too_short"),
            (json!("devices:read"), "words", "wrong_type"),
            (json!(["devices:read", "walk"]), "words.1", "unknown_value"),
            (json!([7]), "words.0", "unknown_value"),
        ] {
            assert_eq!(read(sent.clone()).1, [(field.to_owned(), code)], "{sent}");
        }
    }

    #[test]
    fn texts_come_as_an_array_and_in_parameters_as_one_text_too() {
        let read = |mut fields: Fields| {
            let texts = fields.texts_or_empty("t", NAME);
            (
                texts,
                fields.finish().err().unwrap_or_default().into_iter().map(|f| (f.field, f.code)).collect::<Vec<_>>(),
            )
        };
        let parameters = |sent: Value| {
            let Value::Object(values) = json!({"t": sent}) else { unreachable!() };
            Fields::from_parameters(values)
        };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let fault = |field: &str, code| vec![(field.to_owned(), code)];
        assert_eq!(read(of(json!({"t": ["a", " b "]}))), (texts(&["a", "b"]), vec![]));
        assert_eq!(read(of(json!({}))), (vec![], vec![]), "none was sent");
        assert_eq!(read(of(json!({"t": null}))), (vec![], vec![]));
        assert_eq!(read(of(json!({"t": "a"}))), (vec![], fault("t", "wrong_type")));
        assert_eq!(read(parameters(json!("a"))), (texts(&["a"]), vec![]));
        assert_eq!(read(parameters(json!(["a"]))), (texts(&["a"]), vec![]));
        assert_eq!(read(parameters(json!(7))), (vec![], fault("t", "wrong_type")));
        assert_eq!(read(of(json!({"t": ["a", 7]}))), (texts(&["a"]), fault("t.1", "wrong_type")));
        assert_eq!(read(of(json!({"t": ["too long"]}))), (vec![], fault("t.0", "too_long")));
        let shape = Shape::of(|mut fields| drop(fields.texts_or_empty("t", NAME)));
        let item = json!({"type": "string", "minLength": 1, "maxLength": 5});
        assert_eq!(
            shape.fields(),
            [("t".to_owned(), json!({"type": "array", "items": item}))],
            "it is shown unsent too"
        );
    }

    #[test]
    fn parameters_in_a_body_are_texts_or_what_they_stand_for_and_fields_are_what_they_are() {
        let sent = json!({"n": "7", "b": "true", "x": "seven", "t": 7, "y": "perhaps"});
        let read = |mut fields: Fields| {
            let read = (fields.integer("n", 1, 7), fields.boolean("b"));
            let wrong = (fields.integer("x", 1, 7), fields.boolean("y"), fields.boolean("t"));
            assert_eq!(wrong, (None, None, None));
            (read, faults(fields).into_iter().map(|(field, _)| field).collect::<Vec<_>>().join(""))
        };
        let Value::Object(values) = sent.clone() else { unreachable!() };
        assert_eq!(read(Fields::from_parameters(values)), ((Some(7), Some(true)), "xyt".to_owned()));
        assert_eq!(read(of(sent)), ((None, None), "nbxyt".to_owned()));
        let mut bounds = of(json!({"low": 0, "least": 1, "most": 3, "high": 4}));
        let read = ["low", "least", "most", "high"].map(|name| bounds.integer(name, 1, 3));
        assert_eq!(read, [None, Some(1), Some(3), None]);
        assert_eq!(faults(bounds), ["low", "high"].map(|field| (field.to_owned(), "out_of_range")));
    }

    #[test]
    fn no_more_faults_are_told_than_an_answer_holds() {
        let mut fields = of(json!({}));
        (0..FIELD_ERROR_LIMIT + 5).for_each(|n| fields.add_error(&n.to_string(), "taken", "is taken"));
        assert_eq!(faults(fields).len(), FIELD_ERROR_LIMIT);
    }
}
