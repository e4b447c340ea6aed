//! Sources of users.

pub mod data;

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Time;
use crate::egress::{Host, read_url};
use crate::error::DomainError;
use crate::ids::{JobId, SourceId, WorkspaceId};
use crate::input::Fields;
use crate::models::actor::Creator;
use crate::models::provenance::Field;
use crate::models::user::Source as Origin;
use crate::permission::Permission;
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// A source's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 64);

/// A column or field of a source's rows.
pub const COLUMN: TextRule = TextRule::new(Form::Line, 1, 128);

/// The bearer token with which a page is fetched.
pub const TOKEN: TextRule = TextRule::new(Form::Ascii, 1, 4096);

/// The location of the rows in a JSON document: a JSON Pointer (RFC 6901), empty for the document itself.
pub const POINTER: TextRule = TextRule::new(Form::Line, 0, 256);

/// The fewest and the most hours between two scheduled syncs.
pub const EVERY_HOURS: (i64, i64) = (1, 168);

/// The most parts of an upload.
pub const PART_LIMIT: u32 = 64;

/// How long an upload waits for its sync.
pub const UPLOAD_RETENTION: Duration = Duration::days(2);

/// The largest share of a source's users, in percent, that may vanish in one sync, unless the source sets
/// another one.
pub const DEFAULT_VANISH_LIMIT: u8 = 30;

/// The mapping's name for the source's own identifier of a user.
pub const EXTERNAL_ID_FIELD: &str = "external_id";

string_enum! {
    /// How a source's rows arrive.
    stored SourceKind {
        /// As an uploaded CSV file.
        Csv = "csv",
        /// From a page that Handset fetches.
        Http = "http",
        /// From an identity provider, by SCIM.
        Scim = "scim",
    }
}

string_enum! {
    /// The field by which a row is matched with its user.
    #[derive(Default)]
    stored KeyField {
        /// By the username.
        #[default]
        Username = "username",
        /// By the source's identifier of the user.
        ExternalId = "external_id",
    }
}

string_enum! {
    /// What happens to users who are no longer in the source.
    #[derive(Default)]
    stored VanishPolicy {
        /// They are marked.
        #[default]
        Flag = "flag",
        /// They are suspended until they are back.
        Suspend = "suspend",
        /// They are deleted, without a wipe.
        Delete = "delete",
    }
}

string_enum! {
    /// The separator of cells in a line.
    #[derive(Default)]
    stored Delimiter {
        /// A comma.
        #[default]
        Comma = "comma",
        /// A semicolon.
        Semicolon = "semicolon",
    }
}

string_enum! {
    /// The format of a page.
    stored Format {
        /// An array of objects.
        Json = "json",
        /// CSV.
        Csv = "csv",
    }
}

/// The page from which a source is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Its URL.
    pub url: String,
    /// Its format.
    pub format: Format,
    /// Location of the rows in its JSON; see [`POINTER`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub items: String,
    /// True if a bearer token is sent, which is stored in another row.
    #[serde(default)]
    pub token_set: bool,
    /// Hours between scheduled fetches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_hours: Option<i64>,
}

/// Replaces a URL's query where the URL is shown, since it may contain a secret.
const HIDDEN_QUERY: &str = "?\u{2026}";

impl Page {
    /// The URL without its query.
    #[must_use]
    pub fn display_url(&self) -> String {
        self.url.split_once('?').map_or_else(|| self.url.clone(), |(url, _)| format!("{url}{HIDDEN_QUERY}"))
    }
}

/// The progress of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its identifier, chosen by the caller.
    pub upload_id: Uuid,
    /// Numbers of the parts that have arrived.
    pub parts: BTreeSet<u32>,
    /// Number of parts in all, known once the last one has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// When the first part arrived.
    pub started_at: Time,
    /// The job that has used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
}

impl Upload {
    /// True if all parts have arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| (1..=last).all(|number| self.parts.contains(&number)))
    }

    /// True if it is complete, unused and not expired.
    #[must_use]
    pub fn is_ready(&self, now: Time) -> bool {
        self.is_complete() && self.job_id.is_none() && self.started_at.plus(UPLOAD_RETENTION) > now
    }
}

/// A source of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub source_id: SourceId,
    /// Its name.
    pub name: String,
    /// How its rows arrive.
    pub kind: SourceKind,
    /// Its columns by our field names. A field without a column is left as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<String, String>,
    /// The field by which a row is matched with its user.
    #[serde(default)]
    pub key: KeyField,
    /// What happens to vanished users.
    #[serde(default)]
    pub policy: VanishPolicy,
    /// See [`DEFAULT_VANISH_LIMIT`].
    pub vanish_limit_percent: u8,
    /// The separator of cells in a line.
    #[serde(default)]
    pub delimiter: Delimiter,
    /// The page from which it is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// The latest upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
    /// True if a scheduled sync may reset phones to factory state, as changing a user's username does. Setting
    /// it takes the permission to wipe phones.
    #[serde(default)]
    pub renames_may_wipe: bool,
    /// When it is next fetched by schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// Who set its settings; scheduled syncs act in their name. Unknown for sources of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Creator>,
    /// Since when the schedule pauses, because its author no longer has the permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Time>,
    /// The latest sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Creation time.
    pub created_at: Time,
    /// Time of the last change of its settings.
    pub updated_at: Time,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// The settings of a source. In an edit, an outer `None` leaves a setting as it is, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceSettings {
    pub(crate) name: Option<String>,
    pub(crate) mapping: Option<BTreeMap<String, String>>,
    pub(crate) key: Option<KeyField>,
    pub(crate) policy: Option<VanishPolicy>,
    pub(crate) vanish_limit_percent: Option<u8>,
    pub(crate) delimiter: Option<Delimiter>,
    pub(crate) url: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) items: Option<String>,
    /// The bearer token.
    pub token: Option<Option<String>>,
    pub(crate) every_hours: Option<Option<i64>>,
    /// See [`DataSource::renames_may_wipe`].
    pub renames_may_wipe: Option<bool>,
}

/// The change of a source's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenChange {
    /// Unchanged.
    Unchanged,
    /// Set to this.
    Set(String),
    /// Removed.
    Removed,
}

impl SourceSettings {
    /// Reads the settings of a new source of a kind. `allowed` are the hosts that may be called.
    #[must_use]
    pub fn read_new(fields: &mut Fields, kind: SourceKind, allowed: &[String]) -> Self {
        let settings = Self::read(fields, kind, None, allowed);
        let required: &[&str] = match kind {
            SourceKind::Scim | SourceKind::Unknown(_) => &["name"],
            SourceKind::Csv => &["name", "mapping"],
            SourceKind::Http => &["name", "mapping", "url", "format"],
        };
        for name in required {
            fields.require(name);
        }
        if let Some(mapping) = &settings.mapping {
            check_key(fields, mapping, settings.key.unwrap_or_default());
        }
        settings
    }

    /// Reads an edit of a source. A URL as it is shown, without its query, leaves the URL unchanged.
    #[must_use]
    pub fn read_edit(fields: &mut Fields, source: &DataSource, allowed: &[String]) -> Self {
        let settings = Self::read(fields, source.kind, source.page.as_ref(), allowed);
        for name in ["name", "mapping", "url", "format"] {
            if fields.is_null(name) {
                fields.add_error(name, "missing", "cannot be removed");
            }
        }
        if fields.is_sent("kind") {
            fields.add_error("kind", "not_allowed", "cannot be changed");
        }
        settings
    }

    /// Reads the settings of a source of a kind, all optional. `page` is the present one, and `allowed` are the
    /// hosts that may be called.
    #[must_use]
    pub fn read(fields: &mut Fields, kind: SourceKind, page: Option<&Page>, allowed: &[String]) -> Self {
        let percent = fields.integer("vanish_limit_percent", 1, 100);
        let mut settings = Self {
            name: fields.text("name", NAME),
            policy: fields.enum_value("vanish_policy"),
            vanish_limit_percent: percent.and_then(|percent| u8::try_from(percent).ok()),
            ..Self::default()
        };
        match kind {
            SourceKind::Scim | SourceKind::Unknown(_) => {
                let reason = "not allowed for a source of kind scim";
                refuse(fields, &["mapping", "key_field", "delimiter"], reason);
            }
            SourceKind::Csv | SourceKind::Http => {
                settings.mapping = read_mapping(fields);
                settings.key = fields.enum_value("key_field");
                settings.delimiter = fields.enum_value("delimiter");
            }
        }
        match kind {
            SourceKind::Http => settings.read_page(fields, page, allowed),
            SourceKind::Csv | SourceKind::Scim | SourceKind::Unknown(_) => {
                let reason = "only allowed for a source of kind http";
                refuse(fields, &["url", "format", "items", "token", "every_hours", "renames_may_wipe"], reason);
            }
        }
        settings
    }

    fn read_page(&mut self, fields: &mut Fields, page: Option<&Page>, allowed: &[String]) {
        let url = fields.text("url", TextRule::in_bytes(Form::Line, 1, crate::egress::URL_LIMIT));
        self.url = url.filter(|url| page.is_none_or(|page| *url != page.display_url()));
        self.renames_may_wipe = fields.boolean("renames_may_wipe");
        if let Some(Err((code, detail))) = self.url.as_deref().map(|url| check_url(url, allowed)) {
            fields.add_error("url", code, detail);
        }
        self.format = fields.enum_value("format");
        self.items = fields.text("items", POINTER);
        if self.items.as_deref().is_some_and(|at| !at.is_empty() && !at.starts_with('/')) {
            fields.add_error("items", "invalid_format", "must be a JSON Pointer such as /people, or empty");
        }
        self.token = fields.text_edit("token", TOKEN);
        self.every_hours = fields.integer_edit("every_hours", EVERY_HOURS.0, EVERY_HOURS.1);
    }
}

/// Checks whether a URL may be called.
///
/// # Errors
/// See [`read_url`]; `host_not_allowed` if the deployment's allowlist lacks the host.
pub fn check_url(url: &str, allowed: &[String]) -> Result<Host, (&'static str, String)> {
    let host = read_url(url)?;
    if !host.is_allowed(allowed) {
        return Err(("host_not_allowed", "is not one of the hosts that this deployment may call".to_owned()));
    }
    Ok(host)
}

fn refuse(fields: &mut Fields, names: &[&str], reason: &str) {
    for name in names {
        if fields.is_sent(name) {
            fields.add_error(name, "not_allowed", reason);
        }
    }
}

fn check_key(fields: &mut Fields, mapping: &BTreeMap<String, String>, key: KeyField) {
    if key == KeyField::ExternalId && !mapping.contains_key(EXTERNAL_ID_FIELD) {
        fields.add_error("mapping.external_id", "missing", "is required, because rows are matched with users by it");
    }
}

/// Reads the mapping: an object of the source's columns by our field names.
fn read_mapping(fields: &mut Fields) -> Option<BTreeMap<String, String>> {
    let mut inner = fields.object("mapping")?;
    let mut mapping = BTreeMap::new();
    for name in Field::ALL.iter().map(|field| field.as_str()).chain([EXTERNAL_ID_FIELD]) {
        let column = if name == "username" { inner.required_text(name, COLUMN) } else { inner.text(name, COLUMN) };
        if let Some(column) = column {
            mapping.insert(name.to_owned(), column);
        }
    }
    inner.deny_unknown();
    fields.take_errors_of("mapping", inner);
    Some(mapping)
}

impl DataSource {
    /// The permissions that a schedule requires of its author.
    #[must_use]
    pub fn schedule_permissions(&self) -> &'static [Permission] {
        if self.renames_may_wipe {
            &[Permission::UsersManage, Permission::UsersWipe]
        } else {
            &[Permission::UsersManage]
        }
    }

    /// True if an edit lets a schedule erase phones that it could not before: it may from now on, or it already
    /// may and reads other rows or acts in another's name.
    #[must_use]
    pub fn widens_erasure(&self, after: &Self, token: &TokenChange) -> bool {
        let read = |source: &Self| {
            let page = source.page.as_ref();
            let page = page.map(|page| (page.url.clone(), page.format, page.items.clone()));
            (source.mapping.clone(), source.key, source.delimiter, page)
        };
        let scheduled = |source: &Self| source.page.as_ref().is_some_and(|page| page.every_hours.is_some());
        let begins = scheduled(after) && !scheduled(self);
        let resumes = self.paused_at.is_some() && after.paused_at.is_none();
        let others = read(self) != read(after) || *token != TokenChange::Unchanged || begins || resumes;
        after.renames_may_wipe && (!self.renames_may_wipe || others)
    }

    /// The source as users record it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.kind {
            SourceKind::Csv => Origin::Csv,
            SourceKind::Http => Origin::Http,
            SourceKind::Scim => Origin::Scim,
            SourceKind::Unknown(word) => Origin::Unknown(word),
        }
    }

    /// The next scheduled fetch after one at `now`; `None` while the schedule pauses.
    #[must_use]
    pub fn due_after(&self, now: Time) -> Option<Time> {
        if self.paused_at.is_some() {
            return None;
        }
        self.page.as_ref()?.every_hours.map(|hours| now.plus(Duration::hours(hours)))
    }

    /// The source after a part of an upload has arrived; a part of another upload starts a new one.
    ///
    /// # Errors
    /// `SourceKind` if its rows are not uploaded; an invalid field for a number beyond the last part.
    pub fn with_part(&self, part: &Part, now: Time) -> Result<Self, DomainError> {
        if self.kind != SourceKind::Csv {
            return Err(DomainError::SourceNotUploaded);
        }
        let known = self.upload.clone().filter(|upload| upload.upload_id == part.upload_id);
        let mut upload = known.unwrap_or_else(|| Upload {
            upload_id: part.upload_id,
            parts: BTreeSet::new(),
            last: None,
            started_at: now,
            job_id: None,
        });
        if upload.job_id.is_some() {
            return Ok(self.clone());
        }
        let most = upload.parts.last().copied().unwrap_or(0).max(part.number);
        let last = if part.is_last { Some(part.number) } else { upload.last };
        if upload.last.is_some_and(|known| part.is_last && known != part.number) || last.is_some_and(|last| most > last)
        {
            return Err(DomainError::field(
                "last",
                "conflicting",
                "another part is already the last one, or has a higher number",
            ));
        }
        upload.last = last;
        upload.parts.insert(part.number);
        Ok(Self { upload: Some(upload), ..self.clone() })
    }
}

/// A part of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The upload.
    pub upload_id: Uuid,
    /// Its number, from 1.
    pub number: u32,
    /// True for the last one.
    pub is_last: bool,
}

/// A request to sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    /// The job.
    pub job_id: JobId,
    /// Restricts the sync to these users.
    pub user_ids: Option<Vec<String>>,
    /// True if nothing is to be changed.
    pub dry_run: bool,
    /// True if phones may be reset to factory state, as changing a username does.
    pub may_wipe: bool,
}

/// The action of a sync's job, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum SyncAction {
    /// Brings users in line with a source.
    Sync {
        /// The source.
        source_id: SourceId,
        /// The upload that it reads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload_id: Option<Uuid>,
        /// See [`SyncRequest::may_wipe`].
        may_wipe: bool,
    },
}
