//! Permissions of callers, and the roles that bundle them.

use std::collections::BTreeSet;

use crate::string_enum::string_enum;

string_enum! {
    /// A permission for a group of operations.
    stored Permission {
        /// See devices.
        DevicesRead = "devices:read",
        /// See users.
        UsersRead = "users:read",
        /// See deployments.
        DeploymentsRead = "deployments:read",
        /// See events.
        EventsRead = "events:read",
        /// Change, block and delete devices ("Manage rights to User's Devices").
        DevicesManage = "devices:manage",
        /// Create, change and invite users.
        UsersManage = "users:manage",
        /// Wipe the phones of users.
        UsersWipe = "users:wipe",
        /// Deploy configurations.
        DeploymentsManage = "deployments:manage",
        /// Report the state of carriers' networks.
        NetworksReport = "networks:report",
        /// Manage keys, members and the workspace itself.
        WorkspaceManage = "workspace:manage",
    }
}

string_enum! {
    /// A member's role in a workspace.
    stored Role {
        /// Sees everything, changes nothing.
        Viewer = "viewer",
        /// Helps users with their devices.
        Helpdesk = "helpdesk",
        /// Also wipes and deploys.
        DeviceAdmin = "device-admin",
        /// May do everything.
        Admin = "admin",
    }
}

/// A set of permissions.
pub type Permissions = BTreeSet<Permission>;

impl Role {
    /// The role's permissions; each role includes the one before it.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        use Permission as P;
        let viewer = [P::DevicesRead, P::UsersRead, P::DeploymentsRead, P::EventsRead];
        let helpdesk = [P::DevicesManage, P::UsersManage];
        let device_admin = [P::UsersWipe, P::DeploymentsManage];
        let admin = [P::NetworksReport, P::WorkspaceManage];
        let mut permissions: Permissions = viewer.into();
        if self >= Role::Helpdesk {
            permissions.extend(helpdesk);
        }
        if self >= Role::DeviceAdmin {
            permissions.extend(device_admin);
        }
        if self >= Role::Admin {
            permissions.extend(admin);
        }
        permissions
    }
}
