//! `GET /users/{user_id}`.

use aws::UserWithDevices;
use domain::error::Error;
use domain::models::offer::Purpose;
use domain::models::usage::{UsageScope, month};
use lambda::{AuthorizedRequest, Reply};

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users::RelatedToUser;
use crate::users::offers::newest;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a user")
        .detail(
            "With their devices, newest invitation and deployment, own settings, the names of their secrets, and \
             this month's usage.",
        )
        .with_etag()
        .shows::<views::UserDetails>("The user.")
}

/// Returns the user, their devices, newest invitation and deployment, own settings, names of the secrets that are
/// set, and usage of this month.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let user = super::load_user(table, &request).await?;
    let id = user.user_id;
    let known = table.devices_to_show(request.workspace(), &user.all_device_ids()).await?;
    let person = UserWithDevices::of(user, &known);
    let used = table.usage_to_show(request.workspace(), &[UsageScope::User(id)], &month(request.now())).await?;
    let invitation = newest(table, &person.user, Purpose::Invite).await?;
    let beside = RelatedToUser::read(table, &person.user, &person.devices).await?;
    let deployment = newest(table, &person.user, Purpose::Deploy).await?;
    let view = views::UserDetails {
        user: views::UserListItem::new(&person, beside.profile(), used.first(), request.now()),
        devices: beside.devices(&person.user, &person.devices, request.now()),
        overrides: person.user.client.overrides.clone(),
        secrets: views::secrets(&person.user),
        deployment: deployment.map(|deployment| views::Deployment::new(&deployment, request.now())),
        invitation: invitation.map(|invitation| views::Invitation::new(&invitation, request.now())),
    };
    Ok(Reply::ok_versioned(&with_names(table, request.workspace(), view).await?, person.user.version))
}
