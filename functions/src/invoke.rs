//! Handles a Lambda event: from its JSON to the operation, and back.

use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use domain::Time;
use domain::error::Error;
use futures::FutureExt as _;
use lambda::logging::Chain;
use lambda::{AuthenticatedRequest, Reply, Request, authenticate, is_https};
use lambda_http::http::StatusCode;
use serde_json::Value;

use crate::operation::{Entry, Operation};
use crate::routes;
use crate::state::AppState;
use crate::triggers::Run;

/// Runs an operation on an event: an HTTP API event (payload format 2.0) for operations with a route, else the event of
/// its trigger. `deadline` is when Lambda would end the run.
///
/// # Errors
/// An error makes Lambda retry the event, or count it as failed. An operation with a route never fails: every error
/// becomes a reply.
pub async fn invoke(
    operation: &'static Operation,
    state: &AppState,
    event: Value,
    deadline: DateTime<Utc>,
) -> Result<Value, lambda_runtime::Error> {
    match operation.entry {
        Entry::Internal(run) => {
            let id_source = state.id_source();
            let request_id = id_source.new_id().to_string();
            let answer = run(
                state,
                Run {
                    operation: operation.name,
                    id_source,
                    request_id,
                    event,
                    deadline: Time::from(deadline),
                    clock: state.clock().clone(),
                },
            )
            .await;
            answer.map_err(|failure| {
                tracing::error!(operation = operation.name, error = %Chain(&failure), "the run failed");
                Box::from(failure)
            })
        }
        _ => Ok(handle_http(operation, state, event).await),
    }
}

async fn handle_http(operation: &'static Operation, state: &AppState, event: Value) -> Value {
    let over_https = is_https(&event);
    let cacheable = matches!(operation.entry, Entry::Public(_));
    let request = match Request::read(operation.name, state.id_source(), event) {
        Ok(mut request) => {
            request.strict = operation.is_strict();
            request
        }
        Err(error) => {
            tracing::error!(operation = operation.name, error = %Chain(&error), "the event cannot be read");
            let reply = operation.error_format.internal("").with_security_headers(over_https, cacheable);
            return reply.into_response_event(operation.error_format, "");
        }
    };
    let (request_id, is_head) = (request.request_id.clone(), request.is_head);
    let response = async {
        answer(operation, state, request).await.unwrap_or_else(|failure| {
            log(operation, &request_id, &failure);
            operation.error_format.reply(&failure, &request_id)
        })
    };
    // A panic is an internal error: this request fails, and the next one is served.
    let reply = match AssertUnwindSafe(response).catch_unwind().await {
        Ok(reply) => reply,
        Err(_) => {
            tracing::error!(operation = operation.name, request.id = request_id, "the operation panicked");
            operation.error_format.internal(&request_id)
        }
    };
    log_response(operation, &request_id, reply.status);
    let reply = if is_head { reply.without_body() } else { reply };
    reply.with_security_headers(over_https, cacheable).into_response_event(operation.error_format, &request_id)
}

async fn answer(operation: &'static Operation, state: &AppState, request: Request) -> Result<Reply, Error> {
    if !routes::allows(&request) {
        return routes::refuse(&request);
    }
    match &operation.entry {
        Entry::Admin(permission, run) => {
            let request = authenticate_caller(state, request).await?.authorize(std::slice::from_ref(permission))?;
            operation.refuse_unread_input(&request.http)?;
            run(state, request).await
        }
        Entry::AnyAdmin(permissions, run) => {
            let request = authenticate_caller(state, request).await?.authorize(permissions)?;
            operation.refuse_unread_input(&request.http)?;
            run(state, request).await
        }
        // Only for Seam, whose protocol ignores unknown input.
        Entry::AdminAnywhere(permission, run) => {
            run(
                state,
                authenticate_caller(state, request)
                    .await?
                    .authorize_in_any_workspace(std::slice::from_ref(permission))?,
            )
            .await
        }
        Entry::Member(run) => {
            let request = authenticate_caller(state, request).await?.authorize_member()?;
            operation.refuse_unread_input(&request.http)?;
            run(state, request).await
        }
        Entry::SignedIn(run) => {
            let request = authenticate_caller(state, request).await?.authorize_signed_in()?;
            operation.refuse_unread_input(&request.http)?;
            run(state, request).await
        }
        Entry::Device(run) | Entry::Code(run) | Entry::Public(run) => {
            request.check_size()?;
            run(state, request).await
        }
        Entry::Internal(_) => Err(Error::internal("routing", "this operation has no route")),
    }
}

/// Authenticates the caller.
async fn authenticate_caller(state: &AppState, request: Request) -> Result<AuthenticatedRequest, Error> {
    let callers = state.callers(request.now())?;
    authenticate(request, state.settings.issuer.as_ref(), &callers).await
}

fn log(operation: &Operation, request_id: &str, failure: &Error) {
    match failure {
        Error::Refused(error) => {
            tracing::info!(operation = operation.name, request.id = request_id, code = error.code(), "refused");
        }
        Error::Conflict | Error::Unavailable { .. } => {
            tracing::warn!(operation = operation.name, request.id = request_id, error = %Chain(failure), "unavailable");
        }
        Error::Internal { .. } => {
            tracing::error!(operation = operation.name, request.id = request_id, error = %Chain(failure), "failed");
        }
    }
}

fn log_response(operation: &Operation, request_id: &str, status: StatusCode) {
    tracing::info!(operation = operation.name, request.id = request_id, status = status.as_u16(), "served");
}
