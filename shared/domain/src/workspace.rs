//! Tenants.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::WorkspaceId;
use crate::text::{Form, TextRule};

/// A workspace's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// A tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its identifier.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// True for a workspace to try things in.
    pub sandbox: bool,
    /// When it was made.
    pub created_at: Time,
    /// How many members have the role `admin`.
    pub admin_count: u32,
    /// Goes up by one with each change.
    pub version: u64,
}
