//! Every operation of Handset. Each has its own file and is one Lambda function.
//!
//! Invariant: an operation reads, lets `domain` decide, and commits. It contains no business rules, and uses only what
//! its signature names.

pub mod access;
mod actors;
mod bodies;
mod caller_scope;
mod callers;
mod commits;
mod context;
mod creators;
mod deadline;
pub mod deployments;
pub mod description;
pub mod devices;
pub mod exports;
mod idempotency;
mod invoke;
pub mod jobs;
mod operation;
pub mod operations;
pub mod overview;
pub mod pages;
mod paging;
pub mod profiles;
mod routes;
pub mod scim;
pub mod seam;
mod settings;
pub mod sources;
mod state;
pub mod triggers;
pub mod users;
mod views;
pub mod webhooks;

pub use invoke::invoke;
pub use operation::{Access, Entry, Operation};
pub use operations::{OPERATIONS, operation};
pub use settings::{OperatorSettings, Settings, SettingsError};
pub use state::{AppState, Clock};
