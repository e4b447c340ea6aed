//! Patches (RFC 7644, 3.5.2): changes of a document one after the other, all of them or none.

use serde_json::{Map, Value, json};

use super::document::{Document, Faults, is_primary};
use super::filter::Filter;
use super::path::{Path, Place, Target};
use super::schema::{ENTERPRISE, Mutability};
use super::{ScimType, refuse};
use crate::refusal::Refusal;

/// The most operations of a patch.
pub const OPERATIONS_LIMIT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Replace,
    Remove,
}

/// The document after the operations in a body. `id` is that of the user.
///
/// # Errors
/// `invalidSyntax`, `invalidPath`, `noTarget`, `mutability`, `invalidValue`; every fault of a value.
pub fn apply(document: &Document, id: &str, body: &Map<String, Value>) -> Result<Document, Refusal> {
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
        after.faults().map_err(Refusal::Invalid)?;
    }
    Ok(after)
}

/// A member of an object, by its name in any capitals.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn one(document: &mut Document, id: &str, operation: &Value) -> Result<(), Refusal> {
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
        (Some(path), Operation::Remove, _) => change(document, op, &path, &Value::Null),
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

/// One member of a value without a path. What the schema does not know is passed over, and so is
/// what only the server sets, but for another id.
fn named(document: &mut Document, id: &str, op: Operation, name: &str, value: &Value) -> Result<(), Refusal> {
    match Path::read(name) {
        Err(_) if !name.contains('[') => Ok(()),
        Err(refusal) => Err(refusal),
        Ok(Path::Of(target, _)) if target.attribute.mutability == Mutability::ReadOnly => {
            if target.attribute.name == "id" && value.as_str() != Some(id) { Err(read_only(&target)) } else { Ok(()) }
        }
        Ok(path) => change(document, op, &path, value),
    }
}

fn read_only(target: &Target) -> Refusal {
    refuse(ScimType::Mutability, format!("{} is set by the server alone.", target.attribute.name))
}

fn change(document: &mut Document, op: Operation, path: &Path, value: &Value) -> Result<(), Refusal> {
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
        return Err(refuse(ScimType::Mutability, format!("{} cannot be taken away.", attribute.name)));
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

/// Does something to an object within, which is made if it is not there.
fn within<T>(fields: &mut Map<String, Value>, name: &str, act: impl FnOnce(&mut Map<String, Value>) -> T) -> T {
    let mut object = match fields.remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let done = act(&mut object);
    fields.insert(name.to_owned(), Value::Object(object));
    done
}

fn enterprise(document: &mut Document, op: Operation, value: &Value) -> Result<(), Refusal> {
    if op == Operation::Remove || value.is_null() {
        document.0.remove(ENTERPRISE);
        return Ok(());
    }
    let mut faults = Faults::default();
    within(&mut document.0, ENTERPRISE, |added| faults.read_enterprise(added, value));
    faults.finish().map_err(Refusal::Invalid)
}

/// A value of a part or an attribute; nothing if it is to be taken away.
fn read(target: &Target, value: &Value) -> Result<Option<Value>, Refusal> {
    let mut faults = Faults::default();
    let read = match target.part {
        Some(part) => faults.one(part, value, &format!("{}.{}", target.attribute.name, part.name)),
        None => faults.value(target.attribute, value, target.attribute.name),
    };
    faults.finish().map_err(Refusal::Invalid)?;
    Ok(read)
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.remove(name),
    };
}

/// A part of an attribute that has one value.
fn part(home: &mut Map<String, Value>, op: Operation, target: &Target, value: &Value) -> Result<(), Refusal> {
    let Some(part) = target.part else { return Ok(()) };
    let value = if op == Operation::Remove { None } else { read(target, value)? };
    within(home, target.attribute.name, |parts| put(parts, part.name, value));
    Ok(())
}

/// An attribute that has one value. What is made of parts keeps those that are not named, unless
/// a text alone stands for it.
fn whole(home: &mut Map<String, Value>, op: Operation, target: &Target, given: &Value) -> Result<(), Refusal> {
    let attribute = target.attribute;
    let value = if op == Operation::Remove { None } else { read(target, given)? };
    if attribute.mutability == Mutability::WriteOnly {
        return Ok(());
    }
    match (value, given) {
        (Some(Value::Object(parts)), Value::Object(_)) => within(home, attribute.name, |held| held.extend(parts)),
        (value, _) => put(home, attribute.name, value),
    }
    Ok(())
}

/// An attribute that has several values, or some of them, or a part of these.
fn several(
    home: &mut Map<String, Value>,
    op: Operation,
    target: &Target,
    filter: Option<&Filter>,
    given: &Value,
) -> Result<(), Refusal> {
    let name = target.attribute.name;
    let before = match home.remove(name) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    let mut values = before.clone();
    if filter.is_none() && target.part.is_none() {
        let new = match read(target, given)? {
            Some(Value::Array(new)) if op != Operation::Remove => new,
            _ => Vec::new(),
        };
        if op == Operation::Add {
            for value in new {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        } else {
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

fn some(
    values: &mut Vec<Value>,
    op: Operation,
    target: &Target,
    filter: Option<&Filter>,
    given: &Value,
) -> Result<(), Refusal> {
    let fits = |value: &Value| filter.is_none_or(|filter| filter.fits_value(value));
    if op == Operation::Remove && target.part.is_none() {
        let before = values.len();
        values.retain(|value| !fits(value));
        return if values.len() < before { Ok(()) } else { Err(no_target()) };
    }
    let mut chosen: Vec<usize> = values.iter().enumerate().filter(|(_, value)| fits(value)).map(|(at, _)| at).collect();
    if chosen.is_empty() {
        // What is added and is not there yet is made as the filter describes it.
        let example = match filter {
            _ if op != Operation::Add => None,
            None => Some(Map::new()),
            Some(filter) => filter.example(),
        };
        values.push(Value::Object(example.ok_or_else(no_target)?));
        chosen.push(values.len() - 1);
    }
    let read = if op == Operation::Remove { None } else { read_one(target, given)? };
    for at in chosen {
        let Some(parts) = values[at].as_object_mut() else { continue };
        match (target.part, &read, op) {
            (Some(part), read, _) => put(parts, part.name, read.clone()),
            (None, Some(Value::Object(new)), Operation::Add) => parts.extend(new.clone()),
            (None, Some(Value::Object(new)), _) => *parts = new.clone(),
            (None, _, _) => parts.clear(),
        }
    }
    Ok(())
}

/// One value of an attribute that has several, or of a part of it.
fn read_one(target: &Target, given: &Value) -> Result<Option<Value>, Refusal> {
    if target.part.is_some() {
        return read(target, given);
    }
    let one = match given {
        Value::Array(values) if values.len() == 1 => &values[0],
        other => other,
    };
    let mut faults = Faults::default();
    let read = faults.one(target.attribute, one, target.attribute.name);
    faults.finish().map_err(Refusal::Invalid)?;
    Ok(read)
}

fn no_target() -> Refusal {
    refuse(ScimType::NoTarget, "The path leads to no value that is there.")
}

/// A value that was made the preferred one is it from then on; the one before is it no more.
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
