//! Data sets, what is uploaded to them, and what their syncs stage.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::error::Error;
use domain::source::DataSource;
use domain::user::{User, same_username};
use domain::{JobId, SourceId, WorkspaceId};
use uuid::Uuid;

use crate::commit::Commit;
use crate::item::Key;
use crate::list::{Page, Position, Source};
use crate::rows::{self, StagedKey, StagedKeys, StagedRows, UploadPart};
use crate::table::Table;
use crate::usernames::{UsernameClaims, keys_of_username};

/// Who has a username, and whom a data set calls by a name of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimedBySource {
    /// The user of the username.
    pub by_username: Option<User>,
    /// The user whom the data set knows by the username, and who is called otherwise.
    pub by_source_username: Option<User>,
    /// The user of the name in the data set.
    pub by_external_id: Option<User>,
    /// Who holds the username's claims.
    pub username: Option<UsernameClaims>,
}

/// What a sync leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagedRowsOf {
    /// What a job has staged.
    Job(JobId),
    /// The parts of an upload.
    Upload(Uuid),
}

/// The most rows that are removed in one commit.
const LEAVINGS: usize = 90;
/// Parts that are read at once: a reply of DynamoDB has at most a mebibyte.
const PARTS: usize = 4;

impl Table {
    /// A data set, as it is now.
    pub async fn source(&self, workspace: WorkspaceId, id: SourceId) -> Result<Option<DataSource>, Error> {
        self.get(&rows::source(workspace, id)).await
    }

    /// Data sets by their identifiers; those that are gone are left out.
    pub async fn sources(&self, workspace: WorkspaceId, ids: &[SourceId]) -> Result<Vec<DataSource>, Error> {
        let keys: Vec<Key> = ids.iter().map(|id| rows::source(workspace, *id)).collect();
        let found = self.get_many(keys.clone()).await?;
        keys.iter().filter_map(|key| found.row(key).transpose()).collect()
    }

    /// A page of data sets, the newest first.
    pub async fn list_sources(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<DataSource>, Error> {
        let source = Source::newest("created", ("list", rows::list(rows::SOURCES, workspace)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }

    /// A page of the users of a data set, but for deleted ones.
    pub async fn users_of_source(
        &self,
        workspace: WorkspaceId,
        id: SourceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<User>, Error> {
        let source = Source::newest("source", ("of_source", rows::users_of_source(workspace, id)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }

    /// Whom usernames, and names in a data set, belong to, in the order asked; and whom the data set knows
    /// by those usernames.
    pub async fn claimed(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        names: &[(String, Option<String>)],
    ) -> Result<Vec<ClaimedBySource>, Error> {
        let external = |name: &Option<String>| {
            name.as_deref().map(|external| rows::external_id(workspace, Some(source), external))
        };
        let known = |name: &str| {
            let former = rows::former_source_username(workspace, source, name);
            [rows::source_username(workspace, source, name)].into_iter().chain(former)
        };
        let keys = names.iter().flat_map(|(username, called)| {
            keys_of_username(workspace, username).chain(external(called)).chain(known(username))
        });
        let holders = self.holders(workspace, keys).await?;
        let claimed = names.iter().map(|(username, called)| {
            let claims = holders.of_username(workspace, username);
            // The user's own row tells whether they are still known so.
            let is_known = |user: &&User| {
                let told = user.provenance.source_username.as_deref();
                user.provenance.source_id == Some(source) && told.is_some_and(|told| same_username(told, username))
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

    /// A page of the parts of an upload, in their order.
    pub async fn upload_parts(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        upload: Uuid,
        start: Option<Position>,
    ) -> Result<Page<UploadPart>, Error> {
        let within = Source::within(rows::source(workspace, source).pk, &rows::parts_of(upload));
        self.rows(&Source { descending: false, ..within }, PARTS, start).await
    }

    /// Staged rows.
    pub async fn staged_rows(&self, stage: StagedKey, number: u32) -> Result<Option<StagedRows>, Error> {
        self.get(&stage.rows(number)).await
    }

    /// By what the users of staged rows are known.
    pub async fn staged_keys(&self, stage: StagedKey, number: u32) -> Result<Option<StagedKeys>, Error> {
        self.get(&stage.keys(number)).await
    }

    /// The keys of a page of rows that a data set's syncs need no more: what a job has staged, or the
    /// parts of an upload.
    pub async fn leavings(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        of: &StagedRowsOf,
    ) -> Result<Vec<Key>, Error> {
        let prefixes = match of {
            StagedRowsOf::Job(job) => {
                vec![StagedKey::of_job(rows::STAGED, *job), StagedKey::of_job(rows::STAGED_KEYS, *job)]
            }
            StagedRowsOf::Upload(upload) => vec![rows::parts_of(*upload)],
        };
        for prefix in prefixes {
            let within = Source::within(rows::source(workspace, source).pk, &prefix);
            let (items, _) = self.query(&within, LEAVINGS, None).await?;
            let keys: Vec<Key> = items.iter().filter_map(Key::of).collect();
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
        Ok(Vec::new())
    }

    /// The bearer token of a data set.
    pub async fn source_token(&self, id: SourceId) -> Result<Option<String>, Error> {
        let item = self.get_secret(&rows::source_secret(id)).await?;
        Ok(item.and_then(|item| item.get("token")?.as_s().ok().cloned()))
    }
}

impl Commit {
    /// Keeps a data set's bearer token.
    #[must_use]
    pub fn keep_source_token(self, id: SourceId, token: &str) -> Self {
        self.put_secret(HashMap::from([
            ("pk".to_owned(), AttributeValue::S(rows::source_secret(id))),
            ("token".to_owned(), AttributeValue::S(token.to_owned())),
        ]))
    }

    /// Forgets a data set's bearer token.
    #[must_use]
    pub fn forget_source_token(self, id: SourceId) -> Self {
        self.delete_secret(rows::source_secret(id))
    }

    /// Removes rows whatever they hold by now: leavings of a sync.
    #[must_use]
    pub fn clear(self, leavings: &[Key]) -> Self {
        leavings.iter().fold(self, Self::remove)
    }
}
