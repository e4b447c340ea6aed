//! Classifies errors of SES and SNS for a message.

/// What to do with a message after an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The service is throttling or paused: retry.
    Retry,
    /// The service rejects this message and would reject it again. Contains the reason: the service's code, or
    /// [`ACCESS_DENIED`] for all codes that mean it.
    Refused(String),
    /// The outcome is unknown: retry.
    Unknown,
}

/// The reason for a message that the account or the role may not send, from this sender or at all.
const ACCESS_DENIED: &str = "access_denied";

/// Classifies an error by its status and code ("Common Errors" and `SendEmail` in the SES API v2 reference,
/// "Common Error Types" and `Publish` in the SNS API reference). Any other 4xx means that the request itself is
/// invalid and would fail again, so it is not retried: otherwise it would delay other messages for days.
pub(crate) fn verdict(status: u16, code: Option<&str>) -> Verdict {
    match code {
        Some(
            "TooManyRequestsException"
            | "LimitExceededException"
            | "SendingPausedException"
            | "ThrottlingException"
            | "ThrottledException"
            | "Throttling"
            | "Throttled"
            | "RequestLimitExceeded",
        ) => Verdict::Retry,
        // Too many requests, or a request timeout, whatever their codes (RFC 9110; RFC 6585).
        _ if status == 429 => Verdict::Retry,
        _ if status == 408 => Verdict::Unknown,
        // Wrong credentials or a wrong clock of this run, which another run may not have.
        Some(
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "RequestTimeoutException",
        )
        | None => Verdict::Unknown,
        Some(
            "AccessDenied"
            | "AccessDeniedException"
            | "AuthorizationError"
            | "AuthorizationErrorException"
            | "NotAuthorized"
            | "UnauthorizedOperation",
        ) => Verdict::Refused(ACCESS_DENIED.to_owned()),
        Some(code) if (400..500).contains(&status) => Verdict::Refused(code.to_owned()),
        Some(_) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_ses_and_sns_ends_its_message_or_lets_it_be_tried_again() {
        let never = |reason: &str| Verdict::Refused(reason.to_owned());
        let cases = [
            // SES: no permission for the identity or the configuration set; then the codes of `SendEmail`.
            (403, "AccessDeniedException", never("access_denied")),
            (403, "AccessDenied", never("access_denied")),
            (400, "NotAuthorized", never("access_denied")),
            (400, "AccountSuspendedException", never("AccountSuspendedException")),
            (400, "BadRequestException", never("BadRequestException")),
            (400, "MailFromDomainNotVerifiedException", never("MailFromDomainNotVerifiedException")),
            (400, "MessageRejected", never("MessageRejected")),
            (404, "NotFoundException", never("NotFoundException")),
            (400, "ValidationException", never("ValidationException")),
            (400, "LimitExceededException", Verdict::Retry),
            (400, "SendingPausedException", Verdict::Retry),
            (429, "TooManyRequestsException", Verdict::Retry),
            (500, "InternalServiceErrorException", Verdict::Unknown),
            // SNS.
            (403, "AuthorizationError", never("access_denied")),
            (403, "AuthorizationErrorException", never("access_denied")),
            (400, "InvalidParameter", never("InvalidParameter")),
            (400, "OptedOut", never("OptedOut")),
            (400, "Throttling", Verdict::Retry),
            (429, "Throttled", Verdict::Retry),
            (500, "InternalError", Verdict::Unknown),
            (503, "ServiceUnavailable", Verdict::Unknown),
            // Errors that another run may not have.
            (403, "ExpiredTokenException", Verdict::Unknown),
            (403, "SignatureDoesNotMatch", Verdict::Unknown),
            (403, "InvalidClientTokenId", Verdict::Unknown),
        ];
        for (status, code, expected) in cases {
            assert_eq!(verdict(status, Some(code)), expected, "{code}");
        }
        assert_eq!(verdict(403, None), Verdict::Unknown, "nobody says why");
    }
}
