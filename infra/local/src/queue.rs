//! SQS queues: visibility, receive counts, retention, redrive and fairness among message groups, on a clock that is
//! passed in.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
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
    /// Its message group; a message without one is a group by itself.
    pub group: Option<String>,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// How often it was received.
    pub receives: u32,
    visible_at: DateTime<Utc>,
    /// When the receipt began that is in progress.
    in_flight_since: Option<DateTime<Utc>>,
}

#[derive(Clone)]
struct Queue {
    settings: template::Queue,
    messages: VecDeque<Message>,
    /// What consumers have recently worked on, oldest first.
    worked: VecDeque<Work>,
}

/// A receipt of a group's message that is over.
#[derive(Clone)]
struct Work {
    group: String,
    ended: DateTime<Utc>,
    took: TimeDelta,
}

/// What a group uses of a queue's consumers.
#[derive(Clone, Copy, Default)]
struct Share {
    in_flight: usize,
    /// Of the consumers' recent time.
    time: TimeDelta,
}

impl Share {
    /// True if the group takes more than its share of the total ("How Amazon SQS fair queues work", Amazon SQS Developer
    /// Guide).
    fn is_noisy(self, total: Share) -> bool {
        let of_messages = self.in_flight >= 30 && self.in_flight * 10 > total.in_flight;
        of_messages || self.time * 10 > total.time
    }
}

/// What counts as recent; SQS does not document it.
const RECENT: TimeDelta = TimeDelta::minutes(1);

/// All queues, by ARN.
#[derive(Clone)]
pub struct Queues(BTreeMap<String, Queue>);

impl Queues {
    /// The queues of the template, empty.
    #[must_use]
    pub fn new(queues: &[template::Queue]) -> Self {
        let empty = |settings: &template::Queue| Queue {
            settings: settings.clone(),
            messages: VecDeque::new(),
            worked: VecDeque::new(),
        };
        Self(queues.iter().map(|queue| (queue.arn.clone(), empty(queue))).collect())
    }

    /// Appends a message. A message to a queue that does not exist is lost, as with SNS.
    pub fn send(
        &mut self,
        arn: &str,
        body: String,
        attributes: BTreeMap<String, (String, String)>,
        group: Option<String>,
        now: DateTime<Utc>,
    ) {
        let id = crate::random_id().to_string();
        let message =
            Message { id, body, attributes, group, sent_at: now, receives: 0, visible_at: now, in_flight_since: None };
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

    /// Deletes a received message.
    pub fn delete(&mut self, arn: &str, id: &str, now: DateTime<Utc>) {
        if let Some(queue) = self.0.get_mut(arn) {
            queue.end_receipt(id, now);
            queue.messages.retain(|message| message.id != id);
        }
    }

    /// Leaves a received message in the queue, to become visible again after its visibility timeout.
    pub fn return_message(&mut self, arn: &str, id: &str, now: DateTime<Utc>) {
        if let Some(queue) = self.0.get_mut(arn) {
            queue.end_receipt(id, now);
        }
    }

    /// True while a message of a queue is being processed.
    #[must_use]
    pub fn is_busy(&self, arn: &str) -> bool {
        self.0.get(arn).is_some_and(|queue| queue.messages.iter().any(|message| message.in_flight_since.is_some()))
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
        let is_visible =
            |message: &Message| message.in_flight_since.is_none() && (retry == Retry::Now || message.visible_at <= now);
        let is_dead = |message: &Message| is_visible(message) && message.receives >= often_enough;
        let dead = self.messages.iter().filter(|message| is_dead(message)).cloned().collect();
        self.messages.retain(|message| !is_dead(message));
        let mut received = Vec::new();
        while received.len() < most
            && let Some(message) = self.fairest(now, is_visible)
        {
            message.receives += 1;
            message.visible_at = hidden_until;
            message.in_flight_since = Some(now);
            received.push(message.clone());
        }
        (received, dead)
    }

    /// The next visible message: the oldest of the groups that are not noisy, else of the noisy group with the fewest in
    /// flight. A message without a group is never noisy.
    fn fairest(&mut self, now: DateTime<Utc>, is_visible: impl Fn(&Message) -> bool) -> Option<&mut Message> {
        let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
        let mut total = Share::default();
        for (group, since) in self.messages.iter().filter_map(|one| Some((&one.group, one.in_flight_since?))) {
            total = Share { in_flight: total.in_flight + 1, time: total.time + (now - since) };
            if let Some(group) = group {
                let share = shares.entry(group).or_default();
                *share = Share { in_flight: share.in_flight + 1, time: share.time + (now - since) };
            }
        }
        for work in self.worked.iter().filter(|work| now - work.ended < RECENT) {
            total.time += work.took;
            shares.entry(&work.group).or_default().time += work.took;
        }
        let disfavour = |message: &Message| {
            let share = message.group.as_deref().and_then(|group| shares.get(group)).copied().unwrap_or_default();
            if share.is_noisy(total) { 1 + share.in_flight } else { 0 }
        };
        let visible = self.messages.iter().enumerate().filter(|(_, message)| is_visible(message));
        let (at, _) = visible.min_by_key(|(_, message)| disfavour(message))?;
        self.messages.get_mut(at)
    }

    fn end_receipt(&mut self, id: &str, now: DateTime<Utc>) {
        while self.worked.pop_front_if(|work| now - work.ended >= RECENT).is_some() {}
        let Some(message) = self.messages.iter_mut().find(|message| message.id == id) else { return };
        let since = message.in_flight_since.take();
        if let (Some(since), Some(group)) = (since, message.group.clone()) {
            self.worked.push_back(Work { group, ended: now, took: now - since });
        }
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
        let mut of_sqs = json!({
            "ApproximateReceiveCount": message.receives.to_string(),
            "SentTimestamp": sent,
            "ApproximateFirstReceiveTimestamp": sent,
            "SenderId": "local",
        });
        if let Some(group) = &message.group {
            of_sqs["MessageGroupId"] = json!(group);
        }
        json!({
            "messageId": message.id,
            "receiptHandle": message.id,
            "body": message.body,
            "attributes": of_sqs,
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
        queues.send(ARN, "one".into(), BTreeMap::new(), None, at(0));
        let first = queues.receive(ARN, 10, at(0), Retry::WhenDue);
        assert_eq!(first[0].receives, 1);
        assert!(queues.receive(ARN, 10, at(500), Retry::Now).is_empty(), "it is being worked on");
        queues.return_message(ARN, &first[0].id, at(0));
        assert!(queues.receive(ARN, 10, at(179), Retry::WhenDue).is_empty());
        assert_eq!(queues.receive(ARN, 10, at(180), Retry::WhenDue)[0].receives, 2);
        queues.delete(ARN, &first[0].id, at(180));
        assert!(queues.messages(ARN).is_empty());
    }

    #[test]
    fn what_keeps_failing_ends_among_the_dead_letters() {
        let mut queues = queues();
        queues.send(ARN, "one".into(), BTreeMap::new(), None, at(0));
        for _ in 0..2 {
            let received = queues.receive(ARN, 10, at(0), Retry::Now);
            queues.return_message(ARN, &received[0].id, at(0));
        }
        assert!(queues.receive(ARN, 10, at(0), Retry::Now).is_empty());
        assert_eq!(queues.messages(DEAD)[0].body, "one");
        assert!(queues.messages(ARN).is_empty());
    }

    #[test]
    fn a_batch_is_bounded_and_old_messages_go() {
        let mut queues = queues();
        for number in 0..12 {
            queues.send(ARN, number.to_string(), BTreeMap::new(), None, at(0));
        }
        assert_eq!(queues.receive(ARN, 10, at(0), Retry::WhenDue).len(), 10);
        assert_eq!(queues.receive(ARN, 10, at(0), Retry::WhenDue).len(), 2);
        assert!(queues.receive(ARN, 10, at(400_000), Retry::WhenDue).is_empty());
        assert!(queues.messages(ARN).is_empty());
    }

    #[test]
    fn messages_of_other_groups_come_before_those_of_a_group_that_takes_more_than_its_share() {
        let mut queues = queues();
        let send = |queues: &mut Queues, body: &str, group: Option<&str>| {
            queues.send(ARN, body.into(), BTreeMap::new(), group.map(str::to_owned), at(0));
        };
        let receive =
            |queues: &mut Queues, most, now| -> Vec<Message> { queues.receive(ARN, most, at(now), Retry::WhenDue) };
        let bodies = |messages: Vec<Message>| messages.into_iter().map(|message| message.body).collect::<Vec<_>>();
        for number in 0..4 {
            send(&mut queues, &format!("loud {number}"), Some("loud"));
        }
        assert_eq!(bodies(receive(&mut queues, 2, 0)), ["loud 0", "loud 1"]);
        send(&mut queues, "quiet 0", Some("quiet"));
        send(&mut queues, "alone", None);
        let quiet = receive(&mut queues, 1, 20);
        assert_eq!(quiet[0].body, "quiet 0");
        queues.delete(ARN, &quiet[0].id, at(22));
        // The quiet group's share is 2 of 46 seconds.
        send(&mut queues, "quiet 1", Some("quiet"));
        assert_eq!(bodies(receive(&mut queues, 3, 22)), ["alone", "quiet 1", "loud 2"]);
        // Both are noisy, and the quiet one has fewer in flight.
        send(&mut queues, "quiet 2", Some("quiet"));
        assert_eq!(bodies(receive(&mut queues, 2, 60)), ["quiet 2", "loud 3"]);
    }
}
