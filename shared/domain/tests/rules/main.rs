//! The rules, shown on plain values.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod commands;
mod common;
mod credentials;
mod deployments;
mod devices;
mod exports;
mod invitations;
mod jobs;
mod keys;
mod life;
mod messages;
mod networks;
mod profiles;
mod registration;
mod scim;
mod search;
mod sources;
mod tokens;
mod usage;
mod webhooks;
mod words;
mod workspace;
mod world;
