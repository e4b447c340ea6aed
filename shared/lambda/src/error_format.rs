//! Error formats: each kind of client gets errors in the form that it can read.

use domain::error::Error;

use crate::reply::Reply;
use crate::{problem, scim, seam};

/// The format of error responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorFormat {
    /// Handset's own: RFC 9457.
    Problem,
    /// SCIM's: RFC 7644, 3.12.
    Scim,
    /// Seam's.
    Seam,
}

impl ErrorFormat {
    /// The response for an error.
    #[must_use]
    pub fn reply(self, failure: &Error, request_id: &str) -> Reply {
        match self {
            Self::Problem => problem::reply(failure, request_id),
            Self::Scim => scim::reply(failure),
            Self::Seam => seam::reply(failure, request_id),
        }
    }

    /// The response for an internal error.
    #[must_use]
    pub fn internal(self, request_id: &str) -> Reply {
        match self {
            Self::Problem => problem::internal(request_id),
            Self::Scim => scim::internal(),
            Self::Seam => seam::internal(request_id),
        }
    }

    /// The response header, besides `x-request-id`, that contains the request's identifier.
    #[must_use]
    pub fn request_id_header(self) -> Option<&'static str> {
        match self {
            Self::Problem | Self::Scim => None,
            Self::Seam => Some(seam::REQUEST_ID),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::error::DomainError;

    use super::*;

    fn retry_header(error_format: ErrorFormat, failure: impl Into<Error>, header: &str) -> (u16, Option<String>) {
        let reply = error_format.reply(&failure.into(), "1");
        let header = reply.headers.iter().find(|(name, _)| name == header);
        (reply.status.as_u16(), header.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned()))
    }

    #[test]
    fn in_each_form_a_caller_is_told_whether_and_how_to_try_again() {
        for error_format in [ErrorFormat::Problem, ErrorFormat::Scim, ErrorFormat::Seam] {
            let again = (503, Some("1".to_owned()));
            assert_eq!(retry_header(error_format, Error::Conflict, "retry-after"), again, "{error_format:?}");
            assert_eq!(
                retry_header(error_format, Error::unavailable("DynamoDB", "busy"), "retry-after"),
                again,
                "{error_format:?}"
            );
            let ours = Error::internal("reading", "+491701234567");
            assert_eq!(retry_header(error_format, ours, "retry-after"), (500, None), "{error_format:?}");
            for error in
                [DomainError::CredentialMissing, DomainError::CredentialInvalid, DomainError::CredentialExpired]
            {
                let bearer = (401, Some("Bearer".to_owned()));
                assert_eq!(retry_header(error_format, error, "www-authenticate"), bearer, "{error_format:?}");
            }
        }
    }

    #[test]
    fn in_no_form_a_caller_is_told_what_went_wrong_within() {
        let secret = "qzsecret";
        for error_format in [ErrorFormat::Problem, ErrorFormat::Scim, ErrorFormat::Seam] {
            for failure in [Error::internal("reading", secret), Error::unavailable("DynamoDB", secret)] {
                let reply = error_format.reply(&failure, "1");
                let said = format!("{:?} {}", reply.headers, String::from_utf8_lossy(&reply.body));
                assert!(!said.contains(secret) && !said.contains("DynamoDB"), "{error_format:?}: {said}");
            }
        }
    }
}
