//! `DELETE /jobs/{job_id}`.

use aws::{Commit, Jobs, Sources};
use domain::JobId;
use domain::access::Permission;
use domain::job::{JobKind, JobState, cancel};
use domain::refusal::{Failure, Refusal};
use lambda::logging::Chain;
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::doer::Doer;
use crate::jobs::work::{Action, outcomes};
use crate::sources::sync::forget;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Cancel a job")
        .detail("What was done stays done, and nothing more is. It takes what beginning the job takes.")
        .versioned()
        .shows("The job.", thing("Job"))
        .refuses([Refusal::JobOver(JobState::Finished), Refusal::PermissionMissing(Permission::UsersManage)])
}

/// Answers with the job: what was done stays done, and nothing more is. Takes what
/// beginning it takes.
///
/// # Errors
/// `NotFound`; `VersionMismatch`; `PermissionMissing`; `JobOver` if it is finished.
pub async fn handle(store: &(impl Jobs + Sources), call: Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("job_id", "job", JobId::parse)?;
    attempts(store, || async {
        let job = store.job(call.workspace(), id).await?.ok_or(Refusal::NotFound("job"))?;
        call.request.check_version(job.version)?;
        Action::of(&job)?.require_begun_by(&call.caller)?;
        let act = call.act();
        let Some(change) = cancel(&job, &outcomes(store, &job).await?, None, &act)? else {
            return Ok(Reply::thing(&views::job(&job), job.version));
        };
        store.commit(Commit::changing(act.event_id, &change)).await?;
        if job.kind == JobKind::Sync
            && let Err(failure) = forget(store, &Doer::of_call(&call), &job).await
        {
            // It is stopped; what is left behind has a time to live.
            tracing::warn!(job.id = %job.job_id, error = %Chain(&failure), "leavings wait for their end");
        }
        let after = change.job.as_ref().map_or(&job, |job| &job.after);
        Ok(Reply::thing(&views::job(after), job.version + 1))
    })
    .await
}
