//! Uploads of sources, and the rows that a sync stages.

use domain::error::Error;
use domain::models::source::UPLOAD_RETENTION;
use domain::models::source::data::KeyHash;
use domain::{JobId, SourceId, Time, WorkspaceId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::commit::Commit;
use crate::item::{Read, Row, RowKey};
use crate::list::{Page, Position, Source};
use crate::store::sources;
use crate::table::Table;

impl Read for StagedKeys {}
impl Read for StagedRows {}
impl Read for UploadPart {}

/// Prefix of the sort keys of upload parts.
pub const PART: &str = "PART#";

/// Prefix of the sort keys of staged rows.
pub const STAGED: &str = "STAGED#";

/// Prefix of the sort keys of staged key hashes.
pub const STAGED_KEYS: &str = "KEYS#";

/// Prefix of the sort keys of an upload's parts.
#[must_use]
pub fn upload_prefix(upload: Uuid) -> String {
    format!("{PART}{upload}#")
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadPart {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The source.
    pub source_id: SourceId,
    /// The upload.
    pub upload_id: Uuid,
    /// Its number, from 1.
    pub number: u32,
    /// Its bytes.
    pub bytes: serde_bytes::ByteBuf,
    /// When it arrived.
    pub at: Time,
}

impl Row for UploadPart {
    fn key(&self) -> RowKey {
        let pk = sources::source_key(self.workspace_id, self.source_id).pk;
        RowKey::new(pk, format!("{}{:03}", upload_prefix(self.upload_id), self.number))
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(UPLOAD_RETENTION).seconds())
    }
}

/// Key of what one import of a source stages. Each attempt has its own, so that two attempts never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedKey {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The source.
    pub source_id: SourceId,
    /// The job.
    pub job_id: JobId,
    /// Identifier of the attempt.
    pub attempt: Uuid,
}

impl StagedKey {
    /// Prefix of the sort keys of what a job has staged.
    #[must_use]
    pub fn of_job(kind: &str, job: JobId) -> String {
        format!("{kind}{job}#")
    }

    fn key(&self, kind: &str, number: u32) -> RowKey {
        let pk = sources::source_key(self.workspace_id, self.source_id).pk;
        RowKey::new(pk, format!("{}{}#{number:05}", Self::of_job(kind, self.job_id), self.attempt))
    }

    /// The key of staged rows.
    #[must_use]
    pub fn rows(&self, number: u32) -> RowKey {
        self.key(STAGED, number)
    }

    /// The key of staged key hashes.
    #[must_use]
    pub fn keys(&self, number: u32) -> RowKey {
        self.key(STAGED_KEYS, number)
    }
}

/// A batch of a source's rows, kept until the sync ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagedRows {
    /// Key of the import.
    #[serde(flatten)]
    pub stage: StagedKey,
    /// Number of the batch, from 0.
    pub number: u32,
    /// The rows as JSON, compressed (zlib).
    pub rows: serde_bytes::ByteBuf,
    /// When they were staged.
    pub at: Time,
}

impl Row for StagedRows {
    fn key(&self) -> RowKey {
        self.stage.rows(self.number)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(UPLOAD_RETENTION).seconds())
    }
}

/// A batch of the key hashes of a source's users, kept until the sync ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagedKeys {
    /// Key of the import.
    #[serde(flatten)]
    pub stage: StagedKey,
    /// Number of the batch, from 0.
    pub number: u32,
    /// The hashes, eight bytes each, highest byte first.
    pub keys: serde_bytes::ByteBuf,
    /// When they were staged.
    pub at: Time,
}

impl StagedKeys {
    /// Encodes hashes for storage.
    #[must_use]
    pub fn bytes_of(keys: &[KeyHash]) -> serde_bytes::ByteBuf {
        serde_bytes::ByteBuf::from(keys.iter().flat_map(|key| key.to_be_bytes()).collect::<Vec<u8>>())
    }

    /// Decodes the hashes.
    #[must_use]
    pub fn hashes(&self) -> Vec<KeyHash> {
        self.keys.chunks_exact(8).map(|bytes| bytes.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))).collect()
    }
}

impl Row for StagedKeys {
    fn key(&self) -> RowKey {
        self.stage.keys(self.number)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(UPLOAD_RETENTION).seconds())
    }
}

/// Staged rows that are no longer needed after a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagedRowsOf {
    /// Those of a job.
    Job(JobId),
    /// The parts of an upload.
    Upload(Uuid),
}

/// The most rows that one commit deletes.
const DELETE_LIMIT: usize = 90;

/// How many parts one query reads: a response of DynamoDB has at most one mebibyte.
const PARTS_PER_READ: usize = 4;

impl Table {
    /// A page of an upload's parts, in order.
    pub async fn upload_parts(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        upload: Uuid,
        start: Option<Position>,
    ) -> Result<Page<UploadPart>, Error> {
        let within = Source::in_partition(sources::source_key(workspace, source).pk, &upload_prefix(upload));
        self.rows(&Source { descending: false, ..within }, PARTS_PER_READ, start).await
    }

    /// A batch of staged rows.
    pub async fn staged_rows(&self, stage: StagedKey, number: u32) -> Result<Option<StagedRows>, Error> {
        self.get(&stage.rows(number)).await
    }

    /// A batch of staged key hashes.
    pub async fn staged_keys(&self, stage: StagedKey, number: u32) -> Result<Option<StagedKeys>, Error> {
        self.get(&stage.keys(number)).await
    }

    /// The keys of a page of staged rows or upload parts, to delete them.
    pub async fn staged_row_keys(
        &self,
        workspace: WorkspaceId,
        source: SourceId,
        of: &StagedRowsOf,
    ) -> Result<Vec<RowKey>, Error> {
        let prefixes = match of {
            StagedRowsOf::Job(job) => {
                vec![StagedKey::of_job(STAGED, *job), StagedKey::of_job(STAGED_KEYS, *job)]
            }
            StagedRowsOf::Upload(upload) => vec![upload_prefix(*upload)],
        };
        for prefix in prefixes {
            let within = Source::in_partition(sources::source_key(workspace, source).pk, &prefix);
            let (items, _) = self.query(&within, DELETE_LIMIT, None).await?;
            let keys: Vec<RowKey> = items.iter().filter_map(RowKey::of).collect();
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
        Ok(Vec::new())
    }
}

impl Commit {
    /// Deletes rows by key, unconditionally.
    #[must_use]
    pub fn delete_rows(self, keys: &[RowKey]) -> Self {
        keys.iter().fold(self, Self::remove)
    }
}
