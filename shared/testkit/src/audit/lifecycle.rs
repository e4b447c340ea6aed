//! Users' lifecycle, networks and usage, and what remains of purged users.

use std::collections::{BTreeMap, BTreeSet};

use aws::Row as _;
use domain::models::device::Device;
use domain::models::event::{Event, EventType};
use domain::models::usage::{Counts, Usage, UsageKind, UsageScope, add};
use domain::models::user::User;
use domain::states::InvitationStatus;
use domain::states::UserStatus;
use domain::{UserId, WorkspaceId};
use serde_json::{Value, json};

use super::Audit;

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
        let at = user.key();
        let id = user.user_id;
        let about = |event: &Event| event.user_id == Some(id);
        for (field, is_set) in [
            ("suspended", user.suspended.is_some()),
            ("suspended_by_source", user.suspended_by_source.is_some()),
            ("locked", user.locked.is_some()),
        ] {
            let changes = self.changes(field, about);
            self.check_changes(&at, field, (&json!(false), &json!(is_set)), &changes);
        }
        let is_deleted = user.deleted.is_some();
        let deleted = self.count(EventType::UserDeleted, about);
        self.check_equal(&at, "one user.deleted if the user is deleted", deleted, usize::from(is_deleted));
        let registered = self.count(EventType::DeviceRegistered, about);
        self.check(
            &at,
            format!("`registered_at` is set exactly if there is a device.registered: {registered}"),
            user.registered_at.is_some() == (registered > 0),
            format!("{:?}", user.registered_at),
        );
        let activated = self.count(EventType::UserActivated, about);
        self.check(
            &at,
            "a user with `activated_at` has a user.activated",
            user.activated_at.is_none() || activated > 0,
            "none",
        );
        let open = self.invitations.iter().filter(|invitation| invitation.user_id == id);
        let open = open.filter(|invitation| invitation.status(self.now) == InvitationStatus::Open).count();
        self.check(&at, "a deleted user has no open invitation", !is_deleted || open == 0, open);
        let devices = self.devices.iter().filter(|device| device.user_id == id && device.deleted.is_none()).count();
        self.check(
            &at,
            "a deleted user has no device that is not deleted, in `device_ids` or as a row",
            !is_deleted || (devices == 0 && user.device_ids.is_empty()),
            format!("{:?}, {devices} rows", user.device_ids),
        );
    }

    /// A user's status is copied to the rows of their devices, and of those that were deleted with them. A
    /// device that was deleted before has its own deletion.
    fn status_copies(&mut self, user: &User) {
        let status = user.status();
        let devices: Vec<Device> =
            self.devices.iter().filter(|device| device.user_id == user.user_id).cloned().collect();
        for device in devices {
            let copy = device.user_status;
            match &device.deleted {
                None => self.check_equal(device.key(), "`user_status` is its user's status", copy, status),
                Some(_) => self.check(
                    device.key(),
                    format!("`user_status` of a deleted device is only deleted if its user is; that one is {status}"),
                    copy != UserStatus::Deleted || status == UserStatus::Deleted,
                    copy,
                ),
            }
        }
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
        let stored: BTreeSet<&str> = user.networks.keys().map(String::as_str).collect();
        self.check_equal(user.key(), "`networks` are those of its user.network_changed", stored, recorded);
        for (name, network) in &user.networks {
            let fields = [
                ("network.status", json!(network.status)),
                ("network.reason", json!(network.reason)),
                ("network.mdn_provisioning", json!(network.mdn_provisioning)),
                ("network.status_at", json!(network.status_at)),
                ("network.last_seen_at", json!(network.last_seen_at)),
                ("network.last_archived_at", json!(network.last_archived_at)),
            ];
            for (field, stored) in fields {
                let reports = reports.iter().filter(|event| provider(event) == Some(name.as_str()));
                let changes = reports.filter_map(|event| event.changes.get(field));
                let changes: Vec<_> = changes.map(|change| (change.before.clone(), change.after.clone())).collect();
                let at = format!("{}, network {name}", user.key());
                self.check_changes(at, field, (&Value::Null, &stored), &changes);
            }
        }
    }

    /// Nothing remains of a purged user except events without personal data.
    fn purged_user(&mut self, id: UserId) {
        let purged = self.count(EventType::UserPurged, |event| event.user_id == Some(id));
        self.check_equal(format!("user {id}"), "number of events user.purged", purged, 1);
        let private = self.events.iter().filter(|event| event.user_id == Some(id) && !event.is_private_empty());
        for (key, event_type) in private.map(|event| (event.key(), event.event_type)).collect::<Vec<_>>() {
            self.check(key, "an event of a purged user has no personal data", false, event_type);
        }
        let rows = self.main.keys().filter(|key| key.starts_with("USER#") && key.contains(&id.to_string()));
        for key in rows.cloned().collect::<Vec<_>>() {
            self.check(key, "a purged user has no row", false, "this row");
        }
    }

    /// A workspace's counts of a month are the sum of its users'. Those of a purged user have only remained in the
    /// workspace's.
    pub(super) fn usage(&mut self) {
        let (mut users, mut totals) = (Sums::new(), Sums::new());
        for Usage { workspace_id, of, month, counts, .. } in &self.usage {
            let sums = if matches!(of, UsageScope::User(_)) { &mut users } else { &mut totals };
            add(sums.entry((*workspace_id, month.clone())).or_default(), counts);
        }
        let is_purged = |workspace: &WorkspaceId| {
            self.events
                .iter()
                .any(|event| event.event_type == EventType::UserPurged && event.workspace_id == *workspace)
        };
        let (purged, whole): (Sums, Sums) = totals.into_iter().partition(|((workspace, _), _)| is_purged(workspace));
        for ((workspace, month), total) in purged {
            let of_users = users.remove(&(workspace, month.clone())).unwrap_or_default();
            let count = |counts: &Counts, kind: &UsageKind| counts.get(kind).copied().unwrap_or_default();
            let is_more = UsageKind::ALL.iter().all(|kind| count(&total, kind) >= count(&of_users, kind));
            let at = format!("USAGE# rows of workspace {workspace} in {month}");
            self.check(at, "at least the sums of its users'", is_more, format!("{total:?}, {of_users:?}"));
        }
        self.check_equal("USAGE# rows of workspaces", "the sums of their users'", whole, users);
    }
}

/// The provider of the network that a report is about.
fn provider(report: &Event) -> Option<&str> {
    report.changes.get("provider")?.after.as_str()
}

/// Counts by workspace and month.
type Sums = BTreeMap<(WorkspaceId, String), Counts>;
