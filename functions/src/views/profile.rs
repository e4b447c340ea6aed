//! Profiles.

use domain::models::{profile, workspace};
use domain::{ProfileId, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

/// Deployment settings that many users share.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Profile {
    #[serde(flatten)]
    profile: ProfileListItem,
    /// The settings, at most 64 KiB.
    settings: Map<String, Value>,
    /// JSON Schema that the settings must satisfy.
    #[schemars(schema_with = "any_schema")]
    schema: Option<Value>,
}

/// A profile in a list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProfileListItem {
    /// Identifier of the profile.
    profile_id: ProfileId,
    /// Name of the profile.
    name: String,
    /// Whether it applies to users who have no profile of their own.
    default: bool,
    /// Goes up whenever the settings change.
    revision: u64,
    /// Time of the creation.
    created_at: Time,
    /// Time of the last change.
    updated_at: Time,
}

impl Profile {
    pub fn new(profile: &profile::Profile, workspace: &workspace::Workspace) -> Self {
        Self {
            profile: ProfileListItem::new(profile, workspace),
            settings: profile.settings.clone(),
            schema: profile.schema.clone(),
        }
    }
}

impl ProfileListItem {
    pub fn new(profile: &profile::Profile, workspace: &workspace::Workspace) -> Self {
        Self {
            profile_id: profile.profile_id,
            name: profile.name.clone(),
            default: workspace.default_profile_id == Some(profile.profile_id),
            revision: profile.revision,
            created_at: profile.created_at,
            updated_at: profile.updated_at,
        }
    }
}

fn any_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["object", "boolean", "null"]})
}
