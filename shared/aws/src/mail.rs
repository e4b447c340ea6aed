//! E-mail through SESv2.

use aws_sdk_sesv2::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{
    Attachment, AttachmentContentDisposition, AttachmentContentTransferEncoding, Body, Content, Destination,
    EmailContent, Message as SesMessage, MessageTag,
};
use thiserror::Error;

use crate::clients::Clients;
use crate::verdict::{Verdict, verdict};

/// An image in an e-mail.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Content id by which the HTML refers to an inline image (`cid:{content_id}`); `None` for an attachment.
    pub content_id: Option<String>,
    /// Its file name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An e-mail.
#[derive(Clone, Debug)]
pub struct Email {
    /// Sender address; `None` for the mailer's own.
    pub from: Option<String>,
    /// The recipient.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its body as plain text.
    pub text: String,
    /// Its body as HTML.
    pub html: String,
    /// Its pictures.
    pub pictures: Vec<Picture>,
    /// Tags that the mail service's reports repeat: names and values of letters, digits, `_`, `-`.
    pub tags: Vec<(String, String)>,
}

/// Why an e-mail was not sent.
#[derive(Debug, Error)]
pub enum MailError {
    /// SES is throttling or paused; sending can be retried.
    #[error("SES is throttling")]
    Throttled(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// SES rejects the message permanently, with a stable reason.
    #[error("SES refused the message: {0}")]
    Refused(String),
    /// The outcome is unknown.
    #[error("SES did not answer")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// SESv2 with a sender and a configuration set.
#[derive(Clone, Debug)]
pub struct Mailer {
    client: aws_sdk_sesv2::Client,
    sender: String,
    configuration_set: String,
}

impl Mailer {
    /// A mailer with a default sender address and the configuration set for reports.
    #[must_use]
    pub fn new(clients: &Clients, sender: String, configuration_set: String) -> Self {
        Self { client: clients.sesv2.clone(), sender, configuration_set }
    }
}

impl Mailer {
    /// Sends an e-mail and returns SES's message identifier. SES has no idempotency: after `Unknown` the e-mail
    /// may have been sent.
    pub async fn send(&self, email: Email) -> Result<String, MailError> {
        let built = |e: aws_sdk_sesv2::error::BuildError| MailError::Refused(e.to_string());
        let to = Destination::builder().to_addresses(&email.to).build();
        let mut request = self
            .client
            .send_email()
            .from_email_address(email.from.as_ref().unwrap_or(&self.sender))
            .configuration_set_name(&self.configuration_set)
            .destination(to);
        for (name, value) in &email.tags {
            request = request.email_tags(MessageTag::builder().name(name).value(value).build().map_err(built)?);
        }
        let content = EmailContent::builder().simple(simple(email).map_err(built)?).build();
        let output = request.content(content).send().await.map_err(mail_error)?;
        Ok(output.message_id.unwrap_or_default())
    }
}

fn simple(email: Email) -> Result<SesMessage, aws_sdk_sesv2::error::BuildError> {
    let utf8 = |text: String| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().text(utf8(email.text)?).html(utf8(email.html)?).build();
    let mut simple = SesMessage::builder().subject(utf8(email.subject)?).body(body);
    for picture in email.pictures {
        let disposition = match picture.content_id {
            Some(_) => AttachmentContentDisposition::Inline,
            None => AttachmentContentDisposition::Attachment,
        };
        simple = simple.attachments(
            Attachment::builder()
                .file_name(picture.name)
                .set_content_id(picture.content_id)
                .content_type(picture.content_type)
                .content_disposition(disposition)
                .content_transfer_encoding(AttachmentContentTransferEncoding::Base64)
                .raw_content(Blob::new(picture.bytes))
                .build()?,
        );
    }
    Ok(simple.build())
}

fn mail_error(error: SdkError<SendEmailError>) -> MailError {
    let verdict = match &error {
        SdkError::ServiceError(service) => verdict(service.raw().status().as_u16(), service.err().code()),
        _ => Verdict::Unknown,
    };
    match verdict {
        Verdict::Retry => MailError::Throttled(Box::new(error)),
        Verdict::Refused(reason) => MailError::Refused(reason),
        Verdict::Unknown => MailError::Unknown(Box::new(error)),
    }
}
