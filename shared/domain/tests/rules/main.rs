//! The rules, shown on plain values.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod access;
mod cadence;
mod check_in;
mod commands;
mod common;
mod credentials;
mod deployments;
mod derived;
mod devices;
mod errors;
mod event_shards;
mod exports;
mod fixture;
mod invitations;
mod jobs;
mod keys;
mod life;
mod messages;
mod networks;
mod profiles;
mod registration;
mod rows;
mod scim;
mod search;
mod sources;
mod sync;
mod tokens;
mod usage;
mod users;
mod webhooks;
mod words;
mod workspace;
