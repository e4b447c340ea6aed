//! Who may do what with a job: whoever may begin it may see it and cancel it, and whoever may see what it
//! is about may see it.

use domain::error::DomainError;
use domain::models::source::SyncAction;
use domain::permission::Permission;
use domain::rules::access::Caller;

use crate::jobs::work::Action;
use crate::users::actions::UserAction;

/// Without any of these nobody begins a job, or cancels one.
pub(crate) const BEGUN_WITH: &[Permission] =
    &[Permission::UsersManage, Permission::DevicesManage, Permission::DeploymentsManage];

/// Without any of these nobody sees a job.
pub(crate) const SEEN_WITH: &[Permission] = &[
    Permission::UsersRead,
    Permission::DevicesRead,
    Permission::DeploymentsRead,
    Permission::UsersManage,
    Permission::DevicesManage,
    Permission::DeploymentsManage,
];

impl Action {
    /// What it takes to begin it, each of them; and so for it to go on, and to cancel it.
    pub fn permissions(&self) -> [Permission; 2] {
        match self {
            Self::User(UserAction::AutoDeploy) => [Permission::DeploymentsManage; 2],
            Self::User(action) => [Permission::UsersManage, action.permission()],
            Self::Device(action) => [Permission::DevicesManage, action.permission()],
            Self::Sync(SyncAction::Sync { may_wipe: true, .. }) => [Permission::UsersManage, Permission::UsersWipe],
            Self::Sync(SyncAction::Sync { may_wipe: false, .. }) => [Permission::UsersManage; 2],
        }
    }

    /// Lets pass whoever may begin it.
    ///
    /// # Errors
    /// `PermissionMissing`.
    pub fn require_begun_by(&self, caller: &Caller) -> Result<(), DomainError> {
        self.permissions().into_iter().try_for_each(|permission| caller.require(permission))
    }

    /// Lets pass whoever may see what it is about, or begin it.
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
