//! Sources of users, and syncing with them.

pub mod create_source;
pub mod delete_source;
pub mod get_source;
pub mod list_sources;
pub(crate) mod stage;
pub(crate) mod sync;
pub mod sync_users;
pub mod update_source;
pub mod upload_source_part;

use aws::StagedRowsOf;
use aws::{EgressClient, Table};
use domain::SourceId;
use domain::error::{DomainError, Error};
use domain::models::source::DataSource;
use domain::states::JobState;
use lambda::AuthorizedRequest;

/// How sources are fetched. The client is built only when needed, since that loads the system's certificate
/// authorities.
pub struct Fetcher<'a> {
    /// Builds the HTTP client.
    pub client: &'a (dyn Fn() -> Result<EgressClient, Error> + Sync),
    /// See [`crate::settings::Settings::source_hosts`].
    pub hosts: &'a [String],
}

impl std::fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// The source in the request's path, guarded by `If-Match`.
async fn load_source(table: &Table, request: &AuthorizedRequest) -> Result<DataSource, Error> {
    let id = request.http.path_id("source_id", "source", SourceId::parse)?;
    let source = table.source(request.workspace(), id).await?.ok_or(DomainError::NotFound("source"))?;
    request.http.check_version(source.version)?;
    Ok(source)
}

/// True if the source's last sync is still running.
pub(crate) async fn is_running(table: &Table, source: &DataSource) -> Result<bool, Error> {
    let Some(id) = source.job_id else {
        return Ok(false);
    };
    let job = table.job(source.workspace_id, id).await?;
    Ok(job.is_some_and(|job| job.state == JobState::Running))
}

/// Deletes staged rows that are no longer needed. If the run ends early, a later run or the rows' time to live removes
/// the rest.
pub(crate) async fn clear(
    table: &Table,
    id_source: lambda::IdSource,
    workspace: domain::WorkspaceId,
    source: SourceId,
    leavings: StagedRowsOf,
) -> Result<(), Error> {
    loop {
        let keys = table.staged_row_keys(workspace, source, &leavings).await?;
        if keys.is_empty() {
            return Ok(());
        }
        table.commit(aws::Commit::without_event(id_source.event_id()).delete_rows(&keys)).await?;
    }
}
