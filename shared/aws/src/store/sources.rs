//! Sources, and the claims of their users' names.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::error::Error;
use domain::models::source::DataSource;
use domain::models::user::{Source as UserSource, User};
use domain::secret::Hash;
use domain::username::{former_username, same_username, unique_username};
use domain::{SourceId, WorkspaceId};

use crate::commit::Commit;
use crate::item::{Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Source};
use crate::store::due;
use crate::store::usernames::{UsernameClaims, keys_of_username};
use crate::table::Table;

keeps_stored_row!(DataSource);

/// The key of the claim of a user's external id in their source or at the identity provider.
pub(crate) fn external_id_claim_key(user: &User) -> Option<RowKey> {
    let source = match user.source {
        // A user of a kind of another release has a source as well.
        UserSource::Csv | UserSource::Http | UserSource::Unknown(_) => Some(user.provenance.source_id?),
        UserSource::Scim | UserSource::Api | UserSource::Console => None,
    };
    let name = user.provenance.external_id.as_deref()?;
    Some(external_id_key(user.workspace_id, source, name))
}

/// The key of the claim of an external id in a source or at an identity provider.
#[must_use]
pub fn external_id_key(workspace: WorkspaceId, source: Option<SourceId>, name: &str) -> RowKey {
    let scope = source.map_or_else(|| "SCIM".to_owned(), |id| id.to_string());
    RowKey::new(format!("EXTERNALID#{workspace}#{scope}#{}", Hash::of(name).as_str()), "CLAIM")
}

/// The key by which a user is found by the username that their source has for them.
pub(crate) fn source_username_claim_key(user: &User) -> Option<RowKey> {
    let name = user.provenance.source_username.as_deref()?;
    Some(source_username_key(user.workspace_id, user.provenance.source_id?, name))
}

/// The key of a source's username of a user who has another one.
#[must_use]
pub fn source_username_key(workspace: WorkspaceId, source: SourceId, name: &str) -> RowKey {
    RowKey::new(format!("SOURCENAME#{workspace}#{source}#{}", Hash::of(unique_username(name)).as_str()), "CLAIM")
}

/// The key that an earlier release used for it, if it is different.
#[must_use]
pub fn former_source_username_key(workspace: WorkspaceId, source: SourceId, name: &str) -> Option<RowKey> {
    let former = Hash::of(former_username(name)?);
    Some(RowKey::new(format!("SOURCENAME#{workspace}#{source}#{}", former.as_str()), "CLAIM"))
}

/// The partition of the users of a source in the index `source`.
#[must_use]
pub fn source_users_partition(workspace: WorkspaceId, id: SourceId) -> String {
    format!("{workspace}#{id}")
}

/// The name of the list of sources.
pub const SOURCES: &str = "SOURCE";

/// The key of a source.
#[must_use]
pub fn source_key(workspace: WorkspaceId, id: SourceId) -> RowKey {
    RowKey::new(format!("SOURCE#{workspace}#{id}"), "SOURCE")
}

/// The key of a source's bearer token.
#[must_use]
pub fn source_secret_pk(id: SourceId) -> String {
    format!("SOURCE#{id}")
}

impl Row for DataSource {
    fn key(&self) -> RowKey {
        source_key(self.workspace_id, self.source_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes = vec![("list", crate::item::list_partition(SOURCES, self.workspace_id))];
        indexes.extend(self.due_at.iter().flat_map(|at| due::due_attributes(&self.key(), *at)));
        indexes
    }
}

/// The users that a row of a source may belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimedBySource {
    /// The user with the username.
    pub by_username: Option<User>,
    /// A user whom the source knows by this username, and who has another one.
    pub by_source_username: Option<User>,
    /// The user with the external id.
    pub by_external_id: Option<User>,
    /// The claims of the username.
    pub username: Option<UsernameClaims>,
}

impl Table {
    /// A source.
    pub async fn source(&self, workspace: WorkspaceId, id: SourceId) -> Result<Option<DataSource>, Error> {
        self.get(&source_key(workspace, id)).await
    }

    /// Sources by identifier; missing ones are left out.
    pub async fn sources(&self, workspace: WorkspaceId, ids: &[SourceId]) -> Result<Vec<DataSource>, Error> {
        self.rows_with(ids.iter().map(|id| source_key(workspace, *id)).collect()).await
    }

    /// A page of sources, newest first.
    pub async fn list_sources(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<DataSource>, Error> {
        let source =
            Source::newest_first("created", ("list", crate::item::list_partition(SOURCES, workspace)), "created_at");
        self.page(&source, limit, start, RowKey::of, |_, _| true).await
    }

    /// A page of a source's users who are not deleted.
    pub async fn users_of_source(
        &self,
        workspace: WorkspaceId,
        id: SourceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<User>, Error> {
        let source = Source::newest_first("source", ("of_source", source_users_partition(workspace, id)), "created_at");
        self.page(&source, limit, start, RowKey::of, |_, _| true).await
    }

    /// The users that rows of a source may belong to, by username and external id, in the order of the input.
    pub async fn find_claimed(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        names: &[(String, Option<String>)],
    ) -> Result<Vec<ClaimedBySource>, Error> {
        let external =
            |name: &Option<String>| name.as_deref().map(|external| external_id_key(workspace, Some(source), external));
        let known = |name: &str| {
            let former = former_source_username_key(workspace, source, name);
            [source_username_key(workspace, source, name)].into_iter().chain(former)
        };
        let keys = names.iter().flat_map(|(username, called)| {
            keys_of_username(workspace, username).chain(external(called)).chain(known(username))
        });
        let holders = self.holders(workspace, keys).await?;
        let claimed = names.iter().map(|(username, called)| {
            let claims = holders.of_username(workspace, username);
            // The user's own row tells whether the name is still valid.
            let is_known = |user: &&User| {
                let known_as = user.provenance.source_username.as_deref();
                user.provenance.source_id == Some(source)
                    && known_as.is_some_and(|known_as| same_username(known_as, username))
            };
            let by_source_username = known(username).find_map(|key| holders.user(&key).filter(is_known).cloned());
            let by_external_id = external(called).and_then(|key| holders.user(&key).cloned());
            ClaimedBySource {
                by_username: claims.user().cloned(),
                by_source_username,
                by_external_id,
                username: Some(claims),
            }
        });
        Ok(claimed.collect())
    }

    /// The bearer token of a source.
    pub async fn source_token(&self, id: SourceId) -> Result<Option<String>, Error> {
        let item = self.get_secret(&source_secret_pk(id)).await?;
        Ok(item.and_then(|item| item.get("token")?.as_s().ok().cloned()))
    }
}

impl Commit {
    /// Stores a source's bearer token.
    #[must_use]
    pub fn put_source_token(self, id: SourceId, token: &str) -> Self {
        self.put_secret(HashMap::from([
            ("pk".to_owned(), AttributeValue::S(source_secret_pk(id))),
            ("token".to_owned(), AttributeValue::S(token.to_owned())),
        ]))
    }

    /// Deletes a source's bearer token.
    #[must_use]
    pub fn delete_source_token(self, id: SourceId) -> Self {
        self.delete_secret(source_secret_pk(id))
    }
}
