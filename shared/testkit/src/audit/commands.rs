//! Commands: each has exactly the events of its history, and the copy in its device's row matches.

use std::collections::BTreeMap;

use domain::DeviceId;
use domain::models::command::{Command, CommandKind, OpenCommand};
use domain::models::device::Device;
use domain::models::event::EventType;
use domain::states::CommandState;
use serde_json::json;

use super::{Audit, is_chain};

impl Audit {
    pub(super) fn commands(&mut self) {
        for command in self.commands.clone() {
            self.command(&command);
        }
        let queued = self.events.iter().filter(|event| event.event_type == EventType::CommandQueued);
        let ordered: Vec<_> = queued.map(|event| (event.device_id, event.command_id)).collect();
        for (device, id) in ordered {
            let present = self.commands.iter().filter(|command| Some(command.command_id) == id).count();
            let purged = self.count(EventType::DevicePurged, |event| event.device_id == device);
            self.check(present + purged == 1, format!("a command was ordered: {present} there, {purged} purged"));
        }
        for device in self.devices.clone() {
            self.command_copies(&device);
        }
    }

    fn command(&mut self, command: &Command) {
        let id = command.command_id;
        let of_it = self.events.iter().filter(|event| event.command_id == Some(id));
        let mut recorded: Vec<_> =
            of_it.clone().map(|event| (event.event_type.to_string(), event.created_at)).collect();
        let mut remembered: Vec<_> =
            command.history.iter().map(|happened| (format!("command.{}", happened.state), happened.at)).collect();
        recorded.sort();
        remembered.sort();
        let matches_command = of_it.clone().all(|event| {
            event.device_id == Some(command.device_id)
                && event.user_id == Some(command.user_id)
                && event.command_kind == Some(command.kind)
        });
        let about = |event: &domain::models::event::Event| event.command_id == Some(id);
        let of = |field| self.changes(field, about);
        let (states, late, deferrals) = (of("state"), of("late"), of("deferrals"));
        let first = command.history.first().map(|happened| happened.state);
        let last = command.history.last().map(|happened| happened.state);
        let checks = [
            (recorded == remembered, format!("a command's events {recorded:?}, its history {remembered:?}")),
            (matches_command, "an event of a command is about another device, user or kind".to_owned()),
            (first == Some(CommandState::Queued), "a command's history does not begin with its order".to_owned()),
            (
                last == Some(command.state) || (may_be_redelivered(command) && is_redelivery(last)),
                format!("a command is {}, its history ends with {last:?}", command.state),
            ),
            (
                is_chain(&json!("queued"), &states, &json!(command.state)),
                format!("a command is {}: {states:?}", command.state),
            ),
            (is_chain(&json!(false), &late, &json!(command.late)), format!("late: {late:?}")),
            (is_chain(&json!(0), &deferrals, &json!(command.deferrals)), format!("deferrals: {deferrals:?}")),
            (
                command.credential_hash.is_some() != command.state.is_open(),
                "the credential that a command was meant for is kept once it is over".to_owned(),
            ),
        ];
        for (holds, what) in checks {
            self.check(holds, what);
        }
        let device = self.devices.iter().find(|device| device.device_id == command.device_id);
        let users = device.map(|device| device.user_id);
        self.check(users == Some(command.user_id), "a command is of a device that is gone, or of another user");
    }

    /// The copies of commands in a device's row match the commands' own rows.
    fn command_copies(&mut self, device: &Device) {
        let own: Vec<Command> =
            self.commands.iter().filter(|command| command.device_id == device.device_id).cloned().collect();
        let summary = |open: &OpenCommand| (open.kind, open.state, open.queued_at, open.expires_at, open.again_at);
        let again = own.iter().any(|command| command.again_at.is_some());
        self.check(!again || device.deleted.is_some(), "a wipe is told again to a device that is there");
        let open: BTreeMap<_, _> = own
            .iter()
            .filter(|command| command.is_open())
            .map(|c| (c.command_id, (c.kind, c.state, c.queued_at, c.expires_at, c.again_at)))
            .collect();
        let known: BTreeMap<_, _> = device.commands.iter().map(|open| (open.command_id, summary(open))).collect();
        self.check(known == open, format!("a device's row knows the commands {known:?}, and open are {open:?}"));
        let listed = self.row_of(device.device_id)["pending_since"].is_string();
        let pending = own.iter().any(|command| command.state.is_pending() || command.again_at.is_some());
        self.check(listed == pending, format!("listed as pending: {listed}, pending: {pending}"));
        let served = device.commands.iter().filter(|open| open.kind.is_destructive() && open.is_deliverable(self.now));
        let served = served.count();
        self.check(served <= 1, format!("a device is told by {served} commands at once to destroy its data"));
        let erasing: Vec<_> = own.iter().filter(|command| erases(command, device)).map(|c| c.command_id).collect();
        let by = device.erased.as_ref().map(|erased| erased.command_id);
        let right = by.map_or(erasing.is_empty(), |by| erasing.contains(&by));
        self.check(right, format!("a device was erased by {by:?}, and erasing it are {erasing:?}"));
    }

    fn row_of(&self, device: DeviceId) -> serde_json::Value {
        let ends = format!("#{device} | DEVICE");
        let row = self.main.iter().find(|(key, _)| key.starts_with("DEVICE#") && key.ends_with(&ends));
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
        && command.history.iter().all(|happened| happened.state != CommandState::Removed)
}
