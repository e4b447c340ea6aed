//! A function's permissions. SAM builds its role from the function's `Policies`, adds the permission for its
//! dead-letter queue and AWS's policies for logs and traces, and limits all of it by the permissions boundary.

use serde_json::{Map, Value};

use super::{Resolver, Statement, TemplateError, list, mapping, require_known, template_error, text, texts};
use crate::permissions::matches_wildcard;

/// The permissions that SAM gives every role on any resource: AWS's policies `AWSLambdaBasicExecutionRole` and
/// `AWSXrayWriteOnlyAccess`, which is `AWSXRayDaemonWriteAccess` outside the partition `aws`.
const BASE_ACTIONS: &[&str] = &[
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:GetSamplingStatisticSummaries",
];

/// The effective permissions of a function with these properties.
///
/// # Errors
/// What is not supported, and a statement of the function that exceeds the boundary: AWS would cut it silently,
/// so it must not be in the template.
pub(super) fn effective(
    properties: &Value,
    all: &Map<String, Value>,
    resolver: &Resolver<'_>,
) -> Result<Vec<Statement>, TemplateError> {
    let boundary = boundary(properties, all, resolver)?;
    let mut own = Vec::new();
    match &properties["Policies"] {
        Value::Null => {}
        Value::Array(policies) => policies.iter().try_for_each(|policy| read_policy(policy, &mut own))?,
        policy => read_policy(policy, &mut own)?,
    }
    if let Some(queue) = properties.get("DeadLetterQueue") {
        let (actions, resources) = (vec!["sqs:SendMessage".to_owned()], vec![text(queue, "TargetArn")?]);
        own.push(Statement { actions, resources, ..Statement::default() });
    }
    if let Some(beyond) = own.iter().find(|statement| !is_within(statement, &boundary)) {
        let Statement { actions, resources, not_resources, .. } = beyond;
        return Err(template_error(format!(
            "{actions:?} on {resources:?}{not_resources:?} is beyond the permissions boundary"
        )));
    }
    own.extend(boundary.iter().filter_map(base_within_boundary));
    Ok(own)
}

/// Without a boundary a role could have more permissions than the template shows.
fn boundary(
    properties: &Value,
    all: &Map<String, Value>,
    resolver: &Resolver<'_>,
) -> Result<Vec<Statement>, TemplateError> {
    let arn = text(properties, "PermissionsBoundary")?;
    let policy = arn
        .split_once(":policy/")
        .and_then(|(_, name)| all.get(name))
        .ok_or_else(|| template_error(format!("{arn} is not in the template")))?;
    let mut read = Vec::new();
    read_policy(&resolver.value(&policy["Properties"]["PolicyDocument"])?, &mut read)?;
    if read.iter().any(|statement| !statement.partitions.is_empty() || !statement.senders.is_empty()) {
        return Err(template_error("a condition in a permissions boundary is not supported"));
    }
    Ok(read)
}

/// True if everything that a statement allows is within the boundary.
fn is_within(own: &Statement, boundary: &[Statement]) -> bool {
    own.actions.iter().all(|action| {
        let mut of_action = boundary.iter().filter(|statement| statement.actions.contains(action));
        if own.not_resources.is_empty() {
            let of_action: Vec<&String> = of_action.flat_map(|statement| &statement.resources).collect();
            own.resources.iter().all(|resource| of_action.iter().any(|pattern| matches_wildcard(pattern, resource)))
        } else {
            of_action.any(|statement| statement.not_resources == own.not_resources)
        }
    })
}

fn base_within_boundary(boundary: &Statement) -> Option<Statement> {
    let given = boundary.actions.iter().filter(|action| BASE_ACTIONS.contains(&action.as_str()));
    let actions: Vec<String> = given.cloned().collect();
    (!actions.is_empty()).then(|| Statement { actions, ..boundary.clone() })
}

fn read_policy(document: &Value, into: &mut Vec<Statement>) -> Result<(), TemplateError> {
    require_known(mapping(document, "an inline policy")?, &["Version", "Statement"])?;
    for statement in list(&document["Statement"]) {
        let entries = mapping(statement, "Statement")?;
        require_known(entries, &["Sid", "Effect", "Action", "Resource", "NotResource", "Condition"])?;
        if statement["Effect"] != "Allow" {
            return Err(template_error("a statement whose Effect is not Allow"));
        }
        let patterns = |name: &str| entries.get(name).map_or_else(|| Ok(Vec::new()), texts);
        let (resources, not_resources) = (patterns("Resource")?, patterns("NotResource")?);
        if resources.is_empty() == not_resources.is_empty() {
            return Err(template_error("a statement has either Resource or NotResource"));
        }
        let (partitions, senders) = entries.get("Condition").map_or_else(|| Ok((Vec::new(), Vec::new())), condition)?;
        into.push(Statement { actions: texts(&statement["Action"])?, resources, not_resources, partitions, senders });
    }
    Ok(())
}

/// The supported conditions: on partition keys, and on the sender address.
fn condition(condition: &Value) -> Result<(Vec<String>, Vec<String>), TemplateError> {
    let known_keys = [("ForAllValues:StringLike", "dynamodb:LeadingKeys"), ("StringEquals", "ses:FromAddress")];
    require_known(mapping(condition, "Condition")?, &known_keys.map(|(operator, _)| operator))?;
    let [partitions, senders] = known_keys.map(|(operator, key)| match condition.get(operator) {
        Some(keys) => require_known(mapping(keys, operator)?, &[key]).and_then(|()| texts(&keys[key])),
        None => Ok(Vec::new()),
    });
    Ok((partitions?, senders?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{StackLocation, Template};
    use super::*;

    /// A function with one statement, and a boundary that allows reading a table and writing logs.
    fn read(statement: &str) -> Result<Vec<Statement>, TemplateError> {
        let text = format!(
            "Globals: {{ Function: {{ Timeout: 3, PermissionsBoundary: !Ref Most }} }}\n\
             Resources:\n  \
               T: {{ Type: AWS::DynamoDB::Table, Properties: {{ TableName: t }} }}\n  \
               Dead: {{ Type: AWS::SQS::Queue, Properties: {{ QueueName: dead, MessageRetentionPeriod: 60 }} }}\n  \
               Most:\n    Type: AWS::IAM::ManagedPolicy\n    Properties:\n      PolicyDocument:\n        Statement:\n          \
                 - {{ Effect: Allow, Action: [logs:PutLogEvents, logs:GetLogEvents], Resource: lines }}\n          \
                 - {{ Effect: Allow, Action: [dynamodb:GetItem], Resource: [!GetAtt T.Arn, !Sub '${{T.Arn}}/index/*'] }}\n          \
                 - {{ Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt Dead.Arn }}\n          \
                 - {{ Effect: Allow, Action: sns:Publish, NotResource: 'arn:aws:sns:*' }}\n  \
               F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: f\n      \
                 DeadLetterQueue: {{ Type: SQS, TargetArn: !GetAtt Dead.Arn }}\n      \
                 Policies: {{ Statement: [{statement}] }}\n"
        );
        let template = Template::read(&text, &StackLocation::default(), &BTreeMap::new())?;
        Ok(template.functions[0].statements.clone())
    }

    fn statement(action: &str, resource: &str) -> Statement {
        Statement { actions: vec![action.to_owned()], resources: vec![resource.to_owned()], ..Statement::default() }
    }

    #[test]
    fn a_role_holds_its_own_statements_and_what_the_boundary_leaves_of_what_sam_adds() {
        let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/t";
        assert_eq!(
            read("{ Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt T.Arn }").unwrap(),
            [
                statement("dynamodb:GetItem", arn),
                statement("sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:dead"),
                statement("logs:PutLogEvents", "lines"),
            ]
        );
        let of_index = read("{ Effect: Allow, Action: dynamodb:GetItem, Resource: !Sub '${T.Arn}/index/x' }").unwrap();
        assert_eq!(of_index[0], statement("dynamodb:GetItem", &format!("{arn}/index/x")));
        assert!(read("{ Effect: Allow, Action: sns:Publish, NotResource: 'arn:aws:sns:*' }").is_ok());
    }

    #[test]
    fn a_statement_beyond_the_boundary_is_named() {
        for (beyond, named) in [
            ("{ Effect: Allow, Action: dynamodb:PutItem, Resource: !GetAtt T.Arn }", "dynamodb:PutItem"),
            ("{ Effect: Allow, Action: [dynamodb:GetItem], Resource: [!GetAtt T.Arn, '*'] }", "*"),
            ("{ Effect: Allow, Action: dynamodb:GetItem, Resource: !Sub '${T.Arn}/stream/x' }", "stream/x"),
            ("{ Effect: Allow, Action: sns:Publish, NotResource: 'arn:aws:sns:*:1:*' }", "sns:Publish"),
            ("{ Effect: Allow, Action: sns:Publish, Resource: '*' }", "sns:Publish"),
        ] {
            let error = read(beyond).unwrap_err().to_string();
            assert!(error.contains("beyond the permissions boundary") && error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_function_without_a_boundary_is_refused() {
        let text = "Resources:\n  F: {Type: AWS::Serverless::Function, Properties: {Handler: f, Timeout: 3}}";
        let error = Template::read(text, &StackLocation::default(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("PermissionsBoundary"), "{error}");
    }
}
