//! `POST /devices/bulk`: one action on up to a hundred devices, or on all that a filter finds.

use aws::Idempotency;
use domain::input::Fields;
use domain::job::JobKind;
use domain::refusal::Failure;
use lambda::{Call, Reply};
use serde_json::json;

use crate::devices::actions::DeviceAction;
use crate::devices::list_devices;
use crate::jobs::work::Store;
use crate::jobs::{Task, bulk};
use crate::settings::Defaults;
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
    bulk(store, call, defaults, clock, read_action, |filter| drop(list_devices::read(filter))).await
}

fn read_action(fields: &mut Fields) -> Option<Task> {
    let (name, action) = DeviceAction::read(fields)?;
    Some(Task { kind: JobKind::Devices, name, permission: action.permission(), action: json!(action) })
}
