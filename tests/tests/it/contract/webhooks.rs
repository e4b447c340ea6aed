//! Webhooks, their deliveries and secrets.

use aws::store::due;
use aws::{Commit, DueRow};
use chrono::Duration;
use domain::WebhookId;
use domain::egress::EgressPolicy;
use domain::models::event::EventType;
use domain::models::webhook::{Attempt, Delivery, EventSelection, Secrets as HookSecrets, Webhook, WebhookSettings};
use serde_json::json;
use testkit::rows;

use super::{Case, TestStore, list_all_pages, new_id, nothing};

fn webhook(case: &Case<'_>, number: u8) -> Webhook {
    let body = json!({"url": format!("https://hooks.example.com/{number}")});
    let mut fields = domain::input::Fields::from_json(body.as_object().cloned().unwrap_or_default());
    let settings = WebhookSettings::read(&mut fields, EventSelection::Known, EgressPolicy::Public);
    Webhook::create(WebhookId(new_id(case.now)), settings, &case.context()).0
}

/// Stores a delivery as the release before did, which had one partition for those of a webhook.
fn put_in_former_partition(case: &Case<'_>, delivery: &Delivery) {
    let mut row = rows::rows_of(delivery).remove(0);
    row["pk"] = json!(format!("DELIVERIES#{}#{}", delivery.workspace_id, delivery.webhook_id));
    rows::put(&case.store.bench, rows::MAIN, &row, &[]);
}

#[tokio::test]
async fn webhooks_are_read_by_workspace_and_deliveries_by_webhook() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut hooks = Vec::new();
    for number in 0..3 {
        case.later(Duration::seconds(1));
        let hook = webhook(&case, number);
        case.put(&hook).await;
        hooks.insert(0, hook);
    }
    let other = Case::new(store);
    other.put(&webhook(&other, 9)).await;
    let mut deliveries = Vec::new();
    for number in 0..30 {
        case.later(Duration::seconds(1));
        let event = case.context().event(EventType::UserCreated);
        let delivery = Delivery::new_due(&hooks[0], &event, case.now).with_attempt_started(new_id(case.now), case.now);
        if number % 3 == 0 {
            put_in_former_partition(&case, &delivery);
        } else {
            case.put(&delivery).await;
        }
        case.put(&Delivery { webhook_id: hooks[1].webhook_id, ..delivery.clone() }).await;
        deliveries.insert(0, delivery);
    }
    let (case, id) = (&case, hooks[0].webhook_id);
    for limit in [1, 7, 100] {
        let page = |start| async move { case.table.list_webhooks(case.workspace, limit, start).await };
        assert_eq!(list_all_pages(page, nothing).await, hooks);
        let page = |start| async move { case.table.list_deliveries(case.workspace, id, limit, start).await };
        assert_eq!(list_all_pages(page, nothing).await, deliveries);
    }
    assert_eq!(case.table.webhook(case.workspace, id).await.expect("the call succeeds"), Some(hooks[0].clone()));
    assert_eq!(case.table.webhook(other.workspace, id).await.expect("the call succeeds"), None);
    for delivery in &deliveries {
        let found = case.table.delivery(case.workspace, id, delivery.event_id).await.expect("the call succeeds");
        assert_eq!(found.as_ref(), Some(delivery));
        // It is changed where it is.
        let begun = delivery.with_attempt_started(new_id(case.now), case.now);
        let commit = Commit::without_event(case.id()).edit(&found.expect("there"), &begun);
        let _committed = case.table.commit(commit).await.expect("no conflict");
    }
    let event = deliveries[2].event_id;
    assert_eq!(case.table.delivery(other.workspace, id, event).await.expect("the call succeeds"), None);
    assert_eq!(case.table.delivery(case.workspace, hooks[2].webhook_id, event).await.expect("the call succeeds"), None);
}

#[tokio::test]
async fn a_delivery_is_due_while_it_is_pending_and_a_webhook_while_an_earlier_secret_signs() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let hook = webhook(&case, 1);
    let (rotated, _) = hook.rotated(&case.context());
    let event = case.context().event(EventType::UserCreated);
    let lease = new_id(case.now);
    let started = Delivery::new_due(&hook, &event, case.now).with_attempt_started(lease, case.now);
    case.put(&rotated).await;
    case.put(&started).await;
    let due = async |case: &Case<'_>| {
        let mut due = (0, 0);
        for shard in 0..due::DUE_SHARDS {
            let page = case.table.due(&due::calls_shard(shard), case.now, None, 100).await.expect("the call succeeds");
            for (_, row) in page.rows {
                match row.expect("the row is readable") {
                    Some(DueRow::Delivery(found)) => due.0 += usize::from(found.event_id == event.event_id),
                    Some(DueRow::Webhook(found)) => due.1 += usize::from(found.webhook_id == hook.webhook_id),
                    _ => {}
                }
            }
        }
        due
    };
    assert_eq!(due(&case).await, (0, 0));
    case.later(domain::models::webhook::LEASE_DURATION);
    assert_eq!(due(&case).await, (1, 0));
    case.later(domain::models::webhook::FORMER_SECRET_SIGNS_FOR);
    assert_eq!(due(&case).await, (1, 1));
    let taken = started
        .with_attempt_result(lease, &Attempt::with_response(case.now, 200, b"", 1))
        .expect("the delivery holds the lease");
    case.edit(&started, &taken).await;
    case.edit(&rotated, &hook).await;
    assert_eq!(due(&case).await, (0, 0));
}

#[tokio::test]
async fn a_webhooks_signing_secret_is_stored_replaced_and_deleted() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let id = WebhookId(new_id(case.now));
    let stored = async || case.table.webhook_secrets(id).await.expect("the call succeeds");
    assert_eq!(stored().await, None);
    let first = HookSecrets::with_current("whsec_first".to_owned());
    let second = first.rotated("whsec_second".to_owned(), case.now);
    for secrets in [&first, &second] {
        let commit = Commit::without_event(case.id()).put_webhook_secrets(id, secrets);
        case.table.commit(commit).await.expect("the commit succeeds");
        assert_eq!(stored().await.as_ref(), Some(secrets));
    }
    let other = case.table.webhook_secrets(WebhookId(new_id(case.now))).await.expect("the call succeeds");
    assert_eq!(other, None);
    let commit = Commit::without_event(case.id()).delete_webhook_secrets(id);
    case.table.commit(commit).await.expect("the removal succeeds");
    assert_eq!(stored().await, None);
}
