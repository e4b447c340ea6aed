//! Triggered by the queue on the topic `events`, and each minute: delivers events to webhooks.
//!
//! A delivery is a row: leased before the call, settled after it. An event that arrives twice makes one delivery. If a
//! run ends before it has recorded the result of a call, the schedule makes the call again.

use aws::store::due::calls_shard;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};

use aws::DueRow;
use aws::{Commit, EgressClient, Table};
use chrono::Duration;
use domain::error::Error;
use domain::limits::WEBHOOK_LIMIT;
use domain::models::event::Event;
use domain::models::webhook::{Delivery, FIRST_RETRY_DELAY, Webhook};
use domain::{EventId, WebhookId, WorkspaceId};
use futures::StreamExt as _;
use futures::stream;
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::context::Origin;
use crate::deadline::Deadline;
use crate::retry::retry_on_conflict;
use crate::state::AppState;
use crate::triggers::run_due::shards;
use crate::triggers::{Run, Tally, batch_item_failures, event_of_record};
use crate::webhooks::calling::{CallReason, call, record_attempt};

/// Time left when the last attempt starts, before Lambda ends the run: the longest attempt, and recording it.
const NEEDED: Duration = Duration::seconds(22);
/// Webhooks called concurrently, so that a slow one does not delay the others.
const WEBHOOKS: usize = 32;
/// Concurrent calls to one webhook.
const CALLS: usize = 10;
/// After this many failures of one webhook in a run, its other retries wait for the next run.
const FAILURES: usize = 10;
/// Rows per read.
const PAGE: usize = 100;
/// Deliveries handled together.
const BATCH: usize = 500;

/// Builds the client for webhooks on first use.
type WebhookClient<'a> = dyn Fn() -> Result<&'a EgressClient, Error> + Sync + 'a;

/// For queue messages, returns the messages to retry. For the schedule, returns how many deliveries were attempted
/// (`done`), how many could not be (`failed`), and in `late_seconds` how late the latest one was for a webhook that is
/// not failing; an alarm watches `late_seconds` in the log.
///
/// # Errors
/// `Unavailable` if due rows cannot be listed.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let client = &|| state.webhook_client();
    let work =
        DeliveryRun { table, client, run: &run, deadline: run.deadline(Duration::zero()), late: AtomicI64::new(0) };
    if run.event.get("Records").is_some() { Ok(work.deliver_new_events().await) } else { work.retry_due().await }
}

/// One run, with what it needs.
struct DeliveryRun<'a, 'w> {
    table: &'a Table,
    client: &'a WebhookClient<'w>,
    run: &'a Run,
    deadline: Deadline,
    /// Greatest delay of a delivery, in seconds.
    late: AtomicI64,
}

/// An event to deliver to a webhook, with the identifier of its queue message.
struct PendingDelivery {
    webhook: Webhook,
    event: Event,
    message: String,
}

impl DeliveryRun<'_, '_> {
    async fn deliver_new_events(&self) -> Value {
        let mut failed = BTreeSet::new();
        let mut known = BTreeMap::new();
        let mut wanted: BTreeMap<WebhookId, Vec<PendingDelivery>> = BTreeMap::new();
        for record in self.run.records() {
            let message = record["messageId"].as_str().unwrap_or_default().to_owned();
            match self.find_pending(record, &message, &mut known).await {
                Ok(found) => found.into_iter().for_each(|one| {
                    wanted.entry(one.webhook.webhook_id).or_default().push(one);
                }),
                Err(failure) => {
                    self.log(&message, &failure);
                    failed.insert(message);
                }
            }
        }
        let deliver = |one: PendingDelivery| async move {
            self.deliver_once(&one).await.map_err(|failure| (one.message, failure))
        };
        let each =
            |all: Vec<PendingDelivery>| stream::iter(all).map(deliver).buffer_unordered(CALLS).collect::<Vec<_>>();
        let outcomes: Vec<Vec<_>> =
            stream::iter(wanted.into_values()).map(each).buffer_unordered(WEBHOOKS).collect().await;
        for (message, failure) in outcomes.into_iter().flatten().filter_map(Result::err) {
            self.log(&message, &failure);
            failed.insert(message);
        }
        batch_item_failures(failed)
    }

    fn log(&self, message: &str, failure: &Error) {
        let error = Chain(failure);
        tracing::warn!(operation = self.run.operation, message.id = message, %error, "an event was not delivered");
    }

    /// The deliveries that a message's event needs: one for each webhook that receives it.
    async fn find_pending(
        &self,
        record: &Value,
        message: &str,
        known: &mut BTreeMap<WorkspaceId, Vec<Webhook>>,
    ) -> Result<Vec<PendingDelivery>, Error> {
        let event = event_of_record(record)?;
        let workspace = event.workspace_id;
        let webhooks = match known.get(&workspace) {
            Some(webhooks) => webhooks,
            None => {
                // Concurrent creations may exceed the limit of webhooks.
                let found = self.table.list_webhooks(workspace, 2 * WEBHOOK_LIMIT, None).await?;
                known.entry(workspace).or_insert(found.items)
            }
        };
        let now = self.deadline.id_source().now;
        let wants = webhooks.iter().filter(|webhook| webhook.receives(&event, now));
        let wanted = |webhook: &Webhook| PendingDelivery {
            webhook: webhook.clone(),
            event: event.clone(),
            message: message.to_owned(),
        };
        Ok(wants.map(wanted).collect())
    }

    /// Makes a delivery unless it was made before, or leaves it to the schedule.
    async fn deliver_once(&self, wanted: &PendingDelivery) -> Result<(), Error> {
        let PendingDelivery { webhook, event, .. } = wanted;
        self.require_time_left()?;
        let begun = retry_on_conflict(self.table, || async {
            let id_source = self.deadline.id_source();
            let found = self.table.delivery(webhook.workspace_id, webhook.webhook_id, event.event_id).await?;
            match found {
                None => {
                    let due = Delivery::new_due(webhook, event, id_source.now);
                    let now = (!webhook.is_schedule_only(id_source.now))
                        .then(|| due.with_attempt_started(id_source.new_id(), id_source.now));
                    let commit = Commit::without_event(id_source.event_id()).put(now.as_ref().unwrap_or(&due));
                    self.table.commit(commit).await?;
                    Ok(now)
                }
                // The run that started it ended before settling it.
                Some(found) if found.is_due(id_source.now) && !webhook.is_schedule_only(id_source.now) => {
                    self.start_attempt(&found).await.map(Some)
                }
                Some(_) => Ok(None),
            }
        })
        .await?;
        match begun {
            Some(begun) => self.deliver(webhook.clone(), event, begun).await.map(drop),
            None => Ok(()),
        }
    }

    /// Leases a delivery for its next attempt.
    async fn start_attempt(&self, delivery: &Delivery) -> Result<Delivery, Error> {
        let id_source = self.deadline.id_source();
        let taken = delivery.with_attempt_started(id_source.new_id(), id_source.now);
        let committed = self.table.commit(Commit::without_event(id_source.event_id()).edit(delivery, &taken)).await?;
        Ok(committed.with_new_version(taken))
    }

    /// Makes the leased attempt, and after a first failure the second one. True if the receiver accepted the event.
    async fn deliver(&self, mut webhook: Webhook, event: &Event, mut begun: Delivery) -> Result<bool, Error> {
        loop {
            let Some(secrets) = self.table.webhook_secrets(webhook.webhook_id).await? else {
                return self.delete_delivery(&begun).await.map(|()| false);
            };
            let attempt = call((self.client)()?, &webhook, &secrets, event, &self.run.clock).await;
            let Some(lease) = begun.lease else {
                return Ok(attempt.succeeded());
            };
            let origin = Origin::of_run(self.run, begun.workspace_id).at(self.deadline.id_source());
            let recorded =
                record_attempt(self.table, &origin, &webhook, begun.event_id, &attempt, CallReason::Automatic(lease))
                    .await?;
            let Some(after) = recorded.filter(Delivery::retries_immediately) else {
                return Ok(attempt.succeeded());
            };
            if !self.deadline.has(FIRST_RETRY_DELAY + NEEDED) {
                return Ok(false);
            }
            (self.client)()?.pause(FIRST_RETRY_DELAY.to_std().unwrap_or_default()).await;
            match self.table.webhook(webhook.workspace_id, webhook.webhook_id).await? {
                Some(found) if found.disabled.is_none() => webhook = found,
                _ => return Ok(false),
            }
            begun = match self.start_attempt(&after).await {
                // The schedule took it up first.
                Err(Error::Conflict) => return Ok(false),
                taken => taken?,
            };
        }
    }

    /// Deletes a delivery whose webhook was deleted.
    async fn delete_delivery(&self, delivery: &Delivery) -> Result<(), Error> {
        let commit = Commit::without_event(self.deadline.id_source().event_id()).delete(delivery);
        match self.table.commit(commit).await {
            Err(Error::Conflict) => Ok(()),
            done => done.map(drop),
        }
    }

    fn require_time_left(&self) -> Result<(), Error> {
        if self.deadline.has(NEEDED) { Ok(()) } else { Err(Error::unavailable("this run", "the run is out of time")) }
    }

    /// Goes through the shards in batches until nothing is due or time is up. What was not started stays due. A webhook
    /// that fails too often is skipped for the rest of the run, so that its backlog does not delay other webhooks.
    async fn retry_due(&self) -> Result<Value, Error> {
        let mut tally = Tally::default();
        let mut batch = Vec::new();
        let mut failing_webhooks = BTreeSet::new();
        for shard in shards(self.run.now()) {
            let mut start = None;
            while self.deadline.has(NEEDED) {
                let page = self.table.due(&calls_shard(shard), self.run.now(), start, PAGE).await?;
                for (key, row) in page.rows {
                    match row {
                        // The index may lag behind the row, so the row decides.
                        Ok(Some(DueRow::Delivery(delivery))) if !delivery.is_due(self.run.now()) => {}
                        Ok(Some(DueRow::Delivery(delivery))) if failing_webhooks.contains(&delivery.webhook_id) => {}
                        Ok(Some(DueRow::Delivery(delivery))) => batch.push(*delivery),
                        Ok(Some(DueRow::Webhook(webhook))) => {
                            tally.note(self.run, &webhook.webhook_id, self.forget_earlier(&webhook).await);
                        }
                        Ok(_) => {}
                        Err(failure) => tally.note(self.run, &key, Err(failure)),
                    }
                }
                start = page.next;
                if batch.len() >= BATCH {
                    self.retry_all(std::mem::take(&mut batch), &mut failing_webhooks, &mut tally).await;
                }
                if start.is_none() {
                    break;
                }
            }
        }
        self.retry_all(batch, &mut failing_webhooks, &mut tally).await;
        let late_seconds = self.late.load(Ordering::Relaxed);
        tracing::info!(operation = self.run.operation, late_seconds, "due deliveries were tried");
        Ok(json!({"done": tally.done, "failed": tally.failed, "late_seconds": late_seconds}))
    }

    /// Retries deliveries, grouped by webhook, and adds webhooks that failed too often to `failing_webhooks`.
    async fn retry_all(&self, batch: Vec<Delivery>, failing_webhooks: &mut BTreeSet<WebhookId>, tally: &mut Tally) {
        let mut of: BTreeMap<(WorkspaceId, WebhookId), Vec<Delivery>> = BTreeMap::new();
        for delivery in batch {
            of.entry((delivery.workspace_id, delivery.webhook_id)).or_default().push(delivery);
        }
        let each = |((workspace, id), all): ((WorkspaceId, WebhookId), Vec<Delivery>)| async move {
            (id, self.retry_of(workspace, id, all).await)
        };
        let outcomes: Vec<_> = stream::iter(of).map(each).buffer_unordered(WEBHOOKS).collect().await;
        for (webhook, (outcomes, failures)) in outcomes {
            if failures >= FAILURES {
                failing_webhooks.insert(webhook);
            }
            for (id, outcome) in outcomes {
                tally.note(self.run, &id, outcome);
            }
        }
    }

    /// Retries the deliveries of one webhook until it has failed too often. Returns the outcomes and the number of
    /// failures.
    async fn retry_of(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        all: Vec<Delivery>,
    ) -> (Vec<(EventId, Result<(), Error>)>, usize) {
        let mut outcomes = Vec::new();
        let mut failures = 0;
        for some in all.chunks(CALLS) {
            if failures >= FAILURES || !self.deadline.has(NEEDED) {
                break;
            }
            let ids: Vec<EventId> = some.iter().map(|delivery| delivery.event_id).collect();
            let read = async {
                let webhook = self.table.webhook(workspace, id).await?;
                Ok::<_, Error>((webhook, self.table.events(workspace, &ids).await?))
            };
            let (webhook, events) = match read.await {
                Ok(read) => read,
                Err(failure) => {
                    outcomes.extend(ids.first().map(|id| (*id, Err(failure))));
                    break;
                }
            };
            let retry = |delivery: &Delivery| {
                let (webhook, delivery) = (webhook.clone(), delivery.clone());
                let event = events.iter().find(|event| event.event_id == delivery.event_id).cloned();
                async move { (delivery.event_id, self.retry(webhook, event, &delivery).await) }
            };
            let retried: Vec<_> = stream::iter(some.iter().map(retry)).buffer_unordered(CALLS).collect().await;
            for (id, outcome) in retried {
                failures += usize::from(matches!(outcome, Ok(false)));
                outcomes.push((id, outcome.map(|_| ())));
            }
        }
        (outcomes, failures)
    }

    /// Retries a delivery. Deletes it if its webhook was deleted, and cancels it if the webhook is disabled or the
    /// event is gone. False if the receiver did not accept the event.
    async fn retry(&self, webhook: Option<Webhook>, event: Option<Event>, delivery: &Delivery) -> Result<bool, Error> {
        let Some(webhook) = webhook else {
            return self.delete_delivery(delivery).await.map(|()| true);
        };
        let Some(event) = event.filter(|_| webhook.disabled.is_none()) else {
            let commit = Commit::without_event(self.deadline.id_source().event_id());
            return match self.table.commit(commit.edit(delivery, &delivery.canceled())).await {
                Err(Error::Conflict) => Ok(true),
                done => done.map(|_| true),
            };
        };
        if let Some(due) = delivery.next_at.filter(|_| webhook.failing_since.is_none()) {
            self.late.fetch_max((self.deadline.id_source().now.millis() - due.millis()) / 1000, Ordering::Relaxed);
        }
        match self.start_attempt(delivery).await {
            // Another run leased it.
            Err(Error::Conflict) => Ok(true),
            Err(failure) => Err(failure),
            Ok(begun) => self.deliver(webhook, &event, begun).await,
        }
    }

    /// Removes the expired earlier secrets of a webhook.
    async fn forget_earlier(&self, due: &Webhook) -> Result<(), Error> {
        retry_on_conflict(self.table, || async {
            let Some(webhook) = self.table.webhook(due.workspace_id, due.webhook_id).await? else {
                return Ok(());
            };
            let id_source = self.deadline.id_source();
            let Some(after) = webhook.without_expired_secrets(id_source.now) else {
                return Ok(());
            };
            let secrets = self.table.webhook_secrets(webhook.webhook_id).await?;
            let commit = Commit::without_event(id_source.event_id()).edit(&webhook, &after);
            self.table
                .commit(match secrets {
                    Some(secrets) => commit.put_webhook_secrets(webhook.webhook_id, &secrets.valid_at(id_source.now)),
                    None => commit,
                })
                .await
                .map(drop)
        })
        .await
    }
}
