//! The template: its operations, routes, permissions, variables and size match the program.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use domain::models::event::EventType;
use domain::models::offer::Channel;
use domain::rules::push;
use functions::Access;
use local::template::{Route, StackLocation, Template};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};
use testkit::{Bench, Setup};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The template's text as JSON; a short form such as `!Ref x` is `{"Ref": x}`.
fn raw() -> Value {
    fn json_of(node: &Yaml<'_>) -> Value {
        match node {
            Yaml::Value(Scalar::Boolean(truth)) => json!(truth),
            Yaml::Value(Scalar::Integer(number)) => json!(number),
            Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
            Yaml::Value(Scalar::String(text)) => json!(text),
            Yaml::Sequence(items) => items.iter().map(json_of).collect(),
            Yaml::Mapping(entries) => {
                let named = entries.iter().map(|(name, value)| (json_of(name), json_of(value)));
                named.map(|(name, value)| (name.as_str().unwrap().to_owned(), value)).collect::<Map<_, _>>().into()
            }
            Yaml::Tagged(tag, node) => json!({tag.suffix.as_str(): json_of(node)}),
            _ => Value::Null,
        }
    }
    let documents = Yaml::load_from_str(local::TEMPLATE).unwrap();
    json_of(&documents[0])
}

fn resources() -> Map<String, Value> {
    raw()["Resources"].as_object().unwrap().clone()
}

/// Edits only correct the attributes in this list: see [`aws::INDEXED`].
#[test]
fn every_key_attribute_of_an_index_is_declared() {
    let table = &resources()["Table"]["Properties"];
    let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap().iter();
    let keys = indexes.flat_map(|index| index["KeySchema"].as_array().unwrap());
    let named: BTreeSet<&str> = keys.map(|key| key["AttributeName"].as_str().unwrap()).collect();
    // Attributes of the object or the row itself.
    let fields = BTreeSet::from(["created_at", "sk"]);
    assert_eq!(&named - &fields, aws::INDEXED.iter().copied().collect());
}

fn operations() -> BTreeSet<String> {
    functions::OPERATIONS.iter().map(|operation| operation.name.to_owned()).collect()
}

/// `block-device` as the template names it: `BlockDevice`.
fn logical_id(operation: &str) -> String {
    operation.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

#[test]
fn the_program_and_the_template_have_the_same_operations() {
    let functions: BTreeMap<String, Value> = resources()
        .into_iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
        .map(|(name, resource)| (name, resource["Properties"].clone()))
        .collect();
    let handlers: BTreeSet<String> =
        functions.values().map(|function| function["Handler"].as_str().unwrap().to_owned()).collect();
    assert_eq!(handlers, operations());
    assert_eq!(functions.len(), functions::OPERATIONS.len(), "one function for each");
    for (name, function) in &functions {
        let handler = function["Handler"].as_str().unwrap();
        assert_eq!(*name, logical_id(handler));
        assert_eq!(function["FunctionName"], json!({"Sub": format!("${{AWS::StackName}}-{handler}")}));
        assert!(function.get("Role").is_none(), "{name}: SAM makes a role for each that names none");
    }
    let defaults = &raw()["Globals"]["Function"];
    assert!(defaults["Timeout"].as_u64().is_some() && defaults["MemorySize"].as_u64().is_some());
    for operation in functions::OPERATIONS {
        let found = functions::operation(operation.name).expect("an operation is found by its name");
        assert!(std::ptr::eq(found, operation), "{} is declared twice", operation.name);
    }
}

#[test]
fn each_operation_has_a_file_of_its_name() {
    let mut files = BTreeSet::new();
    for folder in [
        "access",
        "deployments",
        "devices",
        "exports",
        "jobs",
        "overview",
        "pages",
        "profiles",
        "scim",
        "seam",
        "sources",
        "triggers",
        "users",
        "webhooks",
    ] {
        for entry in fs::read_dir(root().join("functions/src").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let source = fs::read_to_string(&path).unwrap();
            if source.contains("pub async fn handle(") || source.contains("pub fn handle(") {
                files.insert(path.file_stem().unwrap().to_str().unwrap().replace('_', "-"));
            }
        }
    }
    assert_eq!(files, operations());
}

async fn template() -> (Bench, BTreeMap<String, local::template::Function>) {
    let bench = Setup::new().parameter("EmailsPerSecond", "14").start().await;
    let functions =
        bench.stack.template().functions.iter().map(|function| (function.operation.clone(), function.clone()));
    let functions = functions.collect();
    (bench, functions)
}

#[tokio::test]
async fn each_operations_routes_equal_the_templates() {
    let (_bench, functions) = template().await;
    for operation in functions::OPERATIONS {
        // Read operations have any method in the template, to answer HEAD like GET.
        let declared = operation.routes.iter().map(|route| route.replacen("GET ", "ANY ", 1)).collect::<BTreeSet<_>>();
        let routes = &functions[operation.name].routes;
        assert_eq!(declared.len() + usize::from(operation.name == "not-found"), routes.len(), "{}", operation.name);
        for route in routes {
            match route {
                Route::On { .. } => assert!(declared.contains(&route.key()), "{}: {}", operation.name, route.key()),
                Route::Default => assert_eq!(operation.name, "not-found"),
            }
        }
    }
    let all: Vec<&str> = functions::OPERATIONS.iter().flat_map(|operation| operation.routes).copied().collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a route is declared twice");
}

#[test]
fn deploying_the_stack_needs_no_input_and_can_be_repeated_after_a_failure() {
    let template = raw();
    let parameters = template["Parameters"].as_object().unwrap();
    let needed: Vec<&String> =
        parameters.iter().filter(|(_, of)| of.get("Default").is_none()).map(|(name, _)| name).collect();
    let guide = fs::read_to_string(root().join("infra/docs/deploying.md")).unwrap();
    let (_, command) = guide.split_once("sam deploy --parameter-overrides").unwrap();
    let arguments: Vec<&str> = command.split("```").next().unwrap().split(['=', ' ', '\n', '\\']).collect();
    for name in ["PublicUrl", "SenderAddress", "AlarmEmail"] {
        assert!(arguments.contains(&name) && parameters.contains_key(name), "{name}");
    }
    assert!(
        needed.iter().all(|name| arguments.contains(&name.as_str())),
        "{needed:?} have neither a default nor a value in the guide"
    );
    let config = fs::read_to_string(root().join("samconfig.toml")).unwrap();
    for line in [
        "stack_name = \"handset\"",
        "resolve_s3 = true",
        "capabilities = \"CAPABILITY_IAM\"",
        "confirm_changeset = false",
        "fail_on_empty_changeset = false",
    ] {
        assert!(config.lines().any(|actual| actual == line), "{line}");
    }
    assert!(guide.contains("--function-name handset-create-workspace"));
    for (name, table) in resources().iter().filter(|(_, resource)| resource["Type"] == "AWS::DynamoDB::Table") {
        assert_eq!(table["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(table["UpdateReplacePolicy"], "Retain", "{name}");
        assert_eq!(table["Properties"].get("DeletionProtectionEnabled"), None, "{name}");
        let stem = table["Properties"]["TableName"]["Sub"].as_str().map_or("handset", |_| "handset-secrets");
        assert!(guide.contains(&format!("update-table --table-name {stem} --deletion-protection-enabled")), "{name}");
    }
    assert_eq!(parameters["SmsLogGroups"]["Default"], "none", "optional resources do not make it fail");
}

#[tokio::test]
async fn operations_with_a_route_are_for_callers_and_those_without_are_for_aws() {
    let (_bench, functions) = template().await;
    for operation in functions::OPERATIONS {
        let function = &functions[operation.name];
        let internal = operation.access() == Access::Internal;
        assert_eq!(function.routes.is_empty(), internal, "{}", operation.name);
        let triggers = function.streams.len() + function.topics.len() + function.queues.len();
        assert!(internal || triggers == 0, "{} is for callers", operation.name);
    }
}

#[tokio::test]
async fn each_function_has_exactly_the_variables_that_it_needs() {
    let more: BTreeMap<&str, Vec<&str>> = [
        ("register-device", vec!["SECRETS_TABLE"]),
        ("delete-device", vec!["RETENTION_DAYS"]),
        (
            "invite-user",
            vec!["SECRETS_TABLE", "INVITATION_DAYS", "EMAILS_PER_DAY", "TEXTS_PER_DAY", "TEXT_CALLING_CODES"],
        ),
        ("revoke-invitation", vec!["SECRETS_TABLE"]),
        ("delete-user", vec!["SECRETS_TABLE", "RETENTION_DAYS"]),
        ("check-in-device", vec!["CHECK_IN_MINUTES"]),
        // scim
        ("scim", vec!["SECRETS_TABLE", "PUBLIC_URL", "RETENTION_DAYS", "INVITATION_DAYS", "EMAILS_PER_DAY"]),
        // seam
        ("seam-phones", vec!["RETENTION_DAYS"]),
        ("seam-user-identities", vec!["SECRETS_TABLE", "RETENTION_DAYS", "INVITATION_DAYS", "EMAILS_PER_DAY"]),
        (
            "bulk-users",
            vec![
                "SECRETS_TABLE",
                "RETENTION_DAYS",
                "INVITATION_DAYS",
                "EMAILS_PER_DAY",
                "TEXTS_PER_DAY",
                "TEXT_CALLING_CODES",
                "JOBS_TOPIC_ARN",
            ],
        ),
        ("bulk-devices", vec!["RETENTION_DAYS", "JOBS_TOPIC_ARN"]),
        // sources
        ("create-source", vec!["SECRETS_TABLE", "SOURCE_HOSTS"]),
        ("update-source", vec!["SECRETS_TABLE", "SOURCE_HOSTS"]),
        ("delete-source", vec!["SECRETS_TABLE"]),
        (
            "upload-source-part",
            vec!["SECRETS_TABLE", "RETENTION_DAYS", "INVITATION_DAYS", "EMAILS_PER_DAY", "JOBS_TOPIC_ARN"],
        ),
        (
            "sync-users",
            vec![
                "SECRETS_TABLE",
                "SOURCE_HOSTS",
                "RETENTION_DAYS",
                "INVITATION_DAYS",
                "EMAILS_PER_DAY",
                "JOBS_TOPIC_ARN",
            ],
        ),
        // webhooks
        ("create-webhook", vec!["SECRETS_TABLE"]),
        ("delete-webhook", vec!["SECRETS_TABLE"]),
        ("rotate-webhook-secret", vec!["SECRETS_TABLE"]),
        ("redeliver", vec!["SECRETS_TABLE"]),
        ("seam-webhooks", vec!["SECRETS_TABLE"]),
        ("deliver-webhook", vec!["SECRETS_TABLE"]),
        (
            "get-workspace",
            vec!["RETENTION_DAYS", "INVITATION_DAYS", "CHECK_IN_MINUTES", "EMAILS_PER_DAY", "TEXTS_PER_DAY", "SENDER"],
        ),
        (
            "update-workspace",
            vec![
                "RETENTION_DAYS",
                "INVITATION_DAYS",
                "CHECK_IN_MINUTES",
                "EMAILS_PER_DAY",
                "TEXTS_PER_DAY",
                "SENDER",
                "SENDERS",
                "SMS_SENDERS",
            ],
        ),
        ("open-invitation", vec!["PUBLIC_URL", "IOS_STORE_URL", "ANDROID_STORE_URL", "APP_LINK_SCHEME"]),
        ("app-links", vec!["IOS_APP_ID", "ANDROID_PACKAGE", "ANDROID_CERT_FINGERPRINTS"]),
        // deployments
        ("update-user", vec!["SECRETS_TABLE", "INVITATION_DAYS", "EMAILS_PER_DAY"]),
        ("activate-user", vec!["SECRETS_TABLE", "INVITATION_DAYS", "EMAILS_PER_DAY"]),
        ("reset-pin", vec!["SECRETS_TABLE", "INVITATION_DAYS", "EMAILS_PER_DAY"]),
        ("deploy-config", vec!["SECRETS_TABLE", "INVITATION_DAYS", "EMAILS_PER_DAY"]),
        ("auto-deploy", vec!["SECRETS_TABLE", "RETENTION_DAYS", "INVITATION_DAYS", "EMAILS_PER_DAY", "JOBS_TOPIC_ARN"]),
        ("revoke-deployment", vec!["SECRETS_TABLE"]),
        ("get-deployment-qr", vec!["SECRETS_TABLE", "PUBLIC_URL"]),
        ("set-user-secrets", vec!["SECRETS_TABLE"]),
        ("undeploy-user", vec!["SECRETS_TABLE"]),
        ("download-config", vec!["SECRETS_TABLE"]),
        ("redirect", vec!["PUBLIC_URL", "IOS_STORE_URL", "ANDROID_STORE_URL", "APP_LINK_SCHEME"]),
        ("publish-events", vec!["EVENTS_TOPIC_ARN", "EVENT_SHARDS"]),
        ("republish-events", vec!["EVENTS_TOPIC_ARN"]),
        ("notify-device", vec!["IOS_PLATFORM_APPLICATION_ARN", "ANDROID_PLATFORM_APPLICATION_ARN"]),
        (
            "send-message",
            vec![
                "SECRETS_TABLE",
                "PUBLIC_URL",
                "SENDER",
                "SENDERS",
                "SMS_SENDERS",
                "TEXT_CALLING_CODES",
                "EMAILS_PER_SECOND",
                "TEXTS_PER_SECOND",
                "CONFIGURATION_SET",
                "IOS_STORE_URL",
                "ANDROID_STORE_URL",
            ],
        ),
        (
            "run-due",
            vec![
                "SECRETS_TABLE",
                "RETENTION_DAYS",
                "INVITATION_DAYS",
                "EMAILS_PER_DAY",
                "TEXTS_PER_DAY",
                "TEXT_CALLING_CODES",
                "SOURCE_HOSTS",
                "IOS_PLATFORM_APPLICATION_ARN",
                "ANDROID_PLATFORM_APPLICATION_ARN",
                "JOBS_TOPIC_ARN",
                "RANGES_PER_JOB",
            ],
        ),
        ("purge-deleted", vec!["IOS_PLATFORM_APPLICATION_ARN", "ANDROID_PLATFORM_APPLICATION_ARN"]),
        ("refresh-issuer-keys", vec!["OIDC_ISSUER", "OIDC_AUDIENCE"]),
    ]
    .into();
    let (_bench, functions) = template().await;
    for operation in functions::OPERATIONS {
        let without_table = ["app-links", "get-docs", "get-openapi", "not-found"].contains(&operation.name);
        let mut expected: BTreeSet<&str> = if without_table { BTreeSet::new() } else { ["TABLE"].into() };
        if matches!(operation.access(), Access::Permission(_) | Access::AnyOf(_) | Access::Member | Access::SignedIn) {
            expected.extend(["OIDC_ISSUER", "OIDC_AUDIENCE"]);
        }
        expected.extend(more.get(operation.name).into_iter().flatten());
        let actual: BTreeSet<&str> = functions[operation.name].variables.keys().map(String::as_str).collect();
        assert_eq!(actual, expected, "{}", operation.name);
    }
}

#[tokio::test]
async fn a_function_has_the_variables_and_the_permissions_of_the_same_resources() {
    let (bench, functions) = template().await;
    let events = bench.stack.template().outputs["EventsTopicArn"].clone();
    for (operation, function) in &functions {
        let allows = |action: &str, resource: &str| {
            function.statements.iter().any(|statement| {
                statement.actions.iter().any(|held| held.starts_with(action))
                    && statement.resources.iter().any(|held| held.ends_with(resource))
            })
        };
        // Operations that show or check the sender do not send.
        let shows_sender = ["get-workspace", "update-workspace"].contains(&operation.as_str());
        assert!(!shows_sender || !allows("ses:", ""), "{operation} sends nothing");
        let pairs = [
            ("TABLE", allows("dynamodb:", ":table/handset")),
            ("SECRETS_TABLE", allows("dynamodb:", ":table/handset-secrets")),
            ("EVENTS_TOPIC_ARN", allows("sns:Publish", &events)),
            ("JOBS_TOPIC_ARN", allows("sns:Publish", ":handset-jobs")),
            ("SENDER", allows("ses:SendEmail", "") || shows_sender),
            ("CONFIGURATION_SET", allows("ses:SendEmail", ":configuration-set/handset")),
        ];
        for (variable, right) in pairs {
            assert_eq!(function.variables.contains_key(variable), right, "{operation}: {variable}");
        }
        let makes_endpoints = allows("sns:CreatePlatformEndpoint", "") || allows("sns:DeleteEndpoint", "");
        assert_eq!(function.variables.contains_key("IOS_PLATFORM_APPLICATION_ARN"), makes_endpoints, "{operation}");
    }
}

#[tokio::test]
async fn the_program_reads_every_variable_of_the_template() {
    let read = RefCell::new(BTreeSet::new());
    let settings = functions::Settings::from_variables(|name| {
        read.borrow_mut().insert(name.to_owned());
        let value = match name {
            "PUBLIC_URL" => "https://phones.example",
            "TEXT_CALLING_CODES" => "+1",
            "CHECK_IN_MINUTES" => "15",
            _ => "1",
        };
        Some(value.to_owned())
    });
    assert!(settings.is_ok());
    let (_bench, functions) = template().await;
    let actual: BTreeSet<String> = functions.values().flat_map(|function| function.variables.keys().cloned()).collect();
    let read = read.into_inner();
    let set_by_lambda = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    let expected: BTreeSet<String> = read.into_iter().filter(|name| !set_by_lambda.contains(&name.as_str())).collect();
    assert_eq!(actual, expected);
}

/// The number of CloudFormation resources of one of the template's ("AWS SAM generated
/// resources").
fn transformed(resource: &Value) -> usize {
    let properties = &resource["Properties"];
    match resource["Type"].as_str().unwrap() {
        // The API and its stage.
        "AWS::Serverless::HttpApi" => 2,
        "AWS::Serverless::Function" => {
            assert!(properties.get("Role").is_none() && properties.get("AutoPublishAlias").is_none());
            let events = properties["Events"].as_object().into_iter().flatten();
            let events: usize = events
                .map(|(_, event)| match event["Type"].as_str().unwrap() {
                    // The rule or the subscription, and the permission.
                    "Schedule" | "EventBridgeRule" | "SNS" => 2,
                    other => panic!("say here how many resources {other} makes"),
                })
                .sum();
            // Itself and its role.
            2 + usize::from(properties.get("EventInvokeConfig").is_some()) + events
        }
        serverless if serverless.starts_with("AWS::Serverless::") => panic!("say here what {serverless} makes"),
        _ => 1,
    }
}

/// CloudFormation takes 500 resources ("CloudFormation quotas"). infra/local/checks/template.py counts the same after
/// SAM's own transform.
#[test]
fn the_transformed_template_has_room_for_45_more_operations() {
    let resources = resources();
    let count: usize = resources.values().map(transformed).sum();
    let functions = resources.values().filter(|resource| resource["Type"] == "AWS::Serverless::Function").count();
    let one_more = transformed(&resources["BlockDevice"]);
    println!("{count} resources after the transform, of {functions} functions; {one_more} for each more");
    assert!((2 * functions..=450 - 45 * one_more).contains(&count), "{count}");
}

/// The class of an operation's routes, whose parameters limit them: by who calls.
fn throttle_class(operation: &str) -> &'static str {
    let operation = functions::OPERATIONS.iter().find(|other| other.name == operation).unwrap();
    match operation.access() {
        Access::Device if operation.name == "check-in-device" => "CheckIn",
        Access::Device => "Phone",
        Access::Code => "Code",
        Access::Public => "Page",
        _ => "Api",
    }
}

#[test]
fn the_guide_names_the_limits_of_each_class_of_route() {
    let guide = fs::read_to_string(root().join("infra/docs/deploying.md")).unwrap();
    let template = raw();
    for class in ["CheckIn", "Phone", "Code", "Page", "Api"] {
        let default = |limit: &str| template["Parameters"][format!("{class}{limit}")]["Default"].as_u64().unwrap();
        let row = format!("| `{class}Rate`, `{class}Burst` | {} | {} |", default("Rate"), default("Burst"));
        assert!(guide.lines().any(|line| line.ends_with(&row)), "{row}");
    }
}

#[test]
fn the_api_has_the_functions_routes_and_invokes_them_by_one_role() {
    let resources = resources();
    let api = &resources["Api"]["Properties"];
    let included = &api["DefinitionBody"]["paths"]["Fn::Transform"];
    assert_eq!(included["Name"], "AWS::Include");
    let file = root().join(included["Parameters"]["Location"].as_str().unwrap());
    let paths: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    // `GET /x` is the method `get` of the path `/x`.
    let mut defined = BTreeMap::new();
    for (path, methods) in paths.as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = if method.starts_with("x-") { "ANY".to_owned() } else { method.to_uppercase() };
            let integration = &operation["x-amazon-apigateway-integration"];
            assert_eq!(integration["credentials"], json!({"Fn::GetAtt": ["ApiRole", "Arn"]}), "{path}");
            let function = integration["uri"]["Fn::Sub"].as_str().unwrap();
            let function =
                function.split_once("function:${AWS::StackName}-").unwrap().1.trim_end_matches("/invocations");
            let route = if path == "/$default" { "$default".to_owned() } else { format!("{method} {path}") };
            assert_eq!(operation.get("isDefaultRoute").is_some(), path == "/$default", "{path}");
            defined.insert(route, function.to_owned());
        }
    }
    let mut beside = BTreeMap::new();
    for (name, resource) in &resources {
        for route in resource["Metadata"]["Routes"].as_array().into_iter().flatten() {
            let handler = resource["Properties"]["Handler"].as_str().unwrap().to_owned();
            assert!(
                beside.insert(route.as_str().unwrap().to_owned(), handler).is_none(),
                "{name}: {route} is declared twice"
            );
        }
    }
    assert_eq!(defined, beside);
    for (route, function) in &defined {
        let class = throttle_class(function);
        let default = &api["DefaultRouteSettings"];
        let settings = api["RouteSettings"].get(route).unwrap_or(default);
        let reference = |limit: &str| json!({"Ref": format!("{class}{limit}")});
        let (rate, burst) = (&settings["ThrottlingRateLimit"], &settings["ThrottlingBurstLimit"]);
        assert_eq!((rate, burst), (&reference("Rate"), &reference("Burst")), "{route}");
        assert_eq!(settings["DetailedMetricsEnabled"], true, "{route}");
    }
    for route in api["RouteSettings"].as_object().unwrap().keys() {
        assert!(defined.contains_key(route), "{route} has a limit and is no route");
    }
    let roles = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::IAM::Role");
    assert_eq!(roles.map(|(name, _)| name).collect::<Vec<_>>(), ["ApiRole"], "all others are made by SAM");
    let role = &resources["ApiRole"]["Properties"];
    let trusted = &role["AssumeRolePolicyDocument"]["Statement"];
    let api_gateway = json!({"Service": "apigateway.amazonaws.com"});
    assert_eq!(*trusted, json!([{"Effect": "Allow", "Principal": api_gateway, "Action": "sts:AssumeRole"}]));
    let functions = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-*";
    let statement = json!({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": {"Sub": functions}});
    assert_eq!(role["Policies"].as_array().unwrap().len(), 1);
    assert_eq!(role["Policies"][0]["PolicyDocument"]["Statement"], json!([statement]));
}

#[test]
fn links_start_with_the_apis_address_by_default() {
    let given = [("SenderAddress".to_owned(), "phones@phones.example".to_owned())].into();
    let template = Template::read(local::TEMPLATE, &StackLocation::default(), &given).unwrap();
    let recipients: BTreeSet<&str> =
        template.functions.iter().filter_map(|of| of.variables.get("PUBLIC_URL").map(String::as_str)).collect();
    assert_eq!(recipients, [template.outputs["ApiUrl"].as_str()].into());
    assert!(template.outputs["ApiUrl"].contains(".execute-api."));
}

#[tokio::test]
async fn each_role_has_exactly_the_listed_permissions() {
    let (_bench, functions) = template().await;
    let mut wide: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (operation, function) in &functions {
        assert!(!function.statements.is_empty(), "{operation}");
        for statement in &function.statements {
            for action in &statement.actions {
                assert!(!action.contains(['*', '?']) && action.contains(':'), "{operation}: {action}");
            }
            for resource in statement.resources.iter().filter(|resource| resource.contains(['*', '?'])) {
                wide.entry(resource.clone()).or_default().insert(operation.clone());
            }
        }
    }
    let all = operations();
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let pushing = some(&["notify-device", "purge-deleted", "record-feedback", "run-due"]);
    let expected: BTreeMap<String, BTreeSet<String>> = [
        // X-Ray has no resource-level permissions.
        ("*", all.clone()),
        // A log group's streams, which Lambda names.
        ("arn:aws:logs:us-east-1:000000000000:log-group:/handset/handset/functions:*", all),
        // Streams of the table: their labels are times.
        ("arn:aws:dynamodb:us-east-1:000000000000:table/handset/stream/*", some(&["derive-rows", "publish-events"])),
        // SES chooses the identities that it checks; the sender's address is restricted.
        ("arn:aws:ses:us-east-1:000000000000:identity/*", some(&["send-message"])),
        // Endpoints, whose names SNS generates.
        ("arn:aws:sns:us-east-1:000000000000:endpoint/APNS/handset/*", pushing.clone()),
        ("arn:aws:sns:us-east-1:000000000000:endpoint/GCM/handset/*", pushing),
        // Identities of senders and recipients; the sender is restricted below.
        ("arn:aws:ses:us-east-1:000000000000:identity/*", some(&["send-message"])),
    ]
    .map(|(resource, operations)| (resource.to_owned(), operations))
    .into();
    assert_eq!(wide, expected);
    let statements = functions.values().flat_map(|function| &function.statements);
    let mailing = statements.filter(|statement| statement.actions.iter().any(|action| action.starts_with("ses:")));
    let senders: Vec<&Vec<String>> = mailing.map(|statement| &statement.senders).collect();
    let named = ["phones@handset.example", "it@handset.example", "help@handset.example"];
    assert_eq!(senders, [&named.map(str::to_owned).to_vec()], "e-mails come from the senders that the operator named");
    let excluding: Vec<(&str, &Vec<String>, &Vec<String>)> = functions
        .values()
        .flat_map(|function| function.statements.iter().map(|statement| (function.operation.as_str(), statement)))
        .filter(|(_, statement)| !statement.not_resources.is_empty())
        .map(|(operation, statement)| (operation, &statement.actions, &statement.not_resources))
        .collect();
    // Phone numbers have no resource, so it is everything except SNS's own resources.
    let to_numbers = (vec!["sns:Publish".to_owned()], vec!["arn:aws:sns:*:*:*".to_owned()]);
    assert_eq!(excluding, [("send-message", &to_numbers.0, &to_numbers.1)]);
}

#[tokio::test]
async fn only_the_listed_functions_read_and_write_secrets() {
    let (_bench, functions) = template().await;
    let is_secrets = |resource: &String| resource.contains(":table/handset-secrets");
    let mut held: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (operation, function) in &functions {
        for statement in function.statements.iter().filter(|statement| statement.resources.iter().any(is_secrets)) {
            held.entry(operation).or_default().extend(statement.actions.iter().map(String::as_str));
        }
        let others = function.statements.iter().flat_map(|statement| &statement.resources);
        let wide = others.filter(|resource| resource.contains(":table/") && resource.contains('*'));
        assert!(
            wide.into_iter().all(|resource| resource.contains("/stream/")),
            "{operation} reaches tables by a pattern"
        );
    }
    let (get, put, set, delete) =
        ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem");
    let expected: BTreeMap<&str, BTreeSet<&str>> = [
        // E-mails, texts and QR codes contain codes, and configurations contain secrets.
        ("send-message", vec![get]),
        ("get-deployment-qr", vec![get]),
        ("download-config", vec![get]),
        // Codes and secrets are written and deleted by the operations that create and end them.
        ("set-user-secrets", vec![set, delete]),
        ("invite-user", vec![put, delete]),
        ("deploy-config", vec![put, delete]),
        ("auto-deploy", vec![put, delete]),
        ("update-user", vec![put, delete]),
        // A user renamed while suspended gets a deployment, and with it a code.
        ("activate-user", vec![put, delete]),
        ("reset-pin", vec![put, delete]),
        ("bulk-users", vec![put, delete]),
        ("scim", vec![put, delete]),
        ("seam-user-identities", vec![delete]),
        ("upload-source-part", vec![put, delete]),
        // A source's page is read with its token.
        ("create-source", vec![put]),
        ("update-source", vec![put, delete]),
        ("delete-source", vec![delete]),
        ("sync-users", vec![get, put, delete]),
        ("run-due", vec![get, put, delete]),
        ("register-device", vec![delete]),
        ("delete-user", vec![delete]),
        ("revoke-invitation", vec![delete]),
        ("revoke-deployment", vec![delete]),
        ("undeploy-user", vec![delete]),
        // A webhook's calls are signed.
        ("create-webhook", vec![put]),
        ("seam-webhooks", vec![put]),
        ("delete-webhook", vec![delete]),
        ("rotate-webhook-secret", vec![get, put]),
        ("redeliver", vec![get]),
        // It also forgets earlier secrets.
        ("deliver-webhook", vec![get, put]),
    ]
    .map(|(operation, actions)| (operation, actions.into_iter().collect()))
    .into();
    assert_eq!(held, expected);
}

#[tokio::test]
async fn each_function_reaches_only_its_own_kinds_of_secrets() {
    let (_bench, functions) = template().await;
    let mut held: BTreeSet<(&str, &str, Vec<&str>)> = BTreeSet::new();
    for (operation, function) in &functions {
        for statement in &function.statements {
            if !statement.resources.iter().any(|resource| resource.contains(":table/handset-secrets")) {
                continue;
            }
            let kinds: Vec<&str> = statement.partitions.iter().map(String::as_str).collect();
            for action in &statement.actions {
                held.insert((operation, action.trim_start_matches("dynamodb:"), kinds.clone()));
            }
        }
    }
    let (code, user, source, webhook) = ("INVITATION#*", "USER#*", "SOURCE#*", "WEBHOOK#*");
    let expected = [
        ("send-message", "GetItem", vec![code]),
        ("get-deployment-qr", "GetItem", vec![code]),
        ("download-config", "GetItem", vec![user]),
        ("sync-users", "GetItem", vec![source]),
        ("run-due", "GetItem", vec![source]),
        ("set-user-secrets", "UpdateItem", vec![user]),
        ("set-user-secrets", "DeleteItem", vec![user]),
        ("create-source", "PutItem", vec![source]),
        ("update-source", "PutItem", vec![source]),
        ("update-source", "DeleteItem", vec![source]),
        ("delete-source", "DeleteItem", vec![source]),
        ("register-device", "DeleteItem", vec![code]),
        ("revoke-invitation", "DeleteItem", vec![code]),
        ("revoke-deployment", "DeleteItem", vec![code]),
        ("create-webhook", "PutItem", vec![webhook]),
        ("seam-webhooks", "PutItem", vec![webhook]),
        ("delete-webhook", "DeleteItem", vec![webhook]),
        ("rotate-webhook-secret", "GetItem", vec![webhook]),
        ("rotate-webhook-secret", "PutItem", vec![webhook]),
        ("redeliver", "GetItem", vec![webhook]),
        ("deliver-webhook", "GetItem", vec![webhook]),
        ("deliver-webhook", "PutItem", vec![webhook]),
    ];
    // Operations that create invitations or deployments, also after a rename.
    let offering = ["invite-user", "deploy-config", "auto-deploy", "update-user", "activate-user", "reset-pin"];
    let offering = offering.iter().flat_map(|name| [(*name, "PutItem", vec![code]), (*name, "DeleteItem", vec![code])]);
    // Operations that delete users and their data, and those that also create invitations.
    let ending = ["delete-user", "undeploy-user", "seam-user-identities"];
    let both = ["bulk-users", "scim", "upload-source-part", "sync-users", "run-due"];
    let ending = ending.iter().chain(&both).map(|name| (*name, "DeleteItem", vec![code, user]));
    let also_offering = both.iter().map(|name| (*name, "PutItem", vec![code]));
    let expected: BTreeSet<(&str, &str, Vec<&str>)> =
        expected.into_iter().chain(offering).chain(ending).chain(also_offering).collect();
    assert_eq!(held, expected);
}

#[test]
fn only_the_permission_for_traces_has_an_unrestricted_wildcard() {
    let mut found = Vec::new();
    for (name, resource) in resources() {
        let properties = &resource["Properties"];
        let of_roles = properties["Policies"].as_array().into_iter().flatten().map(|policy| &policy["PolicyDocument"]);
        for document in of_roles.chain([&properties["Policies"], &properties["PolicyDocument"]]) {
            for statement in document["Statement"].as_array().into_iter().flatten() {
                let statement = statement.get("If").map_or(statement, |chosen| &chosen[1]);
                if statement["Resource"] == "*" {
                    found.push((name.clone(), statement["Action"].clone()));
                }
            }
        }
    }
    let traces = json!(["xray:PutTraceSegments", "xray:PutTelemetryRecords"]);
    assert_eq!(found, [("FunctionBoundary".to_owned(), traces)]);
}

#[test]
fn without_push_applications_no_role_may_push() {
    let template = local::description::template().unwrap();
    for function in &template.functions {
        let actions = function.statements.iter().flat_map(|statement| &statement.actions);
        assert!(!actions.clone().any(|action| action.contains("Endpoint")), "{}", function.operation);
    }
}

/// The dependencies of a crate except those for tests.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let (_, section) = text.split_once("[dependencies]\n").unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let ours = ["aws", "domain", "functions", "lambda", "local", "testkit"];
    let table: [(&str, &[&str]); 4] = [
        ("shared/domain", &[]),
        ("shared/aws", &["domain"]),
        ("shared/lambda", &["domain"]),
        ("functions", &["aws", "domain", "lambda"]),
    ];
    for (folder, wanted) in table {
        let all = dependencies(folder);
        assert!(!all.is_empty(), "{folder}");
        let on_ours: Vec<&str> = ours.into_iter().filter(|name| all.contains(*name)).collect();
        assert_eq!(on_ours, wanted, "{folder}");
    }
}

#[test]
fn the_domain_has_no_io_and_only_one_crate_uses_http() {
    let outside = ["tokio", "http", "getrandom", "rand", "ring", "tracing", "futures", "hyper", "axum", "reqwest"];
    for name in dependencies("shared/domain") {
        assert!(!outside.contains(&name.as_str()) && !name.starts_with("aws") && !name.starts_with("lambda"), "{name}");
    }
    for name in dependencies("shared/lambda") {
        assert!(!name.starts_with("aws-"), "lambda knows of {name}");
    }
    for name in dependencies("shared/aws") {
        assert!(
            !name.starts_with("lambda") && !["axum", "aws_lambda_events"].contains(&name.as_str()),
            "aws knows of {name}"
        );
    }
}

#[test]
fn shipped_crates_do_not_depend_on_test_support() {
    for folder in ["shared/domain", "shared/aws", "shared/lambda", "functions"] {
        for name in ["testkit", "local", "dynoxide-rs", "proptest"] {
            assert!(!dependencies(folder).contains(name), "{folder} depends on {name}");
        }
    }
}

#[tokio::test]
async fn as_many_runs_send_messages_as_the_pace_of_each_takes_into_account() {
    for (emails_per_second, texts_per_second) in [(1, 20), (2, 20), (14, 7), (1000, 500)] {
        let parameters = [("EmailsPerSecond", emails_per_second), ("TextsPerSecond", texts_per_second)];
        let setup = Setup::new().parameters(parameters.map(|(name, rate)| (name, rate.to_string())));
        let bench = setup.start().await;
        let sending = bench.stack.template().function("send-message").unwrap().clone();
        let settings = functions::Settings::from_variables(|name| match name {
            "AWS_REGION" => Some("eu-central-1".to_owned()),
            other => sending.variables.get(other).cloned(),
        });
        let rates = settings.unwrap().sending_rates.unwrap();
        assert_eq!((rates.emails_per_second, rates.texts_per_second), (emails_per_second, texts_per_second));
        let queue = &sending.queues[0];
        assert_eq!(queue.concurrency, rates.runs() as usize);
        assert_eq!(queue.batch_size, 1, "no message waits behind another's time");
        // Calls to SES end within 15 seconds.
        let longest = rates.time_per_message(&Channel::Sms).to_std().unwrap();
        assert!(longest + std::time::Duration::from_secs(15) < sending.timeout);
    }
}

#[test]
fn the_topic_brings_notify_device_what_wakes_an_app_or_may_change_a_token_and_nothing_else() {
    let resources = resources();
    let subscription = &resources["PushEventsSubscription"]["Properties"];
    let types = subscription["FilterPolicy"]["event_type"].as_array().unwrap();
    let filtered: BTreeSet<&str> = types.iter().map(|name| name.as_str().unwrap()).collect();
    let wanted = EventType::ALL.iter().filter(|of| push::wakes(of) || push::may_change_token(of));
    assert_eq!(filtered, wanted.map(|of| of.as_str()).collect());
}
