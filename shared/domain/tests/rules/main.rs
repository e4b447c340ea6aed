//! The rules, shown on plain values.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod common;
mod devices;
mod invitations;
mod registration;
