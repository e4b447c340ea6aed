//! Jobs: one action on many users or devices.
//!
//! A call that names its things does them before it answers; one over a filter begins, and the
//! schedule goes on. Both are the same job, so either goes on where it was stopped.

pub mod bulk_devices;
pub mod bulk_users;
pub mod cancel_job;
pub mod get_job;
pub mod list_jobs;
mod ordered;
pub(crate) mod rights;
pub mod work;

pub(crate) use ordered::{BulkAction, BulkOperation, begin_with};
