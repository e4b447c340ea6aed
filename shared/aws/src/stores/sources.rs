//! Data sets, what is uploaded to them, and what their syncs stage.

use std::collections::HashMap;
use std::future::Future;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::refusal::Failure;
use domain::source::DataSource;
use domain::user::{User, unique_username};
use domain::{JobId, SourceId, UserId, WorkspaceId};
use serde::Deserialize;
use uuid::Uuid;

use crate::commit::Commit;
use crate::item::{Key, Read};
use crate::list::{Page, Position, Source};
use crate::rows::{self, Stage, StagedKeys, StagedRows, UploadPart};
use crate::stores::Users;
use crate::table::Table;

/// Who has a username, and whom a data set calls by a name of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claimed {
    /// The user of the username.
    pub by_username: Option<User>,
    /// The user whom the data set knows by the username, and who is called otherwise.
    pub by_source_username: Option<User>,
    /// The user of the name in the data set.
    pub by_external_id: Option<User>,
}

/// Where data sets are kept.
pub trait Sources: Users {
    /// A data set, as it is now.
    fn source(
        &self,
        workspace: WorkspaceId,
        id: SourceId,
    ) -> impl Future<Output = Result<Option<DataSource>, Failure>> + Send;

    /// Data sets by their identifiers; those that are gone are left out.
    fn sources(
        &self,
        workspace: WorkspaceId,
        ids: &[SourceId],
    ) -> impl Future<Output = Result<Vec<DataSource>, Failure>> + Send;

    /// A page of data sets, the newest first.
    fn list_sources(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> impl Future<Output = Result<Page<DataSource>, Failure>> + Send;

    /// A page of the users of a data set, but for deleted ones.
    fn users_of_source(
        &self,
        workspace: WorkspaceId,
        id: SourceId,
        limit: usize,
        start: Option<Position>,
    ) -> impl Future<Output = Result<Page<User>, Failure>> + Send;

    /// Whom usernames, and names in a data set, belong to, in the order asked; and whom the data set knows
    /// by those usernames.
    fn claimed(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        names: &[(String, Option<String>)],
    ) -> impl Future<Output = Result<Vec<Claimed>, Failure>> + Send;

    /// A page of the parts of an upload, in their order.
    fn upload_parts(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        upload: Uuid,
        start: Option<Position>,
    ) -> impl Future<Output = Result<Page<UploadPart>, Failure>> + Send;

    /// Staged rows.
    fn staged_rows(
        &self,
        stage: Stage,
        number: u32,
    ) -> impl Future<Output = Result<Option<StagedRows>, Failure>> + Send;

    /// By what the users of staged rows are known.
    fn staged_keys(
        &self,
        stage: Stage,
        number: u32,
    ) -> impl Future<Output = Result<Option<StagedKeys>, Failure>> + Send;

    /// The keys of a page of rows that a data set's syncs need no more: what a job has staged, or the
    /// parts of an upload.
    fn leavings(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        of: &Leavings,
    ) -> impl Future<Output = Result<Vec<Key>, Failure>> + Send;

    /// The bearer token of a data set.
    fn source_token(&self, id: SourceId) -> impl Future<Output = Result<Option<String>, Failure>> + Send;
}

/// What a sync leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leavings {
    /// What a job has staged.
    Job(JobId),
    /// The parts of an upload.
    Upload(Uuid),
}

/// The most rows that are removed in one commit.
const LEAVINGS: usize = 90;
/// Parts that are read at once: a reply of DynamoDB has at most a mebibyte.
const PARTS: usize = 4;

#[derive(Deserialize)]
struct Claim {
    user_id: UserId,
}

impl Read for Claim {}

impl Sources for Table {
    async fn source(&self, workspace: WorkspaceId, id: SourceId) -> Result<Option<DataSource>, Failure> {
        self.get(&rows::source(workspace, id)).await
    }

    async fn sources(&self, workspace: WorkspaceId, ids: &[SourceId]) -> Result<Vec<DataSource>, Failure> {
        let keys: Vec<Key> = ids.iter().map(|id| rows::source(workspace, *id)).collect();
        let found = self.get_many(keys.clone()).await?;
        keys.iter().filter_map(|key| found.row(key).transpose()).collect()
    }

    async fn list_sources(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<DataSource>, Failure> {
        let source = Source::newest("created", ("list", rows::list(rows::SOURCES, workspace)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }

    async fn users_of_source(
        &self,
        workspace: WorkspaceId,
        id: SourceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<User>, Failure> {
        let source = Source::newest("source", ("of_source", rows::users_of_source(workspace, id)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }

    async fn claimed(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        names: &[(String, Option<String>)],
    ) -> Result<Vec<Claimed>, Failure> {
        let username = |name: &(String, Option<String>)| rows::username(workspace, &name.0);
        let external = |name: &(String, Option<String>)| {
            name.1.as_deref().map(|external| rows::external_id(workspace, Some(source), external))
        };
        let keys = names.iter().flat_map(|name| external(name).into_iter().chain([username(name)]));
        let known = |name: &(String, Option<String>)| rows::source_username(workspace, source, &name.0);
        let claims = self.get_many(keys.chain(names.iter().map(known))).await?;
        let holder = |key: &Key| claims.row::<Claim>(key).map(|claim| claim.map(|claim| claim.user_id));
        let mut ids = Vec::new();
        for name in names {
            let by_external_id = external(name).map(|key| holder(&key)).transpose()?.flatten();
            ids.push([holder(&username(name))?, holder(&known(name))?, by_external_id]);
        }
        let mut keys = Vec::new();
        for id in ids.iter().flatten().flatten() {
            keys.push(rows::user(workspace, *id));
        }
        let users = self.get_many(keys).await?;
        let user = |id: Option<UserId>| id.map_or(Ok(None), |id| users.row(&rows::user(workspace, id)));
        let mut claimed = Vec::new();
        for (name, [by_username, known, by_external_id]) in names.iter().zip(ids) {
            // The user's own row tells whether they are still known so.
            let is_known = |user: &User| {
                let told = user.provenance.source_username.as_deref().map(unique_username);
                user.provenance.source_id == Some(source) && told == Some(unique_username(&name.0))
            };
            claimed.push(Claimed {
                by_username: user(by_username)?,
                by_source_username: user(known)?.filter(is_known),
                by_external_id: user(by_external_id)?,
            });
        }
        Ok(claimed)
    }

    async fn upload_parts(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        upload: Uuid,
        start: Option<Position>,
    ) -> Result<Page<UploadPart>, Failure> {
        let within = Source::within(rows::source(workspace, source).pk, &rows::parts_of(upload));
        self.rows(&Source { descending: false, ..within }, PARTS, start).await
    }

    async fn staged_rows(&self, stage: Stage, number: u32) -> Result<Option<StagedRows>, Failure> {
        self.get(&stage.rows(number)).await
    }

    async fn staged_keys(&self, stage: Stage, number: u32) -> Result<Option<StagedKeys>, Failure> {
        self.get(&stage.keys(number)).await
    }

    async fn leavings(&self, workspace: WorkspaceId, source: SourceId, of: &Leavings) -> Result<Vec<Key>, Failure> {
        let prefixes = match of {
            Leavings::Job(job) => vec![Stage::of_job(rows::STAGED, *job), Stage::of_job(rows::STAGED_KEYS, *job)],
            Leavings::Upload(upload) => vec![rows::parts_of(*upload)],
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

    async fn source_token(&self, id: SourceId) -> Result<Option<String>, Failure> {
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
