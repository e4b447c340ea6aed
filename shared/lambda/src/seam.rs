//! Seam's conventions: parameters of its clients, and its replies and errors.

use std::collections::BTreeMap;

use domain::error::{DomainError, Error};
use domain::input::{FieldError, Fields};
use lambda_http::http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::problem;
use crate::reply::Reply;
use crate::request::Request;

/// The header with the request's identifier on Seam's replies.
pub const REQUEST_ID: &str = "seam-request-id";

/// A 200 reply: the fields of `body`, and `ok`.
#[must_use]
pub fn ok(mut body: Value) -> Reply {
    body["ok"] = true.into();
    Reply::ok(&body)
}

/// The parameters of a request, from its query and its JSON body, which takes precedence. `_strict` is for
/// Seam's own gateway.
///
/// # Errors
/// `ContentType` for a body of another media type; `Malformed`, `TooLarge`; an error for a body that is not an
/// object.
pub fn parameters(request: &Request) -> Result<Fields, DomainError> {
    let mut values = nested(request.query_pairs()?);
    values.remove("_strict");
    if request.has_body() {
        require_json(request)?;
        values.extend(request.body()?.into_values().map_err(DomainError::Invalid)?);
    }
    Ok(Fields::from_parameters(values))
}

fn require_json(request: &Request) -> Result<(), DomainError> {
    let essence = |kind: &str| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // A body without a content type is parsed as JSON, and rejected if it is none.
    match request.header("content-type").map(essence) {
        Some(kind) if request.method != Method::GET && kind != "application/json" => Err(DomainError::ContentType),
        _ => Ok(()),
    }
}

/// The parameters of a query: a repeated name makes an array, a dot leads into an object, and an empty value is
/// `null`. A name that has a value cannot be an object as well, and keeps the value.
fn nested(pairs: Vec<(String, String)>) -> Map<String, Value> {
    let mut named: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in pairs {
        let value = if value.is_empty() { Value::Null } else { Value::String(value) };
        named.entry(name).or_default().push(value);
    }
    let mut values = Map::new();
    for (name, mut found) in named {
        let value = if found.len() == 1 { found.remove(0) } else { Value::Array(found) };
        match name.split_once('.') {
            None => {
                values.insert(name, value);
            }
            Some((record, key)) => {
                if let Value::Object(fields) = values.entry(record).or_insert_with(|| json!({})) {
                    fields.insert(key.to_owned(), value);
                }
            }
        }
    }
    values
}

/// The response for an error. Other errors than domain errors only tell the caller whether to retry: their
/// causes go to the log.
#[must_use]
pub(crate) fn reply(failure: &Error, request_id: &str) -> Reply {
    match failure {
        Error::Refused(error) => render(error, request_id),
        Error::Conflict | Error::Unavailable { .. } => {
            let message = "The service is busy; nothing is known to have changed. Try again.";
            let reply =
                error_reply(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message, request_id, &json!({}));
            reply.with(HeaderName::from_static("retry-after"), "1")
        }
        Error::Internal { .. } => internal(request_id),
    }
}

/// The response for an internal error.
#[must_use]
pub(crate) fn internal(request_id: &str) -> Reply {
    let message = "Something went wrong on our side.";
    error_reply(StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", message, request_id, &json!({}))
}

/// The response for a domain error outside of Seam's own operations, with the header that contains the
/// request's identifier.
#[must_use]
pub fn domain_error_reply(error: &DomainError, request_id: &str) -> Reply {
    let mut reply = render(error, request_id);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        reply.headers.push((HeaderName::from_static(REQUEST_ID), id));
    }
    reply
}

fn render(error: &DomainError, request_id: &str) -> Reply {
    match error {
        DomainError::Invalid(faults) => invalid(faults, request_id),
        DomainError::Malformed(_) | DomainError::CursorInvalid | DomainError::IdempotencyMismatch => {
            invalid(&[FieldError::new("", "invalid", error.to_string())], request_id)
        }
        // The device limit, and names that are taken: Seam's clients know them as invalid input.
        DomainError::DeviceLimitReached(_)
        | DomainError::UsernameTaken
        | DomainError::IdentityKeyTaken
        | DomainError::IdentifierHeld
        | DomainError::UserDeleted
        | DomainError::DeviceDeleted => invalid(&[FieldError::new("", "invalid", error.to_string())], request_id),
        DomainError::NotFound(kind) => {
            let message = format!("{} not found", sentence_name(kind));
            error_reply(StatusCode::NOT_FOUND, &error.code(), &message, request_id, &json!({}))
        }
        DomainError::OnlyMethods(methods) => {
            let status = problem::status(error);
            let reply = error_reply(status, &error.code(), &error.to_string(), request_id, &json!({}));
            reply.with_allow(methods)
        }
        other => {
            let status = problem::status(other);
            let reply = error_reply(status, &error_type(status, other), &other.to_string(), request_id, &json!({}));
            problem::with_authenticate_header(reply)
        }
    }
}

/// A kind of object at the start of a sentence: `user_identity` is `User identity`.
fn sentence_name(kind: &str) -> String {
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).map(|letter| if letter == '_' { ' ' } else { letter }).collect()
}

fn error_type(status: StatusCode, error: &DomainError) -> String {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized".to_owned(),
        _ => error.code(),
    }
}

/// The depth of nested errors: a field, and the fields within it. Deeper names are joined into the last level.
const MAX_DEPTH: usize = 3;

/// The errors of a field, and of the fields within it.
#[derive(Default)]
struct Errors {
    errors: Vec<String>,
    within: BTreeMap<String, Errors>,
}

impl Errors {
    /// The JSON form for Seam's clients. A caller's field named `_errors` is dropped, since the name is reserved.
    fn into_json(self) -> Value {
        let within = self.within.into_iter().map(|(name, errors)| (name, errors.into_json()));
        let own = [("_errors".to_owned(), json!(self.errors))];
        Value::Object(within.chain(own).collect())
    }
}

/// All errors, each under its field; those of no field, or of several, at the top.
fn invalid(faults: &[FieldError], request_id: &str) -> Reply {
    let mut tree = Errors::default();
    for fault in faults {
        let mut node = &mut tree;
        for part in fault.field.splitn(MAX_DEPTH, '.').filter(|part| !part.is_empty()) {
            node = node.within.entry(part.to_owned()).or_default();
        }
        let message = if fault.code == "missing" && !fault.field.is_empty() { "Required" } else { &fault.detail };
        node.errors.push(message.to_owned());
    }
    let message = match faults {
        [] => "Invalid input".to_owned(),
        [first, ..] if first.field.is_empty() => first.detail.clone(),
        [first, ..] => format!("{} {}", first.field, first.detail),
    };
    let more = json!({"validation_errors": tree.into_json()});
    error_reply(StatusCode::BAD_REQUEST, "invalid_input", &message, request_id, &more)
}

fn error_reply(status: StatusCode, error_type: &str, message: &str, request_id: &str, more: &Value) -> Reply {
    let mut error = json!({"type": error_type, "message": message, "request_id": request_id});
    if let (Some(error), Some(more)) = (error.as_object_mut(), more.as_object()) {
        error.extend(more.clone());
    }
    Reply::json(status, &json!({"error": error, "ok": false}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Value {
        let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Value::Object(nested(pairs))
    }

    #[test]
    fn a_query_is_read_as_seams_clients_write_it() {
        assert_eq!(
            read(&[("a", "1"), ("a", "2"), ("b", "x"), ("c", "")]),
            json!({"a": ["1", "2"], "b": "x", "c": null})
        );
        let has = read(&[("custom_metadata_has.site", "A.1"), ("custom_metadata_has.on", "true")]);
        assert_eq!(has, json!({"custom_metadata_has": {"site": "A.1", "on": "true"}}));
    }

    #[test]
    fn what_is_a_value_is_no_record_as_well() {
        assert_eq!(read(&[("a", "1"), ("a.b", "2")]), json!({"a": "1"}));
    }

    #[test]
    fn every_fault_stands_under_its_field() {
        let faults = [
            FieldError::new("device_id", "missing", "is required"),
            FieldError::new("custom_metadata.a", "too_long", "a value has at most 500 characters"),
            FieldError::new("", "missing", "Must specify either since or between"),
        ];
        let reply = invalid(&faults, "r1");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["error"]["message"], "device_id is required");
        assert_eq!(
            body["error"]["validation_errors"],
            json!({
                "_errors": ["Must specify either since or between"],
                "device_id": {"_errors": ["Required"]},
                "custom_metadata": {"_errors": [], "a": {"_errors": ["a value has at most 500 characters"]}},
            })
        );
        assert_eq!((body["ok"].clone(), body["error"]["request_id"].clone()), (json!(false), json!("r1")));
    }

    #[test]
    fn no_name_whatever_breaks_the_answer() {
        let deep = format!("custom_metadata.{}", "a.".repeat(100_000));
        for name in ["_errors", "_errors._errors.x", "custom_metadata._errors", ".", "a..b", &deep] {
            let reply = invalid(&[FieldError::new(name, "invalid_key", "is not good")], "r1");
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert!(body["error"]["validation_errors"]["_errors"].is_array(), "{name:.40}");
        }
    }
}
