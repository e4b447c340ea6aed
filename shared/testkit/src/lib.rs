//! Test support: the system in process with its own clock, fixtures and fault injection. Never shipped.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test that cannot be set up fails")]

pub mod audit;
pub mod bench;
pub mod connector;
pub mod description_check;
pub mod egress;
pub mod faults;
pub mod gate;
pub mod loads;
pub mod log_lines;
pub mod oidc;
pub mod qr;
pub mod request_recorder;
pub mod rows;
pub mod samples;
pub mod simulated_time;
pub mod stale_index;
pub mod wire;

pub use bench::{Answer, Bench, Setup, Tenant, code_after, text};
