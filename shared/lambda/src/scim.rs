//! SCIM's replies, of type `application/scim+json` (RFC 7644, 8.1), and its errors (3.12).

use domain::error::ScimType;
use domain::error::{DomainError, Error};
use domain::input::FieldError;
use domain::rules::scim::schema::ERROR;
use lambda_http::http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use crate::problem;
use crate::reply::Reply;

/// The media type of SCIM.
pub const CONTENT_TYPE: &str = "application/scim+json";

/// A reply with a SCIM resource or message. Like every reply here, it must not be cached.
#[must_use]
pub fn json(status: StatusCode, body: &Value) -> Reply {
    reply_with_body(status, body.to_string())
}

/// A reply without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Reply {
    reply_with_body(status, String::new())
}

fn reply_with_body(status: StatusCode, body: String) -> Reply {
    Reply::new(status, CONTENT_TYPE, body).with(HeaderName::from_static("cache-control"), "no-store")
}

/// The response for an error. Other errors than domain errors only tell the caller whether to retry: their
/// causes go to the log.
#[must_use]
pub(crate) fn reply(failure: &Error) -> Reply {
    match failure {
        Error::Refused(error) => domain_error_reply(error),
        Error::Conflict | Error::Unavailable { .. } => {
            let detail = "The service is busy; nothing is known to have changed. Try again.";
            let reply = error_reply(StatusCode::SERVICE_UNAVAILABLE, None, detail);
            reply.with(HeaderName::from_static("retry-after"), "1")
        }
        Error::Internal { .. } => internal(),
    }
}

/// The response for an internal error.
#[must_use]
pub(crate) fn internal() -> Reply {
    error_reply(StatusCode::INTERNAL_SERVER_ERROR, None, "Something went wrong on our side.")
}

/// `scimType` is set where RFC 7644 (table 9) has one for the error. Field errors become one sentence each.
fn domain_error_reply(error: &DomainError) -> Reply {
    let (status, scim_type) = match error {
        DomainError::Invalid(_) => (StatusCode::BAD_REQUEST, Some(ScimType::InvalidValue)),
        DomainError::Malformed(_) => (StatusCode::BAD_REQUEST, Some(ScimType::InvalidSyntax)),
        DomainError::Scim(scim_type, _) => (problem::status(error), Some(*scim_type)),
        DomainError::UsernameTaken | DomainError::ExternalIdTaken => {
            (problem::status(error), Some(ScimType::Uniqueness))
        }
        _ => (problem::status(error), None),
    };
    let detail = match error {
        DomainError::Invalid(errors) => errors.iter().map(to_sentence).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    problem::with_authenticate_header(error_reply(status, scim_type, &detail))
}

/// A field error as a sentence. An error without a field is one of the whole request.
fn to_sentence(error: &FieldError) -> String {
    let name = if error.field.is_empty() { "The request" } else { &error.field };
    format!("{name}: {}.", error.detail)
}

fn error_reply(status: StatusCode, scim_type: Option<ScimType>, detail: &str) -> Reply {
    let mut body = json!({"schemas": [ERROR], "status": status.as_str(), "detail": detail});
    if let Some(scim_type) = scim_type {
        body["scimType"] = json!(scim_type.as_str());
    }
    json(status, &body)
}
