//! Sources. None shows its token, nor the query of its URL.

use std::collections::BTreeMap;

use domain::models::source::{self, Delimiter, Format, KeyField, SourceKind, VanishPolicy};
use domain::{JobId, SourceId, Time};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::views::Creator;

/// A source that users come from.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Source {
    /// Identifier of the source.
    source_id: SourceId,
    /// Name of the source.
    name: String,
    /// How its rows arrive.
    kind: SourceKind,
    /// What happens to users who are no longer in the source.
    vanish_policy: VanishPolicy,
    /// A sync that would remove more than this share of the source's users is stopped.
    vanish_limit_percent: u32,
    /// The newest sync.
    job_id: Option<JobId>,
    /// Time of the creation.
    created_at: Time,
    /// Time of the last change of its settings.
    updated_at: Time,
    #[serde(flatten)]
    rows: Option<Rows>,
    #[serde(flatten)]
    page: Option<Page>,
}

/// What a source says of its rows; SCIM has none.
#[derive(Serialize, JsonSchema)]
struct Rows {
    /// Columns of the source, by the names of our fields.
    mapping: BTreeMap<String, String>,
    /// What a row finds its user by.
    key_field: KeyField,
    /// Character between the cells of a line.
    delimiter: Delimiter,
    /// The newest upload.
    upload: Option<Upload>,
}

/// What a source says of the page that it is read from.
#[derive(Serialize, JsonSchema)]
struct Page {
    /// URL of the page, without its query.
    url: String,
    /// Format of the page.
    format: Format,
    /// Where in a JSON page the rows are (a JSON Pointer); empty for the page itself.
    items: String,
    /// Whether a bearer token is set.
    token_set: bool,
    /// Hours between two scheduled syncs; `null` for none.
    #[schemars(range(min = 0))]
    every_hours: Option<i64>,
    /// Whether a scheduled sync may wipe the phones of users whom it renames.
    renames_may_wipe: bool,
    /// Time of the next scheduled sync.
    next_sync_at: Option<Time>,
    /// Who set the schedule, which acts in their name; `null` for one of an earlier release, which is paused until it
    /// is set again.
    set_by: Option<Creator>,
    /// Time at which the schedule was paused because whoever set it no longer has the permissions that it needs. It
    /// goes on once somebody sets it again.
    paused_at: Option<Time>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Upload {
    /// Identifier of the upload, chosen by the caller for the whole file.
    upload_id: Uuid,
    /// Parts that have arrived.
    parts: Vec<u32>,
    /// Whether every part has arrived.
    complete: bool,
    /// Time at which the first part arrived.
    started_at: Time,
    /// The sync that has taken the upload in.
    job_id: Option<JobId>,
}

/// Answer to the upload of a part.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct UploadProgress {
    /// Identifier of the source.
    source_id: SourceId,
    /// Identifier of the upload, chosen by the caller for the whole file.
    upload_id: Uuid,
    /// Parts that have arrived.
    parts: Vec<u32>,
    /// Parts that have not arrived.
    missing: Vec<u32>,
    /// Whether every part has arrived.
    complete: bool,
    /// The sync that the upload has started, if it has.
    job_id: Option<JobId>,
}

impl From<&source::DataSource> for Source {
    fn from(source: &source::DataSource) -> Self {
        Self {
            source_id: source.source_id,
            name: source.name.clone(),
            kind: source.kind,
            vanish_policy: source.policy,
            vanish_limit_percent: source.vanish_limit_percent.into(),
            job_id: source.job_id,
            created_at: source.created_at,
            updated_at: source.updated_at,
            rows: (source.kind != SourceKind::Scim).then(|| Rows::from(source)),
            page: source.page.as_ref().map(|page| Page::new(page, source)),
        }
    }
}

impl From<&source::DataSource> for Rows {
    fn from(source: &source::DataSource) -> Self {
        Self {
            mapping: source.mapping.clone(),
            key_field: source.key,
            delimiter: source.delimiter,
            upload: source.upload.as_ref().map(Upload::from),
        }
    }
}

impl Page {
    fn new(page: &source::Page, source: &source::DataSource) -> Self {
        Self {
            url: page.display_url(),
            format: page.format,
            items: page.items.clone(),
            token_set: page.token_set,
            every_hours: page.every_hours,
            renames_may_wipe: source.renames_may_wipe,
            next_sync_at: source.due_at,
            set_by: source.set_by.map(Creator::from),
            paused_at: source.paused_at,
        }
    }
}

impl From<&source::Upload> for Upload {
    fn from(upload: &source::Upload) -> Self {
        Self {
            upload_id: upload.upload_id,
            parts: upload.parts.iter().copied().collect(),
            complete: upload.is_complete(),
            started_at: upload.started_at,
            job_id: upload.job_id,
        }
    }
}

impl UploadProgress {
    /// `upload_id` is the upload of the part that has just arrived.
    pub fn new(source: &source::DataSource, upload_id: Uuid) -> Self {
        let upload = source.upload.as_ref();
        let parts: Vec<u32> = upload.map(|upload| upload.parts.iter().copied().collect()).unwrap_or_default();
        let last = upload.and_then(|upload| upload.last).or(parts.last().copied()).unwrap_or(0);
        Self {
            source_id: source.source_id,
            upload_id,
            missing: (1..=last).filter(|number| !parts.contains(number)).collect(),
            parts,
            complete: upload.is_some_and(source::Upload::is_complete),
            job_id: upload.and_then(|upload| upload.job_id),
        }
    }
}
