//! Runs operations without a request: for the table's stream, topics, queues, logs and schedules.
//!
//! As on AWS, delivery is at least once and in the stream's order; asynchronous runs are retried and end in the
//! dead-letter queue. All time comes from the clock that is passed in.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use dynoxide::Database;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::logs::{self, LogEntry};
use crate::messaging::TopicMessage;
use crate::queue::{self, Message, Queues, Retry};
use crate::template::{Function, Pattern, QueueTrigger, StackLocation, StreamTrigger, Template};
use crate::{Invoke, Now, Wait};

/// Number of concurrent asynchronous runs. A queue has those of its trigger.
const CONCURRENT_RUNS: usize = 4;
/// How often the stream is polled when nothing wakes the driver.
const POLL: Duration = Duration::from_millis(50);
/// Lambda's delays before the second and the third attempt of an asynchronous run, in seconds.
const WAITS: [i64; 2] = [60, 120];
/// How often [`Driver::drain`] tries a batch of the stream that keeps failing.
const STREAM_TRIES: u32 = 20;

/// What a driver needs.
pub struct DriverOptions {
    /// The functions and their triggers.
    pub template: Arc<Template>,
    /// Region, account and stack name.
    pub location: StackLocation,
    /// The database whose streams are read.
    pub database: Database,
    /// Runs an operation.
    pub invoke: Invoke,
    /// Messages published to topics.
    pub published: UnboundedReceiver<TopicMessage>,
    /// Lines written to logs.
    pub logged: UnboundedReceiver<LogEntry>,
    /// The time.
    pub now: Now,
    /// Waits by the same clock, for [`Driver::run`].
    pub wait: Wait,
    /// The file with the positions in the streams, so that a restart continues there.
    pub positions_file: Option<PathBuf>,
}

/// Runs operations for the stream, topics, queues and schedules.
pub struct Driver {
    template: Arc<Template>,
    location: StackLocation,
    database: Database,
    invoke: Invoke,
    now: Now,
    wait: Wait,
    positions_file: Option<PathBuf>,
    state: Mutex<State>,
    published: tokio::sync::Mutex<UnboundedReceiver<TopicMessage>>,
    logged: tokio::sync::Mutex<UnboundedReceiver<LogEntry>>,
    /// Held while events are processed, so that no batch is processed twice at once.
    processing: tokio::sync::Mutex<()>,
    woken: Notify,
}

/// A snapshot of pending work and stream positions.
pub struct Mark(State);

#[derive(Clone)]
struct State {
    queues: Queues,
    runs: Vec<Run>,
    /// By function: several may read a table's stream, each at its own pace.
    streams: BTreeMap<String, Position>,
    saved: BTreeMap<String, String>,
}

/// An asynchronous run that is waiting.
#[derive(Clone)]
struct Run {
    operation: String,
    event: Value,
    tries: u32,
    due: DateTime<Utc>,
}

/// The position in a table's stream.
#[derive(Clone, Default)]
struct Position {
    /// Iterator for the next read; `None` before the first read.
    iterator: Option<String>,
    /// Records that were read and match the filter.
    read: VecDeque<Value>,
    /// Limit of the next batch: halved after each failure, down to one record.
    limit: Option<usize>,
    /// Consecutive failures.
    failures: u32,
    /// Time of the retry after a failure.
    due: Option<DateTime<Utc>>,
}

/// A stream whose next records fail however often they are tried.
#[derive(Debug)]
pub struct StreamBlocked {
    /// The operation that they fail in.
    pub operation: String,
}

impl std::fmt::Display for StreamBlocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is blocked by records of its stream that keep failing", self.operation)
    }
}

impl std::error::Error for StreamBlocked {}

impl Driver {
    /// A driver that starts at the beginning of the streams, or at the positions in `positions_file`.
    #[must_use]
    pub fn new(options: DriverOptions) -> Self {
        let saved: BTreeMap<String, String> = options
            .positions_file
            .as_ref()
            .and_then(|path| std::fs::read(path).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let position = |iterator: &String| Position { iterator: Some(iterator.clone()), ..Position::default() };
        let state = State {
            queues: Queues::new(&options.template.queues),
            runs: Vec::new(),
            streams: saved.iter().map(|(table, iterator)| (table.clone(), position(iterator))).collect(),
            saved,
        };
        Self {
            template: options.template,
            location: options.location,
            database: options.database,
            invoke: options.invoke,
            now: options.now,
            wait: options.wait,
            positions_file: options.positions_file,
            state: Mutex::new(state),
            published: tokio::sync::Mutex::new(options.published),
            logged: tokio::sync::Mutex::new(options.logged),
            processing: tokio::sync::Mutex::new(()),
            woken: Notify::new(),
        }
    }

    /// Wakes the driver, so that it looks for work without waiting for the next poll.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Processes everything until nothing is left: the streams are read to their ends, and topics, queues and
    /// asynchronous runs are empty and finished. With [`Retry::WhenDue`], work that waits for a retry stays.
    ///
    /// # Errors
    /// A stream that is blocked.
    pub async fn drain(&self, retry: Retry) -> Result<(), StreamBlocked> {
        loop {
            while self.step(retry).await {
                if let Some(operation) = self.blocked_operation() {
                    return Err(StreamBlocked { operation });
                }
            }
            if !self.is_busy() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// True while any run has messages in progress.
    fn is_busy(&self) -> bool {
        let state = self.state();
        self.triggers(|function| &function.queues).any(|(_, trigger)| state.queues.is_busy(&trigger.queue_arn))
    }

    /// Takes a snapshot of pending work. No work may be in progress.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.state().clone())
    }

    /// Restores a snapshot of pending work.
    pub fn restore(&self, mark: &Mark) {
        *self.state() = mark.0.clone();
    }

    /// Time of the next retry; `None` if nothing waits.
    #[must_use]
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        let state = self.state();
        let runs = state.runs.iter().map(|run| run.due);
        let streams =
            state.streams.values().filter(|position| !position.read.is_empty()).filter_map(|position| position.due);
        let queues = self
            .triggers(|function| &function.queues)
            .filter_map(|(_, trigger)| state.queues.next_visible(&trigger.queue_arn));
        runs.chain(streams).chain(queues).min()
    }

    /// Processes events promptly and runs the schedules, until it is dropped.
    pub async fn run(&self) {
        let functions = self.template.functions.iter();
        let schedules =
            functions.flat_map(|function| function.schedules.iter().map(move |schedule| (function, schedule)));
        let schedules =
            schedules.map(|(function, schedule)| self.run_schedule_loop(&function.operation, schedule.every));
        let queues = self
            .triggers(|function| &function.queues)
            .flat_map(|(function, trigger)| (0..trigger.concurrency).map(move |_| self.serve(function, trigger)));
        let (schedules, queues) = (join_all(schedules), join_all(queues));
        futures::join!(self.process_promptly(), queues, schedules);
    }

    /// Runs a scheduled operation once, and gives its reply or its error.
    ///
    /// # Errors
    /// The operation's error.
    pub async fn run_schedule(&self, operation: &str) -> Result<Value, String> {
        let reply = (self.invoke)(operation, self.scheduled_event(operation)).await;
        self.wake();
        reply
    }

    /// Runs the operations that run after a deployment.
    ///
    /// # Errors
    /// An operation's error.
    pub async fn run_after_deployment(&self) -> Result<(), String> {
        for function in self.template.functions.iter().filter(|function| function.runs_when_deployed) {
            let _answer = (self.invoke)(&function.operation, self.deployed_event()).await?;
        }
        Ok(())
    }

    /// The messages in a queue, by its name (`handset-messages-dead-letters`); empty if there is no such queue.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Vec<Message> {
        let state = self.state();
        state.queues.arn(queue).map(|arn| state.queues.messages(arn)).unwrap_or_default()
    }

    /// The messages in all dead-letter queues.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Message> {
        let of_queues =
            self.template.queues.iter().filter_map(|queue| queue.redrive.as_ref()).map(|redrive| &redrive.to_arn);
        let of_runs = self.template.functions.iter().filter_map(|function| function.dead_letters.as_ref());
        let state = self.state();
        of_queues.chain(of_runs).flat_map(|arn| state.queues.messages(arn)).collect()
    }

    async fn process_promptly(&self) {
        loop {
            let processing = self.processing.lock().await;
            let moved = self.step_without_queues(Retry::WhenDue).await;
            drop(processing);
            if !moved {
                self.save_positions();
                tokio::select! {
                    () = self.woken.notified() => {}
                    () = (self.wait)(POLL) => {}
                }
            }
        }
    }

    /// Each queue has its own concurrent runs, so that slow messages do not delay other queues.
    async fn serve(&self, function: &Function, trigger: &QueueTrigger) {
        loop {
            if !self.queue_step(function, trigger, Retry::WhenDue).await {
                (self.wait)(POLL).await;
            }
        }
    }

    async fn run_schedule_loop(&self, operation: &str, every: Duration) {
        loop {
            // A failed run has logged its error; the next one continues.
            let _ = futures::join!(self.run_schedule(operation), (self.wait)(every));
        }
    }

    /// Processes one batch of each source; false if there was nothing to do.
    async fn step(&self, retry: Retry) -> bool {
        let _moving = self.processing.lock().await;
        let mut moved = self.step_without_queues(retry).await;
        for (function, trigger) in self.triggers(|function| &function.queues) {
            moved |= self.queue_step(function, trigger, retry).await;
        }
        moved
    }

    async fn step_without_queues(&self, retry: Retry) -> bool {
        let mut moved = self.take_published().await | self.take_logged().await;
        // Side by side, since no consumer of the stream waits for another.
        let streams = self.triggers(|function| &function.streams);
        let steps = join_all(streams.map(|(function, trigger)| self.stream_step(function, trigger, retry))).await;
        moved |= steps.contains(&true);
        moved |= self.runs_step(retry).await;
        moved
    }

    fn triggers<'a, T: 'a>(
        &'a self,
        of: impl Fn(&'a Function) -> &'a Vec<T> + Copy,
    ) -> impl Iterator<Item = (&'a Function, &'a T)> {
        let functions = self.template.functions.iter();
        functions.flat_map(move |function| of(function).iter().map(move |trigger| (function, trigger)))
    }

    // Topics.

    async fn take_published(&self) -> bool {
        let mut published = self.published.lock().await;
        let mut moved = false;
        while let Ok(message) = published.try_recv() {
            self.deliver(&message);
            moved = true;
        }
        moved
    }

    fn deliver(&self, message: &TopicMessage) {
        let attributes: Value =
            message.attributes.iter().map(|(name, (_, value))| (name.clone(), json!(value))).collect();
        let fits = |topic: &str, filter: &Option<Pattern>| {
            topic == message.topic_arn && filter.as_ref().is_none_or(|filter| filter.matches(&attributes))
        };
        let now = (self.now)();
        let mut state = self.state();
        for (function, trigger) in self.triggers(|function| &function.topics) {
            if fits(&trigger.topic_arn, &trigger.filter) {
                let operation = function.operation.clone();
                state.runs.push(Run { operation, event: notification_event(message), tries: 0, due: now });
            }
        }
        for subscription in &self.template.subscriptions {
            if fits(&subscription.topic_arn, &subscription.filter) {
                let (body, attributes) = if subscription.raw {
                    (message.message.clone(), message.attributes.clone())
                } else {
                    (envelope(message).to_string(), BTreeMap::new())
                };
                state.queues.send(&subscription.queue_arn, body, attributes, message.group.clone(), now);
            }
        }
    }

    // Logs.

    async fn take_logged(&self) -> bool {
        let mut logged = self.logged.lock().await;
        let mut moved = false;
        while let Ok(entry) = logged.try_recv() {
            let due = (self.now)();
            let subscriptions = self.template.log_subscriptions.iter();
            let runs = subscriptions.filter(|subscription| subscription.group == entry.group).map(|subscription| Run {
                operation: subscription.operation.clone(),
                event: logs::event(&entry, subscription, &self.location),
                tries: 0,
                due,
            });
            self.state().runs.extend(runs);
            moved = true;
        }
        moved
    }

    // Asynchronous runs.

    async fn runs_step(&self, retry: Retry) -> bool {
        let due = self.due_runs(retry);
        if due.is_empty() {
            return false;
        }
        let outcomes = stream::iter(due).map(|run| async move {
            let outcome = (self.invoke)(&run.operation, run.event.clone()).await;
            (run, outcome)
        });
        let outcomes: Vec<_> = outcomes.buffer_unordered(CONCURRENT_RUNS).collect().await;
        for (run, outcome) in outcomes {
            if let Err(error) = outcome {
                self.retry_later(run, &error);
            }
        }
        true
    }

    fn due_runs(&self, retry: Retry) -> Vec<Run> {
        let now = (self.now)();
        let mut state = self.state();
        let (due, waiting) =
            std::mem::take(&mut state.runs).into_iter().partition(|run| retry == Retry::Now || run.due <= now);
        state.runs = waiting;
        due
    }

    fn retry_later(&self, mut run: Run, error: &str) {
        let Some(function) = self.template.function(&run.operation) else { return };
        let now = (self.now)();
        run.tries += 1;
        let mut state = self.state();
        if run.tries < function.attempts {
            let wait = WAITS.get(run.tries as usize - 1).copied().unwrap_or_default();
            run.due = now + chrono::Duration::seconds(wait);
            state.runs.push(run);
        } else if let Some(queue) = &function.dead_letters {
            let attributes = BTreeMap::from([("ErrorMessage".to_owned(), ("String".to_owned(), error.to_owned()))]);
            state.queues.send(queue, run.event.to_string(), attributes, None, now);
        }
    }

    // Queues.

    async fn queue_step(&self, function: &Function, trigger: &QueueTrigger, retry: Retry) -> bool {
        let arn = &trigger.queue_arn;
        let messages = self.state().queues.receive(arn, trigger.batch_size, (self.now)(), retry);
        if messages.is_empty() {
            return false;
        }
        let received = Received { driver: self, arn, messages };
        let event = queue::event(arn, &self.location.region, &received.messages);
        let outcome = (self.invoke)(&function.operation, event).await;
        let (failed, now) = (FailedItems::of(&outcome), (self.now)());
        let mut state = self.state();
        for message in received.messages.iter().filter(|message| !failed.holds(&message.id)) {
            state.queues.delete(arn, &message.id, now);
        }
        true
    }

    // Streams.

    async fn stream_step(&self, function: &Function, trigger: &StreamTrigger, retry: Retry) -> bool {
        let Some(records) = self.next_records(function, trigger, retry) else { return false };
        let outcome = (self.invoke)(&function.operation, json!({ "Records": records })).await;
        let failed = FailedItems::of(&outcome);
        let done = records.iter().take_while(|record| !failed.holds(sequence_number(record))).count();
        let now = (self.now)();
        let mut state = self.state();
        let position = state.streams.entry(function.operation.clone()).or_default();
        position.advance(done, records.len(), now);
        true
    }

    /// The next batch; `None` at the end of the stream, or while it waits after a failure.
    fn next_records(&self, function: &Function, trigger: &StreamTrigger, retry: Retry) -> Option<Vec<Value>> {
        let now = (self.now)();
        let mut state = self.state();
        let position = state.streams.entry(function.operation.clone()).or_default();
        if retry == Retry::WhenDue && position.due.is_some_and(|due| due > now) {
            return None;
        }
        while position.read.is_empty() && self.read_next_page(trigger, position) {}
        let most = position.limit.unwrap_or(trigger.batch_size);
        let records: Vec<Value> = position.read.iter().take(most).cloned().collect();
        (!records.is_empty()).then_some(records)
    }

    /// Reads the next page of the stream; false when there is none.
    fn read_next_page(&self, trigger: &StreamTrigger, position: &mut Position) -> bool {
        let iterator = position.iterator.clone().or_else(|| self.start_iterator(&trigger.table));
        let Some(iterator) = iterator else { return false };
        let request = GetRecordsRequest { shard_iterator: iterator, limit: None };
        let Ok(page) = self.database.get_records(request) else { return false };
        let found = !page.records.is_empty();
        position.iterator = page.next_shard_iterator;
        let records = page.records.iter().filter_map(|record| serde_json::to_value(record).ok());
        let matching = records
            .filter(|record| trigger.filters.is_empty() || trigger.filters.iter().any(|filter| filter.matches(record)));
        position.read.extend(matching.map(|mut record| {
            record["eventSourceARN"] = json!(trigger.stream_arn);
            record["awsRegion"] = json!(self.location.region);
            record
        }));
        found
    }

    fn start_iterator(&self, table: &str) -> Option<String> {
        let request = ListStreamsRequest { table_name: Some(table.to_owned()), ..ListStreamsRequest::default() };
        let stream = self.database.list_streams(request).ok()?.streams.into_iter().next()?;
        let request = GetShardIteratorRequest {
            stream_arn: stream.stream_arn,
            shard_id: dynoxide::streams::shard_id(table),
            shard_iterator_type: "TRIM_HORIZON".into(),
            sequence_number: None,
        };
        self.database.get_shard_iterator(request).ok()?.shard_iterator
    }

    fn blocked_operation(&self) -> Option<String> {
        let state = self.state();
        let mut streams = state.streams.iter();
        streams.find(|(_, position)| position.failures >= STREAM_TRIES).map(|(operation, _)| operation.clone())
    }

    /// Saves the stream positions, but only when no record waits in memory: after a restart such records are
    /// read again, and consumers tolerate repeats.
    fn save_positions(&self) {
        let Some(path) = &self.positions_file else { return };
        let mut state = self.state();
        let waiting = !state.runs.is_empty()
            || state.streams.values().any(|position| !position.read.is_empty())
            || self
                .triggers(|function| &function.queues)
                .any(|(_, trigger)| !state.queues.messages(&trigger.queue_arn).is_empty());
        let position =
            |(operation, position): (&String, &Position)| Some((operation.clone(), position.iterator.clone()?));
        let positions: BTreeMap<String, String> = state.streams.iter().filter_map(position).collect();
        if !waiting && positions != state.saved {
            match save(path, &positions) {
                Ok(()) => state.saved = positions,
                Err(error) => eprintln!("{}: {error}", path.display()),
            }
        }
    }

    fn scheduled_event(&self, operation: &str) -> Value {
        let name = format!("rule/{}-{operation}", self.location.stack);
        json!({
            "version": "0",
            "id": crate::random_id().to_string(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self.location.account,
            "time": (self.now)().to_rfc3339_opts(SecondsFormat::Secs, true),
            "region": self.location.region,
            "resources": [self.location.arn("events", &name)],
            "detail": {},
        })
    }

    fn deployed_event(&self) -> Value {
        let stack = self.location.arn("cloudformation", &format!("stack/{}/local", self.location.stack));
        json!({
            "version": "0",
            "id": crate::random_id().to_string(),
            "detail-type": "CloudFormation Stack Status Change",
            "source": "aws.cloudformation",
            "account": self.location.account,
            "time": (self.now)().to_rfc3339_opts(SecondsFormat::Secs, true),
            "region": self.location.region,
            "resources": [stack],
            "detail": {"stack-id": stack, "status-details": {"status": "CREATE_COMPLETE"}},
        })
    }

    /// A panic elsewhere leaves plain data behind, so a poisoned lock is usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Position {
    /// Skips the processed part of a batch. A failed batch is retried from its first failure on, after a pause,
    /// in halves.
    fn advance(&mut self, done: usize, of: usize, now: DateTime<Utc>) {
        self.read.drain(..done);
        if done == of {
            *self = Self { iterator: self.iterator.take(), read: std::mem::take(&mut self.read), ..Self::default() };
            return;
        }
        self.failures = if done == 0 { self.failures + 1 } else { 1 };
        self.limit = Some((of / 2).max(1));
        let wait = 1_i64 << self.failures.min(6);
        self.due = Some(now + chrono::Duration::seconds(wait));
    }
}

/// Received messages. Those that are not deleted when this is dropped go back to their queue.
struct Received<'a> {
    driver: &'a Driver,
    arn: &'a str,
    messages: Vec<Message>,
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        let now = (self.driver.now)();
        let mut state = self.driver.state();
        for message in &self.messages {
            state.queues.return_message(self.arn, &message.id, now);
        }
    }
}

/// The failed items of a batch.
enum FailedItems {
    All,
    These(Vec<String>),
}

impl FailedItems {
    /// As Lambda reads a reply: an error, or a failure without an identifier, fails the complete batch.
    fn of(outcome: &Result<Value, String>) -> Self {
        let Ok(reply) = outcome else { return FailedItems::All };
        let failures = reply["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name =
            |failure: &Value| failure["itemIdentifier"].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        failures.iter().map(name).collect::<Option<_>>().map_or(FailedItems::All, FailedItems::These)
    }

    fn holds(&self, name: &str) -> bool {
        match self {
            FailedItems::All => true,
            FailedItems::These(names) => names.iter().any(|failed| failed == name),
        }
    }
}

fn sequence_number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default()
}

/// The event with which SNS invokes a function.
fn notification_event(message: &TopicMessage) -> Value {
    let mut notification = envelope(message);
    let attributes = notification["MessageAttributes"].take();
    json!({
        "Records": [{
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": format!("{}:local", message.topic_arn),
            "Sns": {
                "Type": "Notification",
                "MessageId": message.message_id,
                "TopicArn": message.topic_arn,
                "Subject": message.subject,
                "Message": message.message,
                "MessageAttributes": attributes,
                "Timestamp": notification["Timestamp"].take(),
                "SignatureVersion": "1",
                "Signature": "local",
                "SigningCertUrl": "local",
                "UnsubscribeUrl": "local",
            },
        }]
    })
}

/// The message that SNS puts into a queue without raw delivery.
fn envelope(message: &TopicMessage) -> Value {
    let attributes: Value = message
        .attributes
        .iter()
        .map(|(name, (kind, value))| (name.clone(), json!({ "Type": kind, "Value": value })))
        .collect();
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": message.message_id,
        "TopicArn": message.topic_arn,
        "Message": message.message,
        "MessageAttributes": attributes,
        "Timestamp": message.timestamp.to_rfc3339_opts(SecondsFormat::Millis, true),
        "SignatureVersion": "1",
        "Signature": "local",
        "SigningCertURL": "local",
        "UnsubscribeURL": "local",
    });
    if let Some(subject) = &message.subject {
        envelope["Subject"] = json!(subject);
    }
    envelope
}

/// Writes to a temporary file and renames it, so that a crash leaves the old file or the new one.
fn save(path: &Path, positions: &BTreeMap<String, String>) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, serde_json::to_vec(positions)?)?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests;
