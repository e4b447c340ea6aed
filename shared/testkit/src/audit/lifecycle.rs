//! Users' lifecycle, networks and usage, and what remains of purged users.

use std::collections::{BTreeMap, BTreeSet};

use domain::models::event::{Event, EventType};
use domain::models::usage::{Counts, Usage, UsageKind, UsageScope, add, month};
use domain::models::user::User;
use domain::states::InvitationStatus;
use domain::states::UserStatus;
use domain::{UserId, WorkspaceId};
use serde_json::{Value, json};

use super::{Audit, is_chain};

impl Audit {
    pub(super) fn lifecycles(&mut self) {
        for user in self.users.clone() {
            self.lifecycle(&user);
            self.status_copies(&user);
            self.networks(&user);
        }
        for id in self.purged.clone() {
            self.purged_user(id);
        }
    }

    fn lifecycle(&mut self, user: &User) {
        let id = user.user_id;
        let about = |event: &Event| event.user_id == Some(id);
        let count = |event_type| self.count(event_type, about);
        let (suspended, locked) = (self.changes("suspended", about), self.changes("locked", about));
        let by_source = self.changes("suspended_by_source", about);
        let registered = count(EventType::DeviceRegistered) > 0;
        let made_active = count(EventType::UserActivated) > 0;
        let deleted = count(EventType::UserDeleted);
        let open = self.invitations.iter().filter(|invitation| invitation.user_id == id);
        let open = open.filter(|invitation| invitation.status(self.now) == InvitationStatus::Open).count();
        let devices = self.devices.iter().filter(|device| device.user_id == id);
        let held = devices.filter(|device| device.deleted.is_none()).count();
        let is = |what: &str, changes: &[(Value, Value)]| format!("{what}: {changes:?}, {:?}", user.status());
        let checks = [
            (is_chain(&json!(false), &suspended, &json!(user.suspended.is_some())), is("suspended", &suspended)),
            (
                is_chain(&json!(false), &by_source, &json!(user.suspended_by_source.is_some())),
                is("suspended_by_source", &by_source),
            ),
            (is_chain(&json!(false), &locked, &json!(user.locked.is_some())), is("locked", &locked)),
            (deleted == usize::from(user.deleted.is_some()), format!("{deleted} user.deleted")),
            (user.registered_at.is_some() == registered, "registered without its event".to_owned()),
            (user.activated_at.is_none() || made_active, "made active without its event".to_owned()),
            (user.deleted.is_none() || open == 0, "a deleted user has an open invitation".to_owned()),
            (
                user.deleted.is_none() || (held == 0 && user.device_ids.is_empty()),
                "a deleted user holds devices".to_owned(),
            ),
        ];
        for (holds, what) in checks {
            self.check(holds, what);
        }
    }

    /// A user's status is copied to the rows of their devices, and of those that were deleted with them. A
    /// device that was deleted before has its own deletion.
    fn status_copies(&mut self, user: &User) {
        let status = user.status();
        let of_user = self.devices.iter().filter(|device| device.user_id == user.user_id);
        let wrong: Vec<_> = of_user
            .filter(|device| match &device.deleted {
                None => device.user_status != status,
                Some(_) => device.user_status == UserStatus::Deleted && status != UserStatus::Deleted,
            })
            .map(|device| device.user_status)
            .collect();
        self.check(wrong.is_empty(), format!("a user is {status}, their devices' rows say {wrong:?}"));
    }

    /// Each change of a network has its event.
    fn networks(&mut self, user: &User) {
        let reports: Vec<Event> = self
            .events
            .iter()
            .filter(|event| event.event_type == EventType::UserNetworkChanged && event.user_id == Some(user.user_id))
            .cloned()
            .collect();
        let recorded: BTreeSet<&str> = reports.iter().filter_map(provider).collect();
        let known: BTreeSet<&str> = user.networks.keys().map(String::as_str).collect();
        self.check(recorded == known, format!("networks {known:?}, their events say {recorded:?}"));
        for (name, network) in &user.networks {
            let of_it = || reports.iter().filter(|event| provider(event) == Some(name.as_str()));
            let fields = [
                ("network.status", json!(network.status)),
                ("network.reason", json!(network.reason)),
                ("network.mdn_provisioning", json!(network.mdn_provisioning)),
                ("network.status_at", json!(network.status_at)),
                ("network.last_seen_at", json!(network.last_seen_at)),
                ("network.last_archived_at", json!(network.last_archived_at)),
            ];
            for (field, is) in fields {
                let changes = of_it().filter_map(|event| event.changes.get(field));
                let changes: Vec<_> = changes.map(|change| (change.before.clone(), change.after.clone())).collect();
                self.check(is_chain(&Value::Null, &changes, &is), format!("{field} is {is}: {changes:?}"));
            }
        }
    }

    /// Nothing remains of a purged user except events without personal data.
    fn purged_user(&mut self, id: UserId) {
        let purged = self.count(EventType::UserPurged, |event| event.user_id == Some(id));
        self.check(purged == 1, format!("a user has {purged} user.purged"));
        let recorded = self.events.iter().filter(|event| event.user_id == Some(id) && !event.is_private_empty());
        let recorded: Vec<_> = recorded.map(|event| event.event_type).collect();
        self.check(recorded.is_empty(), format!("of a purged user, these tell in private: {recorded:?}"));
        let left = self.main.keys().filter(|key| key.starts_with("USER#") && key.contains(&id.to_string()));
        let left: Vec<_> = left.cloned().collect();
        self.check(left.is_empty(), format!("of a purged user is left: {left:?}"));
    }

    /// The monthly counts of users and workspaces match the phones' reports.
    pub(super) fn usage(&mut self) {
        let (mut users, mut shards) = (Sums::new(), Sums::new());
        let reports = self.events.iter().filter(|event| event.event_type == EventType::UserUsageReported);
        for event in reports {
            let Some(user) = event.user_id else { continue };
            let counts = reported(event);
            let count = |sums: &mut Sums, of: UsageScope| {
                add(sums.entry((event.workspace_id, key(of), month(event.created_at))).or_default(), &counts);
            };
            // A purged user's own counts are deleted; the workspace's stay.
            if !self.purged.contains(&user) {
                count(&mut users, UsageScope::User(user));
            }
            count(&mut shards, UsageScope::shard_of(user));
        }
        let (mut of_users, mut of_shards) = (Sums::new(), Sums::new());
        for row in &self.usage {
            let Usage { workspace_id, of, month, counts, .. } = row.clone();
            let sums = if matches!(of, UsageScope::User(_)) { &mut of_users } else { &mut of_shards };
            sums.insert((workspace_id, key(of), month), counts);
        }
        self.check(users == of_users, format!("users' usage is {of_users:?}, reported was {users:?}"));
        self.check(shards == of_shards, format!("the workspace's usage is {of_shards:?}, reported was {shards:?}"));
    }
}

/// The provider of the network that a report is about.
fn provider(report: &Event) -> Option<&str> {
    report.changes.get("provider")?.after.as_str()
}

/// Counts by workspace, scope and month.
type Sums = BTreeMap<(WorkspaceId, String, String), Counts>;

fn key(of: UsageScope) -> String {
    json!(of).to_string()
}

/// The counts of a report.
fn reported(event: &Event) -> Counts {
    let count = |kind: &UsageKind| Some((*kind, event.changes.get(kind.as_str())?.after.as_u64()?));
    UsageKind::ALL.iter().filter_map(count).collect()
}
