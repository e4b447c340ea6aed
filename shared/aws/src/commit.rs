//! The commit: everything that a change does, in one `TransactWriteItems`.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use domain::error::Error;
use domain::models::event::Event;
use domain::rules::change::{ChangeSet, ProfileGrant, RowChange};
use domain::{EventId, Time, UserId};
use uuid::Uuid;

use crate::item::{Difference, IndexRow, Item, Key, Row, stored, to_item, to_whole_item};
use crate::table::TableNames;

/// The most items that DynamoDB takes in one transaction ("Amazon DynamoDB Developer Guide",
/// Transactions).
pub const ITEM_LIMIT: usize = 100;

/// A change in the making. The first thing that cannot be written down is kept, and refuses the
/// whole commit.
#[derive(Debug)]
pub struct Commit {
    token: Uuid,
    parts: Vec<WriteItem>,
    fault: Option<Error>,
    event_at: Option<usize>,
    /// When the act was that is on the record.
    at: Option<Time>,
    /// The versions that the changed rows will have.
    versions: BTreeMap<Key, u64>,
}

/// A commit as DynamoDB takes it.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// By which DynamoDB knows a repeated request.
    pub token: String,
    /// At most [`ITEM_LIMIT`].
    pub items: Vec<TransactWriteItem>,
    /// Which of the items is the event's.
    pub event_at: Option<usize>,
    /// What it will have come to.
    pub committed: Committed,
}

/// What a commit that was made has come to.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    versions: BTreeMap<Key, u64>,
}

impl Committed {
    /// A row of the commit as it is now: with the version that the commit has given it.
    #[must_use]
    pub fn now<R: Row>(&self, mut row: R) -> R {
        if let Some(version) = self.versions.get(&row.key()) {
            row.set_version(*version);
        }
        row
    }
}

/// One row's part of a commit, not yet bound to a table.
#[derive(Debug)]
enum WriteItem {
    Put { item: Item, over: PutCondition },
    Update { key: Item, update: Box<UpdateParts> },
    Delete { key: Item, version: Option<u64> },
    Release { key: Item, holder: UserId },
    Check { key: Item, version: u64 },
    CheckAbsent { key: Item },
    PutSecret { item: Item },
    SetSecrets { pk: String, secrets: BTreeMap<&'static str, Option<String>> },
    DeleteSecret { pk: String },
}

/// What a row that is put may take the place of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PutCondition {
    /// Nothing.
    Nothing,
    /// Whatever stands there.
    Anything,
    /// The claim of a user.
    ClaimOf(UserId),
    /// Nothing, or the claim of a user.
    NothingOrClaimOf(UserId),
}

#[derive(Debug)]
struct UpdateParts {
    difference: Difference,
    /// The version that it must have; that it must be there, if it has none.
    version: Option<u64>,
    /// Sets that grow, each with how many members it must have had fewer than.
    limits: Vec<(String, usize)>,
    /// Attributes that must be as they were read, although no version tells of their changes.
    same: Vec<(&'static str, AttributeValue)>,
}

impl Commit {
    /// A change that is recorded by an event, whose identifier makes repeating it safe.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let mut commit = Self::without_event(event.event_id);
        commit.event_at = Some(0);
        commit.at = Some(event.created_at);
        commit.put(event)
    }

    /// Everything that an act changes. `id` is the act's own; its events are numbered from there.
    #[must_use]
    pub fn changing(id: EventId, change: &ChangeSet) -> Self {
        let mut commit = Self::without_event(id);
        commit.event_at = (!change.events.is_empty()).then_some(0);
        commit.at = change.events.first().map(|event| event.created_at);
        for (n, event) in change.events.iter().enumerate() {
            commit = commit.put(&Event { event_id: id.nth(n), ..event.clone() });
        }
        commit = match &change.user {
            // What is decided for a user's devices rests on the user, so the user's row is part of it
            // even if it stays as it is.
            Some(RowChange { before: Some(before), after }) => commit.bump_version(before, after),
            Some(RowChange { before: None, after }) => commit.put(after),
            None => commit,
        };
        commit = commit.all(&change.workspace);
        commit = change.devices.iter().fold(commit, |commit, device| match &device.before {
            // A device's version stands for what is attached to it as well.
            Some(before) if change.attachments.iter().any(|attached| attached.after.device_id == before.device_id) => {
                commit.bump_version(before, &device.after)
            }
            _ => commit.edited(device),
        });
        commit = commit.all(&change.attachments).all(&change.push_token).all(&change.claims);
        commit = commit.all(&change.commands).all(&change.invitations).all(&change.usage);
        commit = commit.all(&change.profile).all(&change.job);
        commit = change.invitations.iter().fold(commit, |commit, invitation| commit.forget_code(&invitation.after));
        if let (Some(code), Some(made)) = (&change.secrets.code, change.new_invitation()) {
            commit = commit.keep_code(made, code);
        }
        if let Some(counted) = &change.counted {
            commit = commit.edited(&counted.to).edited(&counted.today);
        }
        if let Some(ProfileGrant { profile, note }) = &change.profile_grant {
            commit = commit.giving(profile, note.as_ref());
        }
        match &change.user {
            // A user's secrets go with the last that is known of them.
            Some(RowChange { before: Some(before), after }) if after.client.secrets.is_empty() => {
                commit.forget_secrets(before)
            }
            Some(RowChange { after, .. }) if !change.secrets.of_user.is_empty() => {
                commit.keep_secrets(after, &change.secrets.of_user)
            }
            _ => commit,
        }
    }

    fn all<'a, R: Row + 'a>(self, edited: impl IntoIterator<Item = &'a RowChange<R>>) -> Self {
        edited.into_iter().fold(self, Self::edited)
    }

    /// Another event of the act whose own is `first`.
    #[must_use]
    pub fn also(self, first: EventId, n: usize, event: &Event) -> Self {
        self.put(&Event { event_id: first.nth(n), ..event.clone() })
    }

    /// A change without an event: what a consumer keeps of its own work, and what makes up for a
    /// lost answer.
    #[must_use]
    pub fn without_event(id: EventId) -> Self {
        Self { token: id.0, parts: Vec::new(), fault: None, event_at: None, at: None, versions: BTreeMap::new() }
    }

    /// A new row, and its index rows.
    #[must_use]
    pub fn put<R: Row>(mut self, row: &R) -> Self {
        self.add_item(to_item(row), PutCondition::Nothing);
        for index_row in row.index_rows() {
            self.put_index_row(&index_row);
        }
        self.all_vacant(row.vacant())
    }

    /// A new row, or one that takes the place of whatever stands there: for bookkeeping rows whose
    /// earlier state has no bearing. Of one that was read, what another release keeps in it stays.
    #[must_use]
    pub fn replace<R: Row>(mut self, row: &R) -> Self {
        self.add_item(to_whole_item(row), PutCondition::Anything);
        self
    }

    /// A changed row, guarded by the version at which it was read; its index rows follow. Nothing
    /// if nothing changed.
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
                    self.fault = self.fault.or(Some(Error::internal("committing", "more members than a set may have")));
                    return self;
                }
                // A set that grows by one must have had fewer members than its limit; by two, fewer than one less.
                let limits = grown.into_iter().map(|(set, added, limit)| (set, limit + 1 - added)).collect();
                let difference = difference.at::<R>(self.at);
                let version = R::VERSIONED.then(|| before.version());
                self.versions.extend(version.map(|version| (before.key(), version + 1)));
                let update = Box::new(UpdateParts { difference, version, limits, same: Vec::new() });
                self.parts.push(WriteItem::Update { key: before.key().attributes(), update });
                self.edit_index_rows(&before.index_rows(), &after.index_rows());
                let known = before.vacant();
                return self.all_vacant(after.vacant().into_iter().filter(|key| !known.contains(key)));
            }
        }
        self
    }

    fn all_vacant(self, keys: impl IntoIterator<Item = Key>) -> Self {
        let vacant = |commit: Self, key: Key| if commit.concerns(&key) { commit } else { commit.while_absent(&key) };
        keys.into_iter().fold(self, vacant)
    }

    /// A row whose version goes up even if nothing else of it changes: the version stands for more
    /// than the row.
    #[must_use]
    pub fn bump_version<R: Row>(mut self, before: &R, after: &R) -> Self {
        let parts = self.parts.len();
        self = self.edit(before, after);
        if self.parts.len() == parts {
            let difference = Difference::to_restore(before);
            self = self.with_difference(before, difference);
        }
        self
    }

    /// A row made as this release keeps its thing, where an earlier or a later release left it otherwise. Nothing if
    /// the row stands so already.
    #[must_use]
    pub(crate) fn restored<R: Row>(self, row: &R) -> Self {
        match Difference::to_restore(row) {
            Ok(difference) if difference.is_empty() => self,
            difference => self.with_difference(row, difference),
        }
    }

    fn with_difference<R: Row>(mut self, row: &R, difference: Result<Difference, Error>) -> Self {
        match difference {
            Err(fault) => self.fault = self.fault.or(Some(fault)),
            Ok(difference) => {
                let difference = difference.at::<R>(self.at);
                let version = R::VERSIONED.then(|| row.version());
                self.versions.extend(version.map(|version| (row.key(), version + 1)));
                let update = UpdateParts { difference, version, limits: Vec::new(), same: Vec::new() };
                self.parts.push(WriteItem::Update { key: row.key().attributes(), update: Box::new(update) });
            }
        }
        self
    }

    /// A new or changed row.
    #[must_use]
    pub fn edited<R: Row>(self, edited: &RowChange<R>) -> Self {
        match &edited.before {
            Some(before) => self.edit(before, &edited.after),
            None => self.put(&edited.after),
        }
    }

    /// A row removed, guarded by its version, with its index rows.
    #[must_use]
    pub fn delete<R: Row>(mut self, row: &R) -> Self {
        self.parts.push(WriteItem::Delete { key: row.key().attributes(), version: Some(row.version()) });
        self.edit_index_rows(&row.index_rows(), &BTreeSet::new());
        self
    }

    /// An index row that is missing.
    #[must_use]
    pub(crate) fn with_index_row(mut self, index_row: &IndexRow) -> Self {
        self.put_index_row(index_row);
        self
    }

    /// A row removed by its key, whatever it holds.
    #[must_use]
    pub(crate) fn remove(mut self, key: &Key) -> Self {
        self.parts.push(WriteItem::Delete { key: key.attributes(), version: None });
        self
    }

    /// Nothing of this is done if a row, that it does not change, is no longer as it was read.
    #[must_use]
    pub fn guarded_by<R: Row>(mut self, row: &R) -> Self {
        self.parts.push(WriteItem::Check { key: row.key().attributes(), version: row.version() });
        self
    }

    /// Nothing of this is done if a row is there that was not when it was looked for.
    #[must_use]
    pub(crate) fn while_absent(mut self, key: &Key) -> Self {
        self.parts.push(WriteItem::CheckAbsent { key: key.attributes() });
        self
    }

    /// Nothing of this is done if an attribute of a row that it changes is no longer as it was
    /// read: for one that is written without a new version.
    #[must_use]
    pub fn while_same<R: Row>(mut self, row: &R, attribute: &'static str) -> Self {
        let key = row.key().attributes();
        match to_item(row) {
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
            Ok(mut item) => {
                let value = stored(row).and_then(|stored| stored.get(attribute).cloned()).or(item.remove(attribute));
                for part in &mut self.parts {
                    if let (WriteItem::Update { key: changed, update }, Some(value)) = (part, &value)
                        && *changed == key
                    {
                        update.same.push((attribute, value.clone()));
                    }
                }
            }
        }
        self
    }

    /// A change that cannot be written down, and is refused as a whole.
    #[must_use]
    pub(crate) fn faulty(mut self, fault: Error) -> Self {
        self.fault = self.fault.or(Some(fault));
        self
    }

    /// A secret kept.
    #[must_use]
    pub(crate) fn put_secret(mut self, item: Item) -> Self {
        self.parts.push(WriteItem::PutSecret { item });
        self
    }

    /// Some secrets of one row set, or taken away; the others stay.
    #[must_use]
    pub(crate) fn set_secrets(mut self, pk: String, secrets: BTreeMap<&'static str, Option<String>>) -> Self {
        self.parts.push(WriteItem::SetSecrets { pk, secrets });
        self
    }

    /// A secret forgotten.
    #[must_use]
    pub(crate) fn delete_secret(mut self, pk: String) -> Self {
        self.parts.push(WriteItem::DeleteSecret { pk });
        self
    }

    /// How many items the commit has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// True if nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A claim put where only this may stand. One that the commit puts there already is that one.
    pub(crate) fn put_claim(mut self, claim: &IndexRow, wanted: PutCondition) -> Self {
        let key = claim.key.attributes();
        let own = self.parts.iter_mut().find_map(|part| match part {
            WriteItem::Put { item, over } if key.iter().all(|(name, value)| item.get(name) == Some(value)) => {
                Some(over)
            }
            _ => None,
        });
        match own {
            Some(over) => *over = wanted,
            None => self.parts.push(WriteItem::Put { item: claim.item(), over: wanted }),
        }
        self
    }

    /// True if a row is changed by it, or looked at.
    pub(crate) fn concerns(&self, key: &Key) -> bool {
        let wanted = key.attributes();
        self.parts.iter().any(|part| match part {
            WriteItem::Put { item, .. } => wanted.iter().all(|(name, value)| item.get(name) == Some(value)),
            WriteItem::Update { key, .. }
            | WriteItem::Delete { key, .. }
            | WriteItem::Release { key, .. }
            | WriteItem::Check { key, .. }
            | WriteItem::CheckAbsent { key } => *key == wanted,
            WriteItem::PutSecret { .. } | WriteItem::SetSecrets { .. } | WriteItem::DeleteSecret { .. } => false,
        })
    }

    /// Whatever stands at a key is none of its concern, because somebody has looked at it.
    pub(crate) fn not_while_absent(mut self, key: &Key) -> Self {
        let wanted = key.attributes();
        self.parts.retain(|part| !matches!(part, WriteItem::CheckAbsent { key } if *key == wanted));
        self
    }

    /// A user's claim removed, if it is still theirs.
    pub(crate) fn release(mut self, key: &Key, holder: UserId) -> Self {
        self.parts.push(WriteItem::Release { key: key.attributes(), holder });
        self
    }

    fn add_item(&mut self, item: Result<Item, Error>, over: PutCondition) {
        match item {
            Ok(item) => self.parts.push(WriteItem::Put { item, over }),
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
        }
    }

    fn put_index_row(&mut self, index_row: &IndexRow) {
        let over = if index_row.unique { PutCondition::Nothing } else { PutCondition::Anything };
        self.parts.push(WriteItem::Put { item: index_row.item(), over });
    }

    fn edit_index_rows(&mut self, before: &BTreeSet<IndexRow>, after: &BTreeSet<IndexRow>) {
        // One that holds something else is put in its own place.
        let stays = |gone: &IndexRow| after.iter().any(|index_row| index_row.key == gone.key);
        for gone in before.difference(after).filter(|gone| !stays(gone)) {
            self.parts.push(WriteItem::Delete { key: gone.key.attributes(), version: None });
        }
        for new in after.difference(before) {
            self.put_index_row(new);
        }
    }

    /// The transaction that makes it.
    pub(crate) fn finish(self, names: &TableNames) -> Result<Transaction, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.parts.len() > ITEM_LIMIT {
            return Err(Error::internal("committing", "more items than one transaction takes"));
        }
        let items = self.parts.into_iter().map(|part| part.finish(names)).collect::<Result<_, _>>()?;
        let committed = Committed { versions: self.versions };
        Ok(Transaction { token: self.token.to_string(), items, event_at: self.event_at, committed })
    }
}

const ABSENT: &str = "attribute_not_exists(pk)";
const PRESENT: &str = "attribute_exists(pk)";
const HELD: &str = "user_id = :holder";

impl PutCondition {
    /// The condition, and who must be the holder.
    fn condition(self) -> (Option<String>, Option<UserId>) {
        match self {
            Self::Nothing => (Some(ABSENT.to_owned()), None),
            Self::Anything => (None, None),
            Self::ClaimOf(holder) => (Some(HELD.to_owned()), Some(holder)),
            Self::NothingOrClaimOf(holder) => (Some(format!("{ABSENT} OR {HELD}")), Some(holder)),
        }
    }
}

impl WriteItem {
    fn finish(self, names: &TableNames) -> Result<TransactWriteItem, Error> {
        let item = TransactWriteItem::builder();
        let broken = |e| Error::internal("building a commit", e);
        Ok(match self {
            WriteItem::Put { item: row, over } => {
                let (condition, holder) = over.condition();
                let put =
                    Put::builder().table_name(&names.main).set_item(Some(row)).set_condition_expression(condition);
                let put = match holder {
                    Some(holder) => put.expression_attribute_values(":holder", AttributeValue::S(holder.to_string())),
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
            WriteItem::Check { key, version } => {
                let check = ConditionCheck::builder()
                    .table_name(&names.main)
                    .set_key(Some(key))
                    .condition_expression("#version = :version")
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":version", AttributeValue::N(version.to_string()));
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
            condition.push_str(&format!(" AND #e{at} = :e{at}"));
            update = update.expression_attribute_names(format!("#e{at}"), name);
            update = update.expression_attribute_values(format!(":e{at}"), value);
        }
        let Difference { set, remove, add, delete } = self.difference;
        for (at, (name, value)) in set.into_iter().enumerate() {
            clauses.set.push(format!("#s{at} = :s{at}"));
            update = update.expression_attribute_names(format!("#s{at}"), name);
            update = update.expression_attribute_values(format!(":s{at}"), value);
        }
        for (at, name) in remove.into_iter().enumerate() {
            clauses.remove.push(format!("#r{at}"));
            update = update.expression_attribute_names(format!("#r{at}"), name);
        }
        for (at, (name, members)) in add.into_iter().enumerate() {
            if let Some((_, limit)) = self.limits.iter().find(|(set, _)| *set == name) {
                // The set may grow only to its limit, whatever the code that came here believes.
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
