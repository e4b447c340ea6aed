//! `POST /devices/me/config`: download of the configuration by a phone.

use aws::{Commit, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::rules::check_in::authenticate;
use domain::rules::deployments::{configuration, serve};
use domain::secret::new_code;
use lambda::{Reply, Request, device_credential};

use crate::description::OperationDoc;
use crate::profiles::profile_of;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Download the configuration")
        .detail(
            "For a registered device that is allowed, and that was registered with a deployment's code or whose \
             user was deployed to since it was registered. The answer includes secrets and must not be cached. The \
             app installs the configuration and reports its version at the next check-in.",
        )
        .shows::<views::PhoneConfiguration>("The configuration.")
        .refuses([
            DomainError::DeviceBlocked,
            DomainError::UserSuspended,
            DomainError::UserLocked,
            DomainError::DeviceDeleted,
            DomainError::DeviceErased,
            DomainError::NotDeployed,
            DomainError::DeviceNotDeployed,
        ])
}

/// Returns `{config_version, profile, settings}`, including secrets, to a registered and allowed device. The reply
/// must not be stored. The app installs the configuration and reports its version at the next check-in. The version
/// changes with anything that the configuration is built from.
///
/// # Errors
/// `CredentialMissing`, `CredentialInvalid`, `ReEnrol`; see [`serve`].
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let table = state.table()?;
    let credential = device_credential(&request)?;
    retry_on_conflict(table, || async {
        let device = table.device(credential.workspace_id, credential.device_id).await?;
        let device = authenticate(device, &credential)?;
        let user = table.user(device.workspace_id, device.user_id).await?.ok_or(DomainError::DeviceDeleted)?;
        let profile = profile_of(table, &user).await?;
        let secrets = table.user_secrets(user.workspace_id, user.user_id).await?;
        let config = configuration(&user, profile.as_ref(), &secrets, new_code(request.id_source.random));
        let event_context = request.new_event_context(device.workspace_id, Actor::Device(device.device_id));
        if let Some(change) = serve(&device, &user, &config, &event_context)? {
            table.commit(Commit::from_changes(event_context.event_id, &change)).await?;
        }
        Ok(Reply::ok(&views::PhoneConfiguration::new(config, profile.as_ref())))
    })
    .await
}
