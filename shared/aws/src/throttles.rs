//! Whether DynamoDB has throttled this process lately.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::Duration;
use domain::Time;
use serde::Deserialize;

/// DynamoDB's error codes for throttling.
const ERRORS: [&str; 4] =
    ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "Throttling"];

/// DynamoDB's reasons of a canceled transaction for throttling.
const REASONS: [&str; 2] = ["ThrottlingError", "ProvisionedThroughputExceeded"];

/// True for the code of an error by which DynamoDB throttles.
pub(crate) fn is_throttling_error(code: &str) -> bool {
    ERRORS.contains(&code)
}

/// True for the code of a reason why DynamoDB canceled a transaction, if it throttles.
pub(crate) fn is_throttling_reason(code: &str) -> bool {
    REASONS.contains(&code)
}

/// Notes DynamoDB's throttles, including those that a retry of the SDK hides. Clones share what they note.
#[derive(Clone, Debug)]
pub(crate) struct Throttles(Arc<Noted>);

#[derive(Debug)]
struct Noted {
    /// There was a throttle that has no time yet.
    new: AtomicBool,
    /// Time of the last throttle, in milliseconds.
    last: AtomicI64,
}

impl Throttles {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Noted { new: AtomicBool::new(false), last: AtomicI64::new(i64::MIN) }))
    }

    /// Notes a throttle.
    pub(crate) fn note(&self) {
        self.0.new.store(true, Ordering::Relaxed);
    }

    /// True if a throttle was noted at most this long ago. Its time is the `now` of the first question after it: a
    /// Lambda has one request at a time, and the request that was throttled asks itself.
    pub(crate) fn noted_within(&self, span: Duration, now: Time) -> bool {
        if self.0.new.swap(false, Ordering::Relaxed) {
            self.0.last.fetch_max(now.millis(), Ordering::Relaxed);
        }
        let age = now.millis().saturating_sub(self.0.last.load(Ordering::Relaxed));
        (0..span.num_milliseconds()).contains(&age)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Throttles {
    fn name(&self) -> &'static str {
        "Throttles"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().is_some_and(is_throttle) {
            self.note();
        }
        Ok(())
    }
}

/// The body of an error, as far as it tells of a throttle ("Amazon DynamoDB Developer Guide", Error handling).
#[derive(Deserialize)]
struct ErrorBody {
    /// The code after a namespace and `#`.
    #[serde(rename = "__type", default)]
    code: String,
    #[serde(rename = "CancellationReasons", default)]
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(rename = "Code", default)]
    code: String,
}

fn is_throttle(response: &HttpResponse) -> bool {
    if !response.status().is_client_error() {
        return false;
    }
    let body = response.body().bytes().unwrap_or_default();
    serde_json::from_slice(body).is_ok_and(|ErrorBody { code, reasons }| {
        is_throttling_error(code.rsplit('#').next().unwrap_or_default())
            || reasons.iter().any(|reason| is_throttling_reason(&reason.code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_throttled_by(status: u16, body: &str) -> bool {
        is_throttle(&HttpResponse::new(status.try_into().unwrap(), body.to_owned().into()))
    }

    #[test]
    fn errors_and_reasons_by_which_dynamodb_throttles_are_told_from_others() {
        let error = |code: &str| format!(r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{code}"}}"#);
        for code in ERRORS {
            assert!(is_throttled_by(400, &error(code)), "{code}");
        }
        for code in ["ConditionalCheckFailedException", "TransactionConflictException", "ValidationException"] {
            assert!(!is_throttled_by(400, &error(code)), "{code}");
        }
        let canceled = |code: &str| {
            format!(
                r#"{{"__type": "x#TransactionCanceledException",
                    "CancellationReasons": [{{"Code": "None"}}, {{"Code": "{code}", "Message": "…"}}]}}"#
            )
        };
        for code in REASONS {
            assert!(is_throttled_by(400, &canceled(code)), "{code}");
        }
        assert!(!is_throttled_by(400, &canceled("ConditionalCheckFailed")));
        assert!(!is_throttled_by(500, &error("InternalServerError")));
        assert!(!is_throttled_by(400, "no JSON"));
    }

    #[test]
    fn a_throttle_counts_from_the_first_question_after_it_for_as_long_as_is_asked() {
        let throttles = Throttles::new();
        let at = |seconds: i64| Time::parse("2026-11-23T08:00:00Z").unwrap().plus(Duration::seconds(seconds));
        let lately = |seconds| throttles.noted_within(Duration::seconds(10), at(seconds));
        assert!(!lately(0));
        throttles.clone().note();
        assert_eq!([3, 12, 13].map(lately), [true, true, false]);
        throttles.note();
        assert_eq!([20, 21, 19, 29, 30].map(lately), [true, true, false, true, false]);
    }
}
