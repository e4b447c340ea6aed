//! The payload of a delivery.

use domain::models::event::Event;
use domain::models::webhook::{PHONE_DEACTIVATED, Webhook};
use serde_json::{Value, json};

use crate::seam;

/// The payload of an event for a webhook: our event with `occurred_at`, without the private part. For a webhook that
/// subscribes to Seam's name of a phone's deactivation it is Seam's event; if it subscribes to our name too, with all
/// of our fields added.
pub(super) fn payload(webhook: &Webhook, event: &Event) -> Value {
    let mut own = event.to_public_json();
    if webhook.name_of(event) != PHONE_DEACTIVATED {
        own["occurred_at"] = json!(event.created_at);
        return own;
    }
    let mut payload = seam::phone_deactivated(event, None);
    if webhook.receives_own_name(event)
        && let (Value::Object(payload), Value::Object(own)) = (&mut payload, own)
    {
        for (name, value) in own {
            payload.entry(name).or_insert(value);
        }
    }
    payload
}
