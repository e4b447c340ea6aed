//! Creating requests that have one effect however often they are sent with the same `Idempotency-Key`.

use aws::store::idempotency::{IdempotencyRow, idempotency_pk};
use aws::{Commit, Table};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::idempotency::{IDEMPOTENCY_KEY, IdempotencyRecord, LIFETIME_HOURS};
use domain::secret::Hash;

use crate::caller_scope::CallerScope;
use crate::retry::retry_on_conflict;

/// The `Idempotency-Key` of a creating request with the hash of its path and body; empty if none was sent.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(Option<(String, Hash)>);

/// What is known of a creating request.
#[derive(Debug)]
pub(crate) enum IdempotencyOutcome {
    /// It was handled before, and created the object with this identifier.
    Made(String),
    /// It is new, or its record has expired.
    New {
        /// True if an expired record must be replaced.
        expired_row_present: bool,
    },
}

impl IdempotencyKey {
    /// Reads the header. Without it, a repeated request counts as a new one.
    ///
    /// # Errors
    /// `Invalid` if the header is malformed.
    pub fn of(request: &impl CallerScope) -> Result<Self, DomainError> {
        const HEADER: &str = "idempotency-key";
        let http = request.http();
        if !http.headers.contains_key(HEADER) {
            return Ok(Self(None));
        }
        let sent = http.header(HEADER).unwrap_or_default();
        let key = IDEMPOTENCY_KEY.read(sent).map_err(|(code, detail)| DomainError::field(HEADER, code, detail))?;
        let pk = idempotency_pk(request.scope(), &request.principal(), http.operation, &key);
        // The path counts as well: the same body for another user is another request.
        let body = format!("{}|{}", http.raw_path, http.body_hash().as_str());
        Ok(Self(Some((pk, Hash::of(body)))))
    }

    /// Looks for an earlier request with the same key.
    ///
    /// # Errors
    /// `IdempotencyMismatch` if the key was used with another body.
    pub async fn look_up(&self, table: &Table, request: &impl CallerScope) -> Result<IdempotencyOutcome, Error> {
        let Some((pk, body_hash)) = &self.0 else {
            return Ok(IdempotencyOutcome::New { expired_row_present: false });
        };
        let found = table.idempotency_record(pk).await?;
        let expired_row_present = found.is_some();
        let made = IdempotencyRecord::previous_id(found, body_hash, request.http().id_source.now)?;
        Ok(made.map_or(IdempotencyOutcome::New { expired_row_present }, IdempotencyOutcome::Made))
    }

    /// As [`retry_on_conflict`]. If the attempt is refused, a concurrent request with the same key may have caused
    /// that; if so, `attempt` runs again and finds that request's result.
    ///
    /// # Errors
    /// As [`retry_on_conflict`].
    pub async fn run_once<T, F>(
        &self,
        table: &Table,
        request: &impl CallerScope,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = retry_on_conflict(table, &mut attempt).await;
        let refused = matches!(answer, Err(Error::Refused(_))) && self.0.is_some();
        if refused && matches!(self.look_up(table, request).await?, IdempotencyOutcome::Made(_)) {
            return retry_on_conflict(table, attempt).await;
        }
        answer
    }

    /// Adds the request's record to the commit that creates its object.
    pub fn remember(
        &self,
        commit: Commit,
        request: &impl CallerScope,
        made: &str,
        expired_row_present: bool,
    ) -> Commit {
        let Some((pk, body_hash)) = &self.0 else {
            return commit;
        };
        let remembered = IdempotencyRecord {
            body_hash: body_hash.clone(),
            made: made.to_owned(),
            expires_at: request.http().id_source.now.plus(Duration::hours(LIFETIME_HOURS)),
        };
        commit.put_idempotency_record(&IdempotencyRow { pk: pk.clone(), remembered }, expired_row_present)
    }
}
