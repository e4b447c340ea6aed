//! Limits that refusals name: how much one thing may have of another, and how large a body may be.

/// The most devices that a user may hold. Blocked ones count, deleted ones do not.
pub const DEVICE_LIMIT: usize = 3;

/// The most keys of which each was made by the one before, up to the one that a person or Handset made: so many more
/// are read for a call by the last of them.
pub const MAKERS_LIMIT: usize = 4;

/// The most sources of a workspace.
pub const SOURCE_LIMIT: usize = 20;

/// The most webhooks of a workspace.
pub const WEBHOOK_LIMIT: usize = 20;

/// The largest body that any operation takes, in bytes.
pub const BODY_LIMIT: usize = 256 * 1024;
