//! Limits that errors name: how many objects a parent may have, and how large a body may be.

/// The most devices that a user may hold. Blocked ones count, deleted ones do not.
pub const DEVICE_LIMIT: usize = 3;

/// The longest chain of keys that each created the next, counted from the first, which a person or Handset
/// created. A call by the last key reads all of them.
pub const MAKERS_LIMIT: usize = 4;

/// The most sources of a workspace.
pub const SOURCE_LIMIT: usize = 20;

/// The most webhooks of a workspace.
pub const WEBHOOK_LIMIT: usize = 20;

/// The largest request body, in bytes.
pub const BODY_LIMIT: usize = 256 * 1024;
