//! Rows: what is stored of a thing, and what of it changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use domain::error::Error;
use domain::stored::Stored;
use domain::{Time, WorkspaceId};

use crate::store::devices::fields_of_key;

/// Makes things that are changed remember the row that they were read as.
macro_rules! keeps_stored_row {
    ($($thing:ty),+ $(,)?) => {
        $(impl $crate::item::Read for $thing {
            fn stored(&self) -> Option<&domain::stored::Stored> {
                Some(&self.stored)
            }
            fn keep(&mut self, stored: domain::stored::Stored) {
                self.stored = stored;
            }
            fn set_version(&mut self, version: u64) {
                self.version = version;
            }
        })+
    };
}
pub(crate) use keeps_stored_row;

/// The attributes of the indexes' keys that follow from a thing's fields. (Some indexes are also ordered by a field,
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

/// A list of a workspace, in the index `created` and those beside it.
#[must_use]
pub fn list_partition(kind: &str, workspace: WorkspaceId) -> String {
    format!("{kind}#{workspace}")
}

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
pub struct IndexRow {
    /// Its own key.
    pub key: Key,
    /// What else it holds.
    pub attributes: BTreeMap<&'static str, String>,
    /// True if only one may exist: a second one is refused by the table itself.
    pub unique: bool,
}

/// What a row is read as.
pub trait Read: DeserializeOwned {
    /// The row that it was read as, if it is one that is changed.
    fn stored(&self) -> Option<&Stored> {
        None
    }
    /// Keeps the row that it was read as.
    fn keep(&mut self, _: Stored) {}
    /// Makes what the row holds in few bytes into what `serde` reads.
    fn unpack(_: &mut Item) {}
    /// Takes the version that a commit has given to its row, if it is one that is changed.
    fn set_version(&mut self, _: u64) {}
}

impl IndexRow {
    /// The whole row.
    pub(crate) fn item(&self) -> Item {
        let texts = self.attributes.iter();
        let texts = texts.map(|(name, value)| ((*name).to_owned(), AttributeValue::S(value.clone())));
        self.key.attributes().into_iter().chain(texts).collect()
    }

    /// True if a row holds what it holds.
    pub(crate) fn is_in(&self, item: &Item) -> bool {
        self.item().iter().all(|(name, value)| item.get(name) == Some(value))
    }
}

/// A thing that is stored as a row.
///
/// The row's attributes are the fields of the thing, as `serde` writes them, and the attributes of
/// the indexes, which follow from the fields; of some kinds also [`UPDATED_AT`]. Whatever else another release
/// keeps in the row stays there when the thing is changed.
pub trait Row: Serialize + Read + Clone {
    /// Fields that are stored as sets of texts, with the most members each may have; the table
    /// itself refuses more.
    const SETS: &'static [(&'static str, usize)] = &[];

    /// Fields that hold fields of their own, are always there, and are not written while all of these are empty:
    /// what another release keeps in one stays, even so.
    const PARTS: &'static [&'static str] = &[];

    /// Fields that its key and its indexes tell, which are not stored once more. See
    /// [`fields_of_key`].
    const TOLD: &'static [&'static str] = &[];

    /// False if it is never changed, so that its row has no version.
    const VERSIONED: bool = true;

    /// True if its row says when an act that is on the record last changed it: see [`UPDATED_AT`].
    const DATED: bool = false;

    /// Its key.
    fn key(&self) -> Key;
    /// Its version, by which a change is guarded.
    fn version(&self) -> u64;
    /// Makes what `serde` has written into what the row holds in few bytes.
    fn pack(&self, _: &mut Item) {}
    /// The attributes by which the indexes find it.
    fn indexes(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// The rows that stand and fall with it.
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::new()
    }
    /// Rows that an earlier release made in place of index rows: `reindex` removes those that are still there.
    fn former_index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::new()
    }
    /// Keys at which nothing may stand where the row is made, or comes to need this: what an earlier release would
    /// have put there.
    fn vacant(&self) -> BTreeSet<Key> {
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
pub(crate) fn to_item<R: Row>(row: &R) -> Result<Item, Error> {
    let item = serde_dynamo::to_item(row).map_err(|e| Error::internal("writing a row", e))?;
    Ok(completed(row, item))
}

/// The whole row of a thing whose fields are written.
fn completed<R: Row>(row: &R, mut item: Item) -> Item {
    row.pack(&mut item);
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
    item
}

fn to_set(value: AttributeValue) -> Vec<String> {
    match value {
        AttributeValue::L(members) => members.into_iter().filter_map(|m| m.as_s().ok().cloned()).collect(),
        AttributeValue::Ss(members) => members,
        _ => Vec::new(),
    }
}

/// The thing that a row holds.
pub(crate) fn from_item<R: Read>(item: Item) -> Result<R, Error> {
    // Nothing of what the row holds may reach a log, so what serde says of it is left out.
    let unreadable = |_| Error::internal("reading a row", format!("{} cannot be read", named(&item)));
    let mut row: R = serde_dynamo::from_item(fields::<R>(item.clone())).map_err(unreadable)?;
    row.keep(Stored::of(item));
    Ok(row)
}

/// The fields of a thing, as `serde` reads them, of the row that it is stored as.
fn fields<R: Read>(mut item: Item) -> Item {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
    for (name, value) in fields_of_key(text("pk"), text("sk"), text("owner")) {
        item.entry(name.to_owned()).or_insert(AttributeValue::S(value));
    }
    R::unpack(&mut item);
    item
}

/// The row of a thing, in plain JSON.
///
/// # Errors
/// `Internal` if it cannot be written.
pub fn to_json<R: Row>(row: &R) -> Result<serde_json::Value, Error> {
    let written = |e: &dyn fmt::Display| Error::internal("writing a row", e.to_string());
    let fields = serde_json::to_value(row).map_err(|e| written(&e))?;
    let item = completed(row, serde_dynamo::to_item(fields).map_err(|e| written(&e))?);
    serde_dynamo::from_item(item).map_err(|e| written(&e))
}

/// The thing that a row in plain JSON holds.
///
/// # Errors
/// `Internal` if it cannot be read.
pub fn from_json<R: Read>(row: serde_json::Value) -> Result<R, Error> {
    let unreadable = |e: &dyn fmt::Display| Error::internal("reading a row", e.to_string());
    let item = serde_dynamo::to_item(row).map_err(|e| unreadable(&e))?;
    let fields = serde_dynamo::from_item(fields::<R>(item)).map_err(|e| unreadable(&e))?;
    serde_json::from_value(fields).map_err(|e| unreadable(&e))
}

/// A row by its key.
fn named(item: &Item) -> String {
    Key::of(item).map_or_else(|| "a row without a key".to_owned(), |key| key.to_string())
}

/// Notes that a row cannot be read, by its key alone. An alarm counts these lines.
pub(crate) fn note_unreadable(key: &Key) {
    tracing::error!(row = %key, "a row cannot be read");
}

/// The row that a thing was read as.
pub(crate) fn stored<R: Read>(row: &R) -> Option<&Item> {
    row.stored()?.row()
}

/// The row of a thing, with what another release keeps in the row that it was read as.
pub(crate) fn to_whole_item<R: Row>(row: &R) -> Result<Item, Error> {
    let item = to_item(row)?;
    let Some(stored) = stored(row) else {
        return Ok(item);
    };
    let known = to_item(&from_item::<R>(stored.clone())?)?;
    let AttributeValue::M(mut item) =
        carried(&AttributeValue::M(stored.clone()), &AttributeValue::M(known), AttributeValue::M(item))
    else {
        return Err(Error::internal("writing a row", "a row is a map"));
    };
    let written = to_item(row)?;
    item.retain(|name, _| written.contains_key(name) || !is_derived(name));
    Ok(item)
}

/// A value that is to be written, with whatever stands in the stored one that this release does not know: what is
/// in `stored`, but not in `known`, which is the stored value as this release reads it.
fn carried(stored: &AttributeValue, known: &AttributeValue, value: AttributeValue) -> AttributeValue {
    if value == *known {
        return stored.clone();
    }
    match (stored, known, value) {
        (AttributeValue::M(stored), AttributeValue::M(known), AttributeValue::M(value)) => {
            // Of a thing of another type, nothing that was said is true any more.
            if known.get(TAG) != value.get(TAG) {
                return AttributeValue::M(value);
            }
            let carried_field = |(name, value): (String, AttributeValue)| {
                let value = match (stored.get(&name), known.get(&name)) {
                    (Some(stored), Some(known)) => carried(stored, known, value),
                    _ => value,
                };
                (name, value)
            };
            let unknown = stored.iter().filter(|(name, _)| !known.contains_key(*name));
            let unknown = unknown.map(|(name, value)| (name.clone(), value.clone()));
            AttributeValue::M(unknown.chain(value.into_iter().map(carried_field)).collect())
        }
        (AttributeValue::L(stored), AttributeValue::L(known), AttributeValue::L(value))
            if stored.len() == known.len() =>
        {
            AttributeValue::L(carried_list(stored, known, value))
        }
        (_, _, value) => value,
    }
}

/// The field that tells the things of a list's, or a field's, several types apart.
const TAG: &str = "type";

/// Of a list, each entry that stays as it was is the stored one; of one that has as many entries as before, each
/// other one follows the one in its place.
fn carried_list(
    stored: &[AttributeValue],
    known: &[AttributeValue],
    value: Vec<AttributeValue>,
) -> Vec<AttributeValue> {
    let same_length = value.len() == known.len();
    let mut taken = BTreeSet::new();
    let mut carried_entry = |(at, entry): (usize, AttributeValue)| {
        let same = (0..known.len()).find(|other| known[*other] == entry && !taken.contains(other));
        if let Some(same) = same {
            taken.insert(same);
            return stored[same].clone();
        }
        if same_length { carried(&stored[at], &known[at], entry) } else { entry }
    };
    value.into_iter().enumerate().map(&mut carried_entry).collect()
}

/// True of an attribute that follows from the thing's fields.
fn is_derived(name: &str) -> bool {
    INDEXED.contains(&name) || name == TIME_TO_LIVE
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

fn is_set<R: Row>(name: &str) -> bool {
    R::SETS.iter().any(|(set, _)| *set == name)
}

/// What another release keeps in a part that this one empties.
fn rest_of<R: Row>(name: &str, stored: &Item, known: &Item) -> Option<AttributeValue> {
    R::PARTS.contains(&name).then_some(())?;
    let rest = carried(stored.get(name)?, known.get(name)?, AttributeValue::M(Item::new()));
    rest.as_m().is_ok_and(|rest| !rest.is_empty()).then_some(rest)
}

fn without_version(mut item: Item) -> Item {
    for name in ["pk", "sk", "version"] {
        item.remove(name);
    }
    item
}

impl Difference {
    /// The difference between two states of a thing, if there is one, against the row as it is stored: what the row
    /// lacks of what follows from the thing comes with it, and what this release does not know stays. The version
    /// is not part of it.
    pub fn between<R: Row>(before: &R, after: &R) -> Result<Self, Error> {
        let (was, is) = (without_version(to_item(before)?), without_version(to_item(after)?));
        if was == is { Ok(Self::default()) } else { Self::of_stored(before, &was, is) }
    }

    /// What the row of a thing, as it is stored, has to become for the thing to be in it as this release keeps it.
    pub fn to_restore<R: Row>(row: &R) -> Result<Self, Error> {
        let item = without_version(to_item(row)?);
        Self::of_stored(row, &item.clone(), item)
    }

    fn of_stored<R: Row>(before: &R, was: &Item, is: Item) -> Result<Self, Error> {
        let (stored, known) = match stored(before) {
            Some(stored) => (stored.clone(), to_item(&from_item::<R>(stored.clone())?)?),
            None => (was.clone(), was.clone()),
        };
        let mut difference = Self::default();
        let stale = stored.keys().filter(|name| is_derived(name) && !was.contains_key(*name));
        for name in was.keys().chain(stale).filter(|name| !is.contains_key(*name)) {
            if is_set::<R>(name) {
                difference.set_changed(name, was.get(name), None);
            } else if let Some(rest) = rest_of::<R>(name, &stored, &known) {
                difference.set.insert(name.clone(), rest);
            } else {
                difference.remove.insert(name.clone());
            }
        }
        for (name, value) in is {
            let changed = was.get(&name) != Some(&value);
            if is_set::<R>(&name) {
                difference.set_changed(&name, was.get(&name), Some(&value));
            } else if changed {
                let value = match (stored.get(&name), known.get(&name)) {
                    (Some(stored), Some(known)) if !is_derived(&name) => carried(stored, known, value),
                    _ => value,
                };
                difference.set.insert(name, value);
            } else if stored.get(&name).is_none_or(|stored| is_derived(&name) && *stored != value) {
                difference.set.insert(name, value);
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
/// `Internal` if it does not hold one that this release can read. Nothing of what it holds is in the error.
pub fn event_of_image(image: serde_json::Value) -> Result<domain::models::event::Event, Error> {
    let unreadable = || Error::internal("reading a record", "the event cannot be read");
    let item: serde_dynamo::Item = serde_json::from_value(image).map_err(|_| unreadable())?;
    serde_dynamo::from_item(item).map_err(|_| unreadable())
}
