//! Changing a workspace's settings.

use serde_json::{Value, json};

use crate::clock::Time;
use crate::error::DomainError;
use crate::models::device::Device;
use crate::models::event::{Event, EventType};
use crate::models::workspace::{SILENT_RULE_EVERY, SilentRule, Workspace, WorkspaceEdit, WorkspaceSettings};
use crate::permission::Permission;
use crate::rules::access::Caller;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;

impl WorkspaceEdit {
    /// Checks that the caller may make this edit, or its dry run: a rule for silent devices requires the permission for
    /// what it does to devices, and its dry run the permission to read them. Removing the rule requires no more than
    /// managing the workspace.
    ///
    /// # Errors
    /// `PermissionMissing`.
    pub fn require_made_by(&self, caller: &Caller, dry_run: bool) -> Result<(), DomainError> {
        match &self.silent_devices {
            _ if dry_run => caller.require(Permission::DevicesRead),
            Some(Some(_)) => caller.require(SilentRule::PERMISSION),
            Some(None) | None => Ok(()),
        }
    }
}

/// Edits a workspace; `None` if nothing changes.
#[must_use]
pub fn update(workspace: &Workspace, edit: &WorkspaceEdit, context: &EventContext) -> Option<(Workspace, Event)> {
    fn set<T: Clone>(field: &mut T, wanted: Option<&T>) {
        if let Some(wanted) = wanted {
            field.clone_from(wanted);
        }
    }
    let mut after = workspace.clone();
    set(&mut after.name, edit.name.as_ref());
    let settings = &mut after.settings;
    set(&mut settings.retention_days, edit.retention_days.as_ref());
    set(&mut settings.invitation_days, edit.invitation_days.as_ref());
    set(&mut settings.check_in_minutes, edit.check_in_minutes.as_ref());
    set(&mut settings.sender, edit.sender.as_ref());
    set(&mut settings.sms_sender, edit.sms_sender.as_ref());
    set(&mut settings.emails_per_day, edit.emails_per_day.as_ref());
    set(&mut settings.texts_per_day, edit.texts_per_day.as_ref());
    set(&mut settings.silent_devices, edit.silent_devices.as_ref());
    set(&mut settings.pin_limit, edit.pin_limit.as_ref());
    set(&mut settings.service_levels, edit.service_levels.as_ref());
    set(&mut settings.minimum_versions, edit.minimum_versions.as_ref());
    let other_rule = after.settings.silent_devices != workspace.settings.silent_devices;
    let set_anew = matches!(edit.silent_devices, Some(Some(_)));
    if set_anew || other_rule {
        after.silent_rule_by = after.settings.silent_devices.as_ref().map(|_| context.creator());
        after.silent_rule_paused_at = None;
    }
    if other_rule || workspace.silent_rule_paused_at != after.silent_rule_paused_at {
        // The next scheduled run applies the rule.
        after.silent_rule_at = after.settings.silent_devices.as_ref().map(|_| context.at);
    }
    if after == *workspace {
        return None;
    }
    let mut event = context.event(EventType::WorkspaceUpdated);
    event.add_change("name", workspace.name.as_str(), after.name.as_str());
    event.add_change("silent_rule_by", json!(workspace.silent_rule_by), json!(after.silent_rule_by));
    let paused = |workspace: &Workspace| workspace.silent_rule_paused_at.is_some();
    event.add_change("silent_rule_paused", paused(workspace), paused(&after));
    let fields = |settings: &WorkspaceSettings| match json!(settings) {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (fields(&workspace.settings), fields(&after.settings));
    for name in old.keys().chain(new.keys()) {
        let value = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
        if matches!(name.as_str(), "sender" | "sms_sender") {
            if value(&old) != value(&new) && !event.changed_fields.contains(name) {
                event.add_changed_field(name);
            }
        } else {
            event.add_change(name, value(&old), value(&new));
        }
    }
    Some((after, event))
}

impl SilentRule {
    /// True if the rule applies to a device: it is active, not blocked, and silent. A device that has never logged in
    /// is not silent.
    #[must_use]
    pub fn applies_to(&self, device: &Device, now: Time) -> bool {
        let is_silent = device.last_login_at.is_some_and(|login| login < self.silent_before(now));
        device.deleted.is_none() && device.blocked.is_none() && is_silent
    }
}

/// Applies a workspace's rule for silent devices by a job that is begun, if any is silent; the rule is due again a day
/// later.
#[must_use]
pub fn apply_silent_rule(workspace: &Workspace, begun: Option<ChangeSet>, now: Time) -> ChangeSet {
    let begun = begun.unwrap_or_default();
    let mut after = workspace.clone();
    after.silent_rule_at = workspace.settings.silent_devices.as_ref().map(|_| now.plus(SILENT_RULE_EVERY));
    after.silent_rule_job_id = begun.job.as_ref().map(|job| job.after.job_id).or(workspace.silent_rule_job_id);
    ChangeSet { workspace: Some(RowChange::from(workspace.clone(), after)), ..begun }
}

/// Pauses a workspace's rule for silent devices, because the person who set it no longer has the permission; returns
/// the event too. Somebody with the permission must set it again.
#[must_use]
pub fn pause_silent_rule(workspace: &Workspace, context: &EventContext) -> (Workspace, Event) {
    let after = Workspace { silent_rule_at: None, silent_rule_paused_at: Some(context.at), ..workspace.clone() };
    let mut event = context.event(EventType::WorkspaceUpdated);
    event.add_change("silent_rule_paused", false, true);
    (after, event)
}
