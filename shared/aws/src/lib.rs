//! DynamoDB, SNS and SESv2, behind functions named by purpose.
//!
//! Invariant: nothing here decides. It reads rows, commits what `domain` decided, and sends what it is given.
//! It knows nothing of HTTP routes or of Lambda.

mod clients;
mod commit;
mod details;
mod egress;
mod item;
mod list;
mod mail;
mod push;
mod retry;
mod roots;
mod sms;
pub mod store;
mod table;
mod throttles;
mod topic;
mod verdict;

pub use clients::{Clients, Connection};
pub use commit::{Commit, Committed};
/// Which addresses webhooks may have.
pub use domain::egress::EgressPolicy;
pub use egress::{Answer, EgressClient, FETCH_TIMEOUT, FetchError};
pub use item::{INDEXED, Read, Row, RowKey, from_json, to_json};
pub use list::{Page, Position};
pub use mail::{Email, MailError, Mailer, Picture};
pub use push::{PushError, Pusher, Wake};
pub use retry::retry_on_conflict;
pub use sms::{SmsError, Texter};
pub use store::{
    ClaimedBySource, DeviceDetails, DeviceFilter, DueRow, EventFilter, Found, LeaseOutcome, ListBasis, Login, Restored,
    StagedRowsOf, StoredRow, StoredRows, Times, UserFilter, UserWithDevices, UsernameClaims,
};
pub use table::{Table, TableNames};
pub use topic::{JobsTopic, Topic, TopicPublisher};

/// Bytes as stored in a row.
#[must_use]
pub fn bytes(bytes: &[u8]) -> serde_bytes::ByteBuf {
    serde_bytes::ByteBuf::from(bytes)
}
