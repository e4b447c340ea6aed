//! `DELETE /jobs/{job_id}`.

use aws::{Commit, Jobs};
use domain::JobId;
use domain::job::cancel;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::views;

/// Answers with the job: what was done stays done, and nothing more is begun after the thing at
/// hand.
///
/// # Errors
/// `NotFound`; `JobOver` if it is finished.
pub async fn handle(store: &impl Jobs, call: Call) -> Result<Reply, Failure> {
    let id = call.request.path_id("job_id", "job", JobId::parse)?;
    attempts(store, || async {
        let job = store.job(call.workspace(), id).await?.ok_or(Refusal::NotFound("job"))?;
        let act = call.act();
        let Some(change) = cancel(&job, &act)? else {
            return Ok(Reply::ok(&views::job(&job)));
        };
        store.commit(Commit::changing(act.event_id, &change)).await?;
        Ok(Reply::ok(&views::job(change.job.as_ref().map_or(&job, |job| &job.after))))
    })
    .await
}
