//! Creating users, and the deleted devices that they leave behind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ids::UserId;
use crate::models::actor::Actor;
use crate::models::client_account::ClientAccount;
use crate::models::device::Device;
use crate::models::event::{Event, EventType};
use crate::models::provenance::Provenance;
use crate::models::user::{LEFT_DEVICES_LIMIT, NewUser, Source, User};
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;
use crate::stored::Stored;

impl Source {
    /// A request with a personal access token counts as the API, as one with a key does: both are for programs.
    fn of(context: &EventContext) -> Self {
        if matches!(context.actor, Actor::Member(_)) && context.token_id.is_none() { Self::Console } else { Self::Api }
    }
}

impl User {
    /// A new user, and the change that creates them.
    #[must_use]
    pub fn create(new: NewUser, user_id: UserId, context: &EventContext) -> (Self, ChangeSet) {
        let (user, event) = Self::created(new, user_id, context);
        let change = ChangeSet { user: Some(RowChange::new(user.clone())), ..ChangeSet::with_event(event) };
        (user, change)
    }

    /// A new user, and their event.
    pub(crate) fn created(new: NewUser, user_id: UserId, context: &EventContext) -> (Self, Event) {
        let user = Self {
            workspace_id: context.workspace_id,
            user_id,
            username: new.username,
            first_name: new.first_name,
            last_name: new.last_name,
            email: new.email,
            email_changed_at: None,
            mobile: new.mobile,
            mobile_changed_at: None,
            number: new.number,
            user_identity_key: new.user_identity_key,
            created_at: context.at,
            source: Source::of(context),
            service_level: new.service_level,
            activated_at: None,
            registered_at: None,
            suspended: None,
            suspended_by_source: None,
            locked: None,
            deleted: None,
            networks: BTreeMap::new(),
            last_seen_at: None,
            device_ids: BTreeSet::new(),
            left_device_ids: BTreeSet::new(),
            invitation_id: None,
            client: ClientAccount {
                sip_user_name: new.sip_user_name,
                service_account: new.service_account,
                profile_id: new.profile_id,
                overrides: new.overrides,
                ..ClientAccount::default()
            },
            provenance: Provenance::default(),
            deployment_due: false,
            deployment_due_at: None,
            due_by_deployer: false,
            version: 1,
            stored: Stored::default(),
        };
        let mut event = context.event(EventType::UserCreated).with_user(user_id);
        if let Some(profile_id) = user.client.profile_id {
            event.add_change("profile_id", Value::Null, profile_id.to_string());
        }
        if !user.client.overrides.is_empty() {
            event.add_changed_field("overrides");
        }
        (user, event)
    }

    /// Remembers a deleted device with a wipe that is, or was, pending. A deleted user is kept as long as the device.
    pub fn leave_behind(&mut self, device: &Device) {
        self.left_device_ids.insert(device.device_id);
        // The new device stays, however old it is.
        while self.left_device_ids.len() > LEFT_DEVICES_LIMIT
            && let Some(oldest) = self.left_device_ids.iter().copied().find(|id| *id != device.device_id)
        {
            self.left_device_ids.remove(&oldest);
        }
        if let (Some(own), Some(of_device)) = (&mut self.deleted, &device.deleted) {
            own.purge_after = own.purge_after.max(of_device.purge_after);
        }
    }
}
