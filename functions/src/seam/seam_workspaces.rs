//! `/workspaces/get` and `/workspaces/list`.

use std::collections::BTreeSet;

use crate::state::AppState;

use domain::error::{DomainError, Error};
use lambda::{MultiWorkspaceRequest, Reply};
use serde_json::{Value, json};

use super::{Verbs, route_of, views};

/// Returns the caller's workspace (`get`), or all that the caller may choose from (`list`): for a key its own, for a
/// person those of their memberships, for a token those of them that it opens.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; every invalid field of the parameters; for `get`, those of the workspace header.
pub async fn handle(state: &AppState, reach: MultiWorkspaceRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    match route_of(reach.request(), "workspaces") {
        "get" => {
            Verbs::GetPost.parameters_of(reach.request())?;
            let id = reach.select_workspace()?.workspace();
            let workspace = table.workspace(id).await?.ok_or(DomainError::NotFound("workspace"))?;
            Ok(lambda::seam::ok(json!({"workspace": views::workspace(&workspace)})))
        }
        "list" => {
            Verbs::GetPost.parameters_of(reach.request())?;
            let ids: BTreeSet<_> = reach.callers.iter().map(|caller| caller.workspace_id).collect();
            let workspaces: Vec<Value> = table.workspaces(&ids).await?.iter().map(views::workspace).collect();
            Ok(lambda::seam::ok(json!({"workspaces": workspaces})))
        }
        _ => Err(DomainError::RouteNotFound.into()),
    }
}
