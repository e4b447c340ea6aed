//! Checks settings against the JSON Schema of their profile.
//!
//! The schema comes from a user who may manage profiles, so it is not trusted: it may refer only to itself, its
//! patterns are matched in linear time, and the steps of a validation are counted before it runs, since a few
//! lines of schema can ask for endless work.

use jsonschema::error::{ValidationError, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::input::{FIELD_ERROR_LIMIT, FieldError};

/// The deepest nesting of a schema.
pub const SCHEMA_DEPTH: usize = 64;

/// The most regular expressions of a schema.
const PATTERN_LIMIT: usize = 100;

/// The most bytes of one compiled regular expression.
const PATTERN_SIZE: usize = 256 * 1024;

/// The most bytes of a regular expression's cached states.
const PATTERN_STATES: usize = 1024 * 1024;

/// The most steps of a validation: each keyword applied to a value is one, and so is each character matched by
/// a pattern.
const STEP_LIMIT: u64 = 250_000;

/// The deepest recursion into settings and schema, references included.
const WALK_DEPTH: usize = 128;

/// The most characters of an error's sentence.
const DETAIL_LIMIT: usize = 300;

/// Keywords whose values are data, not schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// The errors of a schema; empty if settings can be checked against it.
#[must_use]
pub fn check_schema(schema: &Value) -> Vec<FieldError> {
    if !schema.is_object() {
        return vec![FieldError::new("schema", "wrong_type", "must be an object")];
    }
    if schema.get("$schema").is_some_and(|named| !is_known(named)) {
        return vec![FieldError::new(
            "schema.$schema",
            "unknown_value",
            "must be a draft of JSON Schema from 4 to 2020-12",
        )];
    }
    let mut faults = Findings::of(schema).faults;
    if faults.is_empty() {
        faults = check_by_draft(schema);
    }
    if faults.is_empty()
        && let Err(error) = compile(schema)
    {
        faults.push(fault("schema", "invalid_schema", &error));
    }
    faults
}

/// The errors of settings by a schema, each with its JSON path.
#[must_use]
pub fn check(settings: &Map<String, Value>, schema: &Value) -> Vec<FieldError> {
    let settings = Value::Object(settings.clone());
    let mut walk = Walk { root: schema, left: STEP_LIMIT };
    if !walk.applies(schema, &settings, 0) {
        let detail = "takes too many steps to check these settings";
        return vec![FieldError::new("schema", "too_complex", detail)];
    }
    match compile(schema) {
        Err(error) => vec![fault("schema", "invalid_schema", &error)],
        Ok(validator) => {
            let faults = validator.iter_errors(&settings).take(FIELD_ERROR_LIMIT);
            faults.map(|error| fault("settings", "schema_violation", &error)).collect()
        }
    }
}

fn is_known(named: &Value) -> bool {
    let draft = |named: &str| !matches!(Draft::from_schema_uri(named), Draft::Unknown);
    named.as_str().is_some_and(draft)
}

fn check_by_draft(schema: &Value) -> Vec<FieldError> {
    match jsonschema::meta::validator_for(schema) {
        Err(error) => vec![fault("schema", "invalid_schema", &error)],
        Ok(meta) => {
            let faults = meta.iter_errors(schema).take(FIELD_ERROR_LIMIT);
            faults.map(|error| fault("schema", "invalid_schema", &error)).collect()
        }
    }
}

fn compile(schema: &Value) -> Result<Validator, Box<ValidationError<'static>>> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_STATES);
    // `format` is an annotation only, as in the newest draft.
    let options = jsonschema::options().offline().with_pattern_options(patterns).should_validate_formats(false);
    options.build(schema).map_err(Box::new)
}

/// An error with its JSON path. The value is not repeated, since it may be a secret.
fn fault(of: &str, code: &'static str, error: &ValidationError<'_>) -> FieldError {
    let place = error.instance_path().iter().map(|part| format!(".{part}"));
    let field: String = std::iter::once(of.to_owned()).chain(place).collect();
    let sentence = match error.kind() {
        ValidationErrorKind::PropertyNames { error } => format!("a name in it: {}", error.masked()),
        _ => error.masked().to_string(),
    };
    FieldError::new(&field, code, sentence.chars().take(DETAIL_LIMIT).collect::<String>())
}

/// Content of a schema that is refused before it is compiled.
struct Findings<'a> {
    root: &'a Value,
    patterns: usize,
    faults: Vec<FieldError>,
}

impl<'a> Findings<'a> {
    fn of(schema: &'a Value) -> Self {
        let mut findings = Self { root: schema, patterns: 0, faults: Vec::new() };
        findings.inspect(schema, "schema", false);
        if findings.patterns > PATTERN_LIMIT {
            let detail = format!("must have at most {PATTERN_LIMIT} patterns");
            findings.faults.push(FieldError::new("schema", "too_many", detail));
        }
        findings.faults.truncate(FIELD_ERROR_LIMIT);
        findings
    }

    /// Checks the whole schema; `data` marks values that are not schemas, to which a reference may point
    /// nevertheless.
    fn inspect(&mut self, schema: &Value, place: &str, data: bool) {
        match schema {
            Value::Object(keywords) => {
                for (keyword, value) in keywords {
                    let place = format!("{place}.{keyword}");
                    self.keyword(keyword, value, &place, data);
                    self.inspect(value, &place, data || DATA.contains(&keyword.as_str()));
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.inspect(item, &format!("{place}.{at}"), data);
                }
            }
            _ => {}
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, place: &str, data: bool) {
        let nested = place.matches('.').count() > 1;
        let refused = match (keyword, value) {
            ("pattern", Value::String(_)) => {
                self.patterns += 1;
                return;
            }
            ("patternProperties", Value::Object(patterns)) => {
                self.patterns += patterns.len();
                return;
            }
            _ if data => return,
            ("$ref", Value::String(to)) if target(self.root, to).is_none() => {
                "must refer to a place in this schema, as in #/$defs/name"
            }
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => "is not supported; use $ref",
            // It would change the base of the references within.
            ("$id" | "id", Value::String(_)) if nested => "is allowed at the top level only",
            ("$schema", Value::String(_)) if nested => "is allowed at the top level only",
            _ => return,
        };
        self.faults.push(FieldError::new(place, "unsupported", refused));
    }
}

/// The target of a reference, if it is a place in the schema itself.
fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))?;
    // Some readers decode percent signs, and would find another place.
    if pointer.contains('%') { None } else { root.pointer(pointer) }
}

/// Walks the path of a validation and counts its steps.
struct Walk<'a> {
    root: &'a Value,
    left: u64,
}

impl Walk<'_> {
    fn step(&mut self, steps: usize) -> bool {
        self.left = self.left.saturating_sub(steps as u64);
        self.left > 0
    }

    /// Applies a schema to a value of the settings; false if there are too many steps.
    fn applies(&mut self, schema: &Value, at: &Value, depth: usize) -> bool {
        let Value::Object(keywords) = schema else {
            return self.step(1);
        };
        if depth > WALK_DEPTH || !self.step(1) {
            return false;
        }
        // To find unevaluated items, the validation goes through everything else a second time.
        let left_over = keywords.contains_key("unevaluatedProperties") || keywords.contains_key("unevaluatedItems");
        let rounds = if left_over { 2 } else { 1 };
        (0..rounds).all(|_| keywords.iter().all(|(keyword, value)| self.keyword(keyword, value, at, depth + 1)))
    }

    fn keyword(&mut self, keyword: &str, value: &Value, at: &Value, depth: usize) -> bool {
        match (keyword, value) {
            ("$ref", Value::String(to)) => target(self.root, to).is_none_or(|to| self.applies(to, at, depth)),
            ("properties", Value::Object(properties)) => {
                let Value::Object(fields) = at else { return self.step(1) };
                self.step(properties.len())
                    && properties
                        .iter()
                        .all(|(name, schema)| fields.get(name).is_none_or(|within| self.applies(schema, within, depth)))
            }
            ("pattern", Value::String(_)) => self.step(at.as_str().map_or(1, str::len)),
            ("patternProperties", Value::Object(schemas)) => {
                schemas.values().all(|schema| self.step(names(at)) && self.inside(schema, at, depth))
            }
            ("const" | "enum", value) => self.step(size(value)),
            ("uniqueItems", _) => self.step(size(at)),
            ("propertyNames", schema) => {
                let Value::Object(fields) = at else { return self.step(1) };
                fields.keys().all(|name| self.applies(schema, &Value::String(name.clone()), depth))
            }
            (
                "additionalProperties"
                | "unevaluatedProperties"
                | "items"
                | "prefixItems"
                | "additionalItems"
                | "unevaluatedItems"
                | "contains",
                value,
            ) => self.each(value, &mut |walk, schema| walk.inside(schema, at, depth)),
            ("allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "extends" | "disallow" | "type", value) => {
                self.each(value, &mut |walk, schema| walk.applies(schema, at, depth))
            }
            ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                schemas.values().all(|schema| self.applies(schema, at, depth))
            }
            (_, Value::Array(items)) => self.step(items.len()),
            _ => self.step(1),
        }
    }

    /// Applies one schema, or each of several.
    fn each(&mut self, value: &Value, go: &mut dyn FnMut(&mut Self, &Value) -> bool) -> bool {
        match value {
            Value::Array(schemas) => schemas.iter().all(|schema| go(self, schema)),
            schema => go(self, schema),
        }
    }

    /// Applies a schema to every child of a value.
    fn inside(&mut self, schema: &Value, at: &Value, depth: usize) -> bool {
        match at {
            Value::Object(fields) => fields.values().all(|within| self.applies(schema, within, depth)),
            Value::Array(items) => items.iter().all(|within| self.applies(schema, within, depth)),
            _ => self.step(1),
        }
    }
}

/// Total number of characters in the names of an object.
fn names(at: &Value) -> usize {
    match at {
        Value::Object(fields) => fields.keys().map(|name| name.len() + 1).sum(),
        _ => 1,
    }
}

/// Number of values in a value, itself included.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(size).sum(),
        Value::Array(items) => items.iter().map(size).sum::<usize>(),
        _ => 0,
    }
}
