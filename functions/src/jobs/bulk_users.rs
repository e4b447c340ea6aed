//! `POST /users/bulk`: one action on up to 100 users, or on all that match a filter.

use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::job::JobKind;
use domain::permission::Permission;
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
    BULK.doc("Act on many users", &UserAction::names())
        .detail(
            "At most 100 that are named are done before the answer; those that a filter finds are done by a \
         job.",
        )
        .refuses([DomainError::PermissionMissing(Permission::UsersWipe)])
}

/// Takes `{action, ids | filter, dry_run?}` and the action's own fields. See [`begin_with`].
///
/// # Errors
/// Every invalid field of the body; `PermissionMissing` for an action that needs more than this operation;
/// `IdempotencyMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    begin_with(state, request, BULK).await
}

const BULK: BulkOperation = BulkOperation { action: read_action, filter: |filter| drop(list_users::read(filter)) };

fn read_action(fields: &mut Fields) -> Option<BulkAction> {
    let (name, action) = UserAction::read(fields)?;
    Some(BulkAction { kind: JobKind::Users, name, action: json!(action) })
}
