//! Triggered by the queue on the topic `events`, and each minute: delivers events to webhooks.
//!
//! What one workspace has in progress is bounded: a few runs at once call its webhooks for new events, and the schedule
//! calls webhooks in turns. What is beyond, or for a slow or failing webhook, is left to the schedule.
//!
//! A delivery is a row: leased before the call, settled after it. An event that arrives twice makes one delivery. If a
//! run ends before it has recorded the result of a call, the schedule makes the call again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};

use aws::store::due::calls_shard;
use aws::store::webhooks::{CallSlot, webhook_of_delivery};
use aws::{Commit, DueRow, EgressClient, RowKey, Table, retry_on_conflict};
use chrono::Duration;
use domain::error::Error;
use domain::limits::WEBHOOK_LIMIT;
use domain::models::event::Event;
use domain::models::webhook::{Delivery, FIRST_RETRY_DELAY, Webhook};
use domain::{EventId, WebhookId, WorkspaceId};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::{self, FuturesUnordered};
use lambda::logging::Chain;
use serde_json::{Value, json};

use crate::context::Origin;
use crate::deadline::Deadline;
use crate::state::AppState;
use crate::triggers::run_due::shards;
use crate::triggers::{Run, Tally, batch_item_failures, event_of_record};
use crate::webhooks::calling::{CallReason, call, record_attempt};
use crate::webhooks::turns::{DueWebhook, Turns};

/// Time left when the last attempt starts, before Lambda ends the run: the longest attempt, and recording it.
const NEEDED: Duration = Duration::seconds(22);
/// Webhooks called concurrently, so that a slow one does not delay the others. With [`CALLS`], below the 1,024 open files
/// of an invocation ("Lambda quotas").
const WEBHOOKS: usize = 64;
/// Concurrent calls to one webhook.
const CALLS: usize = 10;
/// After this many failures of one webhook in a run, its other retries wait for the next run.
const FAILURES: usize = 10;
/// Keys per read of what is due: a query returns at most 1 MB, some thousands.
const PAGE: usize = 1000;
/// The most deliveries of one webhook that a run remembers: more than it can try.
const DELIVERIES: usize = 5000;
/// How long a run looks for what is due. Each run begins with another shard, so that the next one finds the rest.
const FINDING: Duration = Duration::seconds(15);

/// Builds the client for webhooks on first use.
type WebhookClient<'a> = dyn Fn() -> Result<&'a EgressClient, Error> + Sync + 'a;

/// For queue messages, returns the messages to retry. For the schedule, returns how many deliveries were attempted
/// (`done`), how many could not be (`failed`), and in `late_seconds` how late the latest one was for a webhook that is
/// neither failing nor slow; an alarm watches `late_seconds` in the log.
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

/// A webhook, deliveries to it by their keys, and their events.
type ReadDeliveries = (Option<Webhook>, Vec<(RowKey, Result<Delivery, Error>)>, Vec<Event>);

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
        let mut wanted: BTreeMap<WorkspaceId, Vec<PendingDelivery>> = BTreeMap::new();
        for record in self.run.records() {
            let message = record["messageId"].as_str().unwrap_or_default().to_owned();
            match self.find_pending(record, &message, &mut known).await {
                Ok(found) => found.into_iter().for_each(|one| {
                    wanted.entry(one.webhook.workspace_id).or_default().push(one);
                }),
                Err(failure) => {
                    self.log(&message, &failure);
                    failed.insert(message);
                }
            }
        }
        let of_workspaces = wanted.into_iter().map(|(workspace, wanted)| self.deliver_of(workspace, wanted));
        for (message, failure) in join_all(of_workspaces).await.into_iter().flatten() {
            self.log(&message, &failure);
            failed.insert(message);
        }
        batch_item_failures(failed)
    }

    /// Makes the deliveries of one workspace, or leaves them to the schedule if too many runs call its webhooks. Returns
    /// the failed messages.
    async fn deliver_of(&self, workspace: WorkspaceId, wanted: Vec<PendingDelivery>) -> Vec<(String, Error)> {
        let slot = self.take_slot(workspace, &wanted).await;
        let may_call = slot.is_some();
        let deliver = |one: PendingDelivery| async move {
            self.deliver_once(&one, may_call).await.map_err(|failure| (one.message, failure))
        };
        let mut of_webhooks: BTreeMap<WebhookId, Vec<PendingDelivery>> = BTreeMap::new();
        for one in wanted {
            of_webhooks.entry(one.webhook.webhook_id).or_default().push(one);
        }
        let each =
            |all: Vec<PendingDelivery>| stream::iter(all).map(deliver).buffer_unordered(CALLS).collect::<Vec<_>>();
        let outcomes: Vec<Vec<_>> =
            stream::iter(of_webhooks.into_values()).map(each).buffer_unordered(WEBHOOKS).collect().await;
        if let Some(slot) = slot {
            self.release_slot(&slot).await;
        }
        outcomes.into_iter().flatten().filter_map(Result::err).collect()
    }

    /// Takes one of the workspace's call slots if a webhook is to be called. Without one, deliveries are left to the
    /// schedule, so that an error here loses nothing.
    async fn take_slot(&self, workspace: WorkspaceId, wanted: &[PendingDelivery]) -> Option<CallSlot> {
        let id_source = self.deadline.id_source();
        if wanted.iter().all(|one| one.webhook.is_schedule_only(id_source.now)) {
            return None;
        }
        let random = usize::from(id_source.new_id().as_bytes()[15]);
        let taken = self.table.take_call_slot(workspace, id_source.now, random, || id_source.event_id()).await;
        taken.unwrap_or_else(|failure| {
            tracing::warn!(operation = self.run.operation, error = %Chain(&failure), "no call slot was taken");
            None
        })
    }

    /// Gives a call slot back. If that fails, the slot is free again after its lease.
    async fn release_slot(&self, slot: &CallSlot) {
        let commit = Commit::without_event(self.deadline.id_source().event_id()).delete(slot);
        if let Err(failure) = self.table.commit(commit).await {
            tracing::warn!(operation = self.run.operation, error = %Chain(&failure), "a call slot was not given back");
        }
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
    async fn deliver_once(&self, wanted: &PendingDelivery, may_call: bool) -> Result<(), Error> {
        let PendingDelivery { webhook, event, .. } = wanted;
        self.require_time_left()?;
        let begun = retry_on_conflict(self.table, || async {
            let id_source = self.deadline.id_source();
            let at_once = may_call && !webhook.is_schedule_only(id_source.now);
            let found = self.table.delivery(webhook.workspace_id, webhook.webhook_id, event.event_id).await?;
            match found {
                None => {
                    let due = Delivery::new_due(webhook, event, id_source.now);
                    let now = at_once.then(|| due.with_attempt_started(id_source.new_id(), id_source.now));
                    let commit = Commit::without_event(id_source.event_id()).put(now.as_ref().unwrap_or(&due));
                    self.table.commit(commit).await?;
                    Ok(now)
                }
                // The run that started it ended before settling it.
                Some(found) if at_once && found.is_due(id_source.now) => self.start_attempt(&found).await.map(Some),
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

    /// Tries what is due until it is done or time is up. What was not started stays due. Webhooks take turns, so that the
    /// backlog of one, or of its workspace, delays no other.
    async fn retry_due(&self) -> Result<Value, Error> {
        let mut tally = Tally::default();
        let mut turns = Turns::new(self.find_due(&mut tally).await?);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < WEBHOOKS
                && self.deadline.has(NEEDED)
                && let Some(due) = turns.begin()
            {
                running.push(self.retry_some(due));
            }
            let Some((due, outcomes)) = running.next().await else { break };
            turns.end(due);
            for (key, outcome) in outcomes {
                tally.note(self.run, &key, outcome);
            }
        }
        let late_seconds = self.late.load(Ordering::Relaxed);
        tracing::info!(operation = self.run.operation, late_seconds, "due deliveries were tried");
        Ok(json!({"done": tally.done, "failed": tally.failed, "late_seconds": late_seconds}))
    }

    /// The webhooks with due deliveries, which are read when their turn comes: only their keys are read here, so that a
    /// long backlog of one does not hide what is due for others. Other due rows are handled at once.
    async fn find_due(&self, tally: &mut Tally) -> Result<Vec<DueWebhook>, Error> {
        let until = self.run.now().plus(FINDING);
        let mut found: BTreeMap<(WorkspaceId, WebhookId), VecDeque<RowKey>> = BTreeMap::new();
        for shard in shards(self.run.now()) {
            let mut start = None;
            while self.deadline.has(NEEDED) && self.deadline.id_source().now < until {
                let (keys, next) = self.table.due_keys(&calls_shard(shard), self.run.now(), start, PAGE).await?;
                let mut others = Vec::new();
                for key in keys {
                    match webhook_of_delivery(&key) {
                        Some(webhook) => {
                            let deliveries = found.entry(webhook).or_default();
                            if deliveries.len() < DELIVERIES {
                                deliveries.push_back(key);
                            }
                        }
                        None => others.push(key),
                    }
                }
                for (key, row) in self.table.due_rows(others).await? {
                    match row {
                        Ok(Some(DueRow::Webhook(webhook))) => {
                            tally.note(self.run, &webhook.webhook_id, self.forget_earlier(&webhook).await);
                        }
                        Ok(_) => {}
                        Err(failure) => tally.note(self.run, &key, Err(failure)),
                    }
                }
                start = next;
                if start.is_none() {
                    break;
                }
            }
        }
        let due =
            |((workspace_id, webhook_id), deliveries)| DueWebhook { workspace_id, webhook_id, deliveries, failures: 0 };
        Ok(found.into_iter().map(due).collect())
    }

    /// One turn of a webhook: some calls at once. Returns what is left, nothing after too many failures, and the
    /// outcomes.
    async fn retry_some(&self, mut due: DueWebhook) -> (DueWebhook, Vec<(RowKey, Result<(), Error>)>) {
        let keys: Vec<RowKey> = due.deliveries.drain(..due.deliveries.len().min(CALLS)).collect();
        let (webhook, deliveries, events) = match self.read_due(&due, &keys).await {
            Ok(read) => read,
            Err(failure) => {
                due.deliveries.clear();
                return (due, keys.into_iter().next().map(|key| (key, Err(failure))).into_iter().collect());
            }
        };
        let retry = |(key, delivery): (RowKey, Result<Delivery, Error>)| {
            let webhook = webhook.clone();
            let event = |id: EventId| events.iter().find(|event| event.event_id == id).cloned();
            let event = delivery.as_ref().ok().and_then(|delivery| event(delivery.event_id));
            async move {
                match delivery {
                    Ok(delivery) => (key, self.retry(webhook, event, &delivery).await),
                    Err(failure) => (key, Err(failure)),
                }
            }
        };
        let outcomes: Vec<_> = stream::iter(deliveries).map(retry).buffer_unordered(CALLS).collect().await;
        due.failures += outcomes.iter().filter(|(_, outcome)| matches!(outcome, Ok(false))).count();
        if due.failures >= FAILURES {
            due.deliveries.clear();
        }
        (due, outcomes.into_iter().map(|(key, outcome)| (key, outcome.map(drop))).collect())
    }

    /// The webhook, those of the deliveries that are due, and their events. The index may lag behind the rows, so the
    /// rows decide.
    async fn read_due(&self, due: &DueWebhook, keys: &[RowKey]) -> Result<ReadDeliveries, Error> {
        let mut deliveries = Vec::new();
        for (key, row) in self.table.due_rows(keys.to_vec()).await? {
            match row {
                Ok(Some(DueRow::Delivery(delivery))) if delivery.is_due(self.run.now()) => {
                    deliveries.push((key, Ok(*delivery)));
                }
                Ok(_) => {}
                Err(failure) => deliveries.push((key, Err(failure))),
            }
        }
        let ids: Vec<EventId> =
            deliveries.iter().filter_map(|(_, delivery)| Some(delivery.as_ref().ok()?.event_id)).collect();
        let webhook = self.table.webhook(due.workspace_id, due.webhook_id).await?;
        Ok((webhook, deliveries, self.table.events(due.workspace_id, &ids).await?))
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
        if let Some(due) = delivery.next_at.filter(|_| webhook.is_well()) {
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
