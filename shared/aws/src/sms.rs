//! Text messages through SNS.

use std::collections::HashMap;

use aws_sdk_sns::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use aws_sdk_sns::types::MessageAttributeValue;
use thiserror::Error;

use crate::clients::Clients;
use crate::verdict::{Verdict, verdict};

/// Why a text was not sent.
#[derive(Debug, Error)]
pub enum SmsError {
    /// SNS is throttling; sending can be retried.
    #[error("SNS is throttling")]
    Throttled(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// SNS rejects the text permanently, with a stable reason.
    #[error("SNS refused the text: {0}")]
    Refused(String),
    /// The outcome is unknown.
    #[error("SNS did not answer")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// SNS for telephone numbers.
#[derive(Clone, Debug)]
pub struct Texter {
    client: aws_sdk_sns::Client,
}

impl Texter {
    /// A texter.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self { client: clients.sns.clone() }
    }
}

impl Texter {
    /// Sends a text to a number (E.164) and returns SNS's message identifier. The sender is a name of 1 to 11
    /// letters and digits with at least one letter, or an own number (E.164); without one, SNS chooses. SNS has
    /// no idempotency: after `Unknown` the text may have been sent.
    pub async fn text(&self, to: &str, text: &str, sender: Option<&str>) -> Result<String, SmsError> {
        let attributes = attributes(sender).ok_or_else(|| SmsError::Refused("InvalidSender".to_owned()))?;
        let publish = self.client.publish().phone_number(to).message(text).set_message_attributes(Some(attributes));
        Ok(publish.send().await.map_err(sms_error)?.message_id.unwrap_or_default())
    }
}

/// The attributes of a text ("Sending SMS messages", Amazon SNS Developer Guide); `None` if the
/// sender is neither a name nor a number.
fn attributes(sender: Option<&str>) -> Option<HashMap<String, MessageAttributeValue>> {
    let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build().ok();
    let mut attributes = HashMap::from([("AWS.SNS.SMS.SMSType".to_owned(), text("Transactional")?)]);
    if let Some(sender) = sender {
        attributes.insert(sender_attribute(sender)?.to_owned(), text(sender)?);
    }
    Some(attributes)
}

/// The attribute for a sender, by the sender's form.
fn sender_attribute(sender: &str) -> Option<&'static str> {
    if let Some(digits) = sender.strip_prefix('+') {
        let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        return is_number.then_some("AWS.MM.SMS.OriginationNumber");
    }
    let is_name = (1..=11).contains(&sender.len())
        && sender.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && sender.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_name.then_some("AWS.SNS.SMS.SenderID")
}

/// Keeps only SNS's error code, since its messages contain the number.
fn sms_error(error: SdkError<PublishError>) -> SmsError {
    let SdkError::ServiceError(service) = &error else {
        return SmsError::Unknown(Box::new(error));
    };
    let code = service.err().code();
    match verdict(service.raw().status().as_u16(), code) {
        Verdict::Retry => SmsError::Throttled(code.unwrap_or("no code").to_owned().into()),
        Verdict::Refused(reason) => SmsError::Refused(reason),
        Verdict::Unknown => SmsError::Unknown(code.unwrap_or("no code").to_owned().into()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sns::error::ErrorMetadata;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    #[test]
    fn what_sns_answers_is_told_apart_by_its_code_and_never_names_the_number() {
        let cases = [
            (400, "Throttling", "SNS is throttling: Throttling"),
            (400, "OptedOut", "SNS refused the text: OptedOut"),
            (400, "InvalidParameter", "SNS refused the text: InvalidParameter"),
            // The error is for the missing permission on the number.
            (403, "AuthorizationError", "SNS refused the text: access_denied"),
            (500, "InternalError", "SNS did not answer: InternalError"),
        ];
        for (status, code, expected) in cases {
            let metadata = ErrorMetadata::builder().code(code).message("… on resource: +491701234567").build();
            let status = StatusCode::try_from(status).expect("it is one");
            let answer = HttpResponse::new(status, "+491701234567".into());
            let error = sms_error(SdkError::service_error(PublishError::generic(metadata), answer));
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            assert_eq!(format!("{error}{}", source.unwrap_or_default()), expected);
            assert!(!format!("{error:?}").contains("1701234567"), "{code}");
        }
    }

    #[test]
    fn a_sender_is_a_name_or_a_number() {
        let (name, number) = (Some("AWS.SNS.SMS.SenderID"), Some("AWS.MM.SMS.OriginationNumber"));
        let cases = [
            ("A", name),
            ("Handset", name),
            ("4Handsets12", name),
            ("+491701234567", number),
            ("", None),
            ("12345", None),
            ("TwelveLetter", None),
            ("Hand set", None),
            ("Händler", None),
            ("+49 170", None),
            ("+491701234567890123", None),
        ];
        for (sender, expected) in cases {
            assert_eq!(sender_attribute(sender), expected, "{sender}");
        }
    }

    #[test]
    fn a_text_is_transactional_with_or_without_a_sender() {
        let value = |attributes: &HashMap<String, MessageAttributeValue>, name: &str| {
            attributes.get(name).and_then(|value| value.string_value.clone())
        };
        let plain = attributes(None).expect("no sender is no fault");
        assert_eq!(value(&plain, "AWS.SNS.SMS.SMSType").as_deref(), Some("Transactional"));
        assert_eq!(plain.len(), 1);
        let named = attributes(Some("Handset")).expect("it is a name");
        assert_eq!(value(&named, "AWS.SNS.SMS.SenderID").as_deref(), Some("Handset"));
        assert_eq!(attributes(Some("no name")), None);
    }
}
