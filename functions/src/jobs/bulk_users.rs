//! `POST /users/bulk`: one action on up to a hundred users, or on all that a filter finds.

use aws::Idempotency;
use domain::access::Permission;
use domain::input::Fields;
use domain::job::JobKind;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};
use serde_json::json;

use crate::description::About;
use crate::jobs::work::Store;
use crate::jobs::{Bulk, Task, begin_with};
use crate::settings::Defaults;
use crate::users::actions::UserAction;
use crate::users::list_users;
use crate::world::Clock;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    BULK.about("Do something to many users", &UserAction::names())
        .detail("To at most a hundred that are named, before it answers; or to all that a filter finds, by a job.")
        .refuses([Refusal::PermissionMissing(Permission::UsersWipe)])
}

/// Takes `{action, ids | filter, dry_run?}` and what belongs to the action. See [`begin_with`].
///
/// # Errors
/// Every fault of the body; `PermissionMissing` for an action that needs more than this operation;
/// `IdempotencyMismatch`.
pub async fn handle(
    store: &(impl Store + Idempotency),
    call: Call,
    defaults: &Defaults,
    clock: &Clock,
) -> Result<Reply, Failure> {
    begin_with(store, call, defaults, clock, BULK).await
}

const BULK: Bulk = Bulk { action: read_action, filter: |filter| drop(list_users::read(filter)) };

fn read_action(fields: &mut Fields) -> Option<Task> {
    let (name, action) = UserAction::read(fields)?;
    Some(Task { kind: JobKind::Users, name, permission: action.permission(), action: json!(action) })
}
