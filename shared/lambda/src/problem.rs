//! How a failure is told: RFC 9457, `application/problem+json`.

use domain::device::Device;
use domain::refusal::{Failure, Refusal};
use domain::scim::ScimType;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::reply::Reply;

/// The status that stands for a refusal.
#[must_use]
pub fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Malformed(_) | Refusal::ContentType | Refusal::CursorInvalid => StatusCode::BAD_REQUEST,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Invalid(_) | Refusal::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::CredentialMissing
        | Refusal::CredentialInvalid
        | Refusal::CredentialExpired
        | Refusal::CredentialRevoked
        | Refusal::ReEnrol
        | Refusal::CodeUnknown => StatusCode::UNAUTHORIZED,
        Refusal::PermissionMissing(_)
        | Refusal::PermissionsMissing(_)
        | Refusal::PermissionNotHeld(_)
        | Refusal::MemberOnly
        | Refusal::TokenMakesNoKeys
        | Refusal::FilterNotTaken
        | Refusal::DeviceBlocked
        | Refusal::UserSuspended
        | Refusal::UserLocked => StatusCode::FORBIDDEN,
        Refusal::NotFound(_) | Refusal::RouteNotFound => StatusCode::NOT_FOUND,
        Refusal::MethodNotAllowed | Refusal::OnlyMethods(_) => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
        Refusal::CodeExpired | Refusal::CodeUsed | Refusal::CodeSuperseded | Refusal::CodeRevoked => StatusCode::GONE,
        Refusal::VersionMismatch => StatusCode::PRECONDITION_FAILED,
        Refusal::TooManyMessages(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::DeviceLimitReached(_)
        | Refusal::IdentifierHeld
        | Refusal::DeviceDeleted
        | Refusal::DeviceErased
        | Refusal::ErasurePending
        | Refusal::CommandOver(_)
        | Refusal::InvitationOver(_)
        | Refusal::JobOver(_)
        | Refusal::WipeFirst(_)
        | Refusal::UserDeleted
        | Refusal::NotDeployed
        | Refusal::DeviceNotDeployed
        | Refusal::EmailMissing
        | Refusal::MobileMissing
        | Refusal::TextsOff
        | Refusal::CallingCodeNotAllowed
        | Refusal::UsernameTaken
        | Refusal::IdentityKeyTaken
        | Refusal::HeldByOtherSource
        | Refusal::ExternalIdTaken
        | Refusal::SourceNotUploaded
        | Refusal::SourcePushed
        | Refusal::NothingUploaded
        | Refusal::TooManySources
        | Refusal::TooManyWebhooks
        | Refusal::SyncRunning
        | Refusal::MemberExists
        | Refusal::LastAdmin
        | Refusal::MembershipAccepted
        | Refusal::TooManyMakers
        | Refusal::TooManyMade(_)
        // profiles
        | Refusal::ProfileNameTaken
        | Refusal::ProfileInUse
        | Refusal::ProfileJustGiven
        | Refusal::ProfileIsDefault
        | Refusal::AlreadyCreated(_) => StatusCode::CONFLICT,
        // scim
        Refusal::NotOffered => StatusCode::NOT_IMPLEMENTED,
        Refusal::Scim(scim_type, _) => match scim_type {
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

/// What a caller is told of a failure. Of what is not a refusal, nothing but that they may try
/// again: causes are for the log.
#[must_use]
pub fn reply(failure: &Failure, request_id: &str) -> Reply {
    match failure {
        Failure::Refused(refusal) => refused(refusal, request_id),
        Failure::LostRace | Failure::Unavailable { .. } => {
            let detail = "The service is busy; nothing is known to have changed. Try again.";
            let reply = problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, request_id, json!({}));
            reply.with(HeaderName::from_static("retry-after"), "1")
        }
        Failure::Internal { .. } => internal(request_id),
    }
}

/// What a caller is told of a fault of ours.
#[must_use]
pub fn internal(request_id: &str) -> Reply {
    let detail = "Something went wrong on our side.";
    problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail, request_id, json!({}))
}

fn refused(refusal: &Refusal, request_id: &str) -> Reply {
    let more = match refusal {
        Refusal::Invalid(faults) => json!({"errors": faults}),
        Refusal::DeviceLimitReached(devices) | Refusal::WipeFirst(devices) => {
            json!({"devices": devices.iter().map(held).collect::<Vec<_>>()})
        }
        Refusal::AlreadyCreated(id) => json!({"id": id}),
        Refusal::CommandOver(state) => json!({"state": state}),
        Refusal::InvitationOver(status) => json!({"invitation_status": status}),
        Refusal::JobOver(state) => json!({"state": state}),
        Refusal::TooManyMessages(wait) => json!({"retry_at": wait.until}),
        Refusal::PermissionMissing(permission) | Refusal::PermissionNotHeld(permission) => {
            json!({"permission": permission.as_str()})
        }
        Refusal::PermissionsMissing(permissions) => json!({"permissions": permissions}),
        _ => json!({}),
    };
    let status = status(refusal);
    let reply = with_what_is_asked(problem(status, &refusal.code(), &refusal.to_string(), request_id, more));
    match refusal {
        Refusal::TooManyMessages(wait) => reply.retry_after(wait.seconds),
        _ => reply,
    }
}

/// A refusal for want of a credential says which kind is taken (RFC 9110, section 15.5.2).
pub(crate) fn with_what_is_asked(reply: Reply) -> Reply {
    if reply.status == StatusCode::UNAUTHORIZED {
        return reply.with(HeaderName::from_static("www-authenticate"), "Bearer");
    }
    reply
}

/// What is told of a device that takes one of the places: enough to choose the one to delete.
fn held(device: &Device) -> Value {
    json!({
        "device_id": device.device_id,
        "display_name": device.display_name(),
        "model_name": device.model_name,
        "platform": device.platform,
        "created_at": device.created_at,
        "last_login_at": device.last_login_at,
    })
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
