//! Reading and committing rows.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, KeysAndAttributes};
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep};
use domain::Time;
use domain::error::Error;

use crate::clients::Clients;
use crate::commit::{Commit, Committed, Transaction};
use crate::details;
use crate::item::{Item, Read, RowKey, from_item, log_unreadable};
use crate::store::event_shards::KeptShards;
use crate::throttles::{Throttles, is_throttling_error, is_throttling_reason};

/// The names of the two tables.
#[derive(Clone, Debug)]
pub struct TableNames {
    /// The table of everything but secrets.
    pub main: String,
    /// The table of secrets, which must never be exported.
    pub secrets: String,
}

/// The store: one table of everything but secrets, and one of secrets that only a few functions may read. `store/` has
/// its rows, with the methods that read and commit them.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) client: aws_sdk_dynamodb::Client,
    pub(crate) names: TableNames,
    pub(crate) kept_shards: KeptShards,
    sleep: SharedAsyncSleep,
    throttles: Throttles,
}

/// How often a commit with an unknown outcome is sent again; the SDK makes three attempts each time.
const UNKNOWN_OUTCOME_RETRIES: u32 = 3;
/// How often the unprocessed keys of a batch are requested again.
const BATCH_RETRIES: u32 = 6;
/// The most keys of a DynamoDB batch.
const BATCH_LIMIT: usize = 100;

impl Table {
    /// The tables by name.
    #[must_use]
    pub fn new(clients: &Clients, names: TableNames) -> Self {
        Self {
            client: clients.dynamodb.clone(),
            names,
            kept_shards: KeptShards::default(),
            sleep: clients.sleep.clone(),
            throttles: clients.throttles.clone(),
        }
    }

    /// One row, by a consistent read.
    pub(crate) async fn get<R: Read>(&self, key: &RowKey) -> Result<Option<R>, Error> {
        if R::DETAILS.is_empty() {
            return self.get_item(&self.names.main, key.attributes()).await?.map(from_item).transpose();
        }
        self.get_many([key.clone()]).await?.row(key)
    }

    /// One row of secrets.
    pub(crate) async fn get_secret(&self, pk: &str) -> Result<Option<Item>, Error> {
        let key = HashMap::from([("pk".to_owned(), AttributeValue::S(pk.to_owned()))]);
        self.get_item(&self.names.secrets, key).await
    }

    async fn get_item(&self, table: &str, key: Item) -> Result<Option<Item>, Error> {
        let get = self.client.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
        let output = get.send().await.map_err(|e| service_error("reading a row", e))?;
        Ok(output.item)
    }

    /// Many rows with their second rows, by consistent reads, a hundred per call.
    pub(crate) async fn get_many(&self, keys: impl IntoIterator<Item = RowKey>) -> Result<BatchResult, Error> {
        let mut wanted: Vec<RowKey> = keys.into_iter().collect();
        let second: Vec<RowKey> = wanted.iter().filter_map(details::key_beside).collect();
        wanted.extend(second);
        wanted.sort();
        wanted.dedup();
        let mut found = BatchResult::default();
        for chunk in wanted.chunks(BATCH_LIMIT) {
            self.get_chunk(chunk, &mut found).await?;
        }
        found.add_second_rows();
        Ok(found)
    }

    /// The rows with these keys, in that order; those that are not there are left out.
    pub(crate) async fn rows_with<R: Read>(&self, keys: Vec<RowKey>) -> Result<Vec<R>, Error> {
        let found = self.get_many(keys.iter().cloned()).await?;
        keys.iter().filter_map(|key| found.row(key).transpose()).collect()
    }

    /// The same, but that one which cannot be read is left out as well: to be shown, never to be decided by.
    pub(crate) async fn readable_rows_with<R: Read>(&self, keys: Vec<RowKey>) -> Result<Vec<R>, Error> {
        let found = self.get_many(keys.iter().cloned()).await?;
        Ok(keys.iter().filter_map(|key| found.readable(key)).collect())
    }

    async fn get_chunk(&self, keys: &[RowKey], found: &mut BatchResult) -> Result<(), Error> {
        let mut left: Vec<Item> = keys.iter().map(RowKey::attributes).collect();
        for attempt in 0..BATCH_RETRIES {
            let request = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
            let request = request.map_err(|e| Error::internal("reading rows", e))?;
            let batch = self.client.batch_get_item().request_items(&self.names.main, request);
            let output = batch.send().await.map_err(|e| service_error("reading rows", e))?;
            let items = output.responses.into_iter().flat_map(HashMap::into_values).flatten();
            found.extend(items);
            let unprocessed = output.unprocessed_keys.unwrap_or_default().remove(&self.names.main);
            left = unprocessed.map(|keys| keys.keys).unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            // Throughput is the usual reason: these responses are far from the limit of 16 MB ("BatchGetItem").
            self.throttles.note();
            self.backoff(attempt).await;
        }
        Err(Error::unavailable("DynamoDB", "a batch has unprocessed keys"))
    }

    /// Commits a change completely or not at all, and returns the new versions.
    ///
    /// After an unknown outcome the same request is sent again: DynamoDB recognises it by its token for ten
    /// minutes, and after that by the event's row, which can only be put once.
    ///
    /// # Errors
    /// `Conflict` if a row had changed, a name was taken, or another transaction was in progress on the same
    /// rows: nothing was changed, and the caller starts over from its reads.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, Error> {
        let Transaction { token, items, event_index, committed } =
            self.in_event_shards(commit).await.finish(&self.names)?;
        let mut repeat = 0;
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let Err(error) = request.client_request_token(&token).send().await else {
                return Ok(committed);
            };
            match Outcome::of(&error, event_index) {
                Outcome::Done => return Ok(committed),
                Outcome::Conflict => return Err(Error::Conflict),
                Outcome::Refused => return Err(Error::internal("committing", error)),
                Outcome::Throttled => return Err(Error::unavailable("DynamoDB", error)),
                Outcome::Unknown if repeat == UNKNOWN_OUTCOME_RETRIES => {
                    return Err(Error::unavailable("DynamoDB", error));
                }
                Outcome::Unknown => self.backoff(repeat).await,
            }
            repeat += 1;
        }
    }

    /// True if DynamoDB has throttled this process within this span before `now`. A throttle counts from the first time
    /// that this is asked after it.
    #[must_use]
    pub fn was_throttled_within(&self, span: chrono::Duration, now: Time) -> bool {
        self.throttles.noted_within(span, now)
    }

    /// Waits before another attempt: a random part of at most 25 ms, doubled for each further attempt, so that
    /// concurrent callers do not collide again.
    pub async fn backoff(&self, attempt: u32) {
        let most = 25_u64 << attempt.min(6);
        let mut random = [0; 8];
        // Without a random number it waits the full time, which is slower but safe.
        let part = getrandom::fill(&mut random).map_or(most, |()| u64::from_le_bytes(random) % (most + 1));
        self.sleep.sleep(Duration::from_millis(part)).await;
    }
}

/// The rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct BatchResult(HashMap<RowKey, Item>);

impl BatchResult {
    pub fn extend(&mut self, items: impl Iterator<Item = Item>) {
        self.0.extend(items.filter_map(|item| Some((RowKey::of(&item)?, item))));
    }

    /// Adds the rows of another batch.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Adds the attributes of second rows to those of the main rows that were found.
    fn add_second_rows(&mut self) {
        let second: Vec<RowKey> = self.0.keys().filter(|key| details::main_key(key).is_some()).cloned().collect();
        for key in second {
            let main = details::main_key(&key).filter(|main| self.0.contains_key(main));
            if let Some((main, second)) = main.and_then(|main| Some((main, self.0.remove(&key)?))) {
                self.0.entry(main).and_modify(|main| details::add(main, second));
            }
        }
    }

    /// The stored row with this key, if it was found.
    pub fn item(&self, key: &RowKey) -> Option<&Item> {
        self.0.get(key)
    }

    /// The object with this key, if it was found and is readable: for lists, which one unreadable row must not break.
    pub fn readable<R: Read>(&self, key: &RowKey) -> Option<R> {
        self.row(key).inspect_err(|_| log_unreadable(key)).ok().flatten()
    }

    /// The object with this key, if it was found.
    pub fn row<R: Read>(&self, key: &RowKey) -> Result<Option<R>, Error> {
        self.0.get(key).cloned().map(from_item).transpose()
    }
}

/// The outcome of a commit that returned an error.
enum Outcome {
    /// It had been committed by an earlier attempt.
    Done,
    /// It was not committed, because of a concurrent change.
    Conflict,
    /// It was not committed and cannot be.
    Refused,
    /// It was not committed, because DynamoDB is throttling.
    Throttled,
    /// Unknown.
    Unknown,
}

impl Outcome {
    fn of(error: &SdkError<TransactWriteItemsError>, event_index: Option<usize>) -> Self {
        let Some(service) = error.as_service_error() else {
            return match error {
                SdkError::ConstructionFailure(_) => Self::Refused,
                _ => Self::Unknown,
            };
        };
        if let TransactWriteItemsError::TransactionCanceledException(canceled) = service {
            return Self::of_reasons(canceled.cancellation_reasons(), event_index);
        }
        match service.meta().code() {
            Some(code) if is_throttling_error(code) => Self::Throttled,
            Some("TransactionConflictException") => Self::Conflict,
            Some("TransactionInProgressException" | "InternalServerError" | "ServiceUnavailable") | None => {
                Self::Unknown
            }
            Some(_) => Self::Refused,
        }
    }

    fn of_reasons(reasons: &[CancellationReason], event_index: Option<usize>) -> Self {
        let code = |at: usize| reasons.get(at).and_then(CancellationReason::code).unwrap_or("None");
        let codes: Vec<&str> = (0..reasons.len()).map(code).collect();
        if event_index.is_some_and(|at| code(at) == "ConditionalCheckFailed") {
            return Self::Done;
        }
        if codes.iter().any(|code| matches!(*code, "ConditionalCheckFailed" | "TransactionConflict")) {
            return Self::Conflict;
        }
        if codes.into_iter().any(is_throttling_reason) {
            return Self::Throttled;
        }
        Self::Refused
    }
}

/// The error of any other call: `Unavailable` if a retry may help, else `Internal`.
pub(crate) fn service_error<E>(what: &'static str, error: SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let ours = match &error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(service) => {
            let throttled = service.err().code().is_some_and(is_throttling_error);
            !throttled && service.raw().status().is_client_error()
        }
        _ => false,
    };
    if ours { Error::internal(what, error) } else { Error::unavailable("DynamoDB", error) }
}
