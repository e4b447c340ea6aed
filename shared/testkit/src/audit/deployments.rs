//! Client deployment: users' and phones' data about configurations match the events, and secrets are stored
//! only where they belong.

use std::collections::BTreeSet;

use aws::Row as _;
use domain::models::device::Device;
use domain::models::event::{Event, EventType};
use domain::models::offer::Purpose;
use domain::models::user::User;

use super::Audit;

impl Audit {
    pub(super) fn deployments(&mut self) {
        for user in self.users.clone() {
            self.client(&user);
            self.secrets_of(&user);
        }
        for device in self.devices.clone() {
            self.configuration(&device);
        }
        let stored = self.secrets.keys().filter(|key| key.starts_with("USER#")).count();
        let recorded = self.users.iter().filter(|user| !user.client.secrets.is_empty()).count();
        self.check_equal("USER# secrets", "one row for each user whose row records secrets", stored, recorded);
    }

    fn client(&mut self, user: &User) {
        let at = user.key();
        let client = &user.client;
        let about = |event: &Event| event.user_id == Some(user.user_id);
        let is_removed = client.removed_at.is_some();
        let open = self.invitations.iter().filter(|offer| offer.user_id == user.user_id);
        let open = open.filter(|offer| offer.purpose == Purpose::Deploy && offer.needs_code()).count();
        for (is_set, field, event_type) in [
            (is_removed, "client.removed_at", EventType::UserUndeployed),
            (client.served_at.is_some(), "client.served_at", EventType::DeviceConfigServed),
            (client.downloaded_at.is_some(), "client.downloaded_at", EventType::DeviceConfigInstalled),
        ] {
            let events = self.count(event_type, about);
            self.check(&at, format!("a user with `{field}` has a {event_type}"), !is_set || events > 0, "none");
        }
        self.check(
            &at,
            "a user who was removed from client deployment has no open deployment",
            !is_removed || open == 0,
            open,
        );
        self.check(
            &at,
            "a user who was removed from client deployment has no secrets",
            !is_removed || client.secrets.is_empty(),
            client.secrets.len(),
        );
    }

    /// The recorded secrets of a user exist in the table of secrets, and nowhere else.
    fn secrets_of(&mut self, user: &User) {
        let key = aws::store::secrets::user_secrets_pk(user.workspace_id, user.user_id);
        let stored = self.secrets.get(&key).and_then(|row| row.as_object()).into_iter().flatten();
        let stored: BTreeSet<String> = stored.map(|(name, _)| name.clone()).filter(|name| name != "pk").collect();
        let recorded: BTreeSet<String> = user.client.secrets.keys().map(ToString::to_string).collect();
        self.check_equal(user.key(), "`client.secrets` names the stored secrets", &recorded, &stored);
        let about =
            |event: &Event| event.user_id == Some(user.user_id) && event.event_type == EventType::UserSecretsSet;
        let in_events: BTreeSet<&String> =
            self.events.iter().filter(|event| about(event)).flat_map(|event| &event.changed_fields).collect();
        let missing: Vec<_> = recorded.iter().filter(|name| !in_events.contains(name)).cloned().collect();
        self.check(
            user.key(),
            "a user.secrets_set names each stored secret",
            missing.is_empty(),
            format!("none for {missing:?}"),
        );
    }

    /// A phone's served and installed versions match its events.
    fn configuration(&mut self, device: &Device) {
        let of_device = |event: &&Event| event.device_id == Some(device.device_id);
        let recorded = |event_type: EventType, version: &str| {
            let of_type = self.events.iter().filter(of_device).filter(|event| event.event_type == event_type);
            of_type.filter_map(|event| event.changes.get("config_version")).any(|change| change.after == version)
        };
        let served = match &device.served {
            None => true,
            Some(_) if device.is_download_ordered() => {
                let orders_download = |event: &Event| {
                    let registered =
                        matches!(event.event_type, EventType::DeviceRegistered | EventType::DeviceReEnrolled)
                            && event.device_id == Some(device.device_id)
                            && event.deployment_id.is_some();
                    let forced =
                        event.event_type == EventType::UserConfigForced && event.user_id == Some(device.user_id);
                    registered || forced
                };
                self.events.iter().any(orders_download)
            }
            Some(_) if device.last_served_version().is_none() => {
                let deployed = |event: &Event| {
                    event.event_type == EventType::DeploymentStarted && event.user_id == Some(device.user_id)
                };
                self.events.iter().any(deployed)
            }
            Some(_) => true,
        };
        let served = served
            && device.last_served_version().is_none_or(|version| recorded(EventType::DeviceConfigServed, version));
        let installed =
            device.config.as_deref().is_none_or(|version| recorded(EventType::DeviceConfigInstalled, version));
        self.check(device.key(), format!("the event that led to `served` exists: {:?}", device.served), served, "none");
        self.check(
            device.key(),
            format!("the installed version {:?} has a device.config_installed", device.config),
            installed,
            "none",
        );
    }
}
