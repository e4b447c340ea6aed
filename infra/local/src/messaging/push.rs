//! SNS's platform applications and endpoints, and their events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fault::Fault;
use super::outbox::{Channel, OutboxItem};
use super::query::{Form, element, text};
use super::sns::{Message, Outcome, check_arn};
use super::{Messaging, aws_time, new_id};

/// A token with this prefix belongs to an app that was removed: the first push to it is accepted, fails, and
/// disables its endpoint.
const STALE_TOKEN_PREFIX: &str = "stale-";
/// "less than 2KB": `CreatePlatformEndpoint`; error messages say 2048 bytes.
const CUSTOM_USER_DATA_LIMIT: usize = 2048;
/// The largest payload of APNs and FCM.
const PAYLOAD_LIMIT: usize = 4096;
/// "Setting up a mobile app in Amazon SNS", Developer Guide.
const PLATFORMS: [&str; 11] = [
    "ADM",
    "APNS",
    "APNS_SANDBOX",
    "APNS_VOIP",
    "APNS_VOIP_SANDBOX",
    "BAIDU",
    "GCM",
    "MACOS",
    "MACOS_SANDBOX",
    "MPNS",
    "WNS",
];

/// The topics of a platform application's events, by ARN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationEvents {
    /// An endpoint's attributes changed (`EventEndpointUpdated`).
    pub endpoint_updated: Option<String>,
    /// A push failed permanently (`EventDeliveryFailure`).
    pub delivery_failure: Option<String>,
}

impl ApplicationEvents {
    /// Both events to one topic.
    #[must_use]
    pub fn to_topic(arn: &str) -> Self {
        Self { endpoint_updated: Some(arn.to_owned()), delivery_failure: Some(arn.to_owned()) }
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = String> + use<> {
        [self.endpoint_updated.clone(), self.delivery_failure.clone()].into_iter().flatten()
    }
}

/// An app on a phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Endpoint {
    application: String,
    token: String,
    enabled: bool,
    custom_user_data: Option<String>,
}

/// The two last parts of `…:app/PLATFORM/name`.
fn platform_and_name(application: &str) -> (&str, &str) {
    let resource = application.rsplit(":app/").next().unwrap_or_default();
    resource.split_once('/').unwrap_or((resource, ""))
}

pub(super) fn create_application(messaging: &Messaging, form: &Form) -> Outcome {
    let name = form.required("Name")?;
    let platform = form.required("Platform")?;
    check_name(name)?;
    if !PLATFORMS.contains(&platform) {
        return Err(Fault::invalid_parameter(format!("Platform Reason: {platform} is not supported")));
    }
    let mut attributes = form.map("Attributes");
    if attributes.get("PlatformCredential").is_none_or(String::is_empty) {
        return Err(Fault::invalid_parameter("Attributes Reason: PlatformCredential is not provided"));
    }
    let arn = messaging.arn("sns", &format!("app/{platform}/{name}"));
    let mut state = messaging.state();
    let mut topic = |event| match attributes.remove(event) {
        Some(topic) if !state.topics.contains(&topic) => {
            Err(invalid_attribute(&format!("{event} is not an existing topic")))
        }
        topic => Ok(topic),
    };
    let events = ApplicationEvents {
        endpoint_updated: topic("EventEndpointUpdated")?,
        delivery_failure: topic("EventDeliveryFailure")?,
    };
    state.applications.insert(arn.clone(), events);
    Ok(Some(text("PlatformApplicationArn", &arn)))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let reason = if name.is_empty() {
        "cannot be empty"
    } else if name.len() > 256 {
        "must be at most 256 characters long"
    } else if !name.bytes().all(is_letter) {
        "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'"
    } else {
        return Ok(());
    };
    Err(Fault::invalid_parameter(format!("{name} Reason: {reason}")))
}

/// The attributes of an endpoint that a request changes.
#[derive(Default)]
struct Changes {
    token: Option<String>,
    enabled: Option<bool>,
    custom_user_data: Option<String>,
}

impl Changes {
    fn read(attributes: BTreeMap<String, String>) -> Result<Self, Fault> {
        let mut changes = Self::default();
        for (name, value) in attributes {
            match name.as_str() {
                "Token" => changes.token = Some(value),
                "Enabled" => changes.enabled = Some(boolean(&value)?),
                "CustomUserData" => changes.custom_user_data = Some(value),
                _ => {
                    return Err(invalid_attribute(&format!("Invalid attribute name: {name}")));
                }
            }
        }
        check_user_data(changes.custom_user_data.as_deref())?;
        Ok(changes)
    }
}

fn invalid_attribute(reason: &str) -> Fault {
    Fault::invalid_parameter(format!("Attributes Reason: {reason}"))
}

fn boolean(value: &str) -> Result<bool, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid_attribute("Invalid value for attribute: Enabled: must be true or false")),
    }
}

fn check_user_data(data: Option<&str>) -> Result<(), Fault> {
    match data {
        Some(data) if data.len() > CUSTOM_USER_DATA_LIMIT => Err(invalid_attribute(
            "Invalid value for attribute: CustomUserData: must be at most 2048 bytes long in \
             UTF-8 encoding",
        )),
        _ => Ok(()),
    }
}

/// "The device token for the iOS platform is returned in lowercase": `GetEndpointAttributes`.
fn stored_token(application: &str, token: &str) -> Result<String, Fault> {
    if token.is_empty() {
        return Err(Fault::invalid_parameter("Token Reason: cannot be empty"));
    }
    Ok(match platform_and_name(application).0 {
        platform if platform.starts_with("APNS") => token.to_ascii_lowercase(),
        _ => token.to_owned(),
    })
}

/// The same token with the same attributes gives the same endpoint; with other attributes it is an error that
/// names the existing endpoint. The default is enabled.
pub(super) fn create_endpoint(messaging: &Messaging, form: &Form) -> Outcome {
    let application = form.required("PlatformApplicationArn")?;
    let token = form.required("Token")?;
    let mut changes = Changes::read(form.map("Attributes"))?;
    // An attribute takes precedence over the parameter of the same name.
    let parameter = form.get("CustomUserData").map(str::to_owned);
    let custom_user_data = changes.custom_user_data.take().or(parameter);
    check_user_data(custom_user_data.as_deref())?;
    check_arn(messaging, "PlatformApplicationArn", application)?;

    let mut state = messaging.state();
    if !state.applications.contains_key(application) {
        return Err(Fault::not_found("PlatformApplication"));
    }
    let endpoint = Endpoint {
        application: application.to_owned(),
        token: stored_token(application, token)?,
        enabled: changes.enabled.unwrap_or(true),
        custom_user_data: custom_user_data.filter(|data| !data.is_empty()),
    };
    if let Some((arn, existing)) = find_by_token(&state.endpoints, application, &endpoint.token) {
        return if *existing == endpoint { Ok(Some(text("EndpointArn", arn))) } else { Err(token_taken(arn)) };
    }
    let arn = endpoint_arn(&state.endpoints, &endpoint);
    state.endpoints.insert(arn.clone(), endpoint);
    Ok(Some(text("EndpointArn", &arn)))
}

/// The application's endpoint with the token; each application has its own tokens.
fn find_by_token<'a>(
    endpoints: &'a BTreeMap<String, Endpoint>,
    application: &str,
    token: &str,
) -> Option<(&'a String, &'a Endpoint)> {
    endpoints.iter().find(|(_, endpoint)| endpoint.application == application && endpoint.token == token)
}

/// Clients parse the ARN out of this sentence, so it must match AWS's exactly.
fn token_taken(arn: &str) -> Fault {
    Fault::invalid_parameter(format!(
        "Token Reason: Endpoint {arn} already exists with the same Token, but different \
         attributes."
    ))
}

/// AWS's endpoint ids are name-based UUIDs, so a deleted endpoint that is created again may get the same ARN;
/// callers must tolerate that here too.
fn endpoint_arn(endpoints: &BTreeMap<String, Endpoint>, endpoint: &Endpoint) -> String {
    let prefix = endpoint.application.replacen(":app/", ":endpoint/", 1);
    let name = format!("{}/{}", endpoint.application, endpoint.token);
    let arn = format!("{prefix}/{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()));
    if endpoints.contains_key(&arn) {
        // The endpoint with that ARN has another token by now.
        format!("{prefix}/{}", crate::random_id())
    } else {
        arn
    }
}

pub(super) fn get_attributes(messaging: &Messaging, form: &Form) -> Outcome {
    let arn = form.required("EndpointArn")?;
    check_arn(messaging, "EndpointArn", arn)?;
    let state = messaging.state();
    let endpoint = state.endpoints.get(arn).ok_or_else(no_endpoint)?;
    let enabled = if endpoint.enabled { "true" } else { "false" };
    let mut attributes = vec![("Enabled", enabled), ("Token", &endpoint.token)];
    attributes.extend(endpoint.custom_user_data.as_deref().map(|data| ("CustomUserData", data)));
    let entries =
        attributes.into_iter().map(|(name, value)| element("entry", &(text("key", name) + &text("value", value))));
    Ok(Some(element("Attributes", &entries.collect::<String>())))
}

fn no_endpoint() -> Fault {
    Fault::not_found("Endpoint")
}

pub(super) fn set_attributes(messaging: &Messaging, form: &Form) -> Outcome {
    let arn = form.required("EndpointArn")?;
    check_arn(messaging, "EndpointArn", arn)?;
    let attributes = form.map("Attributes");
    if attributes.is_empty() {
        return Err(Fault::null_member("Attributes"));
    }
    let changes = Changes::read(attributes)?;
    let application = {
        let mut state = messaging.state();
        let before = state.endpoints.get(arn).ok_or_else(no_endpoint)?;
        let after = changed(before, changes)?;
        if after == *before {
            return Ok(None);
        }
        match find_by_token(&state.endpoints, &after.application, &after.token) {
            Some((other, _)) if other != arn => return Err(token_taken(other)),
            _ => {}
        }
        let application = after.application.clone();
        state.endpoints.insert(arn.to_owned(), after);
        application
    };
    announce_update(messaging, &application, arn);
    Ok(None)
}

fn changed(endpoint: &Endpoint, changes: Changes) -> Result<Endpoint, Fault> {
    let mut endpoint = endpoint.clone();
    if let Some(token) = changes.token {
        endpoint.token = stored_token(&endpoint.application, &token)?;
    }
    if let Some(enabled) = changes.enabled {
        endpoint.enabled = enabled;
    }
    if let Some(data) = changes.custom_user_data {
        endpoint.custom_user_data = Some(data).filter(|data| !data.is_empty());
    }
    Ok(endpoint)
}

/// Idempotent: "does not throw if the endpoint is already deleted".
pub(super) fn delete_endpoint(messaging: &Messaging, form: &Form) -> Outcome {
    let arn = form.required("EndpointArn")?;
    check_arn(messaging, "EndpointArn", arn)?;
    messaging.state().endpoints.remove(arn);
    Ok(None)
}

/// A push to one endpoint. Whether it arrives is reported later by events.
pub(super) fn publish(messaging: &Messaging, arn: &str, message: &Message<'_>) -> Result<String, Fault> {
    let id = new_id();
    let failed_application = {
        let mut state = messaging.state();
        let endpoint = state.endpoints.get_mut(arn).ok_or_else(no_target)?;
        if !endpoint.enabled {
            return Err(Fault::sns("EndpointDisabled", "Endpoint is disabled"));
        }
        let payload = payload(platform_and_name(&endpoint.application).0, message)?;
        let is_stale = endpoint.token.starts_with(STALE_TOKEN_PREFIX);
        endpoint.enabled = !is_stale;
        let application = is_stale.then(|| endpoint.application.clone());
        let item = OutboxItem::bare(Channel::Push, arn, payload, messaging.now());
        state.outbox.add(item);
        application
    };
    if let Some(application) = failed_application {
        announce_failure(messaging, &application, arn, &id);
        announce_update(messaging, &application, arn);
    }
    Ok(id)
}

/// Not `NotFound`: for SNS, publishing to a deleted endpoint is an invalid parameter.
fn no_target() -> Fault {
    Fault::invalid_parameter("TargetArn Reason: No endpoint found for the target arn specified")
}

/// The payload for the platform's service: its entry of a structured message, which must be JSON itself, or
/// else the default text.
fn payload(platform: &str, message: &Message<'_>) -> Result<String, Fault> {
    if !message.is_structured {
        return Ok(message.body.to_owned());
    }
    let invalid = |reason: &str| {
        Fault::invalid_parameter(format!("Message Reason: Invalid notification for protocol {platform}: {reason}"))
    };
    let mut entries = message.structure()?;
    let Some(payload) = entries.remove(platform) else {
        return entries.remove("default").ok_or_else(|| {
            Fault::invalid_parameter(format!("JSON must contain an entry for 'default' or '{platform}'."))
        });
    };
    if payload.len() > PAYLOAD_LIMIT {
        return Err(invalid("Notification is too large"));
    }
    match serde_json::from_str(&payload) {
        Ok(Value::Object(_)) => Ok(payload),
        _ => Err(invalid("JSON not well formed")),
    }
}

/// `InvalidPlatformToken`: "Amazon SNS management of Firebase Cloud Messaging endpoints",
/// Developer Guide, section "Detecting invalid tokens".
fn announce_failure(messaging: &Messaging, application: &str, endpoint: &str, message_id: &str) {
    let details = json!({
        "DeliveryAttempts": 1,
        "FailureMessage": "Platform token associated with the endpoint is not valid",
        "FailureType": "InvalidPlatformToken",
        "MessageId": message_id,
    });
    let topic = |events: &ApplicationEvents| events.delivery_failure.clone();
    announce(messaging, application, endpoint, "DeliveryFailure", topic, details);
}

/// "Any of the attributes of the platform endpoints … are changed", by SNS or by a caller:
/// "Amazon SNS application event notifications for mobile applications", Developer Guide.
fn announce_update(messaging: &Messaging, application: &str, endpoint: &str) {
    let topic = |events: &ApplicationEvents| events.endpoint_updated.clone();
    announce(messaging, application, endpoint, "EndpointUpdated", topic, json!({}));
}

/// Publishes an application's event, if it has a topic for that kind.
fn announce(
    messaging: &Messaging,
    application: &str,
    endpoint: &str,
    kind: &str,
    topic: impl Fn(&ApplicationEvents) -> Option<String>,
    mut event: Value,
) {
    let Some(topic) = messaging.state().applications.get(application).and_then(topic) else {
        return;
    };
    event["EndpointArn"] = endpoint.into();
    event["EventType"] = kind.into();
    event["Resource"] = application.into();
    event["Service"] = "SNS".into();
    event["Time"] = aws_time(messaging.now()).into();
    let (platform, name) = platform_and_name(application);
    let subject = format!("{kind} event for app {name} ({platform})");
    messaging.publish_event(&topic, subject, &event);
}
