//! What an error of SES or SNS says of a message.

/// What is to become of a message after an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The service is being asked too much, or has paused: the message is tried again.
    Later,
    /// The service refuses this very message, and would refuse it again. With the reason: the service's own code,
    /// or [`ACCESS_DENIED`] for each of the codes that mean it.
    Never(String),
    /// Nobody says what became of the call: it is tried again.
    Unknown,
}

/// The reason of a message that the account or the role has no right to send: from this sender, or at all.
const ACCESS_DENIED: &str = "access_denied";

/// Decides by the status and the code of an error ("Common Errors" and `SendEmail` in the SES API v2 reference,
/// "Common Error Types" and `Publish` in the SNS API reference). A request that is answered by another 4xx is at
/// fault itself, so that the same one is answered in the same way: it is over, or it would be tried for days while
/// others wait for their turn.
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
        ) => Verdict::Later,
        // Too many requests, and a request that did not come in time, whatever they are called (RFC 9110; RFC 6585).
        _ if status == 429 => Verdict::Later,
        _ if status == 408 => Verdict::Unknown,
        // The credentials or the clock of this run: another one has others.
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
        ) => Verdict::Never(ACCESS_DENIED.to_owned()),
        Some(code) if (400..500).contains(&status) => Verdict::Never(code.to_owned()),
        Some(_) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_ses_and_sns_ends_its_message_or_lets_it_be_tried_again() {
        let never = |reason: &str| Verdict::Never(reason.to_owned());
        let cases = [
            // SES: no right to the identity or the configuration set; then those of `SendEmail`.
            (403, "AccessDeniedException", never("access_denied")),
            (403, "AccessDenied", never("access_denied")),
            (400, "NotAuthorized", never("access_denied")),
            (400, "AccountSuspendedException", never("AccountSuspendedException")),
            (400, "BadRequestException", never("BadRequestException")),
            (400, "MailFromDomainNotVerifiedException", never("MailFromDomainNotVerifiedException")),
            (400, "MessageRejected", never("MessageRejected")),
            (404, "NotFoundException", never("NotFoundException")),
            (400, "ValidationException", never("ValidationException")),
            (400, "LimitExceededException", Verdict::Later),
            (400, "SendingPausedException", Verdict::Later),
            (429, "TooManyRequestsException", Verdict::Later),
            (500, "InternalServiceErrorException", Verdict::Unknown),
            // SNS.
            (403, "AuthorizationError", never("access_denied")),
            (403, "AuthorizationErrorException", never("access_denied")),
            (400, "InvalidParameter", never("InvalidParameter")),
            (400, "OptedOut", never("OptedOut")),
            (400, "Throttling", Verdict::Later),
            (429, "Throttled", Verdict::Later),
            (500, "InternalError", Verdict::Unknown),
            (503, "ServiceUnavailable", Verdict::Unknown),
            // What another run may have better.
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
