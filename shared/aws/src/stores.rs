//! What is read and written, by what it is for. An operation's signature names those that it
//! touches.

mod access;
mod actors;
mod commands;
mod credentials;
mod device_search;
mod devices;
mod events;
mod jobs;
mod people;
mod profiles;
mod reindex;
mod scim;
mod sources;
mod usage;
mod webhooks;
mod work;

use std::future::Future;

use domain::refusal::Failure;

use crate::commit::Commit;
use crate::table::Table;

pub use access::{Idempotency, Issuer, Keys, Members, Tokens, Workspaces};
pub use actors::Actors;
pub use commands::Commands;
pub use credentials::Credentials;
pub use devices::{DeviceFilter, DeviceWhole, Devices, Login, PushTokens};
pub use events::{EventFilter, Events};
pub use jobs::Jobs;
pub use people::{Invitations, Person, Secrets, UserFilter, Users};
pub use profiles::Profiles;
pub use reindex::{Reindex, Restored, StoredRow, StoredRows};
pub use scim::ScimUsers;
pub use sources::{Claimed, Leavings, Sources};
pub use usage::UsageCounts;
pub use webhooks::Webhooks;
pub use work::{DueRow, Leases, Taken, Work};

/// A store that takes commits.
pub trait Commits: Sync {
    /// Makes a change, whole or not at all. See [`Table::commit`].
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Waits before another attempt.
    fn pause(&self, attempt: u32) -> impl Future<Output = ()> + Send;
}

impl Commits for Table {
    async fn commit(&self, commit: Commit) -> Result<(), Failure> {
        Table::commit(self, commit).await
    }

    async fn pause(&self, attempt: u32) {
        Table::pause(self, attempt).await;
    }
}
