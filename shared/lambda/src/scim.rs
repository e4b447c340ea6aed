//! SCIM's replies and errors: `application/scim+json` (RFC 7644, 3.12).

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

/// A JSON reply that must not be cached.
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
        DomainError::Invalid(faults) => faults.iter().map(render).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    problem::with_authenticate_header(error_reply(status, scim_type, &detail))
}

/// A field error as a sentence.
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
