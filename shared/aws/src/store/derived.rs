//! Derived rows: by what lists find, order and count things.
//!
//! After each event, a consumer [writes](super::deriving) the differences between what [`domain::rules::derived`] derives
//! from a thing and the *shadow* that it left beside the thing the last time. Lists check each row that they show, so that
//! what lags is only left out.
//!
//! The rows of a workspace are spread over shards by the thing's identifier, so that no partition gathers its changes.

use std::collections::{BTreeMap, BTreeSet};

use domain::rules::derived::{Derived, ThingKind};
use domain::stored::Stored;
use domain::{DeviceId, JobId, Time, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::item::{Row, RowKey, keeps_stored_row};
use crate::store::counts::Counted;
use crate::store::devices::device_key;
use crate::store::jobs::job_key;
use crate::store::users::user_key;

/// Number of partitions of the rows of a facet's value, and of those of an order.
pub const SHARDS: u8 = 4;

/// The sort key of a shadow.
pub const SHADOW: &str = "DERIVED";

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

    pub(crate) fn id(self) -> Uuid {
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

    pub(crate) fn shadow_key(self, workspace: WorkspaceId) -> RowKey {
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

    /// What it adds to counts, by their sort keys.
    #[must_use]
    pub fn counts(&self, kind: ThingKind) -> BTreeMap<String, i64> {
        let key = |name: &str, value: &str| Counted { kind, name, value, deleted: self.deleted }.sort_key();
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
