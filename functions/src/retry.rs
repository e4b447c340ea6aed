//! Starting over when another change came first.

use aws::Table;
use domain::error::Error;

/// How often an operation starts over from its reads: with the waits between, some five seconds.
const ATTEMPTS: u32 = 14;

/// Does something until no other change comes first, starting over from its reads each time.
///
/// # Errors
/// `Unavailable` if others keep coming first; else what the attempt answers.
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
