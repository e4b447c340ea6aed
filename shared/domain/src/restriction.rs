//! Holds: what keeps a device or a user out until it is lifted.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::{Actor, EventContext};

/// A block, a suspension or a lock: since when, by whom, why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restriction {
    /// Since when.
    pub at: Time,
    /// By whom.
    pub by: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Restriction {
    /// A hold that begins with an act.
    #[must_use]
    pub fn by(context: &EventContext, reason: Option<String>) -> Self {
        Self { at: context.at, by: context.actor, reason }
    }
}
