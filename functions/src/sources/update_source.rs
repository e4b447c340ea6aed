//! `PATCH /sources/{source_id}`.

use aws::{Commit, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::source::{SourceKind, SourceSettings, TokenChange};
use domain::permission::Permission;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change a source")
        .detail(
            "`null` removes `token` or `every_hours`. A `url` on another host removes the token, unless it is sent \
             again. Not possible while a sync is running. Changing what a scheduled sync may wipe needs \
             `users:wipe`.",
        )
        .body(|mut fields| drop(SourceSettings::read(&mut fields, SourceKind::Http, None, &[])))
        .with_etag()
        .shows::<views::Source>("The source.")
        .refuses([DomainError::SyncRunning, DomainError::PermissionMissing(Permission::UsersWipe)])
}

/// Returns the source. A `token` or `every_hours` of `null` is removed; a `url` on another host removes the token,
/// unless it is sent again. While a sync is running nothing can be changed, since another key or policy would change
/// the meaning of its rows. Changing what a scheduled sync may wipe needs `users:wipe`.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `VersionMismatch`, `PermissionMissing`, `SyncRunning`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let hosts = &state.settings.source_hosts;
    retry_on_conflict(table, || async {
        let source = super::load_source(table, &request).await?;
        let mut fields = request.http.body()?;
        let edit = SourceSettings::read_edit(&mut fields, &source, hosts);
        fields.finish().map_err(DomainError::Invalid)?;
        let Some((after, event, token)) = source.update(edit, &request.new_event_context())? else {
            return Ok(Reply::ok_versioned(&views::Source::from(&source), source.version));
        };
        if source.widens_erasure(&after, &token) {
            request.caller.require(Permission::UsersWipe)?;
        }
        if super::is_running(table, &source).await? {
            return Err(DomainError::SyncRunning.into());
        }
        let commit = Commit::with_event(&event).bump_version(&source, &after);
        let commit = match &token {
            TokenChange::Unchanged => commit,
            TokenChange::Set(token) => commit.put_source_token(source.source_id, token),
            TokenChange::Removed => commit.delete_source_token(source.source_id),
        };
        let after = table.commit(commit).await?.with_new_version(after);
        Ok(Reply::ok_versioned(&views::Source::from(&after), after.version))
    })
    .await
}
