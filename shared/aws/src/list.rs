//! Pages of lists.

use std::collections::{BTreeMap, VecDeque};

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::error::{DomainError, Error};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::item::{Item, Read, RowKey, from_item, log_unreadable};
use crate::table::{Table, service_error};

/// The most rows that one page examines. With a narrow filter a page may be short or empty although the list
/// continues.
const SCAN_LIMIT: usize = 400;
/// The most rows of one query.
const STEP: usize = 100;
/// Rows read from each of several sources beyond its even share of a step, so that most steps query each source once.
const SHARE_MARGIN: usize = 2;
/// The most bytes of a sort key ("Service, account, and table quotas in Amazon DynamoDB").
pub(crate) const SORT_KEY_LIMIT: usize = 1024;

/// Where a list continues: the key of the last row that was examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub(crate) BTreeMap<String, String>);

impl Position {
    pub(crate) fn of(item: &Item, attributes: &[&str]) -> Self {
        let value = |name: &&str| Some(((*name).to_owned(), item.get(*name)?.as_s().ok()?.clone()));
        Self(attributes.iter().filter_map(value).collect())
    }

    /// True if it is a position in this source.
    pub(crate) fn is_in(&self, source: &Source) -> bool {
        self.0.get(source.partition.0) == Some(&source.partition.1) && self.0.contains_key(source.order)
    }

    /// Its sort value, if it is a position in one of these sources.
    fn value_in(&self, sources: &[Source]) -> Option<&str> {
        let value = self.0.get(sources.iter().find(|source| self.is_in(source))?.order)?;
        (1..=SORT_KEY_LIMIT).contains(&value.len()).then_some(value)
    }

    pub(crate) fn start_key(&self) -> Item {
        self.0.iter().map(|(name, value)| (name.clone(), AttributeValue::S(value.clone()))).collect()
    }

    /// The position as bytes, for a cursor.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The position as text, for a row.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }

    /// The position in a row.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    /// The position in a cursor.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<R> {
    /// The rows.
    pub items: Vec<R>,
    /// Where the list continues; `None` at the end.
    pub next: Option<Position>,
    /// Number of rows that were left out because they are unreadable; each is logged.
    pub unreadable: usize,
}

/// An ordered range of rows: a partition of an index or of the table itself.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The index; the table itself if not set.
    pub index: Option<&'static str>,
    /// Attribute and value of the partition key.
    pub partition: (&'static str, String),
    /// The sort attribute.
    pub order: &'static str,
    /// Bounds on the sort attribute.
    pub range: Range,
    /// True for the newest first.
    pub descending: bool,
}

/// Bounds on a sort attribute.
#[derive(Clone, Debug)]
pub(crate) enum Range {
    All,
    Prefix(String),
    Below(String),
    Between(String, String),
    AtLeast(String),
    AtMost(String),
}

/// The end of the range of texts with a prefix.
pub(crate) fn last_with(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

impl Range {
    /// The part of the range from a value on, in the order of reading; `None` if it is empty. It includes the value,
    /// and for `Below` in ascending order the bound, since DynamoDB has no range that includes one end only.
    fn rest_from(&self, value: &str, descending: bool) -> Option<Self> {
        let (least, most) = match self {
            Self::All => (None, None),
            Self::Prefix(prefix) => (Some(prefix.clone()), Some(last_with(prefix))),
            Self::Below(most) | Self::AtMost(most) => (None, Some(most.clone())),
            Self::Between(least, most) => (Some(least.clone()), Some(most.clone())),
            Self::AtLeast(least) => (Some(least.clone()), None),
        };
        let value = value.to_owned();
        let (least, most) = if descending {
            (least, Some(most.map_or(value.clone(), |most| most.min(value))))
        } else {
            (Some(least.map_or(value.clone(), |least| least.max(value))), most)
        };
        match (least, most) {
            (Some(least), Some(most)) => (least <= most).then_some(Self::Between(least, most)),
            (Some(least), None) => Some(Self::AtLeast(least)),
            (None, Some(most)) => Some(Self::AtMost(most)),
            (None, None) => Some(Self::All),
        }
    }
}

impl Source {
    /// A complete partition of an index, newest first.
    pub fn newest_first(index: &'static str, partition: (&'static str, String), order: &'static str) -> Self {
        Self { index: Some(index), partition, order, range: Range::All, descending: true }
    }

    /// The sort value of an item.
    fn value_of<'a>(&self, item: &'a Item) -> &'a str {
        item.get(self.order).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
    }

    /// True if an item with the first sort value is read before one with the second.
    fn is_before(&self, first: &str, second: &str) -> bool {
        if self.descending { first > second } else { first < second }
    }

    /// The position of an item.
    pub(crate) fn position_of(&self, item: &Item) -> Position {
        Position::of(item, &self.key_attributes())
    }

    fn key_attributes(&self) -> Vec<&'static str> {
        let mut names = vec!["pk", "sk", self.partition.0, self.order];
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Source {
    /// The rows of a partition of the table, newest first where sort keys are ordered by time.
    pub fn partition(partition: String) -> Self {
        Self { index: None, partition: ("pk", partition), order: "sk", range: Range::All, descending: true }
    }

    /// Those with a sort key prefix.
    pub fn in_partition(partition: String, prefix: &str) -> Self {
        Self { range: Range::Prefix(prefix.to_owned()), ..Self::partition(partition) }
    }
}

/// Reads an object of a list; an unreadable row is logged and skipped, so that it does not break the list.
pub(crate) fn readable<R: Read>(item: Item) -> Option<R> {
    let key = RowKey::of(&item);
    let row = from_item(item);
    if let (Err(_), Some(key)) = (&row, &key) {
        log_unreadable(key);
    }
    row.ok()
}

impl Table {
    /// A page of the rows of a partition of the table.
    pub(crate) async fn rows<R: Read>(
        &self,
        source: &Source,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<R>, Error> {
        let (items, next) = self.query(source, limit, start.as_ref()).await?;
        let examined = items.len();
        let items: Vec<R> = items.into_iter().filter_map(readable).collect();
        Ok(Page { unreadable: examined - items.len(), items, next })
    }

    /// One query of a source: raw items, and where it continues.
    pub(crate) async fn query(
        &self,
        source: &Source,
        limit: usize,
        start: Option<&Position>,
    ) -> Result<(Vec<Item>, Option<Position>), Error> {
        let (partition, value) = &source.partition;
        let mut query = self
            .client
            .query()
            .table_name(&self.names.main)
            .set_index_name(source.index.map(str::to_owned))
            .consistent_read(source.index.is_none())
            .scan_index_forward(!source.descending)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start.map(Position::start_key))
            .expression_attribute_names("#partition", *partition)
            .expression_attribute_values(":partition", AttributeValue::S(value.clone()));
        let (condition, values) = match &source.range {
            Range::All => ("#partition = :partition", vec![]),
            Range::Prefix(prefix) => ("#partition = :partition AND begins_with(#order, :a)", vec![(":a", prefix)]),
            Range::Below(most) => ("#partition = :partition AND #order < :a", vec![(":a", most)]),
            Range::AtMost(most) => ("#partition = :partition AND #order <= :a", vec![(":a", most)]),
            Range::AtLeast(least) => ("#partition = :partition AND #order >= :a", vec![(":a", least)]),
            Range::Between(least, most) => {
                ("#partition = :partition AND #order BETWEEN :a AND :b", vec![(":a", least), (":b", most)])
            }
        };
        if !values.is_empty() {
            query = query.expression_attribute_names("#order", source.order);
        }
        for (name, value) in values {
            query = query.expression_attribute_values(name, AttributeValue::S(value.clone()));
        }
        let output = query.key_condition_expression(condition).send().await.map_err(|e| {
            let invalid = start.is_some() && e.code() == Some("ValidationException");
            if invalid { DomainError::CursorInvalid.into() } else { service_error("listing rows", e) }
        })?;
        let next = output.last_evaluated_key.map(|key| source.position_of(&key));
        Ok((output.items.unwrap_or_default(), next))
    }

    /// A page of the rows that a source leads to and `accept` accepts. `to_row` gives the key of the row for an
    /// item of the source; `accept` must reject repeats if several items lead to one row.
    pub(crate) async fn page<R: Read>(
        &self,
        source: &Source,
        limit: usize,
        start: Option<Position>,
        to_row: impl Fn(&Item) -> Option<RowKey>,
        accept: impl Fn(&Item, &R) -> bool,
    ) -> Result<Page<R>, Error> {
        let feed = Feed { rest: Rest::From(start.clone()), ..Feed::of(source) };
        self.page_of(vec![feed], limit, start, to_row, accept).await
    }

    /// As [`Table::page`], of several sources that are read as one list. They have the same index, sort attribute,
    /// range and direction. Of items with the same sort value, one is in the list: a position is the sort value of the
    /// last item, from which every source continues, also one that was added since. Reads of each source little more
    /// than its share of the page.
    pub(crate) async fn merged_page<R: Read>(
        &self,
        sources: &[Source],
        limit: usize,
        start: Option<Position>,
        to_row: impl Fn(&Item) -> Option<RowKey>,
        accept: impl Fn(&Item, &R) -> bool,
    ) -> Result<Page<R>, Error> {
        let feeds = match &start {
            None => sources.iter().map(Feed::of).collect(),
            Some(start) => {
                let value = start.value_in(sources).ok_or(DomainError::CursorInvalid)?;
                sources.iter().map(|source| Feed::after(source, value)).collect()
            }
        };
        self.page_of(feeds, limit, start, to_row, accept).await
    }

    /// The first items of several sources that are read as one list, and whether more follow.
    pub(crate) async fn merged_items(&self, sources: &[Source], count: usize) -> Result<(Vec<Item>, bool), Error> {
        let mut feeds: Vec<Feed> = sources.iter().map(Feed::of).collect();
        let items = self.take(&mut feeds, count).await?.into_iter().map(|(_, item)| item).collect();
        Ok((items, !feeds.iter().all(Feed::is_at_end)))
    }

    async fn page_of<R: Read>(
        &self,
        mut feeds: Vec<Feed>,
        limit: usize,
        start: Option<Position>,
        to_row: impl Fn(&Item) -> Option<RowKey>,
        accept: impl Fn(&Item, &R) -> bool,
    ) -> Result<Page<R>, Error> {
        // An index has the keys only; what is read from the table itself is complete.
        let in_table = feeds.iter().all(|feed| feed.source.index.is_none());
        let mut items = Vec::new();
        let mut position = start;
        let (mut examined, mut unreadable) = (0, 0);
        while examined < SCAN_LIMIT {
            let candidates = self.take(&mut feeds, STEP.min(limit + 1)).await?;
            examined += candidates.len();
            let keys: Vec<Option<RowKey>> = candidates.iter().map(|(_, candidate)| to_row(candidate)).collect();
            let is_own = |((_, candidate), key): &(&(Position, Item), &Option<RowKey>)| {
                in_table && key.is_some() && RowKey::of(candidate) == **key
            };
            let (own, other): (Vec<_>, Vec<_>) = candidates.iter().zip(&keys).partition(is_own);
            let mut found = self.get_many(other.into_iter().filter_map(|(_, key)| key.clone())).await?;
            found.extend(own.into_iter().map(|((_, row), _)| row.clone()));
            for ((at, candidate), key) in candidates.iter().zip(keys) {
                let row = key.as_ref().and_then(|key| found.readable::<R>(key));
                unreadable += usize::from(row.is_none() && key.is_some_and(|key| found.item(&key).is_some()));
                if let Some(row) = row.filter(|row| accept(candidate, row)) {
                    if items.len() == limit {
                        // There is one more row, so the page ends before it.
                        return Ok(Page { items, next: position, unreadable });
                    }
                    items.push(row);
                }
                position = Some(at.clone());
            }
            if feeds.iter().all(Feed::is_at_end) {
                return Ok(Page { items, next: None, unreadable });
            }
            if items.len() == limit {
                break;
            }
        }
        Ok(Page { items, next: position, unreadable })
    }

    /// The next items of all feeds in order, each with its position: `count` unless the feeds end. Of several with the
    /// same sort value, the others are left out.
    async fn take(&self, feeds: &mut [Feed], count: usize) -> Result<Vec<(Position, Item)>, Error> {
        let share = match &*feeds {
            // What continues after an item begins with it.
            [only] => count + usize::from(only.after.is_some()),
            feeds => count.div_ceil(feeds.len().max(1)) + SHARE_MARGIN,
        };
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            try_join_all(feeds.iter_mut().map(|feed| self.refill(feed, share))).await?;
            let next = feeds.iter_mut().filter(|feed| !feed.ready.is_empty());
            let next = next.reduce(|first, other| if other.is_before(first) { other } else { first });
            let Some((value, item)) = next.and_then(|feed| Some((feed.next_value()?.to_owned(), feed.pop()?))) else {
                break;
            };
            if feeds.len() > 1 {
                for feed in feeds.iter_mut().filter(|feed| feed.next_value() == Some(&value)) {
                    drop(feed.pop());
                }
            }
            taken.push(item);
        }
        Ok(taken)
    }

    /// Reads on in a source that has no item ready.
    async fn refill(&self, feed: &mut Feed, share: usize) -> Result<(), Error> {
        while feed.ready.is_empty()
            && let Rest::From(position) = &feed.rest
        {
            let (items, next) = self.query(&feed.source, share, position.as_ref()).await?;
            feed.ready = items.into_iter().filter(|item| feed.is_wanted(item)).collect();
            feed.rest = next.map_or(Rest::Nothing, |next| Rest::From(Some(next)));
        }
        Ok(())
    }
}

/// A source that is being read.
struct Feed {
    source: Source,
    /// The last sort value of the page before, if the source was narrowed to what follows it.
    after: Option<String>,
    /// The bound of a source that is [`Range::Below`] it.
    below: Option<String>,
    /// Items that were read and not yet taken.
    ready: VecDeque<Item>,
    rest: Rest,
}

/// The part of a source that was not read yet.
enum Rest {
    /// What follows a position; everything if there is none.
    From(Option<Position>),
    Nothing,
}

impl Feed {
    fn of(source: &Source) -> Self {
        let below = if let Range::Below(most) = &source.range { Some(most.clone()) } else { None };
        Self { source: source.clone(), after: None, below, ready: VecDeque::new(), rest: Rest::From(None) }
    }

    /// What follows a sort value in a source.
    fn after(source: &Source, value: &str) -> Self {
        let feed = Self { after: Some(value.to_owned()), ..Self::of(source) };
        match source.range.rest_from(value, source.descending) {
            Some(range) => Self { source: Source { range, ..feed.source }, ..feed },
            None => Self { rest: Rest::Nothing, ..feed },
        }
    }

    fn is_wanted(&self, item: &Item) -> bool {
        let value = self.source.value_of(item);
        self.after.as_deref().is_none_or(|after| self.source.is_before(after, value))
            && self.below.as_deref().is_none_or(|most| value < most)
    }

    /// True if its next item comes before that of another.
    fn is_before(&self, other: &Self) -> bool {
        match (self.next_value(), other.next_value()) {
            (Some(own), Some(theirs)) => self.source.is_before(own, theirs),
            (own, _) => own.is_some(),
        }
    }

    /// The sort value of its next item.
    fn next_value(&self) -> Option<&str> {
        self.ready.front().map(|item| self.source.value_of(item))
    }

    fn pop(&mut self) -> Option<(Position, Item)> {
        let item = self.ready.pop_front()?;
        Some((self.source.position_of(&item), item))
    }

    fn is_at_end(&self) -> bool {
        self.ready.is_empty() && matches!(self.rest, Rest::Nothing)
    }
}
