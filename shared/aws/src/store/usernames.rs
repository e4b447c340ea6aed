//! Who has which username.
//!
//! A username is claimed by a row whose key is the username as it is compared. Earlier releases left out its
//! accents in that key. So who is called `josé.peña` may still hold the claim of `jose.pena`, and whoever
//! asks for either looks under both keys, and into the row of the user who holds it: the user's own row tells
//! what they are called. Whoever gets a name whose key is held so moves the claim of the one before to where
//! it belongs, in the same commit; `reindex` moves those that nobody has asked for.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::models::user::User;
use domain::username::same_username;
use domain::{UserId, WorkspaceId};
use serde::Deserialize;

use crate::commit::{Commit, PutCondition};
use crate::item::{IndexRow, Key, Read, Row as _};
use crate::store::users;
use crate::table::Table;

/// A claim, as it was read.
#[derive(Clone, Debug, PartialEq)]
struct Claim {
    key: Key,
    /// Who holds it.
    holder: Option<UserId>,
    /// Their row, if it is there.
    user: Option<User>,
}

impl Claim {
    /// The user who holds it, unless they are gone, and left it behind.
    fn there(&self) -> Option<&User> {
        self.user.as_ref().filter(|user| user.deleted.is_none())
    }
}

/// Who holds the claims that a username may have.
#[derive(Clone, Debug, PartialEq)]
pub struct UsernameClaims {
    username: String,
    own: Claim,
    /// Where an earlier release would have put it.
    former: Option<Claim>,
}

impl UsernameClaims {
    /// The user who is called so.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        let called = |user: &&User| same_username(&user.username, &self.username);
        [Some(&self.own), self.former.as_ref()].into_iter().flatten().filter_map(Claim::there).find(called)
    }

    /// True if somebody else is called so.
    #[must_use]
    pub fn are_taken_from(&self, user: Option<UserId>) -> bool {
        self.user().is_some_and(|holder| Some(holder.user_id) != user)
    }
}

impl Commit {
    /// Lets a user, whom this commit makes or renames, have a username whose claims were looked at: what an
    /// earlier release has put under its key gives way.
    #[must_use]
    pub fn claim(self, claims: &UsernameClaims, user: UserId) -> Self {
        // Who is called so keeps the name: the table refuses it to anybody else.
        if claims.are_taken_from(Some(user)) {
            return self;
        }
        let mut commit = self;
        if let Some(holder) = claims.own.holder {
            let attributes = BTreeMap::from([("user_id", user.to_string())]);
            let own = IndexRow { key: claims.own.key.clone(), attributes, unique: true };
            commit = commit.put_claim(&own, PutCondition::ClaimOf(holder));
            if let Some(other) = claims.own.there().filter(|other| other.user_id != user) {
                commit = commit.moved(other);
            }
        }
        match &claims.former {
            Some(Claim { key, holder: Some(holder), .. }) => {
                let commit = commit.not_while_absent(key);
                if *holder == user && !commit.concerns(key) { commit.release(key, user) } else { commit }
            }
            Some(Claim { holder: None, .. }) | None => commit,
        }
    }

    /// Brings a user's claim from where an earlier release has put it to where it belongs; nothing if it is there.
    #[must_use]
    pub fn reclaim(self, claims: &UsernameClaims, user: &User) -> Self {
        match &claims.former {
            Some(former) if former.holder == Some(user.user_id) && user.deleted.is_none() => {
                self.moved(user).release(&former.key, user.user_id)
            }
            Some(_) | None => self,
        }
    }

    /// Puts a user's claim where it belongs, as long as the user is called so.
    fn moved(self, user: &User) -> Self {
        let claim = users::username_claim(user);
        if self.concerns(&claim.key) {
            return self;
        }
        let commit = self.put_claim(&claim, PutCondition::NothingOrClaimOf(user.user_id));
        if commit.concerns(&user.key()) { commit } else { commit.guarded_by(user) }
    }
}

#[derive(Deserialize)]
struct Holder {
    user_id: UserId,
}

impl Read for Holder {}

/// Who holds some claims, and the rows of those who do.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    of_keys: BTreeMap<Key, UserId>,
    users: BTreeMap<UserId, User>,
}

impl Holders {
    /// The user who holds a claim.
    pub fn user(&self, key: &Key) -> Option<&User> {
        self.users.get(self.of_keys.get(key)?)
    }

    /// Who holds the claims that a username may have, all of which were asked for.
    pub fn of_username(&self, workspace: WorkspaceId, username: &str) -> UsernameClaims {
        let claim = |key: Key| Claim { holder: self.of_keys.get(&key).copied(), user: self.user(&key).cloned(), key };
        UsernameClaims {
            username: username.to_owned(),
            own: claim(users::username_key(workspace, username)),
            former: users::former_username_key(workspace, username).map(claim),
        }
    }
}

/// The keys of the claims that a username may have.
pub(crate) fn keys_of_username(workspace: WorkspaceId, username: &str) -> impl Iterator<Item = Key> {
    [users::username_key(workspace, username)].into_iter().chain(users::former_username_key(workspace, username))
}

impl Table {
    /// Who holds claims, of users of one workspace.
    pub(crate) async fn holders(
        &self,
        workspace: WorkspaceId,
        keys: impl IntoIterator<Item = Key>,
    ) -> Result<Holders, Error> {
        let mut holders = Holders { of_keys: self.holder_ids(keys).await?, users: BTreeMap::new() };
        let ids: BTreeSet<UserId> = holders.of_keys.values().copied().collect();
        let found = self.get_many(ids.iter().map(|id| users::user_key(workspace, *id))).await?;
        for id in ids {
            if let Some(user) = found.row(&users::user_key(workspace, id))? {
                holders.users.insert(id, user);
            }
        }
        Ok(holders)
    }

    /// The identifiers of those who hold claims.
    pub(crate) async fn holder_ids(&self, keys: impl IntoIterator<Item = Key>) -> Result<BTreeMap<Key, UserId>, Error> {
        let keys: BTreeSet<Key> = keys.into_iter().collect();
        let claims = self.get_many(keys.iter().cloned()).await?;
        let mut holders = BTreeMap::new();
        for key in keys {
            if let Some(Holder { user_id }) = claims.row(&key)? {
                holders.insert(key, user_id);
            }
        }
        Ok(holders)
    }
}
