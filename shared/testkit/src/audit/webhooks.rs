//! Webhooks: each has its secrets, and each event for it was delivered or given up.

use std::collections::BTreeSet;

use domain::models::event::EventType;
use domain::models::webhook::{Delivery, DeliveryState, Reason, Webhook};

use super::{Audit, read_all};

impl Audit {
    pub(super) fn webhooks(&mut self) {
        let webhooks: Vec<Webhook> = read_all(&self.main, |pk, _| pk.starts_with("WEBHOOKS#"));
        let deliveries: Vec<Delivery> = read_all(&self.main, |pk, _| pk.starts_with("DELIVERIES#"));
        let (created, deleted) =
            (self.count(EventType::WebhookCreated, |_| true), self.count(EventType::WebhookDeleted, |_| true));
        let present = webhooks.len();
        self.check(
            created == present + deleted,
            format!("{created} webhook.created, {deleted} deleted, {present} there"),
        );
        let of_keys = self.secrets.keys().filter(|key| key.starts_with("WEBHOOK#")).count();
        self.check(of_keys == present, format!("{of_keys} webhooks have secrets, {present} are there"));
        for webhook in &webhooks {
            let about = |event: &domain::models::event::Event| event.webhook_id == Some(webhook.webhook_id);
            let recorded = self.count(EventType::WebhookDisabled, about);
            let off = webhook.disabled.is_some_and(|disabled| disabled.reason != Reason::ByAdmin);
            self.check(recorded >= usize::from(off), "a webhook is switched off without its event");
            let delivered: BTreeSet<_> =
                deliveries.iter().filter(|of| of.webhook_id == webhook.webhook_id).map(|of| of.event_id).collect();
            let expected = self.events.iter().filter(|event| webhook.receives(event, self.now));
            let missing = expected.filter(|event| !delivered.contains(&event.event_id)).count();
            self.check(missing == 0, format!("{missing} events were not delivered to a webhook that wants them"));
        }
        let events: BTreeSet<_> = self.events.iter().map(|event| event.event_id).collect();
        for delivery in &deliveries {
            let open = delivery.state == DeliveryState::Pending;
            self.check(!open, "a delivery waits for its next attempt");
            self.check(delivery.next_at.is_some() == open && delivery.lease.is_none(), "a delivery is held for good");
            self.check(events.contains(&delivery.event_id), "what was delivered never happened");
        }
    }
}
