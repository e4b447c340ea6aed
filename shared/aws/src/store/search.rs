//! Search for devices by their own words and by their users' words.
//!
//! A search has two halves. The first follows the index of devices' words. The second follows the index of
//! users' words, to the devices of those users, and skips devices that the first half lists.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::error::{DomainError, Error};
use domain::models::device::Device;
use domain::models::user::User;
use domain::search::Query;
use domain::{DeviceId, Time, UserId, WorkspaceId};

use crate::item::{IndexRow, Item, RowKey};
use crate::list::{Page, Position, Range, SORT_KEY_LIMIT, Source, last_with};
use crate::store::devices::DeviceFilter;
use crate::store::{devices, users};
use crate::table::Table;

/// The number of partitions of the search words of a kind of object that begin with the same character.
const SHARDS: u8 = 2;

/// A partition of the search words of a kind of object that begin with a character.
#[must_use]
pub fn words_partition(kind: &str, workspace: WorkspaceId, first: char, shard: u8) -> String {
    format!("{}#{first}#{shard}", former_partition(kind, workspace))
}

/// The one partition of the search words of a kind of object in the release before, from which `reindex` moves them.
fn former_partition(kind: &str, workspace: WorkspaceId) -> String {
    format!("WORD#{workspace}#{kind}")
}

/// The words with a prefix, in order. Their sort keys are different, but that one may be in the former partition too.
pub(crate) fn sources_of_words(kind: &str, workspace: WorkspaceId, prefix: &str, range: &Range) -> Vec<Source> {
    let first = prefix.chars().next();
    let partitions = first
        .into_iter()
        .flat_map(|first| (0..SHARDS).map(move |shard| words_partition(kind, workspace, first, shard)));
    let source = |partition| Source {
        index: None,
        partition: ("pk", partition),
        order: "sk",
        range: range.clone(),
        descending: false,
    };
    partitions.chain([former_partition(kind, workspace)]).map(source).collect()
}

/// Parses the word and the identifier in a search word's sort key.
#[must_use]
pub fn word_and_id(sk: &str) -> Option<(&str, &str)> {
    sk.rsplit_once('#')
}

pub(crate) fn word_index_rows<'a>(
    kind: &'static str,
    workspace: WorkspaceId,
    id: &'a str,
    words: impl IntoIterator<Item = String> + 'a,
) -> impl Iterator<Item = IndexRow> + 'a {
    // Identifiers end in random digits.
    let shard = id.bytes().next_back().unwrap_or(0) % SHARDS;
    let partition = move |word: &str| words_partition(kind, workspace, word.chars().next().unwrap_or('-'), shard);
    words.into_iter().map(move |word| index_row(partition(&word), &word, id))
}

/// The same in the release before.
pub(crate) fn former_word_index_rows<'a>(
    kind: &'static str,
    workspace: WorkspaceId,
    id: &'a str,
    words: impl IntoIterator<Item = String> + 'a,
) -> impl Iterator<Item = IndexRow> + 'a {
    words.into_iter().map(move |word| index_row(former_partition(kind, workspace), &word, id))
}

fn index_row(partition: String, word: &str, id: &str) -> IndexRow {
    IndexRow { key: RowKey::new(partition, format!("{word}#{id}")), attributes: BTreeMap::new(), unique: false }
}

/// Index entries per query, and the most queries for a page.
const STEP: usize = 50;

const ROUNDS: usize = 6;

/// The position of a search: its half, its index entry, and a device of that entry's object. The device is
/// named, not counted, since a user may lose devices between two pages.
#[derive(Clone, Debug, Default)]
struct Place {
    by_user: bool,
    sk: String,
    taken: Option<DeviceId>,
}

impl Place {
    fn read(start: Option<Position>, query: &Query) -> Result<Self, Error> {
        let Some(Position(start)) = start else {
            return Ok(Self::default());
        };
        let read = || {
            let by_user = start.get("half")? == "user";
            let sk = start.get("sk").filter(|sk| sk.is_empty() || is_within(sk, query.leading()))?.clone();
            let taken = start.get("taken")?;
            let taken = if taken.is_empty() { None } else { Some(DeviceId::parse(taken)?) };
            Some(Self { by_user, sk, taken })
        };
        read().ok_or_else(|| DomainError::CursorInvalid.into())
    }

    fn position(&self) -> Position {
        let half = if self.by_user { "user" } else { "device" };
        let taken = self.taken.map(|id| id.to_string()).unwrap_or_default();
        let fields = [("half", half.to_owned()), ("sk", self.sk.clone()), ("taken", taken)];
        Position(BTreeMap::from(fields.map(|(name, value)| (name.to_owned(), value))))
    }
}

/// True if a sort key is in the range of words with a prefix. Checked because cursors come from callers.
fn is_within(sk: &str, prefix: &str) -> bool {
    sk.len() <= SORT_KEY_LIMIT && sk >= prefix && sk <= last_with(prefix).as_str()
}

/// A search for devices.
pub(crate) struct Search<'a> {
    pub workspace: WorkspaceId,
    pub filter: &'a DeviceFilter,
    pub query: &'a Query,
    pub now: Time,
}

impl Table {
    /// A page of the devices that match a search.
    pub(crate) async fn search_devices(
        &self,
        search: &Search<'_>,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Device>, Error> {
        let mut place = Place::read(start, search.query)?;
        let mut items = Vec::new();
        for _ in 0..ROUNDS {
            let (words, has_more) = self.merged_items(&search.sources(&place), STEP).await?;
            for (sk, devices) in self.hits(search, place.by_user, &words).await? {
                let taken = place.taken.filter(|_| sk == place.sk);
                place = Place { sk, taken, ..place };
                for device in devices.into_iter().filter(|device| taken.is_none_or(|taken| device.device_id > taken)) {
                    if items.len() == limit {
                        return Ok(Page { items, next: Some(place.position()), unreadable: 0 });
                    }
                    place.taken = Some(device.device_id);
                    items.push(device);
                }
            }
            match (has_more, place.by_user) {
                // The last entry is read again, and its devices up to the position are skipped.
                (true, _) => {}
                (false, false) => place = Place { by_user: true, ..Place::default() },
                (false, true) => return Ok(Page { items, next: None, unreadable: 0 }),
            }
        }
        Ok(Page { items, next: Some(place.position()), unreadable: 0 })
    }

    /// The matching devices by the sort key of the word that led to them.
    async fn hits(
        &self,
        search: &Search<'_>,
        by_user: bool,
        words: &[Item],
    ) -> Result<Vec<(String, Vec<Device>)>, Error> {
        let sks: Vec<String> = words.iter().filter_map(RowKey::of).map(|key| key.sk).collect();
        let ids = |sk: &String| word_and_id(sk).map(|(_, id)| id.to_owned());
        let (users, devices) = if by_user {
            let users = self
                .users_by_id(search.workspace, sks.iter().filter_map(ids).filter_map(|id| UserId::parse(&id)))
                .await?;
            let held = users.values().flat_map(|user| user.device_ids.iter().copied()).collect();
            let devices = self.devices_by_id(search.workspace, held).await?;
            (users, devices)
        } else {
            let named = sks.iter().filter_map(ids).filter_map(|id| DeviceId::parse(&id)).collect();
            let devices = self.devices_by_id(search.workspace, named).await?;
            let users = self.users_by_id(search.workspace, devices.values().map(|device| device.user_id)).await?;
            (users, devices)
        };
        let wanted = |sk: &String| {
            let (word, id) = word_and_id(sk)?;
            let candidates = if by_user {
                let user = users.get(&UserId::parse(id)?)?;
                let first = search.query.first_match(&user.search_words()).map(str::to_owned);
                let held = user.device_ids.iter().filter_map(|id| devices.get(id));
                held.filter(|device| first.as_deref() == Some(word) && !search.lists_by_device(device)).collect()
            } else {
                let device = devices.get(&DeviceId::parse(id)?)?;
                let first = search.query.first_match(&device.search_words()).map(str::to_owned);
                if first.as_deref() == Some(word) { vec![device] } else { vec![] }
            };
            let matches = |device: &&Device| search.matches(device, users.get(&device.user_id));
            Some((sk.clone(), candidates.into_iter().filter(matches).cloned().collect()))
        };
        Ok(sks.iter().filter_map(wanted).collect())
    }

    async fn devices_by_id(
        &self,
        workspace: WorkspaceId,
        ids: BTreeSet<DeviceId>,
    ) -> Result<HashMap<DeviceId, Device>, Error> {
        Ok(self.devices_to_show(workspace, &ids).await?.into_iter().map(|device| (device.device_id, device)).collect())
    }

    async fn users_by_id(
        &self,
        workspace: WorkspaceId,
        ids: impl Iterator<Item = UserId>,
    ) -> Result<HashMap<UserId, User>, Error> {
        let ids: BTreeSet<UserId> = ids.collect();
        Ok(self.users(workspace, &ids).await?.into_iter().map(|user| (user.user_id, user)).collect())
    }
}

impl Search<'_> {
    fn sources(&self, place: &Place) -> Vec<Source> {
        let kind = if place.by_user { users::USERS } else { devices::DEVICES };
        let prefix = self.query.leading();
        let from = if place.sk.is_empty() { prefix.to_owned() } else { place.sk.clone() };
        sources_of_words(kind, self.workspace, prefix, &Range::Between(from, last_with(prefix)))
    }

    /// True if the first half of the search lists the device.
    fn lists_by_device(&self, device: &Device) -> bool {
        self.query.first_match(&device.search_words()).is_some()
    }

    /// True if each word of the search begins a word of the device or of its user.
    fn matches(&self, device: &Device, user: Option<&User>) -> bool {
        let mut words = device.search_words();
        words.extend(user.map(User::search_words).unwrap_or_default());
        self.query.matches(&words) && self.filter.matches(device, self.now)
    }
}
