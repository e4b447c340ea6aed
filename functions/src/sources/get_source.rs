//! `GET /sources/{source_id}`.

use domain::error::Error;
use lambda::{AuthorizedRequest, Reply};

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a source").with_etag().shows::<views::Source>("The source.")
}

/// Returns the source.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let source = super::load_source(table, &request).await?;
    let view = with_names(table, request.workspace(), views::Source::from(&source)).await?;
    Ok(Reply::ok_versioned(&view, source.version))
}
