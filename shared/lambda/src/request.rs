//! Requests as API Gateway sends them: events of an HTTP API, payload format 2.0.
//!
//! The event is parsed here rather than through `lambda_http::Request`, whose conversion builds a URL from the
//! caller's `Host` header and path and panics if they are invalid.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use domain::error::DomainError;
use domain::ids::timed_uuid;
use domain::input::Fields;
use domain::limits::BODY_LIMIT;
use domain::models::actor::Actor;
use domain::rules::context::EventContext;
use domain::secret::{Hash, Random};
use domain::{EventId, Time, WorkspaceId};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use uuid::Uuid;

use crate::json;

/// Clock and id source of a request: its time, and random bytes.
#[derive(Clone, Copy, Debug)]
pub struct IdSource {
    /// Time of the request.
    pub now: Time,
    /// Source of random bytes.
    pub random: Random,
}

impl IdSource {
    /// A source at a time.
    #[must_use]
    pub fn new(now: DateTime<Utc>, random: Random) -> Self {
        Self { now: now.into(), random }
    }

    /// A new identifier that contains the time.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let mut bytes = [0; 10];
        (self.random)(&mut bytes);
        timed_uuid(self.now, bytes)
    }

    /// A new event's identifier.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        EventId(self.new_id())
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The operation that handles it.
    pub operation: &'static str,
    /// Its time, and source of identifiers.
    pub id_source: IdSource,
    /// API Gateway's request identifier.
    pub request_id: String,
    /// IP address of the caller.
    pub source_ip: Option<String>,
    /// Its method. HEAD is handled like GET (RFC 9110, section 9.3.2), so it is GET here.
    pub method: Method,
    /// True for HEAD: the body is discarded, so showing the page counts for nothing.
    pub is_head: bool,
    /// Its path.
    pub raw_path: String,
    /// The path of the matching route, with parameter names in braces; `None` for the default route.
    pub route: Option<String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// True if unknown parameters and fields are errors.
    pub strict: bool,
    parameters: Vec<(String, String)>,
    raw_query: String,
    body: Vec<u8>,
}

impl Request {
    /// Time of the request.
    #[must_use]
    pub fn now(&self) -> Time {
        self.id_source.now
    }

    /// Parses an event.
    ///
    /// # Errors
    /// The parse error, if it is not an event of an HTTP API.
    pub fn read(operation: &'static str, id_source: IdSource, event: Value) -> Result<Self, serde_json::Error> {
        let event: ApiGatewayV2httpRequest = serde_json::from_value(event)?;
        let body = match event.body {
            None => Vec::new(),
            Some(body) if event.is_base64_encoded => STANDARD.decode(body).unwrap_or_default(),
            Some(body) => body.into_bytes(),
        };
        let context = event.request_context;
        let is_head = context.http.method == Method::HEAD;
        Ok(Self {
            operation,
            id_source,
            request_id: context.request_id.unwrap_or_default(),
            source_ip: context.http.source_ip,
            method: if is_head { Method::GET } else { context.http.method },
            is_head,
            raw_path: event.raw_path.unwrap_or_default(),
            route: context.route_key.as_deref().and_then(|key| Some(key.split_once(' ')?.1.to_owned())),
            headers: event.headers,
            strict: false,
            parameters: event.path_parameters.into_iter().collect(),
            raw_query: event.raw_query_string.unwrap_or_default(),
            body,
        })
    }

    /// A path parameter as an identifier. A malformed one names nothing that exists.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn path_id<T>(
        &self,
        name: &str,
        kind: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, DomainError> {
        parse(self.path(name)).ok_or(DomainError::NotFound(kind))
    }

    /// A path parameter, decoded; empty if the route has none of that name.
    #[must_use]
    pub fn path(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The text of a header; `None` if it is missing or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The query's parameters, decoded from the raw query: API Gateway's parsed form joins repeated ones by commas.
    ///
    /// # Errors
    /// An error of the query if it is not valid UTF-8 once decoded.
    pub fn query_pairs(&self) -> Result<Vec<(String, String)>, DomainError> {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            let decoded = percent_decode_str(&text).decode_utf8().map(String::from);
            decoded.map_err(|_| DomainError::field("", "invalid_encoding", "the query is not valid UTF-8"))
        };
        let pairs = self.raw_query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect()
    }

    /// The query's parameters as fields.
    ///
    /// # Errors
    /// See [`Request::query_pairs`].
    pub fn query(&self) -> Result<Fields, DomainError> {
        Ok(self.as_strict(Fields::from_query(self.query_pairs()?)))
    }

    /// The body as fields: a JSON object without repeated names. An empty body is an empty object.
    ///
    /// # Errors
    /// `TooLarge`; `Malformed` if it is not JSON; an error if it is JSON but not an object.
    pub fn body(&self) -> Result<Fields, DomainError> {
        self.check_size()?;
        if self.body.is_empty() {
            return Ok(self.as_strict(Fields::from_json(serde_json::Map::new())));
        }
        let malformed = |e: serde_json::Error| {
            DomainError::Malformed(format!("{} at line {} column {}", category(&e), e.line(), e.column()))
        };
        let (value, repeated) = json::read(&self.body).map_err(malformed)?;
        let Value::Object(fields) = value else {
            return Err(DomainError::field("", "wrong_type", "the body must be a JSON object"));
        };
        let mut fields = self.as_strict(Fields::from_json(fields));
        for name in repeated {
            fields.add_error(&name, "repeated", "must be given only once");
        }
        Ok(fields)
    }

    fn as_strict(&self, fields: Fields) -> Fields {
        if self.strict { fields.strict() } else { fields }
    }

    /// The raw body, which is not JSON.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn bytes(&self) -> Result<&[u8], DomainError> {
        self.check_size()?;
        Ok(&self.body)
    }

    /// True if the query has parameters.
    #[must_use]
    pub fn has_query(&self) -> bool {
        !self.raw_query.is_empty()
    }

    /// True if there is a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Hash of the body, to recognise a repeated call.
    #[must_use]
    pub fn body_hash(&self) -> Hash {
        Hash::of(&self.body)
    }

    /// Rejects a body that is larger than any operation accepts.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn check_size(&self) -> Result<(), DomainError> {
        if self.body.len() > BODY_LIMIT { Err(DomainError::TooLarge) } else { Ok(()) }
    }

    /// The context of an event by an actor in a workspace.
    #[must_use]
    pub fn new_event_context(&self, workspace_id: WorkspaceId, actor: Actor) -> EventContext {
        EventContext {
            event_id: self.id_source.event_id(),
            workspace_id,
            at: self.id_source.now,
            actor,
            token_id: None,
            operation: self.operation,
            request_id: self.request_id.clone(),
            source_ip: self.source_ip.clone(),
            job_id: None,
        }
    }

    /// Checks the version that the caller has seen: `If-Match` must be the `ETag` of the current version.
    /// Without that header any version is accepted.
    ///
    /// # Errors
    /// `VersionMismatch`.
    pub fn check_version(&self, version: u64) -> Result<(), DomainError> {
        let Some(expected) = self.headers.get("if-match") else {
            return Ok(());
        };
        let expected = expected.to_str().unwrap_or_default();
        let matches = expected.split(',').map(str::trim).any(|tag| tag == "*" || tag == format!("\"{version}\""));
        if matches { Ok(()) } else { Err(DomainError::VersionMismatch) }
    }
}

fn category(error: &serde_json::Error) -> &'static str {
    // The library reports it without a category of its own; for the sender it is invalid data.
    if error.to_string().starts_with("recursion limit exceeded") {
        return "it is nested too deeply";
    }
    match error.classify() {
        serde_json::error::Category::Eof => "it ends unexpectedly",
        serde_json::error::Category::Io => "it is unreadable",
        serde_json::error::Category::Syntax | serde_json::error::Category::Data => "syntax error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_told_so() {
        let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| category(&error));
        assert_eq!(read(&"[".repeat(200)), Err("it is nested too deeply"));
        assert_eq!(read("[}"), Err("syntax error"));
    }
}
