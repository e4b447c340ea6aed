//! Retries after concurrent changes.

pub(crate) use aws::retry_on_conflict;
