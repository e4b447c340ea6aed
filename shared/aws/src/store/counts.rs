//! How many things have each value of a facet, how much there is of each amount, and how many events a day had.
//!
//! The counts of a workspace are spread over shards, so that no row gathers its changes: the sum over all shards counts,
//! and one alone may be negative.

use std::collections::BTreeMap;

use domain::error::Error;
use domain::rules::derived::{Amount, Facet, ThingKind};
use domain::{EventId, WorkspaceId};
use futures::future::try_join_all;

use crate::commit::{COUNT, COUNTED, Commit};
use crate::item::{Item, RowKey};
use crate::list::{Range, Source, last_with};
use crate::retry::retry_on_conflict;
use crate::store::derived::shard_of;
use crate::table::{BatchResult, Table};

/// Number of partitions of a workspace's counts.
pub const COUNT_SHARDS: u8 = 16;

/// A partition of a workspace's counts.
#[must_use]
pub fn counts_partition(workspace: WorkspaceId, shard: u8) -> String {
    format!("COUNTS#{workspace}#{shard}")
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    /// The kind of the things.
    pub kind: ThingKind,
    /// The name of the facet or of the amount.
    pub name: &'a str,
    /// The facet's value.
    pub value: &'a str,
    /// True for deleted things.
    pub deleted: bool,
}

/// What counts say of things that are not deleted, and of those that are.
const KEPT: &str = "kept";
const DELETED: &str = "deleted";

impl Counted<'_> {
    /// The sort key of its count in each shard.
    pub fn sort_key(&self) -> String {
        let Self { kind, name, value, deleted } = self;
        let state = if *deleted { DELETED } else { KEPT };
        format!("{kind}#{name}#{state}#{value}")
    }
}

/// How many things have a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that are not deleted.
    pub kept: u64,
    /// Those that are.
    pub deleted: u64,
}

impl Count {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.kept + self.deleted
    }

    fn add(&mut self, deleted: bool, number: u64) {
        *if deleted { &mut self.deleted } else { &mut self.kept } += number;
    }
}

/// What counts the things that match a filter.
#[derive(Debug)]
pub(crate) struct CountedFilter {
    /// A value of a facet; all things if not set.
    value: Option<(Facet, String)>,
    /// True for deleted things only, false for the others only.
    deleted: Option<bool>,
}

impl CountedFilter {
    /// The counts of a filter by these values: there are some if there is at most one value.
    pub fn of(mut values: Vec<(Facet, String)>, deleted: Option<bool>) -> Option<Self> {
        (values.len() <= 1).then(|| Self { value: values.pop(), deleted })
    }

    /// The counts of all things with a value of a facet.
    pub fn of_value((facet, value): &(Facet, String)) -> Self {
        Self { value: Some((*facet, value.clone())), deleted: None }
    }

    /// The keys of its counts, whose sum is the number of things.
    pub fn keys(&self, workspace: WorkspaceId, kind: ThingKind) -> Vec<RowKey> {
        let all = (Amount::Things.as_str(), "");
        let (name, value) = self.value.as_ref().map_or(all, |(facet, value)| (facet.as_str(), value.as_str()));
        let states = [false, true].into_iter().filter(|deleted| self.deleted.is_none_or(|wanted| wanted == *deleted));
        let of_state = |deleted| {
            let sk = Counted { kind, name, value, deleted }.sort_key();
            (0..COUNT_SHARDS).map(move |shard| RowKey::new(counts_partition(workspace, shard), sk.clone()))
        };
        states.flat_map(of_state).collect()
    }
}

/// A workspace's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By kind of thing, facet or amount, and value; an amount has the value "".
    things: BTreeMap<(String, String, String), Count>,
    /// Events by day.
    pub events: BTreeMap<String, u64>,
}

impl Counts {
    /// The values of a facet that things have.
    pub fn values(&self, kind: ThingKind, facet: Facet) -> impl Iterator<Item = (&str, Count)> {
        let of_facet = move |(of, name, _): &(String, String, String)| of == kind.as_str() && name == facet.as_str();
        let counts = self.things.iter().filter(move |(key, _)| of_facet(key));
        counts.map(|((.., value), count)| (value.as_str(), *count)).filter(|(_, count)| count.total() > 0)
    }

    /// How many things have a value of a facet.
    #[must_use]
    pub fn of(&self, kind: ThingKind, facet: Facet, value: &str) -> Count {
        self.named(kind, facet.as_str(), value)
    }

    /// How much there is of an amount, of deleted things too.
    #[must_use]
    pub fn amount(&self, kind: ThingKind, amount: Amount) -> u64 {
        self.named(kind, amount.as_str(), "").total()
    }

    fn named(&self, kind: ThingKind, name: &str, value: &str) -> Count {
        let key = (kind.as_str().to_owned(), name.to_owned(), value.to_owned());
        self.things.get(&key).copied().unwrap_or_default()
    }

    fn add(&mut self, sk: &str, number: u64) {
        if let Some(day) = sk.strip_prefix(EVENTS) {
            *self.events.entry(day.to_owned()).or_default() += number;
            return;
        }
        let mut parts = sk.splitn(4, '#').map(str::to_owned);
        if let (Some(kind), Some(name), Some(state), Some(value)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            self.things.entry((kind, name, value)).or_default().add(state == DELETED, number);
        }
    }
}

impl Table {
    /// The number of things that each of these counts, in their order.
    pub(crate) async fn count_each_of(
        &self,
        workspace: WorkspaceId,
        kind: ThingKind,
        counted: impl Iterator<Item = CountedFilter>,
    ) -> Result<Vec<u64>, Error> {
        let keys: Vec<Vec<RowKey>> = counted.map(|counted| counted.keys(workspace, kind)).collect();
        let found = self.get_many(keys.iter().flatten().cloned()).await?;
        Ok(keys.iter().map(|keys| sum_of(&found, keys)).collect())
    }

    /// The counts of a workspace, but for those of pairs of facets: of its things, and of the events since a day.
    pub async fn counts(&self, workspace: WorkspaceId, since: &str) -> Result<Counts, Error> {
        let of_devices = Range::Between(format!("{}#", ThingKind::Device), format!("{}#{PAIRS}", ThingKind::Device));
        let others = Range::Between(format!("{EVENTS}{since}"), last_with(ThingKind::User.as_str()));
        let ranges = (0..COUNT_SHARDS).flat_map(|shard| [(shard, &of_devices), (shard, &others)]);
        let shards = try_join_all(ranges.map(|(shard, range)| self.counts_in(workspace, shard, range))).await?;
        let mut sums = BTreeMap::<String, i64>::new();
        for row in shards.into_iter().flatten() {
            if let Some(key) = RowKey::of(&row) {
                *sums.entry(key.sk).or_default() += number_of(&row);
            }
        }
        let mut counts = Counts::default();
        sums.iter().for_each(|(sk, sum)| counts.add(sk, u64::try_from(*sum).unwrap_or(0)));
        Ok(counts)
    }

    async fn counts_in(&self, workspace: WorkspaceId, shard: u8, range: &Range) -> Result<Vec<Item>, Error> {
        let source = Source { range: range.clone(), ..Source::partition(counts_partition(workspace, shard)) };
        let (mut rows, mut start) = (Vec::new(), None);
        loop {
            let (items, next) = self.query(&source, COUNTS_AT_ONCE, start.as_ref()).await?;
            rows.extend(items);
            start = next;
            if start.is_none() {
                return Ok(rows);
            }
        }
    }
}

/// How the names of pairs of facets begin, which follow the others.
const PAIRS: &str = "status_";

/// Rows per query of counts.
const COUNTS_AT_ONCE: usize = 1_000;

/// The sum of counts that were read.
pub(crate) fn sum_of(found: &BatchResult, keys: &[RowKey]) -> u64 {
    let sum: i64 = keys.iter().filter_map(|key| found.item(key)).map(number_of).sum();
    u64::try_from(sum).unwrap_or(0)
}

/// The number of a row of counts.
fn number_of(row: &Item) -> i64 {
    row.get(COUNT).and_then(|number| number.as_n().ok()?.parse().ok()).unwrap_or(0)
}

/// The most events that are counted in one transaction.
const EVENTS_AT_ONCE: usize = 50;

/// The key of the count of a day's events.
#[must_use]
pub fn events_count_key(workspace: WorkspaceId, shard: u8, day: &str) -> RowKey {
    RowKey::new(counts_partition(workspace, shard), format!("{EVENTS}{day}"))
}

/// Prefix of the sort keys of counts of events.
const EVENTS: &str = "EVENTS#";

/// The row of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its key.
    pub key: RowKey,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub event_id: EventId,
    /// Its day.
    pub day: String,
}

impl Table {
    /// Adds events to the counts of their days, each once.
    pub async fn count_events(&self, events: &[EventRow], new_id: impl Fn() -> EventId) -> Result<(), Error> {
        let mut by_day = BTreeMap::<(WorkspaceId, &str), Vec<&EventRow>>::new();
        for event in events {
            by_day.entry((event.workspace_id, &event.day)).or_default().push(event);
        }
        for events in by_day.values().flat_map(|events| events.chunks(EVENTS_AT_ONCE)) {
            match self.commit(counted(events, new_id())).await {
                // Some may have been counted before.
                Err(Error::Conflict) => retry_on_conflict(self, || self.count_uncounted(events, new_id())).await?,
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    async fn count_uncounted(&self, events: &[&EventRow], id: EventId) -> Result<(), Error> {
        let found = self.get_many(events.iter().map(|event| event.key.clone())).await?;
        let is_uncounted = |event: &&EventRow| found.item(&event.key).is_some_and(|row| !row.contains_key(COUNTED));
        let uncounted: Vec<&EventRow> = events.iter().copied().filter(is_uncounted).collect();
        if uncounted.is_empty() {
            return Ok(());
        }
        self.commit(counted(&uncounted, id)).await.map(drop)
    }
}

/// The commit that counts events of one workspace and day.
fn counted(events: &[&EventRow], id: EventId) -> Commit {
    let commit = events.iter().fold(Commit::without_event(id), |commit, event| commit.mark_counted(&event.key));
    let number = i64::try_from(events.len()).unwrap_or(0);
    events.first().into_iter().fold(commit, |commit, first| {
        let shard = shard_of(first.event_id.0, COUNT_SHARDS);
        commit.add(&events_count_key(first.workspace_id, shard, &first.day), number)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    fn value(facet: Facet, value: &str) -> (Facet, String) {
        (facet, value.to_owned())
    }

    #[test]
    fn the_counts_of_a_filter_are_in_all_shards() {
        let workspace = WorkspaceId(Uuid::from_u128(1));
        let all: BTreeSet<String> = (0..16).map(|shard| counts_partition(workspace, shard)).collect();
        for (values, deleted, states) in [
            (Vec::new(), None, 2),
            (Vec::new(), Some(false), 1),
            (vec![value(Facet::Platform, "ios")], None, 2),
            (vec![value(Facet::Platform, "ios")], Some(true), 1),
        ] {
            let keys = CountedFilter::of(values, deleted).unwrap().keys(workspace, ThingKind::Device);
            assert_eq!(keys.len(), 16 * states);
            assert_eq!(keys.into_iter().map(|key| key.pk).collect::<BTreeSet<_>>(), all);
        }
    }

    #[test]
    fn a_filter_by_two_values_is_not_counted() {
        let two = vec![value(Facet::Platform, "ios"), value(Facet::Blocked, "true")];
        assert!(CountedFilter::of(two, None).is_none());
    }

    #[test]
    fn a_sum_is_of_all_shards_though_one_alone_is_negative() {
        let key = |shard| RowKey::new(counts_partition(WorkspaceId(Uuid::from_u128(1)), shard), "DEVICE#things#kept#");
        let rows = [(0, -2), (1, 5)].map(|(shard, n): (u8, i64)| {
            let mut row = key(shard).attributes();
            row.insert(COUNT.to_owned(), aws_sdk_dynamodb::types::AttributeValue::N(n.to_string()));
            row
        });
        let mut found = BatchResult::default();
        found.extend(rows.into_iter());
        assert_eq!(sum_of(&found, &[key(0), key(1), key(2)]), 3);
    }
}
