//! The outbox: everything that was sent, for people and tests.

use std::collections::VecDeque;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::identity::bare;
use super::mime::File;
use super::ses::Mail;
use super::{Messaging, new_id, page};

/// How many of the newest items are kept.
pub const OUTBOX_LIMIT: usize = 5_000;

/// The channel of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// By SES.
    Email,
    /// By SNS, to a number.
    Sms,
    /// By SNS, to a platform endpoint.
    Push,
}

/// A file in an e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its file name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// The content id by which the HTML part refers to it (`cid:…`).
    pub content_id: Option<String>,
    /// Its length in bytes.
    pub size: usize,
    /// Its bytes in base64.
    pub content: String,
}

impl From<&File> for Attachment {
    fn from(file: &File) -> Self {
        Self {
            name: file.name.clone(),
            content_type: file.content_type.clone(),
            content_id: file.content_id.clone(),
            size: file.content.len(),
            content: BASE64_STANDARD.encode(&file.content),
        }
    }
}

/// An e-mail, a text message or a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxItem {
    /// The channel.
    pub channel: Channel,
    /// Addresses without display names (several are separated by `, `), a number, or an endpoint's ARN.
    pub to: String,
    /// An e-mail's subject.
    pub subject: Option<String>,
    /// An e-mail's text part, a text message, or the payload for the endpoint's platform.
    pub text: Option<String>,
    /// An e-mail's HTML part.
    pub html: Option<String>,
    /// An e-mail's files, inline ones too.
    pub attachments: Vec<Attachment>,
    /// When it was accepted.
    pub sent_at: DateTime<Utc>,
}

impl OutboxItem {
    pub(super) fn bare(channel: Channel, to: &str, text: String, sent_at: DateTime<Utc>) -> Self {
        Self {
            channel,
            to: to.to_owned(),
            subject: None,
            text: Some(text),
            html: None,
            attachments: Vec::new(),
            sent_at,
        }
    }

    pub(super) fn email(mail: &Mail, sent_at: DateTime<Utc>) -> Self {
        Self {
            channel: Channel::Email,
            to: mail.recipients().map(bare).collect::<Vec<_>>().join(", "),
            subject: Some(mail.subject.clone()),
            text: mail.text.clone(),
            html: mail.html.clone(),
            attachments: mail.files.iter().map(Attachment::from).collect(),
            sent_at,
        }
    }
}

/// The newest items, and the number of all items ever.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Outbox {
    newest_first: VecDeque<OutboxItem>,
    sent_count: u64,
}

impl Outbox {
    pub(super) fn add(&mut self, item: OutboxItem) {
        self.newest_first.push_front(item);
        self.newest_first.truncate(OUTBOX_LIMIT);
        self.sent_count += 1;
    }

    pub(super) fn items(&self) -> impl ExactSizeIterator<Item = &OutboxItem> {
        self.newest_first.iter()
    }

    pub(super) fn sent_count(&self) -> u64 {
        self.sent_count
    }

    pub(super) fn clear(&mut self) {
        self.newest_first.clear();
    }

    /// A version that changes with every change.
    fn version(&self) -> String {
        format!("\"{}-{}\"", self.sent_count, self.newest_first.len())
    }
}

/// `GET /_local/outbox`
pub(super) async fn serve(State(messaging): State<Messaging>, headers: HeaderMap) -> Response {
    let state = messaging.state();
    let version = state.outbox.version();
    let common = [(CACHE_CONTROL, "no-store".to_owned()), (ETAG, version.clone())];
    if wants_json(&headers) {
        let items: Vec<_> = state.outbox.items().collect();
        let body = json!({ "items": items }).to_string();
        return (common, [(CONTENT_TYPE, "application/json")], body).into_response();
    }
    let nonce = new_id();
    let page = page::render(state.outbox.items(), &messaging.config().base_url, &version, &nonce);
    let own = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, page::content_security_policy(&nonce)),
    ];
    (common, own, page.into_string()).into_response()
}

/// Browsers ask for HTML; a caller that does not and names JSON is a program.
fn wants_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let accept: String = values.filter_map(|value| value.to_str().ok()).collect();
    accept.contains("application/json") && !accept.contains("text/html")
}
