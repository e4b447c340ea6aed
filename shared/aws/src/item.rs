//! Rows: what is stored of a thing, and what of it changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use domain::Time;
use domain::refusal::Failure;

use crate::rows::told;

/// A row's attributes.
pub type Item = HashMap<String, AttributeValue>;

/// A row's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition.
    pub pk: String,
    /// Sort.
    pub sk: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {}", self.pk, self.sk)
    }
}

impl Key {
    /// A key.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(crate) fn attributes(&self) -> Item {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }

    pub(crate) fn of(item: &Item) -> Option<Self> {
        Some(Self::new(item.get("pk")?.as_s().ok()?, item.get("sk")?.as_s().ok()?))
    }
}

/// A small row that stands and falls with another one: it keeps a name unique, or makes the other
/// findable. It is made, and removed, in the commits that change the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Companion {
    /// Its own key.
    pub key: Key,
    /// What else it holds.
    pub attributes: BTreeMap<&'static str, String>,
    /// True if only one may exist: a second one is refused by the table itself.
    pub unique: bool,
}

/// A thing that is stored as a row.
///
/// The row's attributes are the fields of the thing, as `serde` writes them, and the attributes of
/// the indexes, which follow from the fields; of some kinds also [`UPDATED_AT`].
pub trait Row: Serialize + DeserializeOwned + Clone {
    /// Fields that are stored as sets of texts, with the most members each may have; the table
    /// itself refuses more.
    const SETS: &'static [(&'static str, usize)] = &[];

    /// Fields that its key and its indexes tell, which are not stored once more. See
    /// [`crate::rows::told`].
    const TOLD: &'static [&'static str] = &[];

    /// True if its row says when an act that is on the record last changed it: see [`UPDATED_AT`].
    const DATED: bool = false;

    /// Its key.
    fn key(&self) -> Key;
    /// Its version, by which a change is guarded.
    fn version(&self) -> u64;
    /// The attributes by which the indexes find it.
    fn indexes(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// The rows that stand and fall with it.
    fn companions(&self) -> BTreeSet<Companion> {
        BTreeSet::new()
    }
    /// When DynamoDB may remove it, in seconds since 1970.
    fn time_to_live(&self) -> Option<i64> {
        None
    }
}

/// The attribute that says when a row's version last went up. It stands beside the thing's own
/// fields, since no rule asks for it, and not on a row that never was changed, or not since it is
/// noted.
pub(crate) const UPDATED_AT: &str = "updated_at";

/// The attribute of DynamoDB's time to live.
pub(crate) const TIME_TO_LIVE: &str = "expires_at_epoch";

/// The whole row of a thing.
pub(crate) fn to_item<R: Row>(row: &R) -> Result<Item, Failure> {
    let mut item: Item = serde_dynamo::to_item(row).map_err(|e| Failure::internal("writing a row", e))?;
    for (name, _) in R::SETS {
        if let Some(members) = item.remove(*name).map(to_set).filter(|members| !members.is_empty()) {
            item.insert((*name).to_owned(), AttributeValue::Ss(members));
        }
    }
    for name in R::TOLD {
        item.remove(*name);
    }
    item.extend(row.key().attributes());
    item.extend(row.indexes().into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value))));
    if let Some(seconds) = row.time_to_live() {
        item.insert(TIME_TO_LIVE.to_owned(), AttributeValue::N(seconds.to_string()));
    }
    Ok(item)
}

fn to_set(value: AttributeValue) -> Vec<String> {
    match value {
        AttributeValue::L(members) => members.into_iter().filter_map(|m| m.as_s().ok().cloned()).collect(),
        AttributeValue::Ss(members) => members,
        _ => Vec::new(),
    }
}

/// The thing that a row holds.
pub(crate) fn from_item<R: DeserializeOwned>(mut item: Item) -> Result<R, Failure> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
    for (name, value) in told(text("pk"), text("sk"), text("owner")) {
        item.entry(name.to_owned()).or_insert(AttributeValue::S(value));
    }
    serde_dynamo::from_item(item).map_err(|e| Failure::internal("reading a row", e))
}

/// What has to be done to a row's attributes to get from one state to another.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Attributes to set.
    pub set: BTreeMap<String, AttributeValue>,
    /// Attributes to take away.
    pub remove: BTreeSet<String>,
    /// Members to add to sets.
    pub add: BTreeMap<String, Vec<String>>,
    /// Members to take from sets.
    pub delete: BTreeMap<String, Vec<String>>,
}

impl Difference {
    /// The difference between two states of a row. The version is not part of it.
    pub fn between<R: Row>(before: &R, after: &R) -> Result<Self, Failure> {
        let (before, after) = (to_item(before)?, to_item(after)?);
        let mut difference = Self::default();
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names.into_iter().filter(|name| !matches!(name.as_str(), "pk" | "sk" | "version")) {
            if R::SETS.iter().any(|(set, _)| set == name) {
                difference.set_changed(name, before.get(name), after.get(name));
            } else {
                difference.attribute_changed(name, before.get(name), after.get(name));
            }
        }
        Ok(difference)
    }

    /// The difference, and that it is of this time if a row of the kind says so.
    pub fn at<R: Row>(mut self, time: Option<Time>) -> Self {
        if let Some(time) = time.filter(|_| R::DATED) {
            self.set.insert(UPDATED_AT.to_owned(), AttributeValue::S(time.to_string()));
        }
        self
    }

    /// True if nothing has to be done.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty() && self.add.is_empty() && self.delete.is_empty()
    }

    fn attribute_changed(&mut self, name: &str, before: Option<&AttributeValue>, after: Option<&AttributeValue>) {
        match (before, after) {
            (before, Some(after)) if before != Some(after) => {
                self.set.insert(name.to_owned(), after.clone());
            }
            (Some(_), None) => {
                self.remove.insert(name.to_owned());
            }
            _ => {}
        }
    }

    fn set_changed(&mut self, name: &str, before: Option<&AttributeValue>, after: Option<&AttributeValue>) {
        let members = |value: Option<&AttributeValue>| -> BTreeSet<String> {
            value.and_then(|value| value.as_ss().ok()).into_iter().flatten().cloned().collect()
        };
        let (before, after) = (members(before), members(after));
        let added: Vec<String> = after.difference(&before).cloned().collect();
        let deleted: Vec<String> = before.difference(&after).cloned().collect();
        if !added.is_empty() {
            self.add.insert(name.to_owned(), added);
        }
        if !deleted.is_empty() {
            self.delete.insert(name.to_owned(), deleted);
        }
    }
}

/// The event that a record of the table's stream holds, in DynamoDB's own JSON.
///
/// # Errors
/// `Internal` if it does not hold one.
pub fn event_of_image(image: serde_json::Value) -> Result<domain::event::Event, Failure> {
    let item: serde_dynamo::Item =
        serde_json::from_value(image).map_err(|e| Failure::internal("reading a record", e))?;
    serde_dynamo::from_item(item).map_err(|e| Failure::internal("reading a record", e))
}
