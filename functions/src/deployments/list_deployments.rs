//! `GET /deployments`: who has been deployed what, and how far it has got.

use domain::error::Error;
use domain::models::user::User;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::profiles::default_profile;
use crate::state::AppState;
use crate::users::list_users;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List deployments")
        .detail(
            "Users, newest first, or those that `search` finds, each with the profile that applies to them and \
             their newest deployment. Deleted users are not listed.",
        )
        .lists::<views::DeployedUser>(|fields| drop(list_users::read(fields)))
}

/// Answers with a page of users, the newest first, each with the profile that holds for them, their newest deployment
/// and what became of it. It takes the filters of the users' list; deleted users are not among them.
///
/// # Errors
/// Every fault of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, filter) = Paging::read(&request, list_users::read)?;
    let mut page =
        table.list_users(request.workspace(), &filter, paging.limit, paging.start.clone(), request.now()).await?;
    page.items.retain(|person| person.user.deleted.is_none());
    let users: Vec<&User> = page.items.iter().map(|person| &person.user).collect();
    let deployments = table.deployments(&users).await?;
    let default = default_profile(table, request.workspace()).await?;
    let holding = |user: &User| user.client.profile(default);
    let ids = users.iter().filter_map(|user| holding(user)).collect();
    let names = table.profile_names(request.workspace(), &ids).await?;
    Ok(paging.reply(&page, |person| {
        let profile = holding(&person.user).and_then(|id| names.get(&id)).map(String::as_str);
        views::DeployedUser::new(person, deployments.get(&person.user.user_id), profile, request.now())
    }))
}
