//! Webhooks, what signs their calls, and what became of these.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::error::Error;
use domain::webhook::{Delivery, Secrets, Webhook};
use domain::{EventId, WebhookId, WorkspaceId};

use crate::commit::Commit;
use crate::item::{Item, from_item};
use crate::list::{Page, Position, Source};
use crate::rows;
use crate::table::Table;

impl Table {
    /// A webhook, as it is now.
    pub async fn webhook(&self, workspace: WorkspaceId, id: WebhookId) -> Result<Option<Webhook>, Error> {
        self.get(&rows::webhook(workspace, id)).await
    }

    /// A page of a workspace's webhooks, as they are now, the newest first.
    pub async fn list_webhooks(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Webhook>, Error> {
        self.rows(&Source::within(rows::webhooks(workspace), rows::WEBHOOK), limit, start).await
    }

    /// What signs a webhook's calls.
    pub async fn webhook_secrets(&self, id: WebhookId) -> Result<Option<Secrets>, Error> {
        self.get_secret(&rows::webhook_secrets(id)).await?.map(from_item).transpose()
    }

    /// The delivery of an event to a webhook, as it is now.
    pub async fn delivery(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        event: EventId,
    ) -> Result<Option<Delivery>, Error> {
        self.get(&rows::delivery(workspace, id, event)).await
    }

    /// A page of a webhook's deliveries, that of the newest event first.
    pub async fn list_deliveries(
        &self,
        workspace: WorkspaceId,
        id: WebhookId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Delivery>, Error> {
        self.rows(&Source::within(rows::deliveries(workspace, id), rows::DELIVERY), limit, start).await
    }
}

impl Commit {
    /// Keeps what signs a webhook's calls, in the place of what did before.
    #[must_use]
    pub fn keep_webhook_secrets(self, id: WebhookId, secrets: &Secrets) -> Self {
        let item = serde_dynamo::to_item(secrets).map_err(|e| Error::internal("writing a secret", e));
        match item {
            Ok(item) => {
                let mut item: Item = item;
                item.insert("pk".to_owned(), AttributeValue::S(rows::webhook_secrets(id)));
                self.put_secret(item)
            }
            Err(fault) => self.faulty(fault),
        }
    }

    /// Forgets what signs a webhook's calls.
    #[must_use]
    pub fn forget_webhook_secrets(self, id: WebhookId) -> Self {
        self.delete_secret(rows::webhook_secrets(id))
    }
}
