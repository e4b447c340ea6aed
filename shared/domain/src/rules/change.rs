//! Everything that one act changes: the rows, as they were read and as they are to be, and what
//! happened. It is committed whole or not at all.

use crate::models::command::Command;
use crate::models::device::{Device, DeviceWithCommands, IdentifierClaim};
use crate::models::event::Event;
use crate::models::invitation::Invitation;
use crate::models::job::Job;
use crate::models::message::{DailyCount, RecipientHistory};
use crate::models::profile::Profile;
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
    /// Their identifiers' claims.
    pub claims: Vec<RowChange<IdentifierClaim>>,
    /// Commands.
    pub commands: Vec<RowChange<Command>>,
    /// Invitations and deployments.
    pub invitations: Vec<RowChange<Invitation>>,
    /// The message that makes due, counted.
    pub counted: Option<MessageCount>,
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

    /// This change and the next, which begins with the user and the devices that this one leaves,
    /// as one act: each row is changed once.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.events.extend(next.events);
        self.workspace = both(self.workspace, next.workspace);
        self.user = both(self.user, next.user);
        for device in next.devices {
            match self.devices.iter_mut().find(|edited| edited.after.device_id == device.after.device_id) {
                Some(edited) => edited.after = device.after,
                None => self.devices.push(device),
            }
        }
        self.claims.extend(next.claims);
        self.commands.extend(next.commands);
        self.invitations.extend(next.invitations);
        self.counted = next.counted.or(self.counted);
        self.usage.extend(next.usage);
        self.profile = both(self.profile, next.profile);
        self.job = both(self.job, next.job);
        self
    }

    /// A user's phones as this change leaves them.
    #[must_use]
    pub fn devices_after(&self, phones: &[DeviceWithCommands]) -> Vec<Device> {
        let after = |device: &Device| {
            let edited = self.devices.iter().find(|edited| edited.after.device_id == device.device_id);
            edited.map_or(device, |edited| &edited.after).clone()
        };
        phones.iter().map(|phone| after(&phone.device)).collect()
    }

    /// The user as this change leaves them.
    #[must_use]
    pub fn user_after(&self) -> Option<&User> {
        self.user.as_ref().map(|user| &user.after)
    }
}

/// Two changes of a row, one after the other.
fn both<T>(first: Option<RowChange<T>>, next: Option<RowChange<T>>) -> Option<RowChange<T>> {
    match (first, next) {
        (Some(first), Some(next)) => Some(RowChange { before: first.before, after: next.after }),
        (first, next) => next.or(first),
    }
}

/// A message, counted.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageCount {
    /// For its recipient.
    pub to: RowChange<RecipientHistory>,
    /// For the workspace.
    pub today: RowChange<DailyCount>,
}
