//! Pages of lists.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::error::{DomainError, Error};
use serde::{Deserialize, Serialize};

use crate::item::{Item, Read, RowKey, from_item, log_unreadable};
use crate::table::{Table, service_error};

/// The most rows that one page examines. With a narrow filter a page may be short or empty although the list
/// continues.
const SCAN_LIMIT: usize = 400;
/// The most rows of one query.
const STEP: usize = 100;

/// Where a list continues: the key of the last row that was examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub(crate) BTreeMap<String, String>);

impl Position {
    pub(crate) fn of(item: &Item, attributes: &[&str]) -> Self {
        let value = |name: &&str| Some(((*name).to_owned(), item.get(*name)?.as_s().ok()?.clone()));
        Self(attributes.iter().filter_map(value).collect())
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
}

impl Source {
    /// A complete partition of an index, newest first.
    pub fn newest_first(index: &'static str, partition: (&'static str, String), order: &'static str) -> Self {
        Self { index: Some(index), partition, order, range: Range::All, descending: true }
    }

    fn key_attributes(&self) -> Vec<&'static str> {
        let mut names = vec!["pk", "sk", self.partition.0, self.order];
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Source {
    /// The rows of a partition of the table with a sort key prefix, newest first where sort keys are ordered by time.
    pub fn in_partition(partition: String, prefix: &str) -> Self {
        let range = Range::Prefix(prefix.to_owned());
        Self { index: None, partition: ("pk", partition), order: "sk", range, descending: true }
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
        let next = output.last_evaluated_key.map(|key| Position::of(&key, &source.key_attributes()));
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
        let mut items = Vec::new();
        let mut position = start;
        let (mut examined, mut unreadable) = (0, 0);
        while examined < SCAN_LIMIT {
            let (candidates, next) = self.query(source, STEP.min(limit + 1), position.as_ref()).await?;
            examined += candidates.len();
            let keys: Vec<Option<RowKey>> = candidates.iter().map(&to_row).collect();
            let found = self.get_many(keys.iter().flatten().cloned()).await?;
            for (candidate, key) in candidates.iter().zip(keys) {
                let row = key.as_ref().and_then(|key| found.readable::<R>(key));
                unreadable += usize::from(row.is_none() && key.is_some_and(|key| found.item(&key).is_some()));
                let Some(row) = row.filter(|row| accept(candidate, row)) else {
                    continue;
                };
                if items.len() == limit {
                    // There is one more row, so the page ends before it.
                    return Ok(Page { items, next: position, unreadable });
                }
                items.push(row);
                position = Some(Position::of(candidate, &source.key_attributes()));
            }
            position = next;
            if position.is_none() || items.len() == limit {
                return Ok(Page { items, next: position, unreadable });
            }
        }
        Ok(Page { items, next: position, unreadable })
    }
}
