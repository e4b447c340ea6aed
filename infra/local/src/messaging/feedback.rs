//! SES's events: those of a configuration set, published to its topic.
//!
//! The JSON follows "Contents of event data that Amazon SES publishes to Amazon SNS" and "Examples of event
//! data that Amazon SES publishes to Amazon SNS", SES Developer Guide. "Using the mailbox simulator manually",
//! in the same guide, defines the addresses that bounce or complain.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::identity::{bare, domain};
use super::ses::Mail;
use super::{Messaging, aws_time, new_id};

const SUBJECT: &str = "Amazon SES Email Event Notification";
const SIMULATOR: &str = "@simulator.amazonses.com";
/// The EICAR test file, which every scanner reports as a virus; in two parts, so that scanners ignore this
/// source file.
const VIRUS: [&str; 2] = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];

/// The event types that an event destination can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventType {
    /// Accepted; SES will try to deliver it.
    Send,
    /// The recipient's server accepted it.
    Delivery,
    /// The recipient's server rejected it permanently.
    Bounce,
    /// The recipient marked it as spam.
    Complaint,
    /// SES found a virus in it and did not send it.
    Reject,
}

impl EventType {
    /// Its name in `eventType`; in lower case, the name of the event's own object.
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "Send",
            Self::Delivery => "Delivery",
            Self::Bounce => "Bounce",
            Self::Complaint => "Complaint",
            Self::Reject => "Reject",
        }
    }
}

/// The destination of a configuration set's events, and their types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDestination {
    /// The topic.
    pub topic_arn: String,
    /// The event types that are published.
    pub event_types: Vec<EventType>,
}

impl EventDestination {
    /// Deliveries, bounces, complaints and rejects to a topic.
    #[must_use]
    pub fn to_topic(arn: &str) -> Self {
        Self {
            topic_arn: arn.to_owned(),
            event_types: vec![EventType::Delivery, EventType::Bounce, EventType::Complaint, EventType::Reject],
        }
    }
}

/// What happens to an e-mail at its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Bounced,
    Suppressed,
    Complained,
}

/// The mailbox simulator's addresses have the outcome in their name, with any `+label`.
fn outcome(recipient: &str) -> Outcome {
    let address = bare(recipient).to_lowercase();
    let mailbox = address.strip_suffix(SIMULATOR).unwrap_or_default();
    match mailbox.split('+').next() {
        Some("bounce") => Outcome::Bounced,
        Some("suppressionlist") => Outcome::Suppressed,
        Some("complaint") => Outcome::Complained,
        _ => Outcome::Delivered,
    }
}

/// True if SES would reject it.
pub(super) fn is_rejected(mail: &Mail) -> bool {
    let virus = VIRUS.concat();
    let holds = |content: &[u8]| content.windows(virus.len()).any(|window| window == virus.as_bytes());
    mail.files.iter().any(|file| holds(&file.content))
}

/// Publishes the events that the configuration set asks for, in the order in which they would happen.
pub(super) fn report(messaging: &Messaging, destination: &EventDestination, mail: &Mail, message_id: &str) {
    let about = about(messaging, mail, message_id);
    for (kind, details) in events(messaging, mail) {
        if !destination.event_types.contains(&kind) {
            continue;
        }
        let event = json!({
            "eventType": kind.name(),
            "mail": about,
            (kind.name().to_lowercase()): details,
        });
        messaging.publish_event(&destination.topic_arn, SUBJECT.to_owned(), &event);
    }
}

fn events(messaging: &Messaging, mail: &Mail) -> Vec<(EventType, Value)> {
    if is_rejected(mail) {
        return vec![(EventType::Reject, json!({"reason": "Bad content"}))];
    }
    let time = aws_time(messaging.now());
    let with = |fates: &[Outcome]| -> Vec<String> {
        let recipients = mail.recipients().map(bare);
        let chosen = recipients.filter(|recipient| fates.contains(&outcome(recipient)));
        chosen.map(str::to_owned).collect()
    };
    // A recipient who complains has received it first.
    let delivered = with(&[Outcome::Delivered, Outcome::Complained]);
    let bounced = with(&[Outcome::Bounced]);
    let suppressed = with(&[Outcome::Suppressed]);
    let complained = with(&[Outcome::Complained]);
    let mut events = vec![(EventType::Send, json!({}))];
    if !delivered.is_empty() {
        events.push((EventType::Delivery, delivery(&time, &delivered)));
    }
    if !bounced.is_empty() {
        events.push((EventType::Bounce, bounce(&time, "General", "smtp; 550 5.1.1 user unknown", &bounced)));
    }
    if !suppressed.is_empty() {
        let why = "Amazon SES has suppressed sending to this address because it has a recent \
                   history of bouncing as an invalid address.";
        events.push((EventType::Bounce, bounce(&time, "Suppressed", why, &suppressed)));
    }
    if !complained.is_empty() {
        events.push((EventType::Complaint, complaint(&time, &complained)));
    }
    events
}

fn delivery(time: &str, recipients: &[String]) -> Value {
    json!({
        "timestamp": time,
        "processingTimeMillis": 0,
        "recipients": recipients,
        "smtpResponse": "250 2.6.0 Message received",
        "reportingMTA": "localhost",
    })
}

fn bounce(time: &str, sub_type: &str, diagnostic: &str, recipients: &[String]) -> Value {
    let recipients = recipients.iter().map(|address| {
        json!({
            "emailAddress": address,
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": diagnostic,
        })
    });
    json!({
        "bounceType": "Permanent",
        "bounceSubType": sub_type,
        "bouncedRecipients": recipients.collect::<Vec<_>>(),
        "timestamp": time,
        "feedbackId": new_id(),
        "reportingMTA": "dsn; localhost",
    })
}

fn complaint(time: &str, recipients: &[String]) -> Value {
    let recipients = recipients.iter().map(|address| json!({"emailAddress": address}));
    json!({
        "complainedRecipients": recipients.collect::<Vec<_>>(),
        "timestamp": time,
        "feedbackId": new_id(),
        "complaintFeedbackType": "abuse",
        "arrivalDate": time,
    })
}

/// The `mail` object.
fn about(messaging: &Messaging, mail: &Mail, message_id: &str) -> Value {
    let identity = format!("identity/{}", bare(&mail.from));
    let to = mail.to.join(", ");
    let headers = [("From", &mail.from), ("To", &to), ("Subject", &mail.subject)]
        .map(|(name, value)| json!({"name": name, "value": value}));
    json!({
        "timestamp": aws_time(messaging.now()),
        "source": mail.from,
        "sourceArn": messaging.arn("ses", &identity),
        "sendingAccountId": messaging.config().account,
        "messageId": message_id,
        "destination": mail.recipients().map(bare).collect::<Vec<_>>(),
        "headersTruncated": false,
        "headers": headers,
        "commonHeaders": {
            "from": [mail.from],
            "to": mail.to,
            "messageId": message_id,
            "subject": mail.subject,
        },
        "tags": tags(mail),
    })
}

/// SES's own tags, then the sender's; each has a list of values.
fn tags(mail: &Mail) -> Map<String, Value> {
    let own = [
        ("ses:configuration-set", mail.configuration_set.as_deref().unwrap_or_default()),
        ("ses:source-ip", "127.0.0.1"),
        ("ses:from-domain", domain(bare(&mail.from))),
        ("ses:caller-identity", "local"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), json!([value])));
    let of_sender = mail.tags.iter().map(|tag| (tag.name.clone(), json!([tag.value])));
    own.into_iter().chain(of_sender).collect()
}
