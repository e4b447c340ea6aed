//! SQS queues: visibility, receive counts, retention and redrive, on a clock that is passed in.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::template;

/// When a failed message is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Immediately, as if all waiting times had passed: for tests.
    Now,
    /// When AWS would retry.
    WhenDue,
}

/// A message in a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its identifier.
    pub id: String,
    /// The message's body.
    pub body: String,
    /// Its attributes: type and value by name.
    pub attributes: BTreeMap<String, (String, String)>,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// How often it was received.
    pub receives: u32,
    visible_at: DateTime<Utc>,
    in_flight: bool,
}

#[derive(Clone)]
struct Queue {
    settings: template::Queue,
    messages: VecDeque<Message>,
}

/// All queues, by ARN.
#[derive(Clone)]
pub struct Queues(BTreeMap<String, Queue>);

impl Queues {
    /// The queues of the template, empty.
    #[must_use]
    pub fn new(queues: &[template::Queue]) -> Self {
        let empty = |settings: &template::Queue| Queue { settings: settings.clone(), messages: VecDeque::new() };
        Self(queues.iter().map(|queue| (queue.arn.clone(), empty(queue))).collect())
    }

    /// Appends a message. A message to a queue that does not exist is lost, as with SNS.
    pub fn send(
        &mut self,
        arn: &str,
        body: String,
        attributes: BTreeMap<String, (String, String)>,
        now: DateTime<Utc>,
    ) {
        let id = crate::random_id().to_string();
        let message = Message { id, body, attributes, sent_at: now, receives: 0, visible_at: now, in_flight: false };
        if let Some(queue) = self.0.get_mut(arn) {
            queue.messages.push_back(message);
        }
    }

    /// Receives up to `most` visible messages. Those that were received too often go to the dead-letter queue
    /// instead.
    pub fn receive(&mut self, arn: &str, most: usize, now: DateTime<Utc>, retry: Retry) -> Vec<Message> {
        let Some(queue) = self.0.get_mut(arn) else { return Vec::new() };
        queue.messages.retain(|message| now - message.sent_at < in_chrono(queue.settings.retention));
        let (received, dead) = queue.receive(most, now, retry);
        if let Some(redrive) = queue.settings.redrive.clone() {
            self.move_to_dead_letters(&redrive.to_arn, dead);
        }
        received
    }

    /// Deletes a message.
    pub fn delete(&mut self, arn: &str, id: &str) {
        if let Some(queue) = self.0.get_mut(arn) {
            queue.messages.retain(|message| message.id != id);
        }
    }

    /// Leaves a received message in the queue, to become visible again after its visibility timeout.
    pub fn return_message(&mut self, arn: &str, id: &str) {
        let messages = self.0.get_mut(arn).into_iter().flat_map(|queue| queue.messages.iter_mut());
        for message in messages.filter(|message| message.id == id) {
            message.in_flight = false;
        }
    }

    /// True while a message of a queue is being processed.
    #[must_use]
    pub fn is_busy(&self, arn: &str) -> bool {
        self.0.get(arn).is_some_and(|queue| queue.messages.iter().any(|message| message.in_flight))
    }

    /// The messages in a queue.
    #[must_use]
    pub fn messages(&self, arn: &str) -> Vec<Message> {
        self.0.get(arn).map(|queue| queue.messages.iter().cloned().collect()).unwrap_or_default()
    }

    /// When the next message of a queue becomes visible; `None` for an empty queue.
    #[must_use]
    pub fn next_visible(&self, arn: &str) -> Option<DateTime<Utc>> {
        self.0.get(arn)?.messages.iter().map(|message| message.visible_at).min()
    }

    /// The ARN of a queue by its name.
    #[must_use]
    pub fn arn(&self, name: &str) -> Option<&str> {
        let found = self.0.values().find(|queue| queue.settings.name == name);
        found.map(|queue| queue.settings.arn.as_str())
    }

    fn move_to_dead_letters(&mut self, arn: &str, dead: Vec<Message>) {
        if let Some(queue) = self.0.get_mut(arn) {
            queue.messages.extend(dead);
        }
    }
}

impl Queue {
    fn receive(&mut self, most: usize, now: DateTime<Utc>, retry: Retry) -> (Vec<Message>, Vec<Message>) {
        let often_enough = self.settings.redrive.as_ref().map_or(u32::MAX, |redrive| redrive.max_receives);
        let hidden_until = now + in_chrono(self.settings.visibility);
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        self.messages.retain_mut(|message| {
            let visible = !message.in_flight && (retry == Retry::Now || message.visible_at <= now);
            if !visible || received.len() == most {
                return true;
            }
            if message.receives >= often_enough {
                dead.push(message.clone());
                return false;
            }
            message.receives += 1;
            message.visible_at = hidden_until;
            message.in_flight = true;
            received.push(message.clone());
            true
        });
        (received, dead)
    }
}

/// The event with which Lambda invokes a function for a queue's messages.
#[must_use]
pub fn event(arn: &str, region: &str, messages: &[Message]) -> Value {
    let record = |message: &Message| {
        let attributes: BTreeMap<&String, Value> = message
            .attributes
            .iter()
            .map(|(name, (kind, value))| {
                let attribute = json!({
                    "stringValue": value,
                    "dataType": kind,
                    "stringListValues": [],
                    "binaryListValues": [],
                });
                (name, attribute)
            })
            .collect();
        let sent = message.sent_at.timestamp_millis().to_string();
        json!({
            "messageId": message.id,
            "receiptHandle": message.id,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.receives.to_string(),
                "SentTimestamp": sent,
                "ApproximateFirstReceiveTimestamp": sent,
                "SenderId": "local",
            },
            "messageAttributes": attributes,
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": region,
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() })
}

fn in_chrono(duration: std::time::Duration) -> chrono::Duration {
    chrono::Duration::from_std(duration).unwrap_or(chrono::Duration::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ARN: &str = "arn:aws:sqs:r:1:work";
    const DEAD: &str = "arn:aws:sqs:r:1:dead";

    fn queues() -> Queues {
        let queue = |arn: &str, redrive| template::Queue {
            name: arn.rsplit(':').next().unwrap().to_owned(),
            arn: arn.to_owned(),
            visibility: Duration::from_secs(180),
            retention: Duration::from_secs(345_600),
            redrive,
        };
        let redrive = template::Redrive { to_arn: DEAD.into(), max_receives: 2 };
        Queues::new(&[queue(ARN, Some(redrive)), queue(DEAD, None)])
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_received_message_is_hidden_and_comes_back() {
        let mut queues = queues();
        queues.send(ARN, "one".into(), BTreeMap::new(), at(0));
        let first = queues.receive(ARN, 10, at(0), Retry::WhenDue);
        assert_eq!(first[0].receives, 1);
        assert!(queues.receive(ARN, 10, at(500), Retry::Now).is_empty(), "it is being worked on");
        queues.return_message(ARN, &first[0].id);
        assert!(queues.receive(ARN, 10, at(179), Retry::WhenDue).is_empty());
        assert_eq!(queues.receive(ARN, 10, at(180), Retry::WhenDue)[0].receives, 2);
        queues.delete(ARN, &first[0].id);
        assert!(queues.messages(ARN).is_empty());
    }

    #[test]
    fn what_keeps_failing_ends_among_the_dead_letters() {
        let mut queues = queues();
        queues.send(ARN, "one".into(), BTreeMap::new(), at(0));
        for _ in 0..2 {
            let received = queues.receive(ARN, 10, at(0), Retry::Now);
            queues.return_message(ARN, &received[0].id);
        }
        assert!(queues.receive(ARN, 10, at(0), Retry::Now).is_empty());
        assert_eq!(queues.messages(DEAD)[0].body, "one");
        assert!(queues.messages(ARN).is_empty());
    }

    #[test]
    fn a_batch_is_bounded_and_old_messages_go() {
        let mut queues = queues();
        for number in 0..12 {
            queues.send(ARN, number.to_string(), BTreeMap::new(), at(0));
        }
        assert_eq!(queues.receive(ARN, 10, at(0), Retry::WhenDue).len(), 10);
        assert_eq!(queues.receive(ARN, 10, at(0), Retry::WhenDue).len(), 2);
        assert!(queues.receive(ARN, 10, at(400_000), Retry::WhenDue).is_empty());
        assert!(queues.messages(ARN).is_empty());
    }
}
