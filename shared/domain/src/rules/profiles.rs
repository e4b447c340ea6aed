//! Creating, changing and deleting profiles, and assigning them to users.

use serde_json::Value;

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::ProfileId;
use crate::models::event::{Event, EventType};
use crate::models::profile::{
    ASSIGNMENT_INDEX_DELAY, ASSIGNMENT_RECORD_INTERVAL, NewProfile, Profile, ProfileAssignment, ProfileEdit,
    edit_errors,
};
use crate::models::workspace::Workspace;
use crate::rules::change::{ChangeSet, ProfileGrant, RowChange};
use crate::rules::context::EventContext;
use crate::stored::Stored;

/// The change of a profile, committed together.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileChanges {
    /// The profile to write.
    pub profile: Profile,
    /// The workspace to write.
    pub workspace: Workspace,
    /// The event.
    pub event: Event,
}

/// A new profile. The first one of a workspace is its default.
#[must_use]
pub fn create(workspace: &Workspace, new: NewProfile, profile_id: ProfileId, context: &EventContext) -> ProfileChanges {
    let profile = Profile {
        workspace_id: context.workspace_id,
        profile_id,
        name: new.name,
        settings: new.settings,
        schema: new.schema,
        revision: 1,
        created_at: context.at,
        updated_at: context.at,
        version: 1,
        stored: Stored::default(),
    };
    let mut event = about(context, EventType::ProfileCreated, profile_id);
    event.add_change("name", Value::Null, profile.name.as_str());
    event.add_change("revision", Value::Null, profile.revision);
    let mut after = workspace.clone();
    after.profile_count = workspace.profile_count.saturating_add(1);
    if new.default || workspace.default_profile_id.is_none() {
        set_default(&mut after, Some(profile_id), &mut event);
    }
    ProfileChanges { profile, workspace: after, event }
}

/// Edits a profile; `None` if nothing changes.
///
/// # Errors
/// `Invalid`, with every field error of the edit, and of the new settings by the new schema; `ProfileIsDefault` if the
/// edit would unset the default.
pub fn update(
    workspace: &Workspace,
    profile: &Profile,
    edit: &ProfileEdit,
    context: &EventContext,
) -> Result<Option<ProfileChanges>, DomainError> {
    let mut after = profile.clone();
    if let Some(name) = &edit.name {
        after.name.clone_from(name);
    }
    if let Some(settings) = &edit.settings {
        after.settings.clone_from(settings);
    }
    if let Some(schema) = &edit.schema {
        after.schema.clone_from(schema);
    }
    let faults = edit_errors(profile, &after, edit);
    if !faults.is_empty() {
        return Err(DomainError::Invalid(faults));
    }
    let is_default = workspace.default_profile_id == Some(profile.profile_id);
    if is_default && edit.default == Some(false) {
        return Err(DomainError::ProfileIsDefault);
    }
    let becomes_default = edit.default == Some(true) && !is_default;
    if after == *profile && !becomes_default {
        return Ok(None);
    }
    let mut event = about(context, EventType::ProfileUpdated, profile.profile_id);
    event.add_change("name", profile.name.as_str(), after.name.as_str());
    if after.schema != profile.schema {
        event.add_changed_field("schema");
    }
    if after.settings != profile.settings {
        after.revision = profile.revision.saturating_add(1);
        event.add_change("revision", profile.revision, after.revision);
        event.add_changed_field("settings");
    }
    let mut workspace = workspace.clone();
    if becomes_default {
        set_default(&mut workspace, Some(profile.profile_id), &mut event);
    }
    after.updated_at = context.at;
    Ok(Some(ProfileChanges { profile: after, workspace, event }))
}

impl ChangeSet {
    /// The change with the assignment of a profile to its user; `before` is the record of the last assignment to
    /// anyone.
    #[must_use]
    pub fn granting(self, profile: &Profile, before: Option<&ProfileAssignment>, at: Time) -> Self {
        let profile_grant = Some(ProfileGrant { profile: profile.clone(), note: given(profile, before, at) });
        Self { profile_grant, ..self }
    }
}

/// The record that a profile was assigned at `at`; `before` is the record so far. `None` if that is recent. It keeps a
/// profile from being deleted before the index of its users is up to date.
#[must_use]
pub fn given(profile: &Profile, before: Option<&ProfileAssignment>, at: Time) -> Option<RowChange<ProfileAssignment>> {
    let of_late = before.is_some_and(|note| note.given_at.plus(ASSIGNMENT_RECORD_INTERVAL) > at);
    let noted = || match before {
        Some(before) => RowChange::from(before.clone(), ProfileAssignment { given_at: at, ..before.clone() }),
        None => RowChange::new(ProfileAssignment {
            workspace_id: profile.workspace_id,
            profile_id: profile.profile_id,
            given_at: at,
            version: 1,
            stored: Stored::default(),
        }),
    };
    (!of_late).then(noted)
}

/// Deletes a profile that no user has (`is_used`): returns the workspace and the event. The index of a profile's users
/// lags, so a profile cannot be deleted for a while after it was assigned (`given`).
///
/// # Errors
/// `ProfileInUse`, `ProfileJustGiven`; `ProfileIsDefault` if it is the default and not the only profile.
pub fn delete(
    workspace: &Workspace,
    profile: &Profile,
    given: Option<&ProfileAssignment>,
    is_used: bool,
    context: &EventContext,
) -> Result<(Workspace, Event), DomainError> {
    let is_default = workspace.default_profile_id == Some(profile.profile_id);
    if is_default && workspace.profile_count > 1 {
        return Err(DomainError::ProfileIsDefault);
    }
    if is_used {
        return Err(DomainError::ProfileInUse);
    }
    if given.is_some_and(|note| note.given_at.plus(ASSIGNMENT_INDEX_DELAY) > context.at) {
        return Err(DomainError::ProfileJustGiven);
    }
    let mut event = about(context, EventType::ProfileDeleted, profile.profile_id);
    event.add_change("name", profile.name.as_str(), Value::Null);
    let mut after = workspace.clone();
    after.profile_count = workspace.profile_count.saturating_sub(1);
    if is_default {
        set_default(&mut after, None, &mut event);
    }
    Ok((after, event))
}

fn about(context: &EventContext, event_type: EventType, profile_id: ProfileId) -> Event {
    Event { profile_id: Some(profile_id), ..context.event(event_type) }
}

fn set_default(workspace: &mut Workspace, to: Option<ProfileId>, event: &mut Event) {
    let text = |id: Option<ProfileId>| id.map_or(Value::Null, |id| id.to_string().into());
    event.add_change("default_profile_id", text(workspace.default_profile_id), text(to));
    workspace.default_profile_id = to;
}
