//! What a whole workspace looks like, and finding anything in it.

pub mod get_overview;
pub mod search;

use domain::permission::Permission;

/// Each part of the overview, and each kind of what a search finds, needs the permission of its own list.
pub(crate) const SEEN_WITH: &[Permission] =
    &[Permission::DevicesRead, Permission::UsersRead, Permission::DeploymentsRead, Permission::EventsRead];
