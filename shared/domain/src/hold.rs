//! Holds: what keeps a device or a user out until it is lifted.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::{Act, Actor};

/// A block, a suspension or a lock: since when, by whom, why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub at: Time,
    /// By whom.
    pub by: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Hold {
    /// A hold that begins with an act.
    #[must_use]
    pub fn by(act: &Act, reason: Option<String>) -> Self {
        Self { at: act.at, by: act.actor, reason }
    }
}
