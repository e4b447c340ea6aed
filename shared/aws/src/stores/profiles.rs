//! Profiles.

use std::collections::{BTreeMap, BTreeSet};

use domain::change::RowChange;
use domain::error::Error;
use domain::profile::{Profile, ProfileAssignment};
use domain::{ProfileId, WorkspaceId};
use serde::Deserialize;

use crate::commit::Commit;
use crate::item::{Key, Read};
use crate::list::{Page, Position, Source};
use crate::rows;
use crate::table::Table;

impl Table {
    /// A profile, as it is now.
    pub async fn profile(&self, workspace: WorkspaceId, id: ProfileId) -> Result<Option<Profile>, Error> {
        self.get(&rows::profile(workspace, id)).await
    }

    /// A profile, as it is now, with when it was given to users.
    pub async fn profile_and_given(
        &self,
        workspace: WorkspaceId,
        id: ProfileId,
    ) -> Result<Option<(Profile, Option<ProfileAssignment>)>, Error> {
        let (profile, given) = (rows::profile(workspace, id), rows::profile_given(workspace, id));
        let found = self.get_many([profile.clone(), given.clone()]).await?;
        let given = found.row(&given)?;
        Ok(found.row(&profile)?.map(|profile| (profile, given)))
    }

    /// What profiles are called; those that are gone are left out. It costs a read unit for each,
    /// whatever they hold.
    pub async fn profile_names(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<ProfileId>,
    ) -> Result<BTreeMap<ProfileId, String>, Error> {
        #[derive(Deserialize)]
        struct Called {
            name: String,
        }
        impl Read for Called {}
        let key = |id: &ProfileId| rows::profile_called(workspace, *id);
        let found = self.get_many(ids.iter().map(key)).await?;
        let named = |id: &ProfileId| Some((*id, found.readable::<Called>(&key(id))?.name));
        Ok(ids.iter().filter_map(named).collect())
    }

    /// A page of profiles, the newest first.
    pub async fn list_profiles(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Profile>, Error> {
        let source = Source::newest("created", ("list", rows::list(rows::PROFILES, workspace)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }

    /// True if a profile of the workspace has this name, whatever its capitals and accents.
    pub async fn profile_name_taken(&self, workspace: WorkspaceId, name: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Claim {}
        impl Read for Claim {}
        Ok(self.get::<Claim>(&rows::profile_name(workspace, name)).await?.is_some())
    }

    /// True if a user who is not deleted has this profile.
    pub async fn profile_is_used(&self, workspace: WorkspaceId, id: ProfileId) -> Result<bool, Error> {
        let partition = ("of_profile", rows::users_of_profile(workspace, id));
        let (users, _) = self.query(&Source::newest("profile", partition, "created_at"), 1, None).await?;
        Ok(!users.is_empty())
    }
}

impl Commit {
    /// Only while a profile is as it was read, which this gives to a user: it may be changed or deleted
    /// meanwhile. `noted` is the note that it is given, if one is due.
    #[must_use]
    pub fn giving(self, profile: &Profile, noted: Option<&RowChange<ProfileAssignment>>) -> Self {
        let commit = self.guarded_by(profile);
        match noted {
            Some(noted) => commit.edited(noted),
            None => commit,
        }
    }

    /// A profile removed, with what is noted of it; only while it was given to nobody since that was read.
    #[must_use]
    pub fn delete_profile(self, profile: &Profile, given: Option<&ProfileAssignment>) -> Self {
        let commit = self.delete(profile);
        match given {
            Some(given) => commit.delete(given),
            None => commit.while_absent(&rows::profile_given(profile.workspace_id, profile.profile_id)),
        }
    }
}
