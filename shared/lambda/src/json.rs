//! JSON in which a repeated name is an error: parsers differ in which of the values they take, so a value that
//! one has checked may not be the one that the next uses.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses a value, and returns the repeated names with it, nested ones joined by dots.
///
/// # Errors
/// The syntax error, if the text is not valid JSON.
pub(crate) fn read(bytes: &[u8]) -> Result<(Value, BTreeSet<String>), serde_json::Error> {
    let mut repeated = BTreeSet::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { path: "", repeated: &mut repeated }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, repeated))
}

struct Node<'a> {
    path: &'a str,
    repeated: &'a mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let path = within(self.path, &values.len().to_string());
            match items.next_element_seed(Node { path: &path, repeated: &mut *self.repeated })? {
                Some(value) => values.push(value),
                None => return Ok(values.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let path = within(self.path, &name);
            let value = entries.next_value_seed(Node { path: &path, repeated: &mut *self.repeated })?;
            if fields.insert(name, value).is_some() {
                self.repeated.insert(path);
            }
        }
        Ok(fields.into())
    }
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_once_is_read_as_ever() {
        let text = r#"{"a": [1, -2, 3.5, true, null, "x\u00e9"], "b": {"a": {}}, "c": 18446744073709551615}"#;
        let (value, repeated) = read(text.as_bytes()).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        assert!(repeated.is_empty());
    }

    #[test]
    fn what_stands_twice_is_named() {
        let (_, repeated) = read(br#"{"a": 1, "b": {"c": 1, "c": 2}, "a": 2, "d": [{"e": 1, "e": 1}]}"#).unwrap();
        assert_eq!(repeated.into_iter().collect::<Vec<_>>(), ["a", "b.c", "d.0.e"]);
    }

    #[test]
    fn what_is_not_one_json_text_is_refused() {
        let deep = "[".repeat(10_000);
        for text in ["", "{", "{} {}", "{\"a\":1e999}", "\"\\ud800\"", deep.as_str()] {
            assert!(read(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(read(b"\"\xff\"").is_err());
    }
}
