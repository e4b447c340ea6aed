//! `POST /users/bulk`: one action on up to a hundred users, or on all that a filter finds.

use aws::Idempotency;
use domain::input::Fields;
use domain::job::JobKind;
use domain::refusal::Failure;
use lambda::{Call, Reply};
use serde_json::json;

use crate::jobs::work::Store;
use crate::jobs::{Task, bulk};
use crate::settings::Defaults;
use crate::users::actions::UserAction;
use crate::users::list_users;
use crate::world::Clock;

/// Takes `{action, ids | filter, dry_run?}` and what belongs to the action. See [`bulk`].
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
    bulk(store, call, defaults, clock, read_action, |filter| drop(list_users::read(filter))).await
}

fn read_action(fields: &mut Fields) -> Option<Task> {
    let (name, action) = UserAction::read(fields)?;
    Some(Task { kind: JobKind::Users, name, permission: action.permission(), action: json!(action) })
}
