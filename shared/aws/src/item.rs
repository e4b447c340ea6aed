//! Rows: how objects are stored as DynamoDB items, and how their changes are computed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use domain::error::Error;
use domain::stored::Stored;
use domain::{Time, WorkspaceId};

use crate::details;

/// Implements [`Read`] for objects that remember the row they were read from.
macro_rules! keeps_stored_row {
    ($($thing:ty),+ $(,)?) => {
        $(impl $crate::item::Read for $thing {
            fn stored(&self) -> Option<&domain::stored::Stored> {
                Some(&self.stored)
            }
            fn set_stored(&mut self, stored: domain::stored::Stored) {
                self.stored = stored;
            }
            fn set_version(&mut self, version: u64) {
                self.version = version;
            }
        })+
    };
}
pub(crate) use keeps_stored_row;

/// Index key attributes that are derived from an object's fields. (Some indexes are also sorted by a field,
/// `created_at`.)
pub const INDEXED: &[&str] = &[
    "list",
    "owner",
    "login_day",
    "blocked_at",
    "pending_since",
    "deleted_at",
    "due_shard",
    "due_at",
    "deployed",
    "not_deployed",
    "of_profile",
    "of_source",
    "of_device",
    "of_user",
    "of_type",
];

/// The partition of a list of a workspace, in the index `created` and similar ones.
#[must_use]
pub fn list_partition(kind: &str, workspace: WorkspaceId) -> String {
    format!("{kind}#{workspace}")
}

/// A row's attributes.
pub type Item = HashMap<String, AttributeValue>;

/// A row's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Partition.
    pub pk: String,
    /// Sort.
    pub sk: String,
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {}", self.pk, self.sk)
    }
}

impl RowKey {
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

/// A small row that exists exactly as long as its main row: it keeps a name unique, or makes the main row
/// findable. The commits that change the main row also write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexRow {
    /// Its own key.
    pub key: RowKey,
    /// Its other attributes.
    pub attributes: BTreeMap<&'static str, String>,
    /// True if only one may exist: the table itself rejects a second one.
    pub unique: bool,
}

/// An object that is read from a row.
pub trait Read: DeserializeOwned {
    /// Fields that are stored in a second row, beside the main one: see [`details`](crate::details).
    const DETAILS: &'static [&'static str] = &[];

    /// The row as read, for objects that can be changed.
    fn stored(&self) -> Option<&Stored> {
        None
    }
    /// Stores the row as read.
    fn set_stored(&mut self, _: Stored) {}
    /// Expands compact attributes of the row for `serde`, and adds the fields that its key contains.
    fn unpack(_: &mut Item) {}
    /// Sets the version that a commit has given the row, for objects that can be changed.
    fn set_version(&mut self, _: u64) {}
}

impl IndexRow {
    /// The complete row.
    pub(crate) fn item(&self) -> Item {
        let texts = self.attributes.iter();
        let texts = texts.map(|(name, value)| ((*name).to_owned(), AttributeValue::S(value.clone())));
        self.key.attributes().into_iter().chain(texts).collect()
    }

    /// True if a stored row has exactly these attributes.
    pub(crate) fn is_in(&self, item: &Item) -> bool {
        self.item().iter().all(|(name, value)| item.get(name) == Some(value))
    }
}

/// An object that is stored as a row.
///
/// The row's attributes are the object's fields as `serde` writes them, and the index attributes that are
/// derived from them; for some kinds also [`UPDATED_AT`]. Attributes of other releases stay in the row when the
/// object is changed.
pub trait Row: Serialize + Read + Clone {
    /// Fields that are stored as string sets, with their largest sizes; the table itself rejects more.
    const SETS: &'static [(&'static str, usize)] = &[];

    /// Nested objects that are always present, and not written while all their fields are empty. Attributes of
    /// other releases in them are kept even then.
    const NESTED_FIELDS: &'static [&'static str] = &[];

    /// Fields that can be derived from the row's keys, so they are not stored again; [`Read::unpack`] adds
    /// them.
    const KEY_FIELDS: &'static [&'static str] = &[];

    /// False if it is never changed, so that its row has no version.
    const VERSIONED: bool = true;

    /// Attributes that are also written without a new version.
    const UNVERSIONED: &'static [&'static str] = &[];

    /// True if its row records the time of the last change; see [`UPDATED_AT`].
    const HAS_UPDATED_AT: bool = false;

    /// Index attributes of the release before, each with the sort key of the index row beside the row that takes its
    /// place: the change that removes the attribute puts the index row.
    const REPLACED_INDEXES: &'static [(&'static str, &'static str)] = &[];

    /// Its key.
    fn key(&self) -> RowKey;
    /// Its version, for optimistic locking.
    fn version(&self) -> u64;
    /// Compacts attributes of the row that `serde` has written.
    fn pack(&self, _: &mut Item) {}
    /// Its index key attributes.
    fn indexes(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// Its index rows.
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::new()
    }
    /// Index rows of an earlier release, which `reindex` removes.
    fn former_index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::new()
    }
    /// Keys that must be absent when the row comes to need them: an earlier release would have put index rows there.
    fn required_absent(&self) -> BTreeSet<RowKey> {
        BTreeSet::new()
    }
    /// When DynamoDB may remove it, in seconds since 1970.
    fn time_to_live(&self) -> Option<i64> {
        None
    }
}

/// The attribute with the time of the last version. It is not a field of the object, since no rule needs it,
/// and absent from rows that were never changed since it was introduced.
pub(crate) const UPDATED_AT: &str = "updated_at";

/// The attribute of DynamoDB's time to live.
pub(crate) const TIME_TO_LIVE: &str = "expires_at_epoch";

/// The complete row of an object, with the attributes of its second row.
pub(crate) fn to_item<R: Row>(row: &R) -> Result<Item, Error> {
    let item = serde_dynamo::to_item(row).map_err(|e| Error::internal("writing a row", e))?;
    Ok(with_derived_attributes(row, item))
}

/// The complete row of an object whose fields are serialized.
fn with_derived_attributes<R: Row>(row: &R, mut item: Item) -> Item {
    row.pack(&mut item);
    for (name, _) in R::SETS {
        if let Some(members) = item.remove(*name).map(to_set).filter(|members| !members.is_empty()) {
            item.insert((*name).to_owned(), AttributeValue::Ss(members));
        }
    }
    for name in R::KEY_FIELDS {
        item.remove(*name);
    }
    item.extend(row.key().attributes());
    item.extend(row.indexes().into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value))));
    if let Some(seconds) = row.time_to_live() {
        item.insert(TIME_TO_LIVE.to_owned(), AttributeValue::N(seconds.to_string()));
    }
    details::rename::<R>(item)
}

fn to_set(value: AttributeValue) -> Vec<String> {
    match value {
        AttributeValue::L(members) => members.into_iter().filter_map(|m| m.as_s().ok().cloned()).collect(),
        AttributeValue::Ss(members) => members,
        _ => Vec::new(),
    }
}

/// Reads an object from a row.
pub(crate) fn from_item<R: Read>(item: Item) -> Result<R, Error> {
    // The row's content must not reach a log, so serde's message is dropped.
    let unreadable = |_| Error::internal("reading a row", format!("{} cannot be read", describe_key(&item)));
    let mut row: R = serde_dynamo::from_item(fields::<R>(item.clone())).map_err(unreadable)?;
    row.set_stored(Stored::of(item));
    Ok(row)
}

/// A row's attributes as `serde` reads them.
fn fields<R: Read>(item: Item) -> Item {
    let mut item = details::fields(item);
    R::unpack(&mut item);
    item
}

/// The row of an object in plain JSON, and its second row if it has one.
///
/// # Errors
/// `Internal` if it cannot be written.
pub fn to_json<R: Row>(row: &R) -> Result<(serde_json::Value, Option<serde_json::Value>), Error> {
    let written = |e: &dyn fmt::Display| Error::internal("writing a row", e.to_string());
    let fields = serde_json::to_value(row).map_err(|e| written(&e))?;
    let item = with_derived_attributes(row, serde_dynamo::to_item(fields).map_err(|e| written(&e))?);
    let json = |item| serde_dynamo::from_item(item).map_err(|e| written(&e));
    let (main, second) = details::split(item);
    Ok((json(main)?, second.map(json).transpose()?))
}

/// Reads an object from a row in plain JSON.
///
/// # Errors
/// `Internal` if it is unreadable.
pub fn from_json<R: Read>(row: serde_json::Value) -> Result<R, Error> {
    let unreadable = |e: &dyn fmt::Display| Error::internal("reading a row", e.to_string());
    let item = serde_dynamo::to_item(row).map_err(|e| unreadable(&e))?;
    let fields = serde_dynamo::from_item(fields::<R>(item)).map_err(|e| unreadable(&e))?;
    serde_json::from_value(fields).map_err(|e| unreadable(&e))
}

/// Describes a row by its key.
fn describe_key(item: &Item) -> String {
    RowKey::of(item).map_or_else(|| "a row without a key".to_owned(), |key| key.to_string())
}

/// Logs the key of an unreadable row. An alarm counts these lines.
pub(crate) fn log_unreadable(key: &RowKey) {
    tracing::error!(row = %key, "a row cannot be read");
}

/// The row as read.
pub(crate) fn stored<R: Read>(row: &R) -> Option<&Item> {
    row.stored()?.row()
}

/// The complete row of an object, with attributes of other releases from the row as read.
pub(crate) fn to_full_item<R: Row>(row: &R) -> Result<Item, Error> {
    let item = to_item(row)?;
    let Some(stored) = stored(row) else {
        return Ok(item);
    };
    let known = to_item(&from_item::<R>(stored.clone())?)?;
    let AttributeValue::M(mut item) =
        merge_unknown(&AttributeValue::M(stored.clone()), &AttributeValue::M(known), AttributeValue::M(item))
    else {
        return Err(Error::internal("writing a row", "a row is a map"));
    };
    let written = to_item(row)?;
    item.retain(|name, _| written.contains_key(name) || !is_derived(name));
    Ok(item)
}

/// The value to write, with the parts of the stored value that this release does not know: those in `stored`
/// but not in `known`, which is the stored value as this release reads it.
fn merge_unknown(stored: &AttributeValue, known: &AttributeValue, value: AttributeValue) -> AttributeValue {
    if value == *known {
        return stored.clone();
    }
    match (stored, known, value) {
        (AttributeValue::M(stored), AttributeValue::M(known), AttributeValue::M(value)) => {
            // An entry of another type has nothing in common with the stored one.
            if known.get(TAG) != value.get(TAG) {
                return AttributeValue::M(value);
            }
            let merged_field = |(name, value): (String, AttributeValue)| {
                let value = match (stored.get(&name), known.get(&name)) {
                    (Some(stored), Some(known)) => merge_unknown(stored, known, value),
                    _ => value,
                };
                (name, value)
            };
            let unknown = stored.iter().filter(|(name, _)| !known.contains_key(*name));
            let unknown = unknown.map(|(name, value)| (name.clone(), value.clone()));
            AttributeValue::M(unknown.chain(value.into_iter().map(merged_field)).collect())
        }
        (AttributeValue::L(stored), AttributeValue::L(known), AttributeValue::L(value))
            if stored.len() == known.len() =>
        {
            AttributeValue::L(merge_unknown_list(stored, known, value))
        }
        (_, _, value) => value,
    }
}

/// The field that distinguishes the types of a list's entries, or of a field.
const TAG: &str = "type";

/// In a list, unchanged entries keep their stored form. If the length is unchanged, every other entry is merged
/// with the one at the same position.
fn merge_unknown_list(
    stored: &[AttributeValue],
    known: &[AttributeValue],
    value: Vec<AttributeValue>,
) -> Vec<AttributeValue> {
    let same_length = value.len() == known.len();
    let mut taken = BTreeSet::new();
    let mut merged_entry = |(at, entry): (usize, AttributeValue)| {
        let same = (0..known.len()).find(|other| known[*other] == entry && !taken.contains(other));
        if let Some(same) = same {
            taken.insert(same);
            return stored[same].clone();
        }
        if same_length { merge_unknown(&stored[at], &known[at], entry) } else { entry }
    };
    value.into_iter().enumerate().map(&mut merged_entry).collect()
}

/// True for attributes that are derived from the object's fields.
fn is_derived(name: &str) -> bool {
    INDEXED.contains(&name) || name == TIME_TO_LIVE
}

/// The update that takes a row from one state to another.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Attributes to set.
    pub set: BTreeMap<String, AttributeValue>,
    /// Attributes to remove.
    pub remove: BTreeSet<String>,
    /// Members to add to sets.
    pub add: BTreeMap<String, Vec<String>>,
    /// Members to remove from sets.
    pub delete: BTreeMap<String, Vec<String>>,
}

fn is_set<R: Row>(name: &str) -> bool {
    R::SETS.iter().any(|(set, _)| *set == name)
}

/// Attributes of other releases in a nested object that this release empties.
fn unknown_rest_of<R: Row>(name: &str, stored: &Item, known: &Item) -> Option<AttributeValue> {
    R::NESTED_FIELDS.contains(&name).then_some(())?;
    let rest = merge_unknown(stored.get(name)?, known.get(name)?, AttributeValue::M(Item::new()));
    rest.as_m().is_ok_and(|rest| !rest.is_empty()).then_some(rest)
}

fn without_version(mut item: Item) -> Item {
    for name in ["pk", "sk", "version"] {
        item.remove(name);
    }
    item
}

impl Difference {
    /// The update between two states of an object, if they differ, applied to the row as stored: missing
    /// derived attributes are added, and attributes of other releases are kept. The version is not part of it.
    pub fn between<R: Row>(before: &R, after: &R) -> Result<Self, Error> {
        let (was, is) = (without_version(to_item(before)?), without_version(to_item(after)?));
        if was == is { Ok(Self::default()) } else { Self::from_stored(before, &was, &is) }
    }

    /// The update that makes the stored row what this release would store for the object.
    pub fn to_restore<R: Row>(row: &R) -> Result<Self, Error> {
        let item = without_version(to_item(row)?);
        Self::from_stored(row, &item, &item)
    }

    fn from_stored<R: Row>(before: &R, was: &Item, is: &Item) -> Result<Self, Error> {
        let (stored, known) = match stored(before) {
            Some(stored) => (stored.clone(), to_item(&from_item::<R>(stored.clone())?)?),
            None => (was.clone(), was.clone()),
        };
        let mut difference = Self::default();
        let stale = stored.keys().filter(|name| is_derived(name) && !was.contains_key(*name));
        for name in was.keys().chain(stale).filter(|name| !is.contains_key(*name)) {
            if is_set::<R>(name) {
                difference.set_changed(name, was.get(name), None);
            } else if let Some(rest) = unknown_rest_of::<R>(name, &stored, &known) {
                difference.set.insert(name.clone(), rest);
            } else {
                difference.remove.insert(name.clone());
            }
        }
        for (name, value) in is {
            let changed = was.get(name) != Some(value);
            if is_set::<R>(name) {
                difference.set_changed(name, was.get(name), Some(value));
            } else if changed {
                let value = match (stored.get(name), known.get(name)) {
                    (Some(stored), Some(known)) if !is_derived(name) => merge_unknown(stored, known, value.clone()),
                    _ => value.clone(),
                };
                difference.set.insert(name.clone(), value);
            } else if stored.get(name).is_none_or(|stored| is_derived(name) && stored != value) {
                difference.set.insert(name.clone(), value.clone());
            }
        }
        for name in R::DETAILS.iter().filter(|name| stored.contains_key(**name)) {
            difference.move_to_details(name, is);
        }
        Ok(difference)
    }

    /// Moves an attribute, which the release before keeps in the main row, to the second one.
    fn move_to_details(&mut self, name: &str, is: &Item) {
        self.remove.insert(name.to_owned());
        let moved = details::name(name);
        match is.get(&moved) {
            Some(value) => drop(self.set.insert(moved, value.clone())),
            None => drop(self.remove.insert(moved)),
        }
    }

    /// Takes out the update of the second row; `None` if it does not change.
    pub fn take_details(&mut self) -> Option<Self> {
        let set = self.set.extract_if(.., |name, _| details::is_detail(name));
        let set = set.map(|(name, value)| (details::field(&name).to_owned(), value)).collect();
        let remove = self.remove.extract_if(.., |name| details::is_detail(name));
        let remove = remove.map(|name| details::field(&name).to_owned()).collect();
        let second = Self { set, remove, ..Self::default() };
        Some(second).filter(|second| !second.is_empty())
    }

    /// The update with the time of the change, for kinds that record it.
    pub fn at<R: Row>(mut self, time: Option<Time>) -> Self {
        if let Some(time) = time.filter(|_| R::HAS_UPDATED_AT) {
            self.set.insert(UPDATED_AT.to_owned(), AttributeValue::S(time.to_string()));
        }
        self
    }

    /// True if there is nothing to update.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty() && self.add.is_empty() && self.delete.is_empty()
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
