//! `DELETE /users/{user_id}`.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::settings::Defaults;
use crate::users::actions::read_delete;

/// Answers with the user, status `deleted`, and `purge_after`. Nothing undoes it. Takes
/// `without_wipe` and `reason` from the body, or without one from the query.
///
/// # Errors
/// Every fault of the input; `NotFound`, `VersionMismatch`; `WipeFirst` naming the devices that
/// were never wiped, unless `without_wipe` is true.
pub async fn handle(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    let mut fields = if call.request.has_body() { call.request.body()? } else { call.request.query()? };
    let action = read_delete(&mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    super::act(store, &call, &action, defaults).await
}
