//! `DELETE /sources/{source_id}`.

use aws::StagedRowsOf;
use aws::{Commit, retry_on_conflict};
use domain::error::Error;
use domain::models::event::EventType;
use lambda::logging::Chain;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Delete a source")
        .detail("Its users stay as they are, and another source may take them over. Its token and uploads are deleted.")
        .if_match()
        .shows::<views::Source>("The source as it was.")
}

/// Returns the source as it was. Its users stay as they are, and another source may take them over. Its token and
/// uploads are deleted. A running sync ends at its next step.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let source = retry_on_conflict(table, || async {
        let source = super::load_source(table, &request).await?;
        let event = source.event(EventType::SourceDeleted, &request.new_event_context());
        table.commit(Commit::with_event(&event).delete(&source).delete_source_token(source.source_id)).await?;
        Ok(source)
    })
    .await?;
    let uploaded = source.upload.as_ref().map(|upload| StagedRowsOf::Upload(upload.upload_id));
    for leavings in uploaded.into_iter().chain(source.job_id.map(StagedRowsOf::Job)) {
        let cleared =
            super::clear(table, request.http.id_source, source.workspace_id, source.source_id, leavings).await;
        // The source is already deleted; leftover rows expire by themselves.
        if let Err(failure) = cleared {
            tracing::warn!(source.id = %source.source_id, error = %Chain(&failure), "staged rows are kept until they expire");
        }
    }
    Ok(Reply::ok(&views::Source::from(&source)))
}
