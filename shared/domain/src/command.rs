//! Commands: what a device must do, from the order to the device's word.
//!
//! | state | served at check-in | device reports a result | device says not now | admin cancels | time is up | device replaced |
//! |---|---|---|---|---|---|---|
//! | `queued` | `delivered` | the result | refused | `canceled` | `timed_out` | `removed` |
//! | `delivered` | again, same | the result | `deferred` | `cancel_requested` | `timed_out` | `removed` |
//! | `deferred` | `delivered` | the result | counted | `cancel_requested` | `timed_out` | `removed` |
//! | `cancel_requested` | not served | the result, late | `canceled` | again, same | `canceled` | `removed` |
//! | `canceled`, `timed_out` | not served | the result, late | refused | refused | same | same |
//! | `succeeded`, `failed`, `rejected`, `not_supported` | not served | refused; the same again is the same answer | refused | refused | same | same |
//! | `failed`, `rejected` of a wipe of a deleted device | again, once a day | the result; `succeeded`, late | counted | refused | `timed_out` | `removed` |
//! | `removed` | not served | `succeeded` of a wipe, late; else refused | refused | refused | same | same |
//!
//! [`step`] is this table, and nothing else changes a command's state. A device is not replaced while a
//! wipe or a factory reset is served to it: see [`register`](crate::registration::register). Whoever deletes a user
//! deletes their devices, so a deleted user's wipe is one of a deleted device. Such a wipe is told again until
//! another is ordered in its place: see [`Command::again_at`]. Of a deleted device a factory reset is a wipe, since
//! nobody will enrol it anew: see [`CommandKind::is_wipe`].

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::change::{ChangeSet, RowChange};
use crate::clock::Time;
use crate::device::{Device, Erasure};
use crate::error::DomainError;
use crate::event::{Actor, Event, EventContext, EventType};
use crate::ids::{CommandId, DeviceId, UserId, WorkspaceId};
use crate::input::Fields;
use crate::secret::Hash;
use crate::stored::Stored;
use crate::string_enum::{UnknownValue, string_enum};
use crate::text::{Form, TextRule};

string_enum! {
    /// Something that a device must do.
    stored CommandKind {
        /// Erase everything.
        Wipe = "wipe",
        /// Lock the app.
        Lock = "lock",
        /// Ask for a new PIN.
        ResetPin = "reset_pin",
        /// Back to the state before the first enrolment.
        FactoryReset = "factory_reset",
        /// Fetch the configuration.
        RefreshConfig = "refresh_config",
    }
}

impl CommandKind {
    /// True if the app's data is gone once it is done.
    #[must_use]
    pub fn is_destructive(self) -> bool {
        matches!(self, Self::Wipe | Self::FactoryReset)
    }

    /// True if it is to leave nothing behind for good: a wipe, or of a deleted device whatever destroys its data.
    #[must_use]
    pub fn is_wipe(self, deleted: bool) -> bool {
        self == Self::Wipe || deleted && self == Self::FactoryReset
    }

    /// How long it counts unless its order says otherwise: a phone that was lost may come back
    /// after months, but nobody wants a lock of last year.
    #[must_use]
    pub fn lifetime(self) -> Duration {
        if self.is_destructive() { Duration::days(90) } else { Duration::days(30) }
    }
}

/// The fewest and the most days that a command counts.
pub const LIFE_DAYS: (i64, i64) = (1, 365);
/// A wipe that failed on a device that is deleted is told again at most so often.
pub const AGAIN_AFTER: Duration = Duration::days(1);
/// What a device says of a result, for people.
pub const DETAIL: TextRule = TextRule::new(Form::Line, 1, 256);
/// The most entries of a command's history. Of a longer one, the oldest but the first go.
pub const HISTORY_LIMIT: usize = 40;

string_enum! {
    /// Where a command stands.
    stored CommandState {
        /// The device has not come for it.
        Queued = "queued",
        /// The device was told.
        Delivered = "delivered",
        /// The device said: not now.
        Deferred = "deferred",
        /// An admin took it back after the device was told; the device may still be at it.
        CancelRequested = "cancel_requested",
        /// Taken back.
        Canceled = "canceled",
        /// Its time was over before the device had done it.
        TimedOut = "timed_out",
        /// Done.
        Succeeded = "succeeded",
        /// The device tried, and could not.
        Failed = "failed",
        /// The device, or its user, would not.
        Rejected = "rejected",
        /// The app knows no such command.
        NotSupported = "not_supported",
        /// The device was enrolled anew before it had done it.
        Removed = "removed",
    }
}

impl CommandState {
    /// True while the device is told of it at check-in.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Queued | Self::Delivered | Self::Deferred)
    }

    /// True while time alone still changes it.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.is_pending() || self == Self::CancelRequested
    }
}

string_enum! {
    /// What became of a command on the device.
    Outcome {
        /// Done.
        Succeeded = "succeeded",
        /// Tried, and could not.
        Failed = "failed",
        /// Would not.
        Rejected = "rejected",
        /// Does not know it.
        NotSupported = "not_supported",
    }
}

impl Outcome {
    fn state(self) -> CommandState {
        match self {
            Self::Succeeded => CommandState::Succeeded,
            Self::Failed => CommandState::Failed,
            Self::Rejected => CommandState::Rejected,
            Self::NotSupported => CommandState::NotSupported,
        }
    }
}

/// What befalls a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The device checks in, and is told.
    Served,
    /// The device says what became of it.
    Reported(Outcome),
    /// The device says: not now.
    NotNow,
    /// An admin takes it back.
    Cancel,
    /// Its time is over.
    TimeIsUp,
    /// The device is enrolled anew.
    Replaced,
}

/// What a stimulus does to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It goes into a state.
    To(CommandState),
    /// It goes into a state after it had ended, or had been taken back: the device's late word.
    Late(CommandState),
    /// It stays, and is counted once more.
    Counted,
    /// It stays, and the device is told once more.
    Again,
    /// Nothing changes.
    Same,
    /// It is refused.
    Refused,
}

/// What befalls a command of a kind in a state, of a device that is deleted or there: the table at the head of this
/// module.
#[must_use]
pub fn step(kind: CommandKind, state: CommandState, deleted: bool, trigger: Trigger) -> Transition {
    use CommandState as S;
    if deleted && kind.is_wipe(deleted) && matches!(state, S::Failed | S::Rejected) {
        return step_of_a_failed_wipe(trigger);
    }
    match (trigger, state) {
        (Trigger::Served, S::Queued | S::Deferred) if kind.is_known() => Transition::To(S::Delivered),
        (Trigger::Served, _) => Transition::Same,
        (Trigger::Reported(outcome), S::Queued | S::Delivered | S::Deferred) => Transition::To(outcome.state()),
        (Trigger::Reported(outcome), S::CancelRequested | S::Canceled | S::TimedOut) => {
            Transition::Late(outcome.state())
        }
        (Trigger::Reported(Outcome::Succeeded), S::Removed) if kind.is_wipe(deleted) => Transition::Late(S::Succeeded),
        (Trigger::Reported(_), S::Removed | S::Unknown(_)) => Transition::Refused,
        (Trigger::Reported(outcome), S::Succeeded | S::Failed | S::Rejected | S::NotSupported) => {
            if outcome.state() == state { Transition::Same } else { Transition::Refused }
        }
        (Trigger::NotNow, S::Delivered) => Transition::To(S::Deferred),
        (Trigger::NotNow, S::Deferred) => Transition::Counted,
        (Trigger::NotNow, S::CancelRequested) => Transition::To(S::Canceled),
        (Trigger::NotNow, _) => Transition::Refused,
        (Trigger::Cancel, S::Queued) => Transition::To(S::Canceled),
        (Trigger::Cancel, S::Delivered | S::Deferred) => Transition::To(S::CancelRequested),
        (Trigger::Cancel, S::CancelRequested) => Transition::Same,
        (Trigger::Cancel, _) => Transition::Refused,
        (Trigger::TimeIsUp, S::Queued | S::Delivered | S::Deferred) => Transition::To(S::TimedOut),
        (Trigger::TimeIsUp, S::CancelRequested) => Transition::To(S::Canceled),
        (Trigger::Replaced, S::Queued | S::Delivered | S::Deferred | S::CancelRequested) => Transition::To(S::Removed),
        (Trigger::TimeIsUp | Trigger::Replaced, _) => Transition::Same,
    }
}

/// What befalls a wipe that a device, deleted since, could not do, or would not.
fn step_of_a_failed_wipe(trigger: Trigger) -> Transition {
    match trigger {
        Trigger::Served => Transition::Again,
        Trigger::Reported(Outcome::Succeeded) => Transition::Late(CommandState::Succeeded),
        Trigger::Reported(outcome) => Transition::To(outcome.state()),
        Trigger::NotNow => Transition::Counted,
        Trigger::Cancel => Transition::Refused,
        Trigger::TimeIsUp => Transition::To(CommandState::TimedOut),
        Trigger::Replaced => Transition::To(CommandState::Removed),
    }
}

/// One step of a command's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The state that it came into.
    pub state: CommandState,
    /// When.
    pub at: Time,
    /// By whom.
    pub by: Actor,
    /// True if the device's word came late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// Something that one device must do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Where.
    pub workspace_id: WorkspaceId,
    /// Which device.
    pub device_id: DeviceId,
    /// Whose.
    pub user_id: UserId,
    /// Its identifier.
    pub command_id: CommandId,
    /// What to do.
    pub kind: CommandKind,
    /// The device's enrolment that it was meant for.
    pub epoch: u32,
    /// Where it stands.
    pub state: CommandState,
    /// True if the device's word came after the command had ended or been taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Since when.
    pub queued_at: Time,
    /// By whose order.
    pub queued_by: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it counts.
    pub expires_at: Time,
    /// How often the device said: not now.
    #[serde(default)]
    pub deferrals: u32,
    /// Of a wipe that a device, deleted since, could not do, or would not: from when on it is told again. None once
    /// it is over, or another wipe was ordered in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Time>,
    /// What the device said of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What became of it, step by step.
    pub history: Vec<HistoryEntry>,
    /// Once over: what is kept of the credential that it was meant for, so that the phone can still
    /// say that it was wiped, and say it again, after it was enrolled anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_hash: Option<Hash>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// What a device's row says of a command that is not over, so that check-in needs no other row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenCommand {
    /// Its identifier.
    pub command_id: CommandId,
    /// What to do.
    pub kind: CommandKind,
    /// Where it stands.
    pub state: CommandState,
    /// Since when.
    pub queued_at: Time,
    /// Until when it counts.
    pub expires_at: Time,
    /// See [`Command::again_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Time>,
}

impl OpenCommand {
    /// True if the device still has to do it, now or later.
    #[must_use]
    pub fn is_pending(&self, now: Time) -> bool {
        (self.state.is_pending() || self.again_at.is_some()) && self.expires_at > now
    }

    /// True if the device is to be told of it now. What another release asks of it, that one tells it.
    #[must_use]
    pub fn is_served(&self, now: Time) -> bool {
        self.is_pending(now) && self.again_at.is_none_or(|at| at <= now) && self.kind.is_known()
    }

    /// True if telling the device of it now changes something.
    #[must_use]
    pub fn is_news(&self, now: Time) -> bool {
        let again = self.again_at.is_some();
        self.is_served(now) && (again || matches!(self.state, CommandState::Queued | CommandState::Deferred))
    }
}

impl From<&Command> for OpenCommand {
    fn from(command: &Command) -> Self {
        Self {
            command_id: command.command_id,
            kind: command.kind,
            state: command.state,
            queued_at: command.queued_at,
            expires_at: command.expires_at,
            again_at: command.again_at,
        }
    }
}

/// An order to be given to devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// What to do.
    pub kind: CommandKind,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many days it counts; else as long as its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<i64>,
}

impl CommandRequest {
    /// Reads what may be said with an order: `reason` and `expires_in_days`.
    pub fn read(kind: CommandKind, fields: &mut Fields) -> Self {
        let reason = fields.text("reason", crate::device::REASON);
        let expires_in_days = fields.integer("expires_in_days", LIFE_DAYS.0, LIFE_DAYS.1);
        Self { kind, reason, expires_in_days }
    }

    fn lifetime(&self) -> Duration {
        self.expires_in_days.map_or_else(|| self.kind.lifetime(), Duration::days)
    }
}

/// The open command that stands for an order: asking again is answered by the one that is pending,
/// and a device is told to destroy its data by one command at a time. A wipe that has failed stands for none: it can
/// be ordered anew.
#[must_use]
pub fn pending_for(device: &Device, kind: CommandKind, now: Time) -> Option<&OpenCommand> {
    let same = |open: &&OpenCommand| {
        let is_pending = open.state.is_pending() && open.expires_at > now;
        is_pending && (open.kind == kind || (open.kind.is_destructive() && kind.is_destructive()))
    };
    device.commands.iter().find(same)
}

/// A device, with the rows of its open commands.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceWithCommands {
    /// The device.
    pub device: Device,
    /// The commands that [`Device::commands`] names.
    pub open: Vec<Command>,
}

/// What an act does to a device and its commands.
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionResult {
    /// The device after.
    pub device: Device,
    /// The commands.
    pub commands: Vec<RowChange<Command>>,
    /// What happened.
    pub events: Vec<Event>,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum EnqueueResult {
    /// This command, which is pending, stands for it.
    Pending(CommandId),
    /// It is in the device's queue as a new command, the last of these.
    Queued(Box<TransitionResult>),
}

/// Gives an order to a device. Asking again is answered by the command that is pending.
///
/// Open commands of the same kind that are not served any more (they were taken back and the
/// device has not spoken, or their time is over), or that have failed, are closed with it, so that a device never has
/// more than a handful. A wipe of a deleted device that is not confirmed can be ordered anew until the purge, which then
/// waits for it.
///
/// # Errors
/// `DeviceDeleted` for whatever else, or if the phone is another device by now; `DeviceErased` if there is no app
/// that could do it.
pub fn order(
    phone: &DeviceWithCommands,
    order: &CommandRequest,
    command_id: CommandId,
    context: &EventContext,
) -> Result<EnqueueResult, DomainError> {
    let device = &phone.device;
    let anew = order.kind == CommandKind::Wipe && device.unconfirmed_wipe().is_some() && !device.replaced;
    if !anew {
        device.require_there()?;
    }
    if device.erased.is_some() {
        return Err(DomainError::DeviceErased);
    }
    if let Some(pending) = pending_for(device, order.kind, context.at) {
        return Ok(EnqueueResult::Pending(pending.command_id));
    }
    let (failed, outlived): (Vec<_>, Vec<_>) = phone
        .open
        .iter()
        .filter(|open| open.kind == order.kind || open.again_at.is_some())
        .partition(|open| open.again_at.is_some());
    let mut commanded = apply_to_all(device, outlived, Trigger::TimeIsUp, context);
    failed.into_iter().for_each(|failed| commanded.give_up(failed));
    commanded.queue(order, command_id, context);
    Ok(EnqueueResult::Queued(Box::new(commanded)))
}

impl TransitionResult {
    /// Leaves a wipe that has failed as it is, without telling it again.
    fn give_up(&mut self, failed: &Command) {
        self.device.commands.retain(|open| open.command_id != failed.command_id);
        self.commands.push(RowChange::from(failed.clone(), Command { again_at: None, ..failed.clone() }));
    }

    fn queue(&mut self, order: &CommandRequest, command_id: CommandId, context: &EventContext) {
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
        event.change("expires_at", serde_json::Value::Null, command.expires_at.to_string());
        event.private.reason.clone_from(&order.reason);
        self.events.push(event);
        self.commands.push(RowChange::new(command));
    }
}

/// A command and its device after a stimulus.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedTransition {
    /// The device.
    pub device: Device,
    /// The command.
    pub command: Command,
    /// What happened.
    pub event: Event,
}

impl AppliedTransition {
    /// The change of the device and the command that were read.
    #[must_use]
    pub fn change(&self, device: &Device, command: &Command) -> ChangeSet {
        ChangeSet {
            devices: vec![RowChange::from(device.clone(), self.device.clone())],
            commands: vec![RowChange::from(command.clone(), self.command.clone())],
            ..ChangeSet::recorded(self.event.clone())
        }
    }
}

/// A command, and its device's row, after a stimulus; `None` if nothing changes.
///
/// A destructive command that has succeeded ends the enrolment that it was meant for: the
/// credential is worth nothing any more, and the device keeps its place.
///
/// # Errors
/// `CommandOver` if the table at the head of this module refuses.
pub fn apply(
    device: &Device,
    command: &Command,
    trigger: Trigger,
    detail: Option<String>,
    context: &EventContext,
) -> Result<Option<AppliedTransition>, DomainError> {
    if matches!(trigger, Trigger::Reported(outcome) if command.has_just_been(outcome)) {
        return Ok(None);
    }
    let deleted = device.deleted.is_some();
    // With what happened by it, which of a wipe that has failed may be less than a new state.
    let (state, late, happened) = match step(command.kind, command.state, deleted, trigger) {
        Transition::Same => return Ok(None),
        Transition::Refused => return Err(DomainError::CommandOver(command.state)),
        Transition::Counted => (command.state, false, CommandState::Deferred),
        Transition::Again => (command.state, false, CommandState::Delivered),
        Transition::To(state) => (state, false, state),
        Transition::Late(state) => (state, true, state),
    };
    let mut after = command.clone();
    after.state = state;
    after.late |= late;
    if trigger == Trigger::NotNow {
        after.deferrals += 1;
    }
    if detail.is_some() {
        after.detail.clone_from(&detail);
    }
    let kept = || command.credential_hash.clone().unwrap_or_else(|| device.credential_hash.clone());
    after.credential_hash = (!state.is_open()).then(kept);
    after.again_at = again_at(deleted, command, state, late, trigger, context.at);
    after.remember(HistoryEntry { state: happened, at: context.at, by: context.actor, late });
    let mut changed = device.clone();
    changed.note(&after);
    if state == CommandState::Succeeded
        && command.kind.is_destructive()
        && command.state != CommandState::Removed
        && command.epoch == device.epoch
    {
        changed.erased.get_or_insert(Erasure { at: context.at, command_id: command.command_id });
        // A registration repeated from before it would answer with a credential that is worth nothing.
        changed.enrolment = None;
    }
    let mut event = command.event(event_type(happened), context);
    event.change("state", command.state.as_str(), state.as_str());
    event.change("late", command.late, after.late);
    event.change("deferrals", command.deferrals, after.deferrals);
    event.private.reason = detail;
    Ok(Some(AppliedTransition { device: changed, command: after, event }))
}

/// When a command is told again that is in this state by now: a wipe that a device, deleted by now, could not do, or
/// would not, unless it had been taken back, or was over, before the device said so.
fn again_at(
    deleted: bool,
    before: &Command,
    state: CommandState,
    late: bool,
    trigger: Trigger,
    now: Time,
) -> Option<Time> {
    let failed = matches!(state, CommandState::Failed | CommandState::Rejected);
    let open = before.state.is_pending() || before.again_at.is_some();
    let again = deleted && before.kind.is_wipe(deleted) && failed && open && !late;
    match (again, trigger) {
        (false, _) => None,
        (true, Trigger::NotNow) => before.again_at,
        (true, _) => Some(now.plus(AGAIN_AFTER)),
    }
}

/// A device's commands after a stimulus that befalls all of them; those that it does not change
/// are left out.
#[must_use]
pub fn apply_to_all<'a>(
    device: &Device,
    commands: impl IntoIterator<Item = &'a Command>,
    trigger: Trigger,
    context: &EventContext,
) -> TransitionResult {
    let mut all = TransitionResult { device: device.clone(), commands: Vec::new(), events: Vec::new() };
    for command in commands {
        // A refusal of one changes nothing of the others.
        if let Ok(Some(applied)) = apply(&all.device, command, trigger, None, context) {
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
        // No step leads there.
        CommandState::Unknown(word) => EventType::Unknown(word),
    }
}

impl Command {
    /// True while time alone still changes it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.is_open() || self.again_at.is_some()
    }

    /// True if its device is to be told of it now.
    #[must_use]
    pub fn is_served(&self, now: Time) -> bool {
        OpenCommand::from(self).is_served(now)
    }

    /// When it last came into its state.
    fn state_at(&self) -> Time {
        let last = self.history.iter().rfind(|happened| happened.state == self.state);
        last.map_or(self.queued_at, |last| last.at)
    }

    /// True if this was the device's last word of it: said again, it is the same answer.
    fn has_just_been(&self, outcome: Outcome) -> bool {
        self.state == outcome.state() && self.history.last().is_some_and(|last| last.state == outcome.state())
    }

    /// The command told again, if it is the wipe that a device could not do, or would not, before it was deleted.
    #[must_use]
    pub(crate) fn told_again(&self, device: &Device, now: Time) -> Option<Self> {
        let failed = matches!(self.state, CommandState::Failed | CommandState::Rejected) && !self.late;
        let counts = self.epoch == device.epoch && self.expires_at > now && device.erased.is_none();
        let again_at = self.state_at().plus(AGAIN_AFTER);
        (self.kind == CommandKind::Wipe && failed && counts).then(|| Self { again_at: Some(again_at), ..self.clone() })
    }

    fn event(&self, event_type: EventType, context: &EventContext) -> Event {
        let mut event = context.event(event_type).about_device(self.device_id, self.user_id);
        event.command_id = Some(self.command_id);
        event.command_kind = Some(self.kind);
        event
    }

    fn remember(&mut self, happened: HistoryEntry) {
        if self.history.len() >= HISTORY_LIMIT {
            self.history.remove(1);
        }
        self.history.push(happened);
    }
}

/// The last command that a device could not do, or would not, as its row holds it: in few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FailedCommand {
    /// What it was.
    pub kind: CommandKind,
    /// When the device said so.
    pub at: Time,
}

/// How [`FailedCommand`] writes each kind.
const LETTERS: [(CommandKind, char); 5] = [
    (CommandKind::Wipe, 'w'),
    (CommandKind::Lock, 'l'),
    (CommandKind::ResetPin, 'p'),
    (CommandKind::FactoryReset, 'f'),
    (CommandKind::RefreshConfig, 'c'),
];

impl From<FailedCommand> for String {
    fn from(failed: FailedCommand) -> Self {
        let letter = match (LETTERS.iter().find(|(kind, _)| *kind == failed.kind), failed.kind) {
            (Some((_, letter)), _) => letter.to_string(),
            // The letter is all that is known of a kind of another release: see `note`.
            (None, kind) => kind.to_string(),
        };
        format!("{letter}{:x}", failed.at.millis())
    }
}

impl TryFrom<String> for FailedCommand {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = || {
            let mut letters = text.chars();
            let letter = letters.next()?;
            let known = LETTERS.iter().find(|(_, known)| *known == letter).map(|(kind, _)| *kind);
            let unknown = || UnknownValue::new(letter.encode_utf8(&mut [0; 4])).map(CommandKind::Unknown);
            let kind = known.or_else(unknown)?;
            let millis = i64::from_str_radix(letters.as_str(), 16).ok()?;
            Some(Self { kind, at: Time::from_millis(millis)? })
        };
        read().ok_or("no command and time")
    }
}

/// The last wipe of a device that is over, and of which the device has not said that it was done; as its row holds it:
/// in few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct UnconfirmedWipe {
    /// Its identifier.
    pub command_id: CommandId,
    /// What became of it.
    pub state: CommandState,
    /// Since when.
    pub at: Time,
}

impl UnconfirmedWipe {
    fn of(command: &Command, deleted: bool) -> Option<Self> {
        let unconfirmed = match command.state {
            CommandState::Failed
            | CommandState::Rejected
            | CommandState::NotSupported
            | CommandState::TimedOut
            | CommandState::Removed
            | CommandState::Unknown(_) => true,
            CommandState::Queued
            | CommandState::Delivered
            | CommandState::Deferred
            | CommandState::CancelRequested
            | CommandState::Canceled
            | CommandState::Succeeded => false,
        };
        let wipe = Self { command_id: command.command_id, state: command.state, at: command.state_at() };
        (unconfirmed && command.kind.is_wipe(deleted)).then_some(wipe)
    }
}

impl From<UnconfirmedWipe> for String {
    fn from(wipe: UnconfirmedWipe) -> Self {
        format!("{} {} {:x}", wipe.command_id, wipe.state, wipe.at.millis())
    }
}

impl TryFrom<String> for UnconfirmedWipe {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let read = || {
            let mut parts = text.split(' ');
            let command_id = CommandId::parse(parts.next()?)?;
            let state = parts.next()?;
            let unknown = || UnknownValue::new(state).map(CommandState::Unknown);
            let state = CommandState::parse(state).or_else(unknown)?;
            let at = Time::from_millis(i64::from_str_radix(parts.next()?, 16).ok()?)?;
            Some(Self { command_id, state, at })
        };
        read().ok_or("no command, state and time")
    }
}

impl Device {
    /// The wipe that was ordered and of which the device has not said that it was done, if there is one: pending, or
    /// over otherwise. None of one that was taken back.
    #[must_use]
    pub fn unconfirmed_wipe(&self) -> Option<UnconfirmedWipe> {
        if self.erased.is_some() {
            return None;
        }
        let deleted = self.deleted.is_some();
        let is_meant = |open: &&OpenCommand| open.kind.is_wipe(deleted) && open.state != CommandState::CancelRequested;
        let failed_at = self.failed.filter(|failed| failed.kind.is_wipe(deleted)).map(|failed| failed.at);
        let wipe = |open: &OpenCommand| UnconfirmedWipe {
            command_id: open.command_id,
            state: open.state,
            at: failed_at.filter(|_| open.again_at.is_some()).unwrap_or(open.queued_at),
        };
        self.commands.iter().find(is_meant).map(wipe).or(self.unconfirmed)
    }

    /// Notes in the device's row where one of its commands stands, and the last that it could not
    /// do; what it can do again is no failure any more.
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
        // A command of an earlier enrolment says nothing of this one.
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

/// What a device says of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandReport {
    /// What became of it; `None` for: not now.
    pub outcome: Option<Outcome>,
    /// For people.
    pub detail: Option<String>,
}

string_enum! {
    /// What a device can say of a command.
    Said {
        /// Done.
        Succeeded = "succeeded",
        /// Tried, and could not.
        Failed = "failed",
        /// Would not.
        Rejected = "rejected",
        /// Does not know it.
        NotSupported = "not_supported",
        /// Not now.
        Deferred = "deferred",
    }
}

impl CommandReport {
    /// Reads `{result, detail?}`.
    ///
    /// # Errors
    /// Every fault of the fields.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let said = fields.required_word::<Said>("result");
        let detail = fields.text("detail", DETAIL);
        fields.finish().map_err(DomainError::Invalid)?;
        let outcome = match said {
            None | Some(Said::Deferred) => None,
            Some(Said::Succeeded) => Some(Outcome::Succeeded),
            Some(Said::Failed) => Some(Outcome::Failed),
            Some(Said::Rejected) => Some(Outcome::Rejected),
            Some(Said::NotSupported) => Some(Outcome::NotSupported),
        };
        Ok(Self { outcome, detail })
    }

    /// What it does to the command.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.outcome.map_or(Trigger::NotNow, Trigger::Reported)
    }
}
