//! Replies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::error_format::ErrorFormat;

/// The largest body that a list makes, by [`wire_size`]: Lambda gives back 6 MB ("Lambda quotas").
pub const LIST_MOST: usize = 5_000_000;

/// The bytes that a text takes in a reply: the body is a text within the JSON that Lambda gives back,
/// in which each quotation mark and backslash takes two.
#[must_use]
pub fn wire_size(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body: text, or bytes that are none.
    pub body: Vec<u8>,
}

const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");
const CACHE_CONTROL: HeaderName = HeaderName::from_static("cache-control");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// For a year, browsers come by https alone (RFC 6797). Of the names beneath this one nothing is said: they may be
/// somebody else's.
const HTTPS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// True if a request came by https, as API Gateway says: it ends TLS itself, and writes this header whatever the
/// caller sent.
#[must_use]
pub fn came_by_https(event: &Value) -> bool {
    event["headers"]["x-forwarded-proto"].as_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

impl Reply {
    /// A reply of JSON, that nobody keeps.
    ///
    /// # Panics
    /// If the body is not JSON: a map with keys other than texts.
    #[must_use]
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a reply's keys are texts");
        Self::new(status, "application/json", body).with(CACHE_CONTROL, "no-store")
    }

    /// A reply with 200 and JSON.
    #[must_use]
    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// A reply with 200 and one thing, with the thing's version as its `ETag`.
    #[must_use]
    pub fn thing(body: &impl Serialize, version: u64) -> Self {
        Self::ok(body).versioned(version)
    }

    /// A page for a browser.
    #[must_use]
    pub fn page(status: StatusCode, html: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", html)
    }

    /// A reply of a media type.
    #[must_use]
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { status, headers, body: body.into() }
    }

    /// The reply with a version as its `ETag`.
    #[must_use]
    pub fn versioned(mut self, version: u64) -> Self {
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
            self.headers.push((HeaderName::from_static("etag"), tag));
        }
        self
    }

    /// The reply, which refuses for so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: i64) -> Self {
        self.headers.push((HeaderName::from_static("retry-after"), HeaderValue::from(seconds)));
        self
    }

    /// The reply with another header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The reply with `Allow`: the methods that its address takes, such as `GET, HEAD`.
    #[must_use]
    pub fn allowing(mut self, methods: &str) -> Self {
        if let Ok(methods) = HeaderValue::from_str(methods) {
            self.headers.push((HeaderName::from_static("allow"), methods));
        }
        self
    }

    /// The reply to HEAD: all but the body.
    #[must_use]
    pub fn without_body(self) -> Self {
        Self { body: Vec::new(), ..self }
    }

    /// The reply with what protects it on its way: a browser takes it for nothing else than it says it is, it comes
    /// by https alone once it came so, and nobody keeps it. Only a reply that depends on no credential and on no code
    /// may say that it may be kept.
    #[must_use]
    pub fn protected(self, by_https: bool, may_be_kept: bool) -> Self {
        let says = self.headers.iter().any(|(name, _)| *name == CACHE_CONTROL);
        let mut reply =
            self.set(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
        if by_https {
            reply = reply.set(HeaderName::from_static("strict-transport-security"), HTTPS_ALONE);
        }
        if says && may_be_kept { reply } else { reply.set(CACHE_CONTROL, NO_STORE) }
    }

    fn set(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    /// The reply as API Gateway takes it (payload format 2.0). Every reply names its request, in
    /// `x-request-id` and in the header of the operation's dialect.
    #[must_use]
    pub fn into_event(self, error_format: ErrorFormat, request_id: &str) -> Value {
        let mut headers = serde_json::Map::new();
        for (name, value) in &self.headers {
            headers.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
        }
        for name in [Some("x-request-id"), error_format.request_id_header()].into_iter().flatten() {
            headers.insert(name.to_owned(), request_id.into());
        }
        let (body, encoded) = match String::from_utf8(self.body) {
            Ok(text) => (text, false),
            Err(bytes) => (STANDARD.encode(bytes.as_bytes()), true),
        };
        serde_json::json!({
            "statusCode": self.status.as_u16(),
            "headers": headers,
            "body": body,
            "isBase64Encoded": encoded,
        })
    }
}
