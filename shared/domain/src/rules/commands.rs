//! How requests, reports and time change a command and its device.

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::CommandId;
use crate::models::command::{
    Command, CommandKind, CommandRequest, FailedCommand, HistoryEntry, OpenCommand, REDELIVERY_INTERVAL, Transition,
    Trigger, UnconfirmedWipe, next_delivery, transition,
};
use crate::models::device::{Device, DeviceWithCommands, Erasure, find_pending_command};
use crate::models::event::{Event, EventType};
use crate::models::user::User;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;
use crate::rules::devices;
use crate::states::CommandState;
use crate::stored::Stored;

impl ChangeSet {
    /// Adds a result for a device that was read as `before`.
    pub(crate) fn add(&mut self, before: &Device, commanded: TransitionResult) {
        self.devices.push(RowChange::from(before.clone(), commanded.device));
        self.commands.extend(commanded.commands);
        self.events.extend(commanded.events);
    }
}

/// A device and its commands after a transition.
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionResult {
    /// The device after the transition.
    pub device: Device,
    /// The changed commands.
    pub commands: Vec<RowChange<Command>>,
    /// The events.
    pub events: Vec<Event>,
}

/// Result of a request to queue a command.
#[derive(Clone, Debug, PartialEq)]
pub enum EnqueueResult {
    /// A command of this kind was pending; nothing was queued.
    Pending(CommandId),
    /// A new command was queued.
    Queued {
        /// The command.
        command: Box<Command>,
        /// The change to commit.
        change: Box<ChangeSet>,
    },
}

/// Queues a command for a device of a user, who is `None` once purged. If a command of the kind is already pending,
/// returns that one.
///
/// Also closes the device's open commands of the same kind that are no longer delivered (canceled, and the device has
/// not answered; or expired), and wipes that have failed, so that a device never has more than a few. An unconfirmed
/// wipe of a deleted device can be queued again until the purge, which then waits for it.
///
/// # Errors
/// `DeviceDeleted` for any other command to a deleted device, or if the installation is registered as another device;
/// `DeviceErased` if no app is left that could execute the command.
pub fn order(
    phone: &DeviceWithCommands,
    user: Option<&User>,
    order: &CommandRequest,
    command_id: CommandId,
    context: &EventContext,
) -> Result<EnqueueResult, DomainError> {
    let (command, queued) = match enqueue(phone, order, command_id, context)? {
        Enqueued::Pending(id) => return Ok(EnqueueResult::Pending(id)),
        Enqueued::Queued { command, result } => (command, result),
    };
    let mut change = ChangeSet::default();
    if let Some(user) = user.filter(|_| queued.device.deleted.is_some()) {
        // The device is deleted, and is wiped nevertheless.
        let mut after = user.clone();
        after.leave_behind(&queued.device);
        change.user = (after != *user).then(|| RowChange::from(user.clone(), after));
    }
    change.add(&phone.device, *queued);
    Ok(EnqueueResult::Queued { command, change: Box::new(change) })
}

/// Like [`EnqueueResult`], but without the user's row.
pub(crate) enum Enqueued {
    /// See [`EnqueueResult::Pending`].
    Pending(CommandId),
    /// See [`EnqueueResult::Queued`].
    Queued {
        /// The new command.
        command: Box<Command>,
        /// The device with the new command, and the commands that were closed.
        result: Box<TransitionResult>,
    },
}

/// See [`order`].
pub(crate) fn enqueue(
    phone: &DeviceWithCommands,
    order: &CommandRequest,
    command_id: CommandId,
    context: &EventContext,
) -> Result<Enqueued, DomainError> {
    let device = &phone.device;
    let anew = order.kind == CommandKind::Wipe && device.unconfirmed_wipe().is_some() && !device.replaced;
    if !anew {
        device.require_not_deleted()?;
    }
    if device.erased.is_some() {
        return Err(DomainError::DeviceErased);
    }
    if let Some(pending) = find_pending_command(device, order.kind, context.at) {
        return Ok(Enqueued::Pending(pending.command_id));
    }
    let (failed, outlived): (Vec<_>, Vec<_>) = phone
        .open_commands
        .iter()
        .filter(|open| open.kind == order.kind || open.again_at.is_some())
        .partition(|open| open.again_at.is_some());
    let mut result = Box::new(apply_to_all(device, outlived, Trigger::Expired, context));
    failed.into_iter().for_each(|failed| result.give_up(failed));
    let command = Box::new(result.queue(order, command_id, context));
    Ok(Enqueued::Queued { command, result })
}

impl TransitionResult {
    /// Stops redelivering a failed wipe; its state stays.
    fn give_up(&mut self, failed: &Command) {
        self.device.commands.retain(|open| open.command_id != failed.command_id);
        self.commands.push(RowChange::from(failed.clone(), Command { again_at: None, ..failed.clone() }));
    }

    /// Adds a new command to the device's queue.
    fn queue(&mut self, order: &CommandRequest, command_id: CommandId, context: &EventContext) -> Command {
        let device = &mut self.device;
        let command = Command {
            workspace_id: device.workspace_id,
            device_id: device.device_id,
            user_id: device.user_id,
            command_id,
            kind: order.kind,
            epoch: device.epoch,
            state: CommandState::Queued,
            late: false,
            queued_at: context.at,
            queued_by: context.actor,
            reason: order.reason.clone(),
            expires_at: context.at.plus(order.lifetime()),
            deferrals: 0,
            again_at: None,
            detail: None,
            history: vec![HistoryEntry { state: CommandState::Queued, at: context.at, by: context.actor, late: false }],
            credential_hash: None,
            version: 1,
            stored: Stored::default(),
        };
        device.commands.push(OpenCommand::from(&command));
        if order.kind.is_destructive() {
            device.unconfirmed = None;
        }
        if let Some(deleted) = &mut device.deleted {
            deleted.purge_after = deleted.purge_after.max(command.expires_at);
        }
        let mut event = command.event(EventType::CommandQueued, context);
        event.add_change("expires_at", serde_json::Value::Null, command.expires_at.to_string());
        event.private.reason.clone_from(&order.reason);
        self.events.push(event);
        self.commands.push(RowChange::new(command.clone()));
        command
    }
}

/// A command and its device after a trigger.
struct AppliedTransition {
    device: Device,
    command: Command,
    event: Event,
}

/// Applies a trigger to a command and its device; `None` if nothing changes. The change contains that one command.
///
/// The success of a destructive command ends the enrolment that it was queued for: the credential becomes invalid, but
/// the device still counts as the user's.
///
/// # Errors
/// `CommandOver` if [`transition`] refuses the trigger.
pub fn apply(
    device: &Device,
    command: &Command,
    trigger: Trigger,
    detail: Option<String>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    let applied = apply_to_one(device, command, trigger, detail, context)?;
    Ok(applied.map(|applied| ChangeSet {
        commands: vec![RowChange::from(command.clone(), applied.command)],
        ..devices::changed(device, applied.device, applied.event)
    }))
}

fn apply_to_one(
    device: &Device,
    command: &Command,
    trigger: Trigger,
    detail: Option<String>,
    context: &EventContext,
) -> Result<Option<AppliedTransition>, DomainError> {
    if matches!(trigger, Trigger::Reported(outcome) if command.has_result(outcome)) {
        return Ok(None);
    }
    let deleted = device.deleted.is_some();
    // `happened` may differ from the state: a failed wipe that is redelivered or deferred keeps its state.
    let (state, late, happened) = match transition(command.kind, command.state, deleted, trigger) {
        Transition::Unchanged => return Ok(None),
        Transition::Refused => return Err(DomainError::CommandOver(command.state)),
        Transition::CountDeferral => (command.state, false, CommandState::Deferred),
        Transition::Redeliver => (command.state, false, CommandState::Delivered),
        Transition::To(state) => (state, false, state),
        Transition::LateTo(state) => (state, true, state),
    };
    let mut after = command.clone();
    after.state = state;
    after.late |= late;
    if trigger == Trigger::Deferred {
        after.deferrals += 1;
    }
    if detail.is_some() {
        after.detail.clone_from(&detail);
    }
    let kept = || command.credential_hash.clone().unwrap_or_else(|| device.credential_hash.clone());
    after.credential_hash = (!state.is_open()).then(kept);
    after.again_at = next_delivery(deleted, command, state, late, trigger, context.at);
    after.add_history(HistoryEntry { state: happened, at: context.at, by: context.actor, late });
    let mut changed = device.clone();
    changed.note(&after);
    if state == CommandState::Succeeded
        && command.kind.is_destructive()
        && command.state != CommandState::Removed
        && command.epoch == device.epoch
    {
        changed.erased.get_or_insert(Erasure { at: context.at, command_id: command.command_id });
        // A repeated registration would otherwise answer with an invalid credential.
        changed.enrolment = None;
    }
    let mut event = command.event(event_type(happened), context);
    event.add_change("state", command.state.as_str(), state.as_str());
    event.add_change("late", command.late, after.late);
    event.add_change("deferrals", command.deferrals, after.deferrals);
    event.private.reason = detail;
    Ok(Some(AppliedTransition { device: changed, command: after, event }))
}

/// Applies a trigger to several commands of a device; the result leaves out unchanged ones.
#[must_use]
pub fn apply_to_all<'a>(
    device: &Device,
    commands: impl IntoIterator<Item = &'a Command>,
    trigger: Trigger,
    context: &EventContext,
) -> TransitionResult {
    let mut all = TransitionResult { device: device.clone(), commands: Vec::new(), events: Vec::new() };
    for command in commands {
        // If one is refused, the others still change.
        if let Ok(Some(applied)) = apply_to_one(&all.device, command, trigger, None, context) {
            all.device = applied.device;
            all.commands.push(RowChange::from(command.clone(), applied.command));
            all.events.push(applied.event);
        }
    }
    all
}

fn event_type(state: CommandState) -> EventType {
    match state {
        CommandState::Queued => EventType::CommandQueued,
        CommandState::Delivered => EventType::CommandDelivered,
        CommandState::Deferred => EventType::CommandDeferred,
        CommandState::CancelRequested => EventType::CommandCancelRequested,
        CommandState::Canceled => EventType::CommandCanceled,
        CommandState::TimedOut => EventType::CommandTimedOut,
        CommandState::Succeeded => EventType::CommandSucceeded,
        CommandState::Failed => EventType::CommandFailed,
        CommandState::Rejected => EventType::CommandRejected,
        CommandState::NotSupported => EventType::CommandNotSupported,
        CommandState::Removed => EventType::CommandRemoved,
        // No transition leads to an unknown state.
        CommandState::Unknown(word) => EventType::Unknown(word),
    }
}

impl Command {
    /// The command with its next delivery, if it is a wipe that the device failed or rejected before the device was
    /// deleted.
    #[must_use]
    pub(crate) fn with_redelivery(&self, device: &Device, now: Time) -> Option<Self> {
        let failed = matches!(self.state, CommandState::Failed | CommandState::Rejected) && !self.late;
        let counts = self.epoch == device.epoch && self.expires_at > now && device.erased.is_none();
        let again_at = self.state_at().plus(REDELIVERY_INTERVAL);
        (self.kind == CommandKind::Wipe && failed && counts).then(|| Self { again_at: Some(again_at), ..self.clone() })
    }

    fn event(&self, event_type: EventType, context: &EventContext) -> Event {
        let mut event = context.event(event_type).with_device(self.device_id, self.user_id);
        event.command_id = Some(self.command_id);
        event.command_kind = Some(self.kind);
        event
    }
}

impl Device {
    /// Updates a command in the device's row, and records the last failed one; a success of the same kind clears that
    /// failure.
    fn note(&mut self, command: &Command) {
        match command.state {
            CommandState::Failed | CommandState::Rejected | CommandState::NotSupported if command.kind.is_known() => {
                self.failed = Some(FailedCommand { kind: command.kind, at: command.state_at() });
            }
            CommandState::Succeeded if self.failed.is_some_and(|failed| failed.kind == command.kind) => {
                self.failed = None;
            }
            CommandState::Failed
            | CommandState::Rejected
            | CommandState::NotSupported
            | CommandState::Succeeded
            | CommandState::Queued
            | CommandState::Delivered
            | CommandState::Deferred
            | CommandState::CancelRequested
            | CommandState::Canceled
            | CommandState::TimedOut
            | CommandState::Removed
            | CommandState::Unknown(_) => {}
        }
        if command.is_open() {
            for open in self.commands.iter_mut().filter(|open| open.command_id == command.command_id) {
                *open = OpenCommand::from(command);
            }
        } else {
            self.commands.retain(|open| open.command_id != command.command_id);
        }
        // A command of an earlier enrolment does not concern this one.
        if command.epoch == self.epoch {
            self.note_unconfirmed(command);
        }
    }

    fn note_unconfirmed(&mut self, command: &Command) {
        if command.state == CommandState::Succeeded && command.kind.is_destructive() {
            self.unconfirmed = None;
        }
        let deleted = self.deleted.is_some();
        let other = self.commands.iter().any(|open| open.kind.is_wipe(deleted));
        if !other && let Some(wipe) = UnconfirmedWipe::of(command, deleted) {
            self.unconfirmed = Some(wipe);
        }
    }
}
