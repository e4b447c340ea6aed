//! Idempotency: a creating call can be repeated safely with the same `Idempotency-Key`.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::secret::Hash;
use crate::text::{Form, TextRule};

/// The header's value.
pub const IDEMPOTENCY_KEY: TextRule = TextRule::new(Form::Ascii, 1, 255);

/// How long a key is kept, in hours.
pub const LIFETIME_HOURS: i64 = 24;

/// The record of a creating call; it never contains the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// Hash of the request's path and body.
    #[serde(rename = "body_hash")]
    pub request_hash: Hash,
    /// Identifier of the created object.
    #[serde(rename = "made")]
    pub created_id: String,
    /// Expiry time.
    pub expires_at: Time,
}

impl IdempotencyRecord {
    /// The identifier of the object that an earlier call with the same key created; `None` if there was none,
    /// or the record has expired.
    ///
    /// # Errors
    /// `IdempotencyMismatch` if the key was used with another path or body.
    pub fn previous_id(found: Option<&Self>, request_hash: &Hash, now: Time) -> Result<Option<String>, DomainError> {
        match found.filter(|remembered| remembered.expires_at > now) {
            None => Ok(None),
            Some(remembered) if remembered.request_hash == *request_hash => Ok(Some(remembered.created_id.clone())),
            Some(_) => Err(DomainError::IdempotencyMismatch),
        }
    }
}
