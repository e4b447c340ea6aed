//! What lists, counts and orders derive from a thing: its facets, its places in orders, its amounts.
//!
//! Only changes that make an event change them. What time alone changes (a device becomes silent, a network's light
//! orange) is found by an order: the day of the last login, or of the network's.

use std::collections::BTreeMap;

use crate::clock::Time;
use crate::models::device::{Device, DeviceStatus};
use crate::models::job::Job;
use crate::models::network::Network;
use crate::models::offer::Offer;
use crate::models::push::Push;
use crate::models::user::User;
use crate::rules::networks::user_indicator;
use crate::search::{fold, from_the_end};
use crate::states::{InvitationStatus, JobState};
use crate::string_enum::string_enum;
use crate::versions::version_order;

string_enum! {
    /// A kind of thing with derived rows.
    ThingKind {
        /// A device.
        Device = "DEVICE",
        /// A user.
        User = "USER",
        /// A job.
        Job = "JOB",
    }
}

string_enum! {
    /// What a thing has one value of, by which it is found and counted.
    Facet {
        /// Whether it is active or deleted; for users, their status.
        Status = "status",
        /// A device's status for people; see [`device_status`].
        DeviceStatus = "device_status",
        /// The platform of a device's app.
        Platform = "platform",
        /// A device's model.
        ModelName = "model_name",
        /// The version of a device's OS.
        OsVersion = "os_version",
        /// The version of a device's app.
        AppVersion = "app_version",
        // Their names follow those of the others, so that an overview can leave them out.
        /// The version of a device's OS, and the device's status.
        OsVersionStatus = "status_of_os_version",
        /// The version of a device's app, and the device's status.
        AppVersionStatus = "status_of_app_version",
        /// Whether a device is blocked.
        Blocked = "blocked",
        /// Whether pushes reach a device.
        PushInUse = "push_in_use",
        /// Why, or why not.
        PushReason = "push_reason",
        /// A user's service level.
        ServiceLevel = "service_level",
        /// The most urgent light of a user's networks, had the carriers reported only now.
        NetworkIndicator = "network_indicator",
        /// A user's profile.
        ProfileId = "profile_id",
        /// A user's source.
        SourceId = "source_id",
        /// Whether a user is deployed to.
        Deployed = "deployed",
        /// The state of a user's latest invitation.
        Invitation = "invitation",
    }
}

string_enum! {
    /// An order of things.
    Order {
        /// By the name of a device's user.
        UserName = "user_name",
        /// By model.
        ModelName = "model_name",
        /// By version of the OS.
        OsVersion = "os_version",
        /// By version of the app.
        AppVersion = "app_version",
        /// By a user's name.
        Name = "name",
        /// By username.
        Username = "username",
        /// By mobile number, from its last digit.
        MobileEnd = "mobile_end",
        /// By number, from its last digit.
        NumberEnd = "number_end",
        /// Of devices that never logged in, and users who were never seen: by creation.
        NeverSeen = "never_seen",
        /// Of users with networks: by the day on which the one that has been silent longest was last seen.
        NetworkSeen = "network_seen",
        /// Of users with an open invitation: by its time.
        OpenInvitation = "open_invitation",
        /// Of users with an open deployment: by its time.
        OpenDeployment = "open_deployment",
        /// Of unfinished jobs: by their time.
        OpenJob = "open_job",
    }
}

string_enum! {
    /// What is added up over things.
    Amount {
        /// The things themselves.
        Things = "things",
        /// Commands that a device has yet to do.
        OpenCommands = "open_commands",
        /// Open invitations.
        OpenInvitations = "open_invitations",
        /// Open deployments.
        OpenDeployments = "open_deployments",
        /// Running jobs.
        RunningJobs = "running_jobs",
    }
}

/// What is derived from a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// When the thing was created: lists of a facet are ordered by it.
    pub created_at: Time,
    /// True once it is deleted; counts tell such things apart.
    pub deleted: bool,
    /// Its facets. A facet that it lacks has no value.
    pub facets: BTreeMap<Facet, String>,
    /// Its places in orders.
    pub orders: BTreeMap<Order, String>,
    /// Its amounts that are not zero.
    pub amounts: BTreeMap<Amount, u64>,
}

/// The value of a pair of facets.
#[must_use]
pub fn pair(first: &str, second: &str) -> String {
    format!("{first} {second}")
}

/// The status of a device as far as events change it: a silent device is in use, and a wipe is pending until an event
/// says that its time is up.
#[must_use]
pub fn device_status(device: &Device) -> DeviceStatus {
    // At that time, none is silent and no command has expired.
    device.device_status(Time::EPOCH)
}

/// The open invitation and deployment of a user, if they have one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatestOffers {
    /// The latest invitation.
    pub invitation: Option<Offer>,
    /// The latest deployment.
    pub deployment: Option<Offer>,
}

impl Derived {
    fn new(created_at: Time, deleted: bool) -> Self {
        let (facets, orders) = (BTreeMap::new(), BTreeMap::new());
        let amounts = BTreeMap::from([(Amount::Things, 1)]);
        Self { created_at, deleted, facets, orders, amounts }
    }

    fn add_never_seen(&mut self, seen: Option<Time>) {
        if seen.is_none() {
            self.orders.insert(Order::NeverSeen, self.created_at.to_string());
        }
    }

    /// What is derived from a device and its user's name.
    #[must_use]
    pub fn of_device(device: &Device, user_name: Option<&str>) -> Self {
        let status = device_status(device).as_str();
        let push = Push::for_display(device).reason;
        let mut derived = Self::new(device.created_at, device.deleted.is_some());
        derived.facets.extend([
            (Facet::Status, device.status().as_str().to_owned()),
            (Facet::DeviceStatus, status.to_owned()),
            (Facet::Platform, device.platform.as_str().to_owned()),
            (Facet::ModelName, device.model_name.clone()),
            (Facet::OsVersion, device.os_version.clone()),
            (Facet::OsVersionStatus, pair(&device.os_version, status)),
            (Facet::Blocked, device.blocked.is_some().to_string()),
            (Facet::PushInUse, push.in_use().to_string()),
            (Facet::PushReason, push.as_str().to_owned()),
        ]);
        let app_version = device.app_version.as_deref();
        derived.facets.extend(app_version.map(|version| (Facet::AppVersion, version.to_owned())));
        derived.facets.extend(app_version.map(|version| (Facet::AppVersionStatus, pair(version, status))));
        derived.orders.extend([
            (Order::UserName, text_order(user_name.unwrap_or_default())),
            (Order::ModelName, text_order(&device.model_name)),
            (Order::OsVersion, version_order(&device.os_version)),
            (Order::AppVersion, version_order(app_version.unwrap_or_default())),
        ]);
        derived.add_never_seen(device.last_login_at);
        let open = device.pending_commands(Time::EPOCH).count();
        if open > 0 {
            derived.amounts.insert(Amount::OpenCommands, u64::try_from(open).unwrap_or(0));
        }
        derived
    }

    /// What is derived from a user.
    #[must_use]
    pub fn of_user(user: &User, offers: &LatestOffers) -> Self {
        let mut derived = Self::new(user.created_at, user.deleted.is_some());
        // An offer expires by an event.
        let status = |offer: &Option<Offer>| offer.as_ref().map(|offer| offer.status(Time::EPOCH));
        let invitation = status(&offers.invitation).map_or(NO_INVITATION, InvitationStatus::as_str);
        derived.facets.extend([
            (Facet::Status, user.status().as_str().to_owned()),
            (Facet::NetworkIndicator, user_indicator(user, Time::EPOCH).as_str().to_owned()),
            (Facet::Invitation, invitation.to_owned()),
        ]);
        derived.facets.extend(user.service_level.clone().map(|level| (Facet::ServiceLevel, level)));
        if user.deleted.is_none() {
            let (profile, source) = (user.client.profile_id, user.provenance.source_id);
            derived.facets.insert(Facet::Deployed, user.client.deployment_id.is_some().to_string());
            derived.facets.extend(profile.map(|id| (Facet::ProfileId, id.to_string())));
            derived.facets.extend(source.map(|id| (Facet::SourceId, id.to_string())));
        }
        derived.orders.extend([(Order::Name, text_order(&user.name())), (Order::Username, text_order(&user.username))]);
        derived.add_never_seen(user.last_seen_at);
        for (order, number) in [(Order::MobileEnd, &user.mobile), (Order::NumberEnd, &user.number)] {
            let end = number.as_deref().map(from_the_end).filter(|end| !end.is_empty());
            derived.orders.extend(end.map(|end| (order, end)));
        }
        let seen = user.networks.values().map(Network::last_activity_at).min();
        derived.orders.extend(seen.map(|seen| (Order::NetworkSeen, seen.day())));
        for (order, amount, offer) in [
            (Order::OpenInvitation, Amount::OpenInvitations, &offers.invitation),
            (Order::OpenDeployment, Amount::OpenDeployments, &offers.deployment),
        ] {
            let open = offer.as_ref().filter(|offer| offer.status(Time::EPOCH) == InvitationStatus::Open);
            derived.orders.extend(open.map(|offer| (order, offer.created_at.to_string())));
            derived.amounts.extend(open.map(|_| (amount, 1)));
        }
        derived
    }

    /// What is derived from a job: nothing once it has ended, since its row then expires without an event.
    #[must_use]
    pub fn of_job(job: &Job) -> Option<Self> {
        let mut derived = Self::new(job.created_at, false);
        derived.orders.insert(Order::OpenJob, job.created_at.to_string());
        derived.amounts.insert(Amount::RunningJobs, 1);
        (job.state == JobState::Running).then_some(derived)
    }
}

/// The value of [`Facet::Invitation`] of a user who was never invited.
pub const NO_INVITATION: &str = "none";

/// The most characters of a text by which things are ordered.
const ORDER_LENGTH: usize = 100;

/// A text's place in an order: without accents, case and control characters.
fn text_order(text: &str) -> String {
    fold(text).chars().filter(|c| !c.is_control()).take(ORDER_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_ordered_without_accents_and_case() {
        let ordered = ["", "Ada", "Ångström", "anna", "Émile", "Zoë"];
        let mut sorted = ordered;
        sorted.reverse();
        sorted.sort_by_key(|text| text_order(text));
        assert_eq!(sorted, ordered);
        assert_eq!(text_order(&"Ä".repeat(500)).len(), ORDER_LENGTH);
    }
}
