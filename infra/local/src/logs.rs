//! Lines for log groups with subscriptions, and the event in which CloudWatch Logs delivers them ("Log
//! group-level subscription filters", CloudWatch Logs User Guide).

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::template::{LogSubscription, StackLocation};

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The log group.
    pub group: String,
    /// The line.
    pub message: String,
    /// When it was written.
    pub timestamp: DateTime<Utc>,
}

/// The event with which CloudWatch Logs invokes a function for a line: compressed, as text.
#[must_use]
pub fn event(entry: &LogEntry, subscription: &LogSubscription, location: &StackLocation) -> Value {
    let batch = json!({
        "messageType": "DATA_MESSAGE",
        "owner": location.account,
        "logGroup": entry.group,
        "logStream": "local",
        "subscriptionFilters": [subscription.name],
        "logEvents": [{
            "id": crate::random_id().to_string(),
            "timestamp": entry.timestamp.timestamp_millis(),
            "message": entry.message,
        }],
    });
    json!({ "awslogs": { "data": BASE64_STANDARD.encode(packed(batch.to_string().as_bytes())) } })
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
