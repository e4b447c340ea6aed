//! How SCIM replies, and how it tells a failure (RFC 7644, 3.12): `application/scim+json`.

use domain::input::Fault;
use domain::refusal::{Failure, Refusal};
use domain::scim::ScimType;
use domain::scim::schema::ERROR;
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
pub(crate) fn reply(failure: &Failure) -> Reply {
    match failure {
        Failure::Refused(refusal) => refused(refusal),
        Failure::LostRace | Failure::Unavailable { .. } => {
            let detail = "The service is busy; nothing is known to have changed. Try again.";
            let reply = error(StatusCode::SERVICE_UNAVAILABLE, None, detail);
            reply.with(HeaderName::from_static("retry-after"), "1")
        }
        Failure::Internal { .. } => internal(),
    }
}

/// What a caller is told of a fault of ours.
#[must_use]
pub(crate) fn internal() -> Reply {
    error(StatusCode::INTERNAL_SERVER_ERROR, None, "Something went wrong on our side.")
}

fn refused(refusal: &Refusal) -> Reply {
    let (status, scim_type) = match refusal {
        Refusal::Invalid(_) => (StatusCode::BAD_REQUEST, Some(ScimType::InvalidValue)),
        Refusal::Malformed(_) => (StatusCode::BAD_REQUEST, Some(ScimType::InvalidSyntax)),
        Refusal::Scim(scim_type, _) => (problem::status(refusal), Some(*scim_type)),
        Refusal::UsernameTaken | Refusal::ExternalIdTaken => (problem::status(refusal), Some(ScimType::Uniqueness)),
        _ => (problem::status(refusal), None),
    };
    let detail = match refusal {
        Refusal::Invalid(faults) => faults.iter().map(told).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    problem::with_what_is_asked(error(status, scim_type, &detail))
}

/// A fault as a sentence.
fn told(fault: &Fault) -> String {
    let name = if fault.field.is_empty() { "The request" } else { &fault.field };
    format!("{name}: {}.", fault.detail)
}

fn error(status: StatusCode, scim_type: Option<ScimType>, detail: &str) -> Reply {
    let mut body = json!({"schemas": [ERROR], "status": status.as_str(), "detail": detail});
    if let Some(scim_type) = scim_type {
        body["scimType"] = json!(scim_type.as_str());
    }
    json(status, &body)
}
