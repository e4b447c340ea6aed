//! HTTP and Lambda: requests, callers, replies, problems and logs.
//!
//! Invariant: this is the only crate that knows of HTTP, of API Gateway and of Lambda, and it
//! knows nothing of AWS's stores. What it needs to look up, it asks of a trait of `domain`.

pub mod accept;
pub mod caller;
mod dialect;
mod json;
pub mod logging;
pub mod problem;
pub mod reply;
pub mod request;
pub mod scim;
pub mod seam;
mod token;

pub use caller::{Call, Issuer, Own, Reach, Visit, authenticate, device_credential};
pub use dialect::Dialect;
pub use reply::{Reply, came_by_https};
pub use request::{Moment, Request};
pub use token::read_issuer_keys;
