//! Event patterns, as in SNS filter policies and Lambda's event filters.
//!
//! A pattern maps names to nested patterns or to lists of conditions, of which one must hold; all names must
//! match. Supported conditions: a text, `prefix`, `anything-but` (texts) and `exists`.

use serde_json::Value;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Vec<(String, Part)>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Nested(Pattern),
    AnyOf(Vec<Condition>),
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Is(String),
    Prefix(String),
    AnythingBut(Vec<String>),
    Exists(bool),
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// What is not supported.
    pub fn read(written: &Value) -> Result<Self, String> {
        let entries = written.as_object().ok_or_else(|| format!("the pattern {written} is not a mapping"))?;
        let parts = entries.iter().map(|(name, part)| Ok((name.clone(), read_part(part)?)));
        parts.collect::<Result<_, String>>().map(Self)
    }

    /// True if a value matches the pattern.
    #[must_use]
    pub fn matches(&self, value: &Value) -> bool {
        self.0.iter().all(|(name, part)| match part {
            Part::Nested(pattern) => pattern.matches(&value[name]),
            Part::AnyOf(conditions) => conditions.iter().any(|condition| condition.matches_condition(value.get(name))),
        })
    }
}

impl Condition {
    fn matches_condition(&self, value: Option<&Value>) -> bool {
        let text = value.and_then(Value::as_str);
        match self {
            Condition::Is(expected) => text == Some(expected),
            Condition::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix.as_str())),
            Condition::AnythingBut(refused) => text.is_some_and(|text| !refused.iter().any(|other| other == text)),
            Condition::Exists(expected) => value.is_some() == *expected,
        }
    }
}

fn read_part(part: &Value) -> Result<Part, String> {
    match part {
        Value::Array(conditions) => conditions.iter().map(read_condition).collect::<Result<_, _>>().map(Part::AnyOf),
        nested => Pattern::read(nested).map(Part::Nested),
    }
}

fn read_condition(condition: &Value) -> Result<Condition, String> {
    let unknown = || format!("the condition {condition} is not supported");
    if let Value::String(text) = condition {
        return Ok(Condition::Is(text.clone()));
    }
    let (name, argument) = condition.as_object().and_then(|entries| entries.iter().next()).ok_or_else(unknown)?;
    match (name.as_str(), argument) {
        ("prefix", Value::String(prefix)) => Ok(Condition::Prefix(prefix.clone())),
        ("exists", Value::Bool(expected)) => Ok(Condition::Exists(*expected)),
        ("anything-but", Value::String(text)) => Ok(Condition::AnythingBut(vec![text.clone()])),
        ("anything-but", Value::Array(texts)) => {
            let texts = texts.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(unknown));
            texts.collect::<Result<_, _>>().map(Condition::AnythingBut)
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_names_and_any_condition() {
        let pattern = Pattern::read(
            &json!({"event_type": ["user.invited", {"prefix": "device."}], "of": [{"anything-but": ["x"]}]}),
        )
        .unwrap();
        assert!(pattern.matches(&json!({"event_type": "device.blocked", "of": "y"})));
        assert!(pattern.matches(&json!({"event_type": "user.invited", "of": "y"})));
        assert!(!pattern.matches(&json!({"event_type": "user.created", "of": "y"})));
        assert!(!pattern.matches(&json!({"event_type": "user.invited", "of": "x"})));
        assert!(!pattern.matches(&json!({"event_type": "user.invited"})), "an absent attribute is not anything but");
    }

    #[test]
    fn nested_and_absent() {
        let pattern = Pattern::read(&json!({"a": {"b": [{"exists": false}, "c"]}})).unwrap();
        assert!(pattern.matches(&json!({"a": {}})));
        assert!(pattern.matches(&json!({"a": {"b": "c"}})));
        assert!(!pattern.matches(&json!({"a": {"b": "d"}})));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let error = Pattern::read(&json!({"a": [{"numeric": [">", 3]}]})).unwrap_err();
        assert!(error.contains("numeric"), "{error}");
    }
}
