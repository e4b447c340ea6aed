//! SNS's log lines for text messages, with delivery status logging switched on for all: "Amazon SNS SMS
//! delivery monitoring with Amazon CloudWatch metrics and logs", Developer Guide.

use serde_json::json;

use super::Messaging;
use crate::logs::LogEntry;

/// Numbers that fail, from AWS's own list for simulating failures ("Simulator phone numbers", AWS End User
/// Messaging SMS User Guide): one each of the United States, Austria, France and the United Kingdom. Texts to
/// all other numbers arrive.
const FAILING: [&str; 4] = ["+14254147167", "+43676800442032", "+33755512502", "+447860019067"];

/// Logs the delivery of a text.
pub(super) fn log_delivery(messaging: &Messaging, number: &str, message_id: &str) {
    let fails = FAILING.contains(&number);
    let (status, response) = if fails {
        ("FAILURE", "Phone carrier has blocked this message")
    } else {
        ("SUCCESS", "Message has been accepted by phone")
    };
    let now = messaging.now();
    let line = json!({
        "notification": { "messageId": message_id, "timestamp": now.format("%Y-%m-%d %H:%M:%S%.3f").to_string() },
        "delivery": {
            "destination": number,
            "smsType": "Transactional",
            "priceInUSD": 0.0,
            "providerResponse": response,
            "dwellTimeMs": 0,
            "dwellTimeMsUntilDeviceAck": 0,
        },
        "status": status,
    });
    let config = messaging.config();
    let group = format!("sns/{}/{}/DirectPublishToPhoneNumber", config.region, config.account);
    let group = if fails { format!("{group}/Failure") } else { group };
    messaging.log(LogEntry { group, message: line.to_string(), timestamp: now });
}
