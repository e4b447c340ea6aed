//! Error responses, with AWS's codes and statuses.

use http::StatusCode;

/// An error response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// AWS's code, for programs.
    pub(super) code: &'static str,
    /// AWS's wording where it is known, since programs parse some of it.
    pub(super) message: String,
}

impl Fault {
    fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    fn missing(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, message: message.into() }
    }

    /// A code of SNS whose status is 400.
    pub(super) fn sns(code: &'static str, message: impl Into<String>) -> Self {
        Self::bad_request(code, message)
    }

    /// SNS's `InvalidParameter`.
    pub(super) fn invalid_parameter(what: impl AsRef<str>) -> Self {
        Self::sns("InvalidParameter", format!("Invalid parameter: {}", what.as_ref()))
    }

    /// SNS's `NotFound`: `what` does not exist.
    pub(super) fn not_found(what: &str) -> Self {
        Self::missing("NotFound", format!("{what} does not exist"))
    }

    /// SNS's response to a missing parameter.
    pub(super) fn null_member(name: &str) -> Self {
        let mut member = name.to_owned();
        member[..1].make_ascii_lowercase();
        Self::sns(
            "ValidationError",
            format!(
                "1 validation error detected: Value null at '{member}' failed to satisfy \
                 constraint: Member must not be null"
            ),
        )
    }

    /// SES's `BadRequestException`.
    pub(super) fn ses_bad_request(message: impl Into<String>) -> Self {
        Self::bad_request("BadRequestException", message)
    }

    /// SES's `NotFoundException`.
    pub(super) fn ses_not_found(message: impl Into<String>) -> Self {
        Self::missing("NotFoundException", message)
    }

    /// SES's `AlreadyExistsException`.
    pub(super) fn ses_already_exists(message: impl Into<String>) -> Self {
        Self::bad_request("AlreadyExistsException", message)
    }

    /// SES's `MessageRejected`.
    pub(super) fn message_rejected(message: impl Into<String>) -> Self {
        Self::bad_request("MessageRejected", message)
    }

    /// A body that is not JSON.
    pub(super) fn not_json() -> Self {
        Self::bad_request("SerializationException", "The request body is not JSON.")
    }

    /// A path or method of no operation.
    pub(super) fn unknown_operation() -> Self {
        Self::missing("UnknownOperationException", "This endpoint does not have that operation.")
    }
}
