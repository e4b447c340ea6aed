//! Users, their networks and their usage.

use std::collections::BTreeMap;

use domain::models::network::{self, Indicator, NetworkReason, NetworkStatus, Provisioning, indicator, tooltip};
use domain::models::provenance::Field;
use domain::models::usage::{Counts, UsageKind};
use domain::models::user::{self, Source};
use domain::models::{device, usage};
use domain::rules::networks::user_indicator;
use domain::states::UserStatus;
use domain::{ProfileId, SourceId, Time, UserId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::views::{Deployment, Device, Invitation, Restriction};

/// A user, without their devices.
#[derive(Serialize, JsonSchema)]
pub(crate) struct User {
    /// Identifier of the user.
    user_id: UserId,
    /// Name by which the user is known, unique in the workspace. Case and width make no difference, accents do
    /// (RFC 8265).
    username: String,
    /// First name.
    first_name: Option<String>,
    /// Last name.
    last_name: Option<String>,
    /// First and last name, or else the username.
    name: String,
    /// E-mail address.
    email: Option<String>,
    /// Mobile number with its country code (E.164).
    mobile: Option<String>,
    /// Extension or number in the telephone system.
    number: Option<String>,
    /// Key by which another system knows the user, unique in the workspace.
    user_identity_key: Option<String>,
    /// Status of the user. Where several apply, the strongest.
    status: UserStatus,
    /// How the user was created.
    source: Source,
    /// One of the workspace's service levels.
    service_level: Option<String>,
    /// Name of the user's own profile.
    profile: Option<String>,
    /// The user's own profile; without one, the default profile applies.
    profile_id: Option<ProfileId>,
    /// Name with which the user's phones sign in to the telephone system.
    sip_user_name: Option<String>,
    /// Service account of the user's phones.
    service_account: Option<String>,
    /// Source that the user comes from.
    source_id: Option<SourceId>,
    /// Identifier of the user in that source or in the identity provider.
    external_id: Option<String>,
    /// Username in the source, of a user who was renamed by hand.
    source_username: Option<String>,
    /// Fields that an administrator has set: a source leaves them alone until they are released.
    by_hand: Vec<Field>,
    /// Time of the first sync in which the source no longer had the user.
    vanished_at: Option<Time>,
    /// Time of the creation.
    created_at: Time,
    /// Time at which the user's first device was registered.
    registered_at: Option<Time>,
    /// Time of the last check-in of one of the user's devices. Lists may be up to 15 minutes behind.
    last_seen_at: Option<Time>,
    /// Version of the app on the device that checked in last.
    app_version: Option<String>,
    /// Networks of carriers.
    networks: Vec<Network>,
    /// The most urgent indicator of the user's networks.
    #[schemars(with = "Option<Indicator>")]
    network_indicator: Indicator,
    /// The suspension by an administrator, while it lasts.
    suspended: Option<Restriction>,
    /// The suspension by the user's source or identity provider, while it lasts.
    suspended_by_source: Option<Restriction>,
    /// The lock, by too many wrong PINs or by a remote lock, while it lasts.
    locked: Option<Restriction>,
    /// Whether one of the user's devices, deleted ones included, has a pending command.
    pending_command: bool,
    /// Whether a wipe was ordered that one of the user's devices, deleted ones included, has not confirmed.
    unconfirmed_wipe: bool,
    /// Number of devices that the user holds, at most three.
    device_count: usize,
    /// Time of the deletion.
    deleted_at: Option<Time>,
    /// Earliest time at which a deleted user is removed for good.
    purge_after: Option<Time>,
}

/// A user in a list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UserListItem {
    #[serde(flatten)]
    pub user: User,
    /// Usage of this month.
    pub usage: UsageCounts,
}

/// A user with the devices that they hold.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UserWithDevices {
    #[serde(flatten)]
    pub user: User,
    /// Devices that the user holds.
    pub devices: Vec<Device>,
}

/// A user with everything that belongs to them.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UserDetails {
    #[serde(flatten)]
    pub user: UserListItem,
    /// Devices that the user holds.
    pub devices: Vec<Device>,
    /// The user's own settings, which take precedence over those of the profile; at most 4 KiB.
    pub overrides: Map<String, Value>,
    /// Secrets that are set, each with the time at which it was set.
    pub secrets: BTreeMap<String, Time>,
    /// The newest deployment.
    pub deployment: Option<Deployment>,
    /// The newest invitation.
    pub invitation: Option<Invitation>,
}

/// A carrier's network of a user.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Network {
    /// The carrier: lower-case letters, digits and `_`.
    provider: String,
    /// Status of the network.
    status: NetworkStatus,
    /// Date of that status.
    status_at: Time,
    /// Reason for that status.
    reason: Option<NetworkReason>,
    /// Whether the mobile directory number is provisioned.
    mdn_provisioning: Option<Provisioning>,
    /// Time at which the carrier last saw the subscriber in the network.
    last_seen_at: Option<Time>,
    /// Time at which the carrier last archived something of the network.
    last_archived_at: Option<Time>,
    /// The first that applies: `red`, for Verizon only, provisioning is not enabled; `orange`, last seen or archived
    /// more than 30 days ago; `green`, provisioning is enabled and the network not disabled; else `none`.
    #[schemars(with = "Option<Indicator>")]
    indicator: Indicator,
    /// The status and its date, in words.
    tooltip: String,
}

/// Usage in numbers.
#[derive(Default, Serialize, JsonSchema)]
pub(crate) struct UsageCounts {
    /// Messages sent.
    messages_sent: u64,
    /// Messages received.
    messages_received: u64,
    /// Messages archived.
    messages_archived: u64,
    /// Bytes of attachments.
    attachment_bytes: u64,
    /// Calls.
    calls: u64,
}

/// Usage of a user or of the workspace.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Usage {
    /// Usage of each month that has any, newest first.
    months: Vec<MonthOfUsage>,
    /// The sum of these months.
    totals: UsageCounts,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct MonthOfUsage {
    /// The month, `YYYY-MM`.
    month: String,
    #[serde(flatten)]
    counts: UsageCounts,
}

/// The secrets of a user, after a change.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct SecretsSet {
    /// Identifier of the user.
    user_id: UserId,
    /// Secrets that are set, each with the time at which it was set.
    secrets: BTreeMap<String, Time>,
}

impl User {
    /// The user with what follows from the devices that they hold and those that they left behind; `profile` is the
    /// name of the user's own profile.
    pub fn new(
        user: &user::User,
        devices: &[device::Device],
        left: &[device::Device],
        profile: Option<&str>,
        now: Time,
    ) -> Self {
        let last_seen_at = user.last_seen_with(devices);
        let newest = devices.iter().filter(|device| device.app_version.is_some()).max_by_key(|d| d.last_login_at);
        let known = || devices.iter().chain(left);
        let (client, provenance) = (&user.client, &user.provenance);
        Self {
            user_id: user.user_id,
            username: user.username.clone(),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            name: user.name(),
            email: user.email.clone(),
            mobile: user.mobile.clone(),
            number: user.number.clone(),
            user_identity_key: user.user_identity_key.clone(),
            status: user.status(),
            source: user.source,
            service_level: user.service_level.clone(),
            profile: profile.map(str::to_owned),
            profile_id: client.profile_id,
            sip_user_name: client.sip_user_name.clone(),
            service_account: client.service_account.clone(),
            source_id: provenance.source_id,
            external_id: provenance.external_id.clone(),
            source_username: provenance.source_username.clone(),
            by_hand: provenance.by_hand.iter().copied().collect(),
            vanished_at: provenance.vanished_at,
            created_at: user.created_at,
            registered_at: user.registered_at,
            last_seen_at,
            app_version: newest.and_then(|device| device.app_version.clone()),
            networks: user.networks.iter().map(|(provider, known)| Network::new(provider, known, now)).collect(),
            network_indicator: user_indicator(user, now),
            suspended: user.suspension().map(Restriction::from),
            suspended_by_source: user.suspended_by_source.as_ref().map(Restriction::from),
            locked: user.locked.as_ref().map(Restriction::from),
            pending_command: known().any(|device| device.has_pending_command(now)),
            unconfirmed_wipe: known().any(|device| device.unconfirmed_wipe().is_some()),
            device_count: user.device_ids.len(),
            deleted_at: user.deleted.as_ref().map(|deleted| deleted.at),
            purge_after: user.deleted.as_ref().map(|deleted| deleted.purge_after),
        }
    }
}

impl UserListItem {
    pub fn new(person: &aws::UserWithDevices, profile: Option<&str>, usage: Option<&usage::Usage>, now: Time) -> Self {
        Self {
            user: User::new(&person.user, &person.devices, &person.left_behind, profile, now),
            usage: usage.map(|usage| UsageCounts::from(&usage.counts)).unwrap_or_default(),
        }
    }
}

impl Network {
    pub fn new(provider: &str, network: &network::Network, now: Time) -> Self {
        Self {
            provider: provider.to_owned(),
            status: network.status,
            status_at: network.status_at,
            reason: network.reason,
            mdn_provisioning: network.mdn_provisioning,
            last_seen_at: network.last_seen_at,
            last_archived_at: network.last_archived_at,
            indicator: indicator(provider, network, now),
            tooltip: tooltip(provider, network, now),
        }
    }
}

impl From<&Counts> for UsageCounts {
    fn from(counts: &Counts) -> Self {
        let count = |kind| counts.get(&kind).copied().unwrap_or(0);
        Self {
            messages_sent: count(UsageKind::MessagesSent),
            messages_received: count(UsageKind::MessagesReceived),
            messages_archived: count(UsageKind::MessagesArchived),
            attachment_bytes: count(UsageKind::AttachmentBytes),
            calls: count(UsageKind::Calls),
        }
    }
}

impl Usage {
    /// `months` are counts by month, `YYYY-MM`.
    pub fn new(months: &BTreeMap<String, Counts>) -> Self {
        let mut totals = Counts::new();
        months.values().for_each(|counts| usage::add(&mut totals, counts));
        let month = |(month, counts): (&String, &Counts)| MonthOfUsage { month: month.clone(), counts: counts.into() };
        Self { months: months.iter().rev().map(month).collect(), totals: (&totals).into() }
    }
}

/// The names of a user's secrets, each with the time at which it was set.
pub(crate) fn secrets(user: &user::User) -> BTreeMap<String, Time> {
    user.client.secrets.iter().map(|(kind, at)| (kind.to_string(), *at)).collect()
}

impl From<&user::User> for SecretsSet {
    fn from(user: &user::User) -> Self {
        Self { user_id: user.user_id, secrets: secrets(user) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_usage_is_counted_under_its_own_name() {
        let counts: Counts = UsageKind::ALL.iter().copied().zip(1..).collect();
        assert_eq!(json!(UsageCounts::from(&counts)), json!(counts));
    }
}
