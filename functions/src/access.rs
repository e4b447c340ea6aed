//! Access to workspaces (members, keys, tokens) and the audit events.

pub mod accept_membership;
pub mod add_member;
pub mod create_key;
pub mod create_token;
pub mod create_workspace;
pub mod decline_membership;
pub mod get_workspace;
pub mod list_events;
pub mod list_keys;
pub mod list_member_tokens;
pub mod list_members;
pub mod list_memberships;
pub mod list_tokens;
pub mod remove_member;
pub mod revoke_key;
pub mod revoke_member_token;
pub mod revoke_token;
pub mod update_workspace;
