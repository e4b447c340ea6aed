//! Idempotency records: calls that were made with an `Idempotency-Key`.

use domain::error::Error;
use domain::models::idempotency::IdempotencyRecord;
use domain::secret::Hash;
use serde::{Deserialize, Serialize};

use crate::commit::Commit;
use crate::item::{Read, Row, RowKey};
use crate::table::Table;

impl Read for IdempotencyRecord {}
impl Read for IdempotencyRow {}

/// An idempotency record with its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdempotencyRow {
    /// Its partition key.
    #[serde(skip)]
    pub pk: String,
    /// The record.
    #[serde(flatten)]
    pub remembered: IdempotencyRecord,
}

/// The partition key of a principal's call to an operation under an idempotency key, in a workspace or for a
/// person alone.
#[must_use]
pub fn idempotency_pk(
    place: impl std::fmt::Display,
    principal: &str,
    operation: &str,
    idempotency_key: &str,
) -> String {
    let hash = Hash::of(format!("{principal}|{operation}|{idempotency_key}"));
    format!("IDEMPOTENCY#{place}#{}", hash.as_str())
}

/// The sort key of idempotency records.
pub const IDEMPOTENCY: &str = "IDEMPOTENCY";

impl Row for IdempotencyRow {
    fn key(&self) -> RowKey {
        RowKey::new(self.pk.clone(), IDEMPOTENCY)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.remembered.expires_at.seconds())
    }
}

impl Table {
    /// The record under a partition key from [`idempotency_pk`].
    pub async fn idempotency_record(&self, pk: &str) -> Result<Option<IdempotencyRecord>, Error> {
        self.get(&RowKey::new(pk, IDEMPOTENCY)).await
    }
}

impl Commit {
    /// Puts an idempotency record in the commit of the request, in place of an `expired` one that is still there. Of two
    /// concurrent requests one fails.
    #[must_use]
    pub fn put_idempotency_record(self, request: &IdempotencyRow, expired: Option<&IdempotencyRecord>) -> Self {
        match expired {
            Some(expired) => self.replace_record(request, expired.expires_at),
            None => self.put(request),
        }
    }
}
