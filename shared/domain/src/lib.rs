//! The rules and words of Handset.
//!
//! Invariant: nothing in this crate does I/O, reads a clock, draws a random number, or knows of
//! AWS or HTTP. Time, identifiers and random bytes are passed in, so every rule here can be shown
//! by a plain test.

pub mod access;
pub mod change;
pub mod check_in;
pub mod clock;
pub mod command;
pub mod credential;
pub mod cursor;
pub mod deployment;
pub mod device;
pub mod egress;
pub mod error;
pub mod event;
pub mod export;
pub mod health;
pub mod idempotency;
pub mod ids;
pub mod input;
pub mod invitation;
pub mod job;
pub mod key;
pub mod lifecycle;
pub mod member;
pub mod message;
pub mod network;
pub mod profile;
pub mod provenance;
pub mod push;
pub mod registration;
pub mod restriction;
pub mod scim;
pub mod search;
pub mod secret;
pub mod shape;
pub mod sms;
pub mod source;
pub mod stored;
pub mod string_enum;
pub mod sync;
pub mod text;
pub mod token;
pub mod usage;
pub mod user;
pub mod username;
pub mod webhook;
pub mod workspace;

pub use clock::Time;
pub use error::DomainError;
pub use ids::{
    CommandId, CredentialId, DeviceId, EventId, InvitationId, JobId, KeyId, MemberId, ProfileId, SourceId, TokenId,
    UserId, WebhookId, WorkspaceId,
};
