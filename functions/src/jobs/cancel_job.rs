//! `DELETE /jobs/{job_id}`.

use aws::retry_on_conflict;
use domain::JobId;
use domain::error::{DomainError, Error};
use domain::models::job::JobKind;
use domain::permission::Permission;
use domain::rules::jobs::cancel;
use domain::states::JobState;
use lambda::logging::Chain;
use lambda::{AuthorizedRequest, Reply};

use crate::context::Origin;
use crate::description::OperationDoc;
use crate::jobs::ranges::settle;
use crate::jobs::work::{Action, outcomes};
use crate::jobs::{commit, load};
use crate::sources::sync::delete_staged;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Cancel a job")
        .detail("What was done stays done. Cancelling a job needs the permission that starting it needs.")
        .with_etag()
        .shows::<views::Job>("The job.")
        .refuses([DomainError::JobOver(JobState::Finished), DomainError::PermissionMissing(Permission::UsersManage)])
}

/// Cancels a job and replies with it. What was done stays done. Requires the permissions for starting the job.
///
/// # Errors
/// `NotFound`; `VersionMismatch`; `PermissionMissing`; `JobOver` if it is finished.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("job_id", "job", JobId::parse)?;
    let job = retry_on_conflict(table, || async {
        let job = load(table, request.workspace(), id).await?;
        request.http.check_version(job.version)?;
        Action::of(&job)?.require_begun_by(&request.caller)?;
        let event_context = request.new_event_context();
        let Some(change) = cancel(&job, &outcomes(table, &job).await?, None, &event_context)? else {
            return Ok(job);
        };
        let after = commit(table, &job, change, &event_context).await?;
        if job.kind == JobKind::Sync
            && let Err(failure) = delete_staged(table, &Origin::of_request(&request), &job).await
        {
            // The job is canceled; rows that are left behind have a time to live.
            tracing::warn!(job.id = %job.job_id, error = %Chain(&failure), "staged rows are kept until they expire");
        }
        Ok(after)
    })
    .await?;
    // After the reply, nothing more is done.
    let job = settle(table, &Origin::of_request(&request), job).await?;
    Ok(Reply::ok_versioned(&views::Job::from(&job), job.version))
}
