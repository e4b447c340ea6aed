//! How SCIM replies, and how it tells a failure (RFC 7644, 3.12): `application/scim+json`.

use domain::error::ScimType;
use domain::error::{DomainError, Error};
use domain::input::FieldError;
use domain::rules::scim::schema::ERROR;
use lambda_http::http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use crate::problem;
use crate::reply::Reply;

/// The media type.
pub const CONTENT_TYPE: &str = "application/scim+json";

/// A reply of JSON, that nobody keeps.
#[must_use]
pub fn json(status: StatusCode, body: &Value) -> Reply {
    bare(status, body.to_string())
}

/// A reply without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Reply {
    bare(status, String::new())
}

fn bare(status: StatusCode, body: String) -> Reply {
    Reply::new(status, CONTENT_TYPE, body).with(HeaderName::from_static("cache-control"), "no-store")
}

/// What a caller is told of a failure. Of what is not a refusal, nothing but that they may try
/// again: causes are for the log.
#[must_use]
pub(crate) fn reply(failure: &Error) -> Reply {
    match failure {
        Error::Refused(error) => refused(error),
        Error::Conflict | Error::Unavailable { .. } => {
            let detail = "The service is busy; nothing is known to have changed. Try again.";
            let reply = error_reply(StatusCode::SERVICE_UNAVAILABLE, None, detail);
            reply.with(HeaderName::from_static("retry-after"), "1")
        }
        Error::Internal { .. } => internal(),
    }
}

/// What a caller is told of a fault of ours.
#[must_use]
pub(crate) fn internal() -> Reply {
    error_reply(StatusCode::INTERNAL_SERVER_ERROR, None, "Something went wrong on our side.")
}

fn refused(error: &DomainError) -> Reply {
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
        DomainError::Invalid(faults) => faults.iter().map(render).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    problem::with_what_is_asked(error_reply(status, scim_type, &detail))
}

/// A fault as a sentence.
fn render(fault: &FieldError) -> String {
    let name = if fault.field.is_empty() { "The request" } else { &fault.field };
    format!("{name}: {}.", fault.detail)
}

fn error_reply(status: StatusCode, scim_type: Option<ScimType>, detail: &str) -> Reply {
    let mut body = json!({"schemas": [ERROR], "status": status.as_str(), "detail": detail});
    if let Some(scim_type) = scim_type {
        body["scimType"] = json!(scim_type.as_str());
    }
    json(status, &body)
}
