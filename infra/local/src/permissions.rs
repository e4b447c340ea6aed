//! Enforces the template's permissions: every call of an operation to AWS is checked against its role's
//! statements, so that a missing permission shows on the first local run instead of the first deployment.

use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use serde_json::{Value, json};

use crate::template::{StackLocation, Statement};

/// A permission that a call needs: an action on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Such as `dynamodb:PutItem`.
    pub action: String,
    /// An ARN, or a phone number.
    pub resource: String,
    /// The partition key, if a DynamoDB call names items.
    pub partition: Option<String>,
    /// The sender address of an e-mail.
    pub sender: Option<String>,
}

impl Need {
    fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), partition: None, sender: None }
    }
}

/// Checks that the statements allow everything that is needed.
///
/// # Errors
/// The first need that no statement allows.
pub fn allowed<'a>(statements: &[Statement], needs: &'a [Need]) -> Result<(), &'a Need> {
    let allows = |statement: &Statement, need: &Need| {
        let partition = need.partition.as_deref().unwrap_or_default();
        let comes_from = |sender: &String| need.sender.as_ref() == Some(sender);
        statement.actions.iter().any(|pattern| matches_wildcard(&pattern.to_lowercase(), &need.action.to_lowercase()))
            && statement.covers(|pattern| matches_wildcard(pattern, &need.resource))
            && (statement.partitions.is_empty()
                || statement.partitions.iter().any(|pattern| matches_wildcard(pattern, partition)))
            && (statement.senders.is_empty() || statement.senders.iter().any(comes_from))
    };
    match needs.iter().find(|need| !statements.iter().any(|statement| allows(statement, need))) {
        Some(need) => Err(need),
        None => Ok(()),
    }
}

/// True if a text matches a pattern in which `*` stands for any text and `?` for any character.
pub(crate) fn matches_wildcard(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches_wildcard(rest, &text[at..]))
        }
        Some(first) => {
            let mut characters = text.chars();
            let fitting = characters.next().is_some_and(|character| first == '?' || first == character);
            fitting && matches_wildcard(&pattern[first.len_utf8()..], characters.as_str())
        }
    }
}

/// A call to AWS.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `X-Amz-Target`, the action of a DynamoDB call.
    pub target: Option<&'a str>,
    /// The path.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// The permissions that a call needs.
///
/// # Errors
/// A call that is not supported here.
pub fn needs(call: Call<'_>, location: &StackLocation) -> Result<Vec<Need>, String> {
    match call.target {
        Some(target) => dynamodb(target, call.body, location),
        None if call.path.starts_with("/v2/email/") => ses(call, location),
        None => sns(call.body),
    }
}

fn dynamodb(target: &str, body: &[u8], location: &StackLocation) -> Result<Vec<Need>, String> {
    let operation = target.rsplit('.').next().unwrap_or_default();
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let need = |action: &str, table: &Value| {
        let table = table.as_str().unwrap_or_default();
        let arn = if table.starts_with("arn:") {
            table.to_owned()
        } else {
            location.arn("dynamodb", &format!("table/{table}"))
        };
        Need::new(format!("dynamodb:{action}"), arn)
    };
    let of_item = |action: &str, request: &Value| {
        let key = ["Key", "Item"].iter().find_map(|name| request[name]["pk"]["S"].as_str());
        Need { partition: key.map(str::to_owned), ..need(action, &request["TableName"]) }
    };
    match operation {
        "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" => Ok(vec![of_item(operation, &body)]),
        "DescribeTable" => Ok(vec![need(operation, &body["TableName"])]),
        "Query" | "Scan" => {
            let of_table = need(operation, &body["TableName"]);
            let index = body["IndexName"].as_str().map(|index| format!("/index/{index}"));
            Ok(vec![Need { resource: of_table.resource + &index.unwrap_or_default(), ..of_table }])
        }
        "BatchGetItem" => {
            let of_key = |table: &String, key: &Value| of_item(operation, &json!({"TableName": table, "Key": key}));
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            let keys = tables.flat_map(|(table, read)| {
                read["Keys"].as_array().into_iter().flatten().map(move |key| of_key(table, key))
            });
            Ok(keys.collect())
        }
        "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object();
            Ok(tables.into_iter().flatten().map(|(table, _)| need(operation, &json!(table))).collect())
        }
        "TransactGetItems" => Ok(items(&body).iter().map(|item| of_item("GetItem", &item["Get"])).collect()),
        "TransactWriteItems" => items(&body)
            .iter()
            .map(|item| {
                let (part, request) = item.as_object().and_then(|item| item.iter().next()).ok_or("an empty part")?;
                let action =
                    if part == "ConditionCheck" { "ConditionCheckItem".to_owned() } else { format!("{part}Item") };
                Ok(of_item(&action, request))
            })
            .collect(),
        other => Err(format!("DynamoDB's {other} is not supported")),
    }
}

fn items(body: &Value) -> &[Value] {
    body["TransactItems"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn sns(body: &[u8]) -> Result<Vec<Need>, String> {
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(body);
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let action = field("Action").unwrap_or_default();
    let target = || field("TopicArn").or_else(|| field("TargetArn"));
    let resource = match action.as_str() {
        "Publish" | "PublishBatch" => target().or_else(|| field("PhoneNumber")),
        "CreatePlatformEndpoint" => field("PlatformApplicationArn"),
        // SNS checks these against the endpoint's application.
        "GetEndpointAttributes" | "SetEndpointAttributes" | "DeleteEndpoint" => {
            field("EndpointArn").map(|arn| application_of(&arn))
        }
        _ => None,
    };
    // A batch needs the permission to publish, and has none of its own.
    let right = if action == "PublishBatch" { "Publish" } else { &action };
    let resource = resource.ok_or_else(|| format!("SNS's {action} is not supported"))?;
    Ok(vec![Need::new(format!("sns:{right}"), resource)])
}

/// `…:endpoint/APNS/app/id` belongs to `…:app/APNS/app`.
fn application_of(endpoint: &str) -> String {
    let application = endpoint.replacen(":endpoint/", ":app/", 1);
    application.rsplit_once('/').map_or(application.clone(), |(application, _)| application.to_owned())
}

fn ses(call: Call<'_>, location: &StackLocation) -> Result<Vec<Need>, String> {
    if call.path != "/v2/email/outbound-emails" {
        return Err(format!("SESv2's {} is not supported", call.path));
    }
    let body: Value = serde_json::from_slice(call.body).map_err(|error| error.to_string())?;
    let sender = body["FromEmailAddress"].as_str().unwrap_or_default();
    let address = sender.rsplit_once('<').map_or(sender, |(_, address)| address.trim_end_matches('>'));
    let simple = &body["Content"]["Simple"];
    let whole =
        body["Content"].get("Raw").is_some() || simple["Attachments"].as_array().is_some_and(|all| !all.is_empty());
    let action = if whole { "ses:SendRawEmail" } else { "ses:SendEmail" };
    let identity = location.arn("ses", &format!("identity/{address}"));
    let set = body["ConfigurationSetName"].as_str();
    let set = set.map(|set| location.arn("ses", &format!("configuration-set/{set}")));
    let need = |arn| Need { sender: Some(address.to_owned()), ..Need::new(action, arn) };
    Ok([Some(identity), set].into_iter().flatten().map(need).collect())
}

/// The client, restricted to calls that the operation's role allows.
#[must_use]
pub fn with_permissions(
    client: SharedHttpClient,
    operation: &str,
    statements: &[Statement],
    location: &StackLocation,
) -> SharedHttpClient {
    let rights =
        Rights { operation: operation.to_owned(), statements: statements.to_vec(), location: location.clone() };
    SharedHttpClient::new(Enforcing { client, rights })
}

#[derive(Clone, Debug)]
struct Rights {
    operation: String,
    statements: Vec<Statement>,
    location: StackLocation,
}

#[derive(Debug)]
struct Enforcing<C> {
    client: C,
    rights: Rights,
}

impl HttpClient for Enforcing<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let client = self.client.http_connector(settings, components);
        SharedHttpConnector::new(Enforcing { client, rights: self.rights.clone() })
    }
}

impl HttpConnector for Enforcing<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.rights.check(&request) {
            Ok(()) => self.client.call(request),
            Err(error) => {
                eprintln!("{}: {error}", self.rights.operation);
                HttpConnectorFuture::ready(Ok(error.response(request.headers().get("x-amz-target").is_some())))
            }
        }
    }
}

impl Rights {
    fn check(&self, request: &HttpRequest) -> Result<(), Refusal> {
        let path = request.uri();
        let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        let call = Call {
            target: request.headers().get("x-amz-target"),
            path: path.split('?').next().unwrap_or_default(),
            body: request.body().bytes().unwrap_or_default(),
        };
        let error = |what: String| Refusal { role: self.operation.clone(), what };
        let needs = needs(call, &self.location).map_err(error)?;
        allowed(&self.statements, &needs)
            .map_err(|Need { action, resource, .. }| error(format!("perform: {action} on resource: {resource}")))
    }
}

/// AWS's response to a call without permission.
struct Refusal {
    role: String,
    what: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, what } = self;
        write!(f, "User: {role} is not authorized to {what} because no identity-based policy allows it")
    }
}

impl Refusal {
    /// The response in the format of DynamoDB (JSON with a type), of SNS (XML) or of SESv2 (JSON and a header).
    /// A call with neither a target nor a JSON path gets XML.
    fn response(&self, dynamodb: bool) -> HttpResponse {
        let message = self.to_string();
        if dynamodb {
            let body = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "Message": message });
            return answer(400, "application/x-amz-json-1.0", body.to_string());
        }
        if self.what.contains("ses:") || self.what.starts_with("SESv2") {
            let mut response = answer(403, "application/json", json!({ "message": message }).to_string());
            response.headers_mut().insert("x-amzn-errortype", "AccessDeniedException");
            return response;
        }
        let body = format!(
            "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
             <Code>AuthorizationError</Code><Message>{message}</Message></Error></ErrorResponse>"
        );
        answer(403, "text/xml", body)
    }
}

fn answer(status: u16, content_type: &'static str, body: String) -> HttpResponse {
    let status = StatusCode::try_from(status).expect("a status that is written above");
    let mut response = HttpResponse::new(status, body.into());
    response.headers_mut().insert("content-type", content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(actions: &[&str], resources: &[&str]) -> Statement {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Statement { actions: owned(actions), resources: owned(resources), ..Statement::default() }
    }

    fn need(action: &str, resource: &str) -> Need {
        Need::new(action, resource)
    }

    fn of_dynamodb(operation: &str, body: &Value) -> Vec<Need> {
        let (target, body) = (format!("DynamoDB_20120810.{operation}"), body.to_string());
        needs(Call { target: Some(&target), path: "/", body: body.as_bytes() }, &StackLocation::default()).unwrap()
    }

    fn of_sns(body: &str) -> Vec<Need> {
        needs(Call { target: None, path: "/", body: body.as_bytes() }, &StackLocation::default()).unwrap()
    }

    const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t";

    #[test]
    fn all_needs_must_be_allowed_by_some_statement() {
        let statements = [statement(&["dynamodb:GetItem"], &[TABLE]), statement(&["xray:Put*"], &["*"])];
        let get = need("dynamodb:GetItem", TABLE);
        assert!(allowed(&statements, &[get.clone(), need("xray:PutTraceSegments", "any")]).is_ok());
        for refused in
            [need("dynamodb:PutItem", TABLE), need("dynamodb:GetItem", "arn:other"), need("xray:GetX", "any")]
        {
            assert_eq!(allowed(&statements, &[get.clone(), refused.clone()]), Err(&refused));
        }
    }

    #[test]
    fn who_may_read_some_partitions_may_read_no_others() {
        let some = Statement { partitions: vec!["SOURCE#*".to_owned()], ..statement(&["dynamodb:GetItem"], &[TABLE]) };
        for (partition, allowed_to) in [("SOURCE#1", true), ("USER#1", false), ("XSOURCE#1", false)] {
            let get = json!({ "TableName": "t", "Key": { "pk": { "S": partition } } });
            let needs = of_dynamodb("GetItem", &get);
            assert_eq!(allowed(std::slice::from_ref(&some), &needs).is_ok(), allowed_to, "{partition}");
        }
        assert!(allowed(&[some], &[need("dynamodb:GetItem", TABLE)]).is_err(), "a call that names no partition");
    }

    #[test]
    fn who_may_write_some_partitions_writes_no_others_alone_or_in_a_transaction() {
        let actions = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"];
        let some = Statement { partitions: vec!["USER#*".to_owned()], ..statement(&actions, &[TABLE]) };
        for (part, names) in [("Put", "Item"), ("Update", "Key"), ("Delete", "Key")] {
            for (partition, allowed_to) in [("USER#1", true), ("SOURCE#1", false)] {
                let request = json!({ "TableName": "t", names: { "pk": { "S": partition } } });
                let alone = of_dynamodb(&format!("{part}Item"), &request);
                let within = of_dynamodb("TransactWriteItems", &json!({ "TransactItems": [{ part: request }] }));
                for needs in [alone, within] {
                    assert_eq!(allowed(std::slice::from_ref(&some), &needs).is_ok(), allowed_to, "{part} {partition}");
                }
            }
        }
    }

    #[test]
    fn wildcards() {
        assert!(matches_wildcard("arn:*:endpoint/APNS/app/*", "arn:aws:sns:r:1:endpoint/APNS/app/x"));
        assert!(!matches_wildcard("arn:*:endpoint/APNS/app/*", "arn:aws:sns:r:1:endpoint/APNS/other/x"));
        assert!(matches_wildcard("a?c", "abc") && !matches_wildcard("a?c", "ac") && matches_wildcard("*", ""));
    }

    #[test]
    fn a_transaction_needs_the_rights_of_its_parts() {
        let parts = json!({ "TransactItems": [
            { "Put": { "TableName": "t" } },
            { "Update": { "TableName": "t" } },
            { "Delete": { "TableName": "s" } },
            { "ConditionCheck": { "TableName": "t" } },
        ]});
        let actions: Vec<String> =
            of_dynamodb("TransactWriteItems", &parts).into_iter().map(|need| need.action).collect();
        assert_eq!(
            actions,
            ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"]
        );
    }

    #[test]
    fn a_query_needs_the_right_to_its_index_and_a_batch_that_to_each_of_its_keys() {
        let query = of_dynamodb("Query", &json!({ "TableName": "t", "IndexName": "due" }));
        assert_eq!(query, [need("dynamodb:Query", &format!("{TABLE}/index/due"))]);
        let query = of_dynamodb("Query", &json!({ "TableName": "t" }));
        assert_eq!(query, [need("dynamodb:Query", TABLE)]);
        let keys = json!([{ "pk": { "S": "USER#1" } }, { "pk": { "S": "EVENTS#1" } }]);
        let batch = of_dynamodb("BatchGetItem", &json!({ "RequestItems": { "t": { "Keys": keys } } }));
        let of = |key: &str| Need { partition: Some(key.to_owned()), ..need("dynamodb:BatchGetItem", TABLE) };
        assert_eq!(batch, ["USER#1", "EVENTS#1"].map(of));
    }

    #[test]
    fn calls_of_sns() {
        let topic = of_sns("Action=PublishBatch&TopicArn=arn%3Aaws%3Asns%3Ar%3A1%3Aevents");
        assert_eq!(topic, [need("sns:Publish", "arn:aws:sns:r:1:events")]);
        let push = of_sns("Action=Publish&TargetArn=arn%3Aaws%3Asns%3Ar%3A1%3Aendpoint%2FAPNS%2Fapp%2Fx");
        assert_eq!(push, [need("sns:Publish", "arn:aws:sns:r:1:endpoint/APNS/app/x")]);
        let set =
            of_sns("Action=SetEndpointAttributes&EndpointArn=arn%3Aaws%3Asns%3Ar%3A1%3Aendpoint%2FAPNS%2Fapp%2Fx");
        assert_eq!(set, [need("sns:SetEndpointAttributes", "arn:aws:sns:r:1:app/APNS/app")]);
    }

    #[test]
    fn what_a_statement_excludes_is_not_allowed_and_all_else_is() {
        let texts = Statement {
            actions: vec!["sns:Publish".to_owned()],
            not_resources: vec!["arn:aws:sns:*:*:*".to_owned()],
            ..Statement::default()
        };
        let to_number = of_sns("Action=Publish&PhoneNumber=%2B491701234567");
        assert_eq!(to_number, [need("sns:Publish", "+491701234567")]);
        assert_eq!(allowed(std::slice::from_ref(&texts), &to_number), Ok(()));
        for destination in
            ["TopicArn=arn%3Aaws%3Asns%3Ar%3A1%3At", "TargetArn=arn%3Aaws%3Asns%3Ar%3A1%3Aendpoint%2FGCM%2Fa%2Fx"]
        {
            let needs = of_sns(&format!("Action=Publish&{destination}"));
            assert!(allowed(std::slice::from_ref(&texts), &needs).is_err(), "{destination}");
        }
    }

    #[test]
    fn an_email_needs_its_sender_and_its_configuration_set() {
        let email = |content: Value| {
            let body =
                json!({ "FromEmailAddress": "Phones <a@b.example>", "ConfigurationSetName": "c", "Content": content })
                    .to_string();
            needs(
                Call { target: None, path: "/v2/email/outbound-emails", body: body.as_bytes() },
                &StackLocation::default(),
            )
            .unwrap()
        };
        let arn = |of: &str| format!("arn:aws:ses:us-east-1:000000000000:{of}");
        let need = |action: &str, of: &str| Need { sender: Some("a@b.example".to_owned()), ..need(action, &arn(of)) };
        let (identity, set) = ("identity/a@b.example", "configuration-set/c");
        let plain = email(json!({ "Simple": {} }));
        assert_eq!(plain, [need("ses:SendEmail", identity), need("ses:SendEmail", set)]);
        assert_eq!(email(json!({ "Simple": { "Attachments": [{}] } }))[0], need("ses:SendRawEmail", identity));
        let from = |sender: &str| Statement {
            senders: vec![sender.to_owned()],
            ..statement(&["ses:SendEmail"], &[&arn("identity/*"), &arn(set)])
        };
        assert_eq!(allowed(&[from("a@b.example")], &plain), Ok(()));
        assert!(allowed(&[from("c@b.example")], &plain).is_err());
    }

    #[test]
    fn unknown_calls_are_named() {
        let call = Call { target: Some("DynamoDB_20120810.DeleteTable"), path: "/", body: b"{}" };
        assert!(needs(call, &StackLocation::default()).unwrap_err().contains("DeleteTable"));
    }

    #[test]
    fn a_role_allows_what_lambda_does_for_the_triggers_of_its_function() {
        let given = [("PublicUrl", "http://x"), ("SenderAddress", "a@b.example")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let template = crate::template::Template::read(crate::TEMPLATE, &StackLocation::default(), &given).unwrap();
        for function in template.functions {
            let mut needs = Vec::new();
            for stream in &function.streams {
                let of_stream = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
                needs.extend(of_stream.map(|action| need(&format!("dynamodb:{action}"), &stream.stream_arn)));
            }
            for queue in &function.queues {
                let of_queue = ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"];
                needs.extend(of_queue.map(|action| need(&format!("sqs:{action}"), &queue.queue_arn)));
            }
            needs.extend(function.dead_letters.iter().map(|arn| need("sqs:SendMessage", arn)));
            assert_eq!(allowed(&function.statements, &needs), Ok(()), "{}", function.operation);
        }
    }
}
