//! Patches (RFC 7644, 3.5.2): changes of a document, one after the other, all or none.

use serde_json::{Map, Value, json};

use crate::error::{DomainError, ScimType};
use crate::rules::scim::document::{Document, Faults, is_primary, merge, put, within};
use crate::rules::scim::filter::{Filter, comparable, truth};
use crate::rules::scim::path::{Path, Place, Target};
use crate::rules::scim::refuse;
use crate::rules::scim::schema::{Attribute, ENTERPRISE, Kind, Mutability, find};

/// The most operations of a patch.
pub const OPERATIONS_LIMIT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Replace,
    Remove,
}

/// The document after the operations in a request body. `id` is the user's id.
///
/// # Errors
/// `invalidSyntax`, `invalidPath`, `noTarget`, `mutability`, `invalidValue`, `tooMany`; `Invalid`, with every field
/// error of a value.
pub fn apply(document: &Document, id: &str, body: &Map<String, Value>) -> Result<Document, DomainError> {
    let operations = member(body, "Operations").and_then(Value::as_array);
    let operations = operations.filter(|operations| !operations.is_empty());
    let Some(operations) = operations else {
        return Err(refuse(ScimType::InvalidSyntax, "Operations must be an array with at least one operation."));
    };
    if operations.len() > OPERATIONS_LIMIT {
        return Err(refuse(ScimType::TooMany, format!("A patch has at most {OPERATIONS_LIMIT} operations.")));
    }
    let mut after = document.clone();
    for operation in operations {
        one(&mut after, id, operation)?;
        after.prune();
        after.faults().map_err(DomainError::Invalid)?;
    }
    // A later operation may have given a value to an empty one.
    after.settle();
    Ok(after)
}

/// A member of an object, by its name in any case.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn one(document: &mut Document, id: &str, operation: &Value) -> Result<(), DomainError> {
    let syntax = |detail: &str| refuse(ScimType::InvalidSyntax, detail);
    let fields = operation.as_object().ok_or_else(|| syntax("An operation must be an object."))?;
    let op = match member(fields, "op").and_then(Value::as_str) {
        Some(op) if op.eq_ignore_ascii_case("add") => Operation::Add,
        Some(op) if op.eq_ignore_ascii_case("replace") => Operation::Replace,
        Some(op) if op.eq_ignore_ascii_case("remove") => Operation::Remove,
        _ => return Err(syntax("op must be one of add, replace, remove.")),
    };
    let value = member(fields, "value");
    let path = match member(fields, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) => Some(Path::read(path)?),
        Some(_) => return Err(refuse(ScimType::InvalidPath, "path must be a text.")),
    };
    match (path, op, value) {
        (Some(path), Operation::Remove, value) => change(document, op, &path, value.unwrap_or(&Value::Null)),
        (None, Operation::Remove, _) => Err(refuse(ScimType::NoTarget, "remove needs a path.")),
        (_, Operation::Add | Operation::Replace, None) => Err(refuse(ScimType::InvalidValue, "value is required.")),
        (Some(path), Operation::Add | Operation::Replace, Some(value)) => change(document, op, &path, value),
        (None, Operation::Add | Operation::Replace, Some(Value::Object(given))) => {
            given.iter().try_for_each(|(name, value)| named(document, id, op, name, value))
        }
        (None, Operation::Add | Operation::Replace, Some(_)) => {
            Err(refuse(ScimType::InvalidValue, "Without a path, value must be an object."))
        }
    }
}

/// One member of a value without a path. Unknown attributes are ignored, and so are read-only ones, except for an `id`
/// that differs.
fn named(document: &mut Document, id: &str, op: Operation, name: &str, value: &Value) -> Result<(), DomainError> {
    match Path::read(name) {
        Err(_) if !name.contains('[') => Ok(()),
        Err(error) => Err(error),
        Ok(Path::Of(target, _)) if target.attribute.mutability == Mutability::ReadOnly => {
            if target.attribute.name == "id" && value.as_str() != Some(id) { Err(read_only(&target)) } else { Ok(()) }
        }
        Ok(path) => change(document, op, &path, value),
    }
}

fn read_only(target: &Target) -> DomainError {
    refuse(ScimType::Mutability, format!("{} is read-only.", target.attribute.name))
}

fn change(document: &mut Document, op: Operation, path: &Path, value: &Value) -> Result<(), DomainError> {
    let (target, filter) = match path {
        Path::Foreign => return Ok(()),
        Path::Enterprise => return enterprise(document, op, value),
        Path::Of(target, filter) => (target, filter.as_ref()),
    };
    let attribute = target.attribute;
    if attribute.mutability == Mutability::ReadOnly {
        return Err(read_only(target));
    }
    if op == Operation::Remove && attribute.required {
        return Err(refuse(ScimType::Mutability, format!("{} cannot be removed.", attribute.name)));
    }
    let at = |home: &mut Map<String, Value>| match (attribute.multi, target.part) {
        (true, _) => several(home, op, target, filter, value),
        (false, Some(_)) => part(home, op, target, value),
        (false, None) => whole(home, op, target, value),
    };
    match target.place {
        Place::Core => at(&mut document.0),
        Place::Enterprise => within(&mut document.0, ENTERPRISE, at),
    }
}

fn enterprise(document: &mut Document, op: Operation, value: &Value) -> Result<(), DomainError> {
    if op == Operation::Remove
        && let Value::Object(named) = value
    {
        within(&mut document.0, ENTERPRISE, |added| {
            added.retain(|name, _| !named.keys().any(|named| named.eq_ignore_ascii_case(name)));
        });
        return Ok(());
    }
    if op == Operation::Remove || value.is_null() {
        document.0.remove(ENTERPRISE);
        return Ok(());
    }
    let mut faults = Faults::default();
    let given = faults.enterprise(value);
    within(&mut document.0, ENTERPRISE, |added| {
        for (attribute, value) in given {
            faults.change(added, attribute, value, &Place::Enterprise.name(attribute));
        }
    });
    faults.finish().map_err(DomainError::Invalid)
}

/// Reads a value of an attribute or sub-attribute; `None` if it is to be removed.
fn read(target: &Target, value: &Value) -> Result<Option<Value>, DomainError> {
    let mut faults = Faults::default();
    let name = target.place.name(target.attribute);
    let read = match target.part {
        Some(part) => faults.one(part, value, &format!("{name}.{}", part.name)),
        None => faults.value(target.attribute, value, &name),
    };
    faults.finish().map_err(DomainError::Invalid)?;
    Ok(read)
}

/// Changes a sub-attribute of a single-valued attribute.
fn part(home: &mut Map<String, Value>, op: Operation, target: &Target, value: &Value) -> Result<(), DomainError> {
    let Some(part) = target.part else { return Ok(()) };
    let value = if op == Operation::Remove { None } else { read(target, value)? };
    within(home, target.attribute.name, |parts| put(parts, part.name, value));
    Ok(())
}

/// Changes a single-valued attribute.
fn whole(home: &mut Map<String, Value>, op: Operation, target: &Target, given: &Value) -> Result<(), DomainError> {
    let attribute = target.attribute;
    if op == Operation::Remove {
        match (home.get_mut(attribute.name), given) {
            // Only the named sub-attributes are removed; naming `value` removes the whole attribute.
            (Some(Value::Object(parts)), Value::Object(named)) if member(named, "value").is_none() => {
                parts.retain(|name, _| member(named, name).is_none());
            }
            _ => drop(home.remove(attribute.name)),
        }
        return Ok(());
    }
    let mut faults = Faults::default();
    faults.change(home, attribute, given, &target.place.name(attribute));
    faults.finish().map_err(DomainError::Invalid)
}

/// Changes a multi-valued attribute, some of its values, or a sub-attribute of these.
fn several(
    home: &mut Map<String, Value>,
    op: Operation,
    target: &Target,
    filter: Option<&Filter>,
    given: &Value,
) -> Result<(), DomainError> {
    let name = target.attribute.name;
    let before = match home.remove(name) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    let mut values = before.clone();
    if op == Operation::Remove && names_values(given) && !(filter.is_some() && target.part.is_some()) {
        without(&mut values, target, filter, given);
    } else if filter.is_none() && target.part.is_none() {
        let new = match op {
            Operation::Remove => None,
            Operation::Add | Operation::Replace => read(target, given)?,
        };
        let new = if let Some(Value::Array(new)) = new { new } else { Vec::new() };
        if op == Operation::Add {
            for value in new {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        } else if !(new.is_empty() && given.is_object()) {
            // A single object without any value removes nothing.
            values = new;
        }
    } else {
        some(&mut values, op, target, filter, given)?;
    }
    if op != Operation::Replace || filter.is_some() || target.part.is_some() {
        keep_newest_primary(&before, &mut values);
    }
    values.retain(|value| value.as_object().is_none_or(|parts| !parts.is_empty()));
    put(home, name, (!values.is_empty()).then_some(Value::Array(values)));
    Ok(())
}

/// True if a removal names values in addition to its path.
fn names_values(given: &Value) -> bool {
    !given.is_null() && given != ""
}

/// Removes the values that are named in addition to the path, as some providers do; none if no value matches. If the
/// path leads to a sub-attribute, removes that from the values in which it matches.
fn without(values: &mut Vec<Value>, target: &Target, filter: Option<&Filter>, given: &Value) {
    let is_named =
        |value: &Value| filter.is_none_or(|filter| filter.fits_value(value)) && is_meant(target, value, given);
    let Some(part) = target.part else { return values.retain(|value| !is_named(value)) };
    for value in values.iter_mut().filter(|value| is_named(value)) {
        if let Some(parts) = value.as_object_mut() {
            parts.remove(part.name);
        }
    }
}

/// True if one of the named values is this one: same `value`, and same `type` if both have one; or, if no `value` is
/// named, the same in every named sub-attribute.
fn is_meant(target: &Target, held: &Value, given: &Value) -> bool {
    let parts = target.attribute.parts();
    let same = |part: &'static Attribute, given: &Value| is_same(part, held.get(part.name), given);
    match (given, target.part.or_else(|| find(parts, "value"))) {
        (Value::Array(items), _) => items.iter().any(|item| is_meant(target, held, item)),
        (Value::Object(given), _) => {
            let known = given.iter().filter_map(|(name, given)| Some((find(parts, name)?, given)));
            let said: Vec<(&'static Attribute, &Value)> = known.filter(|(_, given)| names_values(given)).collect();
            let value = said.iter().find(|(part, _)| part.name == "value");
            let kind = said.iter().find(|(part, _)| part.name == "type" && held.get(part.name).is_some());
            match value {
                Some((part, given)) => same(part, given) && kind.is_none_or(|(part, given)| same(part, given)),
                None => !said.is_empty() && said.iter().all(|(part, given)| same(part, given)),
            }
        }
        (given, Some(part)) => same(part, given),
        (_, None) => false,
    }
}

fn is_same(part: &Attribute, held: Option<&Value>, given: &Value) -> bool {
    let as_truth = |value: &Value| value.as_bool().or_else(|| truth(value.as_str()?));
    match (held, given) {
        (Some(Value::String(held)), Value::String(given)) => {
            comparable(part, held.trim()) == comparable(part, given.trim())
        }
        (held, given) if matches!(part.kind, Kind::Boolean) => {
            held.and_then(as_truth).unwrap_or(false) == as_truth(given).unwrap_or(false)
        }
        (held, given) => held == Some(given),
    }
}

fn some(
    values: &mut Vec<Value>,
    op: Operation,
    target: &Target,
    filter: Option<&Filter>,
    given: &Value,
) -> Result<(), DomainError> {
    let fits = |value: &Value| filter.is_none_or(|filter| filter.fits_value(value));
    if op == Operation::Remove && target.part.is_none() {
        values.retain(|value| !fits(value));
        return Ok(());
    }
    let mut chosen: Vec<usize> = values.iter().enumerate().filter(|(_, value)| fits(value)).map(|(at, _)| at).collect();
    // An added value that does not exist yet is created from the filter.
    let example = match filter {
        _ if !chosen.is_empty() => None,
        // It is already removed (RFC 7644, 3.5.2.2 requires no error); the other operations still apply.
        _ if op == Operation::Remove => return Ok(()),
        _ if op != Operation::Add => return Err(no_target()),
        None => Some(Map::new()),
        Some(filter) => Some(filter.example().ok_or_else(no_target)?),
    };
    let read = if op == Operation::Remove { None } else { read_one(target, given)? };
    if let Some(example) = example.filter(|_| read.as_ref().is_some_and(says_something)) {
        values.push(Value::Object(example));
        chosen.push(values.len() - 1);
    }
    for at in chosen {
        let Some(parts) = values[at].as_object_mut() else { continue };
        match (target.part, &read) {
            (Some(part), read) => put(parts, part.name, read.clone()),
            (None, Some(said @ Value::Object(new))) => {
                if op == Operation::Replace && says_something(said) {
                    parts.clear();
                }
                merge(parts, new.clone());
            }
            (None, _) => parts.clear(),
        }
    }
    Ok(())
}

/// False for an object without any value.
fn says_something(said: &Value) -> bool {
    said.as_object().is_none_or(|parts| parts.values().any(|value| !value.is_null()))
}

/// Reads one value of a multi-valued attribute, or a sub-attribute of it; `None` if it is to be removed. In an object,
/// null marks the sub-attributes to remove.
fn read_one(target: &Target, given: &Value) -> Result<Option<Value>, DomainError> {
    if target.part.is_some() {
        return read(target, given);
    }
    let one = match given {
        Value::Array(values) if values.len() == 1 => &values[0],
        other => other,
    };
    let mut faults = Faults::default();
    let name = target.place.name(target.attribute);
    let read = match (target.attribute.kind, one) {
        (Kind::Complex(parts), Value::Object(given)) => Some(Value::Object(faults.said(parts, given, &name))),
        _ => faults.one(target.attribute, one, &name),
    };
    faults.finish().map_err(DomainError::Invalid)?;
    Ok(read)
}

fn no_target() -> DomainError {
    refuse(ScimType::NoTarget, "The path matches no value.")
}

/// If one value has become primary, the former primary one no longer is.
fn keep_newest_primary(before: &[Value], after: &mut [Value]) {
    let is_new = |at: usize, value: &Value| is_primary(value) && !before.get(at).is_some_and(is_primary);
    let new: Vec<usize> = after.iter().enumerate().filter(|(at, value)| is_new(*at, value)).map(|(at, _)| at).collect();
    let [newest] = new[..] else { return };
    for (at, value) in after.iter_mut().enumerate() {
        if at != newest && is_primary(value) {
            value["primary"] = json!(false);
        }
    }
}
