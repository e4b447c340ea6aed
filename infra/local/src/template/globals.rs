//! Function properties as SAM completes them: properties that a function lacks come from `Globals`.

use serde_json::{Map, Value};

use super::{TemplateError, mapping, require_known, template_error, texts};

/// Properties without a meaning on one machine.
const IGNORED: &[&str] = &["Runtime", "Architectures", "CodeUri", "Tracing", "LoggingConfig"];
const MERGED: &[&str] = &["MemorySize", "Timeout", "PermissionsBoundary", "Environment"];

/// The section `Globals` for functions.
pub(super) struct Globals<'a>(Option<&'a Map<String, Value>>);

impl<'a> Globals<'a> {
    /// Reads the section `Globals`.
    pub(super) fn read(section: &'a Value) -> Result<Self, TemplateError> {
        let Some(section) = section.as_object() else { return Ok(Self(None)) };
        require_known(section, &["Function"])?;
        let function = section.get("Function").and_then(Value::as_object);
        if let Some(function) = function {
            require_known(function, &[IGNORED, MERGED].concat())?;
        }
        Ok(Self(function))
    }

    /// A function's properties with those of `Globals`. Mappings are merged by name, the function's own entries
    /// first; properties in its `IgnoreGlobals` are not added.
    pub(super) fn complete(&self, function: &Value) -> Result<Value, TemplateError> {
        let ignored = function.get("IgnoreGlobals").map_or_else(|| Ok(Vec::new()), texts)?;
        if let Some(unknown) = ignored.iter().find(|name| !MERGED.contains(&name.as_str())) {
            return Err(template_error(format!("IgnoreGlobals: {unknown} is not supported")));
        }
        let mut properties = mapping(&function["Properties"], "Properties")?.clone();
        for (name, global) in self.0.into_iter().flatten() {
            if MERGED.contains(&name.as_str()) && !ignored.contains(name) {
                let own = properties.remove(name);
                properties.insert(name.clone(), merged(own, global));
            }
        }
        Ok(Value::Object(properties))
    }
}

fn merged(own: Option<Value>, global: &Value) -> Value {
    match (own, global) {
        (None, global) => global.clone(),
        (Some(Value::Object(mut own)), Value::Object(global)) => {
            for (name, value) in global {
                let of_own = own.remove(name);
                own.insert(name.clone(), merged(of_own, value));
            }
            Value::Object(own)
        }
        (Some(own), _) => own,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_function_says_what_differs_and_may_ignore_what_is_said_for_all() {
        let section = json!({ "Function": {
            "Runtime": "r", "Timeout": 15, "Environment": { "Variables": { "TABLE": { "Ref": "T" }, "ISSUER": "i" } },
        }});
        let globals = Globals::read(&section).unwrap();
        let complete = |function: Value| globals.complete(&function);
        assert_eq!(
            complete(json!({ "Properties": { "Environment": { "Variables": { "TABLE": "own", "MORE": "m" } } } }))
                .unwrap(),
            json!({ "Timeout": 15, "Environment": { "Variables": { "TABLE": "own", "ISSUER": "i", "MORE": "m" } } })
        );
        assert_eq!(
            complete(json!({ "IgnoreGlobals": ["Environment"], "Properties": { "Timeout": 3 } })).unwrap(),
            json!({ "Timeout": 3 })
        );
        let refused = complete(json!({ "IgnoreGlobals": ["Tracing"], "Properties": {} })).unwrap_err();
        assert!(refused.to_string().contains("Tracing"), "{refused}");
    }
}
