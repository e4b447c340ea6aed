//! Names of actors: members, keys, devices.

use std::collections::BTreeMap;

use domain::WorkspaceId;
use domain::error::Error;
use domain::models::actor::Actor;
use domain::models::device::Device;
use domain::models::key::ApiKey;
use domain::models::member::Member;

use crate::item::RowKey;
use crate::store::keys::Pointer;
use crate::store::{devices, keys};
use crate::table::Table;

impl Table {
    /// The names of keys, members and devices by identifier. Actors without a name, missing ones and unreadable
    /// ones are left out.
    pub async fn actor_names(
        &self,
        workspace: WorkspaceId,
        actors: &[Actor],
    ) -> Result<BTreeMap<String, String>, Error> {
        let (mut pointers, mut devices) = (BTreeMap::new(), BTreeMap::new());
        for actor in actors {
            let pointer = |id: String| (id.clone(), keys::pointer_key(workspace, &id));
            match actor {
                Actor::Key(id) => pointers.extend([pointer(id.to_string())]),
                Actor::Member(id) => pointers.extend([pointer(id.to_string())]),
                Actor::Device(id) => devices.extend([(id.to_string(), devices::device_key(workspace, *id))]),
                Actor::Invitation(_) | Actor::Deployment(_) | Actor::System | Actor::Unknown(..) => {}
            }
        }
        let found = self.get_many(pointers.values().chain(devices.values()).cloned()).await?;
        let mut names = BTreeMap::new();
        for (id, key) in devices {
            names.extend(found.readable(&key).map(|device: Device| (id, device.display_name().to_owned())));
        }
        let mut targets = BTreeMap::new();
        for (id, key) in pointers {
            targets.extend(found.readable(&key).map(|to: Pointer| (id, RowKey::new(to.to_pk, to.to_sk))));
        }
        let found = self.get_many(targets.values().cloned()).await?;
        for (id, key) in targets {
            let name = match key.sk.as_str() {
                "KEY" => found.readable(&key).map(|key: ApiKey| key.name),
                _ => found.readable(&key).and_then(|member: Member| member.name),
            };
            names.extend(name.map(|name| (id, name)));
        }
        Ok(names)
    }
}
