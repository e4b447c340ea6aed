//! `GET /users/{user_id}/usage`, and `GET /usage` of the whole workspace.

use domain::UserId;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get usage")
        .detail(
            "Usage of a user or of the workspace: each month that has any, newest first, for at most two years, and \
             the totals.",
        )
        .shows::<views::Usage>("The usage.")
}

/// Returns `{months, totals}`: the counts of each month with usage, newest first, for at most two years, and their
/// sums.
///
/// # Errors
/// `NotFound`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let months = if request.http.path("user_id").is_empty() {
        table.workspace_usage(request.workspace()).await?
    } else {
        let id = request.http.path_id("user_id", "user", UserId::parse)?;
        table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?;
        table.user_usage(request.workspace(), id).await?
    };
    Ok(Reply::ok(&views::Usage::new(&months)))
}
