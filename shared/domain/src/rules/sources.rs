//! Creating and changing sources, and starting their syncs.

use serde_json::{Value, json};

use crate::egress::read_url;
use crate::error::DomainError;
use crate::ids::SourceId;
use crate::models::event::{Event, EventType};
use crate::models::job::{JobKind, NewJob, Selection};
use crate::models::source::{
    DEFAULT_VANISH_LIMIT, DataSource, EXTERNAL_ID_FIELD, KeyField, Page, SourceKind, SourceSettings, SyncAction,
    SyncRequest, TokenChange,
};
use crate::rules::change::ChangeSet;
use crate::rules::context::EventContext;
use crate::rules::jobs::begin;
use crate::stored::Stored;

impl DataSource {
    /// A new source, with its event. The settings must have passed `SourceSettings::require`.
    #[must_use]
    pub fn create(kind: SourceKind, id: SourceId, new: SourceSettings, context: &EventContext) -> (Self, Event) {
        let page = new.url.zip(new.format).filter(|_| kind == SourceKind::Http).map(|(url, format)| Page {
            url,
            format,
            items: new.items.unwrap_or_default(),
            token_set: new.token.flatten().is_some(),
            every_hours: new.every_hours.flatten(),
        });
        let due_at = page.as_ref().and_then(|page| page.every_hours).map(|_| context.at);
        let source = Self {
            workspace_id: context.workspace_id,
            source_id: id,
            name: new.name.unwrap_or_default(),
            kind,
            mapping: new.mapping.unwrap_or_default(),
            key: new.key.unwrap_or_default(),
            policy: new.policy.unwrap_or_default(),
            vanish_limit_percent: new.vanish_limit_percent.unwrap_or(DEFAULT_VANISH_LIMIT),
            delimiter: new.delimiter.unwrap_or_default(),
            page,
            upload: None,
            renames_may_wipe: new.renames_may_wipe.unwrap_or_default(),
            due_at,
            set_by: Some(context.creator()),
            paused_at: None,
            job_id: None,
            created_at: context.at,
            updated_at: context.at,
            version: 1,
            stored: Stored::default(),
        };
        let mut event = source.event(EventType::SourceCreated, context);
        event.add_change("kind", Value::Null, kind.as_str());
        event.add_change("renames_may_wipe", false, source.renames_may_wipe);
        (source, event)
    }

    /// An event about the source.
    #[must_use]
    pub fn event(&self, event_type: EventType, context: &EventContext) -> Event {
        Event { source_id: Some(self.source_id), ..context.event(event_type) }
    }

    /// The source after an edit, with its event and the change of its token; `None` if nothing changes. A token is only
    /// for the host that it was given for: if the URL moves to another host, the token is removed.
    ///
    /// # Errors
    /// A field error if rows are matched by a field that is not in the mapping.
    pub fn update(
        &self,
        edit: SourceSettings,
        context: &EventContext,
    ) -> Result<Option<(Self, Event, TokenChange)>, DomainError> {
        let mut after = self.clone();
        let mut event = self.event(EventType::SourceUpdated, context);
        let says_when = edit.every_hours.is_some();
        after.name = edit.name.unwrap_or(after.name);
        after.mapping = edit.mapping.unwrap_or(after.mapping);
        after.key = edit.key.unwrap_or(after.key);
        after.policy = edit.policy.unwrap_or(after.policy);
        after.vanish_limit_percent = edit.vanish_limit_percent.unwrap_or(after.vanish_limit_percent);
        after.delimiter = edit.delimiter.unwrap_or(after.delimiter);
        after.renames_may_wipe = edit.renames_may_wipe.unwrap_or(after.renames_may_wipe);
        if after.key == KeyField::ExternalId && !after.mapping.contains_key(EXTERNAL_ID_FIELD) {
            return Err(DomainError::field(
                "mapping.external_id",
                "missing",
                "is required, because rows are matched with users by it",
            ));
        }
        let mut token = TokenChange::Unchanged;
        if let Some(page) = &mut after.page {
            let before = page.clone();
            page.url = edit.url.unwrap_or_else(|| before.url.clone());
            page.format = edit.format.unwrap_or(page.format);
            page.items = edit.items.unwrap_or_else(|| before.items.clone());
            let moved = read_url(&page.url).ok() != read_url(&before.url).ok();
            token = match edit.token {
                Some(Some(token)) => TokenChange::Set(token),
                Some(None) => TokenChange::Removed,
                None if moved => TokenChange::Removed,
                None => TokenChange::Unchanged,
            };
            if !before.token_set && token == TokenChange::Removed {
                token = TokenChange::Unchanged;
            }
            page.token_set = match &token {
                TokenChange::Unchanged => before.token_set,
                TokenChange::Set(_) => true,
                TokenChange::Removed => false,
            };
            page.every_hours = edit.every_hours.unwrap_or(before.every_hours);
            if page.every_hours != before.every_hours {
                after.due_at = page.every_hours.map(|_| context.at);
            }
            event.add_change("format", before.format.as_str(), page.format.as_str());
            event.add_change("every_hours", json!(before.every_hours), json!(page.every_hours));
            for (field, changed) in [
                ("url", page.url != before.url),
                ("items", page.items != before.items),
                ("token", token != TokenChange::Unchanged),
            ] {
                if changed {
                    event.add_changed_field(field);
                }
            }
        }
        for (field, changed) in [("name", after.name != self.name), ("mapping", after.mapping != self.mapping)] {
            if changed {
                event.add_changed_field(field);
            }
        }
        event.add_change("key_field", self.key.as_str(), after.key.as_str());
        event.add_change("vanish_policy", self.policy.as_str(), after.policy.as_str());
        event.add_change("vanish_limit_percent", self.vanish_limit_percent, after.vanish_limit_percent);
        event.add_change("renames_may_wipe", self.renames_may_wipe, after.renames_may_wipe);
        event.add_change("delimiter", self.delimiter.as_str(), after.delimiter.as_str());
        let renamed_alone =
            Self { name: self.name.clone(), ..after.clone() } == *self && token == TokenChange::Unchanged;
        if !renamed_alone || self.paused_at.is_some() && says_when {
            after.set_by = Some(context.creator());
            after.paused_at = None;
            if self.paused_at.is_some() {
                after.due_at = after.due_after(context.at).map(|_| context.at);
            }
        }
        event.add_change("paused", self.paused_at.is_some(), after.paused_at.is_some());
        if after == *self && token == TokenChange::Unchanged {
            return Ok(None);
        }
        after.updated_at = context.at;
        Ok(Some((after, event, token)))
    }

    /// The source with its schedule paused, because the person who set it no longer has the permissions for it.
    #[must_use]
    pub fn paused(&self, context: &EventContext) -> (Self, Event) {
        let mut event = self.event(EventType::SourceUpdated, context);
        event.add_change("paused", false, true);
        (Self { due_at: None, paused_at: Some(context.at), ..self.clone() }, event)
    }

    /// Starts a sync of all users or some: returns the source, which then names the job, and the change that creates
    /// the job. `running` is true while its last sync is still running.
    ///
    /// # Errors
    /// `SourcePushed` if an identity provider pushes the source's users; `NothingUploaded`; `SyncRunning`.
    pub fn begin_sync(
        &self,
        wanted: SyncRequest,
        running: bool,
        context: &EventContext,
    ) -> Result<(Self, ChangeSet), DomainError> {
        if self.kind == SourceKind::Scim {
            return Err(DomainError::SourcePushed);
        }
        if running {
            return Err(DomainError::SyncRunning);
        }
        let mut after = self.clone();
        let upload = self.upload.as_ref().filter(|upload| upload.is_ready(context.at)).map(|upload| upload.upload_id);
        if self.kind == SourceKind::Csv {
            if upload.is_none() {
                return Err(DomainError::NothingUploaded);
            }
            // After a dry run the upload can still be used.
            if !wanted.dry_run
                && let Some(upload) = &mut after.upload
            {
                upload.job_id = Some(wanted.job_id);
            }
        }
        after.job_id = Some(wanted.job_id);
        after.due_at = self.due_after(context.at);
        let action = SyncAction::Sync { source_id: self.source_id, upload_id: upload, may_wipe: wanted.may_wipe };
        let selection = match wanted.user_ids {
            Some(ids) => Selection::Ids(ids),
            None => Selection::Filter(serde_json::Map::new()),
        };
        let new = NewJob {
            job_id: wanted.job_id,
            kind: JobKind::Sync,
            action: json!(action),
            action_name: "sync",
            selection,
            dry_run: wanted.dry_run,
        };
        let mut change = begin(new, context);
        for event in &mut change.events {
            event.source_id = Some(self.source_id);
        }
        if let Some(job) = &mut change.job {
            job.after.page.clear();
            job.after.cursor = Some(String::new());
        }
        Ok((after, change))
    }
}
