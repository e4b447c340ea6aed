//! The change of one operation: the rows, before and after, and the events. It is committed atomically.

use std::collections::BTreeMap;
use std::fmt;

use crate::models::client_account::SecretKind;
use crate::models::command::Command;
use crate::models::device::{Device, DeviceAttachments, DeviceWithCommands, IdentifierClaim, PushToken};
use crate::models::event::Event;
use crate::models::job::Job;
use crate::models::message_limits::{DailyCount, RecipientHistory};
use crate::models::offer::Offer;
use crate::models::profile::{Profile, ProfileAssignment};
use crate::models::usage::Usage;
use crate::models::user::User;
use crate::models::workspace::Workspace;

/// A change of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange<T> {
    /// The row as read; `None` for a new row.
    pub before: Option<T>,
    /// The row to write.
    pub after: T,
}

impl<T> RowChange<T> {
    /// A new row.
    pub fn new(after: T) -> Self {
        Self { before: None, after }
    }

    /// A row that was read as `before`.
    pub fn from(before: T, after: T) -> Self {
        Self { before: Some(before), after }
    }
}

/// All changes of one operation. The first event names the operation as a whole; its identifier makes it safe to retry
/// the commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeSet {
    /// Events. All have the identifier of their context, until the commit numbers them from it. Empty only for progress
    /// that is no news, such as a page of a job or a report of usage.
    pub events: Vec<Event>,
    /// The workspace.
    pub workspace: Option<RowChange<Workspace>>,
    /// The user.
    pub user: Option<RowChange<User>>,
    /// Devices.
    pub devices: Vec<RowChange<Device>>,
    /// Attachments of devices. The version of the device's own row guards both, so that row is in `devices` too,
    /// changed or not.
    pub attachments: Vec<RowChange<DeviceAttachments>>,
    /// A device's push token.
    pub push_token: Option<RowChange<PushToken>>,
    /// Claims of device identifiers.
    pub claims: Vec<RowChange<IdentifierClaim>>,
    /// Commands.
    pub commands: Vec<RowChange<Command>>,
    /// Invitations and deployments.
    pub offers: Vec<RowChange<Offer>>,
    /// Message counters, if the change causes a message.
    pub message_counters: Option<MessageCounters>,
    /// Changes of the table of secrets.
    pub secrets: SecretChanges,
    /// Profile assigned to the user.
    pub profile_grant: Option<ProfileGrant>,
    /// Usage, to be added to the rows of the same month whatever they count.
    pub usage: Vec<Usage>,
    /// A profile.
    pub profile: Option<RowChange<Profile>>,
    /// A job.
    pub job: Option<RowChange<Job>>,
}

impl ChangeSet {
    /// An event without changed rows.
    #[must_use]
    pub fn with_event(event: Event) -> Self {
        Self { events: vec![event], ..Self::default() }
    }

    /// This change and the next, which starts from the rows that this one leaves, as one change: each row is changed
    /// once.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.events.extend(next.events);
        self.workspace = both(self.workspace, next.workspace);
        self.user = both(self.user, next.user);
        all(&mut self.devices, next.devices, |device| device.device_id);
        all(&mut self.attachments, next.attachments, |attachments| attachments.device_id);
        self.push_token = both(self.push_token, next.push_token);
        self.claims.extend(next.claims);
        self.commands.extend(next.commands);
        all(&mut self.offers, next.offers, |invitation| invitation.invitation_id);
        self.message_counters = next.message_counters.or(self.message_counters);
        self.secrets.code = next.secrets.code.or(self.secrets.code);
        self.secrets.of_user.extend(next.secrets.of_user);
        self.profile_grant = next.profile_grant.or(self.profile_grant);
        self.usage.extend(next.usage);
        self.profile = both(self.profile, next.profile);
        self.job = both(self.job, next.job);
        self
    }

    /// A user's devices as this change leaves them.
    #[must_use]
    pub fn devices_after(&self, phones: &[DeviceWithCommands]) -> Vec<Device> {
        phones.iter().map(|phone| self.device_after(&phone.device).clone()).collect()
    }

    /// A device as this change leaves it.
    #[must_use]
    pub fn device_after<'a>(&'a self, device: &'a Device) -> &'a Device {
        let edited = self.devices.iter().find(|edited| edited.after.device_id == device.device_id);
        edited.map_or(device, |edited| &edited.after)
    }

    /// A command as this change leaves it.
    #[must_use]
    pub fn command_after<'a>(&'a self, command: &'a Command) -> &'a Command {
        let edited = self.commands.iter().find(|edited| edited.after.command_id == command.command_id);
        edited.map_or(command, |edited| &edited.after)
    }

    /// An invitation or deployment as this change leaves it.
    #[must_use]
    pub fn offer_after<'a>(&'a self, invitation: &'a Offer) -> &'a Offer {
        let edited = self.offers.iter().find(|edited| edited.after.invitation_id == invitation.invitation_id);
        edited.map_or(invitation, |edited| &edited.after)
    }

    /// The invitation or deployment that this change creates.
    #[must_use]
    pub fn new_offer(&self) -> Option<&Offer> {
        self.offers.iter().find(|edited| edited.before.is_none()).map(|made| &made.after)
    }

    /// The user as this change leaves them; `None` if it does not change the user.
    #[must_use]
    pub fn user_after(&self) -> Option<&User> {
        self.user.as_ref().map(|user| &user.after)
    }

    /// Like [`Self::user_after`], but consumes the change.
    #[must_use]
    pub fn into_user(self) -> Option<User> {
        self.user.map(|user| user.after)
    }
}

/// Merges two successive changes of a row.
fn both<T>(first: Option<RowChange<T>>, next: Option<RowChange<T>>) -> Option<RowChange<T>> {
    match (first, next) {
        (Some(first), Some(next)) => Some(RowChange { before: first.before, after: next.after }),
        (first, next) => next.or(first),
    }
}

/// Adds later changes of rows, identified by a key: a row that is already changed gets the later content.
fn all<T, K: PartialEq>(first: &mut Vec<RowChange<T>>, next: Vec<RowChange<T>>, key: impl Fn(&T) -> K) {
    for next in next {
        match first.iter_mut().find(|first| key(&first.after) == key(&next.after)) {
            Some(first) => first.after = next.after,
            None => first.push(next),
        }
    }
}

/// Changes of secrets. `Debug` does not print them.
#[derive(Clone, Default, PartialEq)]
pub struct SecretChanges {
    /// Code of the new invitation or deployment, for its message.
    pub code: Option<String>,
    /// The user's secrets to set, or to remove (`None`).
    pub of_user: BTreeMap<SecretKind, Option<String>>,
}

impl fmt::Debug for SecretChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretChanges").finish_non_exhaustive()
    }
}

/// The counters of one more message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageCounters {
    /// Counter of the recipient.
    pub to: RowChange<RecipientHistory>,
    /// Counter of the workspace.
    pub today: RowChange<DailyCount>,
}

/// A profile assigned to a user. The commit fails if the profile has changed since it was read, since it may have been
/// deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileGrant {
    /// The profile, as it was read.
    pub profile: Profile,
    /// Record of the time of the assignment; `None` if a recent one exists.
    pub note: Option<RowChange<ProfileAssignment>>,
}
