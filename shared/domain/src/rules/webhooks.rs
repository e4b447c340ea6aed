//! Creating and changing webhooks, and the effect of a delivery.

use serde_json::Value;

use crate::ids::WebhookId;
use crate::models::event::{Event, EventType};
use crate::models::webhook::{
    Attempt, DISABLE_AFTER, Disabled, Edit, FORMER_SECRET_SIGNS_FOR, GONE, Reason, Webhook, WebhookSettings,
};
use crate::rules::context::EventContext;
use crate::stored::Stored;

impl Webhook {
    /// A new webhook, with its event.
    #[must_use]
    pub fn create(webhook_id: WebhookId, settings: WebhookSettings, context: &EventContext) -> (Self, Event) {
        let webhook = Self {
            workspace_id: context.workspace_id,
            webhook_id,
            url: settings.url,
            event_types: settings.event_types,
            description: settings.description,
            created_at: context.at,
            created_by: context.creator(),
            disabled: None,
            failing_since: None,
            slow_since: None,
            earlier_secret_until: None,
            version: 1,
            stored: Stored::default(),
        };
        let mut event = webhook.event(EventType::WebhookCreated, context);
        event.add_change("host", Value::Null, webhook.host());
        event.add_change("event_types", Value::Null, webhook.event_types.clone());
        (webhook, event)
    }

    /// An event about this webhook.
    #[must_use]
    pub fn event(&self, event_type: EventType, context: &EventContext) -> Event {
        Event { webhook_id: Some(self.webhook_id), ..context.event(event_type) }
    }

    /// The webhook after an edit, with its event; `None` if nothing changes. A new URL clears the record of failed and
    /// slow calls, and so does enabling it again.
    #[must_use]
    pub fn update(&self, edit: Edit, context: &EventContext) -> Option<(Self, Event)> {
        let mut after = self.clone();
        after.url = edit.url.unwrap_or(after.url);
        after.event_types = edit.event_types.unwrap_or(after.event_types);
        after.description = edit.description.unwrap_or(after.description);
        after.disabled = match edit.enabled {
            None => self.disabled,
            Some(true) => None,
            Some(false) => self.disabled.or(Some(Disabled { at: context.at, reason: Reason::ByAdmin })),
        };
        if after.url != self.url || (self.disabled.is_some() && after.disabled.is_none()) {
            after.failing_since = None;
            after.slow_since = None;
        }
        if after == *self {
            return None;
        }
        let mut event = self.event(EventType::WebhookUpdated, context);
        event.add_change("host", self.host(), after.host());
        event.add_change("event_types", self.event_types.clone(), after.event_types.clone());
        event.add_change("enabled", self.disabled.is_none(), after.disabled.is_none());
        if after.url != self.url {
            event.add_changed_field("url");
        }
        if after.description != self.description {
            event.add_changed_field("description");
        }
        Some((after, event))
    }

    /// The webhook after a rotation of its secret, with the event.
    #[must_use]
    pub fn rotated(&self, context: &EventContext) -> (Self, Event) {
        let until = Some(context.at.plus(FORMER_SECRET_SIGNS_FOR));
        (Self { earlier_secret_until: until, ..self.clone() }, self.event(EventType::WebhookSecretRotated, context))
    }

    /// The webhook after a delivery attempt to the URL `called`, if that changes it, with the event if the attempt
    /// disables it: status 410 (Gone) does, and so does the `last` attempt of a schedule once the webhook has failed
    /// for [`DISABLE_AFTER`]. Attempts to a former URL are ignored.
    #[must_use]
    pub fn after(
        &self,
        called: &str,
        attempt: &Attempt,
        last: bool,
        context: &EventContext,
    ) -> Option<(Self, Option<Event>)> {
        if called != self.url {
            return None;
        }
        let slow_since = attempt.was_slow().then(|| self.slow_since.unwrap_or(attempt.at));
        if attempt.succeeded() {
            let after = Self { failing_since: None, slow_since, ..self.clone() };
            return (after != *self).then_some((after, None));
        }
        if self.disabled.is_some() {
            return None;
        }
        let since = self.failing_since.unwrap_or(attempt.at);
        let given_up = last && since.plus(DISABLE_AFTER) <= attempt.at;
        let reason = match attempt.status {
            Some(GONE) => Some(Reason::Gone),
            _ => given_up.then_some(Reason::Failing),
        };
        let disabled = reason.map(|reason| Disabled { at: attempt.at, reason });
        let after = Self { failing_since: Some(since), slow_since, disabled, ..self.clone() };
        let event = disabled.map(|disabled| {
            let mut event = self.event(EventType::WebhookDisabled, context);
            event.add_change("enabled", true, false);
            event.add_change("reason", Value::Null, disabled.reason.as_str());
            event
        });
        (after != *self).then_some((after, event))
    }
}
