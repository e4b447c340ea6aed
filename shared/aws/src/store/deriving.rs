//! Bringing [derived rows](super::derived) up to date: the differences and the new shadow are written in one transaction,
//! which requires the shadow that was read. So this may run twice and in any order, and `reindex` is the same function
//! over all things.
//!
//! Transactions that add to the same count collide, so those of a batch go together, as many as a transaction takes.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::models::device::Device;
use domain::models::job::Job;
use domain::models::user::User;
use domain::rules::derived::{Derived, LatestOffers};
use domain::{EventId, WorkspaceId};
use futures::{StreamExt as _, stream};

use crate::commit::{Commit, ITEM_LIMIT};
use crate::item::{RowKey, log_unreadable};
use crate::retry::retry_on_conflict;
use crate::store::counts::{COUNT_SHARDS, counts_partition};
use crate::store::derived::{Shadow, Thing, shard_of};
use crate::store::offers::offer_key;
use crate::store::users::user_key;
use crate::table::{BatchResult, Table};

/// Workspaces whose things are derived side by side.
const WORKSPACES_AT_ONCE: usize = 16;

/// How often the things of a batch are written together before each is by itself: transactions may collide.
const ROUNDS: u32 = 4;

/// A thing, with its workspace.
type Place = (WorkspaceId, Thing);

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
            match Difference::of(&found, workspace, thing) {
                Some(difference) => self.commit(Batch::of(difference).commit(workspace, id)).await.map(|_| true),
                None => Ok(false),
            }
        };
        retry_on_conflict(self, || attempt(new_id())).await
    }

    /// Brings the derived rows of things up to date, those of several workspaces side by side. Returns for each thing
    /// whether something was written.
    pub async fn derive_all(
        &self,
        things: BTreeSet<Place>,
        new_id: impl Fn() -> EventId + Sync,
    ) -> Vec<(Place, Result<bool, Error>)> {
        let (mut outcomes, mut left) = (Vec::new(), things);
        for round in 0..ROUNDS {
            let Ok(found) = self.rows_to_derive(&left).await else { break };
            for (place, is_written) in self.derive_together(&found, &left, &new_id).await {
                left.remove(&place);
                outcomes.push((place, Ok(is_written)));
            }
            if left.is_empty() {
                return outcomes;
            }
            self.backoff(round).await;
        }
        // One that cannot be read or written does not hold up the others.
        outcomes.extend(self.derive_each(left, &new_id).await);
        outcomes
    }

    /// Derives what it can of things from rows that were read. Returns what is done, and whether that was written.
    async fn derive_together(
        &self,
        found: &BatchResult,
        things: &BTreeSet<Place>,
        new_id: &(impl Fn() -> EventId + Sync),
    ) -> Vec<(Place, bool)> {
        let mut done = Vec::new();
        let mut by_workspace = BTreeMap::<WorkspaceId, Vec<Batch>>::new();
        for (workspace, thing) in things {
            match Difference::of(found, *workspace, *thing) {
                Some(difference) => Batch::add(by_workspace.entry(*workspace).or_default(), difference),
                None => done.push(((*workspace, *thing), false)),
            }
        }
        let one_by_one = |(workspace, batches): (WorkspaceId, Vec<Batch>)| async move {
            let mut written = Vec::new();
            for batch in batches {
                if self.commit(batch.commit(workspace, new_id())).await.is_ok() {
                    written.extend(batch.differences.iter().map(|one| ((workspace, one.thing), true)));
                }
            }
            written
        };
        let written = stream::iter(by_workspace).map(one_by_one).buffer_unordered(WORKSPACES_AT_ONCE);
        done.extend(written.collect::<Vec<_>>().await.into_iter().flatten());
        done
    }

    async fn derive_each(
        &self,
        things: BTreeSet<Place>,
        new_id: &(impl Fn() -> EventId + Sync),
    ) -> Vec<(Place, Result<bool, Error>)> {
        let mut outcomes = Vec::with_capacity(things.len());
        for (workspace, thing) in things {
            outcomes.push(((workspace, thing), self.derive(workspace, thing, new_id).await));
        }
        outcomes
    }

    /// What things are derived from, and their shadows, each row read once.
    async fn rows_to_derive(&self, things: &BTreeSet<Place>) -> Result<BatchResult, Error> {
        let own = things.iter().flat_map(|(workspace, thing)| [thing.key(*workspace), thing.shadow_key(*workspace)]);
        let mut found = self.get_many(own).await?;
        let related = |(workspace, thing): &Place| match thing {
            Thing::Device(_) => found.row(&thing.key(*workspace)).ok().flatten().map(|device| vec![owner_key(&device)]),
            Thing::User(_) => found.row(&thing.key(*workspace)).ok().flatten().map(|user| offer_keys(&user)),
            Thing::Job(_) => None,
        };
        let related: BTreeSet<RowKey> = things.iter().filter_map(related).flatten().collect();
        let others: Vec<RowKey> = related.into_iter().filter(|key| found.item(key).is_none()).collect();
        found.add(self.get_many(others).await?);
        Ok(found)
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

/// The difference between what is derived from a thing now, and what was the last time.
struct Difference {
    thing: Thing,
    before: Option<Shadow>,
    after: Option<Shadow>,
    /// Keys of rows that are to go.
    removed: Vec<RowKey>,
    /// Keys of rows that are to come.
    added: Vec<RowKey>,
    /// What is to be added to counts, by their sort keys.
    counts: BTreeMap<String, i64>,
}

impl Difference {
    /// `None` if there is none, or it cannot be read, which is logged.
    fn of(found: &BatchResult, workspace: WorkspaceId, thing: Thing) -> Option<Self> {
        let Ok((before, after)) = shadows(found, workspace, thing) else {
            log_unreadable(&thing.key(workspace));
            return None;
        };
        if before == after {
            return None;
        }
        let entries =
            |shadow: &Option<Shadow>| shadow.as_ref().map(|s| s.entries(workspace, thing)).unwrap_or_default();
        let counted = |shadow: &Option<Shadow>| shadow.as_ref().map(|s| s.counts(thing.kind())).unwrap_or_default();
        let (old, new) = (entries(&before), entries(&after));
        let mut counts = counted(&after);
        add_all(&mut counts, counted(&before).into_iter().map(|(key, n)| (key, -n)));
        let removed = old.difference(&new).cloned().collect();
        let added = new.difference(&old).cloned().collect();
        Some(Self { thing, before, after, removed, added, counts })
    }

    /// The number of rows that it writes, besides the counts.
    fn rows(&self) -> usize {
        1 + self.removed.len() + self.added.len()
    }

    /// Adds all but the counts to a commit.
    fn add_to(&self, commit: Commit) -> Commit {
        let commit = match (&self.before, &self.after) {
            (None, Some(after)) => commit.put(after),
            (Some(before), Some(after)) => commit.edit(before, after),
            (Some(before), None) => commit.delete(before),
            (None, None) => commit,
        };
        let commit = self.removed.iter().fold(commit, Commit::remove);
        self.added.iter().fold(commit, |commit, key| commit.put_key(key))
    }
}

/// The shadow of a thing as it is, and as it is to be.
fn shadows(
    found: &BatchResult,
    workspace: WorkspaceId,
    thing: Thing,
) -> Result<(Option<Shadow>, Option<Shadow>), Error> {
    let key = thing.key(workspace);
    let before = found.row::<Shadow>(&thing.shadow_key(workspace))?;
    let derived = match thing {
        Thing::Device(_) => found.row(&key)?.map(|device| derived_of_device(&device, found)).transpose()?,
        Thing::User(_) => found.row(&key)?.map(|user| derived_of_user(&user, found)).transpose()?,
        Thing::Job(_) => found.row::<Job>(&key)?.as_ref().and_then(Derived::of_job),
    };
    let after = derived.map(|derived| Shadow::new(key.pk, &derived, before.as_ref()));
    Ok((before, after))
}

/// Adds numbers to those of the same keys; what is zero then goes.
fn add_all(counts: &mut BTreeMap<String, i64>, more: impl IntoIterator<Item = (String, i64)>) {
    for (key, n) in more {
        *counts.entry(key).or_default() += n;
    }
    counts.retain(|_, n| *n != 0);
}

/// Differences of a workspace that go into one transaction.
struct Batch {
    differences: Vec<Difference>,
    counts: BTreeMap<String, i64>,
}

impl Batch {
    fn of(difference: Difference) -> Self {
        Self { counts: difference.counts.clone(), differences: vec![difference] }
    }

    /// Adds a difference to the last of some batches if it has room, else as a new one.
    fn add(batches: &mut Vec<Self>, difference: Difference) {
        match batches.last_mut() {
            Some(last) if last.has_room_for(&difference) => {
                add_all(&mut last.counts, difference.counts.clone());
                last.differences.push(difference);
            }
            _ => batches.push(Self::of(difference)),
        }
    }

    fn has_room_for(&self, difference: &Difference) -> bool {
        let rows: usize = self.differences.iter().chain([difference]).map(Difference::rows).sum();
        let counts: BTreeSet<&String> = self.counts.keys().chain(difference.counts.keys()).collect();
        rows + counts.len() <= ITEM_LIMIT
    }

    fn commit(&self, workspace: WorkspaceId, id: EventId) -> Commit {
        let shard = self.differences.first().map_or(0, |first| shard_of(first.thing.id(), COUNT_SHARDS));
        let commit = self.differences.iter().fold(Commit::without_event(id), |commit, one| one.add_to(commit));
        let partition = counts_partition(workspace, shard);
        let key = |sk: &String| RowKey::new(partition.clone(), sk.clone());
        self.counts.iter().fold(commit, |commit, (sk, n)| commit.add(&key(sk), *n))
    }
}
