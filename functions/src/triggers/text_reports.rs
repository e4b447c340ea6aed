//! SNS delivery reports of texts, as CloudWatch Logs delivers them: gzip-compressed JSON in Base64 ("Log group-level
//! subscription filters", CloudWatch Logs User Guide; "Amazon SNS SMS delivery monitoring with Amazon CloudWatch
//! metrics and logs", Amazon SNS Developer Guide). They contain phone numbers, which are neither stored nor logged.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::Time;
use domain::error::Error;
use domain::models::offer::{Delivery, DeliveryState};
use flate2::read::GzDecoder;
use serde::Deserialize;

/// Most bytes to decompress. A batch of log events has at most one MiB ("`PutLogEvents`", CloudWatch Logs API
/// Reference); anything far larger is not one.
const UNPACKED_LIMIT: u64 = 8 * 1024 * 1024;

/// The delivery report of a text.
pub(crate) struct TextReport {
    /// SNS's message identifier.
    pub message_id: String,
    /// The new delivery state.
    pub delivery: Delivery,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    message_type: String,
    #[serde(default)]
    log_events: Vec<LogEvent>,
}

#[derive(Deserialize)]
struct LogEvent {
    timestamp: i64,
    message: String,
}

#[derive(Deserialize)]
struct Entry {
    notification: Notification,
    #[serde(default)]
    delivery: Attempt,
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    message_id: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    #[serde(default)]
    provider_response: String,
}

/// The reports in a CloudWatch Logs event, whose field `data` is passed. Lines without a report are ignored.
///
/// # Errors
/// `Internal` if the data is malformed.
pub(crate) fn read(data: &str, now: Time) -> Result<Vec<TextReport>, Error> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| Error::internal("reading a batch of logs", error);
    let packed = BASE64_STANDARD.decode(data).map_err(|error| broken(error.into()))?;
    let unpacked = unpack(&packed).map_err(|error| broken(error.into()))?;
    let batch: Batch = serde_json::from_slice(&unpacked).map_err(|error| broken(error.into()))?;
    // Other message types are control messages, which check that the destination is reachable.
    let events = if batch.message_type == "DATA_MESSAGE" { batch.log_events } else { Vec::new() };
    Ok(events.iter().filter_map(|event| report(event, now)).collect())
}

fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    GzDecoder::new(packed).take(UNPACKED_LIMIT + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > UNPACKED_LIMIT {
        return Err(std::io::Error::other("it unpacks to more than a batch of logs has"));
    }
    Ok(unpacked)
}

/// The report of a log event. Its time is when the result was logged; the entry's own time is when the text was sent.
fn report(event: &LogEvent, now: Time) -> Option<TextReport> {
    let entry: Entry = serde_json::from_str(&event.message).ok()?;
    let (state, reason) = match entry.status.as_str() {
        "SUCCESS" => (DeliveryState::Delivered, None),
        "FAILURE" => (DeliveryState::Failed, Some(reason(&entry.delivery.provider_response).to_owned())),
        _ => return None,
    };
    let message_id = entry.notification.message_id;
    let at = Time::from_millis(event.timestamp).unwrap_or(now);
    let delivery = Delivery { state, at, message_id: Some(message_id.clone()), reason };
    Some(TextReport { message_id, delivery })
}

/// A stable code for the network's response. The known responses are those that SNS documents, with older wordings and
/// the one for an exhausted quota. Others are not repeated, since their content is unknown.
fn reason(response: &str) -> &'static str {
    match response {
        "Blocked as spam by phone carrier" => "blocked_as_spam",
        "Destination is on a blocked list" | "Destination is blacklisted" => "destination_blocked",
        "Invalid phone number" => "invalid_number",
        "Message body is invalid" => "invalid_text",
        "No quota left for account" => "spend_limit_reached",
        "Phone carrier has blocked this message" => "carrier_blocked",
        "Phone carrier is currently unreachable/unavailable" => "carrier_unreachable",
        "Phone has blocked SMS" => "phone_blocks_texts",
        "Phone is on a blocked list" | "Phone is blacklisted" => "phone_blocked",
        "Phone is currently unreachable/unavailable" => "phone_unreachable",
        "Phone number is opted out" => "opted_out",
        "This delivery would exceed max price" => "price_limit_exceeded",
        _ => "undelivered",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value, json};

    use super::*;

    fn packed(bytes: &[u8]) -> String {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        BASE64_STANDARD.encode(encoder.finish().unwrap())
    }

    fn batch(kind: &str, messages: &[String]) -> String {
        let events: Vec<Value> = messages
            .iter()
            .map(|message| json!({"id": "1", "timestamp": 1_795_421_700_500_i64, "message": message}))
            .collect();
        packed(json!({"messageType": kind, "logGroup": "g", "logEvents": events}).to_string().as_bytes())
    }

    fn line(status: &str, response: &str) -> String {
        json!({
            "notification": {"messageId": "m-1", "timestamp": "2026-11-23 08:13:20.5"},
            "delivery": {"destination": "+491701234567", "providerResponse": response},
            "status": status,
        })
        .to_string()
    }

    fn now() -> Time {
        Time::parse("2026-11-23T09:00:00Z").unwrap()
    }

    #[test]
    fn each_line_that_reports_of_a_text_is_a_report() {
        let lines = [
            line("SUCCESS", "Message has been accepted by phone"),
            "no JSON".to_owned(),
            line("PENDING", ""),
            json!({"status": "FAILURE"}).to_string(),
            line("FAILURE", "Phone number is opted out"),
            line("FAILURE", "+491701234567 is a riddle"),
        ];
        let reports = read(&batch("DATA_MESSAGE", &lines), now()).unwrap();
        let states: Vec<_> =
            reports.iter().map(|report| (report.delivery.state.as_str(), report.delivery.reason.as_deref())).collect();
        assert_eq!(
            states,
            [("delivered", None), ("failed", Some("opted_out")), ("failed", Some("undelivered"))],
            "what is not known is not repeated"
        );
        let at = Time::from_millis(1_795_421_700_500).unwrap();
        assert!(reports.iter().all(|report| report.message_id == "m-1" && report.delivery.at == at));
    }

    #[test]
    fn a_message_that_is_no_data_reports_nothing() {
        let lines = [line("SUCCESS", "")];
        assert!(read(&batch("CONTROL_MESSAGE", &lines), now()).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_batch_or_too_large_a_one_is_refused() {
        let mut large = br#"{"messageType": "DATA_MESSAGE"}"#.to_vec();
        assert!(read(&packed(&large), now()).is_ok());
        large.resize(9 * 1024 * 1024, b' ');
        let bomb = packed(&large);
        assert!(bomb.len() < 20_000);
        for data in ["", "!", "aGVsbG8=", &packed(b"[]"), &bomb] {
            assert!(read(data, now()).is_err(), "{}", &data[..data.len().min(20)]);
        }
    }
}
