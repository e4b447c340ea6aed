//! `GET /sources/{source_id}`.

use aws::Table;
use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> OperationDoc {
    OperationDoc::new("Get a data set").versioned().shows("The data set.", thing("Source"))
}

/// Answers with the data set.
///
/// # Errors
/// `NotFound`.
pub async fn handle(table: &Table, call: AuthorizedRequest) -> Result<Reply, Error> {
    let source = super::wanted(table, &call).await?;
    let view = with_names(table, call.workspace(), views::source(&source)).await?;
    Ok(Reply::thing(&view, source.version))
}
