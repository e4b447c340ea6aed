//! `DELETE /deployments/users/{user_id}`: removes a user from client deployment only.

use aws::retry_on_conflict;
use domain::error::{DomainError, Error};
use domain::models::offer::Purpose;
use domain::rules::deployments::remove;
use lambda::{AuthorizedRequest, Reply};

use crate::context::ActionContext;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users;
use crate::users::changes::UserPlan;
use crate::users::offers::newest;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Remove a user from client deployment")
        .detail(
            "The user and their devices stay. The link of an open deployment becomes invalid, the user's secrets \
             and own settings are removed, and none of their phones gets a configuration until the next deployment.",
        )
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::UserDeleted])
}

/// Returns the user and their devices, which stay. The link of an open deployment becomes invalid, the secrets and
/// the user's own settings are removed, and none of their phones gets a configuration until the next deployment.
///
/// # Errors
/// `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let context = ActionContext::of_request(state, &request)?;
        let user = users::load_user(table, &request).await?;
        let devices = table.devices(user.workspace_id, &user.device_ids).await?;
        let open = newest(table, &user, Purpose::Deploy).await?;
        let change = remove(&user, &devices, open.as_ref(), &context.event_context)?;
        users::commit_and_reply(&context, UserPlan::of(&context, change, &user, devices)).await
    })
    .await
}
