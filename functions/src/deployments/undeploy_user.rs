//! `DELETE /deployments/users/{user_id}`: the account goes from client deployment, and from
//! nothing else.

use aws::{Invitations, Profiles, Users, Workspaces};
use domain::deployment::remove;
use domain::error::{DomainError, Error};
use domain::invitation::Purpose;
use lambda::{AuthorizedRequest, Reply};

use crate::context::RequestContext;
use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::retry::retry_on_conflict;
use crate::users;
use crate::users::actions::{PlannedUser, newest};

/// What the operation says of itself.
#[must_use]
pub fn about() -> OperationDoc {
    OperationDoc::new("Take a user out of client deployment")
        .detail(
            "The user and their devices stay: the link of an open deployment ends, the secrets and the user's own \
             settings go, and no phone of theirs gets a configuration until the next deployment.",
        )
        .versioned()
        .shows("The user, with the devices that they hold.", thing("UserWithDevices"))
        .refuses([DomainError::UserDeleted])
}

/// Answers with the user and their devices, who stay: the link of an open deployment ends, the
/// secrets and the user's own settings go, and no phone of theirs gets a configuration until the
/// next deployment.
///
/// # Errors
/// `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(
    store: &(impl Users + Invitations + Profiles + Workspaces),
    call: AuthorizedRequest,
) -> Result<Reply, Error> {
    retry_on_conflict(store, || async {
        let user = users::wanted(store, &call).await?;
        let devices = store.devices(user.workspace_id, &user.device_ids).await?;
        let open = newest(store, &user, Purpose::Deploy).await?;
        let event_context = RequestContext::of_call(&call).event_context();
        let change = remove(&user, &devices, open.as_ref(), &event_context)?;
        users::committed(store, PlannedUser::of(change, &event_context, &user, devices), &call).await
    })
    .await
}
