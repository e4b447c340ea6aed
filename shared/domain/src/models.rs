//! The things of the product, as they are stored and read, with what follows from one of them alone.
//!
//! Invariant: nothing here knows of change sets, or makes an event.

pub mod actor;
pub mod client_account;
pub mod command;
pub mod credential;
pub mod device;
pub mod event;
pub mod idempotency;
pub mod invitation;
pub mod job;
pub mod key;
pub mod member;
pub mod message;
pub mod network;
pub mod profile;
pub mod provenance;
pub mod push;
pub mod restriction;
pub mod source;
pub mod token;
pub mod usage;
pub mod user;
pub mod webhook;
pub mod workspace;
