//! Commits: all writes of a change in one `TransactWriteItems`.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use domain::error::Error;
use domain::models::event::Event;
use domain::models::event_shards::shard_of;
use domain::rules::change::{ChangeSet, ProfileGrant, RowChange};
use domain::{EventId, Time, UserId};
use uuid::Uuid;

use crate::details;
use crate::item::{Difference, IndexRow, Item, Row, RowKey, stored, to_full_item, to_item};
use crate::store::event_shards::EventDay;
use crate::store::events::keys_in_shard;
use crate::store::last_logins::LOGIN_DAY;
use crate::table::TableNames;

/// The most items of a DynamoDB transaction ("Amazon DynamoDB Developer Guide", Transactions).
pub const ITEM_LIMIT: usize = 100;

/// A commit that is being built. The first item that cannot be written is kept as an error, which fails the
/// whole commit.
#[derive(Debug)]
pub struct Commit {
    token: Uuid,
    parts: Vec<WriteItem>,
    fault: Option<Error>,
    event_index: Option<usize>,
    /// New events, by the index of their items.
    events: Vec<(usize, Event)>,
    /// Time of the recorded change; `None` without an event.
    event_time: Option<Time>,
    /// The changed rows' new versions.
    versions: BTreeMap<RowKey, u64>,
}

/// A commit as a DynamoDB request.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Client request token, by which DynamoDB recognises a repeated request.
    pub token: String,
    /// At most [`ITEM_LIMIT`] items.
    pub items: Vec<TransactWriteItem>,
    /// Index of the event's item.
    pub event_index: Option<usize>,
    /// The new versions, for the caller.
    pub committed: Committed,
}

/// The result of a commit.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    versions: BTreeMap<RowKey, u64>,
}

impl Committed {
    /// A row of the commit with its new version.
    #[must_use]
    pub fn with_new_version<R: Row>(&self, mut row: R) -> R {
        if let Some(version) = self.versions.get(&row.key()) {
            row.set_version(*version);
        }
        row
    }
}

/// The write of one row, before the table is known.
#[derive(Debug)]
enum WriteItem {
    Put {
        item: Item,
        condition: PutCondition,
    },
    Update {
        key: Item,
        update: Box<UpdateParts>,
    },
    /// Changes a second row, which the version of the main row guards.
    UpdateDetails {
        key: Item,
        difference: Box<Difference>,
    },
    /// Marks an event as counted; fails if it is missing or marked.
    MarkCounted {
        key: Item,
    },
    /// Moves a time that no version guards.
    SetTime {
        key: Item,
        attribute: &'static str,
        time: Time,
        version: Option<u64>,
    },
    /// Adds to numbers of a row whatever they are.
    Add {
        key: Item,
        numbers: BTreeMap<String, i128>,
        /// The other attributes of the row, if it is new.
        rest: Item,
    },
    Delete {
        key: Item,
        version: Option<u64>,
    },
    Release {
        key: Item,
        holder: UserId,
    },
    Check {
        key: Item,
        version: u64,
        same: Vec<(&'static str, Option<AttributeValue>)>,
    },
    CheckAbsent {
        key: Item,
    },
    PutSecret {
        item: Item,
    },
    SetSecrets {
        pk: String,
        secrets: BTreeMap<&'static str, Option<String>>,
    },
    DeleteSecret {
        pk: String,
    },
}

/// What a put may replace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PutCondition {
    /// Nothing: the row must be absent.
    Absent,
    /// Any row.
    Any,
    /// A claim of this user.
    ClaimOf(UserId),
    /// A claim of this user, or nothing.
    AbsentOrClaimOf(UserId),
    /// A record that expires at this time.
    RecordUntil(Time),
}

#[derive(Debug)]
struct UpdateParts {
    difference: Difference,
    /// The version that the row must have; `None` to require only that it exists.
    version: Option<u64>,
    /// Sets that grow, each with the number of members that it must be below.
    limits: Vec<(String, usize)>,
    /// Attributes that must be unchanged since the read and are not covered by the version; `None` if absent.
    same: Vec<(&'static str, Option<AttributeValue>)>,
}

impl Commit {
    /// A commit with one event, whose identifier makes repeating it safe.
    #[must_use]
    pub fn with_event(event: &Event) -> Self {
        let mut commit = Self::without_event(event.event_id);
        commit.event_index = Some(0);
        commit.event_time = Some(event.created_at);
        commit.put_event(event)
    }

    /// A commit of a change set. `id` is the identifier of its first event; further events get the following ones.
    #[must_use]
    pub fn from_changes(id: EventId, change: &ChangeSet) -> Self {
        let mut commit = Self::without_event(id);
        commit.event_index = (!change.events.is_empty()).then_some(0);
        commit.event_time = change.events.first().map(|event| event.created_at);
        for (n, event) in change.events.iter().enumerate() {
            commit = commit.put_event(&Event { event_id: id.nth(n), ..event.clone() });
        }
        commit = match &change.user {
            // If a change set has a user, its rule has decided by them, so their row is guarded even if it does not
            // change.
            Some(RowChange { before: Some(before), after }) => commit.bump_version(before, after),
            Some(RowChange { before: None, after }) => commit.put(after),
            None => commit,
        };
        commit = commit.edit_all(&change.workspace);
        commit = change.devices.iter().fold(commit, |commit, device| match &device.before {
            // A device's version guards its attachments as well.
            Some(before) if change.attachments.iter().any(|attached| attached.after.device_id == before.device_id) => {
                commit.bump_version(before, &device.after)
            }
            _ => commit.apply(device),
        });
        commit = commit.edit_all(&change.attachments).edit_all(&change.push_token).edit_all(&change.claims);
        commit = commit.edit_all(&change.commands).edit_all(&change.offers);
        commit = change.usage.iter().fold(commit, Self::add_usage);
        commit = commit.edit_all(&change.profile).edit_all(&change.job);
        commit = change.offers.iter().fold(commit, |commit, invitation| commit.delete_code_if_ended(&invitation.after));
        if let (Some(code), Some(made)) = (&change.secrets.code, change.new_offer()) {
            commit = commit.put_code(made, code);
        }
        if let Some(message_counters) = &change.message_counters {
            commit = commit.apply(&message_counters.to).apply(&message_counters.today);
        }
        if let Some(ProfileGrant { profile, note }) = &change.profile_grant {
            commit = commit.guard_profile_assignment(profile, note.as_ref());
        }
        match &change.user {
            // Removing the last secret removes the row of secrets.
            Some(RowChange { before: Some(before), after }) if after.client.secrets.is_empty() => {
                commit.delete_user_secrets(before)
            }
            Some(RowChange { after, .. }) if !change.secrets.of_user.is_empty() => {
                commit.update_user_secrets(after, &change.secrets.of_user)
            }
            _ => commit,
        }
    }

    fn edit_all<'a, R: Row + 'a>(self, edited: impl IntoIterator<Item = &'a RowChange<R>>) -> Self {
        edited.into_iter().fold(self, Self::apply)
    }

    /// A commit without an event: for progress that is no news (a page of a job, an outcome that changed nothing, a
    /// settled push token), for a consumer's own bookkeeping, and for repairs.
    #[must_use]
    pub fn without_event(id: EventId) -> Self {
        Self {
            token: id.0,
            parts: Vec::new(),
            fault: None,
            event_index: None,
            events: Vec::new(),
            event_time: None,
            versions: BTreeMap::new(),
        }
    }

    /// Puts a new row and its index rows; fails if the row exists.
    #[must_use]
    pub fn put<R: Row>(mut self, row: &R) -> Self {
        self.add_item(to_item(row), PutCondition::Absent);
        for index_row in row.index_rows() {
            self.put_index_row(&index_row);
        }
        self.all_absent(row.required_absent())
    }

    fn put_event(mut self, event: &Event) -> Self {
        self.events.push((self.parts.len(), event.clone()));
        self.put(event)
    }

    /// The days on which it has new events.
    pub(crate) fn event_days(&self) -> BTreeMap<EventDay, Time> {
        self.events.iter().map(|(_, event)| (EventDay::of(event), event.created_at)).collect()
    }

    /// Puts its new events into the shards of their days.
    pub(crate) fn in_shards(mut self, shards: &BTreeMap<EventDay, u8>) -> Self {
        for (at, event) in &self.events {
            let shard = shard_of(event.event_id, shards.get(&EventDay::of(event)).copied().unwrap_or(1));
            if let Some(WriteItem::Put { item, .. }) = self.parts.get_mut(*at) {
                item.extend(keys_in_shard(event, shard));
            }
        }
        self
    }

    /// Puts a row whether or not it exists: for bookkeeping rows whose earlier state does not matter.
    /// Attributes of other releases are kept if the row was read.
    #[must_use]
    pub fn replace<R: Row>(mut self, row: &R) -> Self {
        self.add_item(to_full_item(row), PutCondition::Any);
        self
    }

    /// Puts a record in place of an earlier one, which was read and expires at `until`.
    #[must_use]
    pub(crate) fn replace_record<R: Row>(mut self, row: &R, until: Time) -> Self {
        self.add_item(to_item(row), PutCondition::RecordUntil(until));
        self
    }

    /// Writes the changes of a row and its index rows, guarded by the version that was read. Does nothing if
    /// nothing changed.
    #[must_use]
    pub fn edit<R: Row>(mut self, before: &R, after: &R) -> Self {
        match Difference::between(before, after) {
            Err(fault) => self.fault = self.fault.or(Some(fault)),
            Ok(difference) if difference.is_empty() => {}
            Ok(difference) => {
                let grown =
                    |(set, limit): &(&str, usize)| Some(((*set).to_owned(), difference.add.get(*set)?.len(), *limit));
                let grown: Vec<(String, usize, usize)> = R::SETS.iter().filter_map(grown).collect();
                if grown.iter().any(|(_, added, limit)| added > limit) {
                    self.fault = self.fault.or(Some(Error::internal("committing", "a set would exceed its limit")));
                    return self;
                }
                // A set that grows by one must have had fewer members than its limit; by two, fewer than the
                // limit less one.
                let limits = grown.into_iter().map(|(set, added, limit)| (set, limit + 1 - added)).collect();
                let mut difference = difference.at::<R>(self.event_time);
                self.update_details(&before.key(), &mut difference);
                let version = R::VERSIONED.then(|| before.version());
                self.versions.extend(version.map(|version| (before.key(), version + 1)));
                let replaced = replaced_indexes::<R>(&difference);
                let same = stored_values(before, replaced.iter().map(|(attribute, _)| *attribute));
                let update = Box::new(UpdateParts { difference, version, limits, same });
                self.parts.push(WriteItem::Update { key: before.key().attributes(), update });
                let mut known = before.index_rows();
                known.retain(|index_row| !replaced.iter().any(|(_, sk)| *sk == index_row.key.sk));
                self.edit_index_rows(&known, &after.index_rows());
                self.remove_former_index_rows(&before.former_index_rows(), &after.former_index_rows());
                let known = before.required_absent();
                return self.all_absent(after.required_absent().into_iter().filter(|key| !known.contains(key)));
            }
        }
        self
    }

    fn all_absent(self, keys: impl IntoIterator<Item = RowKey>) -> Self {
        let required_absent =
            |commit: Self, key: RowKey| if commit.includes_key(&key) { commit } else { commit.require_absent(&key) };
        keys.into_iter().fold(self, required_absent)
    }

    /// As [`Commit::edit`], but increases the version even if nothing else changes, for a row whose version
    /// guards more than itself.
    #[must_use]
    pub fn bump_version<R: Row>(mut self, before: &R, after: &R) -> Self {
        let parts = self.parts.len();
        self = self.edit(before, after);
        if self.parts.len() == parts {
            let difference = Difference::to_restore(before);
            let replaced = difference.as_ref().map(replaced_indexes::<R>).unwrap_or_default();
            let same = stored_values(before, replaced.iter().map(|(attribute, _)| *attribute));
            self = self.with_difference(before, difference, same);
            let put = |row: &&IndexRow| replaced.iter().any(|(_, sk)| *sk == row.key.sk);
            for index_row in before.index_rows().iter().filter(put) {
                self.put_index_row(index_row);
            }
        }
        self
    }

    /// Rewrites a row as this release stores it, if another release stored it differently.
    #[must_use]
    pub(crate) fn restore_row<R: Row>(self, row: &R) -> Self {
        match Difference::to_restore(row) {
            Ok(difference) if difference.is_empty() => self,
            difference => self.with_difference(row, difference, stored_values(row, R::UNVERSIONED.iter().copied())),
        }
    }

    fn with_difference<R: Row>(
        mut self,
        row: &R,
        difference: Result<Difference, Error>,
        same: Vec<(&'static str, Option<AttributeValue>)>,
    ) -> Self {
        match difference {
            Err(fault) => self.fault = self.fault.or(Some(fault)),
            Ok(difference) => {
                let mut difference = difference.at::<R>(self.event_time);
                self.update_details(&row.key(), &mut difference);
                let version = R::VERSIONED.then(|| row.version());
                self.versions.extend(version.map(|version| (row.key(), version + 1)));
                let update = UpdateParts { difference, version, limits: Vec::new(), same };
                self.parts.push(WriteItem::Update { key: row.key().attributes(), update: Box::new(update) });
            }
        }
        self
    }

    /// Writes a new or changed row.
    #[must_use]
    pub fn apply<R: Row>(self, edited: &RowChange<R>) -> Self {
        match &edited.before {
            Some(before) => self.edit(before, &edited.after),
            None => self.put(&edited.after),
        }
    }

    /// Deletes a row, guarded by its version, and its index rows.
    #[must_use]
    pub fn delete<R: Row>(mut self, row: &R) -> Self {
        self.parts.push(WriteItem::Delete { key: row.key().attributes(), version: Some(row.version()) });
        if let Some(second) = details::key_beside(&row.key()) {
            self = self.remove(&second);
        }
        self.edit_index_rows(&row.index_rows(), &BTreeSet::new());
        self
    }

    /// Puts a missing index row.
    #[must_use]
    pub(crate) fn with_index_row(mut self, index_row: &IndexRow) -> Self {
        self.put_index_row(index_row);
        self
    }

    /// Puts a row that consists of its key.
    #[must_use]
    pub(crate) fn put_key(mut self, key: &RowKey) -> Self {
        self.parts.push(WriteItem::Put { item: key.attributes(), condition: PutCondition::Any });
        self
    }

    /// Adds to the number of a row, without a read or a condition; the row is created if it is absent.
    #[must_use]
    pub(crate) fn add(self, key: &RowKey, number: i64) -> Self {
        self.add_numbers(key, BTreeMap::from([(COUNT.to_owned(), number.into())]), Item::new())
    }

    /// Marks an event as counted; the commit fails if it is missing or was counted before.
    #[must_use]
    pub(crate) fn mark_counted(mut self, key: &RowKey) -> Self {
        self.parts.push(WriteItem::MarkCounted { key: key.attributes() });
        self
    }

    /// Deletes a row by its key, unconditionally.
    #[must_use]
    pub fn remove(mut self, key: &RowKey) -> Self {
        self.parts.push(WriteItem::Delete { key: key.attributes(), version: None });
        self
    }

    /// Fails the commit if a row that it does not write has changed since the read.
    #[must_use]
    pub fn require_unchanged<R: Row>(mut self, row: &R) -> Self {
        let check = WriteItem::Check { key: row.key().attributes(), version: row.version(), same: Vec::new() };
        self.parts.push(check);
        self
    }

    /// As [`Commit::require_unchanged`], and also if an attribute has changed that is written without a new version.
    #[must_use]
    pub(crate) fn require_all_unchanged<R: Row>(mut self, row: &R) -> Self {
        let same = stored_values(row, R::UNVERSIONED.iter().copied());
        self.parts.push(WriteItem::Check { key: row.key().attributes(), version: row.version(), same });
        self
    }

    /// Fails the commit if a row exists that was absent when it was read.
    #[must_use]
    pub(crate) fn require_absent(mut self, key: &RowKey) -> Self {
        self.parts.push(WriteItem::CheckAbsent { key: key.attributes() });
        self
    }

    /// Fails the commit if an attribute of a row that it writes has changed since the read: for attributes that
    /// are written without a new version.
    #[must_use]
    pub fn require_attribute_unchanged<R: Row>(mut self, row: &R, attribute: &'static str) -> Self {
        let key = row.key().attributes();
        match to_item(row) {
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
            Ok(mut item) => {
                let value = stored(row).and_then(|stored| stored.get(attribute).cloned()).or(item.remove(attribute));
                for part in &mut self.parts {
                    if let (WriteItem::Update { key: changed, update }, Some(value)) = (part, &value)
                        && *changed == key
                    {
                        update.same.push((attribute, Some(value.clone())));
                    }
                }
            }
        }
        self
    }

    /// Sets a time in a row and leaves the row's version, so that it never collides with an administrator's change; and
    /// puts the index row that follows from the time. Fails if the row is missing, or has another version than `version`
    /// if that is given.
    #[must_use]
    pub(crate) fn set_time(
        mut self,
        key: &RowKey,
        attribute: &'static str,
        time: Time,
        version: Option<u64>,
        index_row: &IndexRow,
    ) -> Self {
        self.parts.push(WriteItem::SetTime { key: key.attributes(), attribute, time, version });
        self.put_index_row(index_row);
        self
    }

    /// Adds to numbers of a row without a condition. `rest` are the other attributes of the row, if it is new.
    #[must_use]
    pub(crate) fn add_numbers(mut self, key: &RowKey, numbers: BTreeMap<String, i128>, rest: Item) -> Self {
        self.parts.push(WriteItem::Add { key: key.attributes(), numbers, rest });
        self
    }

    /// Makes the commit fail with an error.
    #[must_use]
    pub(crate) fn fail_with(mut self, fault: Error) -> Self {
        self.fault = self.fault.or(Some(fault));
        self
    }

    /// Puts a row of secrets.
    #[must_use]
    pub(crate) fn put_secret(mut self, item: Item) -> Self {
        self.parts.push(WriteItem::PutSecret { item });
        self
    }

    /// Sets or removes some secrets of a row; the others stay.
    #[must_use]
    pub(crate) fn set_secrets(mut self, pk: String, secrets: BTreeMap<&'static str, Option<String>>) -> Self {
        self.parts.push(WriteItem::SetSecrets { pk, secrets });
        self
    }

    /// Deletes a row of secrets.
    #[must_use]
    pub(crate) fn delete_secret(mut self, pk: String) -> Self {
        self.parts.push(WriteItem::DeleteSecret { pk });
        self
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// True if the commit has no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Puts a claim under a condition. Does nothing if the commit already puts this claim.
    pub(crate) fn put_claim(mut self, claim: &IndexRow, expected: PutCondition) -> Self {
        let key = claim.key.attributes();
        let own = self.parts.iter_mut().find_map(|part| match part {
            WriteItem::Put { item, condition } if key.iter().all(|(name, value)| item.get(name) == Some(value)) => {
                Some(condition)
            }
            _ => None,
        });
        match own {
            Some(condition) => *condition = expected,
            None => self.parts.push(WriteItem::Put { item: claim.item(), condition: expected }),
        }
        self
    }

    /// True if the commit writes or checks a row.
    pub(crate) fn includes_key(&self, key: &RowKey) -> bool {
        let expected = key.attributes();
        self.parts.iter().any(|part| match part {
            WriteItem::Put { item, .. } => expected.iter().all(|(name, value)| item.get(name) == Some(value)),
            WriteItem::Update { key, .. }
            | WriteItem::UpdateDetails { key, .. }
            | WriteItem::MarkCounted { key }
            | WriteItem::SetTime { key, .. }
            | WriteItem::Add { key, .. }
            | WriteItem::Delete { key, .. }
            | WriteItem::Release { key, .. }
            | WriteItem::Check { key, .. }
            | WriteItem::CheckAbsent { key } => *key == expected,
            WriteItem::PutSecret { .. } | WriteItem::SetSecrets { .. } | WriteItem::DeleteSecret { .. } => false,
        })
    }

    /// Removes the requirement that a row is absent, after the caller has checked the row.
    pub(crate) fn drop_require_absent(mut self, key: &RowKey) -> Self {
        let expected = key.attributes();
        self.parts.retain(|part| !matches!(part, WriteItem::CheckAbsent { key } if *key == expected));
        self
    }

    /// Deletes a user's claim, if it is still theirs.
    pub(crate) fn delete_claim_of(mut self, key: &RowKey, holder: UserId) -> Self {
        self.parts.push(WriteItem::Release { key: key.attributes(), holder });
        self
    }

    fn add_item(&mut self, item: Result<Item, Error>, condition: PutCondition) {
        match item {
            Ok(item) => {
                let (item, second) = details::split(item);
                self.parts.push(WriteItem::Put { item, condition });
                self.parts.extend(second.map(|item| WriteItem::Put { item, condition: PutCondition::Any }));
            }
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
        }
    }

    fn update_details(&mut self, main: &RowKey, difference: &mut Difference) {
        if let (Some(changed), Some(key)) = (difference.take_details(), details::key_beside(main)) {
            self.parts.push(WriteItem::UpdateDetails { key: key.attributes(), difference: Box::new(changed) });
        }
    }

    fn put_index_row(&mut self, index_row: &IndexRow) {
        let condition = if index_row.unique { PutCondition::Absent } else { PutCondition::Any };
        self.parts.push(WriteItem::Put { item: index_row.item(), condition });
    }

    fn edit_index_rows(&mut self, before: &BTreeSet<IndexRow>, after: &BTreeSet<IndexRow>) {
        // An index row with the same key and other content replaces the old one.
        let stays = |gone: &IndexRow| after.iter().any(|index_row| index_row.key == gone.key);
        for gone in before.difference(after).filter(|gone| !stays(gone)) {
            self.parts.push(WriteItem::Delete { key: gone.key.attributes(), version: None });
        }
        for new in after.difference(before) {
            self.put_index_row(new);
        }
    }

    /// Removes index rows of an earlier release that a row no longer has, whether or not they are there. Unique ones
    /// have rules of their own: see `usernames.rs`.
    fn remove_former_index_rows(&mut self, before: &BTreeSet<IndexRow>, after: &BTreeSet<IndexRow>) {
        for gone in before.difference(after).filter(|gone| !gone.unique) {
            self.parts.push(WriteItem::Delete { key: gone.key.attributes(), version: None });
        }
    }

    /// Builds the transaction.
    pub(crate) fn finish(self, names: &TableNames) -> Result<Transaction, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.parts.len() > ITEM_LIMIT {
            return Err(Error::internal("committing", "a transaction would exceed its item limit"));
        }
        let items = self.parts.into_iter().map(|part| part.finish(names)).collect::<Result<_, _>>()?;
        let committed = Committed { versions: self.versions };
        Ok(Transaction { token: self.token.to_string(), items, event_index: self.event_index, committed })
    }
}

/// Those of [`Row::REPLACED_INDEXES`] whose attributes an update removes.
fn replaced_indexes<R: Row>(difference: &Difference) -> Vec<&'static (&'static str, &'static str)> {
    R::REPLACED_INDEXES.iter().filter(|(attribute, _)| difference.remove.contains(*attribute)).collect()
}

/// Attributes of a row as it was read, to be required unchanged.
fn stored_values<R: Row>(
    row: &R,
    attributes: impl Iterator<Item = &'static str>,
) -> Vec<(&'static str, Option<AttributeValue>)> {
    let value = |attribute: &str| stored(row).and_then(|stored| stored.get(attribute).cloned());
    attributes.map(|attribute| (attribute, value(attribute))).collect()
}

/// The attribute of events that are in the count of their day.
pub(crate) const COUNTED: &str = "counted";

/// The attribute with the number of a row of counts.
pub(crate) const COUNT: &str = "n";

const ABSENT: &str = "attribute_not_exists(pk)";
const PRESENT: &str = "attribute_exists(pk)";
const HELD: &str = "user_id = :holder";

impl PutCondition {
    /// The condition expression, and the name and text of its value.
    fn condition(self) -> (Option<String>, Option<(&'static str, String)>) {
        let of = |holder: UserId| Some((":holder", holder.to_string()));
        match self {
            Self::Absent => (Some(ABSENT.to_owned()), None),
            Self::Any => (None, None),
            Self::ClaimOf(holder) => (Some(HELD.to_owned()), of(holder)),
            Self::AbsentOrClaimOf(holder) => (Some(format!("{ABSENT} OR {HELD}")), of(holder)),
            Self::RecordUntil(time) => (Some("expires_at = :until".to_owned()), Some((":until", time.to_string()))),
        }
    }
}

impl WriteItem {
    fn finish(self, names: &TableNames) -> Result<TransactWriteItem, Error> {
        let item = TransactWriteItem::builder();
        let broken = |e| Error::internal("building a commit", e);
        Ok(match self {
            WriteItem::Put { item: row, condition } => {
                let (condition, value) = condition.condition();
                let put =
                    Put::builder().table_name(&names.main).set_item(Some(row)).set_condition_expression(condition);
                let put = match value {
                    Some((name, text)) => put.expression_attribute_values(name, AttributeValue::S(text)),
                    None => put,
                };
                item.put(put.build().map_err(broken)?).build()
            }
            WriteItem::Release { key, holder } => {
                let delete = Delete::builder().table_name(&names.main).set_key(Some(key));
                let delete = delete.condition_expression(HELD);
                let holder = AttributeValue::S(holder.to_string());
                item.delete(delete.expression_attribute_values(":holder", holder).build().map_err(broken)?).build()
            }
            WriteItem::Update { key, update } => item.update(update.finish(names, key).map_err(broken)?).build(),
            WriteItem::UpdateDetails { key, difference } => {
                let update = Update::builder().table_name(&names.main).set_key(Some(key));
                let mut clauses = Clauses::default();
                let update = with_set_and_remove(update, &mut clauses, difference.set, difference.remove);
                item.update(update.update_expression(clauses.join()).build().map_err(broken)?).build()
            }
            WriteItem::MarkCounted { key } => {
                let update = Update::builder().table_name(&names.main).set_key(Some(key));
                let update = update.update_expression(format!("SET {COUNTED} = :true"));
                let update = update.condition_expression(format!("{PRESENT} AND attribute_not_exists({COUNTED})"));
                let update = update.expression_attribute_values(":true", AttributeValue::Bool(true));
                item.update(update.build().map_err(broken)?).build()
            }
            WriteItem::SetTime { key, attribute, time, version } => {
                item.update(time_update(names, key, attribute, time, version).map_err(broken)?).build()
            }
            WriteItem::Add { key, numbers, rest } => {
                item.update(addition(names, key, numbers, rest).map_err(broken)?).build()
            }
            WriteItem::Delete { key, version } => {
                let mut delete = Delete::builder().table_name(&names.main).set_key(Some(key));
                if let Some(version) = version {
                    delete = delete
                        .condition_expression("#version = :version")
                        .expression_attribute_names("#version", "version")
                        .expression_attribute_values(":version", AttributeValue::N(version.to_string()));
                }
                item.delete(delete.build().map_err(broken)?).build()
            }
            WriteItem::Check { key, version, same } => {
                let mut condition = "#version = :version".to_owned();
                let mut check = ConditionCheck::builder()
                    .table_name(&names.main)
                    .set_key(Some(key))
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":version", AttributeValue::N(version.to_string()));
                for (at, (name, value)) in same.into_iter().enumerate() {
                    condition.push_str(&is_same(at, value.is_some()));
                    check = check.expression_attribute_names(format!("#e{at}"), name);
                    if let Some(value) = value {
                        check = check.expression_attribute_values(format!(":e{at}"), value);
                    }
                }
                let check = check.condition_expression(condition);
                item.condition_check(check.build().map_err(broken)?).build()
            }
            WriteItem::CheckAbsent { key } => {
                let check =
                    ConditionCheck::builder().table_name(&names.main).set_key(Some(key)).condition_expression(ABSENT);
                item.condition_check(check.build().map_err(broken)?).build()
            }
            WriteItem::PutSecret { item: row } => {
                let put = Put::builder().table_name(&names.secrets).set_item(Some(row));
                item.put(put.build().map_err(broken)?).build()
            }
            WriteItem::SetSecrets { pk, secrets } => {
                item.update(secrets_update(names, pk, secrets).map_err(broken)?).build()
            }
            WriteItem::DeleteSecret { pk } => {
                let delete = Delete::builder().table_name(&names.secrets).key("pk", AttributeValue::S(pk));
                item.delete(delete.build().map_err(broken)?).build()
            }
        })
    }
}

fn time_update(
    names: &TableNames,
    key: Item,
    attribute: &'static str,
    time: Time,
    version: Option<u64>,
) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
    let update = Update::builder()
        .table_name(&names.main)
        .set_key(Some(key))
        .update_expression(format!("SET {attribute} = :time REMOVE {LOGIN_DAY}"))
        .expression_attribute_values(":time", AttributeValue::S(time.to_string()));
    match version {
        None => update.condition_expression(PRESENT).build(),
        Some(version) => update
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .build(),
    }
}

fn addition(
    names: &TableNames,
    key: Item,
    numbers: BTreeMap<String, i128>,
    rest: Item,
) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
    let mut update = Update::builder().table_name(&names.main).set_key(Some(key));
    let mut clauses = Clauses::default();
    for (at, (name, value)) in rest.into_iter().enumerate() {
        clauses.set.push(format!("#s{at} = if_not_exists(#s{at}, :s{at})"));
        update = update.expression_attribute_names(format!("#s{at}"), name);
        update = update.expression_attribute_values(format!(":s{at}"), value);
    }
    for (at, (name, number)) in numbers.into_iter().enumerate() {
        clauses.add.push(format!("#a{at} :a{at}"));
        update = update.expression_attribute_names(format!("#a{at}"), name);
        update = update.expression_attribute_values(format!(":a{at}"), AttributeValue::N(number.to_string()));
    }
    update.update_expression(clauses.join()).build()
}

fn secrets_update(
    names: &TableNames,
    pk: String,
    secrets: BTreeMap<&'static str, Option<String>>,
) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
    let mut update = Update::builder().table_name(&names.secrets).key("pk", AttributeValue::S(pk));
    let mut clauses = Clauses::default();
    for (at, (name, secret)) in secrets.into_iter().enumerate() {
        update = update.expression_attribute_names(format!("#s{at}"), name);
        match secret {
            Some(secret) => {
                clauses.set.push(format!("#s{at} = :s{at}"));
                update = update.expression_attribute_values(format!(":s{at}"), AttributeValue::S(secret));
            }
            None => clauses.remove.push(format!("#s{at}")),
        }
    }
    update.update_expression(clauses.join()).build()
}

/// The condition that attribute number `at` is the same as when it was read.
fn is_same(at: usize, is_there: bool) -> String {
    if is_there { format!(" AND #e{at} = :e{at}") } else { format!(" AND attribute_not_exists(#e{at})") }
}

impl UpdateParts {
    fn finish(self, names: &TableNames, key: Item) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
        let mut update = Update::builder().table_name(&names.main).set_key(Some(key));
        let mut clauses = Clauses::default();
        let mut condition = PRESENT.to_owned();
        if let Some(version) = self.version {
            clauses.set.push("#version = :next".to_owned());
            update = update
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
                .expression_attribute_values(":next", AttributeValue::N((version + 1).to_string()));
            "#version = :version".clone_into(&mut condition);
        }
        for (at, (name, value)) in self.same.into_iter().enumerate() {
            condition.push_str(&is_same(at, value.is_some()));
            update = update.expression_attribute_names(format!("#e{at}"), name);
            if let Some(value) = value {
                update = update.expression_attribute_values(format!(":e{at}"), value);
            }
        }
        let Difference { set, remove, add, delete } = self.difference;
        update = with_set_and_remove(update, &mut clauses, set, remove);
        for (at, (name, members)) in add.into_iter().enumerate() {
            if let Some((_, limit)) = self.limits.iter().find(|(set, _)| *set == name) {
                // The set must stay within its limit, whatever the calling code checked.
                condition.push_str(&format!(" AND (attribute_not_exists(#a{at}) OR size(#a{at}) < :limit{at})"));
                let limit = AttributeValue::N(limit.to_string());
                update = update.expression_attribute_values(format!(":limit{at}"), limit);
            }
            clauses.add.push(format!("#a{at} :a{at}"));
            update = update.expression_attribute_names(format!("#a{at}"), name);
            update = update.expression_attribute_values(format!(":a{at}"), AttributeValue::Ss(members));
        }
        for (at, (name, members)) in delete.into_iter().enumerate() {
            clauses.delete.push(format!("#d{at} :d{at}"));
            update = update.expression_attribute_names(format!("#d{at}"), name);
            update = update.expression_attribute_values(format!(":d{at}"), AttributeValue::Ss(members));
        }
        update.update_expression(clauses.join()).condition_expression(condition).build()
    }
}

/// An update that also sets and removes attributes.
fn with_set_and_remove(
    mut update: UpdateBuilder,
    clauses: &mut Clauses,
    set: BTreeMap<String, AttributeValue>,
    remove: BTreeSet<String>,
) -> UpdateBuilder {
    for (at, (name, value)) in set.into_iter().enumerate() {
        clauses.set.push(format!("#s{at} = :s{at}"));
        update = update.expression_attribute_names(format!("#s{at}"), name);
        update = update.expression_attribute_values(format!(":s{at}"), value);
    }
    for (at, name) in remove.into_iter().enumerate() {
        clauses.remove.push(format!("#r{at}"));
        update = update.expression_attribute_names(format!("#r{at}"), name);
    }
    update
}

#[derive(Default)]
struct Clauses {
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    delete: Vec<String>,
}

impl Clauses {
    fn join(self) -> String {
        let clauses = [("SET", self.set), ("REMOVE", self.remove), ("ADD", self.add), ("DELETE", self.delete)];
        let written = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        written.map(|(word, parts)| format!("{word} {}", parts.join(", "))).collect::<Vec<_>>().join(" ")
    }
}
