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

use domain::error::Error;

use crate::commit::Commit;
use crate::table::Table;

pub use access::{Idempotency, Issuer, Keys, Members, Tokens, Workspaces};
pub use actors::Actors;
pub use commands::Commands;
pub use credentials::Credentials;
pub use devices::{DeviceDetails, DeviceFilter, Devices, Login, PushTokens};
pub use events::{EventFilter, Events};
pub use jobs::Jobs;
pub use people::{Invitations, Secrets, UserFilter, UserWithDevices, Users};
pub use profiles::Profiles;
pub use reindex::{Reindex, Restored, StoredRow, StoredRows};
pub use scim::ScimUsers;
pub use sources::{ClaimedBySource, Sources, StagedRowsOf};
pub use usage::UsageCounts;
pub use webhooks::Webhooks;
pub use work::{DueRow, LeaseOutcome, Leases, Work};

/// A store that takes commits.
pub trait Commits: Sync {
    /// Makes a change, whole or not at all. See [`Table::commit`].
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), Error>> + Send;
    /// Waits before another attempt.
    fn pause(&self, attempt: u32) -> impl Future<Output = ()> + Send;
}

impl Commits for Table {
    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        Table::commit(self, commit).await
    }

    async fn pause(&self, attempt: u32) {
        Table::pause(self, attempt).await;
    }
}
