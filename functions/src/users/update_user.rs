//! `PATCH /users/{user_id}`.

use aws::retry_on_conflict;
use domain::error::{DomainError, Error};
use domain::models::user::UserEdit;
use domain::permission::Permission;
use domain::rules::lifecycle::{is_renamed, require_rename_allowed};
use lambda::{AuthorizedRequest, Reply};

use crate::context::ActionContext;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users::edits::edit;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change a user")
        .detail(
            "`null` removes a field. A new username is a new identity: each of the user's devices is reset to its \
             state before enrolment and comes back by a new deployment, so renaming a user with devices needs \
             `users:wipe`. Instead of the deployment the user gets an invitation if the caller lacks \
             `deployments:manage` and the user was never deployed to, or their e-mail address has changed since. A \
             new e-mail address or mobile number revokes the user's open invitation and deployment. `profile_id` \
             and `overrides` need `deployments:manage`.",
        )
        .body(|fields| drop(UserEdit::read(fields)))
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([
            DomainError::UserDeleted,
            DomainError::UsernameTaken,
            DomainError::IdentityKeyTaken,
            DomainError::PermissionMissing(Permission::UsersWipe),
            DomainError::NotFound("profile"),
        ])
}

/// Returns the user and their devices. `null` removes a field. A new username is a new identity: each of the user's
/// devices is reset to its state before enrolment and re-enrols by a new deployment or invitation. For a user with
/// devices that needs `users:wipe`. The profile and the user's own settings need `deployments:manage`.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, `UserDeleted`, `VersionMismatch`, `UsernameTaken`,
/// `PermissionMissing`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let wanted = UserEdit::read(request.http.body()?)?;
    retry_on_conflict(state.table()?, || async {
        let context = ActionContext::of_request(state, &request)?;
        let user = super::load_user(context.table, &request).await?;
        require_rename_allowed(is_renamed(&user, &wanted), !user.device_ids.is_empty(), request.caller.may_wipe())?;
        // Who controls the configuration of a phone controls where its secrets are sent.
        if wanted.sets_configuration() {
            request.caller.require(Permission::DeploymentsManage)?;
        }
        let plan = edit(&context, &user, &wanted).await?;
        super::commit_and_reply(&context, plan).await
    })
    .await
}
