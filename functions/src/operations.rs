//! The one table of operations: each with the callers that it takes. A handler that is not in it
//! does not exist, and `tests/` holds it against `template.yaml`.

use domain::error::{DomainError, Error};
use domain::permission::Permission as P;
use domain::rules::access::Access;
use futures::future::BoxFuture;
use lambda::{AuthorizedRequest, ErrorFormat, MultiWorkspaceRequest, PersonRequest, Reply, Request};
use serde_json::Value;

use crate::description::OperationDoc;
use crate::jobs::rights::{BEGUN_WITH, SEEN_WITH};
use crate::settings::Settings;
use crate::state::AppState;
use crate::triggers::{self, Run};
use crate::{access, deployments, devices, exports, jobs, pages, profiles, scim, seam, sources, users, webhooks};

type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// How an operation is entered, and by whom.
#[derive(Clone, Copy)]
pub enum Entry {
    /// By a key or a member with a permission.
    Admin(P, for<'a> fn(&'a AppState, AuthorizedRequest) -> Answer<'a, Reply>),
    /// By a key or a member with any of these permissions, which the operation looks at more closely.
    AnyAdmin(&'static [P], for<'a> fn(&'a AppState, AuthorizedRequest) -> Answer<'a, Reply>),
    /// By a key or a member with a permission in the workspace that they name, or in any if they name none.
    AdminAnywhere(P, for<'a> fn(&'a AppState, MultiWorkspaceRequest) -> Answer<'a, Reply>),
    /// By a person who has signed in, for themselves.
    Person(for<'a> fn(&'a AppState, PersonRequest) -> Answer<'a, Reply>),
    /// By anyone who has signed in, for themselves, before they are a member of any workspace.
    SignedIn(for<'a> fn(&'a AppState, PersonRequest) -> Answer<'a, Reply>),
    /// By a device, with its own credential.
    Device(for<'a> fn(&'a AppState, Request) -> Answer<'a, Reply>),
    /// By whoever has a code.
    Code(for<'a> fn(&'a AppState, Request) -> Answer<'a, Reply>),
    /// By anyone.
    Public(for<'a> fn(&'a AppState, Request) -> Answer<'a, Reply>),
    /// By AWS alone.
    Internal(for<'a> fn(&'a AppState, Run) -> Answer<'a, Value>),
}

/// An operation: one Lambda.
pub struct Operation {
    /// Its name, the same everywhere.
    pub name: &'static str,
    /// How it is entered.
    pub entry: Entry,
    /// How its failures are told.
    pub error_format: ErrorFormat,
    /// What it says of itself; every operation does that has a route and speaks our own words.
    pub about: Option<fn() -> OperationDoc>,
}

impl Operation {
    const fn about(self, about: fn() -> OperationDoc) -> Self {
        Self { about: Some(about), ..self }
    }

    /// True if it refuses parameters and fields that it does not know: what admins and programs misspell must not
    /// be taken for something else. Phones are older and newer than this, and the protocols of Seam's and of SCIM
    /// have rules of their own.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        let native = self.error_format == ErrorFormat::Problem;
        native && matches!(self.access(), Access::Permission(_) | Access::AnyOf(_) | Access::Person | Access::SignedIn)
    }

    /// Refuses a query or a body that a strict operation does not read at all. One that is read is looked at by who
    /// reads it.
    ///
    /// # Errors
    /// A fault of each parameter or field; those of [`Request::body`].
    pub(crate) fn refuse_what_it_does_not_take(&self, request: &Request) -> Result<(), DomainError> {
        if !self.is_strict() || !(request.has_query() || request.has_body()) {
            return Ok(());
        }
        let Some(about) = self.about.map(|about| about()) else { return Ok(()) };
        if about.query.fields().is_empty() {
            request.query()?.finish().map_err(DomainError::Invalid)?;
        }
        if about.body.is_none() {
            request.body()?.finish().map_err(DomainError::Invalid)?;
        }
        Ok(())
    }

    /// Whom it takes.
    #[must_use]
    pub fn access(&self) -> Access {
        match self.entry {
            Entry::Admin(permission, _) | Entry::AdminAnywhere(permission, _) => Access::Permission(permission),
            Entry::AnyAdmin(permissions, _) => Access::AnyOf(permissions),
            Entry::Person(_) => Access::Person,
            Entry::SignedIn(_) => Access::SignedIn,
            Entry::Device(_) => Access::Device,
            Entry::Code(_) => Access::Code,
            Entry::Public(_) => Access::Public,
            Entry::Internal(_) => Access::Internal,
        }
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).field("access", &self.access()).finish()
    }
}

/// The operation of a name.
#[must_use]
pub fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

const fn of(name: &'static str, entry: Entry) -> Operation {
    with_error_format(ErrorFormat::Problem, name, entry)
}

const fn with_error_format(error_format: ErrorFormat, name: &'static str, entry: Entry) -> Operation {
    Operation { name, entry, error_format, about: None }
}

/// Every operation.
pub static OPERATIONS: &[Operation] = &[
    // devices
    of(
        "register-device",
        Entry::Code(|w, r| Box::pin(async move { devices::register_device::handle(w.table()?, r).await })),
    )
    .about(devices::register_device::about),
    of(
        "check-in-device",
        Entry::Device(|w, r| Box::pin(async move { devices::check_in_device::handle(w.table()?, r).await })),
    )
    .about(devices::check_in_device::about),
    of(
        "list-devices",
        Entry::Admin(P::DevicesRead, |w, c| {
            Box::pin(async move { devices::list_devices::handle(w.table()?, c).await })
        }),
    )
    .about(devices::list_devices::about),
    of(
        "get-device",
        Entry::Admin(P::DevicesRead, |w, c| Box::pin(async move { devices::get_device::handle(w.table()?, c).await })),
    )
    .about(devices::get_device::about),
    of(
        "update-device",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::update_device::handle(w.table()?, c).await })
        }),
    )
    .about(devices::update_device::about),
    of(
        "block-device",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::block_device::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(devices::block_device::about),
    of(
        "unblock-device",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::unblock_device::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(devices::unblock_device::about),
    of(
        "delete-device",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::delete_device::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(devices::delete_device::about),
    of(
        "wipe-device",
        Entry::Admin(P::UsersWipe, |w, c| {
            Box::pin(async move { devices::wipe_device::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(devices::wipe_device::about),
    of(
        "lock-device",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::lock_device::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(devices::lock_device::about),
    of(
        "list-commands",
        Entry::Admin(P::DevicesRead, |w, c| {
            Box::pin(async move { devices::list_commands::handle(w.table()?, c).await })
        }),
    )
    .about(devices::list_commands::about),
    of(
        "cancel-command",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::cancel_command::handle(w.table()?, c).await })
        }),
    )
    .about(devices::cancel_command::about),
    of(
        "report-command",
        Entry::Device(|w, r| Box::pin(async move { devices::report_command::handle(w.table()?, r).await })),
    )
    .about(devices::report_command::about),
    of(
        "issue-credential",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::issue_credential::handle(w.table()?, c).await })
        }),
    )
    .about(devices::issue_credential::about),
    of(
        "revoke-credential",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::revoke_credential::handle(w.table()?, c).await })
        }),
    )
    .about(devices::revoke_credential::about),
    of(
        "report-credential-service",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { devices::report_credential_service::handle(w.table()?, c).await })
        }),
    )
    .about(devices::report_credential_service::about),
    // users
    of(
        "create-user",
        Entry::Admin(P::UsersManage, |w, c| Box::pin(async move { users::create_user::handle(w.table()?, c).await })),
    )
    .about(users::create_user::about),
    of(
        "get-user",
        Entry::Admin(P::UsersRead, |w, c| Box::pin(async move { users::get_user::handle(w.table()?, c).await })),
    )
    .about(users::get_user::about),
    of(
        "list-users",
        Entry::Admin(P::UsersRead, |w, c| Box::pin(async move { users::list_users::handle(w.table()?, c).await })),
    )
    .about(users::list_users::about),
    of(
        "update-user",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { users::update_user::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(users::update_user::about),
    of(
        "activate-user",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { users::activate_user::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(users::activate_user::about),
    of(
        "suspend-user",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { users::suspend_user::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(users::suspend_user::about),
    of(
        "delete-user",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { users::delete_user::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(users::delete_user::about),
    of(
        "lock-and-wipe-user",
        Entry::Admin(P::UsersWipe, |w, c| {
            Box::pin(async move { users::lock_and_wipe_user::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(users::lock_and_wipe_user::about),
    of(
        "reset-pin",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { users::reset_pin::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(users::reset_pin::about),
    of(
        "invite-user",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { users::invite_user::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(users::invite_user::about),
    of(
        "open-invitation",
        Entry::Code(|w, r| {
            Box::pin(
                async move { users::open_invitation::handle(w.table()?, r, w.public_url()?, &w.settings.app).await },
            )
        }),
    )
    .about(users::open_invitation::about),
    of(
        "list-invitations",
        Entry::Admin(P::UsersRead, |w, c| {
            Box::pin(async move { users::list_invitations::handle(w.table()?, c).await })
        }),
    )
    .about(users::list_invitations::about),
    of(
        "revoke-invitation",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { users::revoke_invitation::handle(w.table()?, c).await })
        }),
    )
    .about(users::revoke_invitation::about),
    of(
        "report-network",
        Entry::Admin(P::NetworksReport, |w, c| {
            Box::pin(async move { users::report_network::handle(w.table()?, c).await })
        }),
    )
    .about(users::report_network::about),
    of(
        "get-usage",
        Entry::Admin(P::UsersRead, |w, c| Box::pin(async move { users::get_usage::handle(w.table()?, c).await })),
    )
    .about(users::get_usage::about),
    // profiles
    of(
        "create-profile",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { profiles::create_profile::handle(w.table()?, c).await })
        }),
    )
    .about(profiles::create_profile::about),
    of(
        "list-profiles",
        Entry::Admin(P::DeploymentsRead, |w, c| {
            Box::pin(async move { profiles::list_profiles::handle(w.table()?, c).await })
        }),
    )
    .about(profiles::list_profiles::about),
    of(
        "get-profile",
        Entry::Admin(P::DeploymentsRead, |w, c| {
            Box::pin(async move { profiles::get_profile::handle(w.table()?, c).await })
        }),
    )
    .about(profiles::get_profile::about),
    of(
        "update-profile",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { profiles::update_profile::handle(w.table()?, c).await })
        }),
    )
    .about(profiles::update_profile::about),
    of(
        "delete-profile",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { profiles::delete_profile::handle(w.table()?, c).await })
        }),
    )
    .about(profiles::delete_profile::about),
    // deployments
    of(
        "deploy-config",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { deployments::deploy_config::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(deployments::deploy_config::about),
    of(
        "auto-deploy",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(
                async move { deployments::auto_deploy::handle(w.table()?, c, &w.settings.defaults, w.clock()).await },
            )
        }),
    )
    .about(deployments::auto_deploy::about),
    of(
        "set-force-config",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { deployments::set_force_config::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(deployments::set_force_config::about),
    of(
        "list-deployments",
        Entry::Admin(P::DeploymentsRead, |w, c| {
            Box::pin(async move { deployments::list_deployments::handle(w.table()?, c).await })
        }),
    )
    .about(deployments::list_deployments::about),
    of(
        "revoke-deployment",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { deployments::revoke_deployment::handle(w.table()?, c).await })
        }),
    )
    .about(deployments::revoke_deployment::about),
    of(
        "get-deployment-qr",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { deployments::get_deployment_qr::handle(w.table()?, c, w.public_url()?).await })
        }),
    )
    .about(deployments::get_deployment_qr::about),
    of(
        "set-user-secrets",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { deployments::set_user_secrets::handle(w.table()?, c).await })
        }),
    )
    .about(deployments::set_user_secrets::about),
    of(
        "undeploy-user",
        Entry::Admin(P::DeploymentsManage, |w, c| {
            Box::pin(async move { deployments::undeploy_user::handle(w.table()?, c).await })
        }),
    )
    .about(deployments::undeploy_user::about),
    of(
        "download-config",
        Entry::Device(|w, r| Box::pin(async move { deployments::download_config::handle(w.table()?, r).await })),
    )
    .about(deployments::download_config::about),
    of(
        "redirect",
        Entry::Code(|w, r| {
            Box::pin(
                async move { deployments::redirect::handle(w.table()?, &r, w.public_url()?, &w.settings.app).await },
            )
        }),
    )
    .about(deployments::redirect::about),
    // exports
    of(
        "export-users",
        Entry::Admin(P::UsersRead, |w, c| Box::pin(async move { exports::export_users::handle(w.table()?, c).await })),
    )
    .about(exports::export_users::about),
    of(
        "export-devices",
        Entry::Admin(P::DevicesRead, |w, c| {
            Box::pin(async move { exports::export_devices::handle(w.table()?, c).await })
        }),
    )
    .about(exports::export_devices::about),
    of(
        "export-events",
        Entry::Admin(P::EventsRead, |w, c| {
            Box::pin(async move { exports::export_events::handle(w.table()?, c).await })
        }),
    )
    .about(exports::export_events::about),
    // scim
    with_error_format(
        ErrorFormat::Scim,
        "scim",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { scim::scim::handle(w.table()?, c, &w.settings.defaults, w.public_url()?).await })
        }),
    ),
    // seam
    with_error_format(
        ErrorFormat::Seam,
        "seam-phones",
        Entry::Admin(P::DevicesRead, |w, c| {
            Box::pin(async move { seam::seam_phones::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    ),
    with_error_format(
        ErrorFormat::Seam,
        "seam-devices",
        Entry::Admin(P::DevicesRead, |w, c| Box::pin(async move { seam::seam_devices::handle(w.table()?, c).await })),
    ),
    with_error_format(
        ErrorFormat::Seam,
        "seam-events",
        Entry::Admin(P::EventsRead, |w, c| Box::pin(async move { seam::seam_events::handle(w.table()?, c).await })),
    ),
    with_error_format(
        ErrorFormat::Seam,
        "seam-user-identities",
        Entry::Admin(P::UsersRead, |w, c| {
            Box::pin(async move { seam::seam_user_identities::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    ),
    with_error_format(
        ErrorFormat::Seam,
        "seam-workspaces",
        Entry::AdminAnywhere(P::UsersRead, |w, r| {
            Box::pin(async move { seam::seam_workspaces::handle(w.table()?, r).await })
        }),
    ),
    with_error_format(
        ErrorFormat::Seam,
        "seam-webhooks",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { seam::seam_webhooks::handle(w.table()?, c, w.reach()).await })
        }),
    ),
    // jobs
    of(
        "bulk-users",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { jobs::bulk_users::handle(w.table()?, c, &w.settings.defaults, w.clock()).await })
        }),
    )
    .about(jobs::bulk_users::about),
    of(
        "bulk-devices",
        Entry::Admin(P::DevicesManage, |w, c| {
            Box::pin(async move { jobs::bulk_devices::handle(w.table()?, c, &w.settings.defaults, w.clock()).await })
        }),
    )
    .about(jobs::bulk_devices::about),
    of(
        "get-job",
        Entry::AnyAdmin(SEEN_WITH, |w, c| Box::pin(async move { jobs::get_job::handle(w.table()?, c).await })),
    )
    .about(jobs::get_job::about),
    of(
        "list-jobs",
        Entry::AnyAdmin(SEEN_WITH, |w, c| Box::pin(async move { jobs::list_jobs::handle(w.table()?, c).await })),
    )
    .about(jobs::list_jobs::about),
    of(
        "cancel-job",
        Entry::AnyAdmin(BEGUN_WITH, |w, c| Box::pin(async move { jobs::cancel_job::handle(w.table()?, c).await })),
    )
    .about(jobs::cancel_job::about),
    // sources
    of(
        "create-source",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { sources::create_source::handle(w.table()?, c, &w.settings.source_hosts).await })
        }),
    )
    .about(sources::create_source::about),
    of(
        "list-sources",
        Entry::Admin(P::UsersRead, |w, c| Box::pin(async move { sources::list_sources::handle(w.table()?, c).await })),
    )
    .about(sources::list_sources::about),
    of(
        "get-source",
        Entry::Admin(P::UsersRead, |w, c| Box::pin(async move { sources::get_source::handle(w.table()?, c).await })),
    )
    .about(sources::get_source::about),
    of(
        "update-source",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { sources::update_source::handle(w.table()?, c, &w.settings.source_hosts).await })
        }),
    )
    .about(sources::update_source::about),
    of(
        "delete-source",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move { sources::delete_source::handle(w.table()?, c).await })
        }),
    )
    .about(sources::delete_source::about),
    of(
        "upload-source-part",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move {
                sources::upload_source_part::handle(w.table()?, c, &w.settings.defaults, w.clock()).await
            })
        }),
    )
    .about(sources::upload_source_part::about),
    of(
        "sync-users",
        Entry::Admin(P::UsersManage, |w, c| {
            Box::pin(async move {
                let pulling = sources::Fetcher { outside: &|| w.outside(), hosts: &w.settings.source_hosts };
                sources::sync_users::handle(w.table()?, &pulling, c, &w.settings.defaults, w.clock()).await
            })
        }),
    )
    .about(sources::sync_users::about),
    // webhooks
    of(
        "create-webhook",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::create_webhook::handle(w.table()?, c, w.reach()).await })
        }),
    )
    .about(webhooks::create_webhook::about),
    of(
        "list-webhooks",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::list_webhooks::handle(w.table()?, c).await })
        }),
    )
    .about(webhooks::list_webhooks::about),
    of(
        "get-webhook",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::get_webhook::handle(w.table()?, c).await })
        }),
    )
    .about(webhooks::get_webhook::about),
    of(
        "update-webhook",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::update_webhook::handle(w.table()?, c, w.reach()).await })
        }),
    )
    .about(webhooks::update_webhook::about),
    of(
        "delete-webhook",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::delete_webhook::handle(w.table()?, c).await })
        }),
    )
    .about(webhooks::delete_webhook::about),
    of(
        "rotate-webhook-secret",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::rotate_webhook_secret::handle(w.table()?, c).await })
        }),
    )
    .about(webhooks::rotate_webhook_secret::about),
    of(
        "list-deliveries",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::list_deliveries::handle(w.table()?, c).await })
        }),
    )
    .about(webhooks::list_deliveries::about),
    of(
        "redeliver",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { webhooks::redeliver::handle(w.table()?, w.webhooks()?, c, w.clock()).await })
        }),
    )
    .about(webhooks::redeliver::about),
    // access
    of(
        "get-workspace",
        Entry::Admin(P::UsersRead, |w, c| {
            Box::pin(async move { access::get_workspace::handle(w.table()?, c, &w.settings.defaults).await })
        }),
    )
    .about(access::get_workspace::about),
    of(
        "update-workspace",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move {
                let Settings { defaults, senders, .. } = &w.settings;
                access::update_workspace::handle(w.table()?, c, defaults, senders).await
            })
        }),
    )
    .about(access::update_workspace::about),
    of(
        "list-events",
        Entry::Admin(P::EventsRead, |w, c| Box::pin(async move { access::list_events::handle(w.table()?, c).await })),
    )
    .about(access::list_events::about),
    of(
        "create-key",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::create_key::handle(w.table()?, c).await })
        }),
    )
    .about(access::create_key::about),
    of(
        "list-keys",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::list_keys::handle(w.table()?, c).await })
        }),
    )
    .about(access::list_keys::about),
    of(
        "revoke-key",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::revoke_key::handle(w.table()?, c).await })
        }),
    )
    .about(access::revoke_key::about),
    of(
        "add-member",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::add_member::handle(w.table()?, c).await })
        }),
    )
    .about(access::add_member::about),
    of(
        "list-members",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::list_members::handle(w.table()?, c).await })
        }),
    )
    .about(access::list_members::about),
    of(
        "remove-member",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::remove_member::handle(w.table()?, c).await })
        }),
    )
    .about(access::remove_member::about),
    of(
        "list-memberships",
        Entry::SignedIn(|w, o| Box::pin(async move { access::list_memberships::handle(w.table()?, o).await })),
    )
    .about(access::list_memberships::about),
    of(
        "accept-membership",
        Entry::SignedIn(|w, o| Box::pin(async move { access::accept_membership::handle(w.table()?, o).await })),
    )
    .about(access::accept_membership::about),
    of(
        "decline-membership",
        Entry::SignedIn(|w, o| Box::pin(async move { access::decline_membership::handle(w.table()?, o).await })),
    )
    .about(access::decline_membership::about),
    of(
        "create-token",
        Entry::Person(|w, o| Box::pin(async move { access::create_token::handle(w.table()?, o).await })),
    )
    .about(access::create_token::about),
    of("list-tokens", Entry::Person(|w, o| Box::pin(async move { access::list_tokens::handle(w.table()?, o).await })))
        .about(access::list_tokens::about),
    of(
        "revoke-token",
        Entry::Person(|w, o| Box::pin(async move { access::revoke_token::handle(w.table()?, o).await })),
    )
    .about(access::revoke_token::about),
    of(
        "list-member-tokens",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::list_member_tokens::handle(w.table()?, c).await })
        }),
    )
    .about(access::list_member_tokens::about),
    of(
        "revoke-member-token",
        Entry::Admin(P::WorkspaceManage, |w, c| {
            Box::pin(async move { access::revoke_member_token::handle(w.table()?, c).await })
        }),
    )
    .about(access::revoke_member_token::about),
    of(
        "create-workspace",
        Entry::Internal(|w, r| Box::pin(async move { access::create_workspace::handle(w.table()?, r).await })),
    ),
    // pages
    of("app-links", Entry::Public(|w, r| Box::pin(async move { pages::app_links::handle(&w.settings.app, &r) })))
        .about(pages::app_links::about),
    of("get-openapi", Entry::Public(|_, _| Box::pin(async { Ok(pages::get_openapi::handle()) })))
        .about(pages::get_openapi::about),
    of("get-docs", Entry::Public(|_, _| Box::pin(async { pages::get_docs::handle() }))).about(pages::get_docs::about),
    of("not-found", Entry::Public(|_, r| Box::pin(async move { pages::not_found::handle(&r) }))),
    // triggers
    of(
        "publish-events",
        Entry::Internal(|w, r| Box::pin(async move { triggers::publish_events::handle(w.topic()?, r).await })),
    ),
    of(
        "republish-events",
        Entry::Internal(|w, r| {
            Box::pin(async move { triggers::republish_events::handle(w.table()?, w.topic()?, r).await })
        }),
    ),
    of("reindex", Entry::Internal(|w, r| Box::pin(async move { triggers::reindex::handle(w.table()?, r).await }))),
    of(
        "notify-device",
        Entry::Internal(|w, r| {
            Box::pin(async move { triggers::notify_device::handle(w.table()?, w.pusher(), r).await })
        }),
    ),
    of(
        "send-message",
        Entry::Internal(|w, r| {
            Box::pin(async move { triggers::send_message::handle(w.table()?, &w.post()?, r).await })
        }),
    ),
    of(
        "deliver-webhook",
        Entry::Internal(|w, r| {
            Box::pin(async move { triggers::deliver_webhook::handle(w.table()?, &|| w.webhooks(), r).await })
        }),
    ),
    of(
        "record-feedback",
        Entry::Internal(|w, r| {
            Box::pin(async move { triggers::record_feedback::handle(w.table()?, w.pusher(), r).await })
        }),
    ),
    of(
        "run-due",
        Entry::Internal(|w, r| {
            Box::pin(async move {
                let pulling = sources::Fetcher { outside: &|| w.outside(), hosts: &w.settings.source_hosts };
                triggers::run_due::handle(w.table()?, w.pusher(), r, &w.settings.defaults, &pulling).await
            })
        }),
    ),
    of(
        "purge-deleted",
        Entry::Internal(|w, r| {
            Box::pin(async move { triggers::purge_deleted::handle(w.table()?, w.pusher(), r).await })
        }),
    ),
    of(
        "refresh-issuer-keys",
        Entry::Internal(|w, r| {
            Box::pin(async move {
                let issuer = w.settings.issuer.as_ref();
                triggers::refresh_issuer_keys::handle(w.table()?, &|| w.issuer_pages(), issuer, r).await
            })
        }),
    ),
];
