//! `template.yaml` as this machine uses it: the operations, their triggers and permissions, and the tables,
//! topics and queues.
//!
//! Nothing in the template is ignored silently: an unknown function, property, trigger or resource type is an
//! error that names it, so that the local stack never quietly differs from AWS.

mod globals;
mod resolve;
mod rights;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub use crate::patterns::Pattern;
use globals::Globals;
use resolve::Resolver;

/// Why the template cannot be used here.
#[derive(Debug)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template.yaml: {}", self.0)
    }
}

impl std::error::Error for TemplateError {}

fn template_error(what: impl Into<String>) -> TemplateError {
    TemplateError(what.into())
}

/// The stack's location, for ARNs and names.
#[derive(Clone, Debug)]
pub struct StackLocation {
    /// The AWS region.
    pub region: String,
    /// The AWS account.
    pub account: String,
    /// The stack's name, the prefix of tables' and functions' names.
    pub stack: String,
}

impl Default for StackLocation {
    fn default() -> Self {
        Self { region: "us-east-1".into(), account: "000000000000".into(), stack: "handset".into() }
    }
}

impl StackLocation {
    /// An ARN in this location.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let region = if service == "iam" { "" } else { &self.region };
        format!("arn:aws:{service}:{region}:{}:{resource}", self.account)
    }
}

/// The template, resolved for one location and one set of parameters.
#[derive(Debug)]
pub struct Template {
    /// Every operation, in the template's order.
    pub functions: Vec<Function>,
    /// A `CreateTable` request for every table.
    pub tables: Vec<Value>,
    /// Every queue, including dead-letter queues.
    pub queues: Vec<Queue>,
    /// Every topic's ARN.
    pub topics: Vec<String>,
    /// Queues that receive messages of topics.
    pub subscriptions: Vec<Subscription>,
    /// Log groups whose lines invoke operations.
    pub log_subscriptions: Vec<LogSubscription>,
    /// SES's configuration sets.
    pub configuration_sets: Vec<String>,
    /// Destinations of configuration sets' events.
    pub event_destinations: Vec<EventDestination>,
    /// The stack's outputs.
    pub outputs: BTreeMap<String, String>,
}

/// An operation: a Lambda function with its triggers and permissions.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name in the template: `BlockDevice`.
    pub name: String,
    /// The operation that it runs: `block-device`.
    pub operation: String,
    /// Its environment.
    pub variables: BTreeMap<String, String>,
    /// The function's timeout.
    pub timeout: Duration,
    /// HTTP routes.
    pub routes: Vec<Route>,
    /// Enabled schedules.
    pub schedules: Vec<Schedule>,
    /// True if it runs after each deployment of the stack.
    pub runs_when_deployed: bool,
    /// Streams of tables.
    pub streams: Vec<StreamTrigger>,
    /// Topics that invoke it, with their filters.
    pub topics: Vec<TopicTrigger>,
    /// Queues that invoke it.
    pub queues: Vec<QueueTrigger>,
    /// Attempts of an asynchronous run.
    pub attempts: u32,
    /// ARN of the queue for events whose attempts have all failed.
    pub dead_letters: Option<String>,
    /// The permissions of its role.
    pub statements: Vec<Statement>,
}

/// A route of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A method and a path with parameters in braces.
    On {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// Any request that no other route matches.
    Default,
}

impl Route {
    /// The route as API Gateway writes it.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Route::On { method, path } => format!("{method} {path}"),
            Route::Default => "$default".into(),
        }
    }
}

/// A run at a fixed interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The interval.
    pub every: Duration,
}

/// A run over a table's changes.
#[derive(Clone, Debug)]
pub struct StreamTrigger {
    /// The table.
    pub table: String,
    /// The stream's ARN.
    pub stream_arn: String,
    /// The most records of a run.
    pub batch_size: usize,
    /// Records that match none of these are skipped; without filters all are taken.
    pub filters: Vec<Pattern>,
}

/// A run for each message of a topic.
#[derive(Clone, Debug)]
pub struct TopicTrigger {
    /// The topic.
    pub topic_arn: String,
    /// A filter on the message's attributes.
    pub filter: Option<Pattern>,
}

/// A run over a queue's messages.
#[derive(Clone, Debug)]
pub struct QueueTrigger {
    /// The queue.
    pub queue_arn: String,
    /// The most messages of a run.
    pub batch_size: usize,
    /// The most concurrent runs.
    pub concurrency: usize,
}

/// A queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Visibility timeout: how long a received message is hidden.
    pub visibility: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Destination of messages that keep failing.
    pub redrive: Option<Redrive>,
}

/// Destination of a queue's failing messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// ARN of the dead-letter queue.
    pub to_arn: String,
    /// How often a message is received before it goes there.
    pub max_receives: u32,
}

/// A queue's subscription to a topic.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The topic.
    pub topic_arn: String,
    /// The queue.
    pub queue_arn: String,
    /// True if the body is the published message, without SNS's envelope.
    pub raw: bool,
    /// A filter on the message's attributes.
    pub filter: Option<Pattern>,
}

/// Destination of a configuration set's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDestination {
    /// The configuration set's name.
    pub configuration_set: String,
    /// The topic.
    pub topic_arn: String,
    /// The event types, such as `BOUNCE`.
    pub events: Vec<String>,
}

/// A subscription to a log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSubscription {
    /// Its name.
    pub name: String,
    /// The log group.
    pub group: String,
    /// The operation that is invoked for lines of the group.
    pub operation: String,
}

/// A policy statement: any of the actions on any of the resources, with `*` as a wildcard in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Such as `dynamodb:PutItem`.
    pub actions: Vec<String>,
    /// ARNs. Empty if the statement uses [`Self::not_resources`].
    pub resources: Vec<String>,
    /// ARNs of `NotResource`: the statement is about all other resources.
    pub not_resources: Vec<String>,
    /// Partition keys of a table to which it is restricted (`dynamodb:LeadingKeys`); empty for no restriction.
    pub partitions: Vec<String>,
    /// Sender addresses to which it is restricted (`ses:FromAddress`); empty for no restriction.
    pub senders: Vec<String>,
}

impl Statement {
    /// True if it is about a resource; `fits` tests a pattern.
    pub fn covers(&self, fits: impl Fn(&String) -> bool) -> bool {
        self.resources.iter().any(&fits) || (!self.not_resources.is_empty() && !self.not_resources.iter().any(&fits))
    }
}

impl Template {
    /// Reads the template's text. Parameters that are not given have their defaults.
    ///
    /// # Errors
    /// What is not supported, or missing.
    pub fn read(
        text: &str,
        location: &StackLocation,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        let template = yaml::read(text)?;
        let resolver = Resolver::new(&template, location, parameters)?;
        let resources = mapping(&template["Resources"], "Resources")?;
        let mut read = Self {
            functions: Vec::new(),
            tables: Vec::new(),
            queues: Vec::new(),
            topics: Vec::new(),
            subscriptions: Vec::new(),
            log_subscriptions: Vec::new(),
            configuration_sets: Vec::new(),
            event_destinations: Vec::new(),
            outputs: outputs(&template["Outputs"], &resolver)?,
        };
        let globals = Globals::read(&template["Globals"])?;
        // Functions first, since their triggers may precede them.
        let (functions, others): (Vec<_>, Vec<_>) =
            resources.iter().partition(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
        for (name, resource) in functions.into_iter().chain(others) {
            let within = |error: TemplateError| template_error(format!("{name}: {}", error.0));
            read.resource(name, resource, resources, &globals, &resolver).map_err(within)?;
        }
        Ok(read)
    }

    /// The function that runs an operation.
    #[must_use]
    pub fn function(&self, operation: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.operation == operation)
    }

    fn resource(
        &mut self,
        name: &str,
        resource: &Value,
        all: &Map<String, Value>,
        globals: &Globals<'_>,
        resolver: &Resolver<'_>,
    ) -> Result<(), TemplateError> {
        let kind = resource["Type"].as_str().ok_or_else(|| template_error("no Type"))?;
        let is_made = resource["Condition"].as_str().map_or(Ok(true), |condition| resolver.condition(condition))?;
        if UNUSED.contains(&kind) || !is_made {
            return Ok(());
        }
        if kind == "AWS::Serverless::Function" {
            let properties = resolver.value(&globals.complete(resource)?)?;
            let statements = rights::effective(&properties, all, resolver)?;
            self.functions.push(function(name, resource, &properties, statements)?);
            return Ok(());
        }
        let properties = resolver.value(&resource["Properties"])?;
        match kind {
            "AWS::Lambda::EventSourceMapping" => {
                let fed = resource["Properties"]["FunctionName"]["Ref"].as_str();
                let function = self.functions.iter_mut().find(|function| Some(function.name.as_str()) == fed);
                let function = function
                    .ok_or_else(|| template_error("FunctionName is not a !Ref to a function of the template"))?;
                add_source(function, &properties)?;
            }
            "AWS::DynamoDB::Table" => self.tables.push(create_table(&properties)?),
            "AWS::SQS::Queue" => self.queues.push(queue(resolver, name, &properties)?),
            "AWS::SNS::Topic" => self.topics.push(resolver.text(&json!({ "Ref": name }))?),
            "AWS::SNS::Subscription" => self.subscriptions.push(subscription(&properties)?),
            "AWS::Logs::SubscriptionFilter" => {
                self.log_subscriptions.push(log_subscription(resolver, name, &properties, all)?);
            }
            "AWS::SES::ConfigurationSet" => self.configuration_sets.push(resolver.text(&json!({ "Ref": name }))?),
            "AWS::SES::ConfigurationSetEventDestination" => {
                self.event_destinations.push(event_destination(&properties)?);
            }
            other => return Err(template_error(format!("the resource type {other} is not supported"))),
        }
        Ok(())
    }
}

/// Resource types without a meaning on one machine, or read through what refers to them.
const UNUSED: &[&str] = &[
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::HttpApi",
];

fn function(
    name: &str,
    resource: &Value,
    properties: &Value,
    statements: Vec<Statement>,
) -> Result<Function, TemplateError> {
    require_known(mapping(resource, name)?, &["Type", "IgnoreGlobals", "Metadata", "Properties"])?;
    let entries = mapping(properties, "Properties")?;
    require_known(
        entries,
        &[
            "FunctionName",
            "Handler",
            "MemorySize",
            "Timeout",
            "PermissionsBoundary",
            "Environment",
            "Events",
            "DeadLetterQueue",
            "EventInvokeConfig",
            "Policies",
        ],
    )?;
    let mut function = Function {
        name: name.to_owned(),
        operation: text(properties, "Handler")?,
        variables: variables(&properties["Environment"])?,
        timeout: Duration::from_secs(number(properties, "Timeout")?),
        routes: routes(&resource["Metadata"])?,
        schedules: Vec::new(),
        runs_when_deployed: false,
        streams: Vec::new(),
        topics: Vec::new(),
        queues: Vec::new(),
        attempts: 3,
        dead_letters: None,
        statements,
    };
    if let Some(config) = entries.get("EventInvokeConfig") {
        require_known(mapping(config, "EventInvokeConfig")?, &["MaximumRetryAttempts"])?;
        function.attempts = 1 + small(number(config, "MaximumRetryAttempts")?)?;
    }
    if let Some(queue) = entries.get("DeadLetterQueue") {
        function.dead_letters = Some(text(queue, "TargetArn")?);
    }
    for (event, trigger) in properties["Events"].as_object().into_iter().flatten() {
        let within = |error: TemplateError| template_error(format!("{event}: {}", error.0));
        add_trigger(&mut function, trigger).map_err(within)?;
    }
    Ok(function)
}

fn add_trigger(function: &mut Function, trigger: &Value) -> Result<(), TemplateError> {
    let properties = mapping(&trigger["Properties"], "Properties")?;
    let of = &trigger["Properties"];
    match trigger["Type"].as_str() {
        Some("Schedule") => {
            require_known(properties, &["Schedule", "State"])?;
            if properties.get("State").is_none_or(|state| state == "ENABLED") {
                function.schedules.push(Schedule { every: interval(&text(of, "Schedule")?)? });
            }
        }
        // The only other supported events are those of the stack's own deployment.
        Some("EventBridgeRule") => {
            require_known(properties, &["Pattern"])?;
            if properties.get("Pattern").is_none_or(|pattern| pattern["source"] != json!(["aws.cloudformation"])) {
                return Err(template_error("the pattern of events is not supported".to_owned()));
            }
            function.runs_when_deployed = true;
        }
        Some("SNS") => {
            require_known(properties, &["Topic", "FilterPolicy"])?;
            let filter = properties.get("FilterPolicy").map(pattern).transpose()?;
            function.topics.push(TopicTrigger { topic_arn: text(of, "Topic")?, filter });
        }
        other => return Err(template_error(format!("the trigger {other:?} is not supported"))),
    }
    Ok(())
}

/// The function's own `Routes`, from which the API's definition is generated (see [`crate::definition`]).
fn routes(metadata: &Value) -> Result<Vec<Route>, TemplateError> {
    let Some(metadata) = metadata.as_object() else { return Ok(Vec::new()) };
    require_known(metadata, &["Routes"])?;
    let written = metadata.get("Routes").map_or_else(|| Ok(Vec::new()), texts)?;
    written
        .into_iter()
        .map(|key| match key.split_once(' ') {
            None if key == "$default" => Ok(Route::Default),
            Some((method, path))
                if method.chars().all(|letter| letter.is_ascii_uppercase()) && path.starts_with('/') =>
            {
                Ok(Route::On { method: method.to_owned(), path: path.to_owned() })
            }
            _ => Err(template_error(format!("the route {key:?} is neither a method with a path nor $default"))),
        })
        .collect()
}

/// The most concurrent runs for a queue ("Configuring scaling behavior for SQS event source mappings", AWS Lambda
/// Developer Guide).
const MOST_RUNS: usize = 1000;

/// A source that Lambda polls for the function: a stream or a queue.
fn add_source(function: &mut Function, of: &Value) -> Result<(), TemplateError> {
    let properties = mapping(of, "Properties")?;
    let arn = text(of, "EventSourceArn")?;
    if arn.contains(":dynamodb:") {
        function.streams.push(stream(of, properties, arn)?);
        return Ok(());
    }
    let names = ["FunctionName", "EventSourceArn", "BatchSize", "FunctionResponseTypes", "ScalingConfig"];
    require_known(properties, &names)?;
    partial_failures(of)?;
    let concurrency = match properties.get("ScalingConfig") {
        Some(scaling) => count(scaling, "MaximumConcurrency")?,
        None => MOST_RUNS,
    };
    function.queues.push(QueueTrigger { queue_arn: arn, batch_size: count(of, "BatchSize")?, concurrency });
    Ok(())
}

fn stream(of: &Value, properties: &Map<String, Value>, stream_arn: String) -> Result<StreamTrigger, TemplateError> {
    require_known(
        properties,
        &[
            "FunctionName",
            "EventSourceArn",
            "StartingPosition",
            "BatchSize",
            "MaximumRetryAttempts",
            "BisectBatchOnFunctionError",
            // What there is runs at once.
            "MaximumBatchingWindowInSeconds",
            "ParallelizationFactor",
            "FunctionResponseTypes",
            "FilterCriteria",
        ],
    )?;
    partial_failures(of)?;
    let expected =
        json!({ "StartingPosition": "TRIM_HORIZON", "MaximumRetryAttempts": -1, "BisectBatchOnFunctionError": true });
    for (name, value) in expected.as_object().into_iter().flatten() {
        if properties.get(name) != Some(value) {
            return Err(template_error(format!("{name} other than {value} is not supported")));
        }
    }
    let table = stream_arn.split('/').nth(1).unwrap_or_default().to_owned();
    let filters = of["FilterCriteria"]["Filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let filters = filters
        .iter()
        .map(|filter| {
            let written = text(filter, "Pattern")?;
            pattern(&serde_json::from_str(&written).map_err(|error| template_error(format!("Pattern: {error}")))?)
        })
        .collect::<Result<_, _>>()?;
    Ok(StreamTrigger { table, stream_arn, batch_size: count(of, "BatchSize")?, filters })
}

/// Only functions that report partial batch failures are supported.
fn partial_failures(of: &Value) -> Result<(), TemplateError> {
    if of["FunctionResponseTypes"] == json!(["ReportBatchItemFailures"]) {
        Ok(())
    } else {
        Err(template_error("FunctionResponseTypes is not [ReportBatchItemFailures]"))
    }
}

fn pattern(written: &Value) -> Result<Pattern, TemplateError> {
    Pattern::read(written).map_err(template_error)
}

/// `rate(5 minutes)` as a duration.
fn interval(schedule: &str) -> Result<Duration, TemplateError> {
    let unknown = || template_error(format!("the schedule {schedule} is not supported"));
    let rate = schedule.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
    let (number, unit) = rate.split_once(' ').ok_or_else(unknown)?;
    let seconds = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(unknown()),
    };
    let number: u64 = number.parse().map_err(|_| unknown())?;
    Ok(Duration::from_secs(number * seconds))
}

fn variables(environment: &Value) -> Result<BTreeMap<String, String>, TemplateError> {
    let Some(variables) = environment["Variables"].as_object() else { return Ok(BTreeMap::new()) };
    variables.keys().map(|name| Ok((name.clone(), text(&environment["Variables"], name)?))).collect()
}

fn queue(resolver: &Resolver<'_>, name: &str, properties: &Value) -> Result<Queue, TemplateError> {
    let entries = mapping(properties, "Properties")?;
    require_known(
        entries,
        &["QueueName", "SqsManagedSseEnabled", "MessageRetentionPeriod", "VisibilityTimeout", "RedrivePolicy"],
    )?;
    let redrive = entries.get("RedrivePolicy").map(|policy| {
        let max_receives = small(number(policy, "maxReceiveCount")?)?;
        Ok(Redrive { to_arn: text(policy, "deadLetterTargetArn")?, max_receives })
    });
    let visibility = entries.get("VisibilityTimeout").map_or(Ok(30), |_| number(properties, "VisibilityTimeout"))?;
    Ok(Queue {
        name: resolver.text(&json!({ "Fn::GetAtt": [name, "QueueName"] }))?,
        arn: resolver.text(&json!({ "Fn::GetAtt": [name, "Arn"] }))?,
        visibility: Duration::from_secs(visibility),
        retention: Duration::from_secs(number(properties, "MessageRetentionPeriod")?),
        redrive: redrive.transpose()?,
    })
}

fn subscription(properties: &Value) -> Result<Subscription, TemplateError> {
    let entries = mapping(properties, "Properties")?;
    require_known(entries, &["TopicArn", "Protocol", "Endpoint", "RawMessageDelivery", "FilterPolicy"])?;
    if properties["Protocol"] != "sqs" {
        return Err(template_error(format!("a subscription by {} is not supported", properties["Protocol"])));
    }
    Ok(Subscription {
        topic_arn: text(properties, "TopicArn")?,
        queue_arn: text(properties, "Endpoint")?,
        raw: properties["RawMessageDelivery"] == true,
        filter: entries.get("FilterPolicy").map(pattern).transpose()?,
    })
}

fn log_subscription(
    resolver: &Resolver<'_>,
    name: &str,
    properties: &Value,
    all: &Map<String, Value>,
) -> Result<LogSubscription, TemplateError> {
    require_known(mapping(properties, "Properties")?, &["LogGroupName", "FilterPattern", "DestinationArn"])?;
    if properties["FilterPattern"] != "" {
        return Err(template_error("a FilterPattern other than of everything is not supported"));
    }
    let destination = text(properties, "DestinationArn")?;
    let is_destination = |function: &str, resource: &Value| {
        resource["Type"] == "AWS::Serverless::Function"
            && resolver.text(&json!({ "Fn::GetAtt": [function, "Arn"] })).is_ok_and(|arn| arn == destination)
    };
    let function = all.iter().find(|(function, resource)| is_destination(function, resource));
    let (_, function) =
        function.ok_or_else(|| template_error(format!("{destination} is not one of the template's functions")))?;
    let operation = text(&function["Properties"], "Handler")?;
    Ok(LogSubscription { name: name.to_owned(), group: text(properties, "LogGroupName")?, operation })
}

fn event_destination(properties: &Value) -> Result<EventDestination, TemplateError> {
    let of = &properties["EventDestination"];
    require_known(mapping(of, "EventDestination")?, &["Name", "Enabled", "MatchingEventTypes", "SnsDestination"])?;
    Ok(EventDestination {
        configuration_set: text(properties, "ConfigurationSetName")?,
        topic_arn: text(&of["SnsDestination"], "TopicARN")?,
        events: texts(&of["MatchingEventTypes"])?,
    })
}

fn outputs(outputs: &Value, resolver: &Resolver<'_>) -> Result<BTreeMap<String, String>, TemplateError> {
    let outputs = outputs.as_object().into_iter().flatten();
    outputs.map(|(name, output)| Ok((name.clone(), resolver.text(&output["Value"])?))).collect()
}

/// The `CreateTable` request for a table.
fn create_table(properties: &Value) -> Result<Value, TemplateError> {
    let entries = mapping(properties, "Properties")?;
    let taken = ["TableName", "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"];
    let without_meaning =
        ["PointInTimeRecoverySpecification", "SSESpecification", "StreamSpecification", "TimeToLiveSpecification"];
    require_known(entries, &[taken.as_slice(), &without_meaning].concat())?;
    let mut request: Map<String, Value> = entries
        .iter()
        .filter(|(name, _)| taken.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(stream) = entries.get("StreamSpecification") {
        let view = text(stream, "StreamViewType")?;
        request.insert("StreamSpecification".into(), json!({ "StreamEnabled": true, "StreamViewType": view }));
    }
    Ok(Value::Object(request))
}

/// A text or a list of texts.
fn texts(value: &Value) -> Result<Vec<String>, TemplateError> {
    let one = std::slice::from_ref(value);
    value
        .as_array()
        .map_or(one, Vec::as_slice)
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| template_error(format!("{item} but must be text"))))
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn mapping<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, TemplateError> {
    value.as_object().ok_or_else(|| template_error(format!("{what} is missing")))
}

fn require_known(entries: &Map<String, Value>, names: &[&str]) -> Result<(), TemplateError> {
    match entries.keys().find(|key| !names.contains(&key.as_str())) {
        Some(unknown) => Err(template_error(format!("{unknown} is not supported"))),
        None => Ok(()),
    }
}

fn text(of: &Value, name: &str) -> Result<String, TemplateError> {
    match &of[name] {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(template_error(format!("{name} is {other}, but must be text"))),
    }
}

fn number(of: &Value, name: &str) -> Result<u64, TemplateError> {
    // A parameter's value is a string.
    let number = of[name].as_u64().or_else(|| of[name].as_str()?.parse().ok());
    number.ok_or_else(|| template_error(format!("{name} is {}, but must be a number", of[name])))
}

fn count(of: &Value, name: &str) -> Result<usize, TemplateError> {
    usize::try_from(number(of, name)?).map_err(|_| template_error(format!("{name} is too large")))
}

fn small(number: u64) -> Result<u32, TemplateError> {
    u32::try_from(number).map_err(|_| template_error(format!("{number} is too large")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Template, TemplateError> {
        Template::read(text, &StackLocation::default(), &BTreeMap::new())
    }

    fn own() -> Template {
        with([])
    }

    fn with<const N: usize>(more: [(&str, &str); N]) -> Template {
        let given = [("PublicUrl", "http://127.0.0.1:4750"), ("SenderAddress", "phones@example.com")];
        let given = given.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Template::read(crate::TEMPLATE, &StackLocation::default(), &given).unwrap()
    }

    #[test]
    fn our_template_is_understood() {
        let template = own();
        assert_eq!(template.tables.len(), 2);
        let blocking = template.function("block-device").unwrap();
        assert_eq!(blocking.name, "BlockDevice");
        assert_eq!(blocking.routes[0].key(), "POST /devices/{device_id}/block");
        assert_eq!(blocking.variables["TABLE"], "handset");
        assert_eq!(template.function("not-found").unwrap().routes, [Route::Default]);
        let sending = template.function("send-message").unwrap();
        assert_eq!(sending.queues[0].queue_arn, "arn:aws:sqs:us-east-1:000000000000:handset-messages");
        assert!(
            sending.statements.iter().any(|statement| statement.senders.contains(&"phones@example.com".to_owned()))
        );
        assert_eq!(template.function("run-due").unwrap().schedules, [Schedule { every: Duration::from_secs(60) }]);
        assert!(template.function("refresh-issuer-keys").unwrap().schedules.is_empty(), "no issuer, no schedule");
        assert_eq!(template.function("run-due").unwrap().attempts, 1);
        assert_eq!(template.function("record-feedback").unwrap().attempts, 3);
        assert!(template.log_subscriptions.is_empty(), "texts are not logged");
        let group = "sns/us-east-1/000000000000/DirectPublishToPhoneNumber";
        let template = with([("SmsLogGroups", "new")]);
        let logs = template.log_subscriptions.iter().map(|logs| (logs.group.as_str(), logs.operation.as_str()));
        let failure = format!("{group}/Failure");
        assert_eq!(logs.collect::<Vec<_>>(), [(group, "record-feedback"), (failure.as_str(), "record-feedback")]);
        assert_eq!(template.configuration_sets, ["handset"]);
        assert_eq!(template.event_destinations[0].events, ["DELIVERY", "BOUNCE", "COMPLAINT", "REJECT"]);
        assert_eq!(
            template.outputs["PlatformEventsTopicArn"],
            "arn:aws:sns:us-east-1:000000000000:handset-platform-events"
        );
    }

    #[test]
    fn an_operation_has_one_name_everywhere() {
        for function in own().functions {
            let joined: String = function.operation.split('-').map(capitalized).collect();
            assert_eq!(function.name, joined);
        }
    }

    fn capitalized(word: &str) -> String {
        word[..1].to_uppercase() + &word[1..]
    }

    #[test]
    fn push_is_off_without_an_application_and_its_rights_with_it() {
        let sns = |template: &Template| {
            let statements = &template.function("notify-device").unwrap().statements;
            statements.iter().any(|statement| statement.actions[0].starts_with("sns:"))
        };
        assert!(!sns(&own()));
    }

    #[test]
    fn tables_are_made_as_the_template_says() {
        let template = own();
        let table = template.tables.iter().find(|table| table["TableName"] == "handset").unwrap();
        assert_eq!(table["StreamSpecification"], json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}));
        assert_eq!(table["GlobalSecondaryIndexes"].as_array().unwrap().len(), 14);
        assert!(table.get("SSESpecification").is_none());
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (text, name) in [
            ("Resources:\n  A: {Type: AWS::S3::Bucket, Properties: {}}", "AWS::S3::Bucket"),
            ("Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: 3}}", "DelaySeconds"),
            (
                "Resources:\n  A: {Type: AWS::Logs::SubscriptionFilter, Properties: {LogGroupName: g, FilterPattern: x, DestinationArn: y}}",
                "FilterPattern",
            ),
            (
                "Resources:\n  A: {Type: AWS::Logs::SubscriptionFilter, Properties: {LogGroupName: g, FilterPattern: '', DestinationArn: y}}",
                "not one of the template's functions",
            ),
            ("Globals: {Function: {Layers: []}}\nResources: {}", "Layers"),
            ("Resources:\n  A: {Type: AWS::Lambda::EventSourceMapping, Properties: {FunctionName: f}}", "FunctionName"),
            ("Parameters: {P: {Type: String}}\nResources: {}", "parameter P"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("rate(15 minutes)").unwrap(), Duration::from_secs(900));
        assert_eq!(interval("rate(1 hour)").unwrap(), Duration::from_secs(3600));
        assert!(interval("cron(0 0 * * ? *)").is_err());
    }
}
