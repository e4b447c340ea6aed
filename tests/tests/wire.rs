//! What is asked of AWS, and what is made of its answers: those that no emulator gives, each given by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws::{Commit, Jobs as _, Key, Row as _, Table, TableNames, Topic, TopicPublisher};
use chrono::{DateTime, Duration, Utc};
use domain::event::{Act, Actor, Event, EventType};
use domain::ids::timed_uuid;
use domain::job::JobItem;
use domain::refusal::Failure;
use domain::{EventId, JobId, Time, WorkspaceId};
use functions::triggers::{Run, publish_events};
use lambda::Moment;
use serde_json::{Value, json};
use testkit::faults::{ConnectorError, Fault, HttpResponse, answer, canceled, dynamodb};
use testkit::lines::Lines;
use testkit::tap::{Sent, Tap};
use testkit::{Bench, rows};

/// When everything here happens.
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
    let act = Act {
        event_id: EventId(timed_uuid(now(), [number; 10])),
        workspace_id: workspace(),
        at: now(),
        actor: Actor::System,
        token_id: None,
        operation: "create-user",
        request_id: "1".to_owned(),
        address: None,
        job_id: None,
    };
    act.event(EventType::UserCreated)
}

/// The tables, of which nothing is there but what a tap answers.
fn table(tap: &Tap) -> Table {
    let names = TableNames { main: rows::MAIN.to_owned(), secrets: rows::SECRETS.to_owned() };
    Table::new(&tap.alone(), names)
}

fn said(sent: &Sent) -> Value {
    serde_json::from_str(&sent.body).unwrap()
}

/// An answer of DynamoDB.
fn well(body: &Value) -> Answer {
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

/// The rows of a batch, of which so many are looked up at once; what is left is named.
fn batch(sent: &Sent, at_once: usize) -> Value {
    let asked = said(sent)["RequestItems"][rows::MAIN]["Keys"].as_array().unwrap().clone();
    let (done, left) = asked.split_at(at_once.min(asked.len()));
    let stored = |item: &JobItem| {
        let Key { pk, sk } = item.key();
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
async fn what_a_batch_leaves_out_is_asked_for_again_and_nothing_else_is() {
    let tap = Tap::answering(|sent| Some(well(&batch(sent, 1))));
    let ids: Vec<String> = items().into_iter().map(|item| item.id).collect();
    assert_eq!(table(&tap).job_items(workspace(), job(), &ids).await.unwrap(), items());
    let heard = tap.take();
    let asked: Vec<usize> =
        heard.iter().map(|sent| said(sent)["RequestItems"][rows::MAIN]["Keys"].as_array().unwrap().len()).collect();
    assert_eq!(asked, [3, 2, 1]);
    assert!(heard.iter().all(|sent| !sent.call.stale), "each of them asks for what was written last");
}

#[tokio::test]
async fn a_batch_that_is_never_finished_is_no_answer() {
    let tap = Tap::answering(|sent| Some(well(&batch(sent, 0))));
    let found = table(&tap).job_items(workspace(), job(), &["a".to_owned()]).await;
    assert!(matches!(found, Err(Failure::Unavailable { .. })), "{found:?}");
    assert!(tap.take().len() > 1, "it was asked for again");
}

/// A commit of an event and a row, of which the first calls are answered so and the others well: what came of it,
/// and what was sent.
async fn committed(failing: usize, fails: impl Fn(&Sent) -> Answer + Send + Sync + 'static) -> (Outcome, Vec<Sent>) {
    let calls = AtomicUsize::new(0);
    let tap = Tap::answering(move |sent| {
        let ends = calls.fetch_add(1, Ordering::Relaxed) >= failing;
        Some(if ends { well(&json!({})) } else { fails(sent) })
    });
    let commit = Commit::of(&event(1)).put(&items()[0]);
    let outcome = match table(&tap).commit(commit).await {
        Ok(()) => Outcome::Done,
        Err(Failure::LostRace) => Outcome::LostRace,
        Err(Failure::Unavailable { .. }) => Outcome::Unavailable,
        Err(_) => Outcome::Fault,
    };
    (outcome, tap.take())
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    LostRace,
    Unavailable,
    Fault,
}

/// So often the SDK makes one call of its own accord.
const BY_THE_SDK: usize = 3;

#[tokio::test]
async fn a_commit_of_which_nobody_says_what_became_is_sent_again_to_the_letter() {
    let in_progress = |_: &Sent| Ok(dynamodb(400, "v20120810#TransactionInProgressException", &json!({})));
    let lost = |_: &Sent| Err(ConnectorError::timeout("the answer did not come".into()));
    let server_error = |sent: &Sent| Fault::ServerError.answer(&sent.call).unwrap();
    let broken = |sent: &Sent| Fault::Before.answer(&sent.call).unwrap();
    // More than the SDK repeats, and then what is repeated here.
    let ends = [("in progress", committed(1, in_progress).await), ("lost", committed(4, lost).await)];
    let more = [("5xx", committed(4, server_error).await), ("broken", committed(4, broken).await)];
    for (why, (outcome, sent)) in ends.into_iter().chain(more) {
        assert_eq!(outcome, Outcome::Done, "{why}");
        assert!(sent.len() > 1, "{why}");
        assert!(said(&sent[0])["ClientRequestToken"].is_string(), "{why}");
        assert!(sent.iter().all(|again| said(again) == said(&sent[0])), "{why}");
    }
    // Not for ever: then the caller is told that it may be tried again.
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
    let throttled = |sent: &Sent| Fault::Throttle.answer(&sent.call).unwrap();
    let (outcome, sent) = committed(usize::MAX, throttled).await;
    assert_eq!((outcome, sent.len()), (Outcome::Unavailable, BY_THE_SDK));
    for name in ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"] {
        let named = move |_: &Sent| Ok(dynamodb(400, &format!("com.amazonaws.dynamodb.v20120810#{name}"), &json!({})));
        assert_eq!(committed(usize::MAX, named).await.0, Outcome::Unavailable, "{name}");
    }
    for code in ["ThrottlingError", "ProvisionedThroughputExceeded"] {
        let part = move |sent: &Sent| Ok(canceled(&sent.call, 1, code));
        assert_eq!(committed(usize::MAX, part).await.0, Outcome::Unavailable, "{code}");
    }
}

#[tokio::test]
async fn a_commit_that_was_canceled_is_told_by_its_parts() {
    let cases = [
        // The event is there: an earlier one of the same commit came through.
        (0, "ConditionalCheckFailed", Outcome::Done),
        (1, "ConditionalCheckFailed", Outcome::LostRace),
        (0, "TransactionConflict", Outcome::LostRace),
        (1, "TransactionConflict", Outcome::LostRace),
        (1, "ItemCollectionSizeLimitExceeded", Outcome::Fault),
        (1, "ValidationError", Outcome::Fault),
    ];
    for (at, code, expected) in cases {
        let (outcome, sent) = committed(usize::MAX, move |sent| Ok(canceled(&sent.call, at, code))).await;
        assert_eq!((outcome, sent.len()), (expected, 1), "{code} of part {at}");
    }
    let conflict = |_: &Sent| Ok(dynamodb(400, "v20120810#TransactionConflictException", &json!({})));
    assert_eq!(committed(usize::MAX, conflict).await.0, Outcome::LostRace);
    for name in ["ValidationException", "AccessDeniedException", "ResourceNotFoundException"] {
        let named = move |_: &Sent| Ok(dynamodb(400, &format!("com.amazonaws.dynamodb.v20120810#{name}"), &json!({})));
        let (outcome, sent) = committed(usize::MAX, named).await;
        assert_eq!((outcome, sent.len()), (Outcome::Fault, 1), "{name}");
    }
}

/// The entries of a batch of messages, each by its fields.
fn entries(sent: &Sent) -> Vec<Vec<(String, String)>> {
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

/// SNS's answer to a batch, of which it does not take what has these identifiers.
fn taken_but(sent: &Sent, not: &[&str]) -> Answer {
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

fn topic(tap: &Tap) -> TopicPublisher {
    TopicPublisher::new(&tap.alone(), "arn:aws:sns:eu-central-1:000000000000:events".to_owned())
}

#[tokio::test]
async fn what_the_topic_does_not_take_of_its_batches_is_named() {
    let tap = Tap::answering(|sent| Some(taken_but(sent, &["3", "12", "20"])));
    let events: Vec<Event> = (1..=21).map(event).collect();
    assert_eq!(topic(&tap).publish(&events).await.unwrap(), [3, 12, 20]);
    let sent: Vec<Vec<String>> =
        tap.take().iter().map(|sent| entries(sent).iter().map(|entry| field(entry, "Message")).collect()).collect();
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 1]);
    let all: Vec<String> = events.iter().map(|event| event.public().to_string()).collect();
    assert_eq!(sent.concat(), all, "each once, in their order");
    let tap = Tap::answering(|sent| Some(Fault::ServerError.answer(&sent.call).unwrap()));
    let failed = topic(&tap).publish(&events).await;
    assert!(matches!(failed, Err(Failure::Unavailable { .. })), "{failed:?}");
}

#[tokio::test]
async fn no_batch_of_messages_has_more_than_sns_takes() {
    let tap = Tap::answering(|sent| Some(taken_but(sent, &[])));
    let large = |(number, kilobytes): (u8, usize)| {
        let mut event = event(number);
        event.change("custom_metadata", Value::Null, "x".repeat(kilobytes * 1024));
        event
    };
    let sizes = [100, 100, 55, 100, 100, 60, 200, 1, 1, 1, 250, 250, 1, 85, 85, 85];
    let events: Vec<Event> = (1..).zip(sizes).map(large).collect();
    assert_eq!(topic(&tap).publish(&events).await.unwrap(), Vec::<usize>::new());
    let batches: Vec<_> = tap.take().iter().map(entries).collect();
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
    assert_eq!(published, events.iter().map(|event| event.public().to_string()).collect::<Vec<_>>());
    let attributes = |entry: &Vec<(String, String)>| {
        let value = |number| field(entry, &format!("MessageAttributes.entry.{number}.Value.StringValue"));
        let (mut both, expected) = ([value(1), value(2)], ["user.created".to_owned(), workspace().to_string()]);
        both.sort_by_key(|value| *value != expected[0]);
        both == expected
    };
    assert!(batches.concat().iter().all(attributes), "subscriptions filter by type and workspace");
}

/// A topic that does not take some events, named by their places; none at all if it is not there.
struct Picky(Option<Vec<usize>>);

impl Topic for Picky {
    async fn publish(&self, _: &[Event]) -> Result<Vec<usize>, Failure> {
        self.0.clone().ok_or_else(|| Failure::unavailable("SNS", "it is not there"))
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
fn told(number: u8, change: impl Fn(&mut Value)) -> Value {
    let event = event(number);
    let (Key { pk, sk }, mut row) = (event.key(), json!(event));
    (row["pk"], row["sk"]) = (pk.into(), sk.into());
    change(&mut row);
    record(number, "INSERT", &row)
}

#[tokio::test]
async fn the_stream_goes_on_from_the_first_record_whose_event_was_not_taken() {
    let records = vec![
        record(1, "INSERT", &json!({"pk": "USER#1", "sk": "USER"})),
        told(2, |_| ()),
        // Nobody can read it, and nobody waits for it.
        told(3, |row| row["actor"] = json!(["Rumpelstiltskin"])),
        told(4, |_| ()),
        // A later change of an event's row tells nothing new.
        json!({"eventName": "MODIFY", "dynamodb": told(5, |_| ())["dynamodb"]}),
        told(6, |_| ()),
    ];
    let again = |sequence: &str| json!({"batchItemFailures": [{"itemIdentifier": sequence}]});
    let cases = [
        (Some(vec![]), json!({"batchItemFailures": []})),
        (Some(vec![0]), again("s2")),
        (Some(vec![2, 1]), again("s4")),
        (Some(vec![2]), again("s6")),
        (None, again("s2")),
    ];
    let (lines, _logging) = Lines::of("error");
    for (not_taken, expected) in cases {
        let run = Run {
            operation: "publish-events",
            moment: Moment::new(start(), |bytes| bytes.fill(0)),
            request_id: "1".to_owned(),
            event: json!({"Records": records}),
            deadline: now(),
            clock: functions::Clock::from_fn(Arc::new(start)),
        };
        let answer = publish_events::handle(&Picky(not_taken.clone()), run).await.unwrap();
        assert_eq!(answer, expected, "{not_taken:?}");
    }
    // What is passed over is named by its key alone, in words that an alarm counts.
    let (lines, unread) = (lines.text(), event(3).key());
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 5, "one a run: {lines:?}");
    let names = |line: &&str| line.contains("a row cannot be read") && line.contains(&unread.to_string());
    assert!(lines.iter().all(|line| names(line) && !line.contains("Rumpelstiltskin")), "{lines:?}");
}

#[tokio::test]
async fn what_is_published_again_and_not_taken_is_said_to_be_left() {
    let refused: Arc<Mutex<Option<&'static str>>> = Arc::default();
    let refuses = Arc::clone(&refused);
    let tap = Tap::answering(move |sent| {
        let refused = refuses.lock().unwrap().filter(|_| sent.operation == "republish-events")?;
        (sent.call.action == "PublishBatch").then(|| taken_but(sent, &[refused]))
    });
    let bench = Bench::start_with(Some(tap.adjust()), [].into()).await;
    let tenant = bench.tenant("Again").await;
    let _user = bench.user(&tenant, "ada").await;
    bench.drain().await;
    let (since, until) = (bench.now() - Duration::hours(1), bench.now());
    let span = json!({"workspace_id": tenant.workspace_id, "since": since, "until": until});
    let told = bench.event_types(&tenant).await.len();
    for one in ["0", "1"] {
        *refused.lock().unwrap() = Some(one);
        let answer = bench.stack.invoke("republish-events", span.clone()).await;
        assert!(answer.is_err(), "{one} was not taken, and it says {answer:?}");
    }
    *refused.lock().unwrap() = None;
    let answer = bench.stack.invoke("republish-events", span).await.unwrap();
    assert_eq!(answer, json!({"published": told, "unreadable": 0, "until": null}));
}
