//! Tests of the driver with a table, a topic and queues, and operations that a test defines.

use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::*;

const TEMPLATE: &str = r#"
Globals: { Function: { Timeout: 3, PermissionsBoundary: !Ref Most } }
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: things
      BillingMode: PAY_PER_REQUEST
      StreamSpecification: { StreamViewType: NEW_IMAGE }
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
  Topic: { Type: AWS::SNS::Topic }
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      MessageRetentionPeriod: 1000000
      VisibilityTimeout: 180
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 5 }
  Dead: { Type: AWS::SQS::Queue, Properties: { QueueName: queue-dead-letters, MessageRetentionPeriod: 1000000 } }
  RunDead: { Type: AWS::SQS::Queue, Properties: { QueueName: run-dead-letters, MessageRetentionPeriod: 1000000 } }
  Subscription:
    Type: AWS::SNS::Subscription
    Properties:
      TopicArn: !Ref Topic
      Protocol: sqs
      Endpoint: !GetAtt Queue.Arn
      RawMessageDelivery: true
      FilterPolicy: { event_type: [mail] }
  Most:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument: { Statement: [{ Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt RunDead.Arn }] }
  Publish:
    Type: AWS::Serverless::Function
    Properties:
      Handler: publish
  PublishStream:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref Publish
      EventSourceArn: !GetAtt Table.StreamArn
      StartingPosition: TRIM_HORIZON
      BatchSize: 4
      MaximumRetryAttempts: -1
      BisectBatchOnFunctionError: true
      FunctionResponseTypes: [ReportBatchItemFailures]
      FilterCriteria: { Filters: [{ Pattern: '{"eventName":["INSERT"],"dynamodb":{"Keys":{"pk":{"S":[{"prefix":"E"}]}}}}' }] }
  Notify:
    Type: AWS::Serverless::Function
    Properties:
      Handler: notify
      DeadLetterQueue: { Type: SQS, TargetArn: !GetAtt RunDead.Arn }
      Events: { Topic: { Type: SNS, Properties: { Topic: !Ref Topic, FilterPolicy: { event_type: [push] } } } }
  Texts: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: !Sub "sns/${AWS::Region}/texts" } }
  TextsToNotify:
    Type: AWS::Logs::SubscriptionFilter
    Properties: { LogGroupName: !Ref Texts, FilterPattern: "", DestinationArn: !GetAtt Notify.Arn }
  Send:
    Type: AWS::Serverless::Function
    Properties:
      Handler: send
  SendQueue:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref Send
      EventSourceArn: !GetAtt Queue.Arn
      BatchSize: 10
      FunctionResponseTypes: [ReportBatchItemFailures]
"#;

type Reply = Arc<dyn Fn(&str, &Value, usize) -> Result<Value, String> + Send + Sync>;

struct Bench {
    driver: Driver,
    database: Database,
    publish: UnboundedSender<TopicMessage>,
    log: UnboundedSender<LogEntry>,
    /// Every run: the operation and its event.
    runs: Arc<Mutex<Vec<(String, Value)>>>,
    seconds: Arc<Mutex<i64>>,
}

/// A driver whose operations call `reply` with the operation, its event and the number of runs.
fn bench(reply: impl Fn(&str, &Value, usize) -> Result<Value, String> + Send + Sync + 'static) -> Bench {
    gated(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), reply)
}

/// A driver whose operations wait for a gate.
fn gated(
    gate: Arc<Semaphore>,
    reply: impl Fn(&str, &Value, usize) -> Result<Value, String> + Send + Sync + 'static,
) -> Bench {
    let template = Arc::new(Template::read(TEMPLATE, &StackLocation::default(), &BTreeMap::new()).unwrap());
    let database = Database::memory().unwrap();
    database.create_table(serde_json::from_value(template.tables[0].clone()).unwrap()).unwrap();
    let (publish, published) = unbounded_channel();
    let (log, logged) = unbounded_channel();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let seconds = Arc::new(Mutex::new(0));
    let (reply, noted, clock): (Reply, _, _) = (Arc::new(reply), Arc::clone(&runs), Arc::clone(&seconds));
    let invoke: Invoke = Arc::new(move |operation, event| {
        let mut noted = noted.lock().unwrap();
        noted.push((operation.to_owned(), event.clone()));
        let outcome = reply(operation, &event, noted.len());
        let gate = Arc::clone(&gate);
        async move {
            let _let_through = gate.acquire_owned().await;
            outcome
        }
        .boxed()
    });
    let driver = Driver::new(DriverOptions {
        template,
        location: StackLocation::default(),
        database: database.clone(),
        invoke,
        published,
        logged,
        now: Arc::new(move || DateTime::from_timestamp(1_800_000_000 + *clock.lock().unwrap(), 0).unwrap()),
        wait: Arc::new(|time| tokio::time::sleep(time).boxed()),
        positions_file: None,
    });
    Bench { driver, database, publish, log, runs, seconds }
}

impl Bench {
    fn put(&self, pk: &str) {
        let request = json!({ "TableName": "things", "Item": { "pk": { "S": pk } } });
        self.database.put_item(serde_json::from_value(request).unwrap()).unwrap();
    }

    fn publish(&self, event_type: &str, message: &str) {
        let message = TopicMessage {
            topic_arn: "arn:aws:sns:us-east-1:000000000000:handset-Topic".into(),
            message_id: "m".into(),
            subject: None,
            message: message.into(),
            attributes: BTreeMap::from([("event_type".into(), ("String".into(), event_type.into()))]),
            group: Some("one".into()),
            timestamp: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        };
        self.publish.send(message).unwrap();
    }

    fn runs(&self) -> Vec<(String, Value)> {
        self.runs.lock().unwrap().clone()
    }

    /// The keys of the records of every run.
    fn batches(&self) -> Vec<Vec<String>> {
        let keys = |event: &Value| event["Records"].as_array().unwrap().iter().map(key).collect();
        self.runs().iter().map(|(_, event)| keys(event)).collect()
    }
}

fn key(record: &Value) -> String {
    record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().to_owned()
}

fn nothing() -> Result<Value, String> {
    Ok(json!({ "batchItemFailures": [] }))
}

#[tokio::test]
async fn the_stream_is_filtered_batched_and_in_order() {
    let bench = bench(|_, _, _| nothing());
    for pk in ["E1", "x", "E2", "E3", "E2", "E4", "E5"] {
        bench.put(pk);
    }
    bench.driver.drain(Retry::Now).await.unwrap();
    assert_eq!(bench.batches(), [vec!["E1", "E2", "E3", "E4"], vec!["E5"]]);
    bench.put("E6");
    bench.driver.drain(Retry::Now).await.unwrap();
    assert_eq!(bench.batches()[2], ["E6"]);
}

#[tokio::test]
async fn a_partial_failure_is_tried_again_from_the_failed_record_on() {
    let bench = bench(|_, event, count| {
        let failed = if count == 1 {
            json!([{ "itemIdentifier": event["Records"][1]["dynamodb"]["SequenceNumber"] }])
        } else {
            json!([])
        };
        Ok(json!({ "batchItemFailures": failed }))
    });
    for pk in ["E1", "E2", "E3"] {
        bench.put(pk);
    }
    bench.driver.drain(Retry::Now).await.unwrap();
    assert_eq!(bench.batches(), [vec!["E1", "E2", "E3"], vec!["E2"], vec!["E3"]]);
}

#[tokio::test]
async fn a_failing_batch_is_halved_and_a_bad_record_blocks_only_what_follows() {
    let bench = bench(|_, event, _| {
        let bad = event["Records"].as_array().unwrap().iter().any(|record| key(record) == "E3");
        if bad { Err("bad".into()) } else { nothing() }
    });
    for pk in ["E1", "E2", "E3", "E4"] {
        bench.put(pk);
    }
    let blocked = bench.driver.drain(Retry::Now).await.unwrap_err();
    assert_eq!(blocked.operation, "publish");
    assert_eq!(bench.batches()[..3], [vec!["E1", "E2", "E3", "E4"], vec!["E1", "E2"], vec!["E3", "E4"]]);
    assert_eq!(bench.batches().last().unwrap(), &["E3"]);
}

#[tokio::test]
async fn after_a_failure_the_stream_waits() {
    let bench = bench(|_, _, count| if count == 1 { Err("once".into()) } else { nothing() });
    bench.put("E1");
    bench.driver.drain(Retry::WhenDue).await.unwrap();
    assert_eq!(bench.runs().len(), 1);
    *bench.seconds.lock().unwrap() = 2;
    bench.driver.drain(Retry::WhenDue).await.unwrap();
    assert_eq!(bench.runs().len(), 2);
}

#[tokio::test]
async fn topics_reach_functions_and_queues_by_their_filters() {
    let bench = bench(|_, _, _| nothing());
    for (event_type, message) in [("push", "a"), ("mail", "b"), ("other", "c")] {
        bench.publish(event_type, message);
    }
    bench.driver.drain(Retry::Now).await.unwrap();
    let runs = bench.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].0.as_str(), &runs[0].1["Records"][0]["Sns"]["Message"]), ("notify", &json!("a")));
    let record = &runs[1].1["Records"][0];
    assert_eq!((runs[1].0.as_str(), &record["body"]), ("send", &json!("b")));
    assert_eq!(record["messageAttributes"]["event_type"]["stringValue"], "mail");
    assert_eq!(record["attributes"]["MessageGroupId"], "one");
}

#[tokio::test]
async fn an_asynchronous_run_is_tried_three_times_and_kept() {
    let bench = bench(|_, _, _| Err("down".into()));
    bench.publish("push", "a");
    bench.driver.drain(Retry::WhenDue).await.unwrap();
    assert_eq!(bench.runs().len(), 1);
    assert_eq!(bench.driver.next_due(), DateTime::from_timestamp(1_800_000_060, 0));
    *bench.seconds.lock().unwrap() = 60;
    bench.driver.drain(Retry::WhenDue).await.unwrap();
    assert_eq!((bench.runs().len(), bench.driver.dead_letters().len()), (2, 0));
    bench.driver.drain(Retry::Now).await.unwrap();
    assert_eq!(bench.runs().len(), 3);
    let dead = bench.driver.messages("run-dead-letters");
    assert!(dead[0].body.contains("\"Message\":\"a\""), "{dead:?}");
    assert_eq!(dead[0].attributes["ErrorMessage"].1, "down");
}

#[tokio::test]
async fn of_a_queue_only_what_failed_comes_again_and_then_dies() {
    let bench = bench(|_, event, _| {
        let records = event["Records"].as_array().unwrap();
        let failed: Vec<Value> = records
            .iter()
            .filter(|record| record["body"] == "bad")
            .map(|record| json!({ "itemIdentifier": record["messageId"] }))
            .collect();
        Ok(json!({ "batchItemFailures": failed }))
    });
    for body in ["good", "bad"] {
        bench.publish("mail", body);
    }
    bench.driver.drain(Retry::Now).await.unwrap();
    assert_eq!(bench.runs().len(), 5);
    assert_eq!(bench.runs()[4].1["Records"].as_array().unwrap().len(), 1);
    let bodies: Vec<_> = bench.driver.messages("queue-dead-letters").into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["bad"]);
}

#[tokio::test]
async fn a_line_of_a_log_runs_its_subscriber_and_is_tried_again() {
    let bench = bench(|_, _, runs| if runs == 1 { Err("not yet".to_owned()) } else { nothing() });
    for group in ["sns/us-east-1/texts", "sns/us-east-1/others"] {
        let entry = LogEntry { group: group.to_owned(), message: "{}".to_owned(), timestamp: (bench.driver.now)() };
        bench.log.send(entry).unwrap();
    }
    bench.driver.drain(Retry::Now).await.unwrap();
    let runs = bench.runs.lock().unwrap();
    assert_eq!(runs.len(), 2, "the other group has no subscriber");
    assert!(runs.iter().all(|(operation, event)| operation == "notify" && event["awslogs"]["data"].is_string()));
    assert_eq!(runs[0].1, runs[1].1);
}

#[tokio::test]
async fn a_restart_goes_on_where_everything_was_done() {
    let folder = std::env::temp_dir().join(format!("handset-driver-{}", crate::random_id()));
    std::fs::create_dir_all(&folder).unwrap();
    let first = bench(|_, _, _| nothing());
    let driver = Driver { positions_file: Some(folder.join("streams.json")), ..first.driver };
    let request = json!({ "TableName": "things", "Item": { "pk": { "S": "E1" } } });
    first.database.put_item(serde_json::from_value(request).unwrap()).unwrap();
    driver.drain(Retry::Now).await.unwrap();
    driver.save_positions();
    let (_, published) = unbounded_channel();
    let again = Driver::new(DriverOptions {
        template: Arc::clone(&driver.template),
        location: StackLocation::default(),
        database: first.database.clone(),
        invoke: Arc::clone(&driver.invoke),
        published,
        logged: unbounded_channel().1,
        now: Arc::clone(&driver.now),
        wait: Arc::clone(&driver.wait),
        positions_file: driver.positions_file.clone(),
    });
    again.drain(Retry::Now).await.unwrap();
    assert_eq!(first.runs.lock().unwrap().len(), 1, "nothing is published twice");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn nothing_is_left_only_when_what_another_run_has_in_hand_is_done() {
    let gate = Arc::new(Semaphore::new(0));
    let bench = gated(Arc::clone(&gate), |_, _, _| nothing());
    bench.publish("mail", "one");
    assert!(bench.driver.take_published().await);
    let (function, trigger) = bench.driver.triggers(|function| &function.queues).next().unwrap();
    let mut other = Box::pin(bench.driver.queue_step(function, trigger, Retry::Now));
    assert!(futures::poll!(&mut other).is_pending(), "it is at it");
    let mut drained = Box::pin(bench.driver.drain(Retry::Now));
    tokio::select! {
        biased;
        _ = &mut drained => panic!("a message is still in hand"),
        () = tokio::time::sleep(POLL * 3) => {}
    }
    gate.add_permits(10);
    assert!(other.await);
    drained.await.unwrap();
    assert_eq!(bench.runs().len(), 1);
}

#[tokio::test]
async fn what_was_in_hand_when_a_run_was_dropped_is_received_again() {
    let gate = Arc::new(Semaphore::new(0));
    let bench = gated(Arc::clone(&gate), |_, _, _| nothing());
    bench.publish("mail", "one");
    assert!(bench.driver.take_published().await);
    let (function, trigger) = bench.driver.triggers(|function| &function.queues).next().unwrap();
    let mut dropped = Box::pin(bench.driver.queue_step(function, trigger, Retry::Now));
    assert!(futures::poll!(&mut dropped).is_pending());
    drop(dropped);
    gate.add_permits(10);
    bench.driver.drain(Retry::Now).await.unwrap();
    assert_eq!(bench.runs().len(), 2);
}
