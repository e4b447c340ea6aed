//! The domain of Handset: its data types and its rules.
//!
//! Invariant: nothing in this crate does I/O, reads a clock, generates random numbers, or knows of AWS or HTTP.
//! Time, identifiers and random bytes are passed in, so every rule here can be tested by a plain unit test.

pub mod clock;
pub mod cursor;
pub mod egress;
pub mod error;
pub mod ids;
pub mod input;
pub mod limits;
pub mod listing;
pub mod models;
pub mod permission;
pub mod rules;
pub mod search;
pub mod secret;
pub mod shape;
pub mod sms;
pub mod states;
pub mod stored;
pub mod string_enum;
pub mod text;
pub mod username;
pub mod versions;

pub use clock::Time;
pub use error::{DomainError, Error};
pub use ids::{
    CommandId, CredentialId, DeviceId, EventId, InvitationId, JobId, KeyId, MemberId, ProfileId, SourceId, TokenId,
    UserId, WebhookId, WorkspaceId,
};
