//! Everything that one act changes: the rows, as they were read and as they are to be, and what
//! happened. It is committed whole or not at all.

use std::collections::BTreeMap;
use std::fmt;

use crate::models::client_account::SecretKind;
use crate::models::command::Command;
use crate::models::device::{Device, DeviceAttachments, DeviceWithCommands, IdentifierClaim, PushToken};
use crate::models::event::Event;
use crate::models::invitation::Invitation;
use crate::models::job::Job;
use crate::models::message::{DailyCount, RecipientHistory};
use crate::models::profile::{Profile, ProfileAssignment};
use crate::models::usage::Usage;
use crate::models::user::User;
use crate::models::workspace::Workspace;

/// A change of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange<T> {
    /// As it was read; `None` for a new row.
    pub before: Option<T>,
    /// As it is to be.
    pub after: T,
}

impl<T> RowChange<T> {
    /// A row that was not there before.
    pub fn new(after: T) -> Self {
        Self { before: None, after }
    }

    /// A row that was read as `before`.
    pub fn from(before: T, after: T) -> Self {
        Self { before: Some(before), after }
    }
}

/// What one act changes. The first event names the act as a whole, and its identifier makes
/// repeating the commit safe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeSet {
    /// What happened; never empty in a change that is committed.
    pub events: Vec<Event>,
    /// The workspace.
    pub workspace: Option<RowChange<Workspace>>,
    /// The user.
    pub user: Option<RowChange<User>>,
    /// Devices.
    pub devices: Vec<RowChange<Device>>,
    /// What is attached to devices. The version of a device's own row stands for both, so that row is in `devices` as
    /// well, changed or not.
    pub attachments: Vec<RowChange<DeviceAttachments>>,
    /// A device's push token.
    pub push_token: Option<RowChange<PushToken>>,
    /// Their identifiers' claims.
    pub claims: Vec<RowChange<IdentifierClaim>>,
    /// Commands.
    pub commands: Vec<RowChange<Command>>,
    /// Invitations and deployments.
    pub invitations: Vec<RowChange<Invitation>>,
    /// The message that makes due, counted.
    pub message_counters: Option<MessageCounters>,
    /// What the table of secrets keeps of it.
    pub secrets: SecretChanges,
    /// The profile that the user is given.
    pub profile_grant: Option<ProfileGrant>,
    /// Counts of usage.
    pub usage: Vec<RowChange<Usage>>,
    /// A profile.
    pub profile: Option<RowChange<Profile>>,
    /// A job.
    pub job: Option<RowChange<Job>>,
}

impl ChangeSet {
    /// A change of nothing, recorded by an event.
    #[must_use]
    pub fn recorded(event: Event) -> Self {
        Self { events: vec![event], ..Self::default() }
    }

    /// This change and the next, which begins with the rows that this one leaves,
    /// as one act: each row is changed once.
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
        all(&mut self.invitations, next.invitations, |invitation| invitation.invitation_id);
        self.message_counters = next.message_counters.or(self.message_counters);
        self.secrets.code = next.secrets.code.or(self.secrets.code);
        self.secrets.of_user.extend(next.secrets.of_user);
        self.profile_grant = next.profile_grant.or(self.profile_grant);
        self.usage.extend(next.usage);
        self.profile = both(self.profile, next.profile);
        self.job = both(self.job, next.job);
        self
    }

    /// A user's phones as this change leaves them.
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
    pub fn invitation_after<'a>(&'a self, invitation: &'a Invitation) -> &'a Invitation {
        let edited = self.invitations.iter().find(|edited| edited.after.invitation_id == invitation.invitation_id);
        edited.map_or(invitation, |edited| &edited.after)
    }

    /// The invitation or deployment that this change makes.
    #[must_use]
    pub fn new_invitation(&self) -> Option<&Invitation> {
        self.invitations.iter().find(|edited| edited.before.is_none()).map(|made| &made.after)
    }

    /// The user as this change leaves them.
    #[must_use]
    pub fn user_after(&self) -> Option<&User> {
        self.user.as_ref().map(|user| &user.after)
    }

    /// The same, if nothing else of the change is needed any more.
    #[must_use]
    pub fn into_user(self) -> Option<User> {
        self.user.map(|user| user.after)
    }
}

/// Two changes of a row, one after the other.
fn both<T>(first: Option<RowChange<T>>, next: Option<RowChange<T>>) -> Option<RowChange<T>> {
    match (first, next) {
        (Some(first), Some(next)) => Some(RowChange { before: first.before, after: next.after }),
        (first, next) => next.or(first),
    }
}

/// Adds changes of rows that are told apart by a key, each of which comes after what is there.
fn all<T, K: PartialEq>(first: &mut Vec<RowChange<T>>, next: Vec<RowChange<T>>, key: impl Fn(&T) -> K) {
    for next in next {
        match first.iter_mut().find(|first| key(&first.after) == key(&next.after)) {
            Some(first) => first.after = next.after,
            None => first.push(next),
        }
    }
}

/// Changes of secrets, of which nothing is printed.
#[derive(Clone, Default, PartialEq)]
pub struct SecretChanges {
    /// The code of the invitation or deployment that is made: its message must carry it.
    pub code: Option<String>,
    /// The user's secrets that are set, or removed (`None`).
    pub of_user: BTreeMap<SecretKind, Option<String>>,
}

impl fmt::Debug for SecretChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretChanges").finish_non_exhaustive()
    }
}

/// A message, counted.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageCounters {
    /// For its recipient.
    pub to: RowChange<RecipientHistory>,
    /// For the workspace.
    pub today: RowChange<DailyCount>,
}

/// A profile that a user is given: the change holds only while the profile is as it was read, since it may be deleted
/// meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileGrant {
    /// The profile, as it was read.
    pub profile: Profile,
    /// The note of when it was given to a user; `None` if there is one of late.
    pub note: Option<RowChange<ProfileAssignment>>,
}
