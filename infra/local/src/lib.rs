//! The complete system on one machine: DynamoDB, SNS, SES, API Gateway and Lambda's triggers, in one process
//! with the same handlers that run on AWS.
//!
//! Invariant: which operations there are, with which permissions, tables and variables, is read only from
//! `template.yaml`, so that what works here is what is deployed.

pub mod api;
mod database;
pub mod definition;
pub mod demo;
pub mod description;
pub mod driver;
pub mod gateway;
pub mod lines;
pub mod logs;
pub mod messaging;
pub mod operations;
pub mod patterns;
pub mod people;
pub mod permissions;
pub mod queue;
pub mod stack;
pub mod start_screen;
pub mod template;
mod tokens;
mod workspaces;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use serde_json::Value;

pub use messaging::Now;

/// Runs an operation with an event as Lambda would, and gives its reply or its error's text.
pub type Invoke = Arc<dyn Fn(&str, Value) -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;

/// Waits for a duration, by the same clock as [`Now`].
pub type Wait = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// The result of a future within a time limit; `None` if the limit passes first.
pub(crate) async fn within<T>(wait: &Wait, limit: Duration, run: impl Future<Output = T>) -> Option<T> {
    match select(pin!(run), wait(limit)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// A random identifier in AWS's format.
#[expect(clippy::disallowed_methods, reason = "none of ours: AWS's are random, and hold no time")]
pub(crate) fn random_id() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// `template.yaml` at build time.
pub const TEMPLATE: &str = include_str!("../../../template.yaml");
