//! Permissions for jobs: whoever may start a job may see and cancel it, and whoever may read its items may see it.

use domain::error::DomainError;
use domain::models::source::SyncAction;
use domain::permission::Permission;
use domain::rules::access::Caller;

use crate::jobs::work::Action;
use crate::users::actions::UserAction;

/// Starting or canceling a job needs at least one of these.
pub(crate) const BEGUN_WITH: &[Permission] =
    &[Permission::UsersManage, Permission::DevicesManage, Permission::DeploymentsManage];

/// Seeing a job needs at least one of these.
pub(crate) const SEEN_WITH: &[Permission] = &[
    Permission::UsersRead,
    Permission::DevicesRead,
    Permission::DeploymentsRead,
    Permission::UsersManage,
    Permission::DevicesManage,
    Permission::DeploymentsManage,
];

impl Action {
    /// The permissions, all of them, for starting, continuing and canceling it.
    pub fn permissions(&self) -> [Permission; 2] {
        match self {
            Self::User(UserAction::AutoDeploy) => [Permission::DeploymentsManage; 2],
            Self::User(action) => [Permission::UsersManage, action.permission()],
            Self::Device(action) => [Permission::DevicesManage, action.permission()],
            Self::Sync(SyncAction::Sync { may_wipe: true, .. }) => [Permission::UsersManage, Permission::UsersWipe],
            Self::Sync(SyncAction::Sync { may_wipe: false, .. }) => [Permission::UsersManage; 2],
        }
    }

    /// Requires the permissions for starting it.
    ///
    /// # Errors
    /// `PermissionMissing`.
    pub fn require_begun_by(&self, caller: &Caller) -> Result<(), DomainError> {
        self.permissions().into_iter().try_for_each(|permission| caller.require(permission))
    }

    /// Requires permission to read its items, or to start it.
    ///
    /// # Errors
    /// `PermissionMissing`.
    pub fn require_seen_by(&self, caller: &Caller) -> Result<(), DomainError> {
        let about = match self {
            Self::User(UserAction::AutoDeploy) => Permission::DeploymentsRead,
            Self::User(_) | Self::Sync(_) => Permission::UsersRead,
            Self::Device(_) => Permission::DevicesRead,
        };
        self.require_begun_by(caller).or_else(|_| caller.require(about))
    }
}
