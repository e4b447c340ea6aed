//! `GET /workspace`.

use aws::Workspaces;
use aws::stores::Actors;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::actors::with_names;
use crate::description::About;
use crate::description::schema::thing;
use crate::settings::Defaults;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Get the workspace").versioned().shows("The workspace.", thing("Workspace"))
}

/// Answers with the caller's workspace and what holds in it.
///
/// # Errors
/// `NotFound`, `VersionMismatch`.
pub async fn handle(store: &(impl Workspaces + Actors), call: Call, defaults: &Defaults) -> Result<Reply, Failure> {
    let workspace = store.workspace(call.workspace()).await?.ok_or(Refusal::NotFound("workspace"))?;
    call.request.check_version(workspace.version)?;
    let view = with_names(store, call.workspace(), views::workspace(&workspace, defaults)).await?;
    Ok(Reply::thing(&view, workspace.version))
}
