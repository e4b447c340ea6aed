//! Requests to AWS, and the handling of responses that no emulator gives: a test makes each of them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws::{Commit, Pusher, Row, RowKey, Table, TableNames, Topic, TopicPublisher};
use chrono::{DateTime, Duration, Utc};
use domain::error::Error;
use domain::ids::timed_uuid;
use domain::models::actor::Actor;
use domain::models::device::Device;
use domain::models::event::{Event, EventType};
use domain::models::job::JobItem;
use domain::models::offer::Offer;
use domain::models::restriction::Deleted;
use domain::models::user::User;
use domain::models::webhook::Delivery;
use domain::rules::context::EventContext;
use domain::{DeviceId, EventId, InvitationId, JobId, Time, UserId, WorkspaceId};
use functions::triggers::{Run, publish_events};
use lambda::IdSource;
use serde_json::{Value, json};
use testkit::egress::{Answers, Pages};
use testkit::faults::{ConnectorError, Fault, HttpResponse, answer, canceled, dynamodb};
use testkit::log_lines::LogLines;
use testkit::request_recorder::{RecordedRequest, RequestRecorder};
use testkit::{Bench, Setup, Tenant, rows};
use uuid::Uuid;

/// The time of every test in this file.
fn start() -> DateTime<Utc> {
    testkit::bench::START.parse().unwrap()
}

fn now() -> Time {
    start().into()
}

fn workspace() -> WorkspaceId {
    WorkspaceId(timed_uuid(now(), [1; 10]))
}

fn event(number: u8) -> Event {
    let context = EventContext {
        event_id: EventId(timed_uuid(now(), [number; 10])),
        workspace_id: workspace(),
        at: now(),
        actor: Actor::System,
        token_id: None,
        operation: "create-user",
        request_id: "1".to_owned(),
        source_ip: None,
        job_id: None,
    };
    context.event(EventType::UserCreated)
}

/// Tables whose only responses are the recorder's.
fn table(recorder: &RequestRecorder) -> Table {
    let names = TableNames { main: rows::MAIN.to_owned(), secrets: rows::SECRETS.to_owned() };
    Table::new(&recorder.clients_without_aws(), names)
}

fn request_json(sent: &RecordedRequest) -> Value {
    serde_json::from_str(&sent.body).unwrap()
}

/// A successful response of DynamoDB.
fn dynamodb_response(body: &Value) -> Answer {
    Ok(answer(200, "application/x-amz-json-1.0", body.to_string()))
}

type Answer = Result<HttpResponse, ConnectorError>;

fn job() -> JobId {
    JobId(timed_uuid(now(), [2; 10]))
}

fn items() -> Vec<JobItem> {
    let item = |id| {
        let item = json!({"workspace_id": workspace(), "job_id": job(), "id": id, "outcome": "changed", "at": now()});
        serde_json::from_value(item).unwrap()
    };
    ["a", "b", "c"].map(item).into()
}

/// The response to a batch of keys: the rows of the first `at_once` keys, and the others as unprocessed.
fn batch(sent: &RecordedRequest, at_once: usize) -> Value {
    let asked = request_json(sent)["RequestItems"][rows::MAIN]["Keys"].as_array().unwrap().clone();
    let (done, left) = asked.split_at(at_once.min(asked.len()));
    let stored = |item: &JobItem| {
        let RowKey { pk, sk } = item.key();
        let mut row = json!(item);
        (row["pk"], row["sk"]) = (pk.into(), sk.into());
        Value::from(rows::item(&row, &[]))
    };
    let all: Vec<Value> = items().iter().map(stored).collect();
    let found = |key: &Value| all.iter().find(|row| row["pk"] == key["pk"] && row["sk"] == key["sk"]).cloned();
    let mut answer = json!({"Responses": {rows::MAIN: done.iter().filter_map(found).collect::<Vec<_>>()}});
    if !left.is_empty() {
        answer["UnprocessedKeys"] = json!({rows::MAIN: {"Keys": left, "ConsistentRead": true}});
    }
    answer
}

#[tokio::test]
async fn unprocessed_keys_of_a_batch_are_requested_again_and_no_others() {
    let recorder = RequestRecorder::answering(|sent| Some(dynamodb_response(&batch(sent, 1))));
    let ids: Vec<String> = items().into_iter().map(|item| item.id).collect();
    assert_eq!(table(&recorder).job_items(workspace(), job(), &ids).await.unwrap(), items());
    let requests = recorder.take();
    let asked: Vec<usize> = requests
        .iter()
        .map(|sent| request_json(sent)["RequestItems"][rows::MAIN]["Keys"].as_array().unwrap().len())
        .collect();
    assert_eq!(asked, [3, 2, 1]);
    assert!(requests.iter().all(|sent| !sent.call.stale), "each read is consistent");
}

#[tokio::test]
async fn a_batch_that_never_completes_is_an_error() {
    let recorder = RequestRecorder::answering(|sent| Some(dynamodb_response(&batch(sent, 0))));
    let found = table(&recorder).job_items(workspace(), job(), &["a".to_owned()]).await;
    assert!(matches!(found, Err(Error::Unavailable { .. })), "{found:?}");
    assert!(recorder.take().len() > 1, "the keys were requested again");
}

/// Commits an event and a row. The first `failing` tries fail, the others succeed. Returns the outcome and the tries,
/// without the read of the number of shards of the day's events.
async fn committed(
    failing: usize,
    fails: impl Fn(&RecordedRequest) -> Answer + Send + Sync + 'static,
) -> (Outcome, Vec<RecordedRequest>) {
    let calls = AtomicUsize::new(0);
    let is_read = |sent: &RecordedRequest| sent.call.action == "GetItem";
    let recorder = RequestRecorder::answering(move |sent| {
        let ends = is_read(sent) || calls.fetch_add(1, Ordering::Relaxed) >= failing;
        Some(if ends { dynamodb_response(&json!({})) } else { fails(sent) })
    });
    let commit = Commit::with_event(&event(1)).put(&items()[0]);
    let outcome = match table(&recorder).commit(commit).await {
        Ok(_) => Outcome::Done,
        Err(Error::Conflict) => Outcome::OtherRowChanged,
        Err(Error::Unavailable { .. }) => Outcome::Unavailable,
        Err(_) => Outcome::Fault,
    };
    (outcome, recorder.take().into_iter().filter(|sent| !is_read(sent)).collect())
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    OtherRowChanged,
    Unavailable,
    Fault,
}

/// Number of attempts that the SDK makes for a call.
const BY_THE_SDK: usize = 3;

#[tokio::test]
async fn a_commit_with_an_unknown_outcome_is_sent_again_unchanged() {
    let in_progress = |_: &RecordedRequest| Ok(dynamodb(400, "v20120810#TransactionInProgressException", &json!({})));
    let lost = |_: &RecordedRequest| Err(ConnectorError::timeout("the answer did not come".into()));
    let server_error = |sent: &RecordedRequest| Fault::ServerError.answer(&sent.call).unwrap();
    let broken = |sent: &RecordedRequest| Fault::Before.answer(&sent.call).unwrap();
    // More failures than the SDK retries, and then as many as are retried here.
    let ends = [("in progress", committed(1, in_progress).await), ("lost", committed(4, lost).await)];
    let more = [("5xx", committed(4, server_error).await), ("broken", committed(4, broken).await)];
    for (why, (outcome, sent)) in ends.into_iter().chain(more) {
        assert_eq!(outcome, Outcome::Done, "{why}");
        assert!(sent.len() > 1, "{why}");
        assert!(request_json(&sent[0])["ClientRequestToken"].is_string(), "{why}");
        assert!(sent.iter().all(|again| request_json(again) == request_json(&sent[0])), "{why}");
    }
    // After that the error is marked as retryable.
    for (why, (outcome, sent)) in [
        ("in progress", committed(usize::MAX, in_progress).await),
        ("lost", committed(usize::MAX, lost).await),
        ("5xx", committed(usize::MAX, server_error).await),
    ] {
        assert_eq!(outcome, Outcome::Unavailable, "{why}");
        assert!(sent.len() > 2 && sent.len() <= 4 * BY_THE_SDK, "{why}: {}", sent.len());
    }
}

#[tokio::test]
async fn a_throttled_commit_can_be_tried_again_by_its_caller() {
    let throttled = |sent: &RecordedRequest| Fault::Throttle.answer(&sent.call).unwrap();
    let (outcome, sent) = committed(usize::MAX, throttled).await;
    assert_eq!((outcome, sent.len()), (Outcome::Unavailable, BY_THE_SDK));
    for name in ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"] {
        let named = move |_: &RecordedRequest| {
            Ok(dynamodb(400, &format!("com.amazonaws.dynamodb.v20120810#{name}"), &json!({})))
        };
        assert_eq!(committed(usize::MAX, named).await.0, Outcome::Unavailable, "{name}");
    }
    for code in ["ThrottlingError", "ProvisionedThroughputExceeded"] {
        let part = move |sent: &RecordedRequest| Ok(canceled(&sent.call, 1, code));
        assert_eq!(committed(usize::MAX, part).await.0, Outcome::Unavailable, "{code}");
    }
}

/// True if a table whose first call gets this response counts as throttled.
async fn counts_as_throttled(first: impl Fn(&RecordedRequest) -> Answer + Send + Sync + 'static) -> bool {
    let calls = AtomicUsize::new(0);
    let recorder = RequestRecorder::answering(move |sent| {
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        Some(if is_first { first(sent) } else { dynamodb_response(&batch(sent, 3)) })
    });
    let table = table(&recorder);
    let ids: Vec<String> = items().into_iter().map(|item| item.id).collect();
    assert_eq!(table.job_items(workspace(), job(), &ids).await.unwrap(), items(), "the retry succeeds");
    assert!(recorder.take().len() <= 2);
    table.was_throttled_within(Duration::minutes(5), now())
}

#[tokio::test]
async fn a_throttle_is_noted_although_a_retry_hides_it() {
    assert!(counts_as_throttled(|sent| Fault::Throttle.answer(&sent.call).unwrap()).await);
    assert!(counts_as_throttled(|sent| dynamodb_response(&batch(sent, 1))).await, "keys that were not processed");
    assert!(!counts_as_throttled(|sent| dynamodb_response(&batch(sent, 3))).await);
    assert!(!counts_as_throttled(|sent| Fault::ServerError.answer(&sent.call).unwrap()).await);
    assert!(!counts_as_throttled(|sent| Fault::Before.answer(&sent.call).unwrap()).await);
}

#[tokio::test]
async fn a_canceled_commit_is_classified_by_its_cancellation_reasons() {
    let cases = [
        // The event exists: an earlier attempt of the same commit succeeded.
        (0, "ConditionalCheckFailed", Outcome::Done),
        (1, "ConditionalCheckFailed", Outcome::OtherRowChanged),
        (0, "TransactionConflict", Outcome::OtherRowChanged),
        (1, "TransactionConflict", Outcome::OtherRowChanged),
        (1, "ItemCollectionSizeLimitExceeded", Outcome::Fault),
        (1, "ValidationError", Outcome::Fault),
    ];
    for (at, code, expected) in cases {
        let (outcome, sent) = committed(usize::MAX, move |sent| Ok(canceled(&sent.call, at, code))).await;
        assert_eq!((outcome, sent.len()), (expected, 1), "{code} of part {at}");
    }
    let conflict = |_: &RecordedRequest| Ok(dynamodb(400, "v20120810#TransactionConflictException", &json!({})));
    assert_eq!(committed(usize::MAX, conflict).await.0, Outcome::OtherRowChanged);
    for name in ["ValidationException", "AccessDeniedException", "ResourceNotFoundException"] {
        let named = move |_: &RecordedRequest| {
            Ok(dynamodb(400, &format!("com.amazonaws.dynamodb.v20120810#{name}"), &json!({})))
        };
        let (outcome, sent) = committed(usize::MAX, named).await;
        assert_eq!((outcome, sent.len()), (Outcome::Fault, 1), "{name}");
    }
}

/// The entries of a batch of messages, as fields and values.
fn entries(sent: &RecordedRequest) -> Vec<Vec<(String, String)>> {
    let mut entries: Vec<Vec<(String, String)>> = Vec::new();
    for line in sent.body.lines() {
        let Some((_, field)) = line.split_once("PublishBatchRequestEntries.member.") else { continue };
        let (number, field) = field.split_once('.').unwrap();
        let (number, (name, value)) = (number.parse::<usize>().unwrap(), field.split_once('=').unwrap());
        entries.resize_with(entries.len().max(number), Vec::new);
        entries[number - 1].push((name.to_owned(), value.to_owned()));
    }
    entries
}

fn field(entry: &[(String, String)], name: &str) -> String {
    entry.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap()
}

/// SNS's response to a batch in which the entries with these identifiers failed.
fn published_except(sent: &RecordedRequest, not: &[&str]) -> Answer {
    let part = |kind: &str, wanted: bool| {
        let ids = entries(sent).iter().map(|entry| field(entry, "Id")).collect::<Vec<_>>().into_iter();
        let ids = ids.filter(|id| not.contains(&id.as_str()) == wanted);
        let more = "<Code>InternalError</Code><SenderFault>false</SenderFault>";
        let members: String = ids.map(|id| format!("<member><Id>{id}</Id>{more}</member>")).collect();
        format!("<{kind}>{members}</{kind}>")
    };
    let (failed, successful) = (part("Failed", true), part("Successful", false));
    let body = format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>{failed}\
         {successful}</PublishBatchResult></PublishBatchResponse>"
    );
    Ok(answer(200, "text/xml", body))
}

fn topic(recorder: &RequestRecorder) -> TopicPublisher {
    TopicPublisher::new(&recorder.clients_without_aws(), "arn:aws:sns:eu-central-1:000000000000:events".to_owned())
}

#[tokio::test]
async fn messages_that_the_topic_rejects_are_returned() {
    let recorder = RequestRecorder::answering(|sent| Some(published_except(sent, &["3", "12", "20"])));
    let events: Vec<Event> = (1..=21).map(event).collect();
    assert_eq!(topic(&recorder).publish(&events).await.unwrap(), [3, 12, 20]);
    let sent: Vec<Vec<String>> = recorder
        .take()
        .iter()
        .map(|sent| entries(sent).iter().map(|entry| field(entry, "Message")).collect())
        .collect();
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 1]);
    let all: Vec<String> = events.iter().map(|event| event.to_public_json().to_string()).collect();
    assert_eq!(sent.concat(), all, "each once, in their order");
    let recorder = RequestRecorder::answering(|sent| Some(Fault::ServerError.answer(&sent.call).unwrap()));
    let failed = topic(&recorder).publish(&events).await;
    assert!(matches!(failed, Err(Error::Unavailable { .. })), "{failed:?}");
}

#[tokio::test]
async fn no_batch_of_messages_exceeds_the_limits_of_sns() {
    let recorder = RequestRecorder::answering(|sent| Some(published_except(sent, &[])));
    let large = |(number, kilobytes): (u8, usize)| {
        let mut event = event(number);
        event.add_change("custom_metadata", Value::Null, "x".repeat(kilobytes * 1024));
        event
    };
    let sizes = [100, 100, 55, 100, 100, 60, 200, 1, 1, 1, 250, 250, 1, 85, 85, 85];
    let events: Vec<Event> = (1..).zip(sizes).map(large).collect();
    assert_eq!(topic(&recorder).publish(&events).await.unwrap(), Vec::<usize>::new());
    let batches: Vec<_> = recorder.take().iter().map(entries).collect();
    // What counts are the messages, and names, types and values of their attributes ("PublishBatch", Amazon SNS API
    // Reference).
    let counts = |(name, value): &(String, String)| if name == "Id" { 0 } else { value.len() };
    let bytes = |batch: &Vec<Vec<(String, String)>>| batch.iter().flatten().map(counts).sum::<usize>();
    assert!(
        batches.iter().all(|batch| bytes(batch) <= 256 * 1024),
        "{:?}",
        batches.iter().map(bytes).collect::<Vec<_>>()
    );
    // As many as fit go together; a little is kept back for the attributes.
    let counts_of = |entry: &Vec<(String, String)>| entry.iter().map(counts).sum::<usize>();
    let full =
        |two: &[Vec<Vec<(String, String)>>]| two[0].len() == 10 || bytes(&two[0]) + counts_of(&two[1][0]) > 250 * 1024;
    assert!(batches.windows(2).all(full), "{:?}", batches.iter().map(bytes).collect::<Vec<_>>());
    let published: Vec<String> = batches.concat().iter().map(|entry| field(entry, "Message")).collect();
    assert_eq!(published, events.iter().map(|event| event.to_public_json().to_string()).collect::<Vec<_>>());
    let attributes = |entry: &Vec<(String, String)>| {
        let value = |number| field(entry, &format!("MessageAttributes.entry.{number}.Value.StringValue"));
        let (mut both, expected) = ([value(1), value(2)], ["user.created".to_owned(), workspace().to_string()]);
        both.sort_by_key(|value| *value != expected[0]);
        both == expected
    };
    assert!(batches.concat().iter().all(attributes), "subscriptions filter by type and workspace");
    let group = |entry: &Vec<(String, String)>| field(entry, "MessageGroupId") == workspace().to_string();
    assert!(batches.concat().iter().all(group), "queues are fair by workspace");
}

#[tokio::test]
async fn deleting_a_missing_endpoint_succeeds_and_a_foreign_one_is_rejected() {
    for (status, code, removed) in [(404, "NotFound", true), (403, "AuthorizationError", false)] {
        let body = format!(
            "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>injected</Message></Error></ErrorResponse>"
        );
        let recorder = RequestRecorder::answering(move |_| Some(Ok(answer(status, "text/xml", body.clone()))));
        let outcome = Pusher::new(&recorder.clients_without_aws(), None, None)
            .remove("arn:aws:sns:eu-central-1:0:endpoint/APNS/a/1")
            .await;
        assert_eq!(outcome.is_ok(), removed, "{code}: {outcome:?}");
    }
}

/// A topic that rejects the events with these indexes, or is unavailable without any.
struct RejectingTopic(Option<Vec<usize>>);

impl Topic for RejectingTopic {
    async fn publish(&self, _: &[Event]) -> Result<Vec<usize>, Error> {
        self.0.clone().ok_or_else(|| Error::unavailable("SNS", "it is not there"))
    }
}

/// A record of the table's stream.
fn record(number: u8, kind: &str, row: &Value) -> Value {
    json!({
        "eventName": kind,
        "dynamodb": {"SequenceNumber": format!("s{number}"), "NewImage": rows::item(row, &[])},
    })
}

/// A new event's record.
fn event_record(number: u8, change: impl Fn(&mut Value)) -> Value {
    let event = event(number);
    let (RowKey { pk, sk }, mut row) = (event.key(), json!(event));
    (row["pk"], row["sk"]) = (pk.into(), sk.into());
    change(&mut row);
    record(number, "INSERT", &row)
}

#[tokio::test]
async fn the_stream_resumes_at_the_first_record_that_was_not_published() {
    let records = vec![
        record(1, "INSERT", &json!({"pk": "USER#1", "sk": "USER"})),
        event_record(2, |_| ()),
        // An unreadable record is skipped.
        event_record(3, |row| row["actor"] = json!(["Rumpelstiltskin"])),
        event_record(4, |_| ()),
        // A later change of an event's row is not published.
        json!({"eventName": "MODIFY", "dynamodb": event_record(5, |_| ())["dynamodb"]}),
        event_record(6, |_| ()),
    ];
    let repeated_body = |sequence: &str| json!({"batchItemFailures": [{"itemIdentifier": sequence}]});
    let cases = [
        (Some(vec![]), json!({"batchItemFailures": []})),
        (Some(vec![0]), repeated_body("s2")),
        (Some(vec![2, 1]), repeated_body("s4")),
        (Some(vec![2]), repeated_body("s6")),
        (None, repeated_body("s2")),
    ];
    let (lines, _logging) = LogLines::capture("error");
    for (not_taken, expected) in cases {
        let run = Run {
            operation: "publish-events",
            id_source: IdSource::new(start(), |bytes| bytes.fill(0)),
            request_id: "1".to_owned(),
            event: json!({"Records": records}),
            deadline: now(),
            clock: functions::Clock::from_fn(Arc::new(start)),
        };
        let answer = publish_events::publish(&RejectingTopic(not_taken.clone()), &run).await;
        assert_eq!(answer, expected, "{not_taken:?}");
    }
    // A skipped record is logged with its key only, in words that an alarm counts.
    let (lines, unread) = (lines.text(), event(3).key());
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 5, "one a run: {lines:?}");
    let names = |line: &&str| line.contains("a row cannot be read") && line.contains(&unread.to_string());
    assert!(lines.iter().all(|line| names(line) && !line.contains("Rumpelstiltskin")), "{lines:?}");
}

#[tokio::test]
async fn events_that_could_not_be_republished_are_reported_as_remaining() {
    let refused: Arc<Mutex<Option<&'static str>>> = Arc::default();
    let refuses = Arc::clone(&refused);
    let recorder = RequestRecorder::answering(move |sent| {
        let refused = refuses.lock().unwrap().filter(|_| sent.operation == "republish-events")?;
        (sent.call.action == "PublishBatch").then(|| published_except(sent, &[refused]))
    });
    let bench = Setup::new().with(recorder.adjust()).start().await;
    let tenant = bench.tenant("Again").await;
    let _user = bench.user(&tenant, "ada").await;
    bench.drain().await;
    let (since, until) = (bench.now() - Duration::hours(1), bench.now());
    let span = json!({"workspace_id": tenant.workspace_id, "since": since, "until": until});
    let event_count = bench.event_types(&tenant).await.len();
    for one in ["0", "1"] {
        *refused.lock().unwrap() = Some(one);
        let answer = bench.stack.invoke("republish-events", span.clone()).await;
        assert!(answer.is_err(), "{one} was not published, and the response is {answer:?}");
    }
    *refused.lock().unwrap() = None;
    let answer = bench.stack.invoke("republish-events", span).await.unwrap();
    assert_eq!(answer, json!({"published": event_count, "unreadable": 0, "until": null}));
}

/// Moves the clock on each call of an operation.
type Delay = Box<dyn Fn(&RecordedRequest) + Send>;

/// A system whose calls take time by its clock.
struct SlowSystem {
    bench: Arc<Bench>,
    tenant: Tenant,
    pages: Pages,
    takes: Arc<Mutex<Option<Delay>>>,
}

impl SlowSystem {
    async fn start() -> Self {
        let takes: Arc<Mutex<Option<Delay>>> = Arc::default();
        let each = Arc::clone(&takes);
        let recorder = RequestRecorder::answering(move |sent| {
            if let Some(takes) = &*each.lock().unwrap() {
                takes(sent);
            }
            None
        });
        let pages = Pages::default();
        let bench = Setup::new().with(recorder.adjust()).with(pages.adjust()).start().await;
        let tenant = bench.tenant("Slow").await;
        Self { bench: Arc::new(bench), tenant, pages, takes }
    }

    /// Makes each call of an operation with this action, or every call for an empty one, take this long.
    fn delay(&self, operation: &'static str, action: &'static str, time: Duration) {
        let pass = self.bench.clock_advancer(time);
        let concerned =
            move |sent: &RecordedRequest| sent.operation == operation && [&sent.call.action, ""].contains(&action);
        *self.takes.lock().unwrap() = Some(Box::new(move |sent| {
            if concerned(sent) {
                pass();
            }
        }));
    }

    /// Runs an operation until `last` is true, checks that each run ends within its timeout, and returns the number of
    /// runs.
    async fn runs(&self, operation: &str, mut event: Value, mut last: impl FnMut(&Value, &mut Value) -> bool) -> usize {
        for run in 1..100 {
            let began = self.bench.now();
            let answer = self.bench.stack.invoke(operation, event.clone()).await;
            let took = self.bench.now() - began;
            let answer = answer.unwrap_or_else(|why| panic!("run {run} of {operation} {why}, after {took}"));
            if last(&answer, &mut event) {
                return run;
            }
            self.bench.advance(Duration::minutes(2));
        }
        panic!("{operation} does not come to an end");
    }

    /// Stores copies of a stored row, found by a part of its key or by its event's type, each with a test's changes.
    fn fill<R: Row>(&self, part: &str, count: u8, change: impl Fn(Uuid, R) -> R) {
        let stored = rows::everything_but_derived(&self.bench).into_iter().map(|((_, key), row)| (key, row));
        let is = |key: &str, row: &Value| key.contains(part) || key.starts_with("EVENT#") && row["event_type"] == part;
        let (_, row) = stored.into_iter().find(|(key, row)| is(key, row)).expect("a matching row is stored");
        let id = |number| timed_uuid(self.bench.now().into(), [number; 10]);
        let like = |number| change(id(number), aws::from_json(row.clone()).unwrap());
        let created: Vec<Value> = (0..count).flat_map(|number| rows::rows_of(&like(number))).collect();
        rows::put_many(&self.bench, rows::MAIN, &created, &["device_ids"]);
    }

    /// All events of a type as a batch of a queue.
    fn queue_batch(&self, event_type: &str) -> Value {
        let stored = rows::all(&self.bench, rows::MAIN).into_iter();
        let stored = stored.filter(|(key, row)| key.starts_with("EVENT#") && row["event_type"] == event_type);
        let records =
            stored.map(|(_, row)| json!({"messageId": row["sk"], "body": rows::with_key_fields(row).to_string()}));
        json!({"Records": records.collect::<Vec<_>>()})
    }

    fn count(&self, is: impl Fn(&str, &Value) -> bool) -> usize {
        rows::all(&self.bench, rows::MAIN).iter().filter(|(key, row)| is(key, row)).count()
    }
}

/// Replaces the batch by its failed items; true if there are none.
fn is_batch_done(answer: &Value, event: &mut Value) -> bool {
    let remaining: Vec<&Value> =
        answer["batchItemFailures"].as_array().unwrap().iter().map(|failure| &failure["itemIdentifier"]).collect();
    let records = event["Records"].as_array_mut().unwrap();
    records.retain(|record| remaining.contains(&&record["messageId"]));
    records.is_empty()
}

#[tokio::test]
async fn run_due_stops_in_time_however_slow_the_table_is() {
    let slow = SlowSystem::start().await;
    let (bench, key) = (&slow.bench, &slow.tenant.key);
    let user = bench.user(&slow.tenant, "ada").await;
    let _code = bench.invite(&slow.tenant, &user, 1).await;
    bench.drain().await;
    // Expired invitations, devices for a rule, and a job.
    slow.fill("| INVITATION#", 100, |id, invitation: Offer| Offer { invitation_id: InvitationId(id), ..invitation });
    bench.advance(Duration::days(8));
    let open = || slow.count(|key, row| key.contains("| INVITATION#") && row["due_at"].is_string());
    // One shard alone has more than fit into the reserved time.
    slow.delay("run-due", "", Duration::milliseconds(1_500));
    assert!(open() >= 100);
    let runs = slow.runs("run-due", json!({}), |_, _| open() == 0).await;
    assert!(runs > 1, "one run was not enough");

    slow.fill("| USER", 120, |id, user: User| User {
        user_id: UserId(id),
        username: format!("other-{id}"),
        device_ids: [].into(),
        ..user
    });
    let job = bench.post("/users/bulk", key, json!({"action": "suspend", "filter": {}})).await.expect(202);
    let path = format!("/jobs/{}", job.get("job_id"));
    bench.advance(Duration::minutes(2));
    slow.delay("run-due", "", Duration::milliseconds(500));
    let over = || slow.count(|_, row| row["sk"] == "JOB" && row["state"] == "running") == 0;
    let runs = slow.runs("run-due", json!({}), |_, _| over()).await;
    assert!(runs > 1, "one run was not enough");
    assert_eq!(bench.get(&path, key).await.expect(200).body["progress"]["changed"], 121);
}

#[tokio::test]
async fn the_silence_rule_and_the_purge_stop_in_time_however_slow_the_table_is() {
    let slow = SlowSystem::start().await;
    let (bench, key) = (&slow.bench, &slow.tenant.key);
    let (_device, credential) = bench.phone(&slow.tenant, "ada").await;
    let _check_in = bench.check_in(&credential).await.expect(200);
    bench.drain().await;
    let like = |id: Uuid, device: Device| Device {
        device_id: DeviceId(id),
        device_identifier: id.to_string(),
        push_endpoint: None,
        ..device
    };
    slow.fill("| DEVICE", 60, like);
    bench.advance(Duration::days(8));
    let rule = json!({"silent_devices": {"after_days": 7, "action": "block"}});
    let _updated = bench.patch("/workspace", key, rule).await.expect(200);
    bench.advance(Duration::minutes(1));
    let blocked = || slow.count(|key, row| key.ends_with("| DEVICE") && row["blocked"].is_object());
    slow.delay("run-due", "", Duration::milliseconds(500));
    let runs = slow.runs("run-due", json!({}), |_, _| blocked() == 61).await;
    assert!(runs > 1, "one run was not enough");

    let deleted =
        |device: &Device| Deleted { at: device.created_at, by: Actor::System, purge_after: device.created_at };
    slow.fill("| DEVICE", 250, |id, device: Device| Device { deleted: Some(deleted(&device)), ..like(id, device) });
    slow.delay("purge-deleted", "", Duration::milliseconds(900));
    let remaining = |answer: &Value, _: &mut Value| answer["more"] == false;
    let runs = slow.runs("purge-deleted", json!({}), remaining).await;
    assert!(runs > 1, "one run was not enough");
    assert_eq!(slow.count(|key, row| key.ends_with("| DEVICE") && row["deleted"].is_object()), 0);
}

#[tokio::test]
async fn a_message_is_only_sent_with_enough_time_left() {
    let slow = SlowSystem::start().await;
    let (bench, key) = (&slow.bench, &slow.tenant.key);
    for number in 0..8 {
        let user = bench.user(&slow.tenant, &format!("user{number}")).await;
        let _invited = bench.post(&format!("/users/{user}/invite"), key, json!({"channel": "email"})).await.expect(202);
    }
    slow.delay("send-message", "SendEmail", Duration::seconds(5));
    let runs = slow.runs("send-message", slow.queue_batch("user.invited"), is_batch_done).await;
    assert!(runs > 1, "one run was not enough");
    let to: BTreeSet<String> = bench.stack.messaging().outbox().into_iter().map(|item| item.to).collect();
    assert_eq!((to.len(), bench.stack.messaging().outbox().len()), (8, 8), "each of them once");
}

#[tokio::test]
async fn a_webhook_is_only_called_with_enough_time_left() {
    let slow = SlowSystem::start().await;
    let bench = &slow.bench;
    slow.pages.answer(Answers::With(503, Vec::new(), Vec::new()));
    let hook = json!({"url": "https://hooks.example.com/", "event_types": ["user.created"]});
    let _created = bench.post("/webhooks", &slow.tenant.key, hook).await.expect(201);
    let _user = bench.user(&slow.tenant, "ada").await;
    bench.drain().await;
    slow.fill("user.created", 40, |id, event: Event| Event { event_id: EventId(id), ..event });
    slow.fill("DELIVERY#", 40, |id, delivery: Delivery| Delivery { event_id: EventId(id), ..delivery });
    slow.pages.answer_ok("thank you");
    let pass = bench.clock_advancer(Duration::seconds(1));
    slow.pages.meanwhile(pass);
    bench.advance(Duration::minutes(10));
    let waits = || slow.count(|key, row| key.contains("DELIVERY#") && row["state"] == "pending");
    assert_eq!(waits(), 41);
    slow.delay("deliver-webhook", "", Duration::milliseconds(100));
    let runs = slow.runs("deliver-webhook", json!({}), |_, _| waits() == 0).await;
    assert!(runs > 1, "one run was not enough");
    // By the queue, too.
    slow.fill("user.created", 40, |id, event: Event| Event { event_id: EventId(id), ..event });
    let before = slow.pages.sent().len();
    let runs = slow.runs("deliver-webhook", slow.queue_batch("user.created"), is_batch_done).await;
    assert!(runs > 1, "one run was not enough");
    assert_eq!(slow.pages.sent().len() - before, 40, "each of the new ones once");
}

#[tokio::test]
async fn a_second_webhook_call_is_only_made_with_enough_time_left() {
    for (takes, calls) in [(1, 2), (36, 1)] {
        let slow = SlowSystem::start().await;
        let bench = &slow.bench;
        let hook = json!({"url": "https://hooks.example.com/", "event_types": ["user.created"]});
        let _created = bench.post("/webhooks", &slow.tenant.key, hook).await.expect(201);
        let _user = bench.user(&slow.tenant, "ada").await;
        slow.pages.answer(Answers::With(503, Vec::new(), Vec::new()));
        slow.pages.meanwhile(bench.clock_advancer(Duration::seconds(takes)));
        let _runs = slow.runs("deliver-webhook", slow.queue_batch("user.created"), is_batch_done).await;
        assert_eq!(slow.pages.sent().len(), calls, "{takes} s");
    }
}

#[tokio::test]
async fn a_sync_stops_in_time_however_slow_the_table_is() {
    let slow = SlowSystem::start().await;
    let bench = &slow.bench;
    let show = |people: std::ops::Range<u8>| {
        let rows: Vec<Value> = people.map(|number| json!({"login": format!("person{number}")})).collect();
        slow.pages.answer_ok(json!(rows).to_string());
    };
    show(0..60);
    let source = json!({
        "name": "people", "kind": "http", "mapping": {"username": "login"}, "format": "json", "every_hours": 24,
        "url": "https://hr.example.com/people", "vanish_policy": "suspend", "vanish_limit_percent": 100,
    });
    let _source = bench.post("/sources", &slow.tenant.key, source).await.expect(201);
    slow.delay("run-due", "", Duration::milliseconds(500));
    let is_user = |key: &str| key.ends_with("| USER");
    let idle = || slow.count(|_, row| row["sk"] == "JOB" && row["state"] == "running") == 0;
    let runs = slow.runs("run-due", json!({}), |_, _| slow.count(|key, _| is_user(key)) == 60 && idle()).await;
    assert!(runs > 1, "one run was not enough");
    bench.advance(Duration::hours(25));
    show(0..2);
    let runs = slow.runs("run-due", json!({}), |_, _| idle()).await;
    assert!(runs > 1, "one run was not enough");
    let jobs = bench.get("/jobs", &slow.tenant.key).await.expect(200).body;
    assert_eq!(jobs["items"][0]["progress"]["changed"], 58, "{jobs}");
}

#[tokio::test]
async fn a_page_of_events_is_only_republished_with_enough_time_left() {
    let slow = SlowSystem::start().await;
    let bench = &slow.bench;
    let (since, tenant) = (bench.now(), &slow.tenant);
    let _user = bench.user(tenant, "ada").await;
    bench.advance(Duration::minutes(1));
    for _ in 0..2 {
        slow.fill("user.created", 250, |id, event: Event| Event {
            event_id: EventId(id),
            created_at: EventId(id).time().unwrap(),
            ..event
        });
        bench.advance(Duration::minutes(1));
    }
    // A page takes two: for the numbers of shards of its days, and for its events.
    slow.delay("republish-events", "Query", Duration::seconds(149));
    let event = json!({"workspace_id": tenant.workspace_id, "since": since, "until": bench.now()});
    let mut published = 0;
    let runs = slow
        .runs("republish-events", event, |answer, event| {
            published += answer["published"].as_u64().unwrap();
            event["until"] = answer["until"].clone();
            event["until"].is_null()
        })
        .await;
    assert!(runs > 1, "one run was not enough");
    assert!(published >= 502, "{published}");
}

/// Makes the index of due rows list every row of the main table, as a very stale index would.
fn stale_due_index() -> (RequestRecorder, Arc<Mutex<Vec<Value>>>) {
    let named: Arc<Mutex<Vec<Value>>> = Arc::default();
    let all = Arc::clone(&named);
    let recorder = RequestRecorder::answering(move |sent| {
        if sent.call.action != "Query" || request_json(sent)["IndexName"] != "due" {
            return None;
        }
        let all = all.lock().unwrap();
        let shard = request_json(sent)["ExpressionAttributeValues"][":partition"]["S"].as_str().unwrap().to_owned();
        let items = if shard.ends_with("00") { all.clone() } else { Vec::new() };
        (!all.is_empty()).then(|| dynamodb_response(&json!({"Items": items})))
    });
    (recorder, named)
}

#[tokio::test]
async fn a_row_that_is_due_only_in_the_index_is_skipped() {
    let (recorder, named) = stale_due_index();
    let pages = Pages::default();
    let bench = Setup::new().with(recorder.adjust()).with(pages.adjust()).start().await;
    let tenant = bench.tenant("Lag").await;
    let key = &tenant.key;
    let post = async |path: String, body: Value| bench.post(&path, key, body).await;
    // A webhook with an earlier secret, and a pending delivery.
    let created = post("/webhooks".to_owned(), json!({"url": "https://hooks.example.com/"})).await.expect(201);
    let _rotated = post(format!("/webhooks/{}/rotate-secret", created.get("webhook_id")), json!({})).await.expect(200);
    pages.answer(Answers::With(503, Vec::new(), Vec::new()));
    // A user with a pending command, an open invitation, and a delayed deployment after a rename.
    let (device, _credential) = bench.phone(&tenant, "ada").await;
    let _locked = post(format!("/devices/{device}/lock"), json!({})).await.expect(202);
    let user = bench.user(&tenant, "eve").await;
    let _invited = post(format!("/users/{user}/invite"), json!({"channel": "email"})).await.expect(202);
    let _deployment = post(format!("/users/{user}/deploy"), json!({})).await.expect(202);
    let _renamed = bench.patch(&format!("/users/{user}"), key, json!({"username": "eva"})).await.expect(200);
    // A deleted user with a phone, and a source with a daily schedule.
    let (gone, phones) = bench.user_with_phones(&tenant, "bob", 1).await;
    let _deleted = bench.delete(&format!("/devices/{}", phones[0].0), key).await.expect(200);
    let _deleted = bench.delete(&format!("/users/{gone}"), key).await.expect(200);
    let source = json!({
        "name": "page", "kind": "http", "mapping": {"username": "login"}, "format": "json", "every_hours": 24,
        "url": "https://hr.example.com/people",
    });
    let _source = post("/sources".to_owned(), source).await.expect(201);
    let rule = json!({"silent_devices": {"after_days": 7, "action": "block"}});
    let _updated = bench.patch("/workspace", key, rule).await.expect(200);
    bench.drain().await;
    for operation in ["run-due", "deliver-webhook", "purge-deleted"] {
        let _run = bench.stack.run_schedule(operation).await.unwrap();
    }
    bench.drain().await;
    let all = rows::all(&bench, rows::MAIN);
    let waiting = |row: &&Value| row["due_at"].is_string();
    assert!(all.values().filter(waiting).count() > 6, "much is due later");
    let kinds = ["DEVICE", "PUSH", "COMMAND", "INVITATION", "USER", "WORKSPACE", "SOURCE", "WEBHOOK", "DELIVERY"];
    let may_be_due = |row: &&Value| {
        let kind = row["sk"].as_str().and_then(|sk| sk.split('#').next());
        kind.is_some_and(|kind| kinds.contains(&kind)) && row["version"].is_number()
    };
    for kind in kinds {
        assert!(all.values().filter(may_be_due).any(|row| row["sk"].as_str().unwrap().starts_with(kind)), "{kind}");
    }
    let named_key = |row: &Value| rows::item(&json!({"pk": row["pk"], "sk": row["sk"]}), &[]).into();
    *named.lock().unwrap() = all.values().filter(may_be_due).map(named_key).collect();
    let before = rows::everything(&bench);
    for operation in ["run-due", "deliver-webhook", "purge-deleted"] {
        let answer = bench.stack.run_schedule(operation).await.unwrap();
        assert_eq!(answer["failed"], 0, "{operation}: {answer}");
        assert_eq!(rows::everything(&bench), before, "{operation}");
    }
}

#[tokio::test]
async fn the_silence_rule_skips_a_phone_that_checks_in_meanwhile() {
    let slow = SlowSystem::start().await;
    let bench = Arc::clone(&slow.bench);
    let (device, credential) = bench.phone(&slow.tenant, "ada").await;
    let _check_in = bench.check_in(&credential).await.expect(200);
    bench.drain().await;
    let rule = json!({"silent_devices": {"after_days": 7, "action": "block"}});
    let _updated = bench.patch("/workspace", &slow.tenant.key, rule).await.expect(200);
    bench.advance(Duration::days(8));
    let key = format!("DEVICE#{}#{device} | DEVICE", slow.tenant.workspace_id);
    *slow.takes.lock().unwrap() = Some(Box::new(move |sent| {
        if sent.operation == "run-due" && sent.call.action == "TransactWriteItems" && sent.body.contains("blocked") {
            // The write of a check-in without changes, which does not change the version.
            let mut row = rows::all(&bench, rows::MAIN).remove(&key).expect("the device's row");
            row["last_login_at"] = json!(Time::from(bench.now()));
            rows::put(&bench, rows::MAIN, &row, &[]);
        }
    }));
    let _run = slow.bench.run_due().await;
    let shown = slow.bench.get(&format!("/devices/{device}"), &slow.tenant.key).await.expect(200).body;
    assert_eq!(shown["blocked"], Value::Null, "{shown}");
    assert_eq!(shown["last_login_at"], json!(Time::from(slow.bench.now())), "it has checked in meanwhile");
}
