//! `POST /deployments/auto`: deploys to many users at once.

use domain::error::Error;
use domain::models::job::JobKind;
use lambda::{AuthorizedRequest, Reply};
use serde_json::json;

use crate::description::OperationDoc;
use crate::jobs::{BulkAction, BulkOperation, begin_with};
use crate::state::AppState;
use crate::users::actions::UserAction;
use crate::users::list_users;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    BULK.doc("Deploy to many users", &[]).detail(
        "Users who have downloaded a configuration are told to download it again; the others get a deployment. \
         Users who were removed from client deployment are left out. The filter is that of the list of users, `{}` \
         for all.",
    )
}

/// Reads `{ids | filter, dry_run?}`; the filter is that of the list of users, `{}` for all. Users who have downloaded
/// a configuration are forced to download it again; the others get a deployment. Users who were removed from client
/// deployment are left out. See [`begin_with`].
///
/// # Errors
/// Every invalid field of the body; `IdempotencyMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    begin_with(state, request, BULK).await
}

const BULK: BulkOperation = BulkOperation { action: |_| Some(task()), filter: |filter| drop(list_users::read(filter)) };

fn task() -> BulkAction {
    let action = UserAction::AutoDeploy;
    BulkAction { kind: JobKind::Users, name: "auto_deploy", action: json!(action) }
}
