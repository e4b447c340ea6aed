//! Retries after concurrent changes.

use domain::error::Error;

use crate::table::Table;

/// How often an operation starts over: with the pauses between, about 6 s on average and 13 s at most.
const ATTEMPTS: u32 = 14;

/// Repeats an attempt, from its reads, while it fails with `Conflict`.
///
/// # Errors
/// `Unavailable` if the conflicts continue; else those of the attempt.
pub async fn retry_on_conflict<T, F>(table: &Table, mut attempt: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for round in 0..ATTEMPTS {
        if round > 0 {
            table.backoff(round - 1).await;
        }
        match attempt().await {
            Err(Error::Conflict) => {}
            answer => return answer,
        }
    }
    Err(Error::unavailable("the table", "concurrent changes of the same rows"))
}
