//! Derived rows: by what lists find, order and count things.
//!
//! After each event, a consumer compares what [`domain::rules::derived`] derives from a thing with the *shadow* that it
//! left beside the thing the last time, and writes the differences with the new shadow in one transaction. So it may run
//! twice and in any order, and `reindex` is the same function over all things. Lists check each row that they show, so
//! that what lags is only left out.
//!
//! The rows of a workspace are spread over shards by the thing's identifier, so that no partition gathers its changes.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::models::device::Device;
use domain::models::job::Job;
use domain::models::user::User;
use domain::rules::derived::{Derived, LatestOffers, ThingKind};
use domain::stored::Stored;
use domain::{DeviceId, EventId, JobId, Time, UserId, WorkspaceId};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::commit::Commit;
use crate::item::{Row, RowKey, keeps_stored_row, log_unreadable};
use crate::retry::retry_on_conflict;
use crate::store::counts::{COUNT_SHARDS, Counted};
use crate::store::devices::device_key;
use crate::store::jobs::job_key;
use crate::store::offers::offer_key;
use crate::store::users::user_key;
use crate::table::{BatchResult, Table};

/// Number of partitions of the rows of a facet's value, and of those of an order.
pub const SHARDS: u8 = 4;

/// The sort key of a shadow.
pub const SHADOW: &str = "DERIVED";

/// Groups of things that are derived side by side.
const AT_ONCE: usize = 16;

/// A thing with derived rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A device.
    Device(DeviceId),
    /// A user.
    User(UserId),
    /// A job.
    Job(JobId),
}

impl Thing {
    /// Its kind.
    #[must_use]
    pub fn kind(self) -> ThingKind {
        match self {
            Self::Device(_) => ThingKind::Device,
            Self::User(_) => ThingKind::User,
            Self::Job(_) => ThingKind::Job,
        }
    }

    fn id(self) -> Uuid {
        match self {
            Self::Device(id) => id.0,
            Self::User(id) => id.0,
            Self::Job(id) => id.0,
        }
    }

    /// The key of its main row.
    #[must_use]
    pub fn key(self, workspace: WorkspaceId) -> RowKey {
        match self {
            Self::Device(id) => device_key(workspace, id),
            Self::User(id) => user_key(workspace, id),
            Self::Job(id) => job_key(workspace, id),
        }
    }

    fn shadow_key(self, workspace: WorkspaceId) -> RowKey {
        RowKey::new(self.key(workspace).pk, SHADOW)
    }

    /// The thing of a main row or of a shadow, with its workspace.
    #[must_use]
    pub fn of_key(key: &RowKey) -> Option<(WorkspaceId, Self)> {
        let mut parts = key.pk.split('#');
        let (kind, workspace, id) = (parts.next()?, WorkspaceId::parse(parts.next()?)?, parts.next()?);
        let thing = match ThingKind::parse(kind)? {
            ThingKind::Device => Self::Device(DeviceId::parse(id)?),
            ThingKind::User => Self::User(UserId::parse(id)?),
            ThingKind::Job => Self::Job(JobId::parse(id)?),
        };
        [kind, SHADOW].contains(&key.sk.as_str()).then_some((workspace, thing))
    }
}

/// What was derived from a thing the last time. Its words may be those of another release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// The thing's partition.
    pub pk: String,
    /// See [`Derived::created_at`].
    pub created_at: Time,
    /// See [`Derived::deleted`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// See [`Derived::facets`].
    pub facets: BTreeMap<String, String>,
    /// See [`Derived::orders`].
    pub orders: BTreeMap<String, String>,
    /// See [`Derived::amounts`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub amounts: BTreeMap<String, u64>,
    /// Version for optimistic locking.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

keeps_stored_row!(Shadow);

impl Row for Shadow {
    fn key(&self) -> RowKey {
        RowKey::new(self.pk.clone(), SHADOW)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl Shadow {
    /// The shadow of a thing in the partition `pk`, whose shadow was `before`.
    #[must_use]
    pub fn new(pk: String, derived: &Derived, before: Option<&Self>) -> Self {
        let words = |(name, value): (&str, &String)| (name.to_owned(), value.clone());
        Self {
            pk,
            created_at: derived.created_at,
            deleted: derived.deleted,
            facets: derived.facets.iter().map(|(facet, value)| words((facet.as_str(), value))).collect(),
            orders: derived.orders.iter().map(|(order, value)| words((order.as_str(), value))).collect(),
            amounts: derived.amounts.iter().map(|(amount, n)| (amount.as_str().to_owned(), *n)).collect(),
            version: before.map_or(1, |before| before.version),
            stored: before.map(|before| before.stored.clone()).unwrap_or_default(),
        }
    }

    /// The keys of its rows: one for each facet, and one for each order.
    #[must_use]
    pub fn entries(&self, workspace: WorkspaceId, thing: Thing) -> BTreeSet<RowKey> {
        let (kind, id) = (thing.kind(), thing.id());
        let shard = shard_of(id, SHARDS);
        let by_facet = self.facets.iter().map(|(facet, value)| {
            RowKey::new(facet_partition(workspace, kind, facet, value, shard), format!("{}#{id}", self.created_at))
        });
        let by_order = self.orders.iter().map(|(order, value)| {
            RowKey::new(order_partition(workspace, kind, order, shard), format!("{value}{ORDER_END}{id}"))
        });
        by_facet.chain(by_order).collect()
    }

    /// What it adds to the counts.
    #[must_use]
    pub fn counts(&self, workspace: WorkspaceId, thing: Thing) -> BTreeMap<RowKey, i64> {
        let key = |name: &str, value: &str| {
            let of = Counted { kind: thing.kind(), name, value, deleted: self.deleted };
            of.key(workspace, shard_of(thing.id(), COUNT_SHARDS))
        };
        let of_facets = self.facets.iter().map(|(facet, value)| (key(facet, value), 1));
        let of_amounts = self.amounts.iter().map(|(amount, n)| (key(amount, ""), i64::try_from(*n).unwrap_or(0)));
        of_facets.chain(of_amounts).collect()
    }
}

/// What separates the value from the identifier in the key of an order's row: no value has it, and it comes before all
/// that a value has.
pub(crate) const ORDER_END: char = '\t';

pub(crate) fn shard_of(id: Uuid, shards: u8) -> u8 {
    id.as_bytes()[15] % shards
}

/// A partition of the things with a value of a facet; its rows are ordered by creation.
#[must_use]
pub fn facet_partition(workspace: WorkspaceId, kind: ThingKind, facet: &str, value: &str, shard: u8) -> String {
    format!("FACET#{workspace}#{kind}#{facet}#{shard}#{}", value.replace('%', "%25").replace('#', "%23"))
}

/// A partition of an order.
#[must_use]
pub fn order_partition(workspace: WorkspaceId, kind: ThingKind, order: &str, shard: u8) -> String {
    format!("ORDER#{workspace}#{kind}#{order}#{shard}")
}

impl Table {
    /// Brings a thing's derived rows up to date; true if something was written. `new_id` gives the identifiers of
    /// commits. A thing or a shadow that this release cannot read is logged and left as it is.
    pub async fn derive(
        &self,
        workspace: WorkspaceId,
        thing: Thing,
        new_id: impl Fn() -> EventId,
    ) -> Result<bool, Error> {
        let attempt = async |id| {
            let found = self.rows_to_derive(&BTreeSet::from([(workspace, thing)])).await?;
            self.derive_from(&found, workspace, thing, id).await
        };
        retry_on_conflict(self, || attempt(new_id())).await
    }

    /// Brings the derived rows of things up to date, side by side, but one after the other where they have counts in
    /// common, since they would collide. What they are derived from is read once for all. Returns for each thing whether
    /// something was written.
    pub async fn derive_all(
        &self,
        things: BTreeSet<(WorkspaceId, Thing)>,
        new_id: impl Fn() -> EventId + Sync,
    ) -> Vec<((WorkspaceId, Thing), Result<bool, Error>)> {
        // If one cannot be read, it does not hold up the others: then each is read by itself.
        let found = &self.rows_to_derive(&things).await.ok();
        let new_id = &new_id;
        let mut groups = BTreeMap::<(WorkspaceId, u8), Vec<Thing>>::new();
        for (workspace, thing) in things {
            groups.entry((workspace, shard_of(thing.id(), COUNT_SHARDS))).or_default().push(thing);
        }
        let one_by_one = |((workspace, _), things): ((WorkspaceId, u8), Vec<Thing>)| async move {
            let mut outcomes = Vec::with_capacity(things.len());
            for thing in things {
                let first = match found {
                    Some(found) => self.derive_from(found, workspace, thing, new_id()).await,
                    None => Err(Error::Conflict),
                };
                let outcome = match first {
                    Err(Error::Conflict) => self.derive(workspace, thing, new_id).await,
                    outcome => outcome,
                };
                outcomes.push(((workspace, thing), outcome));
            }
            outcomes
        };
        let outcomes = stream::iter(groups).map(one_by_one).buffer_unordered(AT_ONCE);
        outcomes.collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    /// What things are derived from, and their shadows, each row read once.
    async fn rows_to_derive(&self, things: &BTreeSet<(WorkspaceId, Thing)>) -> Result<BatchResult, Error> {
        let own = things.iter().flat_map(|(workspace, thing)| [thing.key(*workspace), thing.shadow_key(*workspace)]);
        let mut found = self.get_many(own).await?;
        let related = |(workspace, thing): &(WorkspaceId, Thing)| match thing {
            Thing::Device(_) => found.row(&thing.key(*workspace)).ok().flatten().map(|device| vec![owner_key(&device)]),
            Thing::User(_) => found.row(&thing.key(*workspace)).ok().flatten().map(|user| offer_keys(&user)),
            Thing::Job(_) => None,
        };
        let related: BTreeSet<RowKey> = things.iter().filter_map(related).flatten().collect();
        let others: Vec<RowKey> = related.into_iter().filter(|key| found.item(key).is_none()).collect();
        found.add(self.get_many(others).await?);
        Ok(found)
    }

    /// `Conflict` if a thing's shadow has changed since it was read.
    async fn derive_from(
        &self,
        found: &BatchResult,
        workspace: WorkspaceId,
        thing: Thing,
        id: EventId,
    ) -> Result<bool, Error> {
        let Ok(state) = State::of(found, workspace, thing) else {
            log_unreadable(&thing.key(workspace));
            return Ok(false);
        };
        match state.commit(workspace, thing, id) {
            Some(commit) => self.commit(commit).await.map(|_| true),
            None => Ok(false),
        }
    }
}

/// The key of a device's user.
fn owner_key(device: &Device) -> RowKey {
    user_key(device.workspace_id, device.user_id)
}

/// The keys of a user's latest invitation and deployment.
fn offer_keys(user: &User) -> Vec<RowKey> {
    let ids = [user.invitation_id, user.client.deployment_id];
    ids.into_iter().flatten().map(|id| offer_key(user.workspace_id, user.user_id, id)).collect()
}

fn derived_of_device(device: &Device, found: &BatchResult) -> Result<Derived, Error> {
    let user = found.row::<User>(&owner_key(device))?;
    Ok(Derived::of_device(device, user.map(|user| user.name()).as_deref()))
}

fn derived_of_user(user: &User, found: &BatchResult) -> Result<Derived, Error> {
    let offer = |id| found.row(&offer_key(user.workspace_id, user.user_id, id));
    let invitation = user.invitation_id.map_or(Ok(None), offer)?;
    let deployment = user.client.deployment_id.map_or(Ok(None), offer)?;
    Ok(Derived::of_user(user, &LatestOffers { invitation, deployment }))
}

/// A thing's shadow as it is, and as it is to be.
struct State {
    before: Option<Shadow>,
    after: Option<Shadow>,
}

impl State {
    /// What was read of a thing.
    fn of(found: &BatchResult, workspace: WorkspaceId, thing: Thing) -> Result<Self, Error> {
        let key = thing.key(workspace);
        let before = found.row::<Shadow>(&thing.shadow_key(workspace))?;
        let derived = match thing {
            Thing::Device(_) => found.row(&key)?.map(|device| derived_of_device(&device, found)).transpose()?,
            Thing::User(_) => found.row(&key)?.map(|user| derived_of_user(&user, found)).transpose()?,
            Thing::Job(_) => found.row::<Job>(&key)?.as_ref().and_then(Derived::of_job),
        };
        let after = derived.map(|derived| Shadow::new(key.pk, &derived, before.as_ref()));
        Ok(Self { before, after })
    }

    /// The commit of the differences; `None` if there are none.
    fn commit(self, workspace: WorkspaceId, thing: Thing, id: EventId) -> Option<Commit> {
        let Self { before, after } = self;
        if before == after {
            return None;
        }
        let entries =
            |shadow: &Option<Shadow>| shadow.as_ref().map(|s| s.entries(workspace, thing)).unwrap_or_default();
        let counts = |shadow: &Option<Shadow>| shadow.as_ref().map(|s| s.counts(workspace, thing)).unwrap_or_default();
        let mut commit = match (&before, &after) {
            (None, Some(after)) => Commit::without_event(id).put(after),
            (Some(before), Some(after)) => Commit::without_event(id).edit(before, after),
            (Some(before), None) => Commit::without_event(id).delete(before),
            (None, None) => return None,
        };
        let (old, new) = (entries(&before), entries(&after));
        commit = old.difference(&new).fold(commit, Commit::remove);
        commit = new.difference(&old).fold(commit, |commit, key| commit.put_key(key));
        let mut changes = counts(&after);
        for (key, n) in counts(&before) {
            *changes.entry(key).or_default() -= n;
        }
        changes.retain(|_, n| *n != 0);
        Some(changes.iter().fold(commit, |commit, (key, n)| commit.add(key, *n)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_facet_has_a_partition_of_its_own() {
        let workspace = WorkspaceId(Uuid::from_u128(1));
        let partition = |value| facet_partition(workspace, ThingKind::Device, "model_name", value, 0);
        let values = ["a#b", "a%23b", "a%b", "a%25b", "a"];
        assert_eq!(values.map(partition).into_iter().collect::<BTreeSet<_>>().len(), values.len());
        assert!(values.iter().all(|value| partition(value).split('#').count() == 6), "it is the last part");
    }

    #[test]
    fn a_thing_is_that_of_its_main_row_and_of_its_shadow() {
        let workspace = WorkspaceId(Uuid::from_u128(1));
        let id = Uuid::from_u128(2);
        for thing in [Thing::Device(DeviceId(id)), Thing::User(UserId(id)), Thing::Job(JobId(id))] {
            let key = thing.key(workspace);
            let of = |sk: &str| Thing::of_key(&RowKey::new(key.pk.clone(), sk));
            assert_eq!((of(&key.sk), of(SHADOW)), (Some((workspace, thing)), Some((workspace, thing))));
            assert_eq!(of("COMMAND#1"), None);
        }
    }
}
