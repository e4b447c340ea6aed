//! Who may come in, and what they have done.

pub mod add_member;
pub mod create_key;
pub mod create_workspace;
pub mod get_workspace;
pub mod list_events;
pub mod list_keys;
pub mod list_members;
pub mod remove_member;
pub mod revoke_key;
pub mod update_workspace;
