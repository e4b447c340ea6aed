//! SNS: topics, publishing, text messages. Platform endpoints are in [`super::push`].
//!
//! Wording and order of errors follow "Amazon SNS API Reference" (Publish, PublishBatch) and, where it is
//! silent, observed responses of the service.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::fault::Fault;
use super::outbox::{Channel, OutboxItem};
use super::query::{Form, element, respond, text};
use super::{Messaging, TopicMessage, new_id, push, texts};

/// "Message size: 256 KB", body and attributes together: "Amazon SNS endpoints and quotas".
const MESSAGE_LIMIT: usize = 256 * 1024;
/// "1,600 characters" for one publish: "Sending SMS messages", Developer Guide.
const SMS_LIMIT: usize = 1600;
/// "Subjects must be … less than 100 characters long"; the service accepts 100.
const SUBJECT_LIMIT: usize = 100;
/// "Messages per PublishBatch request: 10": "Amazon SNS endpoints and quotas".
const BATCH_LIMIT: usize = 10;
/// "up to 80 characters": `PublishBatchRequestEntry`.
const BATCH_ID_LIMIT: usize = 80;
/// "The length of `MessageGroupId` is 128 characters": `PublishBatchRequestEntry`.
const GROUP_LIMIT: usize = 128;

/// Type and value of each attribute, a binary value in base64.
pub(super) type Attributes = BTreeMap<String, (String, String)>;

/// The result of an action, if it has one.
pub(super) type Outcome = Result<Option<String>, Fault>;

/// All actions, by their name in the form.
pub(super) async fn serve(State(messaging): State<Messaging>, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let action = form.get("Action").unwrap_or_default();
    let outcome = act(&messaging, action, &form);
    if let Err(fault) = &outcome {
        tracing::debug!(action, code = fault.code, "refused");
    }
    respond(action, outcome)
}

fn act(messaging: &Messaging, action: &str, form: &Form) -> Outcome {
    match action {
        "CreateTopic" => create_topic(messaging, form),
        "Publish" => publish(messaging, form),
        "PublishBatch" => publish_batch(messaging, form),
        "CreatePlatformApplication" => push::create_application(messaging, form),
        "CreatePlatformEndpoint" => push::create_endpoint(messaging, form),
        "GetEndpointAttributes" => push::get_attributes(messaging, form),
        "SetEndpointAttributes" => push::set_attributes(messaging, form),
        "DeleteEndpoint" => push::delete_endpoint(messaging, form),
        _ => Err(Fault::sns("InvalidAction", format!("Could not find operation {action} for version 2010-03-31"))),
    }
}

/// Idempotent: the same name is the same topic.
fn create_topic(messaging: &Messaging, form: &Form) -> Outcome {
    let name = form.required("Name")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 256 || !name.bytes().all(is_name) {
        return Err(Fault::invalid_parameter("Topic Name"));
    }
    if form.map("Attributes").get("FifoTopic").map(String::as_str) == Some("true") {
        return Err(Fault::invalid_parameter("Attributes Reason: this endpoint has no FIFO topics"));
    }
    let arn = messaging.arn("sns", name);
    messaging.state().topics.insert(arn.clone());
    Ok(Some(text("TopicArn", &arn)))
}

/// The destination of a publish.
enum Destination<'a> {
    Phone(&'a str),
    Endpoint(&'a str),
    Topic(&'a str),
}

impl<'a> Destination<'a> {
    fn read(messaging: &Messaging, form: &'a Form) -> Result<Self, Fault> {
        let [topic, target, phone] = ["TopicArn", "TargetArn", "PhoneNumber"].map(|name| form.get(name));
        match (topic, target, phone) {
            (None, None, Some(number)) => phone_number(number).map(Self::Phone),
            (None, Some(arn), None) if arn.contains(":endpoint/") => {
                check_arn(messaging, "TargetArn", arn)?;
                Ok(Self::Endpoint(arn))
            }
            // Either parameter can contain a topic.
            (Some(arn), None, None) | (None, Some(arn), None) => {
                check_arn(messaging, "TopicArn", arn)?;
                Ok(Self::Topic(arn))
            }
            (None, None, None) => {
                Err(Fault::invalid_parameter("TopicArn or TargetArn Reason: no value for required parameter"))
            }
            _ => {
                Err(Fault::invalid_parameter("TopicArn, TargetArn, PhoneNumber Reason: only one of them may be given"))
            }
        }
    }
}

/// E.164: a plus sign and up to 15 digits, the first of them not zero.
fn phone_number(number: &str) -> Result<&str, Fault> {
    let digits = number.strip_prefix('+').unwrap_or_default();
    let is_valid = (2..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    if is_valid {
        Ok(number)
    } else {
        Err(Fault::invalid_parameter(format!("PhoneNumber Reason: {number} is not valid to publish to")))
    }
}

/// An ARN has six parts, and is of this region.
pub(super) fn check_arn(messaging: &Messaging, parameter: &str, arn: &str) -> Result<(), Fault> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    if parts.len() < 6 {
        let count = parts.len();
        return Err(Fault::invalid_parameter(format!(
            "{parameter} Reason: An ARN must have at least 6 elements, not {count}"
        )));
    }
    if parts[3] != messaging.config().region {
        return Err(Fault::invalid_parameter(parameter));
    }
    Ok(())
}

/// A message to be published, after the checks that do not depend on its destination.
pub(super) struct Message<'a> {
    pub(super) subject: Option<&'a str>,
    pub(super) body: &'a str,
    /// True if the body is a JSON object with an entry for each protocol.
    pub(super) is_structured: bool,
    pub(super) attributes: Attributes,
    /// Used for topics only.
    group: Option<&'a str>,
}

impl<'a> Message<'a> {
    fn read(form: &'a Form, attributes: Attributes) -> Result<Self, Fault> {
        let is_structured = match form.get("MessageStructure") {
            None => false,
            Some("json") => true,
            Some(_) => return Err(Fault::invalid_parameter("MessageStructure")),
        };
        if form.get("MessageDeduplicationId").is_some() {
            return Err(Fault::invalid_parameter(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId \
                 parameter that is not valid for this topic type",
            ));
        }
        let message = Self {
            subject: form.get("Subject").map(subject).transpose()?,
            body: form.required("Message")?,
            is_structured,
            attributes,
            group: form.get("MessageGroupId").map(group).transpose()?,
        };
        if message.body.is_empty() {
            return Err(Fault::invalid_parameter("Empty message"));
        }
        Ok(message)
    }

    /// The bytes that count towards AWS's limit: the body, and name, type and value of attributes.
    fn size(&self) -> usize {
        let attributes = self.attributes.iter();
        let of_attribute =
            |(name, (kind, value)): (&String, &(String, String))| name.len() + kind.len() + value_size(kind, value);
        self.body.len() + attributes.map(of_attribute).sum::<usize>()
    }

    /// The entries of a structured body that are strings; others are ignored.
    pub(super) fn structure(&self) -> Result<BTreeMap<String, String>, Fault> {
        let not_json = || Fault::invalid_parameter("Message Structure - JSON message body failed to parse");
        let entries: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(self.body).map_err(|_| not_json())?;
        let strings = entries.into_iter().filter_map(|(name, value)| match value {
            serde_json::Value::String(value) => Some((name, value)),
            _ => None,
        });
        Ok(strings.collect())
    }

    /// The text for a protocol without its own entry.
    fn default_body(&self) -> Result<String, Fault> {
        if !self.is_structured {
            return Ok(self.body.to_owned());
        }
        self.structure()?
            .remove("default")
            .ok_or_else(|| Fault::invalid_parameter("Message Structure - No default entry in JSON message body"))
    }
}

fn subject(subject: &str) -> Result<&str, Fault> {
    let length = subject.chars().count();
    if (1..=SUBJECT_LIMIT).contains(&length) && !subject.chars().any(char::is_control) {
        Ok(subject)
    } else {
        Err(Fault::invalid_parameter("Subject"))
    }
}

/// "alphanumeric characters … and punctuation": `PublishBatchRequestEntry`.
fn group(group: &str) -> Result<&str, Fault> {
    if (1..=GROUP_LIMIT).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(group)
    } else {
        Err(Fault::invalid_parameter("MessageGroupId"))
    }
}

/// The size of a binary value is that of its bytes, not of its base64.
fn value_size(kind: &str, value: &str) -> usize {
    match kind.strip_prefix("Binary") {
        Some(_) => BASE64_STANDARD.decode(value).map_or(0, |bytes| bytes.len()),
        None => value.len(),
    }
}

fn attributes(form: &Form) -> Result<Attributes, Fault> {
    let entries = form.entries("MessageAttributes.entry");
    entries.iter().map(attribute).collect()
}

/// "Amazon SNS message attributes", Developer Guide.
fn attribute(entry: &Form) -> Result<(String, (String, String)), Fault> {
    let name = attribute_name(entry.get("Name").unwrap_or_default())?;
    let kind = entry.get("Value.DataType").unwrap_or_default();
    let invalid = |what: &str| Fault::sns("ParameterValueInvalid", format!("The message attribute '{name}' {what}"));
    if kind.is_empty() {
        return Err(invalid("must contain non-empty message attribute type."));
    }
    let field = match kind.split('.').next() {
        Some("String" | "Number") => "Value.StringValue",
        Some("Binary") => "Value.BinaryValue",
        _ => {
            return Err(invalid(
                "has an invalid message attribute type, the set of supported type prefixes is \
                 Binary, Number, and String.",
            ));
        }
    };
    let value = entry.get(field).unwrap_or_default();
    if value.is_empty() {
        return Err(invalid(&format!(
            "must contain non-empty message attribute value for message attribute type '{kind}'."
        )));
    }
    if kind == "Number" && value.parse::<f64>().is_err() {
        return Err(Fault::sns(
            "ParameterValueInvalid",
            format!("Could not cast message attribute '{name}' value to number."),
        ));
    }
    Ok((name.to_owned(), (kind.to_owned(), value.to_owned())))
}

fn attribute_name(name: &str) -> Result<&str, Fault> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_valid = (1..=256).contains(&name.len())
        && name.bytes().all(is_letter)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..");
    if is_valid {
        Ok(name)
    } else {
        Err(Fault::sns(
            "ParameterValueInvalid",
            "Invalid message attribute name. Can only include alphanumeric characters, hyphens, \
             underscores, or dots, none of them first, last or successive.",
        ))
    }
}

fn too_long() -> Fault {
    Fault::invalid_parameter("Message too long")
}

fn publish(messaging: &Messaging, form: &Form) -> Outcome {
    let destination = Destination::read(messaging, form)?;
    let message = Message::read(form, attributes(form)?)?;
    if message.size() > MESSAGE_LIMIT {
        return Err(too_long());
    }
    let id = match destination {
        Destination::Phone(number) => text_message(messaging, number, &message)?,
        Destination::Endpoint(arn) => push::publish(messaging, arn, &message)?,
        Destination::Topic(arn) => {
            check_topic(messaging, arn)?;
            publish_to_topic(messaging, arn, &message)?
        }
    };
    Ok(Some(text("MessageId", &id)))
}

fn text_message(messaging: &Messaging, number: &str, message: &Message<'_>) -> Result<String, Fault> {
    let body = message.default_body()?;
    if body.chars().count() > SMS_LIMIT {
        return Err(too_long());
    }
    let item = OutboxItem::bare(Channel::Sms, number, body, messaging.now());
    messaging.state().outbox.add(item);
    let id = new_id();
    texts::log_delivery(messaging, number, &id);
    Ok(id)
}

fn check_topic(messaging: &Messaging, arn: &str) -> Result<(), Fault> {
    if messaging.state().topics.contains(arn) { Ok(()) } else { Err(Fault::not_found("Topic")) }
}

fn publish_to_topic(messaging: &Messaging, arn: &str, message: &Message<'_>) -> Result<String, Fault> {
    let id = new_id();
    messaging.publish(TopicMessage {
        topic_arn: arn.to_owned(),
        message_id: id.clone(),
        subject: message.subject.map(str::to_owned),
        message: message.default_body()?,
        attributes: message.attributes.clone(),
        group: message.group.map(str::to_owned),
        timestamp: messaging.now(),
    });
    Ok(id)
}

/// A batch that is invalid itself is rejected completely; otherwise each entry has its own result.
fn publish_batch(messaging: &Messaging, form: &Form) -> Outcome {
    let arn = form.required("TopicArn")?;
    let entries = form.entries("PublishBatchRequestEntries.member");
    check_batch(&entries)?;
    check_arn(messaging, "TopicArn", arn)?;
    check_topic(messaging, arn)?;
    // An invalid attribute anywhere rejects the batch.
    let attributes: Vec<_> = entries.iter().map(attributes).collect::<Result<_, _>>()?;
    let messages: Vec<_> =
        entries.iter().zip(attributes).map(|(entry, attributes)| Message::read(entry, attributes)).collect();
    if messages.iter().flatten().map(Message::size).sum::<usize>() > MESSAGE_LIMIT {
        return Err(Fault::sns(
            "BatchRequestTooLong",
            "The length of all the messages put together is more than the limit.",
        ));
    }
    let (mut successful, mut failed) = (String::new(), String::new());
    for (entry, message) in entries.iter().zip(messages) {
        let id = entry.get("Id").unwrap_or_default();
        match message.and_then(|message| publish_to_topic(messaging, arn, &message)) {
            Ok(message_id) => successful.push_str(&batch_success(id, &message_id)),
            Err(fault) => failed.push_str(&batch_failure(id, &fault)),
        }
    }
    let lists = [("Successful", successful), ("Failed", failed)];
    Ok(Some(lists.map(|(name, list)| element(name, &list)).concat()))
}

fn check_batch(entries: &[Form]) -> Result<(), Fault> {
    if entries.is_empty() {
        return Err(Fault::sns("EmptyBatchRequest", "The batch request doesn't contain any entries."));
    }
    if entries.len() > BATCH_LIMIT {
        return Err(Fault::sns(
            "TooManyEntriesInBatchRequest",
            "The batch request contains more entries than permissible.",
        ));
    }
    let mut ids = BTreeSet::new();
    for entry in entries {
        let id = batch_id(entry.required("Id")?)?;
        if !ids.insert(id) {
            return Err(Fault::sns(
                "BatchEntryIdsNotDistinct",
                "Two or more batch entries in the request have the same Id.",
            ));
        }
    }
    Ok(())
}

fn batch_id(id: &str) -> Result<&str, Fault> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let what = if id.len() > BATCH_ID_LIMIT {
        "is too long"
    } else if id.is_empty() || !id.bytes().all(is_letter) {
        "contains an impermissible character"
    } else {
        return Ok(id);
    };
    Err(Fault::sns("InvalidBatchEntryId", format!("The Id of a batch entry in the batch request {what}: {id}")))
}

fn batch_success(id: &str, message_id: &str) -> String {
    let fields = [text("Id", id), text("MessageId", message_id)];
    element("member", &fields.concat())
}

fn batch_failure(id: &str, fault: &Fault) -> String {
    let fields =
        [text("Id", id), text("Code", fault.code), text("Message", &fault.message), text("SenderFault", "true")];
    element("member", &fields.concat())
}
