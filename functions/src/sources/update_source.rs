//! `PATCH /sources/{source_id}`.

use aws::{Commit, Jobs, Sources};
use domain::access::Permission;
use domain::refusal::{Failure, Refusal};
use domain::source::{Settings, SourceKind, TokenChange};
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Change a data set")
        .detail(
            "A `token` or `every_hours` of `null` is taken away; a page on another host forgets the token, unless it \
             is given again. While a sync is at work nothing is changed. Who changes what a schedule may erase needs \
             `users:wipe`.",
        )
        .body(|mut fields| drop(Settings::read(&mut fields, SourceKind::Http, None, &[])))
        .versioned()
        .shows("The data set.", thing("Source"))
        .refuses([Refusal::SyncRunning, Refusal::PermissionMissing(Permission::UsersWipe)])
}

/// Answers with the data set. A `token` or `every_hours` of `null` is taken away; a page on another host
/// forgets the token, unless it is given again. While a sync is at work nothing is changed: by another key
/// or policy its rows would mean something else. Who changes what a schedule may erase needs the right to
/// erase it.
///
/// # Errors
/// Every fault of the body; `NotFound`, `VersionMismatch`, `PermissionMissing`, `SyncRunning`.
pub async fn handle(store: &(impl Sources + Jobs), call: Call, hosts: &[String]) -> Result<Reply, Failure> {
    attempts(store, || async {
        let source = super::wanted(store, &call).await?;
        let mut fields = call.request.body()?;
        let edit = Settings::of_edit(&mut fields, &source, hosts);
        fields.finish().map_err(Refusal::Invalid)?;
        let Some((after, event, token)) = source.update(edit, &call.act())? else {
            return Ok(Reply::thing(&views::source(&source), source.version));
        };
        if source.erases_anew(&after, &token) {
            call.caller.require(Permission::UsersWipe)?;
        }
        if super::is_running(store, &source).await? {
            return Err(Refusal::SyncRunning.into());
        }
        let commit = Commit::of(&event).touch(&source, &after);
        let commit = match &token {
            TokenChange::Kept => commit,
            TokenChange::Set(token) => commit.keep_source_token(source.source_id, token),
            TokenChange::Forgotten => commit.forget_source_token(source.source_id),
        };
        store.commit(commit).await?;
        Ok(Reply::thing(&views::source(&after), source.version + 1))
    })
    .await
}
