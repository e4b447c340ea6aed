//! `/workspaces/get`.

use aws::Workspaces;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};
use serde_json::json;

use super::{Verbs, route, views};

/// Answers with the caller's workspace.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; every fault of the parameters.
pub async fn handle(store: &impl Workspaces, call: Call) -> Result<Reply, Failure> {
    if route(&call, "workspaces") != "get" {
        return Err(Refusal::RouteNotFound.into());
    }
    Verbs::GetPost.parameters(&call)?;
    let workspace = store.workspace(call.workspace()).await?.ok_or(Refusal::NotFound("workspace"))?;
    Ok(lambda::seam::ok(json!({"workspace": views::workspace(&workspace)})))
}
