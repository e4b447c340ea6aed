//! Profiles, and the times of their last assignment.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::models::profile::{Profile, ProfileAssignment};
use domain::rules::change::RowChange;
use domain::search::fold;
use domain::{ProfileId, WorkspaceId};
use serde::Deserialize;

use crate::commit::Commit;
use crate::item::{IndexRow, Read, Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Source};
use crate::table::Table;

keeps_stored_row!(Profile, ProfileAssignment);

/// The name of the list of profiles.
pub const PROFILES: &str = "PROFILE";

/// The key of a profile.
#[must_use]
pub fn profile_key(workspace: WorkspaceId, id: ProfileId) -> RowKey {
    RowKey::new(format!("PROFILE#{workspace}#{id}"), "PROFILE")
}

/// The key of the claim of a profile's name.
#[must_use]
pub fn profile_name_key(workspace: WorkspaceId, name: &str) -> RowKey {
    RowKey::new(format!("PROFILENAME#{workspace}#{}", fold(name)), "CLAIM")
}

/// The key of a profile's label.
#[must_use]
pub fn profile_label_key(workspace: WorkspaceId, id: ProfileId) -> RowKey {
    RowKey::new(format!("CALLED#{workspace}#{id}"), "CALLED")
}

/// The partition of the users of a profile in the index `profile`.
#[must_use]
pub fn profile_users_partition(workspace: WorkspaceId, id: ProfileId) -> String {
    format!("{workspace}#{id}")
}

impl Row for Profile {
    fn key(&self) -> RowKey {
        profile_key(self.workspace_id, self.profile_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("list", crate::item::list_partition(PROFILES, self.workspace_id))]
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let claim = IndexRow {
            key: profile_name_key(self.workspace_id, &self.name),
            attributes: BTreeMap::from([("profile_id", self.profile_id.to_string())]),
            unique: true,
        };
        let called = IndexRow {
            key: profile_label_key(self.workspace_id, self.profile_id),
            attributes: BTreeMap::from([("name", self.name.clone())]),
            unique: false,
        };
        BTreeSet::from([claim, called])
    }
}

/// The key of a profile's last assignment.
#[must_use]
pub fn profile_assignment_key(workspace: WorkspaceId, id: ProfileId) -> RowKey {
    RowKey::new(profile_key(workspace, id).pk, "GIVEN")
}

impl Row for ProfileAssignment {
    fn key(&self) -> RowKey {
        profile_assignment_key(self.workspace_id, self.profile_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl Table {
    /// A profile.
    pub async fn profile(&self, workspace: WorkspaceId, id: ProfileId) -> Result<Option<Profile>, Error> {
        self.get(&profile_key(workspace, id)).await
    }

    /// A profile and its last assignment.
    pub async fn profile_and_assignment(
        &self,
        workspace: WorkspaceId,
        id: ProfileId,
    ) -> Result<Option<(Profile, Option<ProfileAssignment>)>, Error> {
        let (profile, given) = (profile_key(workspace, id), profile_assignment_key(workspace, id));
        let found = self.get_many([profile.clone(), given.clone()]).await?;
        let given = found.row(&given)?;
        Ok(found.row(&profile)?.map(|profile| (profile, given)))
    }

    /// Names of profiles by identifier; missing ones are left out. Costs one read unit each, whatever the size
    /// of the profile.
    pub async fn profile_names(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<ProfileId>,
    ) -> Result<BTreeMap<ProfileId, String>, Error> {
        #[derive(Deserialize)]
        struct ProfileLabel {
            name: String,
        }
        impl Read for ProfileLabel {}
        let key = |id: &ProfileId| profile_label_key(workspace, *id);
        let found = self.get_many(ids.iter().map(key)).await?;
        let named = |id: &ProfileId| Some((*id, found.readable::<ProfileLabel>(&key(id))?.name));
        Ok(ids.iter().filter_map(named).collect())
    }

    /// A page of profiles, newest first.
    pub async fn list_profiles(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Profile>, Error> {
        let source =
            Source::newest_first("created", ("list", crate::item::list_partition(PROFILES, workspace)), "created_at");
        self.page(&source, limit, start, RowKey::of, |_, _| true).await
    }

    /// True if a profile of the workspace has this name, whatever its case and accents.
    pub async fn is_profile_name_taken(&self, workspace: WorkspaceId, name: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Claim {}
        impl Read for Claim {}
        Ok(self.get::<Claim>(&profile_name_key(workspace, name)).await?.is_some())
    }

    /// True if a user who is not deleted has this profile.
    pub async fn is_profile_used(&self, workspace: WorkspaceId, id: ProfileId) -> Result<bool, Error> {
        let partition = ("of_profile", profile_users_partition(workspace, id));
        let (users, _) = self.query(&Source::newest_first("profile", partition, "created_at"), 1, None).await?;
        Ok(!users.is_empty())
    }
}

impl Commit {
    /// Guards the assignment of a profile to a user: fails the commit if the profile was changed or deleted
    /// since it was read. `noted` is the record of the assignment, if one is due.
    #[must_use]
    pub fn guard_profile_assignment(self, profile: &Profile, noted: Option<&RowChange<ProfileAssignment>>) -> Self {
        let commit = self.require_unchanged(profile);
        match noted {
            Some(noted) => commit.apply(noted),
            None => commit,
        }
    }

    /// Deletes a profile and its assignment record; fails if the profile was assigned since the record was read.
    #[must_use]
    pub fn delete_profile(self, profile: &Profile, given: Option<&ProfileAssignment>) -> Self {
        let commit = self.delete(profile);
        match given {
            Some(given) => commit.delete(given),
            None => commit.require_absent(&profile_assignment_key(profile.workspace_id, profile.profile_id)),
        }
    }
}
