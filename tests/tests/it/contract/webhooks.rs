//! Webhooks, their deliveries and secrets.

use aws::store::due;
use aws::{Commit, DueRow};
use chrono::Duration;
use domain::WebhookId;
use domain::egress::EgressPolicy;
use domain::models::event::EventType;
use domain::models::webhook::{
    Attempt, Delivery, EventSelection, Secrets as HookSecrets, Settings as HookSettings, Webhook,
};
use serde_json::json;

use super::{Place, TestStore, new_id, nothing, walk};

fn webhook(place: &Place<'_>, number: u8) -> Webhook {
    let body = json!({"url": format!("https://hooks.example.com/{number}")});
    let mut fields = domain::input::Fields::of_json(body.as_object().cloned().unwrap_or_default());
    let settings = HookSettings::read(&mut fields, EventSelection::Known, EgressPolicy::Public);
    Webhook::create(WebhookId(new_id(place.now)), settings, &place.context()).0
}

#[tokio::test]
async fn a_workspaces_webhooks_come_at_once_and_each_with_its_own_deliveries() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let mut hooks = Vec::new();
    for number in 0..3 {
        place.later(Duration::seconds(1));
        let hook = webhook(&place, number);
        place.put(&hook).await;
        hooks.insert(0, hook);
    }
    let other = Place::new(store);
    other.put(&webhook(&other, 9)).await;
    let mut deliveries = Vec::new();
    for _ in 0..5 {
        place.later(Duration::seconds(1));
        let event = place.context().event(EventType::UserCreated);
        let delivery = Delivery::due(&hooks[0], &event, place.now).taken_up(new_id(place.now), place.now);
        place.put(&delivery).await;
        place.put(&Delivery { webhook_id: hooks[1].webhook_id, ..delivery.clone() }).await;
        deliveries.insert(0, delivery);
    }
    let (place, id) = (&place, hooks[0].webhook_id);
    for limit in [1, 100] {
        let page = |start| async move { place.table.list_webhooks(place.workspace, limit, start).await };
        assert_eq!(walk(page, nothing).await, hooks);
        let page = |start| async move { place.table.list_deliveries(place.workspace, id, limit, start).await };
        assert_eq!(walk(page, nothing).await, deliveries);
    }
    assert_eq!(place.table.webhook(place.workspace, id).await.expect("it answers"), Some(hooks[0].clone()));
    assert_eq!(place.table.webhook(other.workspace, id).await.expect("it answers"), None);
    let event = deliveries[2].event_id;
    let found = place.table.delivery(place.workspace, id, event).await.expect("it answers");
    assert_eq!(found, Some(deliveries[2].clone()));
    assert_eq!(place.table.delivery(other.workspace, id, event).await.expect("it answers"), None);
    assert_eq!(place.table.delivery(place.workspace, hooks[2].webhook_id, event).await.expect("it answers"), None);
}

#[tokio::test]
async fn a_delivery_is_due_while_it_is_pending_and_a_webhook_while_an_earlier_secret_signs() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let hook = webhook(&place, 1);
    let (rotated, _) = hook.rotated(&place.context());
    let event = place.context().event(EventType::UserCreated);
    let lease = new_id(place.now);
    let begun = Delivery::due(&hook, &event, place.now).taken_up(lease, place.now);
    place.put(&rotated).await;
    place.put(&begun).await;
    let due = async |place: &Place<'_>| {
        let mut due = (0, 0);
        for shard in 0..due::DUE_SHARDS {
            let page = place.table.due(&due::calls_shard(shard), place.now, None, 100).await.expect("it answers");
            for (_, row) in page.rows {
                match row.expect("it is whole") {
                    Some(DueRow::Delivery(found)) => due.0 += usize::from(found.event_id == event.event_id),
                    Some(DueRow::Webhook(found)) => due.1 += usize::from(found.webhook_id == hook.webhook_id),
                    _ => {}
                }
            }
        }
        due
    };
    assert_eq!(due(&place).await, (0, 0));
    place.later(domain::models::webhook::HOLD);
    assert_eq!(due(&place).await, (1, 0));
    place.later(domain::models::webhook::EARLIER_SIGNS);
    assert_eq!(due(&place).await, (1, 1));
    let taken = begun.after(lease, &Attempt::answered(place.now, 200, b"", 1)).expect("it is held");
    place.edit(&begun, &taken).await;
    place.edit(&rotated, &hook).await;
    assert_eq!(due(&place).await, (0, 0));
}

#[tokio::test]
async fn what_signs_a_webhooks_calls_is_kept_replaced_and_forgotten() {
    let store = &TestStore::start().await;
    let place = Place::new(store);
    let id = WebhookId(new_id(place.now));
    let kept = async || place.table.webhook_secrets(id).await.expect("it answers");
    assert_eq!(kept().await, None);
    let first = HookSecrets::of("whsec_first".to_owned());
    let second = first.rotated("whsec_second".to_owned(), place.now);
    for secrets in [&first, &second] {
        let commit = Commit::without_event(place.id()).keep_webhook_secrets(id, secrets);
        place.table.commit(commit).await.expect("it is kept");
        assert_eq!(kept().await.as_ref(), Some(secrets));
    }
    let other = place.table.webhook_secrets(WebhookId(new_id(place.now))).await.expect("it answers");
    assert_eq!(other, None);
    let commit = Commit::without_event(place.id()).forget_webhook_secrets(id);
    place.table.commit(commit).await.expect("it is forgotten");
    assert_eq!(kept().await, None);
}
