//! Importing a source: all of it or nothing, staged until its sync has ended.

use aws::store::staging::StagedKey;
use aws::store::staging::StagedKeys;
use aws::store::staging::StagedRows;
use std::io::{Read as _, Write as _};

use aws::{Commit, Table};
use domain::error::Error;
use domain::models::job::{Job, JobFailure};
use domain::models::source::data::{
    ImportError, KeyHash, PAGE_LIMIT, Row, Rows, comparison_marker, read, unknown_settings_error,
};
use domain::models::source::{DataSource, Format, PART_LIMIT, SourceKind, SyncAction, check_url};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::context::Origin;
use crate::sources::sync::SyncSettings;

/// Rows per staged page, processed together: at most one read call of DynamoDB.
pub(crate) const ROWS: usize = 100;
/// Key hashes per staged row.
const KEYS: usize = 20_000;
/// Staged rows per commit, far below the 4 MB limit of a DynamoDB transaction.
const STAGED_TOGETHER: usize = 8;

/// A staged import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagedImport {
    /// Identifier of the import attempt.
    pub attempt: Uuid,
    /// Number of pages of rows.
    pub pages: u32,
    /// Number of pages of key hashes.
    pub key_pages: u32,
    /// Number of rows that do not identify their user.
    pub nameless: usize,
}

/// Imports a source. The inner error says what is wrong with the source; then nothing was staged.
pub(crate) async fn take_in(
    table: &Table,
    syncing: &SyncSettings<'_>,
    origin: &Origin,
    job: &Job,
    source: &DataSource,
    action: &SyncAction,
) -> Result<Result<StagedImport, JobFailure>, Error> {
    let bytes = match source.kind {
        SourceKind::Csv => uploaded(table, source, action).await?,
        SourceKind::Http => pulled(table, syncing, source).await?,
        SourceKind::Scim => Err(ImportError::new("source_pushed", "an identity provider pushes its users")),
        SourceKind::Unknown(_) => Err(unknown_settings_error()),
    };
    match bytes.and_then(|bytes| read(source, &bytes)) {
        Ok(rows) => staged(table, origin, job, source, &rows).await.map(Ok),
        Err(error) => Ok(Err(JobFailure { code: error.code.to_owned(), detail: failure_detail(&error) })),
    }
}

fn failure_detail(error: &ImportError) -> String {
    format!("The source cannot be used: {}.", error.detail)
}

/// The parts of the upload, joined.
async fn uploaded(
    table: &Table,
    source: &DataSource,
    action: &SyncAction,
) -> Result<Result<Vec<u8>, ImportError>, Error> {
    let gone = || ImportError::new("upload_gone", "the upload has expired; upload it again");
    let SyncAction::Sync { upload_id: Some(upload), .. } = action else {
        return Ok(Err(gone()));
    };
    let last = source.upload.as_ref().filter(|known| known.upload_id == *upload).and_then(|known| known.last);
    let (mut bytes, mut count, mut start) = (Vec::new(), 0, None);
    loop {
        let page = table.upload_parts(source.workspace_id, source.source_id, *upload, start).await?;
        for part in page.items {
            count += 1;
            if part.number != count {
                return Ok(Err(gone()));
            }
            bytes.extend_from_slice(&part.bytes);
        }
        start = page.next;
        if start.is_none() || count > PART_LIMIT {
            break;
        }
    }
    // A newer upload has replaced this one, or its parts have expired.
    Ok(if last == Some(count) { Ok(bytes) } else { Err(gone()) })
}

/// The body of the source's page.
async fn pulled(
    table: &Table,
    syncing: &SyncSettings<'_>,
    source: &DataSource,
) -> Result<Result<Vec<u8>, ImportError>, Error> {
    let (Some(page), Some(fetcher)) = (&source.page, syncing.fetcher) else {
        return Ok(Err(ImportError::new("unreachable", "the source has no page to read")));
    };
    // The allowed hosts may have changed since.
    if let Err((code, detail)) = check_url(&page.url, fetcher.hosts) {
        return Ok(Err(ImportError::new(code, format!("its URL {detail}"))));
    }
    let token = if page.token_set { table.source_token(source.source_id).await? } else { None };
    let accept = match page.format {
        Format::Json => "application/json",
        Format::Csv => "text/csv",
        Format::Unknown(_) => return Ok(Err(unknown_settings_error())),
    };
    let pulled = (fetcher.client)()?.fetch(&page.url, accept, token.as_deref(), PAGE_LIMIT).await;
    Ok(pulled.map_err(|fault| ImportError::new(fault.code(), fault.to_string())))
}

async fn staged(
    table: &Table,
    origin: &Origin,
    job: &Job,
    source: &DataSource,
    rows: &Rows,
) -> Result<StagedImport, Error> {
    let attempt = origin.id_source.new_id();
    let stage =
        StagedKey { workspace_id: source.workspace_id, source_id: source.source_id, job_id: job.job_id, attempt };
    let (mut pages, mut key_pages) = (0, 0);
    let at = origin.now();
    let new_commit = || Commit::without_event(origin.id_source.event_id()).require_unchanged(job);
    let mut commit = new_commit();
    for chunk in rows.rows.chunks(ROWS) {
        if commit.len() > STAGED_TOGETHER {
            table.commit(std::mem::replace(&mut commit, new_commit())).await?;
        }
        commit = commit.replace(&StagedRows { stage, number: pages, rows: aws::bytes(&compressed(chunk)?), at });
        pages += 1;
    }
    let mut keys = rows.keys.clone();
    let place = keys.binary_search(&comparison_marker()).unwrap_or_else(|place| place);
    keys.insert(place, comparison_marker());
    for chunk in keys.chunks(KEYS) {
        if commit.len() > STAGED_TOGETHER {
            table.commit(std::mem::replace(&mut commit, new_commit())).await?;
        }
        commit = commit.replace(&StagedKeys { stage, number: key_pages, keys: StagedKeys::bytes_of(chunk), at });
        key_pages += 1;
    }
    table.commit(commit).await?;
    Ok(StagedImport { attempt, pages, key_pages, nameless: rows.nameless })
}

fn compressed(rows: &[Row]) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_vec(rows).map_err(|e| Error::internal("staging rows", e))?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&json).map_err(|e| Error::internal("staging rows", e))?;
    encoder.finish().map_err(|e| Error::internal("staging rows", e))
}

fn stage_of(job: &Job, source: &DataSource, taken: &StagedImport) -> StagedKey {
    StagedKey {
        workspace_id: source.workspace_id,
        source_id: source.source_id,
        job_id: job.job_id,
        attempt: taken.attempt,
    }
}

/// A page of staged rows; `None` if they have expired.
pub(crate) async fn page_of(
    table: &Table,
    job: &Job,
    source: &DataSource,
    taken: &StagedImport,
    number: u32,
) -> Result<Option<Vec<Row>>, Error> {
    let Some(staged) = table.staged_rows(stage_of(job, source, taken), number).await? else {
        return Ok(None);
    };
    let mut json = Vec::new();
    let read = ZlibDecoder::new(staged.rows.as_slice()).read_to_end(&mut json);
    read.map_err(|e| Error::internal("reading staged rows", e))?;
    serde_json::from_slice(&json).map(Some).map_err(|e| Error::internal("reading staged rows", e))
}

/// Sorted key hashes of the users of all staged rows; `None` if they have expired.
pub(crate) async fn keys_of(
    table: &Table,
    job: &Job,
    source: &DataSource,
    taken: &StagedImport,
) -> Result<Option<Vec<KeyHash>>, Error> {
    let mut keys = Vec::new();
    for number in 0..taken.key_pages {
        match table.staged_keys(stage_of(job, source, taken), number).await? {
            Some(staged) => keys.extend(staged.hashes()),
            None => return Ok(None),
        }
    }
    Ok(Some(keys))
}
