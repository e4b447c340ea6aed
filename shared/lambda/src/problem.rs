//! Error responses as `application/problem+json` (RFC 9457).

use domain::Time;
use domain::error::{DomainError, Error, HeldDevice, ScimType};
use domain::input::FieldError;
use domain::permission::Permission;
use domain::states::InvitationStatus;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::reply::Reply;

/// The status of a domain error.
#[must_use]
pub fn status(error: &DomainError) -> StatusCode {
    match error {
        DomainError::Malformed(_) | DomainError::ContentType | DomainError::CursorInvalid => StatusCode::BAD_REQUEST,
        DomainError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        DomainError::Invalid(_) | DomainError::IdempotencyMismatch | DomainError::SortNotAvailable => StatusCode::UNPROCESSABLE_ENTITY,
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

/// Why a request failed (RFC 9457).
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: the code tells problems apart.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    #[schemars(extend("minimum" = 400, "maximum" = 599))]
    status: u16,
    /// Stable code for programs.
    code: String,
    /// What happened, for people.
    detail: String,
    /// Identifier of the request, as `x-request-id` has it.
    request_id: String,
    /// Every invalid field of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<FieldError>")]
    errors: Option<Vec<FieldError>>,
    /// Devices that prevent it: those that count towards the user's limit, or that were never wiped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<HeldDevice>")]
    devices: Option<Vec<HeldDevice>>,
    /// What the first call with this idempotency key created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    id: Option<String>,
    /// Current state of the command or the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    state: Option<String>,
    /// Current status of the invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "InvitationStatus")]
    invitation_status: Option<InvitationStatus>,
    /// The permission that is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Permission")]
    permission: Option<Permission>,
    /// Permissions, one of which is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Permission>")]
    permissions: Option<&'static [Permission]>,
    /// Earliest time for another try.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    retry_at: Option<Time>,
}

impl Problem {
    fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>, request_id: &str) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            request_id: request_id.to_owned(),
            ..Self::default()
        }
    }

    /// The problem of a domain error, with the fields of its kind of error.
    fn of(error: &DomainError, request_id: &str) -> Self {
        let problem = Self::new(status(error), error.code(), error.to_string(), request_id);
        match error {
            DomainError::Invalid(errors) => Self { errors: Some(errors.clone()), ..problem },
            DomainError::DeviceLimitReached(devices) | DomainError::WipeFirst(devices) => {
                Self { devices: Some(devices.clone()), ..problem }
            }
            DomainError::AlreadyCreated(id) => Self { id: Some(id.clone()), ..problem },
            DomainError::CommandOver(state) => Self { state: Some(state.to_string()), ..problem },
            DomainError::JobOver(state) => Self { state: Some(state.to_string()), ..problem },
            DomainError::InvitationOver(status) => Self { invitation_status: Some(*status), ..problem },
            DomainError::TooManyMessages(wait) => Self { retry_at: Some(wait.until), ..problem },
            DomainError::PermissionMissing(permission) | DomainError::PermissionNotHeld(permission) => {
                Self { permission: Some(*permission), ..problem }
            }
            DomainError::PermissionsMissing(permissions) => Self { permissions: Some(permissions), ..problem },
            _ => problem,
        }
    }

    fn reply(&self) -> Reply {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Reply::json(status, self);
        for (name, value) in &mut reply.headers {
            if name == "content-type" {
                *value = HeaderValue::from_static("application/problem+json");
            }
        }
        reply
    }
}

/// The response for an error. Other errors than domain errors only tell the caller whether to retry: their causes go
/// to the log.
#[must_use]
pub fn reply(failure: &Error, request_id: &str) -> Reply {
    match failure {
        Error::Refused(error) => domain_error_reply(error, request_id),
        Error::Conflict | Error::Unavailable { .. } => {
            let detail = "The service is busy; nothing is known to have changed. Try again.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, request_id);
            problem.reply().with(HeaderName::from_static("retry-after"), "1")
        }
        Error::Internal { .. } => internal(request_id),
    }
}

/// The response for an internal error.
#[must_use]
pub fn internal(request_id: &str) -> Reply {
    let detail = "Something went wrong on our side.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail, request_id).reply()
}

fn domain_error_reply(error: &DomainError, request_id: &str) -> Reply {
    let reply = with_authenticate_header(Problem::of(error, request_id).reply());
    match error {
        DomainError::TooManyMessages(wait) => reply.with_retry_after(wait.seconds),
        _ => reply,
    }
}

/// A 401 must name the accepted authentication scheme (RFC 9110, section 15.5.2).
pub(crate) fn with_authenticate_header(reply: Reply) -> Reply {
    if reply.status == StatusCode::UNAUTHORIZED {
        return reply.with(HeaderName::from_static("www-authenticate"), "Bearer");
    }
    reply
}
