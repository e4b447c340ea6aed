//! The product's data types as they are stored and read, with the rules that need one object only.
//!
//! Invariant: nothing here builds change sets or events.

pub mod actor;
pub mod client_account;
pub mod command;
pub mod credential;
pub mod device;
pub mod event;
pub mod event_shards;
pub mod idempotency;
pub mod job;
pub mod key;
pub mod login_day;
pub mod member;
pub mod message_limits;
pub mod network;
pub mod offer;
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
