//! `GET /sources/{source_id}`.

use aws::Sources;
use domain::refusal::Failure;
use lambda::{Call, Reply};

use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Get a data set").versioned().shows("The data set.", thing("Source"))
}

/// Answers with the data set.
///
/// # Errors
/// `NotFound`.
pub async fn handle(store: &impl Sources, call: Call) -> Result<Reply, Failure> {
    let source = super::wanted(store, &call).await?;
    Ok(Reply::thing(&views::source(&source), source.version))
}
