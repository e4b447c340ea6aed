//! Holds: what keeps a device or a user out until it is lifted.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::models::actor::Actor;

/// The end of a device, or of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deleted {
    /// Its time.
    pub at: Time,
    /// Who did it.
    pub by: Actor,
    /// When the row may be removed.
    pub purge_after: Time,
}

/// A block, a suspension or a lock: since when, by whom, why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restriction {
    /// Its time.
    pub at: Time,
    /// Who did it.
    pub by: Actor,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
