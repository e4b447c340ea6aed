//! Operations that AWS triggers: the table's stream, topics, a queue, and schedules.

pub mod deliver_webhook;
mod deployment_mail;
pub mod derive_rows;
mod email_layout;
mod endpoint;
mod invitation_mail;
mod invitation_text;
pub mod notify_device;
pub mod publish_events;
pub mod purge_deleted;
pub mod record_feedback;
pub mod refresh_issuer_keys;
pub mod reindex;
pub mod republish_events;
pub mod run_due;
pub mod send_message;
mod stream_records;
mod text_reports;

use std::fmt::Display;

use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::rules::context::EventContext;
use domain::{Time, WorkspaceId};
use lambda::IdSource;
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::context::Origin;
use crate::deadline::Deadline;
use crate::state::Clock;

/// One run of an operation that AWS triggers.
#[derive(Clone, Debug)]
pub struct Run {
    /// Name of the operation.
    pub operation: &'static str,
    /// The time, and a source of identifiers.
    pub id_source: IdSource,
    /// The request identifier that its events record.
    pub request_id: String,
    /// The event that triggered it.
    pub event: Value,
    /// When Lambda ends the run.
    pub deadline: Time,
    /// The clock, to measure progress against the deadline.
    pub clock: Clock,
}

impl Run {
    /// Time of the start of the run.
    #[must_use]
    pub fn now(&self) -> Time {
        self.id_source.now
    }

    /// The context of a new event by Handset itself.
    #[must_use]
    pub fn new_event_context(&self, workspace_id: WorkspaceId) -> EventContext {
        Origin::of_run(self, workspace_id).new_event_context()
    }

    /// The deadline for work, `reserve` before Lambda ends the run.
    fn deadline(&self, reserve: Duration) -> Deadline {
        Deadline::new(self.clock.clone(), self.id_source.random, self.deadline.minus(reserve))
    }

    /// The event's fields.
    ///
    /// # Errors
    /// `Invalid` if the event is not a JSON object.
    pub fn fields(&self) -> Result<Fields, DomainError> {
        match &self.event {
            Value::Object(fields) => Ok(Fields::from_json(fields.clone())),
            _ => Err(DomainError::field("", "wrong_type", "the event must be a JSON object")),
        }
    }

    /// The records of a batch.
    fn records(&self) -> impl Iterator<Item = &Value> {
        self.event.get("Records").and_then(Value::as_array).into_iter().flatten()
    }
}

/// How many due rows were done, and how many failed.
#[derive(Default)]
struct Tally {
    done: usize,
    failed: usize,
}

impl Tally {
    /// Adds what was counted elsewhere.
    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.failed += other.failed;
    }

    /// Counts a due row.
    fn note(&mut self, run: &Run, row: &impl Display, outcome: Result<(), Error>) {
        self.count(run, row, outcome.map(|()| true));
    }

    /// As [`Tally::note`], but `false` means that there was nothing to do yet, and is not counted.
    fn count(&mut self, run: &Run, row: &impl Display, outcome: Result<bool, Error>) {
        match outcome {
            Ok(done) => self.done += usize::from(done),
            Err(failure) => {
                let error = Chain(&failure);
                tracing::error!(operation = run.operation, %row, %error, "a due row was not processed");
                self.failed += 1;
            }
        }
    }
}

/// The answer to a batch: the records to retry.
fn batch_item_failures(identifiers: impl IntoIterator<Item = String>) -> Value {
    let failures: Vec<Value> = identifiers.into_iter().map(|id| json!({"itemIdentifier": id})).collect();
    json!({"batchItemFailures": failures})
}

/// The event in an SNS message.
fn parse_event(message: &str) -> Result<domain::models::event::Event, Error> {
    serde_json::from_str(message).map_err(|e| Error::internal("reading a published event", e))
}

/// The event in a queue message: wrapped in an SNS notification, or alone if the subscription delivers raw messages. Also
/// the event with which SNS itself invokes a function.
fn event_of_record(record: &Value) -> Result<domain::models::event::Event, Error> {
    let body = record["body"].as_str().or(record["Sns"]["Message"].as_str()).unwrap_or_default();
    let envelope: Value = serde_json::from_str(body).map_err(|e| Error::internal("reading a message", e))?;
    match envelope.get("Message").and_then(Value::as_str) {
        Some(message) => parse_event(message),
        None => parse_event(body),
    }
}
