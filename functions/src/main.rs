//! The program of every Lambda function: `_HANDLER` names the operation of this process.

use std::error::Error;

use aws::{Clients, Connection};
use functions::{AppState, Clock, Operation, Settings, invoke, operation};
use lambda_http::Context;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    lambda::logging::start();
    // One thread: a Lambda serves one event at a time.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let settings = Settings::from_variables(variable)?;
    let handler = variable("_HANDLER").unwrap_or_default();
    let operation: &'static Operation = operation(&handler).ok_or(format!("there is no operation {handler:?}"))?;
    let connection = Connection::new(settings.region.clone(), settings.credentials.clone());
    let state = AppState::new(settings, Clients::new(&connection), Clock::system());
    state.warm_up().await;
    let serve = |event: LambdaEvent<Value>| {
        let state = state.clone();
        async move { invoke(operation, &state, event.payload, deadline(&event.context)).await }
    };
    lambda_runtime::run(service_fn(serve)).await
}

fn deadline(context: &Context) -> chrono::DateTime<chrono::Utc> {
    context.deadline().into()
}

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
