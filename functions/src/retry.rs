//! Retries after concurrent changes.

use aws::Table;
use domain::error::Error;

/// Most attempts of an operation; with the waits between, they take about five seconds.
const ATTEMPTS: u32 = 14;

/// Repeats an attempt, from its reads, while it fails with `Conflict`.
///
/// # Errors
/// `Unavailable` if the conflicts continue; else those of the attempt.
pub(crate) async fn retry_on_conflict<T, F>(table: &Table, mut attempt: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for round in 0..ATTEMPTS {
        match attempt().await {
            Err(Error::Conflict) => table.backoff(round).await,
            answer => return answer,
        }
    }
    Err(Error::unavailable("the table", "concurrent changes of the same rows"))
}
