//! PATCH requests (RFC 7644, 3.5.2): operations that are applied to a document one after the other, all or none.

use serde_json::{Map, Value, json};

use crate::error::{DomainError, ScimType};
use crate::rules::scim::document::Document;
use crate::rules::scim::filter::{Filter, comparison_key};
use crate::rules::scim::path::{AttributePath, PatchPath};
use crate::rules::scim::schema::{Attribute, DataType, ENTERPRISE, Mutability, UserSchema, find_attribute};
use crate::rules::scim::scim_error;
use crate::rules::scim::value::{
    ValueReader, edit_object, is_primary, merge_sub_attributes, parse_boolean, set_or_remove,
};

/// The most operations of a request.
pub const OPERATIONS_LIMIT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OperationType {
    Add,
    Replace,
    Remove,
}

/// What an operation does at its path.
#[derive(Clone, Copy, Debug)]
struct Operation<'a> {
    op: OperationType,
    /// Null if a removal has no value.
    value: &'a Value,
}

impl Operation<'_> {
    fn is_removal(self) -> bool {
        self.op == OperationType::Remove
    }
}

/// The attribute that an operation changes; with a filter, only the values that match it.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    path: &'a AttributePath,
    filter: Option<&'a Filter>,
}

impl Target<'_> {
    /// True if the target is a whole attribute, rather than some of its values or a sub-attribute.
    fn is_whole_attribute(self) -> bool {
        self.filter.is_none() && self.path.sub_attribute.is_none()
    }

    fn matches(self, value: &Value) -> bool {
        self.filter.is_none_or(|filter| filter.matches_value(value))
    }
}

/// Applies the operations in a request body. `id` is the user's id.
///
/// # Errors
/// `invalidSyntax`, `invalidPath`, `noTarget`, `mutability`, `invalidValue`, `tooMany`; `Invalid`, with every field
/// error of the first operation that has any.
pub fn apply(document: &Document, id: &str, body: &Map<String, Value>) -> Result<Document, DomainError> {
    let operations = member(body, "Operations").and_then(Value::as_array);
    let Some(operations) = operations.filter(|operations| !operations.is_empty()) else {
        return Err(invalid_syntax("Operations must be an array with at least one operation."));
    };
    if operations.len() > OPERATIONS_LIMIT {
        return Err(scim_error(ScimType::TooMany, format!("A patch has at most {OPERATIONS_LIMIT} operations.")));
    }
    let mut patched = document.clone();
    for operation in operations {
        apply_operation(&mut patched, id, operation)?;
        patched.remove_unassigned_attributes();
        patched.check().map_err(DomainError::Invalid)?;
    }
    // Only at the end, since a later operation may add the value to an entry that has none yet.
    patched.remove_unassigned_values();
    Ok(patched)
}

fn invalid_syntax(detail: &str) -> DomainError {
    scim_error(ScimType::InvalidSyntax, detail)
}

fn invalid_value(detail: &str) -> DomainError {
    scim_error(ScimType::InvalidValue, detail)
}

fn no_matching_value() -> DomainError {
    scim_error(ScimType::NoTarget, "The path matches no value.")
}

/// A member of an object, by its name in any case.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn apply_operation(document: &mut Document, id: &str, operation: &Value) -> Result<(), DomainError> {
    let fields = operation.as_object().ok_or_else(|| invalid_syntax("An operation must be an object."))?;
    let op = match member(fields, "op").and_then(Value::as_str) {
        Some(op) if op.eq_ignore_ascii_case("add") => OperationType::Add,
        Some(op) if op.eq_ignore_ascii_case("replace") => OperationType::Replace,
        Some(op) if op.eq_ignore_ascii_case("remove") => OperationType::Remove,
        _ => return Err(invalid_syntax("op must be one of add, replace, remove.")),
    };
    let path = match member(fields, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) => Some(PatchPath::parse(path)?),
        Some(_) => return Err(scim_error(ScimType::InvalidPath, "path must be a string.")),
    };
    match (path, op, member(fields, "value")) {
        (Some(path), OperationType::Remove, value) => {
            apply_at_path(document, &path, Operation { op, value: value.unwrap_or(&Value::Null) })
        }
        (None, OperationType::Remove, _) => Err(scim_error(ScimType::NoTarget, "remove requires a path.")),
        (_, OperationType::Add | OperationType::Replace, None) => Err(invalid_value("value is required.")),
        (Some(path), OperationType::Add | OperationType::Replace, Some(value)) => {
            apply_at_path(document, &path, Operation { op, value })
        }
        (None, OperationType::Add | OperationType::Replace, Some(Value::Object(attributes))) => attributes
            .iter()
            .try_for_each(|(name, value)| apply_to_named_attribute(document, id, name, Operation { op, value })),
        (None, OperationType::Add | OperationType::Replace, Some(_)) => {
            Err(invalid_value("Without a path, value must be an object."))
        }
    }
}

/// Applies one member of the value of an operation without a path. `name` is an attribute, or a path, as some providers
/// send it. Unknown attributes are ignored, and so are read-only ones, except for an `id` that differs.
fn apply_to_named_attribute(
    document: &mut Document,
    id: &str,
    name: &str,
    operation: Operation<'_>,
) -> Result<(), DomainError> {
    match PatchPath::parse(name) {
        Err(_) if !name.contains('[') => Ok(()),
        Err(error) => Err(error),
        Ok(PatchPath::Attribute(path, _)) if path.attribute.mutability == Mutability::ReadOnly => {
            let is_other_id = path.attribute.name == "id" && operation.value.as_str() != Some(id);
            if is_other_id { Err(read_only(path.attribute)) } else { Ok(()) }
        }
        Ok(path) => apply_at_path(document, &path, operation),
    }
}

fn read_only(attribute: &Attribute) -> DomainError {
    scim_error(ScimType::Mutability, format!("{} is read-only.", attribute.name))
}

/// Applies an operation at its path. Unknown schemas are ignored.
fn apply_at_path(document: &mut Document, path: &PatchPath, operation: Operation<'_>) -> Result<(), DomainError> {
    let target = match path {
        PatchPath::UnknownSchema => return Ok(()),
        PatchPath::EnterpriseExtension => return patch_enterprise_extension(document, operation),
        PatchPath::Attribute(path, filter) => Target { path, filter: filter.as_ref() },
    };
    let attribute = target.path.attribute;
    if attribute.mutability == Mutability::ReadOnly {
        return Err(read_only(attribute));
    }
    if operation.is_removal() && attribute.required {
        return Err(scim_error(ScimType::Mutability, format!("{} cannot be removed.", attribute.name)));
    }
    let patch = |attributes: &mut Map<String, Value>| match (attribute.multi_valued, target.path.sub_attribute) {
        (true, _) => patch_multi_valued(attributes, target, operation),
        (false, Some(sub_attribute)) => patch_sub_attribute(attributes, target.path, sub_attribute, operation),
        (false, None) => patch_single_valued(attributes, target.path, operation),
    };
    match target.path.schema {
        UserSchema::Core => patch(&mut document.0),
        UserSchema::Enterprise => edit_object(&mut document.0, ENTERPRISE, patch),
    }
}

/// Changes the extension as a whole. Attributes that the value does not name stay, unless the operation removes the
/// extension.
fn patch_enterprise_extension(document: &mut Document, operation: Operation<'_>) -> Result<(), DomainError> {
    match operation.value {
        Value::Object(named) if operation.is_removal() => {
            edit_object(&mut document.0, ENTERPRISE, |extension| {
                extension.retain(|name, _| member(named, name).is_none());
            });
            return Ok(());
        }
        value if operation.is_removal() || value.is_null() => {
            document.0.remove(ENTERPRISE);
            return Ok(());
        }
        _ => {}
    }
    let mut reader = ValueReader::default();
    let attributes = reader.enterprise_attributes(operation.value);
    edit_object(&mut document.0, ENTERPRISE, |extension| {
        for (attribute, value) in attributes {
            let field = UserSchema::Enterprise.qualified_name(attribute);
            reader.change_attribute(extension, attribute, value, &field);
        }
    });
    reader.finish().map_err(DomainError::Invalid)
}

/// Reads a value of the attribute or sub-attribute at a path; `None` if it is unassigned.
fn read_value(path: &AttributePath, value: &Value) -> Result<Option<Value>, DomainError> {
    let mut reader = ValueReader::default();
    let field = path.schema.qualified_name(path.attribute);
    let value = match path.sub_attribute {
        Some(sub_attribute) => {
            reader.read_single_value(sub_attribute, value, &format!("{field}.{}", sub_attribute.name))
        }
        None => reader.read_value(path.attribute, value, &field),
    };
    reader.finish().map_err(DomainError::Invalid)?;
    Ok(value)
}

/// Changes a sub-attribute of a single-valued attribute.
fn patch_sub_attribute(
    attributes: &mut Map<String, Value>,
    path: &AttributePath,
    sub_attribute: &Attribute,
    operation: Operation<'_>,
) -> Result<(), DomainError> {
    let value = if operation.is_removal() { None } else { read_value(path, operation.value)? };
    edit_object(attributes, path.attribute.name, |object| set_or_remove(object, sub_attribute.name, value));
    Ok(())
}

/// Changes a single-valued attribute.
fn patch_single_valued(
    attributes: &mut Map<String, Value>,
    path: &AttributePath,
    operation: Operation<'_>,
) -> Result<(), DomainError> {
    let attribute = path.attribute;
    if !operation.is_removal() {
        let mut reader = ValueReader::default();
        reader.change_attribute(attributes, attribute, operation.value, &path.schema.qualified_name(attribute));
        return reader.finish().map_err(DomainError::Invalid);
    }
    match (attributes.get_mut(attribute.name), operation.value) {
        // Only the named sub-attributes are removed; naming `value` removes the whole attribute.
        (Some(Value::Object(sub_attributes)), Value::Object(named)) if member(named, "value").is_none() => {
            sub_attributes.retain(|name, _| member(named, name).is_none());
        }
        _ => drop(attributes.remove(attribute.name)),
    }
    Ok(())
}

/// Changes a multi-valued attribute, some of its values, or a sub-attribute of these.
fn patch_multi_valued(
    attributes: &mut Map<String, Value>,
    target: Target<'_>,
    operation: Operation<'_>,
) -> Result<(), DomainError> {
    let name = target.path.attribute.name;
    let before = match attributes.remove(name) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    let mut values = before.clone();
    let is_filtered_sub_attribute = target.filter.is_some() && target.path.sub_attribute.is_some();
    if operation.is_removal() && names_values(operation.value) && !is_filtered_sub_attribute {
        remove_named_values(&mut values, target, operation.value);
    } else if target.is_whole_attribute() {
        patch_all_values(&mut values, target.path, operation)?;
    } else {
        patch_matching_values(&mut values, target, operation)?;
    }
    if operation.op != OperationType::Replace || !target.is_whole_attribute() {
        demote_former_primary(&before, &mut values);
    }
    values.retain(|value| value.as_object().is_none_or(|sub_attributes| !sub_attributes.is_empty()));
    set_or_remove(attributes, name, (!values.is_empty()).then_some(Value::Array(values)));
    Ok(())
}

/// Adds to the values of an attribute, replaces all of them, or removes them.
fn patch_all_values(
    values: &mut Vec<Value>,
    path: &AttributePath,
    operation: Operation<'_>,
) -> Result<(), DomainError> {
    if operation.is_removal() {
        values.clear();
        return Ok(());
    }
    let new = match read_value(path, operation.value)? {
        Some(Value::Array(new)) => new,
        _ => Vec::new(),
    };
    if operation.op == OperationType::Add {
        for value in new {
            if !values.contains(&value) {
                values.push(value);
            }
        }
    } else if !(new.is_empty() && operation.value.is_object()) {
        // A single object without any value removes nothing.
        *values = new;
    }
    Ok(())
}

/// True if the value of a removal names values in addition to the path, as some providers send it.
fn names_values(value: &Value) -> bool {
    !value.is_null() && value != ""
}

/// Removes the values that a removal names in addition to its path; none if no value matches. If the path leads to a
/// sub-attribute, removes that from the values in which it matches.
fn remove_named_values(values: &mut Vec<Value>, target: Target<'_>, named: &Value) {
    let is_removed = |value: &Value| target.matches(value) && is_named(target.path, value, named);
    let Some(sub_attribute) = target.path.sub_attribute else {
        return values.retain(|value| !is_removed(value));
    };
    for value in values.iter_mut().filter(|value| is_removed(value)) {
        if let Some(sub_attributes) = value.as_object_mut() {
            sub_attributes.remove(sub_attribute.name);
        }
    }
}

/// True if a removal names this value: with the same `value`, and the same `type` if both have one; or, if it names no
/// `value`, with the same of every sub-attribute that it names.
fn is_named(path: &AttributePath, value: &Value, named: &Value) -> bool {
    let definitions = path.attribute.sub_attributes();
    let is_equal = |definition: &'static Attribute, named: &Value| {
        is_equal_sub_attribute(definition, value.get(definition.name), named)
    };
    match (named, path.sub_attribute.or_else(|| find_attribute(definitions, "value"))) {
        (Value::Array(items), _) => items.iter().any(|item| is_named(path, value, item)),
        (Value::Object(named), _) => {
            let known = named.iter().filter_map(|(name, value)| Some((find_attribute(definitions, name)?, value)));
            let named: Vec<(&'static Attribute, &Value)> = known.filter(|(_, value)| names_values(value)).collect();
            let find = |name: &str| named.iter().find(|(definition, _)| definition.name == name);
            match find("value") {
                Some((definition, named_value)) => {
                    let named_type = find("type").filter(|_| value.get("type").is_some());
                    is_equal(definition, named_value)
                        && named_type.is_none_or(|(definition, named_type)| is_equal(definition, named_type))
                }
                None => !named.is_empty() && named.iter().all(|(definition, named)| is_equal(definition, named)),
            }
        }
        (named, Some(definition)) => is_equal(definition, named),
        (_, None) => false,
    }
}

/// True if a sub-attribute has the named value. An absent boolean equals false.
fn is_equal_sub_attribute(definition: &Attribute, value: Option<&Value>, named: &Value) -> bool {
    let to_boolean = |value: &Value| value.as_bool().or_else(|| parse_boolean(value.as_str()?));
    match (value, named) {
        (Some(Value::String(value)), Value::String(named)) => {
            comparison_key(definition, value.trim()) == comparison_key(definition, named.trim())
        }
        (value, named) if matches!(definition.data_type, DataType::Boolean) => {
            value.and_then(to_boolean).unwrap_or(false) == to_boolean(named).unwrap_or(false)
        }
        (value, named) => value == Some(named),
    }
}

/// Changes or removes the values that match the target's filter, or a sub-attribute of them.
fn patch_matching_values(
    values: &mut Vec<Value>,
    target: Target<'_>,
    operation: Operation<'_>,
) -> Result<(), DomainError> {
    if operation.is_removal() && target.path.sub_attribute.is_none() {
        values.retain(|value| !target.matches(value));
        return Ok(());
    }
    let mut matching: Vec<usize> = (0..values.len()).filter(|index| target.matches(&values[*index])).collect();
    let new_value = match operation.op {
        _ if !matching.is_empty() => None,
        // The sub-attribute is already removed (RFC 7644, 3.5.2.2 requires no error); other operations still apply.
        OperationType::Remove => return Ok(()),
        OperationType::Replace => return Err(no_matching_value()),
        OperationType::Add => Some(new_matching_value(target)?),
    };
    let change = if operation.is_removal() { None } else { read_matching_value(target.path, operation.value)? };
    if let Some(new_value) = new_value.filter(|_| change.as_ref().is_some_and(assigns_value)) {
        values.push(Value::Object(new_value));
        matching.push(values.len() - 1);
    }
    for index in matching {
        let Some(sub_attributes) = values[index].as_object_mut() else { continue };
        match (target.path.sub_attribute, &change) {
            (Some(sub_attribute), change) => set_or_remove(sub_attributes, sub_attribute.name, change.clone()),
            (None, Some(value @ Value::Object(changes))) => {
                if operation.op == OperationType::Replace && assigns_value(value) {
                    sub_attributes.clear();
                }
                merge_sub_attributes(sub_attributes, changes.clone());
            }
            (None, _) => sub_attributes.clear(),
        }
    }
    Ok(())
}

/// The value to which an addition applies if no value matches: one that the filter matches.
fn new_matching_value(target: Target<'_>) -> Result<Map<String, Value>, DomainError> {
    match target.filter {
        None => Ok(Map::new()),
        Some(filter) => filter.matching_value().ok_or_else(no_matching_value),
    }
}

/// False for an object in which every sub-attribute is null, or that has none.
fn assigns_value(value: &Value) -> bool {
    value.as_object().is_none_or(|sub_attributes| sub_attributes.values().any(|value| !value.is_null()))
}

/// Reads the change of one value of a multi-valued attribute, or of a sub-attribute of it; `None` if it is to be
/// removed. In an object, null marks the sub-attributes to remove.
fn read_matching_value(path: &AttributePath, value: &Value) -> Result<Option<Value>, DomainError> {
    if path.sub_attribute.is_some() {
        return read_value(path, value);
    }
    let value = match value {
        Value::Array(values) if values.len() == 1 => &values[0],
        other => other,
    };
    let mut reader = ValueReader::default();
    let field = path.schema.qualified_name(path.attribute);
    let change = match (path.attribute.data_type, value) {
        (DataType::Complex(definitions), Value::Object(value)) => {
            Some(Value::Object(reader.read_sub_attributes(definitions, value, &field)))
        }
        _ => reader.read_single_value(path.attribute, value, &field),
    };
    reader.finish().map_err(DomainError::Invalid)?;
    Ok(change)
}

/// If one value has become primary, the former primary value no longer is (RFC 7644, 3.5.2).
fn demote_former_primary(before: &[Value], after: &mut [Value]) {
    let has_become_primary = |index: &usize| is_primary(&after[*index]) && !before.get(*index).is_some_and(is_primary);
    let new: Vec<usize> = (0..after.len()).filter(has_become_primary).collect();
    let [new_primary] = new[..] else { return };
    for (index, value) in after.iter_mut().enumerate() {
        if index != new_primary && is_primary(value) {
            value["primary"] = json!(false);
        }
    }
}
