//! Reindexing: brings stored rows to what this release would store: index attributes and index rows.

use std::collections::BTreeSet;

use domain::error::Error;
use domain::models::command::Command;
use domain::models::device::{Device, DeviceAttachments, IdentifierClaim, PushToken};
use domain::models::event::Event;
use domain::models::event_shards::EventShards;
use domain::models::job::Job;
use domain::models::key::ApiKey;
use domain::models::member::Member;
use domain::models::offer::Offer;
use domain::models::profile::{Profile, ProfileAssignment};
use domain::models::source::DataSource;
use domain::models::token::Token;
use domain::models::user::User;
use domain::models::webhook::{Delivery, Webhook};
use domain::models::workspace::Workspace;
use domain::rules::scim::document::ScimAttributes;
use domain::{EventId, WorkspaceId};

use crate::commit::{COUNTED, Commit};
use crate::details;
use crate::item::{IndexRow, Item, Row, RowKey, from_item, log_unreadable};
use crate::list::Position;
use crate::retry::retry_on_conflict;
use crate::store::counts::EventRow;
use crate::store::derived::Thing;
use crate::table::{BatchResult, Table, service_error};

/// Rows of the table as they are stored.
#[derive(Debug)]
pub struct StoredRows {
    /// The rows.
    pub rows: Vec<StoredRow>,
    /// Where the table continues; `None` at the end.
    pub next: Option<Position>,
}

/// A stored row.
#[derive(Debug)]
pub struct StoredRow {
    key: RowKey,
    item: Item,
}

/// The result for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The row is as this release stores it, or is of a kind that never changes.
    Unchanged,
    /// The row was written.
    Written,
    /// The row is unreadable and stays as it is.
    Unreadable,
    /// A unique name of the row's object belongs to another object. Everything else was written.
    NameTaken,
}

impl StoredRow {
    /// True if it belongs to the workspace.
    #[must_use]
    pub fn is_of(&self, workspace: WorkspaceId) -> bool {
        let id = workspace.to_string();
        let named = self.item.get("workspace_id").and_then(|value| value.as_s().ok()) == Some(&id);
        named || [&self.key.pk, &self.key.sk].iter().any(|key| key.split('#').any(|part| part == id))
    }

    /// The thing of a main row or a shadow, with its workspace.
    #[must_use]
    pub fn thing(&self) -> Option<(WorkspaceId, Thing)> {
        Thing::of_key(&self.key)
    }

    /// The event of a row that is not counted yet.
    #[must_use]
    pub fn uncounted_event(&self) -> Option<EventRow> {
        if !self.key.pk.starts_with("EVENT#") || self.item.contains_key(COUNTED) {
            return None;
        }
        let event: Event = from_item(self.item.clone()).ok()?;
        let (workspace_id, event_id) = (event.workspace_id, event.event_id);
        Some(EventRow { key: self.key.clone(), workspace_id, event_id, day: event.created_at.day() })
    }

    /// The plan for the row, with the identifier of its commit; `None` for kinds of rows that never change.
    fn plan(&self, id: EventId) -> Option<Result<Plan, Error>> {
        let (pk, _) = self.key.pk.split_once('#').unwrap_or((&self.key.pk, ""));
        let (sk, _) = self.key.sk.split_once('#').unwrap_or((&self.key.sk, ""));
        Some(match (pk, sk) {
            ("WORKSPACE", "WORKSPACE") => self.plan_of::<Workspace>(id),
            ("USER", "USER") => self.plan_of::<User>(id),
            ("USER", "SCIM") => self.plan_of::<ScimAttributes>(id),
            ("USER", "INVITATION") => self.plan_of::<Offer>(id),
            ("DEVICE", "DEVICE") => self.plan_of::<Device>(id),
            ("DEVICE", "BELONGINGS") => self.plan_of::<DeviceAttachments>(id),
            ("DEVICE", "COMMAND") => self.plan_of::<Command>(id),
            ("DEVICE", "PUSH") => self.plan_of::<PushToken>(id),
            ("IDENTIFIER", "CLAIM") => self.plan_of::<IdentifierClaim>(id),
            ("EVENT", _) => self.plan_of::<Event>(id),
            ("EVENTS", _) => self.plan_of::<EventShards>(id),
            ("KEY", "KEY") => self.plan_of::<ApiKey>(id),
            ("MEMBER", _) => self.plan_of::<Member>(id),
            ("TOKEN", "TOKEN") => self.plan_of::<Token>(id),
            ("PROFILE", "PROFILE") => self.plan_of::<Profile>(id),
            ("PROFILE", "GIVEN") => self.plan_of::<ProfileAssignment>(id),
            ("SOURCE", "SOURCE") => self.plan_of::<DataSource>(id),
            ("WEBHOOKS", "WEBHOOK") => self.plan_of::<Webhook>(id),
            ("DELIVERIES", "DELIVERY") => self.plan_of::<Delivery>(id),
            ("JOB", "JOB") => self.plan_of::<Job>(id),
            // Index rows, rows that are created, replaced and deleted but never changed, and usage, to which is added
            // whatever it counts.
            _ => return None,
        })
    }

    fn plan_of<R: Row>(&self, id: EventId) -> Result<Plan, Error> {
        let row: R = from_item(self.item.clone())?;
        Ok(Plan {
            restored: Commit::without_event(id).restore_row(&row),
            guarded: Commit::without_event(id).require_all_unchanged(&row),
            index_rows: row.index_rows(),
            former: row.former_index_rows(),
        })
    }
}

/// The writes for a row.
struct Plan {
    /// Writes to the row itself; empty if it is up to date.
    restored: Commit,
    /// A guard on the row's version, without writes.
    guarded: Commit,
    index_rows: BTreeSet<IndexRow>,
    former: BTreeSet<IndexRow>,
}

impl Plan {
    fn keys(&self) -> impl Iterator<Item = RowKey> {
        self.index_rows.iter().chain(&self.former).map(|index_row| index_row.key.clone())
    }

    /// The commit for the row, empty if nothing is to be done, and whether a unique name belongs to another object.
    fn commit(self, found: &BatchResult) -> (Commit, bool) {
        let is_there = |index_row: &&IndexRow| found.item(&index_row.key).is_some_and(|item| index_row.is_in(item));
        let (held, missing): (Vec<&IndexRow>, Vec<&IndexRow>) = self
            .index_rows
            .iter()
            .filter(|index_row| !is_there(index_row))
            .partition(|index_row| index_row.unique && found.item(&index_row.key).is_some());
        let left: Vec<&IndexRow> = self.former.iter().filter(is_there).collect();
        let row_stands = self.restored.is_empty() && !(missing.is_empty() && left.is_empty());
        let mut commit = if row_stands { self.guarded } else { self.restored };
        for index_row in missing {
            commit = commit.with_index_row(index_row);
        }
        for index_row in left {
            commit = commit.remove(&index_row.key);
        }
        (commit, !held.is_empty())
    }
}

impl Table {
    /// The index rows of an earlier release that a row still has, but for the unique ones, to be removed with the row.
    pub async fn former_index_rows<R: Row>(&self, row: &R) -> Result<Vec<RowKey>, Error> {
        let former = row.former_index_rows().into_iter().filter(|former| !former.unique).map(|former| former.key);
        let former: Vec<RowKey> = former.collect();
        let found = self.get_many(former.iter().cloned()).await?;
        Ok(former.into_iter().filter(|key| found.item(key).is_some()).collect())
    }

    /// Up to `limit` rows of the table in no particular order, after the last page.
    pub async fn stored_rows(&self, start: Option<&Position>, limit: i32) -> Result<StoredRows, Error> {
        #[expect(clippy::disallowed_methods, reason = "not a request: IAM controls who may run it")]
        let scan = self.client.scan().table_name(&self.names.main).consistent_read(true).limit(limit);
        let scan = scan.set_exclusive_start_key(start.map(Position::start_key));
        let output = scan.send().await.map_err(|e| service_error("reindexing reads every row", e))?;
        let rows = output.items.unwrap_or_default().into_iter();
        let mut rows: Vec<StoredRow> =
            rows.filter_map(|item| Some(StoredRow { key: RowKey::of(&item)?, item })).collect();
        self.add_second_rows(&mut rows).await?;
        Ok(StoredRows { rows, next: output.last_evaluated_key.map(|key| Position::of(&key, &["pk", "sk"])) })
    }

    /// Rewrites outdated rows, each in its own commit that is guarded by what was read. `ids` are the
    /// identifiers of the commits.
    pub async fn restore(
        &self,
        rows: &[StoredRow],
        new_id: impl Fn() -> EventId + Send + Sync,
    ) -> Result<Vec<Restored>, Error> {
        let plans: Vec<Option<Result<Plan, Error>>> = rows.iter().map(|row| row.plan(new_id())).collect();
        let keys: Vec<RowKey> = plans.iter().flatten().flatten().flat_map(Plan::keys).collect();
        let found = self.get_many(keys).await?;
        let mut outcomes = Vec::with_capacity(rows.len());
        for (row, plan) in rows.iter().zip(plans) {
            outcomes.push(match plan {
                None => Restored::Unchanged,
                Some(plan) => self.restore_row(&row.key, plan, &found, &new_id).await?,
            });
        }
        Ok(outcomes)
    }
}

impl Table {
    /// Adds the attributes of their second rows to the rows that have one.
    async fn add_second_rows(&self, rows: &mut [StoredRow]) -> Result<(), Error> {
        let found = self.get_many(rows.iter().filter_map(|row| details::key_beside(&row.key))).await?;
        for row in rows {
            if let Some(second) = details::key_beside(&row.key).and_then(|key| found.item(&key)) {
                details::add(&mut row.item, second.clone());
            }
        }
        Ok(())
    }

    /// `found` has the rows of the plan.
    async fn restore_row(
        &self,
        key: &RowKey,
        plan: Result<Plan, Error>,
        found: &BatchResult,
        new_id: &(impl Fn() -> EventId + Sync),
    ) -> Result<Restored, Error> {
        match self.carry_out(key, plan, found).await {
            Err(Error::Conflict) => retry_on_conflict(self, || self.restore_changed_row(key, new_id())).await,
            outcome => outcome,
        }
    }

    /// Restores a row that has changed since it was read.
    async fn restore_changed_row(&self, key: &RowKey, id: EventId) -> Result<Restored, Error> {
        let now = self.get_many([key.clone()]).await?.item(key).cloned();
        let Some(plan) = now.and_then(|item| StoredRow { key: key.clone(), item }.plan(id)) else {
            return Ok(Restored::Unchanged);
        };
        let found = self.get_many(plan.iter().flat_map(Plan::keys)).await?;
        self.carry_out(key, plan, &found).await
    }

    async fn carry_out(&self, key: &RowKey, plan: Result<Plan, Error>, found: &BatchResult) -> Result<Restored, Error> {
        let Ok(plan) = plan else {
            log_unreadable(key);
            return Ok(Restored::Unreadable);
        };
        let (commit, held) = plan.commit(found);
        let written = !commit.is_empty();
        if written {
            let _committed = self.commit(commit).await?;
        }
        if held {
            tracing::warn!(row = %key, "a unique name belongs to another row");
            return Ok(Restored::NameTaken);
        }
        Ok(if written { Restored::Written } else { Restored::Unchanged })
    }
}
