//! `GET /users/{user_id}`: the console's Open.

use aws::UserWithDevices;
use domain::error::Error;
use domain::models::invitation::Purpose;
use domain::models::usage::{UsageScope, month};
use lambda::{AuthorizedRequest, Reply};
use serde_json::json;

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::state::AppState;
use crate::users::RelatedToUser;
use crate::users::offers::newest;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a user")
        .detail(
            "With their devices, their newest invitation and deployment, their own settings, which of their secrets \
             are set, and what they have used this month.",
        )
        .versioned()
        .shows("The user.", thing("UserWhole"))
}

/// Answers with the user, the devices that they hold, their newest invitation and deployment, their
/// own settings, which of their secrets are set, and what was used this month.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let user = super::load_user(table, &request).await?;
    let id = user.user_id;
    let known = table.devices_to_show(request.workspace(), &user.known_device_ids()).await?;
    let UserWithDevices { user, devices, left } = UserWithDevices::of(user, &known);
    let used = table.usage_to_show(request.workspace(), &[UsageScope::User(id)], &month(request.now())).await?;
    let invitation = newest(table, &user, Purpose::Invite).await?;
    let beside = RelatedToUser::read(table, &user, &devices).await?;
    let mut view = views::user_with_usage(&user, &devices, &left, beside.profile(), used.first(), request.now());
    view["overrides"] = json!(user.client.overrides);
    view["secrets"] = json!(user.client.secrets);
    view["devices"] = beside.devices(&user, &devices, request.now());
    let deployment = newest(table, &user, Purpose::Deploy).await?;
    view["deployment"] = json!(deployment.map(|deployment| views::deployment(&deployment, request.now())));
    view["invitation"] = json!(invitation.map(|invitation| views::invitation(&invitation, request.now())));
    Ok(Reply::thing(&with_names(table, request.workspace(), view).await?, user.version))
}
