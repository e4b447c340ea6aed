//! rules::restriction

use crate::models::restriction::Restriction;
use crate::rules::context::EventContext;

impl Restriction {
    /// A hold that begins with an act.
    #[must_use]
    pub fn by(context: &EventContext, reason: Option<String>) -> Self {
        Self { at: context.at, by: context.actor, reason }
    }
}
