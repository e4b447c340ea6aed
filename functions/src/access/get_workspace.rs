//! `GET /workspace`.

use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};

use crate::actors::with_names;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get the workspace").with_etag().shows::<views::Workspace>("The workspace.")
}

/// Returns the caller's workspace with its settings.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let operator = &state.settings.operator;
    let workspace = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
    request.http.check_version(workspace.version)?;
    let view = with_names(table, request.workspace(), views::Workspace::new(&workspace, operator)).await?;
    Ok(Reply::ok_versioned(&view, workspace.version))
}
