//! Webhooks: each has its secrets, and each event for it was delivered or given up.

use std::collections::BTreeSet;

use aws::Row;
use domain::models::event::{Event, EventType};
use domain::models::webhook::{Delivery, DeliveryState, Reason, Webhook};

use super::{Audit, read_all};

impl Audit {
    pub(super) fn webhooks(&mut self) {
        let webhooks: Vec<Webhook> = read_all(&self.main, |pk, _| pk.starts_with("WEBHOOKS#"));
        let deliveries: Vec<Delivery> = read_all(&self.main, |pk, _| pk.starts_with("DELIVERIES#"));
        let created = self.count(EventType::WebhookCreated, |_| true);
        let deleted = self.count(EventType::WebhookDeleted, |_| true);
        let present = webhooks.len();
        self.check(
            "WEBHOOKS# rows",
            format!("one for each of {created} webhook.created, without {deleted} webhook.deleted"),
            created == present + deleted,
            present,
        );
        let secrets = self.secrets.keys().filter(|key| key.starts_with("WEBHOOK#")).count();
        self.check_equal("WEBHOOK# secrets", "one row for each webhook", secrets, present);
        for webhook in &webhooks {
            let about = |event: &Event| event.webhook_id == Some(webhook.webhook_id);
            let recorded = self.count(EventType::WebhookDisabled, about);
            let is_disabled = webhook.disabled.is_some_and(|disabled| disabled.reason != Reason::ByAdmin);
            self.check(
                webhook.key(),
                "a webhook that was disabled after failures has a webhook.disabled",
                recorded >= usize::from(is_disabled),
                recorded,
            );
            let own = deliveries.iter().filter(|delivery| delivery.webhook_id == webhook.webhook_id);
            let delivered: BTreeSet<_> = own.map(|delivery| delivery.event_id).collect();
            let expected = self.events.iter().filter(|event| webhook.receives(event, self.now));
            let missing = expected.filter(|event| !delivered.contains(&event.event_id)).map(Row::key);
            for key in missing.collect::<Vec<_>>() {
                self.check(key, format!("the event has a delivery to {}", webhook.key()), false, "none");
            }
        }
        let events: BTreeSet<_> = self.events.iter().map(|event| event.event_id).collect();
        for delivery in &deliveries {
            let is_pending = delivery.state == DeliveryState::Pending;
            self.check(delivery.key(), "the delivery is over", !is_pending, delivery.state);
            self.check(
                delivery.key(),
                format!("it has no lease, and `next_at` exactly while it is pending: {is_pending}"),
                delivery.next_at.is_some() == is_pending && delivery.lease.is_none(),
                format!("{:?}, next_at {:?}", delivery.lease, delivery.next_at),
            );
            let is_stored = events.contains(&delivery.event_id);
            self.check(delivery.key(), "the event of a delivery is stored", is_stored, "none");
        }
    }
}
