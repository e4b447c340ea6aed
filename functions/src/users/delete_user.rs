//! `DELETE /users/{user_id}`.

use aws::retry_on_conflict;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};

use crate::context::ActionContext;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::users::deletion::{delete, read_delete};
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Delete a user")
        .detail(
            "A deletion cannot be undone. Wipe the user's devices first, or send `without_wipe` with a reason. \
             Without a body, both are read from the query.",
        )
        .body(|mut fields| drop(read_delete(&mut fields)))
        .query(|mut fields| drop(read_delete(&mut fields)))
        .with_etag()
        .shows::<views::UserWithDevices>("The user, with the devices that they hold.")
        .refuses([DomainError::WipeFirst(Vec::new())])
}

/// Returns the user with status `deleted` and `purge_after`. Irreversible. Reads `without_wipe` and `reason` from the
/// body, or from the query if there is no body.
///
/// # Errors
/// Every invalid field of the input; `NotFound`, `VersionMismatch`; `WipeFirst` with the devices that were never
/// wiped, unless `without_wipe` is true.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = if request.http.has_body() {
        request.http.query()?.finish().map_err(DomainError::Invalid)?;
        request.http.body()?
    } else {
        request.http.query()?
    };
    let wanted = read_delete(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    retry_on_conflict(state.table()?, || async {
        let context = ActionContext::of_request(state, &request)?;
        let user = super::load_user(context.table, &request).await?;
        let plan = delete(&context, &user, &wanted).await?;
        super::commit_and_reply(&context, plan).await
    })
    .await
}
