//! Restrictions that bar a device or a user until they are lifted, and deletions.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::models::actor::Actor;

/// The deletion of a device or of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deleted {
    /// Time of the deletion.
    pub at: Time,
    /// Who deleted it.
    pub by: Actor,
    /// When the row may be purged.
    pub purge_after: Time,
}

/// A block, a suspension or a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restriction {
    /// Time of the restriction.
    pub at: Time,
    /// Who imposed it.
    pub by: Actor,
    /// Reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
