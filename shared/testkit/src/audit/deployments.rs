//! Client deployment: users' and phones' data about configurations match the events, and secrets are stored
//! only where they belong.

use std::collections::BTreeSet;

use domain::models::device::Device;
use domain::models::event::{Event, EventType};
use domain::models::invitation::Purpose;
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
        let of_users = self.secrets.keys().filter(|key| key.starts_with("USER#")).count();
        let known = self.users.iter().filter(|user| !user.client.secrets.is_empty()).count();
        self.check(of_users == known, format!("{of_users} users' secrets are kept, of {known} it is known"));
    }

    fn client(&mut self, user: &User) {
        let client = &user.client;
        let about = |event: &Event| event.user_id == Some(user.user_id);
        let count = |event_type| self.count(event_type, about);
        let removed = count(EventType::UserUndeployed);
        let open = self.invitations.iter().filter(|offer| offer.user_id == user.user_id);
        let open = open.filter(|offer| offer.purpose == Purpose::Deploy && offer.needs_code()).count();
        let out = client.removed_at.is_some();
        let checks = [
            (!out || removed > 0, "a user is out of client deployment without its event".to_owned()),
            (!out || open == 0, "a user who is out of client deployment has an open deployment".to_owned()),
            (!out || client.secrets.is_empty(), "a user who is out of client deployment has secrets".to_owned()),
            (client.served_at.is_none() || count(EventType::DeviceConfigServed) > 0, "served without event".to_owned()),
            (
                client.downloaded_at.is_none() || count(EventType::DeviceConfigInstalled) > 0,
                "downloaded without its event".to_owned(),
            ),
        ];
        for (holds, what) in checks {
            self.check(holds, what);
        }
    }

    /// The recorded secrets of a user exist in the table of secrets, and nowhere else.
    fn secrets_of(&mut self, user: &User) {
        let key = aws::store::secrets::user_secrets_pk(user.workspace_id, user.user_id);
        let stored = self.secrets.get(&key).and_then(|row| row.as_object()).into_iter().flatten();
        let stored: BTreeSet<String> = stored.map(|(name, _)| name.clone()).filter(|name| name != "pk").collect();
        let known: BTreeSet<String> = user.client.secrets.keys().map(ToString::to_string).collect();
        self.check(stored == known, format!("stored secrets: {stored:?}, recorded: {known:?}"));
        let about =
            |event: &Event| event.user_id == Some(user.user_id) && event.event_type == EventType::UserSecretsSet;
        let recorded: BTreeSet<&String> =
            self.events.iter().filter(|event| about(event)).flat_map(|event| &event.changed_fields).collect();
        let missing: Vec<_> = known.iter().filter(|name| !recorded.contains(name)).cloned().collect();
        self.check(missing.is_empty(), format!("secrets were set without their event: {missing:?}"));
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
                let forced = |event: &Event| {
                    let registered =
                        matches!(event.event_type, EventType::DeviceRegistered | EventType::DeviceReEnrolled)
                            && event.device_id == Some(device.device_id)
                            && event.deployment_id.is_some();
                    let recorded =
                        event.event_type == EventType::UserConfigForced && event.user_id == Some(device.user_id);
                    registered || recorded
                };
                self.events.iter().any(forced)
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
        self.check(served, format!("a phone was served {:?} without its event", device.served));
        self.check(installed, format!("a phone has {:?} in place without its event", device.config));
    }
}
