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

pub use devices::{DeviceDetails, DeviceFilter, Login};
pub use events::EventFilter;
pub use people::{UserFilter, UserWithDevices};
pub use reindex::{Restored, StoredRow, StoredRows};
pub use sources::{ClaimedBySource, StagedRowsOf};
pub use work::{DueRow, LeaseOutcome};
