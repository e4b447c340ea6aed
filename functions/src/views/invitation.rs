//! Invitations and deployments. Neither shows its code.

use std::collections::BTreeMap;

use domain::models::client_account::ClientAccount;
use domain::models::device;
use domain::models::offer::{self, Channel, DeliveryState, Warning};
use domain::models::profile;
use domain::rules::deployments::Configuration;
use domain::states::InvitationStatus;
use domain::{InvitationId, ProfileId, Time, UserId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::views::user::secrets;

/// An invitation, without its code.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Invitation {
    /// Identifier of the invitation.
    invitation_id: InvitationId,
    /// The user who is invited.
    user_id: UserId,
    /// How the message is sent.
    channel: Channel,
    /// The address or number of the message, masked; `null` for invitations of an earlier release.
    sent_to: Option<String>,
    /// What whoever invites should look at.
    warnings: Vec<Warning>,
    /// Number of devices that the code registers.
    devices: u32,
    /// Number of devices that it has registered.
    used: u32,
    /// Registrations that were refused because another user holds the device. The fifth ends the code.
    refused_registrations: u32,
    /// Status of the invitation.
    status: InvitationStatus,
    /// Time of the creation.
    created_at: Time,
    /// Time of the expiry.
    expires_at: Time,
    /// Time at which the message was sent.
    sent_at: Option<Time>,
    /// Time at which the button on the page of the link was first used. A phone that opens the link in the app at once
    /// does not count.
    opened_at: Option<Time>,
    /// How often that button was used.
    opened: u32,
    /// Time at which the last of its devices was registered; `null` while the code can register more.
    used_at: Option<Time>,
    /// Time at which the expiry was recorded, normally within minutes of `expires_at`.
    expired_at: Option<Time>,
    /// Time at which a newer invitation replaced this one.
    superseded_at: Option<Time>,
    /// Time of the revocation.
    revoked_at: Option<Time>,
    /// State of the message.
    delivery: Delivery,
}

/// A configuration that was offered to a user, without the code of the offer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Deployment {
    /// Identifier of the deployment.
    deployment_id: InvitationId,
    /// The user whose phones are configured.
    user_id: UserId,
    /// The address of the message, masked; `null` for deployments of an earlier release.
    sent_to: Option<String>,
    /// What whoever deploys should look at.
    warnings: Vec<Warning>,
    /// Status of the deployment.
    status: InvitationStatus,
    /// Time of the creation.
    created_at: Time,
    /// Time of the expiry.
    expires_at: Time,
    /// Time at which the message was sent.
    deployed_at: Option<Time>,
    /// Time at which the last of its devices was registered; `null` while the code can register more.
    used_at: Option<Time>,
    /// Registrations that were refused because another user holds the device. The fifth ends the code.
    refused_registrations: u32,
    /// Time at which the expiry was recorded, normally within minutes of `expires_at`.
    expired_at: Option<Time>,
    /// Time at which a newer deployment replaced this one.
    superseded_at: Option<Time>,
    /// Time of the revocation.
    revoked_at: Option<Time>,
    /// State of the message.
    delivery: Delivery,
}

/// State of the message of an invitation or a deployment.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Delivery {
    /// The state.
    state: DeliveryState,
    /// Time at which the message entered it.
    at: Time,
    /// Why the message did not arrive, if that is known.
    reason: Option<String>,
}

/// A user in client deployment, and the progress of their deployment.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DeployedUser {
    /// Identifier of the user.
    user_id: UserId,
    /// Name by which the user is known.
    username: String,
    /// The user's own profile.
    profile_id: Option<ProfileId>,
    /// Name of the profile that applies to the user: their own, or else the default.
    profile: Option<String>,
    /// First name.
    first_name: Option<String>,
    /// Last name.
    last_name: Option<String>,
    /// Extension or number in the telephone system.
    number: Option<String>,
    /// Name with which the user's phones sign in to the telephone system.
    sip_user_name: Option<String>,
    /// Service account of the user's phones.
    service_account: Option<String>,
    /// E-mail address.
    email: Option<String>,
    /// Secrets that are set, each with the time at which it was set.
    secrets: BTreeMap<String, Time>,
    /// Time at which the message of the newest deployment was sent.
    deployed_at: Option<Time>,
    /// Time at which a phone last downloaded the configuration.
    served_at: Option<Time>,
    /// Time at which a phone last reported that it has installed a configuration.
    downloaded_at: Option<Time>,
    /// Time at which the user was removed from client deployment.
    removed_at: Option<Time>,
    /// Whether a device is told to download the configuration at its next check-in.
    force_pending: bool,
    /// The newest deployment.
    deployment: Option<Deployment>,
}

/// The configuration of a phone, secrets included.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct PhoneConfiguration {
    /// Version of this configuration, which the app reports at check-in once it is installed.
    config_version: String,
    /// The profile that the configuration is made from.
    profile: Option<ConfigurationProfile>,
    /// The settings.
    #[schemars(with = "Map<String, Value>")]
    settings: Value,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ConfigurationProfile {
    /// Identifier of the profile.
    profile_id: ProfileId,
    /// Name of the profile.
    name: String,
    /// Revision of its settings.
    revision: u64,
}

impl Invitation {
    pub fn new(invitation: &offer::Offer, now: Time) -> Self {
        Self {
            invitation_id: invitation.invitation_id,
            user_id: invitation.user_id,
            channel: invitation.channel,
            sent_to: invitation.sent_to.clone(),
            warnings: invitation.warnings(),
            devices: invitation.devices,
            used: invitation.used,
            refused_registrations: invitation.refused_registrations,
            status: invitation.status(now),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            sent_at: invitation.sent_at,
            opened_at: invitation.opened_at,
            opened: invitation.opened,
            used_at: invitation.used_at,
            expired_at: invitation.expired_at,
            superseded_at: invitation.superseded_at,
            revoked_at: invitation.revoked_at,
            delivery: invitation.delivery_at(now).into(),
        }
    }
}

impl Deployment {
    pub fn new(deployment: &offer::Offer, now: Time) -> Self {
        Self {
            deployment_id: deployment.invitation_id,
            user_id: deployment.user_id,
            sent_to: deployment.sent_to.clone(),
            warnings: deployment.warnings(),
            status: deployment.status(now),
            created_at: deployment.created_at,
            expires_at: deployment.expires_at,
            deployed_at: deployment.sent_at,
            used_at: deployment.used_at,
            refused_registrations: deployment.refused_registrations,
            expired_at: deployment.expired_at,
            superseded_at: deployment.superseded_at,
            revoked_at: deployment.revoked_at,
            delivery: deployment.delivery_at(now).into(),
        }
    }
}

impl From<offer::Delivery> for Delivery {
    fn from(delivery: offer::Delivery) -> Self {
        Self { state: delivery.state, at: delivery.at, reason: delivery.reason }
    }
}

impl DeployedUser {
    /// `profile` is the name of the profile that applies to the user.
    pub fn new(
        person: &aws::UserWithDevices,
        deployment: Option<&offer::Offer>,
        profile: Option<&str>,
        now: Time,
    ) -> Self {
        let user = &person.user;
        let ClientAccount { profile_id, sip_user_name, service_account, .. } = &user.client;
        Self {
            user_id: user.user_id,
            username: user.username.clone(),
            profile_id: *profile_id,
            profile: profile.map(str::to_owned),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            number: user.number.clone(),
            sip_user_name: sip_user_name.clone(),
            service_account: service_account.clone(),
            email: user.email.clone(),
            secrets: secrets(user),
            deployed_at: deployment.and_then(|deployment| deployment.sent_at),
            served_at: user.client.served_at,
            downloaded_at: user.client.downloaded_at,
            removed_at: user.client.removed_at,
            force_pending: person.devices.iter().any(device::Device::is_download_ordered),
            deployment: deployment.map(|deployment| Deployment::new(deployment, now)),
        }
    }
}

impl PhoneConfiguration {
    pub fn new(configuration: Configuration, profile: Option<&profile::Profile>) -> Self {
        let profile = profile.map(|profile| ConfigurationProfile {
            profile_id: profile.profile_id,
            name: profile.name.clone(),
            revision: profile.revision,
        });
        Self { config_version: configuration.version, profile, settings: configuration.settings }
    }
}
