//! `POST /deployments/auto`: brings the configuration to many users at once.

use aws::Idempotency;
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

/// Takes `{ids | filter, dry_run?}`, the filter being that of the users' list, `{}` for all. Users
/// who have downloaded a configuration are told to download it again; the others get a deployment.
/// Whoever was taken out of client deployment stays out. See [`bulk`].
///
/// # Errors
/// Every fault of the body; `IdempotencyMismatch`.
pub async fn handle(
    store: &(impl Store + Idempotency),
    call: Call,
    defaults: &Defaults,
    clock: &Clock,
) -> Result<Reply, Failure> {
    let action = UserAction::AutoDeploy;
    let task = |_: &mut _| {
        let permission = action.permission();
        Some(Task { kind: JobKind::Users, name: "auto_deploy", permission, action: json!(action) })
    };
    bulk(store, call, defaults, clock, task, |filter| drop(list_users::read(filter))).await
}
