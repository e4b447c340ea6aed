//! What may be done, and what it changes: functions that take things as they were read, and give the change set to
//! commit or the reason why not.

pub mod access;
pub mod cadence;
pub mod change;
pub mod check_in;
pub mod commands;
pub mod context;
pub mod credentials;
pub mod deployments;
pub mod derived;
pub mod devices;
pub mod event_shards;
pub mod exports;
pub mod health;
pub mod jobs;
pub mod keys;
pub mod lifecycle;
pub mod members;
pub mod message_limits;
pub mod networks;
pub mod offers;
pub mod profiles;
pub mod provenance;
pub mod push;
pub mod registration;
pub mod scim;
pub mod sources;
pub mod sync;
pub mod tokens;
pub mod users;
pub mod webhooks;
pub mod workspaces;
