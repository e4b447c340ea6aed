//! How lists of devices and users are read: by which rows, and in what order.
//!
//! A list with a filter is read by what leads to the fewest rows: an index, the rows of a facet's value, or a range of an
//! order. Each row is checked against the whole filter before it is shown.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::listing::SORT_LIMIT;
use domain::models::workspace::Workspace;
use domain::rules::derived::{Facet, Order, ThingKind};
use domain::{EventId, Time, WorkspaceId};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::commit::Commit;
use crate::item::{Item, Read, Row, RowKey, list_partition};
use crate::list::{Page, Position, Range, Source};
use crate::store::counts::{CountedFilter, sum_of};
use crate::store::derived::{ORDER_END, SHARDS, facet_partition, order_partition};
use crate::store::last_logins::{self, LOGIN_DAY, SEEN, is_entry_of, last_logins_partition};
use crate::store::workspaces::workspace_key;
use crate::table::Table;

/// The rows by which a list is read: groups of sources. The groups are read one after the other, the sources of a group
/// as one list.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    kind: ThingKind,
    workspace: WorkspaceId,
    groups: Vec<Vec<Source>>,
}

/// The attribute of a position between two groups.
const GROUP: &str = "group";

impl Walk {
    /// The rows of an index.
    pub fn of(kind: ThingKind, workspace: WorkspaceId, source: Source) -> Self {
        Self { kind, workspace, groups: vec![vec![source]] }
    }

    /// All things, by the time of their creation.
    pub fn created(kind: ThingKind, workspace: WorkspaceId, within: &Times, descending: bool) -> Self {
        let list = ("list", list_partition(kind.as_str(), workspace));
        let source = Source::newest_first("created", list, "created_at");
        Self::of(kind, workspace, Source { range: within.range(Time::to_string), descending, ..source })
    }

    /// The things with a value of a facet, newest first.
    pub fn with(kind: ThingKind, workspace: WorkspaceId, facet: Facet, value: &str) -> Self {
        let partition = |shard| facet_partition(workspace, kind, facet.as_str(), value, shard);
        Self::derived(kind, workspace, partition, &Range::All, true)
    }

    /// The things in a range of an order.
    pub fn ordered(kind: ThingKind, workspace: WorkspaceId, order: Order, range: &Range, descending: bool) -> Self {
        let partition = |shard| order_partition(workspace, kind, order.as_str(), shard);
        Self::derived(kind, workspace, partition, range, descending)
    }

    /// A range of derived rows, by the partition of each shard.
    fn derived(
        kind: ThingKind,
        workspace: WorkspaceId,
        partition: impl Fn(u8) -> String,
        range: &Range,
        descending: bool,
    ) -> Self {
        let source = |shard| Source { range: range.clone(), descending, ..Source::partition(partition(shard)) };
        Self { kind, workspace, groups: vec![(0..SHARDS).map(source).collect()] }
    }

    /// All things that have logged in within some days, by the day of their last login. It may have some of the day
    /// before and of the day after.
    pub fn last_logins(kind: ThingKind, workspace: WorkspaceId, within: &Times, descending: bool) -> Self {
        let day = Duration::days(1);
        let days = Times { since: within.since.map(|at| at.minus(day)), before: within.before.map(|at| at.plus(day)) };
        let source = |partition| Source {
            range: days.range(|at| at.day()),
            descending,
            ..Source::newest_first("seen", ("list", partition), LOGIN_DAY)
        };
        let shards = 0..last_logins::SHARDS;
        let partition = |shard| last_logins_partition(kind.as_str(), workspace, shard);
        // First the rows that still have the index attribute of the release before: one that loses it between two pages
        // is still to come.
        let former = vec![source(list_partition(kind.as_str(), workspace))];
        Self { kind, workspace, groups: vec![former, shards.map(|shard| source(partition(shard))).collect()] }
    }

    /// The same with others after it, or before it if it is ascending.
    fn beside(mut self, other: Self, descending: bool) -> Self {
        let at = if descending { self.groups.len() } else { 0 };
        self.groups.splice(at..at, other.groups);
        self
    }

    /// All things by the day of their last login, with those that never logged in as the earliest.
    pub fn all_last_logins(kind: ThingKind, workspace: WorkspaceId, descending: bool) -> Self {
        let never = Self::ordered(kind, workspace, Order::NeverSeen, &Range::All, descending);
        Self::last_logins(kind, workspace, &Times::default(), descending).beside(never, descending)
    }

    /// The group in which a list continues, with the position in it.
    fn group_of(&self, position: &Position) -> Option<usize> {
        if let Some(group) = position.0.get(GROUP) {
            return group.parse().ok().filter(|group| *group < self.groups.len());
        }
        self.groups.iter().position(|sources| sources.iter().any(|source| position.is_in(source)))
    }

    /// The key of the thing that an entry leads to.
    fn main_row(&self, entry: &Item) -> Option<RowKey> {
        let RowKey { pk, sk } = RowKey::of(entry)?;
        let derived = ["FACET#", "ORDER#"].iter().any(|kind| pk.starts_with(kind));
        let id = if derived { sk.rsplit(['#', ORDER_END]).next()? } else { pk.rsplit('#').next()? };
        Some(RowKey::new(format!("{}#{}#{id}", self.kind, self.workspace), self.kind.as_str()))
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Its beginning, if it has one.
    pub since: Option<Time>,
    /// Its end, which is not part of it, if it has one.
    pub before: Option<Time>,
}

impl Times {
    /// All before a time.
    #[must_use]
    pub fn before(at: Time) -> Self {
        Self { since: None, before: Some(at) }
    }

    /// True if it includes everything.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// True if a time is in it.
    pub(crate) fn include(&self, at: Time) -> bool {
        self.since.is_none_or(|since| at >= since) && self.before.is_none_or(|before| at < before)
    }

    /// The same for a time that may be missing, which is only in the span that includes everything.
    pub(crate) fn include_some(&self, at: Option<Time>) -> bool {
        self.is_all() || at.is_some_and(|at| self.include(at))
    }

    fn range(&self, value: impl Fn(&Time) -> String) -> Range {
        match (self.since, self.before) {
            (None, None) => Range::All,
            (Some(since), None) => Range::AtLeast(value(&since)),
            (None, Some(before)) => Range::Below(value(&before)),
            (Some(since), Some(before)) => Range::Between(value(&since), value(&before)),
        }
    }
}

/// A way to read a list with a filter: what it leads to includes all that match.
#[derive(Debug)]
pub(crate) struct Way {
    pub walk: Walk,
    /// The facet whose value it has, which is counted.
    pub facet: Option<(Facet, String)>,
    /// True if it needs derived rows.
    pub derived: bool,
}

/// The ways to read a list with a filter.
#[derive(Debug)]
pub(crate) struct Ways {
    /// The one that is taken in any case: it leads to few rows.
    pub narrow: Option<Walk>,
    /// Others, the first ones preferred as long as nothing is counted.
    pub ways: Vec<Way>,
    /// The one that leads to everything.
    pub all: Walk,
}

impl Ways {
    fn into_walks(self) -> impl Iterator<Item = Walk> {
        self.narrow.into_iter().chain(self.ways.into_iter().map(|way| way.walk)).chain([self.all])
    }
}

/// The number of things with a facet's value up to which they are preferred to a range, which is not counted.
const FEW: u64 = 2_000;

fn all_derived_key() -> RowKey {
    RowKey::new("DERIVED", "ALL")
}

/// The row that says that everything is derived from the things of all workspaces.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AllDerived {
    since: Time,
}

impl Read for AllDerived {}

impl Row for AllDerived {
    fn key(&self) -> RowKey {
        all_derived_key()
    }
    fn version(&self) -> u64 {
        1
    }
}

/// What a list of a workspace rests on. A request reads it at most once.
#[derive(Debug, Default)]
pub struct ListBasis {
    /// The workspace, if it was read and exists.
    pub workspace: Option<Workspace>,
    /// True once lists may leave out what has no derived rows: since the workspace was made by a release that derives
    /// them, or since they were derived from everything ([`Table::note_all_derived`]). Not set if it was not read.
    pub derived: Option<bool>,
    /// The number of things that match the filter, if it is counted.
    pub total: Option<u64>,
}

impl Table {
    /// What a list of a workspace rests on, by one read, with the number of things of a counted filter.
    pub(crate) async fn list_basis(
        &self,
        workspace: WorkspaceId,
        kind: ThingKind,
        counted: Option<CountedFilter>,
    ) -> Result<ListBasis, Error> {
        let (own, all) = (workspace_key(workspace), all_derived_key());
        let counts = counted.map(|counted| counted.keys(workspace, kind));
        let found = self.get_many([&own, &all].into_iter().chain(counts.iter().flatten()).cloned()).await?;
        let own = found.row::<Workspace>(&own)?;
        let derived = found.item(&all).is_some() || own.as_ref().is_some_and(|own| own.derived_since.is_some());
        let total = counts.filter(|_| derived).map(|counts| sum_of(&found, &counts));
        Ok(ListBasis { workspace: own, derived: Some(derived), total })
    }

    /// The way to read a page of a list. `derived` is true if it may leave out what has no derived rows; it is read if
    /// it is not known and matters.
    pub(crate) async fn way(
        &self,
        workspace: WorkspaceId,
        ways: Ways,
        derived: Option<bool>,
        start: Option<&Position>,
    ) -> Result<Walk, Error> {
        if let Some(start) = start {
            // Whatever counts say by now.
            return ways
                .into_walks()
                .find(|walk| walk.group_of(start).is_some())
                .ok_or(DomainError::CursorInvalid.into());
        }
        let Ways { narrow, mut ways, all } = ways;
        if let Some(narrow) = narrow {
            return Ok(narrow);
        }
        let is_derived = async || match derived {
            None => Ok::<_, Error>(self.list_basis(workspace, all.kind, None).await?.derived == Some(true)),
            Some(derived) => Ok(derived),
        };
        let derived = ways.iter().any(|way| way.derived) && is_derived().await?;
        ways.retain(|way| derived || !way.derived);
        let way = if derived && ways.len() > 1 {
            self.rarest(workspace, all.kind, ways).await?
        } else {
            ways.into_iter().next()
        };
        Ok(way.map_or(all, |way| way.walk))
    }

    /// The way with the fewest things, or a range if all facets have many.
    async fn rarest(&self, workspace: WorkspaceId, kind: ThingKind, ways: Vec<Way>) -> Result<Option<Way>, Error> {
        let (of_facets, ranges): (Vec<Way>, Vec<Way>) = ways.into_iter().partition(|way| way.facet.is_some());
        let counted = of_facets.iter().filter_map(|way| way.facet.as_ref()).map(CountedFilter::of_value);
        let counts = self.count_each_of(workspace, kind, counted).await?;
        let rarest = counts.into_iter().zip(of_facets).min_by_key(|(count, _)| *count);
        let range = ranges.into_iter().next();
        Ok(rarest.filter(|(count, _)| range.is_none() || *count <= FEW).map(|(_, way)| way).or(range))
    }

    /// A page of a list.
    pub(crate) async fn walked<R: Row>(
        &self,
        walk: &Walk,
        limit: usize,
        start: Option<Position>,
        accept: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        let first = match &start {
            None => 0,
            Some(start) => walk.group_of(start).ok_or(DomainError::CursorInvalid)?,
        };
        let mut start = start.filter(|start| !start.0.contains_key(GROUP));
        let mut page = Page { items: Vec::new(), next: None, unreadable: 0 };
        for (n, group) in walk.groups.iter().enumerate().skip(first) {
            if page.items.len() == limit {
                page.next = Some(Position(BTreeMap::from([(GROUP.to_owned(), n.to_string())])));
                break;
            }
            let more = self.walked_group(walk, group, limit - page.items.len(), start.take(), &accept).await?;
            page.items.extend(more.items);
            page.unreadable += more.unreadable;
            page.next = more.next;
            if page.next.is_some() {
                break;
            }
        }
        Ok(page)
    }

    async fn walked_group<R: Row>(
        &self,
        walk: &Walk,
        group: &[Source],
        limit: usize,
        start: Option<Position>,
        accept: impl Fn(&R) -> bool,
    ) -> Result<Page<R>, Error> {
        let to_row = |entry: &Item| walk.main_row(entry);
        let is_wanted = |entry: &Item, row: &R| {
            let is_current = RowKey::of(entry).is_none_or(|key| key.sk != SEEN) || is_entry_of(entry, row);
            is_current && accept(row)
        };
        match group {
            [source] => self.page(source, limit, start, to_row, is_wanted).await,
            sources => self.merged_page(sources, limit, start, to_row, is_wanted).await,
        }
    }

    /// The first value of an order, if anything has one.
    pub async fn first_of_order(
        &self,
        workspace: WorkspaceId,
        kind: ThingKind,
        order: Order,
    ) -> Result<Option<String>, Error> {
        let walk = Walk::ordered(kind, workspace, order, &Range::All, false);
        let firsts = walk.groups.iter().flatten().map(|source| self.query(source, 1, None));
        let firsts = try_join_all(firsts).await?;
        let value = |item: &Item| Some(RowKey::of(item)?.sk.split(ORDER_END).next()?.to_owned());
        Ok(firsts.iter().flat_map(|(items, _)| items).filter_map(value).min())
    }

    /// Notes that everything was derived, so that lists rely on it from now on. `id` identifies the commit.
    pub async fn note_all_derived(&self, now: Time, id: EventId) -> Result<(), Error> {
        self.commit(Commit::without_event(id).replace(&AllDerived { since: now })).await.map(drop)
    }
}

/// Pages that are read to sort what a filter leaves: those with [`SORT_LIMIT`] things, and the end.
const SORTED_PAGES: usize = SORT_LIMIT / SORTED_PAGE + 1;

/// Things per such page.
const SORTED_PAGE: usize = 100;

/// A thing with its place in an order.
pub(crate) type Placed<R> = (String, Uuid, R);

/// All things that a filter leaves, read page by page.
///
/// # Errors
/// [`DomainError::SortNotAvailable`] if they are too many, or if too many rows lead to them.
pub(crate) async fn all_matching<R, Fut>(page: impl Fn(usize, Option<Position>) -> Fut) -> Result<Vec<R>, Error>
where
    Fut: Future<Output = Result<Page<R>, Error>>,
{
    let (mut all, mut start) = (Vec::new(), None);
    for _ in 0..SORTED_PAGES {
        let page = page(SORTED_PAGE, start).await?;
        all.extend(page.items);
        start = page.next;
        if start.is_none() && all.len() <= SORT_LIMIT {
            return Ok(all);
        }
    }
    Err(DomainError::SortNotAvailable.into())
}

/// A page of things that are sorted here.
pub(crate) fn sorted_page<R>(
    mut all: Vec<Placed<R>>,
    descending: bool,
    limit: usize,
    start: Option<&Position>,
) -> Result<Page<R>, Error> {
    let start = start.map(|start| sorted_position(start).ok_or(DomainError::CursorInvalid)).transpose()?;
    all.sort_by(|(a, id, _), (b, other, _)| (a, id).cmp(&(b, other)));
    if descending {
        all.reverse();
    }
    let is_after = |(value, id, _): &Placed<R>| match &start {
        None => true,
        Some((at, last)) if descending => (value, id) < (at, last),
        Some((at, last)) => (value, id) > (at, last),
    };
    all.retain(is_after);
    let next = all.get(limit.wrapping_sub(1)).filter(|_| all.len() > limit).map(|(value, id, _)| {
        let fields = [("value", value.clone()), ("id", id.to_string())];
        Position(BTreeMap::from(fields.map(|(name, value)| (name.to_owned(), value))))
    });
    let items = all.into_iter().take(limit).map(|(.., row)| row).collect();
    Ok(Page { items, next, unreadable: 0 })
}

fn sorted_position(start: &Position) -> Option<(String, Uuid)> {
    Some((start.0.get("value")?.clone(), start.0.get("id")?.parse().ok()?))
}
