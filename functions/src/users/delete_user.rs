//! `DELETE /users/{user_id}`.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::description::About;
use crate::description::schema::thing;
use crate::settings::Defaults;
use crate::users::actions::read_delete;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Delete a user")
        .detail(
            "It cannot be undone. Where a device was never wiped, wipe first, or say `without_wipe` with a reason. \
             Without a body, both are taken from the query.",
        )
        .body(|mut fields| drop(read_delete(&mut fields)))
        .query(|mut fields| drop(read_delete(&mut fields)))
        .versioned()
        .shows("The user, with the devices that they hold.", thing("UserWithDevices"))
        .refuses([Refusal::WipeFirst(Vec::new())])
}

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
    let mut fields = if call.request.has_body() {
        call.request.query()?.finish().map_err(Refusal::Invalid)?;
        call.request.body()?
    } else {
        call.request.query()?
    };
    let action = read_delete(&mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    super::act(store, &call, &action, defaults).await
}
