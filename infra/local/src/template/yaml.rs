//! The template's text as JSON, with CloudFormation's short forms (`!Ref x`) expanded (`{"Ref": x}`).

use saphyr::{LoadableYamlNode, Scalar, Tag, Yaml};
use serde_json::{Map, Value, json};

use super::{TemplateError, template_error};

/// Reads one YAML document.
pub(super) fn read(text: &str) -> Result<Value, TemplateError> {
    let documents = Yaml::load_from_str(text).map_err(|error| template_error(error.to_string()))?;
    match documents.as_slice() {
        [document] => value(document),
        other => Err(template_error(format!("{} documents, but there must be one", other.len()))),
    }
}

fn value(node: &Yaml<'_>) -> Result<Value, TemplateError> {
    match node {
        Yaml::Value(scalar) => Ok(plain(scalar)),
        Yaml::Sequence(items) => items.iter().map(value).collect::<Result<_, _>>().map(Value::Array),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(key, entry)| Ok((name(key)?, value(entry)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        Yaml::Tagged(tag, node) => written_out(tag, value(node)?),
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => {
            Err(template_error(format!("YAML that CloudFormation does not know: {node:?}")))
        }
    }
}

fn plain(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(truth) => json!(truth),
        Scalar::Integer(number) => json!(number),
        Scalar::FloatingPoint(number) => json!(number.into_inner()),
        Scalar::String(text) => json!(text),
    }
}

fn name(key: &Yaml<'_>) -> Result<String, TemplateError> {
    match value(key)? {
        Value::String(text) => Ok(text),
        other => Err(template_error(format!("a key that is not text: {other}"))),
    }
}

/// `!Ref`, `!Condition` and the supported intrinsic functions.
fn written_out(tag: &Tag, argument: Value) -> Result<Value, TemplateError> {
    match tag.suffix.as_str() {
        "Ref" | "Condition" => Ok(json!({ tag.suffix.as_str(): argument })),
        "GetAtt" => Ok(json!({ "Fn::GetAtt": attribute(argument) })),
        "Sub" | "If" | "Equals" | "Not" | "Or" | "And" | "Join" | "Split" | "Select" => {
            Ok(json!({ format!("Fn::{}", tag.suffix): argument }))
        }
        other => Err(template_error(format!("the function !{other} is not supported"))),
    }
}

/// `Thing.Arn` is `[Thing, Arn]`.
fn attribute(argument: Value) -> Value {
    match argument.as_str().and_then(|text| text.split_once('.')) {
        Some((resource, attribute)) => json!([resource, attribute]),
        None => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_written_out() {
        let read = read("a: !Ref B\nc: [!GetAtt D.Arn, !Sub 'x${E}']\nf: !If [G, {h: 1}, !Ref AWS::NoValue]").unwrap();
        assert_eq!(
            read,
            json!({
                "a": {"Ref": "B"},
                "c": [{"Fn::GetAtt": ["D", "Arn"]}, {"Fn::Sub": "x${E}"}],
                "f": {"Fn::If": ["G", {"h": 1}, {"Ref": "AWS::NoValue"}]},
            })
        );
    }

    #[test]
    fn an_unknown_function_is_named() {
        let error = read("a: !ImportValue b").unwrap_err().to_string();
        assert!(error.contains("!ImportValue"), "{error}");
    }
}
