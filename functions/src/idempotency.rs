//! Creating requests that have one effect however often they are sent with the same `Idempotency-Key`.

use aws::store::idempotency::{IdempotencyRow, idempotency_pk};
use aws::{Commit, Table, retry_on_conflict};
use chrono::Duration;
use domain::error::{DomainError, Error};
use domain::models::idempotency::{IDEMPOTENCY_KEY, IdempotencyRecord, LIFETIME_HOURS};
use domain::secret::Hash;

use crate::caller_scope::CallerScope;

/// What a request creates.
pub(crate) struct Creation<T> {
    /// Identifier of the object.
    pub id: String,
    /// The commit that creates it.
    pub commit: Commit,
    /// What [`create_once`] returns after the commit.
    pub result: T,
}

/// Creates an object once per `Idempotency-Key`: commits what `create` has prepared, with a record of the request. If
/// an earlier request with the same key has created an object, returns what `repeat` makes of its identifier. Without
/// the header, a repeated request is a new one.
///
/// # Errors
/// `Invalid` if the header is malformed; `IdempotencyMismatch` if the key was used with another path or body; those of
/// `create` and `repeat`, and of [`retry_on_conflict`].
pub(crate) async fn create_once<T, C, R>(
    table: &Table,
    request: &impl CallerScope,
    create: impl Fn() -> C,
    repeat: impl Fn(String) -> R,
) -> Result<T, Error>
where
    C: Future<Output = Result<Creation<T>, Error>>,
    R: Future<Output = Result<T, Error>>,
{
    let key = IdempotencyKey::of(request)?;
    let attempt = || async {
        let expired = match key.look_up(table, request).await? {
            EarlierRequest::Created(id) => return repeat(id).await,
            EarlierRequest::None { expired } => expired,
        };
        let Creation { id, commit, result } = create().await?;
        table.commit(key.remember(commit, request, id, expired.as_ref())).await?;
        Ok(result)
    };
    let result = retry_on_conflict(table, attempt).await;
    // A concurrent request with the same key may have caused the refusal; then its object is the result.
    if let Err(Error::Refused(_)) = result
        && let EarlierRequest::Created(id) = key.look_up(table, request).await?
    {
        return repeat(id).await;
    }
    result
}

/// For [`create_once`], if the object's secret is shown only once.
///
/// # Errors
/// `AlreadyCreated`, always.
pub(crate) async fn refuse_repeat<T>(id: String) -> Result<T, Error> {
    Err(DomainError::AlreadyCreated(id).into())
}

/// Key of the request's record, with the hash of its path and body; empty without the header.
struct IdempotencyKey(Option<(String, Hash)>);

/// An earlier request with the same key.
enum EarlierRequest {
    /// It created the object with this identifier.
    Created(String),
    /// There is none, or its record has expired.
    None {
        /// The expired record, if it is still there.
        expired: Option<IdempotencyRecord>,
    },
}

impl IdempotencyKey {
    fn of(request: &impl CallerScope) -> Result<Self, DomainError> {
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

    async fn look_up(&self, table: &Table, request: &impl CallerScope) -> Result<EarlierRequest, Error> {
        let Some((pk, request_hash)) = &self.0 else {
            return Ok(EarlierRequest::None { expired: None });
        };
        let found = table.idempotency_record(pk).await?;
        let id = IdempotencyRecord::previous_id(found.as_ref(), request_hash, request.http().now())?;
        Ok(id.map_or(EarlierRequest::None { expired: found }, EarlierRequest::Created))
    }

    /// Adds the request's record to the commit that creates its object.
    fn remember(
        &self,
        commit: Commit,
        request: &impl CallerScope,
        id: String,
        expired: Option<&IdempotencyRecord>,
    ) -> Commit {
        let Some((pk, request_hash)) = &self.0 else {
            return commit;
        };
        let remembered = IdempotencyRecord {
            request_hash: request_hash.clone(),
            created_id: id,
            expires_at: request.http().now().plus(Duration::hours(LIFETIME_HOURS)),
        };
        commit.put_idempotency_record(&IdempotencyRow { pk: pk.clone(), remembered }, expired)
    }
}
