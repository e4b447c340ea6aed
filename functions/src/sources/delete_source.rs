//! `DELETE /sources/{source_id}`.

use aws::stores::Leavings;
use aws::{Commit, Sources};
use domain::event::EventType;
use domain::refusal::Failure;
use lambda::logging::Chain;
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Remove a data set")
        .detail(
            "Its users stay as they are, and may be taken over by another data set; its token is forgotten, and so is \
             what was uploaded.",
        )
        .guarded()
        .shows("The data set as it was.", thing("Source"))
}

/// Answers with the data set as it was. Its users stay as they are, and may be taken over by another
/// data set; its token is forgotten, and so is what was uploaded. A sync at work ends at its next step.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(store: &impl Sources, call: Call) -> Result<Reply, Failure> {
    let source = attempts(store, || async {
        let source = super::wanted(store, &call).await?;
        let event = source.event(EventType::SourceDeleted, &call.act());
        store.commit(Commit::of(&event).delete(&source).forget_source_token(source.source_id)).await?;
        Ok(source)
    })
    .await?;
    let uploaded = source.upload.as_ref().map(|upload| Leavings::Upload(upload.upload_id));
    for leavings in uploaded.into_iter().chain(source.job_id.map(Leavings::Job)) {
        let cleared = super::clear(store, call.request.moment, source.workspace_id, source.source_id, leavings).await;
        // It is deleted; what is left behind has a time to live.
        if let Err(failure) = cleared {
            tracing::warn!(source.id = %source.source_id, error = %Chain(&failure), "leavings wait for their end");
        }
    }
    Ok(Reply::ok(&views::source(&source)))
}
