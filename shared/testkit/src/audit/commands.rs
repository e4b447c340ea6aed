//! Commands: each has exactly the events of its history, and the copy in its device's row matches.

use std::collections::BTreeMap;

use aws::Row as _;
use domain::DeviceId;
use domain::models::command::{Command, CommandKind, OpenCommand};
use domain::models::device::Device;
use domain::models::event::{Event, EventType};
use domain::states::CommandState;
use serde_json::json;

use super::Audit;

impl Audit {
    pub(super) fn commands(&mut self) {
        for command in self.commands.clone() {
            self.command(&command);
        }
        let queued = self.events.iter().filter(|event| event.event_type == EventType::CommandQueued);
        let queued: Vec<_> = queued.map(|event| (event.key(), event.device_id, event.command_id)).collect();
        for (at, device, id) in queued {
            let present = self.commands.iter().filter(|command| Some(command.command_id) == id).count();
            let purged = self.count(EventType::DevicePurged, |event| event.device_id == device);
            self.check(
                at,
                "the command of a command.queued has one row, or its device was purged",
                present + purged == 1,
                format!("{present} rows, {purged} device.purged"),
            );
        }
        for device in self.devices.clone() {
            self.command_copies(&device);
        }
    }

    fn command(&mut self, command: &Command) {
        let at = command.key();
        let id = command.command_id;
        let about = |event: &Event| event.command_id == Some(id);
        let events: Vec<Event> = self.events.iter().filter(|event| about(event)).cloned().collect();
        let mut recorded: Vec<_> =
            events.iter().map(|event| (event.event_type.to_string(), event.created_at)).collect();
        let history = &command.history;
        let mut expected: Vec<_> = history.iter().map(|entry| (format!("command.{}", entry.state), entry.at)).collect();
        recorded.sort();
        expected.sort();
        self.check_equal(&at, "its events are those of its history", recorded, expected);
        for event in &events {
            self.check_equal(
                event.key(),
                "the (device, user, kind) of a command's event are the command's",
                (event.device_id, event.user_id, event.command_kind),
                (Some(command.device_id), Some(command.user_id), Some(command.kind)),
            );
        }
        let first = history.first().map(|entry| entry.state);
        let last = history.last().map(|entry| entry.state);
        self.check_equal(&at, "first state of its history", first, Some(CommandState::Queued));
        self.check(
            &at,
            format!("its history ends with its state {}, or with a redelivery of a failed wipe", command.state),
            last == Some(command.state) || (may_be_redelivered(command) && is_redelivery(last)),
            format!("{last:?}"),
        );
        for (field, initial, current) in [
            ("state", json!("queued"), json!(command.state)),
            ("late", json!(false), json!(command.late)),
            ("deferrals", json!(0), json!(command.deferrals)),
        ] {
            let changes = self.changes(field, about);
            self.check_changes(&at, field, (&initial, &current), &changes);
        }
        self.check(
            &at,
            format!("`credential_hash` is stored exactly once the command is over; its state is {}", command.state),
            command.credential_hash.is_some() != command.state.is_open(),
            command.credential_hash.is_some(),
        );
        let device = self.devices.iter().find(|device| device.device_id == command.device_id);
        let user = device.map(|device| device.user_id);
        self.check_equal(&at, "its user is the user of its device's row", user, Some(command.user_id));
    }

    /// The copies of commands in a device's row match the commands' own rows.
    fn command_copies(&mut self, device: &Device) {
        let at = device.key();
        let own: Vec<Command> =
            self.commands.iter().filter(|command| command.device_id == device.device_id).cloned().collect();
        let redelivered = own.iter().filter(|command| command.again_at.is_some()).count();
        self.check(
            &at,
            "wipes are only redelivered to a deleted device",
            redelivered == 0 || device.deleted.is_some(),
            redelivered,
        );
        let open = own.iter().filter(|command| command.is_open());
        let open: BTreeMap<_, _> =
            open.map(|c| (c.command_id, (c.kind, c.state, c.queued_at, c.expires_at, c.again_at))).collect();
        let summary = |copy: &OpenCommand| (copy.kind, copy.state, copy.queued_at, copy.expires_at, copy.again_at);
        let copies: BTreeMap<_, _> = device.commands.iter().map(|copy| (copy.command_id, summary(copy))).collect();
        self.check_equal(&at, "`commands` are copies of the open commands", copies, open);
        let listed = self.row_of(device.device_id)["pending_since"].is_string();
        let pending = own.iter().any(|command| command.state.is_pending() || command.again_at.is_some());
        self.check_equal(&at, "`pending_since` is set exactly while a command is pending", listed, pending);
        let copies = device.commands.iter();
        let deliverable = copies.filter(|copy| copy.kind.is_destructive() && copy.is_deliverable(self.now)).count();
        self.check(&at, "at most one destructive command is deliverable", deliverable <= 1, deliverable);
        let erasing: Vec<_> = own.iter().filter(|command| erases(command, device)).map(|c| c.command_id).collect();
        let erased_by = device.erased.as_ref().map(|erased| erased.command_id);
        self.check(
            &at,
            format!("`erased` names one of the commands that erased the device, {erasing:?}"),
            erased_by.map_or(erasing.is_empty(), |command| erasing.contains(&command)),
            format!("{erased_by:?}"),
        );
    }

    fn row_of(&self, device: DeviceId) -> serde_json::Value {
        let suffix = format!("#{device} | DEVICE");
        let row = self.main.iter().find(|(key, _)| key.starts_with("DEVICE#") && key.ends_with(&suffix));
        row.map(|(_, row)| row.clone()).unwrap_or_default()
    }
}

/// True for a failed or rejected wipe.
fn may_be_redelivered(command: &Command) -> bool {
    command.kind == CommandKind::Wipe && matches!(command.state, CommandState::Failed | CommandState::Rejected)
}

/// True for an event of a further delivery, which has no new state.
fn is_redelivery(last: Option<CommandState>) -> bool {
    matches!(last, Some(CommandState::Delivered | CommandState::Deferred))
}

/// True if the command ended the device's present enrolment: it was created for that enrolment and was carried
/// out, and the device was not enrolled again before.
fn erases(command: &Command, device: &Device) -> bool {
    command.kind.is_destructive()
        && command.state == CommandState::Succeeded
        && command.epoch == device.epoch
        && command.history.iter().all(|entry| entry.state != CommandState::Removed)
}
