//! Creating calls can be repeated safely by sending the same `Idempotency-Key`.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::secret::Hash;
use crate::text::{Form, TextRule};

/// The header's value.
pub const IDEMPOTENCY_KEY: TextRule = TextRule::new(Form::Ascii, 1, 255);

/// How long a key is remembered, in hours.
pub const LIFETIME_HOURS: i64 = 24;

/// What is remembered of a creating call: never its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// The hash of the body.
    pub body_hash: Hash,
    /// The identifier of what was made.
    pub made: String,
    /// Time of its expiry.
    pub expires_at: Time,
}

impl IdempotencyRecord {
    /// The identifier of what the same call has made before; `None` if there was none, or its
    /// time is over.
    ///
    /// # Errors
    /// `IdempotencyMismatch` if the key was used with another body.
    pub fn made_before(found: Option<Self>, body_hash: &Hash, now: Time) -> Result<Option<String>, DomainError> {
        match found.filter(|remembered| remembered.expires_at > now) {
            None => Ok(None),
            Some(remembered) if remembered.body_hash == *body_hash => Ok(Some(remembered.made)),
            Some(_) => Err(DomainError::IdempotencyMismatch),
        }
    }
}
