//! `DELETE /deployments/users/{user_id}`: the account goes from client deployment, and from
//! nothing else.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::deployment::remove;
use domain::invitation::Purpose;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::doer::Doer;
use crate::users;
use crate::users::actions::{Prepared, newest};

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Take a user out of client deployment")
        .detail(
            "The user and their devices stay: the link of an open deployment ends, the secrets and the user's own \
             settings go, and no phone of theirs gets a configuration until the next deployment.",
        )
        .versioned()
        .shows("The user, with the devices that they hold.", thing("UserWithDevices"))
        .refuses([Refusal::UserDeleted])
}

/// Answers with the user and their devices, who stay: the link of an open deployment ends, the
/// secrets and the user's own settings go, and no phone of theirs gets a configuration until the
/// next deployment.
///
/// # Errors
/// `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(store: &(impl Users + Invitations + Profiles + Workspaces), call: Call) -> Result<Reply, Failure> {
    attempts(store, || async {
        let user = users::wanted(store, &call).await?;
        let devices = store.devices(user.workspace_id, &user.device_ids).await?;
        let open = newest(store, &user, Purpose::Deploy).await?;
        let act = Doer::of_call(&call).act();
        let change = remove(&user, &devices, open.as_ref(), &act)?;
        users::committed(store, Prepared::of(change, &act, &user, devices), &call).await
    })
    .await
}
