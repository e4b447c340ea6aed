//! The rules and words of Handset.
//!
//! Invariant: nothing in this crate does I/O, reads a clock, draws a random number, or knows of
//! AWS or HTTP. Time, identifiers and random bytes are passed in, so every rule here can be shown
//! by a plain test.

pub mod access;
pub mod check_in;
pub mod clock;
pub mod cursor;
pub mod device;
pub mod event;
pub mod idempotency;
pub mod ids;
pub mod input;
pub mod invitation;
pub mod key;
pub mod member;
pub mod push;
pub mod refusal;
pub mod registration;
pub mod search;
pub mod secret;
pub mod sms;
pub mod text;
pub mod user;
mod words;
pub mod workspace;

pub use clock::Time;
pub use ids::{DeviceId, EventId, InvitationId, KeyId, MemberId, UserId, WorkspaceId};
pub use refusal::Refusal;
