//! Users and their invitations.

pub mod create_user;
pub mod get_user;
pub mod invite_user;
pub mod list_users;
pub mod open_invitation;
