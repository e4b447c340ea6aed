//! `GET /deployments`: users with their profile and newest deployment.

use domain::error::{DomainError, Error};
use domain::models::user::User;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::profiles::default_profile;
use crate::state::AppState;
use crate::users::list_users;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List deployments")
        .detail(
            "Users, newest first, those that `search` finds, or by `sort`, each with the profile that applies to them and \
             their newest deployment. Deleted users are not listed.",
        )
        .lists::<views::DeployedUser>(|fields| drop(list_users::read_sorted(fields)))
        .refuses([DomainError::SortNotAvailable])
}

/// Returns a page of users, newest first, each with the profile that applies to them and their newest deployment with
/// its status. Accepts the filters and orders of the list of users; deleted users are left out.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`, `SortNotAvailable`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, filter) = Paging::read(&request, list_users::read_sorted)?;
    let (limit, start) = (paging.limit, paging.start.clone());
    let mut page = table.list_users(request.workspace(), &filter, limit, start, request.now()).await?;
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
