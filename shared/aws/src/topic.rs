//! Publishing of events, and of tasks of jobs.

use std::future::Future;

use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use domain::error::Error;
use domain::models::event::Event;
use domain::models::job::JobTask;

use crate::clients::Clients;

/// The most messages of an SNS batch, and their most bytes ("`PublishBatch`", Amazon SNS API Reference).
const BATCH: usize = 10;
const BATCH_BYTES: usize = 256 * 1024;

/// A topic for events.
pub trait Topic: Sync {
    /// Publishes events, and returns the indexes in `events` of those that were not accepted.
    fn publish(&self, events: &[Event]) -> impl Future<Output = Result<Vec<usize>, Error>> + Send;
}

/// The SNS topic `events`. A message's group is its workspace: SNS hands it to SQS's standard queues, which are then fair
/// among workspaces ("Amazon SQS fair queues", Amazon SQS Developer Guide).
#[derive(Clone, Debug)]
pub struct TopicPublisher {
    client: aws_sdk_sns::Client,
    arn: String,
}

impl TopicPublisher {
    /// A publisher for a topic.
    #[must_use]
    pub fn new(clients: &Clients, arn: String) -> Self {
        Self { client: clients.sns.clone(), arn }
    }

    async fn publish_batch(&self, batch: &[(usize, String, &Event)]) -> Result<Vec<usize>, Error> {
        let mut request = self.client.publish_batch().topic_arn(&self.arn);
        for (at, message, event) in batch {
            request = request.publish_batch_request_entries(entry(*at, message, event)?);
        }
        let output = request.send().await.map_err(|e| Error::unavailable("SNS", e))?;
        let failed = output.failed.unwrap_or_default();
        Ok(failed.iter().filter_map(|entry| entry.id().parse().ok()).collect())
    }
}

impl Topic for TopicPublisher {
    async fn publish(&self, events: &[Event]) -> Result<Vec<usize>, Error> {
        let mut failed = Vec::new();
        let mut batch: Vec<(usize, String, &Event)> = Vec::new();
        let mut bytes = 0;
        for (at, event) in events.iter().enumerate() {
            let message = event.to_public_json().to_string();
            let full = batch.len() == BATCH || bytes + message.len() + ATTRIBUTE_BYTES > BATCH_BYTES;
            if full && !batch.is_empty() {
                failed.extend(self.publish_batch(&batch).await?);
                batch.clear();
                bytes = 0;
            }
            bytes += message.len() + ATTRIBUTE_BYTES;
            batch.push((at, message, event));
        }
        if !batch.is_empty() {
            failed.extend(self.publish_batch(&batch).await?);
        }
        Ok(failed)
    }
}

/// More than the size of a message's two attributes and its group.
const ATTRIBUTE_BYTES: usize = 256;

fn entry(at: usize, message: &str, event: &Event) -> Result<PublishBatchRequestEntry, Error> {
    let text = |value: String| MessageAttributeValue::builder().data_type("String").string_value(value).build();
    let broken = |e| Error::internal("building a message", e);
    PublishBatchRequestEntry::builder()
        .id(at.to_string())
        .message(message)
        .message_attributes("event_type", text(event.event_type.to_string()).map_err(broken)?)
        .message_attributes("workspace_id", text(event.workspace_id.to_string()).map_err(broken)?)
        .message_group_id(event.workspace_id.to_string())
        .build()
        .map_err(broken)
}

/// The SNS topic `jobs`, whose queue starts runs that work on jobs. It is fair among workspaces, as is that of events.
#[derive(Clone, Debug)]
pub struct JobsTopic {
    client: aws_sdk_sns::Client,
    arn: String,
}

impl JobsTopic {
    /// A publisher for a topic.
    #[must_use]
    pub fn new(clients: &Clients, arn: String) -> Self {
        Self { client: clients.sns.clone(), arn }
    }

    /// Publishes tasks.
    ///
    /// # Errors
    /// `Unavailable`: some may not be published.
    pub async fn publish(&self, tasks: &[JobTask]) -> Result<(), Error> {
        for tasks in tasks.chunks(BATCH) {
            let entries: Vec<_> = tasks.iter().enumerate().map(task_entry).collect::<Result<_, _>>()?;
            let request =
                self.client.publish_batch().topic_arn(&self.arn).set_publish_batch_request_entries(Some(entries));
            let output = request.send().await.map_err(|e| Error::unavailable("SNS", e))?;
            if !output.failed().is_empty() {
                return Err(Error::unavailable("SNS", "tasks of a job were not accepted"));
            }
        }
        Ok(())
    }
}

fn task_entry((at, task): (usize, &JobTask)) -> Result<PublishBatchRequestEntry, Error> {
    let message = serde_json::to_string(task).map_err(|e| Error::internal("building a message", e))?;
    PublishBatchRequestEntry::builder()
        .id(at.to_string())
        .message(message)
        .message_group_id(task.workspace_id.to_string())
        .build()
        .map_err(|e| Error::internal("building a message", e))
}
