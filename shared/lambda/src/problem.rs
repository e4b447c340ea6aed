//! Error responses as `application/problem+json` (RFC 9457).

use domain::error::ScimType;
use domain::error::{DomainError, Error};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::reply::Reply;

/// The status of a domain error.
#[must_use]
pub fn status(error: &DomainError) -> StatusCode {
    match error {
        DomainError::Malformed(_) | DomainError::ContentType | DomainError::CursorInvalid => StatusCode::BAD_REQUEST,
        DomainError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        DomainError::Invalid(_) | DomainError::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        DomainError::CredentialMissing
        | DomainError::CredentialInvalid
        | DomainError::CredentialExpired
        | DomainError::CredentialRevoked
        | DomainError::ReEnrol
        | DomainError::CodeUnknown => StatusCode::UNAUTHORIZED,
        DomainError::PermissionMissing(_)
        | DomainError::PermissionsMissing(_)
        | DomainError::PermissionNotHeld(_)
        | DomainError::MemberOnly
        | DomainError::TokenMakesNoKeys
        | DomainError::FilterNotTaken
        | DomainError::DeviceBlocked
        | DomainError::UserSuspended
        | DomainError::UserLocked => StatusCode::FORBIDDEN,
        DomainError::NotFound(_) | DomainError::RouteNotFound => StatusCode::NOT_FOUND,
        DomainError::MethodNotAllowed | DomainError::OnlyMethods(_) => StatusCode::METHOD_NOT_ALLOWED,
        DomainError::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
        DomainError::CodeExpired | DomainError::CodeUsed | DomainError::CodeSuperseded | DomainError::CodeRevoked => StatusCode::GONE,
        DomainError::VersionMismatch => StatusCode::PRECONDITION_FAILED,
        DomainError::TooManyMessages(_) => StatusCode::TOO_MANY_REQUESTS,
        DomainError::DeviceLimitReached(_)
        | DomainError::IdentifierHeld
        | DomainError::DeviceDeleted
        | DomainError::DeviceErased
        | DomainError::ErasurePending
        | DomainError::CommandOver(_)
        | DomainError::InvitationOver(_)
        | DomainError::JobOver(_)
        | DomainError::WipeFirst(_)
        | DomainError::UserDeleted
        | DomainError::NotDeployed
        | DomainError::DeviceNotDeployed
        | DomainError::EmailMissing
        | DomainError::MobileMissing
        | DomainError::TextsOff
        | DomainError::CallingCodeNotAllowed
        | DomainError::UsernameTaken
        | DomainError::IdentityKeyTaken
        | DomainError::HeldByOtherSource
        | DomainError::ExternalIdTaken
        | DomainError::SourceNotUploaded
        | DomainError::SourcePushed
        | DomainError::NothingUploaded
        | DomainError::TooManySources
        | DomainError::TooManyWebhooks
        | DomainError::SyncRunning
        | DomainError::MemberExists
        | DomainError::LastAdmin
        | DomainError::MembershipAccepted
        | DomainError::TooManyMakers
        | DomainError::TooManyMade(_)
        // profiles
        | DomainError::ProfileNameTaken
        | DomainError::ProfileInUse
        | DomainError::ProfileJustGiven
        | DomainError::ProfileIsDefault
        | DomainError::AlreadyCreated(_) => StatusCode::CONFLICT,
        // scim
        DomainError::NotOffered => StatusCode::NOT_IMPLEMENTED,
        DomainError::Scim(scim_type, _) => match scim_type {
            ScimType::Uniqueness => StatusCode::CONFLICT,
            ScimType::InvalidFilter
            | ScimType::TooMany
            | ScimType::Mutability
            | ScimType::InvalidSyntax
            | ScimType::InvalidPath
            | ScimType::NoTarget
            | ScimType::InvalidValue => StatusCode::BAD_REQUEST,
        },
    }
}

/// The response for an error. Other errors than domain errors only tell the caller whether to retry: their
/// causes go to the log.
#[must_use]
pub fn reply(failure: &Error, request_id: &str) -> Reply {
    match failure {
        Error::Refused(error) => refused(error, request_id),
        Error::Conflict | Error::Unavailable { .. } => {
            let detail = "The service is busy; nothing is known to have changed. Try again.";
            let reply = problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, request_id, json!({}));
            reply.with(HeaderName::from_static("retry-after"), "1")
        }
        Error::Internal { .. } => internal(request_id),
    }
}

/// The response for an internal error.
#[must_use]
pub fn internal(request_id: &str) -> Reply {
    let detail = "Something went wrong on our side.";
    problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail, request_id, json!({}))
}

fn refused(error: &DomainError, request_id: &str) -> Reply {
    let more = match error {
        DomainError::Invalid(faults) => json!({"errors": faults}),
        DomainError::DeviceLimitReached(devices) | DomainError::WipeFirst(devices) => {
            json!({"devices": devices})
        }
        DomainError::AlreadyCreated(id) => json!({"id": id}),
        DomainError::CommandOver(state) => json!({"state": state}),
        DomainError::InvitationOver(status) => json!({"invitation_status": status}),
        DomainError::JobOver(state) => json!({"state": state}),
        DomainError::TooManyMessages(wait) => json!({"retry_at": wait.until}),
        DomainError::PermissionMissing(permission) | DomainError::PermissionNotHeld(permission) => {
            json!({"permission": permission.as_str()})
        }
        DomainError::PermissionsMissing(permissions) => json!({"permissions": permissions}),
        _ => json!({}),
    };
    let status = status(error);
    let reply = with_what_is_asked(problem(status, &error.code(), &error.to_string(), request_id, more));
    match error {
        DomainError::TooManyMessages(wait) => reply.retry_after(wait.seconds),
        _ => reply,
    }
}

/// A 401 must name the accepted authentication scheme (RFC 9110, section 15.5.2).
pub(crate) fn with_what_is_asked(reply: Reply) -> Reply {
    if reply.status == StatusCode::UNAUTHORIZED {
        return reply.with(HeaderName::from_static("www-authenticate"), "Bearer");
    }
    reply
}

fn problem(status: StatusCode, code: &str, detail: &str, request_id: &str, more: Value) -> Reply {
    let mut body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
        "request_id": request_id,
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    let mut reply = Reply::json(status, &body);
    for (name, value) in &mut reply.headers {
        if name == "content-type" {
            *value = HeaderValue::from_static("application/problem+json");
        }
    }
    reply
}
