//! Usernames that move between users within a source: a row's username belongs to another user, who gives it up by a
//! row of their own or has no row any more.
//!
//! The row of the user who has the name is processed first, and so on along the chain up to a free name. In a cycle,
//! one user gets a temporary name that nobody else can have. The whole chain is checked before anything is changed:
//! if one user cannot be renamed, none is, and the row fails.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws::{Commit, retry_on_conflict};
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::models::job::{ItemOutcome, Selection};
use domain::models::source::VanishPolicy;
use domain::models::source::data::{KeyHash, Row, key_hash};
use domain::models::source::{KeyField, SourceKind};
use domain::models::user::User;
use domain::models::workspace::WorkspaceSettings;
use domain::rules::sync as rules;
use domain::rules::sync::MatchCandidates;
use uuid::Uuid;

use super::{BoxedOutcome, CandidatesByRow, ChosenUsers, RowDecision, SyncRun, line};
use crate::sources::stage::{StagedImport, keys_of, page_of};
use crate::users::changes::complete_edit;

/// Maximum length of a chain, so that it can be checked within one run.
const CHAIN: usize = 1000;

/// Rows by the key hash of their users.
type RowsByKey = Arc<HashMap<KeyHash, Row>>;

/// Results cached for one run of a sync.
#[derive(Debug, Default)]
pub(super) struct SyncCache {
    /// The usable rows of an import attempt, by the key hash of their users.
    rows: Mutex<Option<(Uuid, RowsByKey)>>,
    /// Whether users without a row may vanish.
    may_vanish: Mutex<Option<bool>>,
    /// Users found to keep their username, so that chains that end with them are not checked again.
    keeping: Mutex<BTreeSet<UserId>>,
}

/// Outcomes of rows that were processed ahead of others of their page, by line.
pub(super) type DoneAhead = Mutex<BTreeMap<String, ItemOutcome>>;

/// State of a row's username after trying to free it.
pub(super) enum UsernameState {
    /// It was free, or its user keeps it.
    AsItIs,
    /// A dry run, or a row that is refused anyway: these are the candidates as if the name were free.
    WouldBe(Box<MatchCandidates>),
    /// It was freed.
    Clear,
    /// Time ran out before it was freed.
    NoTime,
}

/// Chain of users who hand on their names, starting at a row's username.
enum UsernameChain<'r> {
    /// All can, by these rows. `wanted` is the last username that one of them assigns; the row's own if there are
    /// none.
    Possible { rows: Vec<&'r Row>, end: ChainEnd, wanted: &'r str },
    /// One of them keeps their name.
    Broken,
    /// Time ran out before this was known.
    NoTime,
}

/// End of a chain.
enum ChainEnd {
    /// A free name.
    Free,
    /// The row's own user: a cycle.
    Ring(UserId),
    /// A user without a row.
    Leaver(Box<User>),
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SyncRun<'_> {
    /// Outcome of a row that was processed ahead of its turn.
    pub(super) fn outcome_of_row_ahead(&self, row: &Row) -> Option<ItemOutcome> {
        lock(self.ahead).get(&line(row)).copied()
    }

    /// Frees the username of a row, if its current user can give it up.
    pub(super) fn free_username<'f>(
        &'f self,
        row: &'f Row,
        found: &'f MatchCandidates,
        taken: &'f StagedImport,
        chosen: Option<&'f ChosenUsers>,
        settings: &'f WorkspaceSettings,
    ) -> BoxedOutcome<'f, UsernameState> {
        if !row.faults.is_empty() || !self.is_taken(row, found) {
            return Box::pin(std::future::ready(Ok(UsernameState::AsItIs)));
        }
        Box::pin(self.free_taken_username(row, taken, chosen, settings))
    }

    fn is_taken(&self, row: &Row, found: &MatchCandidates) -> bool {
        matches!(rules::match_user(self.source, row, found), Err(DomainError::UsernameTaken))
    }

    /// Frees a username that was taken when its page was started.
    async fn free_taken_username(
        &self,
        row: &Row,
        taken: &StagedImport,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<UsernameState, Error> {
        let Some((found, _)) = self.reload_row(row, taken).await? else { return Err(Error::Conflict) };
        let found = &found;
        // An earlier row has freed it.
        if !self.is_taken(row, found) {
            return Ok(UsernameState::Clear);
        }
        let (Some(first), Some(rows)) = (rules::holder_of_username(self.source, found), self.rows_by_key(taken).await?)
        else {
            return Ok(UsernameState::AsItIs);
        };
        let cleared = rules::without(found, first);
        match Box::pin(self.decide_row(row, &(cleared.clone(), None), chosen, settings)).await {
            Ok(RowDecision::Changed(..)) => {}
            // The refusal is what will be reported.
            Err(Error::Refused(_)) => return Ok(UsernameState::WouldBe(Box::new(cleared))),
            Ok(_) | Err(Error::Internal { .. }) => return Ok(UsernameState::AsItIs),
            Err(failure) => return Err(failure),
        }
        let (rows, end, wanted) = match self.chain_of_holders(row, found, first, &rows, taken, chosen, settings).await?
        {
            UsernameChain::Possible { rows, end, wanted } => (rows, end, wanted),
            UsernameChain::Broken => return Ok(UsernameState::AsItIs),
            UsernameChain::NoTime => return Ok(UsernameState::NoTime),
        };
        if self.job.dry_run {
            return Ok(UsernameState::WouldBe(Box::new(cleared)));
        }
        match end {
            ChainEnd::Free => {}
            ChainEnd::Ring(user) => self.park_user(user).await?,
            ChainEnd::Leaver(leaver) if self.is_parked_for_good(&leaver) => {
                Box::pin(self.take_name(leaver.user_id, wanted)).await?;
            }
            ChainEnd::Leaver(leaver) => self.park_user(leaver.user_id).await?,
        }
        for next in rows.into_iter().rev() {
            if self.deadline.is_over() {
                return Ok(UsernameState::NoTime);
            }
            Box::pin(self.process_ahead(next, taken, chosen, settings)).await?;
        }
        Ok(UsernameState::Clear)
    }

    /// Checks all users of a chain, starting with `first`, who has the row's username. Chains that reach a user
    /// already known to keep their name in this run are not checked further.
    #[expect(clippy::too_many_arguments, reason = "what a row is decided by, and where its chain begins")]
    async fn chain_of_holders<'r>(
        &self,
        row: &'r Row,
        found: &MatchCandidates,
        first: &User,
        rows: &'r HashMap<KeyHash, Row>,
        taken: &StagedImport,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<UsernameChain<'r>, Error> {
        let own = rules::owner(self.source, found).map(|user| user.user_id);
        let (mut chain_of_holders, mut met) = (Vec::new(), Vec::new());
        let (mut holder, mut wanted) = (first.clone(), row.username());
        loop {
            if self.deadline.is_over() {
                return Ok(UsernameChain::NoTime);
            }
            if own == Some(holder.user_id) {
                return Ok(UsernameChain::Possible {
                    rows: chain_of_holders,
                    end: ChainEnd::Ring(holder.user_id),
                    wanted,
                });
            }
            met.push(holder.user_id);
            let keeps = lock(&self.known.keeping).contains(&holder.user_id) || chain_of_holders.len() >= CHAIN;
            let next = self.row_of_user(&holder, row, rows);
            if keeps || next.is_none() && !self.may_take_name(&holder, taken).await? {
                break;
            }
            let Some(next) = next else {
                return Ok(UsernameChain::Possible {
                    rows: chain_of_holders,
                    end: ChainEnd::Leaver(Box::new(holder)),
                    wanted,
                });
            };
            let Some(theirs) = self.row_giving_up_name(&holder, next, wanted, taken, chosen, settings).await? else {
                break;
            };
            chain_of_holders.push(next);
            wanted = next.username();
            match rules::holder_of_username(self.source, &theirs) {
                None => return Ok(UsernameChain::Possible { rows: chain_of_holders, end: ChainEnd::Free, wanted }),
                Some(other) => holder = other.clone(),
            }
        }
        lock(&self.known.keeping).extend(met);
        Ok(UsernameChain::Broken)
    }

    /// The candidates of `next`, the row by which `holder` gives up the wanted name once its own new name is free;
    /// `None` if they keep it.
    async fn row_giving_up_name(
        &self,
        holder: &User,
        next: &Row,
        wanted: &str,
        taken: &StagedImport,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<Option<MatchCandidates>, Error> {
        // A dry run reports a row without having processed it.
        let done = !self.job.dry_run && !self.finished_items([line(next)].into_iter()).await?.is_empty();
        if done || !rules::row_takes_username(self.source, holder, next, wanted) {
            return Ok(None);
        }
        let Some((theirs, _)) = self.find_candidates(&[next], taken).await?.pop() else { return Ok(None) };
        if rules::owner(self.source, &theirs).map(|user| user.user_id) != Some(holder.user_id) {
            return Ok(None);
        }
        let other = rules::holder_of_username(self.source, &theirs);
        let cleared = other.map_or_else(|| theirs.clone(), |other| rules::without(&theirs, other));
        Ok(self.changes_user(next, &cleared, chosen, settings).await?.then_some(theirs))
    }

    /// True if a row would change its user if its username were free.
    async fn changes_user(
        &self,
        row: &Row,
        found: &MatchCandidates,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<bool, Error> {
        match Box::pin(self.decide_row(row, &(found.clone(), None), chosen, settings)).await {
            Ok(decided) => Ok(matches!(decided, RowDecision::Changed(..))),
            Err(Error::Refused(_) | Error::Internal { .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Processes a row ahead of its turn, unless that was done meanwhile.
    async fn process_ahead(
        &self,
        row: &Row,
        taken: &StagedImport,
        chosen: Option<&ChosenUsers>,
        settings: &WorkspaceSettings,
    ) -> Result<(), Error> {
        let id = line(row);
        let done = retry_on_conflict(self.table, || async {
            let Some(found) = self.reload_row(row, taken).await? else { return Ok(None) };
            // A row that changes nothing is reported in its own turn.
            match self.decide_and_commit(row, &found, chosen, settings).await? {
                RowDecision::Changed(_, item) => Ok(Some(Some(item.outcome))),
                _ => Ok(Some(None)),
            }
        });
        // Another run has moved the job on.
        if let Some(outcome) = done.await?.ok_or(Error::Conflict)? {
            lock(self.ahead).insert(id, outcome);
        }
        Ok(())
    }

    /// The row of a user in the source, except `but`.
    fn row_of_user<'r>(&self, user: &User, but: &Row, rows: &'r HashMap<KeyHash, Row>) -> Option<&'r Row> {
        let known = &user.provenance;
        let names = match self.source.key {
            KeyField::ExternalId => vec![known.external_id.as_deref()],
            KeyField::Username => vec![known.source_username.as_deref(), Some(user.username.as_str())],
            KeyField::Unknown(_) => Vec::new(),
        };
        let keys = names.into_iter().flatten().map(|name| key_hash(self.source.key, name));
        keys.filter_map(|key| rows.get(&key)).find(|row| row.line != but.line)
    }

    /// The usable rows of the source, by the key hash of their users; `None` if they have expired.
    async fn rows_by_key(&self, taken: &StagedImport) -> Result<Option<RowsByKey>, Error> {
        let known = lock(&self.known.rows).clone().filter(|(attempt, _)| *attempt == taken.attempt);
        if let Some((_, rows)) = known {
            return Ok(Some(rows));
        }
        let mut rows = HashMap::new();
        for number in 0..taken.pages {
            let Some(page) = page_of(self.table, self.job, self.source, taken, number).await? else {
                return Ok(None);
            };
            let usable = page.into_iter().filter(|row| row.faults.is_empty());
            rows.extend(usable.filter_map(|row| Some((row.key?, row))));
        }
        let rows = Arc::new(rows);
        *lock(&self.known.rows) = Some((taken.attempt, rows.clone()));
        Ok(Some(rows))
    }

    /// True if a user of the source may lose their username: they have no row, the sync is for all users, so many may
    /// vanish, and a rename is allowed.
    async fn may_take_name(&self, user: &User, taken: &StagedImport) -> Result<bool, Error> {
        let all = matches!(self.job.selection, Selection::Filter(_)) && self.source.kind != SourceKind::Scim;
        let own = user.provenance.source_id == Some(self.source.source_id) && user.deleted.is_none();
        if !all || !own || taken.nameless > 0 {
            return Ok(false);
        }
        let Some(keys) = keys_of(self.table, self.job, self.source, taken).await? else { return Ok(false) };
        if rules::has_row(self.source, user, &keys) {
            return Ok(false);
        }
        if self.is_parked_for_good(user)
            && (!rules::may_be_renamed(user) || !user.device_ids.is_empty() && !self.may_wipe)
        {
            return Ok(false);
        }
        if user.provenance.vanished_at.is_some() {
            return Ok(true);
        }
        let known = *lock(&self.known.may_vanish);
        if let Some(may_vanish) = known {
            return Ok(may_vanish);
        }
        let (users, vanishing) = self.all_vanishing(&keys).await?;
        let may_vanish = !rules::too_many_vanish(self.source, vanishing, users);
        *lock(&self.known.may_vanish) = Some(may_vanish);
        Ok(may_vanish)
    }

    /// Number of users of the source, and how many of them have no row.
    async fn all_vanishing(&self, keys: &[KeyHash]) -> Result<(u64, u64), Error> {
        let (mut users, mut vanishing, mut start) = (0, 0, None);
        loop {
            let page = self.users_page(start).await?;
            for user in page.items.iter().filter(|user| user.provenance.vanished_at.is_none()) {
                users += 1;
                vanishing += u64::from(rules::has_vanished(self.source, user, keys));
            }
            start = page.next;
            if start.is_none() {
                return Ok((users, vanishing));
            }
        }
    }

    /// False for a user whom this sync will delete, whose name until then does not matter.
    fn is_parked_for_good(&self, user: &User) -> bool {
        self.source.policy != VanishPolicy::Delete || user.provenance.vanished_at.is_some()
    }

    /// Gives a user a temporary name.
    async fn park_user(&self, id: UserId) -> Result<(), Error> {
        retry_on_conflict(self.table, || async {
            let event_context = self.origin().new_event_context();
            let user = self.table.user(self.job.workspace_id, id).await?;
            let Some(change) = user.and_then(|user| rules::park(self.source, &user, &event_context)) else {
                return Ok(());
            };
            self.table.commit(self.guard.hold(Commit::from_changes(event_context.event_id, &change))).await.map(drop)
        })
        .await
    }

    /// Renames a user without a row, whose name a row gives to another user, with everything that a rename entails.
    async fn take_name(&self, id: UserId, wanted: &str) -> Result<(), Error> {
        retry_on_conflict(self.table, || async {
            let context = self.action_context();
            let Some(user) = self.table.user(self.job.workspace_id, id).await? else { return Ok(()) };
            let phones = self.devices_with_commands(&user).await?;
            let new_id = || context.new_command_id();
            let Some(change) =
                rules::release_username(self.source, &user, wanted, &phones, &new_id, &context.event_context)?
            else {
                return Ok(());
            };
            let (_, commit) = complete_edit(&context, change, None, &user).await?;
            self.table.commit(self.guard.hold(commit)).await.map(drop)
        })
        .await
    }
}

impl UsernameState {
    /// The candidates to process the row with: those found before, or new ones if the state has changed. `None` if
    /// time ran out.
    pub(super) async fn found<F: Future<Output = Result<Option<CandidatesByRow>, Error>>>(
        self,
        before: CandidatesByRow,
        again: impl FnOnce() -> F,
    ) -> Result<Option<CandidatesByRow>, Error> {
        match self {
            Self::AsItIs => Ok(Some(before)),
            Self::WouldBe(found) => Ok(Some((*found, before.1))),
            Self::Clear => again().await?.map(Some).ok_or(Error::Conflict),
            Self::NoTime => Ok(None),
        }
    }
}
