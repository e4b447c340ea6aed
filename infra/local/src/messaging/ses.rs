//! SESv2: sending e-mail, identities, configuration sets.
//!
//! Codes and statuses are those of "Amazon SES API v2 Reference" (SendEmail,
//! CreateEmailIdentity, GetEmailIdentity, CreateConfigurationSet).

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fault::Fault;
use super::identity::{checked, may_send};
use super::mime::{Email, File};
use super::outbox::OutboxItem;
use super::{Messaging, feedback, new_id};

/// "Maximum number of recipients per message: 50": "Service quotas in Amazon SES".
const RECIPIENT_LIMIT: usize = 50;
/// "Maximum message size: 40 MB": there too.
const MESSAGE_LIMIT: usize = 40 * 1024 * 1024;
/// `MessageTag`: "no more than 256 characters".
const TAG_LIMIT: usize = 256;
/// The tags with a colon that SES lets a sender set.
const FEEDBACK_TAGS: [&str; 2] = ["ses:feedback-id-a", "ses:feedback-id-b"];

/// An e-mail, from either form of request.
pub(super) struct Mail {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) files: Vec<File>,
    pub(super) tags: Vec<Tag>,
    pub(super) configuration_set: Option<String>,
}

impl Mail {
    /// All recipients.
    pub(super) fn recipients(&self) -> impl Iterator<Item = &str> {
        let all = self.to.iter().chain(&self.cc).chain(&self.bcc);
        all.map(String::as_str)
    }

    fn size(&self) -> usize {
        let of_files: usize = self.files.iter().map(|file| file.content.len()).sum();
        let of_text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.subject.len() + of_text(&self.text) + of_text(&self.html) + of_files
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail {
    from_email_address: Option<String>,
    #[serde(default)]
    destination: Destination,
    #[serde(default)]
    reply_to_addresses: Vec<String>,
    content: Content,
    #[serde(default)]
    email_tags: Vec<Tag>,
    configuration_set_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    to_addresses: Vec<String>,
    cc_addresses: Vec<String>,
    bcc_addresses: Vec<String>,
}

impl Destination {
    fn is_empty(&self) -> bool {
        self.to_addresses.is_empty() && self.cc_addresses.is_empty() && self.bcc_addresses.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    simple: Option<Simple>,
    raw: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Text,
    body: Body,
    #[serde(default)]
    attachments: Vec<Attached>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Text>,
    html: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attached {
    raw_content: String,
    file_name: String,
    content_type: Option<String>,
    content_id: Option<String>,
    content_disposition: Option<Disposition>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Disposition {
    Attachment,
    Inline,
}

/// A name and a value that the e-mail's events repeat.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) value: String,
}

/// `POST /v2/email/outbound-emails`
pub(super) async fn send_email(State(messaging): State<Messaging>, body: Bytes) -> Response {
    respond(read(&body).and_then(|request| send(&messaging, request)))
}

fn send(messaging: &Messaging, request: SendEmail) -> Result<Value, Fault> {
    for tag in &request.email_tags {
        check_tag("name", &tag.name, FEEDBACK_TAGS.contains(&tag.name.as_str()))?;
        check_tag("value", &tag.value, false)?;
    }
    for address in &request.reply_to_addresses {
        checked(address)?;
    }
    let mail = mail(request)?;
    check(&mail)?;
    let id = message_id(messaging);
    let destination = {
        let mut state = messaging.state();
        let destination = match &mail.configuration_set {
            Some(name) => state.configuration_sets.get(name).cloned().ok_or_else(|| no_set(name))?,
            None => None,
        };
        if !may_send(&state.identities, checked(&mail.from)?) {
            return Err(unverified(&messaging.config().region, &mail.from));
        }
        if !feedback::is_rejected(&mail) {
            state.outbox.add(OutboxItem::email(&mail, messaging.now()));
        }
        destination
    };
    if let Some(destination) = destination {
        feedback::report(messaging, &destination, &mail, &id);
    }
    Ok(json!({ "MessageId": id }))
}

/// In SES's format: the time, a UUID, a counter.
fn message_id(messaging: &Messaging) -> String {
    let time = messaging.now().timestamp_millis();
    format!("0107{time:012x}-{}-000000", new_id())
}

fn mail(request: SendEmail) -> Result<Mail, Fault> {
    match (request.content.simple, request.content.raw) {
        (Some(simple), None) => Ok(Mail {
            from: request.from_email_address.unwrap_or_default(),
            to: request.destination.to_addresses,
            cc: request.destination.cc_addresses,
            bcc: request.destination.bcc_addresses,
            subject: simple.subject.data,
            text: simple.body.text.map(|text| text.data),
            html: simple.body.html.map(|html| html.data),
            files: simple.attachments.into_iter().map(file).collect::<Result<_, _>>()?,
            tags: request.email_tags,
            configuration_set: request.configuration_set_name,
        }),
        (None, Some(raw)) => {
            let email = Email::parse(&decode(&raw.data)?);
            Ok(raw_mail(
                email,
                request.from_email_address,
                request.destination,
                request.email_tags,
                request.configuration_set_name,
            ))
        }
        _ => Err(Fault::ses_bad_request("The content must be one of simple and raw; this endpoint has no templates.")),
    }
}

/// The request's sender and recipients take precedence over those of the headers.
fn raw_mail(
    email: Email,
    from: Option<String>,
    destination: Destination,
    tags: Vec<Tag>,
    configuration_set: Option<String>,
) -> Mail {
    let destination = if destination.is_empty() {
        Destination {
            to_addresses: email.addresses("to"),
            cc_addresses: email.addresses("cc"),
            bcc_addresses: email.addresses("bcc"),
        }
    } else {
        destination
    };
    Mail {
        from: from.or_else(|| email.header("from")).unwrap_or_default(),
        to: destination.to_addresses,
        cc: destination.cc_addresses,
        bcc: destination.bcc_addresses,
        subject: email.header("subject").unwrap_or_default(),
        text: email.text,
        html: email.html,
        files: email.files,
        tags,
        configuration_set,
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, Fault> {
    BASE64_STANDARD.decode(base64).map_err(|_| Fault::not_json())
}

/// The limits are those of `Attachment` in the API reference.
fn file(attached: Attached) -> Result<File, Fault> {
    let name = attached.file_name;
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Err(Fault::ses_bad_request("Attachment file name is not valid."));
    }
    let (content_id, content_type) = (attached.content_id, attached.content_type);
    let is_valid = |value: &String| (1..=78).contains(&value.len()) && !value.chars().any(char::is_control);
    if !content_id.iter().chain(&content_type).all(is_valid) {
        return Err(Fault::ses_bad_request("Attachment content id or type is not valid."));
    }
    if attached.content_disposition == Some(Disposition::Inline) && content_id.is_none() {
        return Err(Fault::ses_bad_request("An inline attachment needs a content id."));
    }
    Ok(File {
        content: decode(&attached.raw_content)?,
        content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        content_id,
        name,
    })
}

fn check(mail: &Mail) -> Result<(), Fault> {
    if mail.from.is_empty() {
        return Err(Fault::ses_bad_request("Missing required header 'From'."));
    }
    checked(&mail.from)?;
    let recipients: Vec<_> = mail.recipients().collect();
    if recipients.is_empty() {
        return Err(Fault::ses_bad_request("Missing required header 'To'."));
    }
    if recipients.len() > RECIPIENT_LIMIT {
        return Err(Fault::ses_bad_request("Recipient count exceeds 50."));
    }
    for recipient in recipients {
        checked(recipient)?;
    }
    if mail.text.is_none() && mail.html.is_none() && mail.files.is_empty() {
        return Err(Fault::ses_bad_request("The message has no body."));
    }
    if mail.size() > MESSAGE_LIMIT {
        return Err(Fault::ses_bad_request(format!("Message length is more than {MESSAGE_LIMIT} bytes long.")));
    }
    Ok(())
}

fn check_tag(part: &str, value: &str, is_reserved: bool) -> Result<(), Fault> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if value.is_empty() || value.len() > TAG_LIMIT {
        return Err(Fault::ses_bad_request(format!("The tag {part} must have between 1 and {TAG_LIMIT} characters.")));
    }
    if !is_reserved && !value.bytes().all(is_letter) {
        return Err(Fault::ses_bad_request(format!(
            "Invalid tag {part} <{value}>: only alphanumeric ASCII characters, '_', and '-' are \
             allowed."
        )));
    }
    Ok(())
}

fn no_set(name: &str) -> Fault {
    Fault::ses_not_found(format!("Configuration set <{name}> does not exist."))
}

/// SES names the sender as given and, if that has a display name, also without it.
fn unverified(region: &str, from: &str) -> Fault {
    let address = super::identity::bare(from);
    let mut identities = vec![from];
    if address != from {
        identities.push(address);
    }
    Fault::message_rejected(format!(
        "Email address is not verified. The following identities failed the check in region {}: {}",
        region.to_uppercase(),
        identities.join(", ")
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateEmailIdentity {
    email_identity: String,
}

/// `POST /v2/email/identities`. It stays unverified, since no verification link is sent.
pub(super) async fn create_email_identity(State(messaging): State<Messaging>, body: Bytes) -> Response {
    respond(read(&body).and_then(|request: CreateEmailIdentity| {
        let name = request.email_identity.to_lowercase();
        if name.contains('@') {
            checked(&name)?;
        } else if !name.contains('.') {
            return Err(Fault::ses_bad_request("Invalid email identity."));
        }
        let mut state = messaging.state();
        if state.identities.contains_key(&name) {
            return Err(Fault::ses_already_exists(format!("Email identity {name} already exist.")));
        }
        let reply = identity(&name, false);
        state.identities.insert(name, false);
        Ok(reply)
    }))
}

/// `GET /v2/email/identities/{EmailIdentity}`
pub(super) async fn get_email_identity(State(messaging): State<Messaging>, Path(name): Path<String>) -> Response {
    let found = messaging.state().identities.get(&name.to_lowercase()).copied();
    let missing = || Fault::ses_not_found(format!("Email identity {name} does not exist."));
    respond(found.ok_or_else(missing).map(|is_verified| {
        let mut reply = identity(&name, is_verified);
        let status = if is_verified { "SUCCESS" } else { "PENDING" };
        reply["FeedbackForwardingStatus"] = true.into();
        reply["VerificationStatus"] = status.into();
        reply["Policies"] = json!({});
        reply["Tags"] = json!([]);
        reply
    }))
}

fn identity(name: &str, is_verified: bool) -> Value {
    let kind = if name.contains('@') { "EMAIL_ADDRESS" } else { "DOMAIN" };
    json!({
        "IdentityType": kind,
        "VerifiedForSendingStatus": is_verified,
        "DkimAttributes": {
            "SigningEnabled": false,
            "Status": "NOT_STARTED",
            "SigningAttributesOrigin": "AWS_SES",
            "NextSigningKeyLength": "RSA_1024_BIT",
        },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateConfigurationSet {
    configuration_set_name: String,
}

/// `POST /v2/email/configuration-sets`
pub(super) async fn create_configuration_set(State(messaging): State<Messaging>, body: Bytes) -> Response {
    respond(read(&body).and_then(|request: CreateConfigurationSet| {
        let name = request.configuration_set_name;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_letter) {
            return Err(Fault::ses_bad_request(format!("Invalid configuration set name <{name}>.")));
        }
        let mut state = messaging.state();
        if state.configuration_sets.contains_key(&name) {
            return Err(Fault::ses_already_exists(format!("Configuration set <{name}> already exists.")));
        }
        state.configuration_sets.insert(name, None);
        Ok(json!({}))
    }))
}

/// Any other request.
pub(super) async fn unknown_operation() -> Response {
    respond(Err(Fault::unknown_operation()))
}

/// Distinguishes a body that is not JSON from JSON of another shape.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|error| if error.is_data() { Fault::ses_bad_request(error.to_string()) } else { Fault::not_json() })
}

fn respond(outcome: Result<Value, Fault>) -> Response {
    let id = new_id();
    let mut response = match outcome {
        Ok(reply) => (StatusCode::OK, reply.to_string()).into_response(),
        Err(fault) => {
            tracing::debug!(code = fault.code, "refused");
            let body = json!({ "message": fault.message }).to_string();
            (fault.status, [("x-amzn-errortype", fault.code)], body).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if let Ok(id) = id.parse() {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
