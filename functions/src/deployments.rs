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
use domain::models::offer::Offer;
use lambda::AuthorizedRequest;

/// The deployment in the request's path.
async fn load_deployment(table: &Table, request: &AuthorizedRequest) -> Result<Offer, Error> {
    let id = request.http.path_id("deployment_id", "deployment", InvitationId::parse)?;
    Ok(table.deployment(request.workspace(), id).await?.ok_or(DomainError::NotFound("deployment"))?)
}
