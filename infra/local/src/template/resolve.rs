//! CloudFormation's intrinsic functions, resolved for one machine: parameters have values, conditions are true
//! or false, and every resource has the name and ARN that it would get.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{StackLocation, TemplateError, template_error};

/// Resolves the values of a template.
pub(super) struct Resolver<'a> {
    location: &'a StackLocation,
    parameters: BTreeMap<String, Value>,
    conditions: &'a Map<String, Value>,
    resources: &'a Map<String, Value>,
}

static NOTHING: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

impl<'a> Resolver<'a> {
    /// A resolver for `template` with these parameters, or else their defaults.
    pub(super) fn new(
        template: &'a Value,
        location: &'a StackLocation,
        given: &BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        let section = |name: &str| template[name].as_object().unwrap_or(&NOTHING);
        Ok(Self {
            location,
            parameters: parameters(section("Parameters"), given)?,
            conditions: section("Conditions"),
            resources: section("Resources"),
        })
    }

    /// The resolved value. `AWS::NoValue` is left out of its list or mapping.
    pub(super) fn value(&self, value: &Value) -> Result<Value, TemplateError> {
        self.maybe(value)?.ok_or_else(|| template_error("AWS::NoValue, but a value is needed"))
    }

    /// As [`Self::value`], for values that must be text.
    pub(super) fn text(&self, value: &Value) -> Result<String, TemplateError> {
        match self.value(value)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(truth) => Ok(truth.to_string()),
            other => Err(template_error(format!("{other} but must be text"))),
        }
    }

    fn maybe(&self, value: &Value) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Object(entries) => match function(entries) {
                Some((name, argument)) => self.call(name, argument),
                None => self.mapping(entries).map(Some),
            },
            Value::Array(items) => self.list(items).map(Some),
            plain => Ok(Some(plain.clone())),
        }
    }

    fn mapping(&self, entries: &Map<String, Value>) -> Result<Value, TemplateError> {
        let mut resolved = Map::new();
        for (key, entry) in entries {
            if let Some(entry) = self.maybe(entry)? {
                resolved.insert(key.clone(), entry);
            }
        }
        Ok(Value::Object(resolved))
    }

    fn list(&self, items: &[Value]) -> Result<Value, TemplateError> {
        let resolved: Result<Vec<_>, _> = items.iter().map(|item| self.maybe(item)).collect();
        Ok(Value::Array(resolved?.into_iter().flatten().collect()))
    }

    fn call(&self, name: &str, argument: &Value) -> Result<Option<Value>, TemplateError> {
        match (name, argument) {
            ("Ref", Value::String(of)) if of == "AWS::NoValue" => Ok(None),
            ("Ref", Value::String(of)) => self.reference(of).map(Some),
            ("Condition", Value::String(of)) => self.condition(of).map(|truth| Some(Value::Bool(truth))),
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(of), Value::String(attribute)] => {
                    self.attribute(of, attribute).map(|text| Some(Value::String(text)))
                }
                _ => Err(misused(name, argument)),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text, &NOTHING).map(Some),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(own)] => self.substitute(text, own).map(Some),
                _ => Err(misused(name, argument)),
            },
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(of), then, otherwise] => self.maybe(if self.condition(of)? { then } else { otherwise }),
                _ => Err(misused(name, argument)),
            },
            ("Fn::Equals", Value::Array(parts)) => match parts.as_slice() {
                [left, right] => Ok(Some(Value::Bool(self.text(left)? == self.text(right)?))),
                _ => Err(misused(name, argument)),
            },
            ("Fn::Not" | "Fn::Or" | "Fn::And", Value::Array(parts)) => self.logic(name, parts).map(Some),
            ("Fn::Join", Value::Array(parts)) => self.join(parts).map(Some),
            ("Fn::Split", Value::Array(parts)) => self.split(parts).map(Some),
            ("Fn::Select", Value::Array(parts)) => self.select(parts).map(Some),
            _ => Err(misused(name, argument)),
        }
    }

    fn reference(&self, of: &str) -> Result<Value, TemplateError> {
        if let Some(value) = self.parameters.get(of) {
            return Ok(value.clone());
        }
        if let Some(text) = self.pseudo_parameter(of) {
            return Ok(Value::String(text.to_owned()));
        }
        let kind = self.kind(of)?;
        let text = match kind {
            "AWS::DynamoDB::Table" | "AWS::Logs::LogGroup" | "AWS::SES::ConfigurationSet" => self.name(of)?,
            "AWS::SNS::Topic" | "AWS::IAM::ManagedPolicy" => self.arn(of)?,
            "AWS::SQS::Queue" => {
                format!("https://sqs.{}/{}/{}", self.location.region, self.location.account, self.name(of)?)
            }
            "AWS::Serverless::Function" => self.name(of)?,
            "AWS::Serverless::HttpApi" => "local".to_owned(),
            other => return Err(template_error(format!("!Ref {of}: references to {other} are not supported"))),
        };
        Ok(Value::String(text))
    }

    fn attribute(&self, of: &str, attribute: &str) -> Result<String, TemplateError> {
        match (self.kind(of)?, attribute) {
            ("AWS::Logs::LogGroup", "Arn") => Ok(format!("{}:*", self.arn(of)?)),
            (_, "Arn") => self.arn(of),
            ("AWS::DynamoDB::Table", "StreamArn") => Ok(format!("{}/stream/local", self.arn(of)?)),
            ("AWS::SQS::Queue", "QueueName") => self.name(of),
            ("AWS::Serverless::HttpApi", "ApiEndpoint") => {
                Ok(format!("https://local.execute-api.{}.amazonaws.com", self.location.region))
            }
            (kind, _) => Err(template_error(format!("!GetAtt {of}.{attribute}: not supported for {kind}"))),
        }
    }

    fn arn(&self, of: &str) -> Result<String, TemplateError> {
        let (service, resource) = match self.kind(of)? {
            "AWS::DynamoDB::Table" => ("dynamodb", format!("table/{}", self.name(of)?)),
            "AWS::SNS::Topic" => ("sns", self.name(of)?),
            "AWS::SQS::Queue" => ("sqs", self.name(of)?),
            "AWS::Logs::LogGroup" => ("logs", format!("log-group:{}", self.name(of)?)),
            "AWS::Serverless::Function" => ("lambda", format!("function:{}", self.name(of)?)),
            "AWS::IAM::Role" => ("iam", format!("role/{of}")),
            "AWS::IAM::ManagedPolicy" => ("iam", format!("policy/{of}")),
            other => return Err(template_error(format!("{of}: the ARN of {other} is not supported"))),
        };
        Ok(self.location.arn(service, &resource))
    }

    /// A resource's own name: as given in the template, or made from the stack's name.
    fn name(&self, of: &str) -> Result<String, TemplateError> {
        let properties = &self.resources[of]["Properties"];
        let given = ["TableName", "TopicName", "QueueName", "LogGroupName", "FunctionName", "Name"]
            .iter()
            .find_map(|key| properties.get(*key));
        match given {
            Some(name) => self.text(name),
            None => Ok(format!("{}-{of}", self.location.stack)),
        }
    }

    fn kind(&self, of: &str) -> Result<&'a str, TemplateError> {
        self.resources
            .get(of)
            .and_then(|resource| resource["Type"].as_str())
            .ok_or_else(|| template_error(format!("{of} is neither a parameter nor a resource of the template")))
    }

    fn pseudo_parameter(&self, of: &str) -> Option<&str> {
        match of {
            "AWS::Partition" => Some("aws"),
            "AWS::Region" => Some(&self.location.region),
            "AWS::AccountId" => Some(&self.location.account),
            "AWS::StackName" => Some(&self.location.stack),
            // On this machine the name is enough.
            "AWS::StackId" => Some(&self.location.stack),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        }
    }

    pub(super) fn condition(&self, of: &str) -> Result<bool, TemplateError> {
        let condition = self.conditions.get(of).ok_or_else(|| template_error(format!("unknown condition {of}")))?;
        self.truth(condition)
    }

    fn truth(&self, value: &Value) -> Result<bool, TemplateError> {
        self.value(value)?.as_bool().ok_or_else(|| template_error(format!("{value} is neither true nor false")))
    }

    fn logic(&self, name: &str, parts: &[Value]) -> Result<Value, TemplateError> {
        let truths: Vec<bool> = parts.iter().map(|part| self.truth(part)).collect::<Result<_, _>>()?;
        Ok(Value::Bool(match name {
            "Fn::Not" => !truths.iter().any(|truth| *truth),
            "Fn::Or" => truths.iter().any(|truth| *truth),
            _ => truths.iter().all(|truth| *truth),
        }))
    }

    fn join(&self, parts: &[Value]) -> Result<Value, TemplateError> {
        let [separator, items] = parts else { return Err(misused("Fn::Join", &Value::from(parts))) };
        let items = self.value(items)?;
        let items = items.as_array().ok_or_else(|| misused("Fn::Join", &items))?;
        let texts: Vec<String> = items.iter().map(|item| self.text(item)).collect::<Result<_, _>>()?;
        Ok(Value::String(texts.join(&self.text(separator)?)))
    }

    fn split(&self, parts: &[Value]) -> Result<Value, TemplateError> {
        let [separator, text] = parts else { return Err(misused("Fn::Split", &Value::from(parts))) };
        let (separator, text) = (self.text(separator)?, self.text(text)?);
        Ok(text.split(separator.as_str()).map(Value::from).collect())
    }

    fn select(&self, parts: &[Value]) -> Result<Value, TemplateError> {
        let [index, items] = parts else { return Err(misused("Fn::Select", &Value::from(parts))) };
        let items = self.value(items)?;
        self.text(index)?
            .parse::<usize>()
            .ok()
            .and_then(|index| items.get(index))
            .cloned()
            .ok_or_else(|| misused("Fn::Select", &Value::from(parts)))
    }

    /// Replaces each `${Name}` and `${Name.Attribute}`; `own` are the variables of the function itself.
    fn substitute(&self, text: &str, own: &Map<String, Value>) -> Result<Value, TemplateError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| template_error(format!("an unclosed ${{ in {text:?}")))?;
            out.push_str(before);
            out.push_str(&match (own.get(name), name.split_once('.')) {
                (Some(value), _) => self.text(value)?,
                (None, Some((of, attribute))) => self.attribute(of, attribute)?,
                (None, None) => self.text(&self.reference(name)?)?,
            });
            rest = after;
        }
        out.push_str(rest);
        Ok(Value::String(out))
    }
}

/// The only entry of a mapping that is an intrinsic function.
fn function(entries: &Map<String, Value>) -> Option<(&str, &Value)> {
    match entries.iter().next() {
        Some((name, argument)) if entries.len() == 1 => {
            (name == "Ref" || name == "Condition" && argument.is_string() || name.starts_with("Fn::"))
                .then_some((name.as_str(), argument))
        }
        _ => None,
    }
}

fn misused(name: &str, argument: &Value) -> TemplateError {
    template_error(format!("{name} with {argument} is not supported"))
}

fn parameters(
    declared: &Map<String, Value>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, TemplateError> {
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(template_error(format!("the template has no parameter {unknown}")));
    }
    declared
        .iter()
        .map(|(name, declaration)| {
            let value = given
                .get(name)
                .map(|text| Value::from(text.as_str()))
                .or_else(|| declaration.get("Default").cloned())
                .ok_or_else(|| template_error(format!("the parameter {name} has no value")))?;
            Ok((name.clone(), parameter(name, declaration, value)?))
        })
        .collect()
}

fn parameter(name: &str, declaration: &Value, value: Value) -> Result<Value, TemplateError> {
    match declaration["Type"].as_str() {
        Some("String" | "Number") => Ok(value),
        Some("CommaDelimitedList") => {
            let text = value.as_str().unwrap_or_default();
            Ok(text.split(',').map(|item| Value::from(item.trim())).collect())
        }
        other => Err(template_error(format!("the parameter {name} is of the unsupported type {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(value: &str) -> Result<Value, TemplateError> {
        let template = super::super::yaml::read(
            "Parameters:\n  Ios: {Type: String, Default: ''}\n  Android: {Type: String}\n  Prints: {Type: CommaDelimitedList, Default: 'a, b'}\n\
             Conditions:\n  IosOn: !Not [!Equals [!Ref Ios, '']]\n  AndroidOn: !Not [!Equals [!Ref Android, '']]\n  Any: !Or [!Condition IosOn, !Condition AndroidOn]\n\
             Resources:\n  T: {Type: AWS::DynamoDB::Table, Properties: {TableName: !Sub '${AWS::StackName}-t'}}\n  Q: {Type: AWS::SQS::Queue}\n",
        )
        .unwrap();
        let location = StackLocation::default();
        let given = BTreeMap::from([("Android".to_owned(), "arn:aws:sns:r:1:app/GCM/app".to_owned())]);
        let resolver = Resolver::new(&template, &location, &given)?;
        resolver.value(&super::super::yaml::read(value).unwrap())
    }

    #[test]
    fn functions_are_worked_out() {
        assert_eq!(resolved("!Ref T").unwrap(), json!("handset-t"));
        assert_eq!(
            resolved("!Sub '${T.Arn}/index/x'").unwrap(),
            json!("arn:aws:dynamodb:us-east-1:000000000000:table/handset-t/index/x")
        );
        assert_eq!(resolved("!GetAtt Q.QueueName").unwrap(), json!("handset-Q"));
        assert_eq!(resolved("!Join [',', !Ref Prints]").unwrap(), json!("a,b"));
        assert_eq!(resolved("!Select [1, !Split ['@', 'a@b']]").unwrap(), json!("b"));
        assert_eq!(resolved("!Sub ['x${D}', {D: !Ref AWS::Region}]").unwrap(), json!("xus-east-1"));
    }

    #[test]
    fn endpoints_are_derived_from_the_application() {
        let endpoint = "!Join ['', [!Join [':endpoint/', !Split [':app/', !Ref Android]], '/*']]";
        assert_eq!(resolved(endpoint).unwrap(), json!("arn:aws:sns:r:1:endpoint/GCM/app/*"));
    }

    #[test]
    fn what_has_no_value_is_left_out() {
        let list = "[!If [IosOn, 1, !Ref AWS::NoValue], !If [Any, {a: !If [IosOn, 1, !Ref AWS::NoValue], b: 2}, 3]]";
        assert_eq!(resolved(list).unwrap(), json!([{"b": 2}]));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (value, name) in
            [("!Ref Nobody", "Nobody"), ("!GetAtt T.Colour", "Colour"), ("!If [Perhaps, 1, 2]", "Perhaps")]
        {
            let error = resolved(value).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
