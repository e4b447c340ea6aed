//! Test support: the system in process with its own clock, fixtures and fault injection. Never shipped.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test ends where its ground gives way")]

pub mod audit;
pub mod bench;
pub mod connector;
pub mod described;
pub mod egress;
pub mod faults;
pub mod gate;
pub mod lag;
pub mod lines;
pub mod oidc;
pub mod qr;
pub mod rows;
pub mod samples;
pub mod tap;
pub mod wire;

pub use bench::{Answer, Bench, Setup, Tenant, text};
