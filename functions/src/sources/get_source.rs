//! `GET /sources/{source_id}`.

use aws::Sources;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::views;

/// Answers with the data set.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &impl Sources, call: Call) -> Result<Reply, Failure> {
    let source = super::wanted(store, &call).await?;
    Ok(Reply::thing(&views::source(&source), source.version))
}
