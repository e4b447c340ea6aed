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
//! wipe or a factory reset is served to it: see `rules::registration::register`. Whoever deletes a user
//! deletes their devices, so a deleted user's wipe is one of a deleted device. Such a wipe is told again until
//! another is ordered in its place: see [`Command::again_at`]. Of a deleted device a factory reset is a wipe, since
//! nobody will enrol it anew: see [`CommandKind::is_wipe`].

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{CommandId, DeviceId, UserId, WorkspaceId};
use crate::input::Fields;
use crate::models::actor::Actor;
use crate::secret::Hash;
use crate::states::CommandState;
use crate::stored::Stored;
use crate::string_enum::string_enum;
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
    /// Its time.
    pub at: Time,
    /// Who did it.
    pub by: Actor,
    /// True if the device's word came late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// Something that one device must do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The device.
    pub device_id: DeviceId,
    /// The user.
    pub user_id: UserId,
    /// Its identifier.
    pub command_id: CommandId,
    /// What to do.
    pub kind: CommandKind,
    /// The device's enrolment that it was meant for.
    pub epoch: u32,
    /// Its state.
    pub state: CommandState,
    /// True if the device's word came after the command had ended or been taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Time of the order.
    pub queued_at: Time,
    /// By whose order.
    pub queued_by: Actor,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of its expiry.
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
    /// Its state.
    pub state: CommandState,
    /// Time of the order.
    pub queued_at: Time,
    /// Time of its expiry.
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
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many days it counts; else as long as its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<i64>,
}

impl CommandRequest {
    /// Reads what may be said with an order: `reason` and `expires_in_days`.
    pub fn read(kind: CommandKind, fields: &mut Fields) -> Self {
        let reason = fields.text("reason", crate::text::REASON);
        let expires_in_days = fields.integer("expires_in_days", LIFE_DAYS.0, LIFE_DAYS.1);
        Self { kind, reason, expires_in_days }
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.expires_in_days.map_or_else(|| self.kind.lifetime(), Duration::days)
    }
}

/// When a command is told again that is in this state by now: a wipe that a device, deleted by now, could not do, or
/// would not, unless it had been taken back, or was over, before the device said so.
pub(crate) fn again_at(
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
    pub(crate) fn state_at(&self) -> Time {
        let last = self.history.iter().rfind(|happened| happened.state == self.state);
        last.map_or(self.queued_at, |last| last.at)
    }

    /// True if this was the device's last word of it: said again, it is the same answer.
    pub(crate) fn has_just_been(&self, outcome: Outcome) -> bool {
        self.state == outcome.state() && self.history.last().is_some_and(|last| last.state == outcome.state())
    }

    pub(crate) fn remember(&mut self, happened: HistoryEntry) {
        if self.history.len() >= HISTORY_LIMIT {
            self.history.remove(1);
        }
        self.history.push(happened);
    }
}

/// The last command that a device could not do, or would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCommand {
    /// What it was.
    pub kind: CommandKind,
    /// When the device said so.
    pub at: Time,
}

/// The last wipe of a device that is over, and of which the device has not said that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnconfirmedWipe {
    /// Its identifier.
    pub command_id: CommandId,
    /// What became of it.
    pub state: CommandState,
    /// Its time.
    pub at: Time,
}

impl UnconfirmedWipe {
    pub(crate) fn of(command: &Command, deleted: bool) -> Option<Self> {
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
