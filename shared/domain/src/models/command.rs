//! Commands to a device, from their creation to the device's result.
//!
//! | state | delivered at check-in | device reports a result | device defers | admin cancels | expires | device replaced |
//! |---|---|---|---|---|---|---|
//! | `queued` | `delivered` | the result | refused | `canceled` | `timed_out` | `removed` |
//! | `delivered` | again, same | the result | `deferred` | `cancel_requested` | `timed_out` | `removed` |
//! | `deferred` | `delivered` | the result | counted | `cancel_requested` | `timed_out` | `removed` |
//! | `cancel_requested` | not delivered | the result, late | `canceled` | again, same | `canceled` | `removed` |
//! | `canceled`, `timed_out` | not delivered | the result, late | refused | refused | same | same |
//! | `succeeded`, `failed`, `rejected`, `not_supported` | not delivered | refused; the same result again is accepted | refused | refused | same | same |
//! | `failed`, `rejected` of a wipe of a deleted device | again, once a day | the result; `succeeded`, late | counted | refused | `timed_out` | `removed` |
//! | `removed` | not delivered | `succeeded` of a wipe, late; else refused | refused | refused | same | same |
//!
//! [`transition`] implements this table, and nothing else changes a command's state. A device cannot be replaced
//! while a wipe or a factory reset is pending on it: see `rules::registration::register`. Deleting a user
//! deletes their devices, so a deleted user's wipe is a wipe of a deleted device. Such a wipe is delivered
//! again until another one replaces it: see [`Command::again_at`]. A factory reset of a deleted device counts
//! as a wipe, since nobody will enrol the device again: see [`CommandKind::is_wipe`].

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
    /// What a command makes the device do.
    stored CommandKind {
        /// Erase all data.
        Wipe = "wipe",
        /// Lock the app.
        Lock = "lock",
        /// Ask the user for a new PIN.
        ResetPin = "reset_pin",
        /// Return to the state before the first enrolment.
        FactoryReset = "factory_reset",
        /// Fetch the configuration.
        RefreshConfig = "refresh_config",
    }
}

impl CommandKind {
    /// True if it deletes the app's data.
    #[must_use]
    pub fn is_destructive(self) -> bool {
        matches!(self, Self::Wipe | Self::FactoryReset)
    }

    /// True if it erases the device for good: a wipe, or a factory reset of a deleted device.
    #[must_use]
    pub fn is_wipe(self, deleted: bool) -> bool {
        self == Self::Wipe || deleted && self == Self::FactoryReset
    }

    /// How long a command is valid unless the request says otherwise. A lost phone may check in after months,
    /// but a lock of last year is of no use.
    #[must_use]
    pub fn lifetime(self) -> Duration {
        if self.is_destructive() { Duration::days(90) } else { Duration::days(30) }
    }
}

/// The fewest and the most days that a command is valid.
pub const VALID_DAYS: (i64, i64) = (1, 365);

/// How often a failed wipe of a deleted device is delivered again.
pub const REDELIVERY_INTERVAL: Duration = Duration::days(1);

/// A device's explanation of a result, for people.
pub const DETAIL: TextRule = TextRule::new(Form::Line, 1, 256);

/// The most entries of a command's history. The first entry is always kept; after it, the oldest ones are dropped.
pub const HISTORY_LIMIT: usize = 40;

string_enum! {
    /// A device's result of a command.
    Outcome {
        /// Done.
        Succeeded = "succeeded",
        /// The device tried and failed.
        Failed = "failed",
        /// The device or its user refused.
        Rejected = "rejected",
        /// The app does not know the command.
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

/// What can happen to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The device checks in and receives the command.
    Delivered,
    /// The device reports a result.
    Reported(Outcome),
    /// The device defers the command.
    Deferred,
    /// An admin cancels it.
    Cancel,
    /// It expires.
    Expired,
    /// The device is enrolled again.
    Replaced,
}

/// What a trigger does to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Moves to a state.
    To(CommandState),
    /// Moves to a state on the device's late report, after the command had ended or been canceled.
    LateTo(CommandState),
    /// Keeps the state and counts a deferral.
    CountDeferral,
    /// Keeps the state and delivers the command again.
    Redeliver,
    /// Nothing changes.
    Unchanged,
    /// The trigger is refused.
    Refused,
}

/// The transition of a command by a trigger; `deleted` says whether its device is deleted. Implements the table
/// in this module's documentation.
#[must_use]
pub fn transition(kind: CommandKind, state: CommandState, deleted: bool, trigger: Trigger) -> Transition {
    use CommandState as S;
    if deleted && kind.is_wipe(deleted) && matches!(state, S::Failed | S::Rejected) {
        return transition_of_failed_wipe(trigger);
    }
    match (trigger, state) {
        (Trigger::Delivered, S::Queued | S::Deferred) if kind.is_known() => Transition::To(S::Delivered),
        (Trigger::Delivered, _) => Transition::Unchanged,
        (Trigger::Reported(outcome), S::Queued | S::Delivered | S::Deferred) => Transition::To(outcome.state()),
        (Trigger::Reported(outcome), S::CancelRequested | S::Canceled | S::TimedOut) => {
            Transition::LateTo(outcome.state())
        }
        (Trigger::Reported(Outcome::Succeeded), S::Removed) if kind.is_wipe(deleted) => {
            Transition::LateTo(S::Succeeded)
        }
        (Trigger::Reported(_), S::Removed | S::Unknown(_)) => Transition::Refused,
        (Trigger::Reported(outcome), S::Succeeded | S::Failed | S::Rejected | S::NotSupported) => {
            if outcome.state() == state { Transition::Unchanged } else { Transition::Refused }
        }
        (Trigger::Deferred, S::Delivered) => Transition::To(S::Deferred),
        (Trigger::Deferred, S::Deferred) => Transition::CountDeferral,
        (Trigger::Deferred, S::CancelRequested) => Transition::To(S::Canceled),
        (Trigger::Deferred, _) => Transition::Refused,
        (Trigger::Cancel, S::Queued) => Transition::To(S::Canceled),
        (Trigger::Cancel, S::Delivered | S::Deferred) => Transition::To(S::CancelRequested),
        (Trigger::Cancel, S::CancelRequested) => Transition::Unchanged,
        (Trigger::Cancel, _) => Transition::Refused,
        (Trigger::Expired, S::Queued | S::Delivered | S::Deferred) => Transition::To(S::TimedOut),
        (Trigger::Expired, S::CancelRequested) => Transition::To(S::Canceled),
        (Trigger::Replaced, S::Queued | S::Delivered | S::Deferred | S::CancelRequested) => Transition::To(S::Removed),
        (Trigger::Expired | Trigger::Replaced, _) => Transition::Unchanged,
    }
}

/// The transition of a failed or rejected wipe of a device that was deleted since.
fn transition_of_failed_wipe(trigger: Trigger) -> Transition {
    match trigger {
        Trigger::Delivered => Transition::Redeliver,
        Trigger::Reported(Outcome::Succeeded) => Transition::LateTo(CommandState::Succeeded),
        Trigger::Reported(outcome) => Transition::To(outcome.state()),
        Trigger::Deferred => Transition::CountDeferral,
        Trigger::Cancel => Transition::Refused,
        Trigger::Expired => Transition::To(CommandState::TimedOut),
        Trigger::Replaced => Transition::To(CommandState::Removed),
    }
}

/// One entry of a command's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The new state.
    pub state: CommandState,
    /// Time of the change.
    pub at: Time,
    /// Who caused it.
    pub by: Actor,
    /// True if the device's report came late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// A command to one device.
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
    /// What the device must do.
    pub kind: CommandKind,
    /// The device's enrolment that it was created for.
    pub epoch: u32,
    /// Its state.
    pub state: CommandState,
    /// True if the device's report came after the command had ended or been canceled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Creation time.
    pub queued_at: Time,
    /// Who created it.
    pub queued_by: Actor,
    /// Reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Expiry time.
    pub expires_at: Time,
    /// How often the device deferred it.
    #[serde(default)]
    pub deferrals: u32,
    /// For a failed or rejected wipe of a deleted device: time of the next delivery. `None` once it has ended,
    /// or another wipe replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Time>,
    /// The device's explanation of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The state changes so far.
    pub history: Vec<HistoryEntry>,
    /// For an ended command: hash of the credential of its enrolment, so that the phone can still report the
    /// wipe, and repeat the report, after it was enrolled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_hash: Option<Hash>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// Copy of a command in its device's row while the command is open, so that a check-in reads no other row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenCommand {
    /// Its identifier.
    pub command_id: CommandId,
    /// What the device must do.
    pub kind: CommandKind,
    /// Its state.
    pub state: CommandState,
    /// Creation time.
    pub queued_at: Time,
    /// Expiry time.
    pub expires_at: Time,
    /// See [`Command::again_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Time>,
}

impl OpenCommand {
    /// True if the device still has to do it.
    #[must_use]
    pub fn is_pending(&self, now: Time) -> bool {
        (self.state.is_pending() || self.again_at.is_some()) && self.expires_at > now
    }

    /// True if the device receives it at a check-in now. Command kinds of another release are delivered by that
    /// release only.
    #[must_use]
    pub fn is_deliverable(&self, now: Time) -> bool {
        self.is_pending(now) && self.again_at.is_none_or(|at| at <= now) && self.kind.is_known()
    }

    /// True if delivering it now changes the command.
    #[must_use]
    pub fn changes_when_delivered(&self, now: Time) -> bool {
        let again = self.again_at.is_some();
        self.is_deliverable(now) && (again || matches!(self.state, CommandState::Queued | CommandState::Deferred))
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

/// A request to create commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// What the devices must do.
    pub kind: CommandKind,
    /// Reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Validity in days; `None` for the default of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_days: Option<i64>,
}

impl CommandRequest {
    /// Reads the optional fields of a request: `reason` and `expires_in_days`.
    pub fn read(kind: CommandKind, fields: &mut Fields) -> Self {
        let reason = fields.text("reason", crate::text::REASON);
        let expires_in_days = fields.integer("expires_in_days", VALID_DAYS.0, VALID_DAYS.1);
        Self { kind, reason, expires_in_days }
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.expires_in_days.map_or_else(|| self.kind.lifetime(), Duration::days)
    }
}

/// Next delivery of a command that has come into this state: set for a failed or rejected wipe of a device that
/// is deleted by now, unless the command had been canceled or had ended before.
pub(crate) fn next_delivery(
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
        (true, Trigger::Deferred) => before.again_at,
        (true, _) => Some(now.plus(REDELIVERY_INTERVAL)),
    }
}

impl Command {
    /// True until the command has ended and cannot change by itself.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.is_open() || self.again_at.is_some()
    }

    /// True if its device receives it at a check-in now.
    #[must_use]
    pub fn is_deliverable(&self, now: Time) -> bool {
        OpenCommand::from(self).is_deliverable(now)
    }

    /// Time of the last change of state.
    pub(crate) fn state_at(&self) -> Time {
        let last = self.history.iter().rfind(|happened| happened.state == self.state);
        last.map_or(self.queued_at, |last| last.at)
    }

    /// True if this is the result that the device reported last, so that a repeated report is accepted.
    pub(crate) fn has_result(&self, outcome: Outcome) -> bool {
        self.state == outcome.state() && self.history.last().is_some_and(|last| last.state == outcome.state())
    }

    pub(crate) fn add_history(&mut self, happened: HistoryEntry) {
        if self.history.len() >= HISTORY_LIMIT {
            self.history.remove(1);
        }
        self.history.push(happened);
    }
}

/// The last command that a device failed or rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCommand {
    /// What the command was.
    pub kind: CommandKind,
    /// Time of the device's report.
    pub at: Time,
}

/// The last wipe of a device that has ended without the device's confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnconfirmedWipe {
    /// Its identifier.
    pub command_id: CommandId,
    /// The state in which it ended.
    pub state: CommandState,
    /// Time of that state.
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

/// A device's report on a command.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandReport {
    /// The result; `None` if the device defers the command.
    pub outcome: Option<Outcome>,
    /// Explanation for people.
    pub detail: Option<String>,
}

string_enum! {
    /// The values of `result` in a report.
    ReportedResult {
        /// Done.
        Succeeded = "succeeded",
        /// The device tried and failed.
        Failed = "failed",
        /// The device or its user refused.
        Rejected = "rejected",
        /// The app does not know the command.
        NotSupported = "not_supported",
        /// Deferred.
        Deferred = "deferred",
    }
}

impl CommandReport {
    /// Reads `{result, detail?}`.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let result = fields.required_enum::<ReportedResult>("result");
        let detail = fields.text("detail", DETAIL);
        fields.finish().map_err(DomainError::Invalid)?;
        let outcome = match result {
            None | Some(ReportedResult::Deferred) => None,
            Some(ReportedResult::Succeeded) => Some(Outcome::Succeeded),
            Some(ReportedResult::Failed) => Some(Outcome::Failed),
            Some(ReportedResult::Rejected) => Some(Outcome::Rejected),
            Some(ReportedResult::NotSupported) => Some(Outcome::NotSupported),
        };
        Ok(Self { outcome, detail })
    }

    /// The trigger that the report is.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.outcome.map_or(Trigger::Deferred, Trigger::Reported)
    }
}
