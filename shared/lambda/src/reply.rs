//! HTTP replies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::error_format::ErrorFormat;

/// The largest body of a list, by [`wire_size`]: Lambda returns at most 6 MB ("Lambda quotas").
pub const LIST_BODY_LIMIT: usize = 5_000_000;

/// The size of a text in a reply: the body becomes a string in the JSON that Lambda returns, in which each
/// quotation mark and backslash takes two bytes.
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
    /// Its body, text or binary.
    pub body: Vec<u8>,
}

const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");
const CACHE_CONTROL: HeaderName = HeaderName::from_static("cache-control");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Browsers use https only for a year (RFC 6797). Subdomains are not included, since they may belong to others.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// True if a request came over https, according to API Gateway, which terminates TLS itself and overwrites this
/// header.
#[must_use]
pub fn is_https(event: &Value) -> bool {
    event["headers"]["x-forwarded-proto"].as_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

impl Reply {
    /// A JSON reply that must not be cached.
    ///
    /// # Panics
    /// If the body cannot be JSON: a map whose keys are not texts.
    #[must_use]
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a reply's keys are texts");
        Self::new(status, "application/json", body).with(CACHE_CONTROL, "no-store")
    }

    /// A 200 reply with JSON.
    #[must_use]
    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// A 200 reply with one object, and its version as `ETag`.
    #[must_use]
    pub fn ok_versioned(body: &impl Serialize, version: u64) -> Self {
        Self::ok(body).with_etag(version)
    }

    /// An HTML page.
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

    /// Adds a version as `ETag`.
    #[must_use]
    pub fn with_etag(mut self, version: u64) -> Self {
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
            self.headers.push((HeaderName::from_static("etag"), tag));
        }
        self
    }

    /// Adds `Retry-After` in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: i64) -> Self {
        self.headers.push((HeaderName::from_static("retry-after"), HeaderValue::from(seconds)));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Adds `Allow`: the methods of the address, such as `GET, HEAD`.
    #[must_use]
    pub fn with_allow(mut self, methods: &str) -> Self {
        if let Ok(methods) = HeaderValue::from_str(methods) {
            self.headers.push((HeaderName::from_static("allow"), methods));
        }
        self
    }

    /// The reply to HEAD: everything but the body.
    #[must_use]
    pub fn without_body(self) -> Self {
        Self { body: Vec::new(), ..self }
    }

    /// Adds security headers: no content sniffing, https only once a request came over https, and no caching.
    /// Only a reply that depends on no credential and no code may be cached.
    #[must_use]
    pub fn with_security_headers(self, by_https: bool, cacheable: bool) -> Self {
        let has_cache_control = self.headers.iter().any(|(name, _)| *name == CACHE_CONTROL);
        let mut reply =
            self.set(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
        if by_https {
            reply = reply.set(HeaderName::from_static("strict-transport-security"), HSTS);
        }
        if has_cache_control && cacheable { reply } else { reply.set(CACHE_CONTROL, NO_STORE) }
    }

    fn set(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    /// The reply as API Gateway expects it (payload format 2.0). Every reply has the request's identifier in
    /// `x-request-id`, and in the header of the operation's error format.
    #[must_use]
    pub fn into_response_event(self, error_format: ErrorFormat, request_id: &str) -> Value {
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
