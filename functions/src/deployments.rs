//! Client deployment: each user's configuration, from the link to the phone.

pub mod auto_deploy;
pub mod deploy_config;
pub mod download_config;
pub mod get_deployment_qr;
pub mod list_deployments;
pub mod redirect;
pub mod revoke_deployment;
pub mod set_force_config;
pub mod set_user_secrets;
pub mod undeploy_user;

use aws::Table;
use domain::InvitationId;
use domain::error::{DomainError, Error};
use domain::models::invitation::Invitation;
use lambda::AuthorizedRequest;

/// The deployment that a call's path names.
async fn wanted(table: &Table, call: &AuthorizedRequest) -> Result<Invitation, Error> {
    let id = call.request.path_id("deployment_id", "deployment", InvitationId::parse)?;
    Ok(table.deployment(call.workspace(), id).await?.ok_or(DomainError::NotFound("deployment"))?)
}
