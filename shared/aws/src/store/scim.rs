//! Users as SCIM shows them to identity providers: all that are not deleted.

use std::collections::BTreeSet;

use domain::error::Error;
use domain::models::user::User;
use domain::rules::scim::document::{ScimAttributes, ScimUserRecord};
use domain::{Time, UserId, WorkspaceId};
use serde::Deserialize;

use crate::commit::Commit;
use crate::item::{Read, Row, RowKey, keeps_stored_row};
use crate::list::{Position, Range, Source};
use crate::store::usernames::keys_of_username;
use crate::store::{sources, users};
use crate::table::Table;

keeps_stored_row!(ScimAttributes);

/// The key of a user's SCIM attributes.
#[must_use]
pub fn scim_attributes_key(workspace: WorkspaceId, id: UserId) -> RowKey {
    RowKey::new(users::user_key(workspace, id).pk, "SCIM")
}

impl Row for ScimAttributes {
    fn key(&self) -> RowKey {
        scim_attributes_key(self.workspace_id, self.user_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// How many index entries one query reads.
const STEP: usize = 1000;

#[derive(Deserialize)]
struct Claim {
    user_id: UserId,
}

impl Read for Claim {}

/// The attribute of a user's row that is not part of the user: see [`crate::item::UPDATED_AT`].
#[derive(Deserialize)]
struct LastChange {
    updated_at: Option<Time>,
}

impl Read for LastChange {}

impl Table {
    /// A user who is not deleted, with the SCIM attributes and the time of the last change.
    pub async fn scim_user(&self, workspace: WorkspaceId, id: UserId) -> Result<Option<ScimUserRecord>, Error> {
        Ok(self.scim_users(workspace, &[id], true).await?.pop())
    }

    /// Candidates for the user with a username; their own rows tell who has it.
    pub async fn ids_of_username(&self, workspace: WorkspaceId, username: &str) -> Result<BTreeSet<UserId>, Error> {
        Ok(self.holder_ids(keys_of_username(workspace, username)).await?.into_values().collect())
    }

    /// The user with an external id in a source or at an identity provider.
    pub async fn id_of_external_id(&self, workspace: WorkspaceId, external_id: &str) -> Result<Option<UserId>, Error> {
        let claim: Option<Claim> = self.get(&sources::external_id_key(workspace, None, external_id)).await?;
        Ok(claim.map(|claim| claim.user_id))
    }

    /// The users who are not deleted, oldest first, from two indexes only; `None` if there are more than
    /// `most`, counting those deleted within the retention time.
    pub async fn user_ids(&self, workspace: WorkspaceId, most: usize) -> Result<Option<Vec<UserId>>, Error> {
        let Some(all) = self.ids_in_index(workspace, "created", "created_at", most).await? else { return Ok(None) };
        let Some(deleted) = self.ids_in_index(workspace, "deleted", "deleted_at", most).await? else { return Ok(None) };
        let deleted: BTreeSet<UserId> = deleted.into_iter().collect();
        Ok(Some(all.into_iter().filter(|id| !deleted.contains(id)).collect()))
    }

    /// Users in this order, with the time of their last change, and with their SCIM attributes on request;
    /// missing ones are left out.
    pub async fn scim_users(
        &self,
        workspace: WorkspaceId,
        ids: &[UserId],
        with_kept: bool,
    ) -> Result<Vec<ScimUserRecord>, Error> {
        let of = |id: &UserId| [users::user_key(workspace, *id), scim_attributes_key(workspace, *id)];
        let rows_of_each = if with_kept { 2 } else { 1 };
        let found = self.get_many(ids.iter().flat_map(|id| of(id).into_iter().take(rows_of_each))).await?;
        let mut people = Vec::new();
        for [key, kept] in ids.iter().map(of) {
            let user: Option<User> = found.readable(&key);
            if let Some(user) = user.filter(|user| user.deleted.is_none()) {
                let dated: Option<LastChange> = found.readable(&key);
                let updated_at = dated.and_then(|dated| dated.updated_at);
                people.push(ScimUserRecord { user, scim_attributes: found.readable(&kept), updated_at });
            }
        }
        Ok(people)
    }

    /// A user's SCIM attributes, whether or not the user is deleted.
    pub async fn scim_attributes(&self, workspace: WorkspaceId, id: UserId) -> Result<Option<ScimAttributes>, Error> {
        self.get(&scim_attributes_key(workspace, id)).await
    }
}

impl Table {
    /// The users of an index, from its keys only; `None` if there are more than `most`.
    async fn ids_in_index(
        &self,
        workspace: WorkspaceId,
        index: &'static str,
        order: &'static str,
        most: usize,
    ) -> Result<Option<Vec<UserId>>, Error> {
        let source = Source {
            index: Some(index),
            partition: ("list", crate::item::list_partition(users::USERS, workspace)),
            order,
            range: Range::All,
            descending: false,
        };
        let mut ids = Vec::new();
        let mut start: Option<Position> = None;
        loop {
            let (items, next) = self.query(&source, STEP.min(most + 1), start.as_ref()).await?;
            ids.extend(items.iter().filter_map(|item| users::user_of_key(&RowKey::of(item)?)));
            if ids.len() > most {
                return Ok(None);
            }
            start = next;
            if start.is_none() {
                return Ok(Some(ids));
            }
        }
    }
}

impl Commit {
    /// Writes a user's SCIM attributes.
    #[must_use]
    pub fn put_scim_attributes(self, before: Option<&ScimAttributes>, after: Option<&ScimAttributes>) -> Self {
        match (before, after) {
            (None, None) => self,
            (None, Some(after)) => self.put(after),
            (Some(before), Some(after)) => self.edit(before, after),
            (Some(before), None) => self.delete(before),
        }
    }
}
