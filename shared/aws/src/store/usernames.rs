//! Usernames and their claims.
//!
//! A username is claimed by a row whose key is the username's unique form. Earlier releases also removed
//! accents in that key. So the user `josé.peña` may still have the claim of `jose.pena`: to find a username,
//! both keys are read, and then the user who has the claim, whose own row has the valid username. When a user
//! gets a name whose key is occupied in this way, the same commit moves the older claim to its proper key;
//! `reindex` moves the remaining ones.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::models::user::User;
use domain::username::same_username;
use domain::{UserId, WorkspaceId};
use serde::Deserialize;

use crate::commit::{Commit, PutCondition};
use crate::item::{IndexRow, Read, Row as _, RowKey};
use crate::store::users;
use crate::table::Table;

/// A claim as read.
#[derive(Clone, Debug, PartialEq)]
struct Claim {
    key: RowKey,
    /// The user who has the claim.
    holder: Option<UserId>,
    /// That user's row, if it exists.
    user: Option<User>,
}

impl Claim {
    /// The user who has the claim, unless the user no longer exists.
    fn existing_holder(&self) -> Option<&User> {
        self.user.as_ref().filter(|user| user.deleted.is_none())
    }
}

/// The claims that a username may have, with their users.
#[derive(Clone, Debug, PartialEq)]
pub struct UsernameClaims {
    username: String,
    own: Claim,
    /// The claim under the key of earlier releases.
    former: Option<Claim>,
}

impl UsernameClaims {
    /// The user with the username.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        let called = |user: &&User| same_username(&user.username, &self.username);
        [Some(&self.own), self.former.as_ref()].into_iter().flatten().filter_map(Claim::existing_holder).find(called)
    }

    /// True if another user has the username.
    #[must_use]
    pub fn are_taken_by_other(&self, user: Option<UserId>) -> bool {
        self.user().is_some_and(|holder| Some(holder.user_id) != user)
    }
}

impl Commit {
    /// Claims a username for a user whom this commit creates or renames. A claim of an earlier release under
    /// the same key is moved.
    #[must_use]
    pub fn claim_username(self, claims: &UsernameClaims, user: UserId) -> Self {
        // The other user keeps the name: the table rejects this commit.
        if claims.are_taken_by_other(Some(user)) {
            return self;
        }
        let mut commit = self;
        if let Some(holder) = claims.own.holder {
            let attributes = BTreeMap::from([("user_id", user.to_string())]);
            let own = IndexRow { key: claims.own.key.clone(), attributes, unique: true };
            commit = commit.put_claim(&own, PutCondition::ClaimOf(holder));
            if let Some(other) = claims.own.existing_holder().filter(|other| other.user_id != user) {
                commit = commit.put_moved_claim(other);
            }
        }
        match &claims.former {
            Some(Claim { key, holder: Some(holder), .. }) => {
                let commit = commit.drop_require_absent(key);
                if *holder == user && !commit.includes_key(key) { commit.delete_claim_of(key, user) } else { commit }
            }
            Some(Claim { holder: None, .. }) | None => commit,
        }
    }

    /// Moves a user's claim from an earlier release's key to its proper key; does nothing if it is there already.
    #[must_use]
    pub fn move_username_claim(self, claims: &UsernameClaims, user: &User) -> Self {
        match &claims.former {
            Some(former) if former.holder == Some(user.user_id) && user.deleted.is_none() => {
                self.put_moved_claim(user).delete_claim_of(&former.key, user.user_id)
            }
            Some(_) | None => self,
        }
    }

    /// Puts a user's claim at its proper key, if the user still has the username.
    fn put_moved_claim(self, user: &User) -> Self {
        let claim = users::username_claim(user);
        if self.includes_key(&claim.key) {
            return self;
        }
        let commit = self.put_claim(&claim, PutCondition::AbsentOrClaimOf(user.user_id));
        if commit.includes_key(&user.key()) { commit } else { commit.require_unchanged(user) }
    }
}

#[derive(Deserialize)]
struct Holder {
    user_id: UserId,
}

impl Read for Holder {}

/// The users of some claims, with their rows.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    of_keys: BTreeMap<RowKey, UserId>,
    users: BTreeMap<UserId, User>,
}

impl Holders {
    /// The user who has a claim.
    pub fn user(&self, key: &RowKey) -> Option<&User> {
        self.users.get(self.of_keys.get(key)?)
    }

    /// The claims of a username, all of which must have been read.
    pub fn of_username(&self, workspace: WorkspaceId, username: &str) -> UsernameClaims {
        let claim =
            |key: RowKey| Claim { holder: self.of_keys.get(&key).copied(), user: self.user(&key).cloned(), key };
        UsernameClaims {
            username: username.to_owned(),
            own: claim(users::username_key(workspace, username)),
            former: users::former_username_key(workspace, username).map(claim),
        }
    }
}

/// The keys of the claims that a username may have.
pub(crate) fn keys_of_username(workspace: WorkspaceId, username: &str) -> impl Iterator<Item = RowKey> {
    [users::username_key(workspace, username)].into_iter().chain(users::former_username_key(workspace, username))
}

impl Table {
    /// The users of some claims in one workspace.
    pub(crate) async fn holders(
        &self,
        workspace: WorkspaceId,
        keys: impl IntoIterator<Item = RowKey>,
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

    /// The identifiers of the users of some claims.
    pub(crate) async fn holder_ids(
        &self,
        keys: impl IntoIterator<Item = RowKey>,
    ) -> Result<BTreeMap<RowKey, UserId>, Error> {
        let keys: BTreeSet<RowKey> = keys.into_iter().collect();
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
