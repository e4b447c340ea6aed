//! Webhooks, the secrets that sign their calls, and the deliveries.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::Duration;
use domain::error::Error;
use domain::models::event_shards::shard_of;
use domain::models::webhook::{
    CALLING_RUNS, Delivery, LEASE_DURATION, RETENTION as DELIVERY_RETENTION, Secrets, Webhook,
};
use domain::{EventId, Time, WebhookId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::commit::Commit;
use crate::item::{Item, Read, Row, RowKey, from_item, keeps_stored_row, stored};
use crate::list::{Page, Position, Source};
use crate::store::due;
use crate::table::Table;

keeps_stored_row!(Delivery, Webhook);

impl Read for CallSlot {}

impl Read for Secrets {}

/// Prefix of a webhook's sort key.
pub const WEBHOOK: &str = "WEBHOOK#";

/// Prefix of the partition of a webhook's deliveries.
const DELIVERIES: &str = "DELIVERIES#";

/// The number of partitions of a webhook's deliveries.
const DELIVERY_SHARDS: u8 = 8;

/// Prefix of a delivery's sort key.
pub const DELIVERY: &str = "DELIVERY#";

/// The partition of a workspace's webhooks.
#[must_use]
pub fn webhooks_partition(workspace: WorkspaceId) -> String {
    format!("WEBHOOKS#{workspace}")
}

/// The key of a webhook.
#[must_use]
pub fn webhook_key(workspace: WorkspaceId, id: WebhookId) -> RowKey {
    RowKey::new(webhooks_partition(workspace), format!("{WEBHOOK}{id}"))
}

/// The key of a webhook's secrets.
#[must_use]
pub fn webhook_secrets_pk(id: WebhookId) -> String {
    format!("{WEBHOOK}{id}")
}

impl Row for Webhook {
    fn key(&self) -> RowKey {
        webhook_key(self.workspace_id, self.webhook_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.earlier_secret_until.map(|until| due::due_call_attributes(&self.key(), until)).unwrap_or_default()
    }
}

/// The right of a run to call a workspace's webhooks for new events. There are [`CALLING_RUNS`] in a workspace, each a row
/// while it is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallSlot {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its number, from 0.
    pub number: u8,
    /// Until when it is taken, if the run does not end earlier.
    pub held_until: Time,
    /// Version for optimistic locking, different for each run.
    pub version: u64,
}

/// The sort key of a call slot.
const SLOT: &str = "SLOT";

/// How long the slot of a run that was interrupted is kept after its end.
const SLOT_RETENTION: Duration = Duration::days(1);

/// The key of a call slot. Each has a partition of its own, since a busy workspace's runs take and free them all the time.
fn call_slot_key(workspace: WorkspaceId, number: u8) -> RowKey {
    RowKey::new(format!("CALLSLOT#{workspace}#{number:02}"), SLOT)
}

impl Row for CallSlot {
    fn key(&self) -> RowKey {
        call_slot_key(self.workspace_id, self.number)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.held_until.plus(SLOT_RETENTION).seconds())
    }
}

/// A partition of a webhook's deliveries.
#[must_use]
pub fn deliveries_partition(workspace: WorkspaceId, id: WebhookId, shard: u8) -> String {
    format!("{}#{shard}", former_deliveries_partition(workspace, id))
}

/// The one partition of a webhook's deliveries in the release before. What is there ends with its time to live.
fn former_deliveries_partition(workspace: WorkspaceId, id: WebhookId) -> String {
    format!("{DELIVERIES}{workspace}#{id}")
}

/// The key of the delivery of an event to a webhook.
#[must_use]
pub fn delivery_key(workspace: WorkspaceId, id: WebhookId, event: EventId) -> RowKey {
    let shard = shard_of(event, DELIVERY_SHARDS);
    RowKey::new(deliveries_partition(workspace, id, shard), format!("{DELIVERY}{event}"))
}

impl Row for Delivery {
    fn key(&self) -> RowKey {
        let read = stored(self).and_then(RowKey::of);
        read.unwrap_or_else(|| delivery_key(self.workspace_id, self.webhook_id, self.event_id))
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.next_at.map(|at| due::due_call_attributes(&self.key(), at)).unwrap_or_default()
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.created_at.plus(DELIVERY_RETENTION).seconds())
    }
}

impl Table {
    /// Takes one of a workspace's call slots; `None` if all are taken. `random` spreads runs over the free ones.
    pub async fn take_call_slot(
        &self,
        workspace_id: WorkspaceId,
        now: Time,
        random: usize,
        commit_id: impl Fn() -> EventId,
    ) -> Result<Option<CallSlot>, Error> {
        let keys = (0..CALLING_RUNS).map(|number| call_slot_key(workspace_id, number)).collect();
        let stored: Vec<CallSlot> = self.rows_with(keys).await?;
        let is_held = |number: &u8| stored.iter().any(|slot| slot.number == *number && slot.held_until > now);
        let mut free: Vec<u8> = (0..CALLING_RUNS).filter(|number| !is_held(number)).collect();
        let first = random % free.len().max(1);
        free.rotate_left(first);
        for number in free {
            let before = stored.iter().find(|slot| slot.number == number);
            let version = before.map_or(1, |before| before.version);
            let slot = CallSlot { workspace_id, number, held_until: now.plus(LEASE_DURATION), version };
            let commit = Commit::without_event(commit_id());
            let commit = match before {
                Some(before) => commit.edit(before, &slot),
                None => commit.put(&slot),
            };
            match self.commit(commit).await {
                Ok(_) => return Ok(Some(CallSlot { version: before.map_or(1, |before| before.version + 1), ..slot })),
                // Another run took it first.
                Err(Error::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A webhook.
    pub async fn webhook(&self, workspace: WorkspaceId, id: WebhookId) -> Result<Option<Webhook>, Error> {
        self.get(&webhook_key(workspace, id)).await
    }

    /// A page of a workspace's webhooks, newest first.
    pub async fn list_webhooks(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Webhook>, Error> {
        self.rows(&Source::in_partition(webhooks_partition(workspace), WEBHOOK), limit, start).await
    }

    /// The secrets that sign a webhook's calls.
    pub async fn webhook_secrets(&self, id: WebhookId) -> Result<Option<Secrets>, Error> {
        self.get_secret(&webhook_secrets_pk(id)).await?.map(from_item).transpose()
    }

    /// The delivery of an event to a webhook.
    pub async fn delivery(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        event: EventId,
    ) -> Result<Option<Delivery>, Error> {
        let key = delivery_key(workspace, id, event);
        let former = RowKey::new(former_deliveries_partition(workspace, id), &*key.sk);
        Ok(self.rows_with(vec![key, former]).await?.into_iter().next())
    }

    /// A page of a webhook's deliveries, by event, newest first.
    pub async fn list_deliveries(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Delivery>, Error> {
        let shards = (0..DELIVERY_SHARDS).map(|shard| deliveries_partition(workspace, id, shard));
        let partitions = shards.chain([former_deliveries_partition(workspace, id)]);
        let sources: Vec<Source> = partitions.map(|partition| Source::in_partition(partition, DELIVERY)).collect();
        self.merged_page(&sources, limit, start, RowKey::of, |_, _| true).await
    }
}

/// The webhook to which a delivery belongs, by the delivery's key; `None` for another row.
#[must_use]
pub fn webhook_of_delivery(key: &RowKey) -> Option<(WorkspaceId, WebhookId)> {
    let mut parts = key.pk.strip_prefix(DELIVERIES)?.split('#');
    Some((WorkspaceId::parse(parts.next()?)?, WebhookId::parse(parts.next()?)?))
}

impl Commit {
    /// Replaces the secrets that sign a webhook's calls.
    #[must_use]
    pub fn put_webhook_secrets(self, id: WebhookId, secrets: &Secrets) -> Self {
        let item = serde_dynamo::to_item(secrets).map_err(|e| Error::internal("writing a secret", e));
        match item {
            Ok(item) => {
                let mut item: Item = item;
                item.insert("pk".to_owned(), AttributeValue::S(webhook_secrets_pk(id)));
                self.put_secret(item)
            }
            Err(fault) => self.fail_with(fault),
        }
    }

    /// Deletes the secrets that sign a webhook's calls.
    #[must_use]
    pub fn delete_webhook_secrets(self, id: WebhookId) -> Self {
        self.delete_secret(webhook_secrets_pk(id))
    }
}
