//! Profiles: deployment settings that many users share.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Time;
use crate::ids::{ProfileId, WorkspaceId};
use crate::text::{Form, TextRule};

/// A profile's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 64);
/// The most bytes of a profile's settings, or of its schema, as JSON.
pub const SETTINGS_LIMIT: usize = 64 * 1024;

/// Settings that many users share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub profile_id: ProfileId,
    /// Its name, unique in the workspace whatever its capitals and accents.
    pub name: String,
    /// What phones are to be set to.
    pub settings: Map<String, Value>,
    /// The JSON Schema that the settings satisfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Counts the changes of its settings: what phones are told of.
    pub revision: u64,
    /// When it was made.
    pub created_at: Time,
    /// When its settings were last changed.
    pub updated_at: Time,
    /// Goes up by one with each change.
    pub version: u64,
}
