//! The operations as Lambda functions: each with its own variables, permissions, timeout and connection,
//! created when the stack starts, as a Lambda function is initialised before its first request.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::{Clients, Connection};
use functions::{AppState, Clock, Operation, Settings};
use futures::FutureExt;
use serde_json::Value;

use crate::template::{Function, StackLocation, Template};
use crate::{Invoke, Now, Wait, permissions, within};

/// Changes the connection of the named operation before it is used: to inject faults, to count calls, or to
/// wait by another clock.
pub type Adjust = Arc<dyn Fn(&str, Connection) -> Connection + Send + Sync>;

struct Lambda {
    operation: &'static Operation,
    state: AppState,
    timeout: std::time::Duration,
}

/// Creates every operation of the template over a connection to the local services.
///
/// # Errors
/// An operation that is in the template and not in the program, or whose variables are invalid.
pub fn operations(
    template: &Template,
    location: &StackLocation,
    connection: &Connection,
    adjust: Option<&Adjust>,
    now: &Now,
    wait: &Wait,
) -> Result<Invoke, String> {
    let made = template.functions.iter().map(|function| {
        let rights =
            permissions::with_permissions(connection.http.clone(), &function.operation, &function.statements, location);
        let mut own = connection.clone();
        own.http = rights;
        if let Some(adjust) = adjust {
            own = adjust(&function.operation, own);
        }
        Ok((function.operation.clone(), Arc::new(lambda(function, location, &own, now)?)))
    });
    let lambdas: BTreeMap<String, Arc<Lambda>> = made.collect::<Result<_, String>>()?;
    let (now, wait) = (Arc::clone(now), Arc::clone(wait));
    Ok(Arc::new(move |operation, event| match lambdas.get(operation) {
        Some(lambda) => run(Arc::clone(lambda), event, Arc::clone(&now), Arc::clone(&wait)).boxed(),
        None => std::future::ready(Err(format!("unknown operation {operation}"))).boxed(),
    }))
}

/// The state of one operation of the template, with only its own permissions.
///
/// # Errors
/// An operation that is not in the template, or whose variables are invalid.
pub(crate) fn state(
    name: &str,
    template: &Template,
    location: &StackLocation,
    connection: &Connection,
    now: &Now,
) -> Result<AppState, String> {
    let function = template.function(name).ok_or_else(|| format!("the template has no operation {name}"))?;
    let mut own = connection.clone();
    own.http = permissions::with_permissions(connection.http.clone(), name, &function.statements, location);
    state_of(function, location, &own, now)
}

fn lambda(function: &Function, location: &StackLocation, connection: &Connection, now: &Now) -> Result<Lambda, String> {
    let name = &function.operation;
    let operation = functions::operation(name).ok_or_else(|| format!("the program has no operation {name}"))?;
    Ok(Lambda { operation, state: state_of(function, location, connection, now)?, timeout: function.timeout })
}

fn state_of(
    function: &Function,
    location: &StackLocation,
    connection: &Connection,
    now: &Now,
) -> Result<AppState, String> {
    let name = &function.operation;
    let variable = |variable: &str| match variable {
        "AWS_REGION" => Some(location.region.clone()),
        other => function.variables.get(other).cloned(),
    };
    let settings = Settings::from_variables(variable).map_err(|error| format!("{name}: {error}"))?;
    Ok(AppState::new(settings, Clients::new(connection), Clock::from_fn(Arc::clone(now))))
}

/// One run in its own task: as on Lambda it continues when nobody waits for its reply any more, a panic only
/// fails this run, and a run that takes too long is ended.
async fn run(lambda: Arc<Lambda>, event: Value, now: Now, wait: Wait) -> Result<Value, String> {
    let (name, timeout) = (lambda.operation.name, lambda.timeout);
    let deadline = now() + chrono::Duration::from_std(timeout).unwrap_or_default();
    let task = async move { functions::invoke(lambda.operation, &lambda.state, event, deadline).await };
    let failure = match tokio::spawn(async move { within(&wait, timeout, task).await }).await {
        Ok(Some(Ok(reply))) => return Ok(reply),
        // The operation has logged its error itself.
        Ok(Some(Err(error))) => return Err(error.to_string()),
        Ok(None) => format!("timed out after {} s", timeout.as_secs()),
        Err(_) => "panicked".to_owned(),
    };
    eprintln!("{name} {failure}");
    Err(failure)
}
